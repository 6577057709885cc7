use super::*;

/// Bytes that differ everywhere.
fn content(length: usize, seed: u8) -> Vec<u8> {
    let mut content = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut content);
    content
}

/// A film of 20 MiB between two small files, and where it begins in the contents.
fn film(home: &Path) -> (PathBuf, usize) {
    let root = home.join("films");
    write(&root.join("a.txt"), content(MEGABYTE, 1));
    write(&root.join("film.mp4"), content(20 * MEGABYTE, 2));
    write(&root.join("z.txt"), content(MEGABYTE, 3));
    (root, MEGABYTE)
}

fn expect_all(root: &Path, downloads: &Path) {
    assert_eq!(names(downloads), ["yoda_films"]);
    assert!(tree(&downloads.join("yoda_films")) == tree(root), "something differs");
}

#[test]
fn what_was_kept_is_gone_on_with() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    let all = pair.contents();
    pair.send_to(pair.listing + (before + 13 * MEGABYTE) as u64).expect("sent");
    pair.sink.keep();
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(all - pair.contents(), (before + 13 * MEGABYTE) as u64);
    // Again, without anything more.
    pair.sink.keep();
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(all - pair.contents(), (before + 13 * MEGABYTE) as u64);
    // And now in the middle of the last, small file.
    pair.send_to(pair.end - 1_000).expect("sent");
    pair.sink.keep();
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 1_000);
    assert_eq!(pair.finish().expect("published"), "yoda_films");
    expect_all(&root, downloads.path());
}

#[test]
fn what_a_killed_process_left_is_gone_on_with_as_far_as_its_journal_goes() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    let all = pair.contents();
    pair.send_to(pair.listing + (before + 19 * MEGABYTE) as u64).expect("sent");
    kill(pair.sink);
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(all - pair.contents(), (before + 16 * MEGABYTE) as u64);
    assert_eq!(pair.finish().expect("published"), "yoda_films");
    expect_all(&root, downloads.path());
}

#[test]
fn what_came_before_its_turn_is_kept_up_to_the_first_gap() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    let all = pair.contents();
    let gap = pair.listing + (before + 9 * MEGABYTE) as u64;
    let mut flow = vec![0; usize::try_from(pair.end).expect("small")];
    pair.source.read_at(0, &mut flow).expect("read");
    // Backwards, so that next to nothing is hashed on the way.
    for (number, piece) in flow.chunks(100_000).enumerate().skip(1).rev() {
        let start = number as u64 * 100_000;
        if !(start..start + piece.len() as u64).contains(&gap) {
            pair.sink.write_at(start, piece).expect("written");
        }
    }
    pair.sink.write_at(pair.listing, &flow[pair.listing as usize..100_000]).expect("written");
    pair.sink.keep();
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    // The last file came as a whole, though after the gap.
    assert_eq!(all - pair.contents(), gap / 100_000 * 100_000 - pair.listing + MEGABYTE as u64);
    pair.finish().expect("published");
    expect_all(&root, downloads.path());
}

#[test]
fn a_small_file_with_a_gap_is_kept_up_to_it() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("a.txt");
    write(&root, content(3 * MEGABYTE, 1));
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.listing + 2 * MEGABYTE as u64).expect("sent");
    pair.sink.write_at(pair.end - 1, &[1]).expect("written");
    pair.sink.keep();
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), MEGABYTE as u64);
    assert_eq!(pair.finish().expect("published"), "yoda_a.txt");
    assert_eq!(read(&downloads.path().join("yoda_a.txt")), read(&root));
}

#[test]
fn what_is_damaged_is_sent_again() {
    let (home, downloads) = (directory(), directory());
    let (root, _) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.end).expect("sent");
    kill(pair.sink);
    let [folder] = &names(downloads.path())[..] else { panic!("one folder") };
    let folder = downloads.path().join(folder);
    for name in names(&folder).iter().filter(|name| name.ends_with(".part")) {
        let mut content = read(&folder.join(name));
        let place = content.len() / 2;
        content[place] ^= 1;
        write(&folder.join(name), content);
    }
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    // Of the large file the first 8 MiB are as its journal says.
    assert_eq!(pair.contents(), (2 + 20 - 8) * MEGABYTE as u64);
    pair.finish().expect("published");
    expect_all(&root, downloads.path());
}

#[test]
fn what_was_kept_of_one_listing_serves_another_and_what_is_no_longer_sent_is_removed() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    write(&root.join("b.txt"), content(MEGABYTE, 4));
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.listing + (2 * before + 10 * MEGABYTE) as u64).expect("sent");
    pair.sink.keep();
    fs::remove_file(root.join("b.txt")).expect("removed");
    write(&root.join("0/0.txt"), b"0");
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), (1 + 10 * MEGABYTE + MEGABYTE) as u64);
    let [folder] = &names(downloads.path())[..] else { panic!("one folder") };
    assert_eq!(names(&downloads.path().join(folder)).len(), 3, "two files and a journal");
    pair.finish().expect("published");
    expect_all(&root, downloads.path());
}

#[test]
fn a_file_that_is_another_now_is_not_made_of_both() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.listing + (before + 13 * MEGABYTE) as u64).expect("sent");
    pair.sink.keep();
    write(&root.join("film.mp4"), content(9 * MEGABYTE, 5));
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 10 * MEGABYTE as u64);
    pair.finish().expect("published");
    expect_all(&root, downloads.path());
}

#[test]
fn a_file_that_is_shorter_now_is_not_longer_than_it_is() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.listing + (before + 13 * MEGABYTE) as u64).expect("sent");
    pair.sink.keep();
    write(&root.join("film.mp4"), &content(20 * MEGABYTE, 2)[..9 * MEGABYTE]);
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 2 * MEGABYTE as u64);
    pair.finish().expect("published");
    expect_all(&root, downloads.path());
}

#[test]
fn nothing_stays_of_what_is_dropped_or_not_worth_keeping() {
    let (home, downloads) = (directory(), directory());
    let (root, _) = film(home.path());
    for (end, is_kept) in [(1_000_000, true), (1_000_000, false), (3_000_000, false)] {
        let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
        pair.send_to(pair.listing + end).expect("sent");
        assert_eq!(names(downloads.path()).len(), 1);
        if is_kept {
            pair.sink.keep()
        } else {
            drop(pair.sink)
        }
        assert_eq!(names(downloads.path()), [""; 0]);
    }
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let (home, downloads) = (directory(), directory());
    let (root, before) = film(home.path());
    let mut first = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    first.send_to(first.listing + 3 * before as u64).expect("sent");
    let second = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(second.contents(), first.contents());
    second.finish().expect("published");
    let end = first.end;
    let mut offset = first.listing;
    while offset < end {
        let mut piece = vec![0; usize::try_from((end - offset).min(256 * 1024)).expect("small")];
        first.source.read_at(offset, &mut piece).expect("read");
        first.sink.write_at(offset, &piece).expect("written");
        offset += piece.len() as u64;
    }
    assert_eq!(first.sink.hash().ok(), first.source.take_hash());
    // All of it is there meanwhile.
    assert_eq!(first.sink.publish().expect("published"), "yoda_films");
    expect_all(&root, downloads.path());
}

#[test]
fn a_crash_in_the_middle_of_publishing_loses_nothing() {
    let (home, downloads) = (directory(), directory());
    let (root, _) = film(home.path());
    let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    pair.send_to(pair.end).expect("sent");
    kill(pair.sink);
    // As if the first file had got its name, and the second its permissions.
    let [folder] = &names(downloads.path())[..] else { panic!("one folder") };
    let folder = downloads.path().join(folder);
    fs::create_dir(downloads.path().join("yoda_films")).expect("made");
    let parts: Vec<_> = names(&folder).into_iter().filter(|name| name.ends_with(".part")).collect();
    let first = parts.iter().find(|name| read(&folder.join(name)) == content(MEGABYTE, 1)).expect("there");
    fs::rename(folder.join(first), downloads.path().join("yoda_films/a.txt")).expect("renamed");
    for name in parts.iter().filter(|name| *name != first) {
        set_mode(&folder.join(name), 0o444);
    }
    set_mode(&downloads.path().join("yoda_films/a.txt"), 0o644);
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 0);
    assert_eq!(pair.finish().expect("published"), "yoda_films");
    expect_all(&root, downloads.path());
}
