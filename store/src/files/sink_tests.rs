use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn create(downloads: &Path, bytes: u64) -> Sink {
    let yoda = UserName::new("yoda").expect("a name");
    Sink::create(downloads, &yoda, &FileLabel::new("film.mp4"), Some(bytes)).expect("created")
}

fn receive(downloads: &Path, content: &[u8]) -> Sink {
    let mut sink = create(downloads, content.len() as u64);
    sink.write_at(0, content).expect("written");
    sink
}

fn names(downloads: &Path) -> Vec<String> {
    let entries = fs::read_dir(downloads).expect("listed");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_partial_file_is_hidden_and_private_and_the_final_one_is_an_ordinary_file() {
    let downloads = directory();
    let sink = receive(downloads.path(), b"abc");
    let [part] = &names(downloads.path())[..] else { panic!("one file") };
    assert!(part.starts_with(".yoda_film.mp4.") && part.ends_with(".part"), "{part}");
    assert_eq!(mode(&downloads.path().join(part)), 0o600);

    assert_eq!(sink.publish().expect("published"), "yoda_film.mp4");
    assert_eq!(names(downloads.path()), ["yoda_film.mp4"]);
    let path = downloads.path().join("yoda_film.mp4");
    assert_eq!(fs::read(&path).expect("read"), b"abc");
    let ordinary = downloads.path().join("ordinary");
    fs::write(&ordinary, b"").expect("written");
    assert_eq!(mode(&path), mode(&ordinary));
}

#[test]
fn an_unpublished_partial_file_is_removed() {
    let downloads = directory();
    drop(receive(downloads.path(), b"abc"));
    assert_eq!(names(downloads.path()), [""; 0]);
}

#[test]
fn a_partial_file_that_a_killed_process_left_is_removed_and_one_in_use_is_not() {
    let downloads = directory();
    let first = receive(downloads.path(), b"abc");
    fs::write(downloads.path().join(".yoda_film.mp4.0123abcd.part"), b"ab").expect("written");
    let second = receive(downloads.path(), b"def");
    let mut parts = [first.part.clone(), second.part.clone()];
    parts.sort();
    assert_eq!(names(downloads.path()), parts);
    assert_eq!(
        (first.publish().expect("published"), second.publish().expect("published")),
        ("yoda_film.mp4".into(), "yoda_film (2).mp4".into())
    );
}

#[test]
fn an_empty_file_is_published() {
    let downloads = directory();
    let mut sink = create(downloads.path(), 0);
    assert_eq!(sink.hash().expect("hashed"), *blake3::hash(b"").as_bytes());
    assert_eq!(sink.publish().expect("published"), "yoda_film.mp4");
    assert_eq!(fs::read(downloads.path().join("yoda_film.mp4")).expect("read"), b"");
}

#[test]
fn a_taken_name_is_not_replaced() {
    let downloads = directory();
    for (content, name) in [("one", "yoda_film.mp4"), ("two", "yoda_film (2).mp4"), ("six", "yoda_film (3).mp4")] {
        assert_eq!(receive(downloads.path(), content.as_bytes()).publish().expect("published"), name);
    }
    for (content, name) in [("one", "yoda_film.mp4"), ("two", "yoda_film (2).mp4"), ("six", "yoda_film (3).mp4")] {
        assert_eq!(fs::read_to_string(downloads.path().join(name)).expect("read"), content);
    }
}

#[test]
fn nothing_is_written_if_the_same_content_is_there_under_the_name_or_an_alternative() {
    let downloads = directory();
    for (content, name) in [("one", "yoda_film.mp4"), ("two", "yoda_film (2).mp4")] {
        receive(downloads.path(), content.as_bytes()).publish().expect("published");
        let before = fs::metadata(downloads.path().join(name)).expect("there").modified().expect("a time");
        assert_eq!(receive(downloads.path(), content.as_bytes()).publish().expect("published"), name);
        let after = fs::metadata(downloads.path().join(name)).expect("there").modified().expect("a time");
        assert_eq!(before, after);
    }
    assert_eq!(names(downloads.path()), ["yoda_film (2).mp4", "yoda_film.mp4"]);
}

#[test]
fn a_link_a_directory_and_a_pipe_count_as_taken_and_are_not_followed() {
    let downloads = directory();
    let elsewhere = directory();
    let target = elsewhere.path().join("target");
    fs::write(&target, b"abc").expect("written");
    symlink(&target, downloads.path().join("yoda_film.mp4")).expect("linked");
    symlink(elsewhere.path().join("nothing"), downloads.path().join("yoda_film (2).mp4")).expect("linked");
    fs::create_dir(downloads.path().join("yoda_film (3).mp4")).expect("made");
    let pipe = downloads.path().join("yoda_film (4).mp4");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("a pipe");

    assert_eq!(receive(downloads.path(), b"abc").publish().expect("published"), "yoda_film (5).mp4");
    assert_eq!(fs::read(&target).expect("read"), b"abc");
    assert_eq!(names(elsewhere.path()), ["target"]);
}

#[test]
fn a_directory_that_is_swapped_while_a_file_comes_gets_nothing() {
    let (root, elsewhere) = (directory(), directory());
    let downloads = root.path().join("downloads");
    fs::create_dir(&downloads).expect("made");
    let sink = receive(&downloads, b"abc");
    let moved = root.path().join("moved");
    fs::rename(&downloads, &moved).expect("renamed");
    symlink(elsewhere.path(), &downloads).expect("linked");
    fs::write(elsewhere.path().join(&sink.part), b"planted").expect("written");

    assert_eq!(sink.publish().expect("published"), "yoda_film.mp4");
    assert_eq!(fs::read(moved.join("yoda_film.mp4")).expect("read"), b"abc");
    assert_eq!(names(&moved), ["yoda_film.mp4"]);
    let [planted] = &names(elsewhere.path())[..] else { panic!("one file") };
    assert_eq!(fs::read(elsewhere.path().join(planted)).expect("read"), b"planted");
}

#[test]
fn a_directory_that_is_removed_while_a_file_comes_is_a_reason() {
    let root = directory();
    let downloads = root.path().join("downloads");
    fs::create_dir(&downloads).expect("made");
    let sink = receive(&downloads, b"abc");
    fs::remove_dir_all(&downloads).expect("removed");
    let error = sink.publish().expect_err("no directory");
    let path = downloads.join("yoda_film.mp4");
    let why = "somebody removed or replaced the partial file";
    assert_eq!(error.to_string(), format!("{} cannot be made: {why}", path.display()));
}

#[test]
fn what_replaces_the_partial_file_is_neither_published_nor_followed_nor_removed() {
    let elsewhere = directory();
    let target = elsewhere.path().join("target");
    fs::write(&target, b"secret").expect("written");
    let link: &dyn Fn(&Path) = &|part| symlink(&target, part).expect("linked");
    let dangling: &dyn Fn(&Path) = &|part| symlink(elsewhere.path().join("nothing"), part).expect("linked");
    let file: &dyn Fn(&Path) = &|part| fs::write(part, b"xyz").expect("written");
    let hard_link: &dyn Fn(&Path) = &|part| fs::hard_link(&target, part).expect("linked");
    for plant in [link, dangling, file, hard_link] {
        let downloads = directory();
        let mut sink = create(downloads.path(), 3);
        let part = downloads.path().join(&sink.part);
        fs::remove_file(&part).expect("removed");
        plant(&part);
        sink.write_at(0, b"abc").expect("written to the file that was opened");
        let error = sink.publish().expect_err("replaced").to_string();
        assert!(error.ends_with("cannot be made: somebody removed or replaced the partial file"), "{error}");
        let left: Vec<_> = names(downloads.path()).into_iter().map(|name| downloads.path().join(name)).collect();
        assert_eq!(left, [part]);
        assert_eq!(names(elsewhere.path()), ["target"]);
        assert_eq!(fs::read(&target).expect("read"), b"secret");
    }
}

#[test]
fn hostile_labels_stay_in_the_directory() {
    for (label, name) in [
        ("../../.ssh/authorized_keys".to_owned(), "yoda_authorized_keys"),
        ("/etc/passwd".to_owned(), "yoda_passwd"),
        ("..".to_owned(), "yoda_unnamed"),
        ("CON".to_owned(), "yoda__CON"),
        ("\u{1b}]0;x\u{7}".to_owned(), "yoda__"),
        ("a\u{202e}4pm.exe".to_owned(), "yoda_a_4pm.exe"),
        ("a\0b".to_owned(), "yoda_a_b"),
        (format!("{}.mp4", "l".repeat(300)), &*format!("yoda_{}.mp4", "l".repeat(156))),
    ] {
        let root = directory();
        let downloads = root.path().join("a/b/downloads");
        fs::create_dir_all(&downloads).expect("made");
        let yoda = UserName::new("yoda").expect("a name");
        let mut sink = Sink::create(&downloads, &yoda, &FileLabel::new(&label), Some(3)).expect("created");
        sink.write_at(0, b"abc").expect("written");
        assert_eq!(sink.publish().expect("published"), name);
        assert_eq!(names(&downloads), [name]);
        assert_eq!((names(root.path()), names(&root.path().join("a"))), (vec!["a".into()], vec!["b".into()]));
    }
}

#[test]
fn two_that_publish_at_the_same_time_both_get_a_name() {
    let downloads = directory();
    let sinks: Vec<_> = (0..8_u8).map(|content| receive(downloads.path(), &[content])).collect();
    let threads: Vec<_> =
        sinks.into_iter().map(|sink| std::thread::spawn(move || sink.publish().expect("published"))).collect();
    let mut given: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    given.sort();
    assert_eq!(given, names(downloads.path()));
    let mut contents: Vec<_> = given.iter().map(|name| fs::read(downloads.path().join(name)).expect("read")).collect();
    contents.sort();
    assert_eq!(contents, (0..8_u8).map(|content| vec![content]).collect::<Vec<_>>());
}

#[test]
fn a_file_with_holes_is_not_published() {
    let downloads = directory();
    let mut sink = create(downloads.path(), 10);
    sink.write_at(0, b"01234").expect("written");
    let error = sink.publish().expect_err("not complete");
    assert!(error.to_string().ends_with(".part is not complete"), "{error}");
    assert_eq!(names(downloads.path()), [""; 0]);
}

#[test]
fn more_than_was_offered_is_refused() {
    let downloads = directory();
    let mut sink = create(downloads.path(), 3);
    for offset in [1, 4, u64::MAX] {
        let error = sink.write_at(offset, b"abc").expect_err("too much");
        assert!(error.to_string().ends_with("would get more bytes than were offered"), "{error}");
    }
    sink.write_at(0, b"abc").expect("written");
    assert_eq!(sink.hash().expect("hashed"), *blake3::hash(b"abc").as_bytes());
}

#[test]
fn a_missing_download_directory_is_named() {
    let downloads = directory();
    let missing = downloads.path().join("missing");
    let yoda = UserName::new("yoda").expect("a name");
    let error = Sink::create(&missing, &yoda, &FileLabel::new("x"), Some(1)).expect_err("missing");
    let what = "cannot be used as the download directory: no such file or directory";
    assert_eq!(error.to_string(), format!("{} {what}", missing.display()));
}

#[test]
fn the_longest_names_fit() {
    let downloads = directory();
    let name = UserName::new(&"n".repeat(64)).expect("a name");
    let label = FileLabel::new(&"l".repeat(500));
    // As if all names up to this one were taken.
    fs::write(downloads.path().join(received_name(&name, &label, MAX_ALTERNATIVES)), b"").expect("written");
    for _ in 0..2 {
        let mut sink = Sink::create(downloads.path(), &name, &label, Some(8)).expect("created");
        sink.write_at(0, &u64::from(part::random()).to_le_bytes()).expect("written");
        sink.publish().expect("published");
    }
    assert_eq!(names(downloads.path()).len(), 3);
}

#[test]
fn most_of_a_large_file_is_hashed_while_it_is_written_even_after_losses() {
    let downloads = directory();
    let content: Vec<u8> = (0..8 * HASH_BLOCK).map(|byte| (byte % 251) as u8).collect();
    let mut sink = create(downloads.path(), content.len() as u64);
    let pieces: Vec<_> = (0..).step_by(1_000).zip(content.chunks(1_000)).collect();
    for (offset, piece) in pieces.iter().skip(1) {
        sink.write_at(*offset, piece).expect("written");
    }
    assert_eq!(sink.hashed, 0);
    sink.write_at(0, pieces[0].1).expect("written");
    assert_eq!(sink.hashed, 1_000 + HASH_BLOCK);
    assert_eq!(sink.hash().expect("hashed"), *blake3::hash(&content).as_bytes());
}

#[test]
fn what_comes_in_order_is_not_read_back() {
    let downloads = directory();
    let content: Vec<u8> = (0..4 * MIN_READ_BACK).map(|byte| (byte % 251) as u8).collect();
    let mut sink = create(downloads.path(), content.len() as u64);
    let calls = SystemCalls::default();
    sink.count_in(calls.clone());
    for (offset, piece) in (0..).step_by(MIN_READ_BACK as usize + 7).zip(content.chunks(MIN_READ_BACK as usize + 7)) {
        sink.write_at(offset, piece).expect("written");
    }
    assert_eq!(calls.total(), 4, "one for each write");
    assert_eq!(sink.hash().expect("hashed"), *blake3::hash(&content).as_bytes());
}

proptest! {
    #[test]
    fn the_hash_is_of_what_is_in_the_file_whatever_the_order_of_writes(
        order in Just((0..12_u64).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec((0..12_u64, any::<u8>()), 0..6),
        asked in 0..12_usize,
    ) {
        const PIECE: u64 = 100_000;
        let downloads = directory();
        let mut model = vec![0_u8; usize::try_from(12 * PIECE).expect("small")];
        let mut sink = create(downloads.path(), 12 * PIECE);
        let writes = order.iter().map(|piece| (*piece, *piece as u8 + 1)).chain(again);
        for (count, (piece, value)) in writes.enumerate() {
            let start = usize::try_from(piece * PIECE).expect("small");
            let part = &mut model[start..start + usize::try_from(PIECE).expect("small")];
            part.fill(value);
            sink.write_at(piece * PIECE, part).expect("written");
            if count >= 11 && count % 12 == asked {
                prop_assert_eq!(sink.hash().expect("hashed"), *blake3::hash(&model).as_bytes());
            }
        }
        prop_assert_eq!(sink.hash().expect("hashed"), *blake3::hash(&model).as_bytes());
        let name = sink.publish().expect("published");
        prop_assert!(fs::read(downloads.path().join(name)).expect("read") == model);
    }
}

/// A partial file as a process that was killed leaves it: nobody removes it, and nobody adds a last record.
fn left(downloads: &Path, content: &[u8], bytes: u64) {
    let mut sink = create(downloads, bytes);
    for (piece, n) in content.chunks(65_536).zip(0..) {
        sink.write_at(n * 65_536, piece).expect("written");
    }
    sink.settled = true;
}

fn film() -> Vec<u8> {
    (0..20_u64 << 20).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn prepared(downloads: &Path, bytes: u64) -> u64 {
    let mut sink = create(downloads, bytes);
    assert!(sink.is_adopted());
    let have = sink.prepare();
    // As it was.
    sink.settled = true;
    have.bytes
}

#[test]
fn what_a_killed_process_left_is_there_up_to_its_last_record() {
    let (downloads, film) = (directory(), film());
    left(downloads.path(), &film[..19 << 20], film.len() as u64);
    let mut sink = create(downloads.path(), film.len() as u64);
    assert!(sink.is_adopted());
    let have = sink.prepare();
    let recorded = have.bytes as usize;
    assert_eq!((recorded, have.blake3), (16 << 20, blake3::hash(&film[..recorded]).into()));
    sink.write_at(have.bytes, &film[recorded..]).expect("written");
    assert_eq!(sink.publish().expect("published"), "yoda_film.mp4");
    assert!(fs::read(downloads.path().join("yoda_film.mp4")).expect("read") == film);
    assert_eq!(names(downloads.path()), ["yoda_film.mp4"]);
}

#[test]
fn only_what_is_as_the_journal_says_is_gone_on_with() {
    let film = film();
    for (damaged, left_over) in [(17 << 20, 16), (16 << 20, 16), ((16 << 20) - 1, 8), (8 << 20, 8), (0, 0)] {
        let downloads = directory();
        left(downloads.path(), &film[..19 << 20], film.len() as u64);
        let part = names(downloads.path()).into_iter().find(|name| name.ends_with(".part")).expect("a part");
        let path = downloads.path().join(part);
        let mut content = fs::read(&path).expect("read");
        content[damaged] ^= 1;
        fs::write(&path, content).expect("written");
        assert_eq!(prepared(downloads.path(), film.len() as u64), left_over << 20, "{damaged}");
        // Of nothing there is no journal.
        assert_eq!(create(downloads.path(), 1).is_adopted(), left_over > 0, "{damaged}, again");
    }
    let downloads = directory();
    left(downloads.path(), &film[..19 << 20], film.len() as u64);
    assert_eq!(prepared(downloads.path(), 9 << 20), 8 << 20, "the file is shorter now");
}

#[test]
fn a_partial_file_that_others_may_write_to_is_not_gone_on_with() {
    let film = film();
    let spoil: [fn(&Path); 3] = [
        |part| fs::set_permissions(part, fs::Permissions::from_mode(0o620)).expect("set"),
        |part| fs::hard_link(part, part.with_extension("other")).expect("linked"),
        |part| fs::remove_file(part.with_extension("journal")).expect("removed"),
    ];
    for spoil in spoil {
        let downloads = directory();
        left(downloads.path(), &film, film.len() as u64);
        let part = names(downloads.path()).into_iter().find(|name| name.ends_with(".part")).expect("a part");
        spoil(&downloads.path().join(&part));
        let sink = create(downloads.path(), film.len() as u64);
        assert!(!sink.is_adopted() && sink.part != part);
        assert!(!names(downloads.path()).contains(&part), "it is removed");
    }
}
