//! The disk forgets what it may, all of it, and nothing else.

use std::collections::BTreeSet;

use toom_tests::sim::dice::Dice;

use crate::disk::{Disk, Image};

/// Everything that crashes of `disk` left in many tries.
fn crashes(disk: &Disk) -> BTreeSet<Image> {
    (0..500).map(|seed| disk.after_crash(&mut Dice::new(seed, "crash"))).collect()
}

/// A disk with a file `a` of this content, all durable.
fn holding(content: &[u8]) -> Disk {
    Disk::holding(&Image::from([("a".into(), content.to_vec())]))
}

fn contents(disk: &Disk) -> BTreeSet<Vec<u8>> {
    crashes(disk).into_iter().map(|mut image| image.remove("a").expect("the file is there")).collect()
}

#[test]
fn what_was_synced_stays() {
    let mut disk = Disk::default();
    let file = disk.make("a", b"one");
    disk.write(file, 3, b" two");
    disk.resize(file, 5);
    disk.sync(file);
    disk.sync_directory();
    assert_eq!(crashes(&disk), BTreeSet::from([Image::from([("a".into(), b"one t".to_vec())])]));
}

#[test]
fn a_write_that_was_not_synced_is_there_or_not_or_in_part_at_sectors() {
    let mut disk = holding(&[0; 1536]);
    let file = disk.find("a").expect("there");
    disk.write(file, 500, &[1; 600]);
    let mut expected = BTreeSet::new();
    for kept in 0..8 {
        let mut content = vec![0; 1536];
        for (part, range) in [500..512, 512..1024, 1024..1100].into_iter().enumerate() {
            if kept & (1 << part) != 0 {
                content[range].fill(1);
            }
        }
        expected.insert(content);
    }
    assert_eq!(contents(&disk), expected);
    assert_eq!(disk.cached()["a"][500..1100], [1; 600]);
}

#[test]
fn a_later_write_may_stay_without_an_earlier_one() {
    let mut disk = holding(&[0; 1024]);
    let file = disk.find("a").expect("there");
    disk.write(file, 0, &[1; 512]);
    disk.write(file, 512, &[2; 512]);
    let seen: BTreeSet<_> = contents(&disk).into_iter().map(|content| (content[0], content[512])).collect();
    assert_eq!(seen, BTreeSet::from([(0, 0), (1, 0), (0, 2), (1, 2)]));
}

#[test]
fn bytes_that_were_not_written_never_change() {
    let mut disk = holding(&[7; 4096]);
    let file = disk.find("a").expect("there");
    disk.write(file, 700, &[1; 10]);
    disk.write(file, 4096, &[1; 4096]);
    for content in contents(&disk) {
        assert!(content[..700].iter().chain(&content[710..4096]).all(|byte| *byte == 7));
    }
}

#[test]
fn a_file_may_have_grown_without_its_content() {
    let mut disk = holding(b"");
    let file = disk.find("a").expect("there");
    disk.write(file, 0, &[1; 512]);
    let seen = contents(&disk);
    assert!(seen.contains(&vec![]) && seen.contains(&vec![1; 512]));
    assert!(seen.iter().any(|content| content.len() == 512 && content != &[1; 512]), "rubbish was never seen");
}

#[test]
fn a_change_of_length_that_was_not_synced_is_there_or_not() {
    let mut disk = holding(b"12345");
    let file = disk.find("a").expect("there");
    disk.resize(file, 2);
    assert_eq!(contents(&disk), BTreeSet::from([b"12".to_vec(), b"12345".to_vec()]));
    disk.sync(file);
    assert_eq!(contents(&disk), BTreeSet::from([b"12".to_vec()]));
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let mut disk = holding(b"old");
    disk.delete("a");
    let new = disk.make("a", b"new");
    disk.sync(new);
    let image = |content: &[u8]| Image::from([("a".into(), content.to_vec())]);
    assert_eq!(crashes(&disk), BTreeSet::from([image(b"old"), Image::new(), image(b"new")]));
    disk.sync_directory();
    assert_eq!(crashes(&disk), BTreeSet::from([image(b"new")]));
}

#[test]
fn what_is_written_after_a_deletion_touches_only_those_who_have_the_file() {
    let mut disk = holding(b"old");
    let file = disk.find("a").expect("there");
    disk.delete("a");
    disk.sync_directory();
    disk.write(file, 0, b"ghost");
    disk.sync(file);
    assert_eq!(crashes(&disk), BTreeSet::from([Image::new()]));
    assert_eq!(disk.cached(), Image::new());
}

#[test]
fn after_a_failed_sync_a_later_one_does_not_bring_back_what_was_forgotten() {
    let seen: BTreeSet<_> = (0..100)
        .flat_map(|seed| {
            let mut disk = holding(b"old");
            let file = disk.find("a").expect("there");
            disk.write(file, 0, b"new");
            disk.fail_to_sync(file, &mut Dice::new(seed, "sync"));
            disk.sync(file);
            contents(&disk)
        })
        .collect();
    assert_eq!(seen, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn a_seed_repeats_a_crash() {
    let mut disk = holding(&[0; 4096]);
    let file = disk.find("a").expect("there");
    disk.write(file, 0, &[1; 4096]);
    let crash = || disk.after_crash(&mut Dice::new(5, "crash"));
    assert_eq!(crash(), crash());
}
