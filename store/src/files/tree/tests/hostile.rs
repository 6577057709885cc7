use super::*;

#[test]
fn two_of_one_name_are_both_kept_and_folders_of_one_name_become_one() {
    let downloads = directory();
    let listing = listing(&[
        (None, "x", None),
        (Some(0), "a.txt", Some(1)),
        (Some(0), "a.txt", Some(1)),
        (Some(0), "a.txt", Some(1)),
        (Some(0), "a.txt", Some(1)),
        (None, "x", None),
        (Some(5), "a.txt", Some(1)),
        (Some(5), "b.txt", Some(1)),
        (None, "x", Some(1)),
    ]);
    // The fourth is as the first.
    assert_eq!(receive(downloads.path(), &listing, b"1231456").expect("published"), "yoda_x, yoda_x (2)");
    let received = downloads.path().join("yoda_x");
    let expected = [("a (2).txt", "2"), ("a (3).txt", "3"), ("a (4).txt", "4"), ("a.txt", "1"), ("b.txt", "5")];
    assert_eq!(names(&received), expected.map(|(name, _)| name));
    for (name, content) in expected {
        assert_eq!(read(&received.join(name)), content.as_bytes());
    }
    assert_eq!(read(&downloads.path().join("yoda_x (2)")), b"6");
    let before = traces(&received);
    receive(downloads.path(), &listing, b"1231456").expect("published");
    assert_eq!(traces(&received), before, "sent again");
}

#[test]
fn many_of_one_name_all_arrive() {
    let downloads = directory();
    let entries: Vec<_> = (0..300).map(|_| (None, "a", Some(2))).collect();
    let contents: Vec<u8> = (0..300_u16).flat_map(u16::to_be_bytes).collect();
    let names = receive(downloads.path(), &listing(&entries), &contents).expect("published");
    assert_eq!(names, "yoda_a, yoda_a (2), yoda_a (3), yoda_a (4), yoda_a (5) and 295 more");
    assert_eq!(read(&downloads.path().join("yoda_a (300)")), 299_u16.to_be_bytes());
}

#[test]
fn one_file_is_not_hashed_for_each_entry_of_its_name() {
    let downloads = directory();
    write(&downloads.path().join("yoda_x/a"), b"1");
    let entries = [(None, "x", None), (Some(0), "a", Some(1)), (Some(0), "a", Some(1)), (None, "x", None)];
    let listing = listing(&[&entries[..], &[(Some(3), "a", Some(1))]].concat());
    let parts = sink_with(downloads.path(), &listing).survey().expect("surveyed");
    assert_eq!(parts.iter().map(|part| part.entry).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_is_no_listing_or_another_than_was_announced_is_refused() {
    let downloads = directory();
    let listing = listing(&[(None, "a", Some(4))]);
    let encoded = listing.encode().expect("a listing");
    let label = FileLabel::new("a");
    let create = |length: u64, bytes| TreeSink::create(downloads.path(), &yoda(), &label, length, bytes);
    for length in [0, 4 * 1024 * 1024 + 1, u64::MAX] {
        let error = create(length, 4).expect_err("refused").to_string();
        assert!(error.starts_with("a was announced with a list of files"), "{error}");
    }
    let length = encoded.len() as u64;
    let wrong = |sink: io::Result<TreeSink>, encoded: &[u8]| {
        let mut sink = sink.expect("created");
        sink.write_at(0, encoded).expect("written");
        sink.survey().expect_err("refused").to_string()
    };
    let expected = "cannot be received: the list of its files is none, or is not what was offered";
    for error in [
        wrong(create(length, 3), &encoded),
        wrong(create(length, 5), &encoded),
        wrong(create(length + 1, 4), &[&encoded[..], &[0]].concat()),
        wrong(create(3, 4), &[0xff, 0xff, 0xff]),
    ] {
        assert_eq!(error, format!("{} {expected}", downloads.path().join("yoda_a").display()));
    }
    let mut sink = create(length, 4).expect("created");
    sink.write_at(1, &encoded[1..]).expect("written");
    assert!(sink.survey().is_err(), "the first byte is not there");
    assert_eq!(names(downloads.path()), [""; 0]);
}

#[test]
fn what_comes_out_of_turn_or_out_of_range_is_refused_or_ignored() {
    let downloads = directory();
    let listing = listing(&[(None, "a", Some(4)), (None, "b", Some(2))]);
    let mut sink = sink_with(downloads.path(), &listing);
    let length = listing.encode().expect("a listing").len() as u64;
    assert!(sink.write_at(length, b"x").is_err(), "before it was agreed");
    assert!(sink.agreed(&[]).is_err(), "before the survey");
    assert!(sink.hash().is_err());
    assert_eq!(sink.survey().expect("surveyed"), []);
    assert!(sink.survey().is_err(), "once");
    assert!(sink.agreed(&[true]).is_err(), "nothing was asked");
    sink.agreed(&[]).expect("agreed");
    for (offset, bytes) in [(length, &b"1234567"[..]), (length + 6, b"x"), (u64::MAX, b"x"), (u64::MAX - 1, b"x")] {
        let error = sink.write_at(offset, bytes).expect_err("refused").to_string();
        assert!(error.ends_with("would get more bytes than were offered"), "{error}");
    }
    sink.write_at(0, b"xxxxx").expect("ignored");
    sink.write_at(length, b"12").expect("written");
    // What was hashed stays; what was not may be replaced.
    sink.write_at(length + 5, b"x").expect("written");
    sink.write_at(length, b"xx34").expect("written");
    sink.write_at(length + 4, b"56").expect("written");
    let files = [&b"1234"[..], b"56"].map(|content| *blake3::hash(content).as_bytes());
    let root = blake3::hash(&[&listing.encode().expect("a listing")[..], &files.concat()].concat());
    assert_eq!(sink.hash().expect("hashed"), *root.as_bytes());
    assert_eq!(sink.publish().expect("published"), "yoda_a, yoda_b");
    assert_eq!(read(&downloads.path().join("yoda_a")), b"1234");
    assert_eq!(read(&downloads.path().join("yoda_b")), b"56");
}

#[test]
fn what_is_not_complete_is_not_published() {
    let downloads = directory();
    let listing = listing(&[(None, "a", Some(4)), (None, "b", Some(2))]);
    for contents in [&b""[..], b"1234", b"12345"] {
        let error = receive(downloads.path(), &listing, contents).expect_err("not complete").to_string();
        let name = if contents.len() < 4 { "yoda_a" } else { "yoda_b" };
        assert_eq!(error, format!("{} is not complete", downloads.path().join(name).display()));
        assert_eq!(names(downloads.path()), [""; 0]);
    }
}

#[test]
fn a_listing_of_nothing_but_names_gets_nowhere_else() {
    let downloads = directory();
    let root = downloads.path().join("downloads");
    fs::create_dir(&root).expect("made");
    let listing =
        listing(&[(None, "..", None), (Some(0), "../../x", Some(1)), (Some(0), ".", None), (Some(0), "/", Some(0))]);
    assert_eq!(receive(&root, &listing, b"x").expect("published"), "yoda_unnamed");
    assert_eq!(names(downloads.path()), ["downloads"]);
    assert_eq!(names(&root.join("yoda_unnamed")), ["unnamed", "unnamed (2)", "x"]);
}

#[test]
fn folders_that_nobody_may_look_into_get_their_permissions_from_the_inside_out() {
    let downloads = directory();
    let mut listing = Listing::default();
    // More than are open at once.
    for at in 0..30_u32 {
        let name = FileLabel::new(&at.to_string());
        listing.push(Entry { folder: at.checked_sub(1), name, permissions: 0, bytes: None }).expect("listed");
    }
    let name = FileLabel::new("a");
    listing.push(Entry { folder: Some(29), name, permissions: 0, bytes: Some(1) }).expect("listed");
    assert_eq!(receive(downloads.path(), &listing, b"a").expect("published"), "yoda_0");
    let mut path = downloads.path().join("yoda_0");
    for at in 1..=30 {
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0, "{}", path.display());
        set_mode(&path, 0o700);
        path.push(if at < 30 { at.to_string() } else { "a".into() });
    }
    set_mode(&path, 0o600);
    assert_eq!(read(&path), b"a");
}
