use super::*;

#[test]
fn what_is_in_the_way_stays_and_the_same_is_not_kept_twice() {
    let (home, downloads) = (directory(), directory());
    let (root, received) = (home.path().join("photos"), downloads.path().join("yoda_photos"));
    write(&root.join("a.tar.gz"), b"new");
    write(&root.join("b.jpg"), b"new");
    write(&root.join("c/d.jpg"), b"new");
    write(&received.join("a.tar.gz"), b"old");
    write(&received.join("a.tar (2).gz"), b"new");
    fs::create_dir(received.join("b.jpg")).expect("made");
    write(&received.join("c"), b"old");
    write(&received.join("mine"), b"mine");
    assert_eq!(send(&[root], downloads.path()), "yoda_photos");
    let expected = ["a.tar (2).gz", "a.tar.gz", "b (2).jpg", "b.jpg", "c", "c (2)", "mine"];
    assert_eq!(names(&received), expected);
    assert_eq!((read(&received.join("a.tar.gz")), read(&received.join("c"))), (b"old".to_vec(), b"old".to_vec()));
    assert_eq!(read(&received.join("b (2).jpg")), b"new");
    assert_eq!(names(&received.join("c (2)")), ["d.jpg"]);
}

#[test]
fn what_a_top_folder_is_called_is_said_if_its_name_is_taken() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("photos");
    write(&root.join("a"), b"a");
    write(&downloads.path().join("yoda_photos"), b"a file");
    symlink(home.path(), downloads.path().join("yoda_photos (2)")).expect("linked");
    assert_eq!(send(&[root], downloads.path()), "yoda_photos (3)");
    assert_eq!(names(downloads.path()), ["yoda_photos", "yoda_photos (2)", "yoda_photos (3)"]);
    assert_eq!(names(home.path()), ["photos"]);
}

#[test]
fn links_in_the_way_are_not_followed() {
    let (home, downloads, elsewhere) = (directory(), directory(), directory());
    let (root, received) = (home.path().join("photos"), downloads.path().join("yoda_photos"));
    write(&root.join("a.jpg"), b"aaa");
    write(&root.join("inner/b.jpg"), b"bbb");
    write(&elsewhere.path().join("a.jpg"), b"aaa");
    fs::create_dir(&received).expect("made");
    // A link to the same content is not that content.
    symlink(elsewhere.path().join("a.jpg"), received.join("a.jpg")).expect("linked");
    symlink(elsewhere.path(), received.join("inner")).expect("linked");
    let pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 6);
    pair.finish().expect("published");
    assert_eq!(names(&received), ["a (2).jpg", "a.jpg", "inner", "inner (2)"]);
    assert_eq!(names(elsewhere.path()), ["a.jpg"]);
}

#[test]
fn folders_swapped_for_links_while_files_come_get_nothing() {
    let (home, downloads, elsewhere) = (directory(), directory(), directory());
    let (root, received) = (home.path().join("photos"), downloads.path().join("yoda_photos"));
    write(&root.join("a.jpg"), b"aaa");
    write(&root.join("same.jpg"), b"same");
    write(&received.join("same.jpg"), b"same");
    let mut pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
    pair.send_to(pair.end).expect("sent");
    fs::rename(&received, home.path().join("moved")).expect("renamed");
    symlink(elsewhere.path(), &received).expect("linked");
    write(&elsewhere.path().join("same.jpg"), b"same");
    let error = pair.sink.publish().expect_err("what was there is not").to_string();
    let path = received.join("same.jpg");
    let expected = format!("{} changed while the others were being received: send again", path.display());
    assert_eq!(error, expected);
    assert_eq!(names(elsewhere.path()), ["same.jpg"]);
    assert_eq!(names(downloads.path()).len(), 2, "nothing has a name, and what arrived is kept");
}

#[test]
fn a_private_folder_under_another_name_is_still_ours_and_what_has_its_name_is_not() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("photos");
    write(&root.join("a.jpg"), b"aaa");
    let mut pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
    pair.send_to(pair.end).expect("sent");
    let [folder] = &names(downloads.path())[..] else { panic!("one folder") };
    let folder = downloads.path().join(folder);
    assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
    fs::rename(&folder, home.path().join("moved")).expect("renamed");
    fs::create_dir(&folder).expect("made");
    assert_eq!(pair.sink.publish().expect("published"), "yoda_photos");
    assert_eq!(names(&downloads.path().join("yoda_photos")), ["a.jpg"]);
    assert!(folder.is_dir());
}

#[test]
fn what_is_no_private_folder_of_ours_is_not_adopted() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("photos");
    write(&root.join("a.jpg"), b"aaa");
    let at = |name: &str| downloads.path().join(name);
    symlink(home.path(), at(".yoda_photos.00000001.part")).expect("linked");
    write(&at(".yoda_photos.00000002.part"), b"a file");
    fs::create_dir(at(".yoda_photos.00000003.part")).expect("made");
    set_mode(&at(".yoda_photos.00000003.part"), 0o777);
    fs::create_dir(at(".yoda_photos.00000004.par")).expect("made");
    let before = names(downloads.path());
    let pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
    assert_eq!(names(downloads.path()).len(), before.len() + 1);
    drop(pair);
    assert_eq!(names(downloads.path()), before);
    assert_eq!(names(home.path()), ["photos"]);
}

#[test]
fn folders_that_nobody_may_write_to_are_filled_and_those_that_are_there_keep_their_permissions() {
    let (home, downloads) = (directory(), directory());
    let (root, received) = (home.path().join("photos"), downloads.path().join("yoda_photos"));
    for name in ["a/b/c.jpg", "a/d.jpg", "old/e.jpg"] {
        write(&root.join(name), name);
    }
    fs::create_dir_all(received.join("old")).expect("made");
    set_mode(&received.join("old"), 0o711);
    for (name, mode) in [("a/b/c.jpg", 0o440), ("a/b", 0o555), ("a", 0o550), ("old", 0o700)] {
        set_mode(&root.join(name), mode);
    }
    send(std::slice::from_ref(&root), downloads.path());
    let arrived = tree(&received);
    let modes = ["a", "a/b", "a/b/c.jpg", "old"].map(|name| arrived[Path::new(name)].0);
    assert_eq!(modes, [0o550, 0o555, 0o440, 0o711]);
    assert_eq!(read(&received.join("a/b/c.jpg")), b"a/b/c.jpg");
    // Again: nothing is written, so that no permission is missed.
    let before = traces(downloads.path());
    send(std::slice::from_ref(&root), downloads.path());
    assert_eq!(traces(downloads.path()), before);
    for root in [&root, &received] {
        for name in ["a", "a/b"] {
            set_mode(&root.join(name), 0o700);
        }
    }
}

#[test]
fn two_senders_of_one_name_both_arrive() {
    let (home, downloads) = (directory(), directory());
    let pairs: Vec<_> = (0..4_u8)
        .map(|number| {
            let root = home.path().join(number.to_string()).join("photos");
            write(&root.join("a.jpg"), [number]);
            write(&root.join("same.jpg"), b"same");
            let mut pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
            pair.send_to(pair.end).expect("sent");
            pair
        })
        .collect();
    let threads: Vec<_> =
        pairs.into_iter().map(|pair| std::thread::spawn(move || pair.sink.publish().expect("published"))).collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), "yoda_photos");
    }
    let received = downloads.path().join("yoda_photos");
    assert_eq!(names(&received), ["a (2).jpg", "a (3).jpg", "a (4).jpg", "a.jpg", "same.jpg"]);
    let mut contents: Vec<_> = names(&received)
        .iter()
        .filter(|name| name.starts_with("a"))
        .flat_map(|name| read(&received.join(name)))
        .collect();
    contents.sort_unstable();
    assert_eq!(contents, [0, 1, 2, 3]);
}
