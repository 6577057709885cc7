use super::*;

/// A file or folder of a random tree: which of the folders before it is in, its permissions, its content.
type Node = (usize, u32, Option<Vec<u8>>);

fn node() -> impl Strategy<Value = Node> {
    let content = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..40), big()];
    (any::<usize>(), 0_u32..0o1000, prop::option::weighted(0.7, content))
}

fn big() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), 1_000_usize..9_000).prop_map(|(first, length)| {
        (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(first).wrapping_add((at >> 8) as u8)).collect()
    })
}

/// Makes the tree under `root`; the paths of all files. Its owner may read everything.
fn plant(root: &Path, nodes: &[Node]) -> Vec<PathBuf> {
    fs::create_dir(root).expect("made");
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    for (number, (folder, _, content)) in nodes.iter().enumerate() {
        let path = folders[folder % folders.len()].join(format!("{number}.x"));
        match content {
            None => {
                fs::create_dir(&path).expect("made");
                folders.push(path);
            }
            Some(content) => {
                fs::write(&path, content).expect("written");
                files.push(path);
            }
        }
    }
    files
}

fn set_modes(root: &Path, nodes: &[Node], owner: (u32, u32)) {
    let mut paths: Vec<_> = tree(root).into_keys().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    for path in paths {
        let number: usize = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
        let (_, mode, content) = &nodes[number];
        set_mode(&root.join(path), mode | if content.is_some() { owner.0 } else { owner.1 });
    }
}

/// The root, computed from the files themselves.
fn root_of(root: &Path, pair: &mut Pair) -> [u8; 32] {
    let mut encoded = vec![0; pair.listing as usize];
    pair.source.read_at(0, &mut encoded).expect("read");
    let listing = Listing::decode(&encoded).expect("a listing");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&encoded);
    let mut paths: Vec<PathBuf> = Vec::new();
    for Entry { folder, name, bytes, .. } in listing.entries() {
        let path = folder.map_or(root.to_owned(), |folder| paths[folder as usize].join(name.as_str()));
        if bytes.is_some() {
            hasher.update(blake3::hash(&read(&path)).as_bytes());
        }
        paths.push(path);
    }
    hasher.finalize().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_arrives_is_what_was_sent_whatever_was_there_and_however_it_comes(
        nodes in prop::collection::vec(node(), 0..14),
        there in prop::collection::vec(0_u8..4, 14),
        cuts in prop::collection::vec((any::<u64>(), 1_u64..5_000), 0..40),
        reversed: bool,
    ) {
        let (home, downloads) = (directory(), directory());
        let root = home.path().join("photos");
        let files = plant(&root, &nodes);
        set_modes(&root, &nodes, (0o400, 0o500));
        let received = downloads.path().join("yoda_photos");
        // Some is there already: the same, or another of the same size, or of another size.
        let mut others = BTreeMap::new();
        for (path, there) in files.iter().zip(there) {
            let inside = path.strip_prefix(&root).expect("in it").to_owned();
            let mut content = read(path);
            match there {
                1 => {}
                2 if !content.is_empty() => content[0] ^= 1,
                3 => content.push(0),
                _ => continue,
            }
            write(&received.join(&inside), &content);
            others.insert(inside, content);
        }
        let existing: Vec<_> = if received.exists() { tree(&received).into_keys().collect() } else { vec![] };

        let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
        let (listing, end) = (pair.listing, pair.end);
        let mut ranges: Vec<_> = (listing..end).step_by(700).map(|start| start..end.min(start + 700)).collect();
        ranges.extend(cuts.into_iter().filter(|_| end > listing).map(|(start, length)| {
            let start = listing + start % (end - listing);
            start..end.min(start + length)
        }));
        ranges.sort_by_key(|range| (range.start.wrapping_mul(0x9e37_79b9_7f4a_7c15), range.end));
        if reversed {
            ranges.reverse();
        }
        // The source reads in order the first time; the network does as it likes.
        let mut flow = vec![0; (end - listing) as usize];
        for (number, piece) in flow.chunks_mut(333).enumerate() {
            pair.source.read_at(listing + number as u64 * 333, piece).expect("read");
        }
        for range in ranges {
            let mut piece = vec![0; (range.end - range.start) as usize];
            pair.source.read_at(range.start, &mut piece).expect("read again");
            prop_assert_eq!(&piece[..], &flow[(range.start - listing) as usize..(range.end - listing) as usize]);
            pair.sink.write_at(range.start, &piece).expect("written");
        }
        let expected = root_of(&root, &mut pair);
        prop_assert_eq!(pair.source.take_hash(), Some(expected));
        prop_assert_eq!(pair.sink.hash().expect("hashed"), expected);
        prop_assert_eq!(pair.sink.publish().expect("published"), "yoda_photos");
        prop_assert_eq!(names(downloads.path()), ["yoda_photos"]);

        let mut expected = BTreeMap::new();
        for (path, (mode, content)) in tree(&root) {
            match others.get(&path) {
                Some(other) if content.as_ref() != Some(other) => {
                    let stem = path.file_stem().expect("it has one").to_str().expect("UTF-8");
                    expected.insert(path.with_file_name(format!("{stem} (2).x")), (Some(mode), content));
                    expected.insert(path, (None, Some(other.clone())));
                }
                // Folders and files that were there keep their permissions.
                _ => {
                    let mode = (!existing.contains(&path)).then_some(mode);
                    expected.insert(path, (mode, content));
                }
            }
        }
        let arrived = tree(&received);
        prop_assert_eq!(arrived.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, (mode, content)) in expected {
            let (arrived_mode, arrived_content) = &arrived[&path];
            prop_assert!(*arrived_content == content, "{}", path.display());
            prop_assert!(mode.is_none_or(|mode| mode == *arrived_mode), "{}: {arrived_mode:o}", path.display());
        }
        set_modes(&root, &nodes, (0o600, 0o700));
        let all: Vec<_> = arrived.iter().map(|(path, (_, content))| (path, content.is_none())).collect();
        for (path, _) in all.iter().filter(|(_, is_folder)| *is_folder) {
            set_mode(&received.join(path), 0o700);
        }
    }
}

#[test]
fn what_is_sent_again_is_not_sent_and_nothing_is_touched() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("photos");
    write(&root.join("a.jpg"), b"aaa");
    write(&root.join("2024/b.jpg"), b"bb");
    write(&root.join("empty"), b"");
    fs::create_dir(root.join("nothing")).expect("made");
    assert_eq!(send(std::slice::from_ref(&root), downloads.path()), "yoda_photos");
    let before = traces(downloads.path());
    let pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 0);
    assert_eq!(pair.finish().expect("published"), "yoda_photos");
    assert_eq!(traces(downloads.path()), before);

    write(&root.join("2024/c.jpg"), b"cccc");
    let pair = Pair::agreed(&[root], downloads.path()).expect("agreed");
    assert_eq!(pair.contents(), 4);
    assert_eq!(pair.finish().expect("published"), "yoda_photos");
    assert_eq!(read(&downloads.path().join("yoda_photos/2024/c.jpg")), b"cccc");
}

#[test]
fn several_are_offered_by_the_first_name_and_all_are_named_at_the_end() {
    let (home, downloads) = (directory(), directory());
    let at = |name: &str| home.path().join(name);
    for name in ["x/a", "y/a", "b", "c", "d", "e"] {
        write(&at(name), name);
    }
    let paths = ["x/a", "y/a", "b", "c", "d", "e", "x"].map(at);
    let opened = TreeSource::open(&paths).expect("opened");
    assert_eq!((opened.label.as_str(), opened.bytes, opened.entries), ("a and 6 more", 13, 8));
    let names = "yoda_a, yoda_a (2), yoda_b, yoda_c, yoda_d and 2 more";
    assert_eq!(send(&paths, downloads.path()), names);
    assert_eq!(read(&downloads.path().join("yoda_a (2)")), b"y/a");
    assert_eq!(read(&downloads.path().join("yoda_x/a")), b"x/a");

    write(&at(&"n".repeat(200)), b"");
    let label = TreeSource::open(&[at(&"n".repeat(200)), at("b")]).expect("opened").label;
    assert!(label.as_str().ends_with("nnn and 1 more"), "{label}");
}

#[test]
fn a_path_has_the_name_of_the_folder_that_it_means() {
    let home = directory();
    let root = home.path().join("photos");
    write(&root.join("2024/a.jpg"), b"a");
    symlink(&root, home.path().join("link")).expect("linked");
    for (path, label) in [("photos/", "photos"), ("photos/.", "photos"), ("photos/2024/..", "photos"), ("link", "link")]
    {
        let opened = TreeSource::open(&[home.path().join(path)]).expect("opened");
        assert_eq!((opened.label.as_str(), opened.entries), (label, 3), "{path}");
    }
    let here = std::env::current_dir().expect("there is one");
    assert_eq!(scan::base_name(Path::new(".")).expect("a name"), here.file_name().expect("a name"));
}

#[test]
fn links_and_pipes_inside_are_left_out_and_refused_if_they_are_named() {
    let (home, downloads) = (directory(), directory());
    let root = home.path().join("photos");
    write(&root.join("a.jpg"), b"aaa");
    write(&home.path().join("secret"), b"secret");
    symlink(home.path().join("secret"), root.join("link")).expect("linked");
    symlink(home.path(), root.join("outside")).expect("linked");
    let pipe = root.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    let error = TreeSource::open(std::slice::from_ref(&pipe)).map(|_| ()).expect_err("refused");
    assert_eq!(error.to_string(), format!("{} is neither a file nor a folder, and cannot be sent", pipe.display()));
    symlink("nowhere", home.path().join("broken")).expect("linked");
    let broken = home.path().join("broken");
    let error = TreeSource::open(std::slice::from_ref(&broken)).map(|_| ()).expect_err("refused");
    assert_eq!(error.to_string(), format!("{} cannot be opened: no such file or directory", broken.display()));
    assert!(TreeSource::open(&[]).is_err());

    assert_eq!(send(&[root, home.path().join("photos/link")], downloads.path()), "yoda_photos, yoda_link");
    assert_eq!(names(&downloads.path().join("yoda_photos")), ["a.jpg"]);
    assert_eq!(read(&downloads.path().join("yoda_link")), b"secret");
}

#[test]
fn what_may_not_be_read_is_named_before_anything_is_sent() {
    let home = directory();
    let root = home.path().join("photos");
    write(&root.join("a/b.jpg"), b"b");
    for name in ["a/b.jpg", "a"] {
        set_mode(&root.join(name), 0o000);
        let opened = TreeSource::open(std::slice::from_ref(&root)).map(|opened| opened.entries);
        set_mode(&root.join(name), 0o700);
        // An administrator may read everything.
        if rustix::process::geteuid().is_root() {
            assert_eq!(opened.expect("opened"), 3);
        } else {
            let error = opened.expect_err("refused").to_string();
            assert_eq!(error, format!("{} cannot be opened: permission denied", root.join(name).display()));
        }
    }
}

#[test]
fn a_source_that_changes_is_named() {
    type Change = fn(&Path);
    let longer: Change = |path| fs::write(path, b"01234567890").expect("written");
    let other: Change = |path| {
        let file = fs::File::options().write(true).open(path).expect("opened");
        file.set_modified(std::time::UNIX_EPOCH).expect("set");
    };
    let link: Change = |path| {
        let secret = path.with_file_name("secret");
        fs::rename(path, &secret).expect("renamed");
        symlink(&secret, path).expect("linked");
    };
    let changed = "changed while it was being sent";
    // Before it is opened, and when half of it was read.
    let cases = [(longer, false, changed), (other, false, changed), (longer, true, changed), (other, true, changed)];
    for (change, halfway, why) in cases.into_iter().chain([(link, false, "cannot be opened: ")]) {
        let (home, downloads) = (directory(), directory());
        let root = home.path().join("photos");
        write(&root.join("a.jpg"), b"0123456789");
        write(&root.join("b.jpg"), b"b");
        let mut pair = Pair::agreed(std::slice::from_ref(&root), downloads.path()).expect("agreed");
        if halfway {
            pair.source.read_at(pair.listing, &mut [0; 5]).expect("read");
        }
        change(&root.join("a.jpg"));
        let start = pair.listing + if halfway { 5 } else { 0 };
        let error = pair.source.read_at(start, &mut vec![0; (pair.end - start) as usize]).expect_err("changed");
        let expected = format!("{} {why}", root.join("a.jpg").display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(pair.source.take_hash(), None);
    }
}

#[test]
fn parts_that_make_no_sense_are_not_the_same() {
    use toom_core::transfer::parts::Part;
    let home = directory();
    let root = home.path().join("photos");
    write(&root.join("a.jpg"), b"0123456789");
    let part = |entry, bytes: u64, content: &[u8]| Part { entry, bytes, blake3: blake3::hash(content).into() };
    for (parts, same) in [
        (vec![part(0, 0, b""), part(1, 10, b"0123456789"), part(7, 1, b"0")], vec![false, true, false]),
        (vec![part(1, 4, b"0123"), part(1, 4, b"0123")], vec![true, false]),
        (vec![part(1, 4, b"0124")], vec![false]),
        (vec![part(1, 11, b"0123456789"), part(u32::MAX, u64::MAX, b"")], vec![false, false]),
    ] {
        let mut source = TreeSource::open(std::slice::from_ref(&root)).expect("opened").source;
        assert_eq!(source.compare(&parts).expect("compared"), same);
        assert!(source.compare(&parts).is_err(), "once");
    }
}

#[test]
fn more_than_a_transfer_has_is_refused_with_the_limit() {
    let home = directory();
    let root = home.path().join("photos");
    let deep = root.join("d/".repeat(128));
    fs::create_dir_all(&deep).expect("made");
    let error = TreeSource::open(&[root]).map(|_| ()).expect_err("too deep").to_string();
    assert!(error.contains("128 folders in each other"), "{error}");
    assert!(error.starts_with(&*home.path().to_string_lossy()), "{error}");
}
