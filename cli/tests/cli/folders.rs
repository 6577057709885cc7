//! A folder, or several files, as one transfer: what arrives is what was sent, and nothing is sent or written twice.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::moving::content;
use crate::run::{Client, RUNTIMES, Server, code, fresh_home, path, said};
use crate::task::{begin, carry_out, folder};

/// A folder with a large file, a small and an empty one, an empty folder, and permissions of its own.
fn photos(server: &Server) -> PathBuf {
    let photos = folder(server, "home/photos");
    for inner in ["summer/lake", "empty"] {
        fs::create_dir_all(photos.join(inner)).expect("a folder");
    }
    for (name, length, mode) in [
        ("film.mp4", 12_000_000, 0o640),
        ("summer/a.jpg", 70_000, 0o600),
        ("summer/lake/run.sh", 10, 0o755),
        ("none", 0, 0o644),
    ] {
        fs::write(photos.join(name), content(length)).expect("a file");
        fs::set_permissions(photos.join(name), Permissions::from_mode(mode)).expect("set");
    }
    fs::set_permissions(photos.join("empty"), Permissions::from_mode(0o750)).expect("set");
    photos
}

/// Everything in a folder: its path there, its permissions, and its bytes if it is a file.
fn all(folder: &Path) -> Vec<(PathBuf, u32, Option<Vec<u8>>)> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("read") {
            let path = entry.expect("an entry").path();
            let metadata = path.symlink_metadata().expect("there");
            let bytes = metadata.is_file().then(|| fs::read(&path).expect("read"));
            if metadata.is_dir() {
                left.push(path.clone());
            }
            found.push((path.strip_prefix(folder).expect("inside").to_owned(), metadata.mode() & 0o7777, bytes));
        }
    }
    found.sort();
    found
}

/// What says whether anything was written: inodes and times of everything in a folder.
fn traces(folder: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let trace = |name: &Path| {
        let metadata = folder.join(name).metadata().expect("there");
        (name.to_owned(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    all(folder).iter().map(|(name, ..)| trace(name)).chain([trace(Path::new(""))]).collect()
}

/// Sends from yoda to luke, who receives into `downloads`; the events of both.
fn send(server: &Server, downloads: &Path, what: &[&str]) -> [Vec<Value>; 2] {
    let mut luke = Client::start(server, "luke", &["--accept", "all", "--downloads", path(downloads)]);
    let command: Vec<&str> = ["send", "--to", "luke"].iter().chain(what).copied().collect();
    let mut yoda = Client::start_task(&fresh_home(), server, "yoda", &command);
    let events = [&mut yoda, &mut luke].map(|client| {
        let events = RefCell::new(Vec::new());
        client.find("the end", |event| {
            events.borrow_mut().push(event.clone());
            event["state"] == "done" || event["state"] == "failed"
        });
        events.into_inner()
    });
    assert_eq!((yoda.end(), luke.finish()), (Some(0), Some(0)));
    events
}

fn last(events: &[Value]) -> &Value {
    events.last().expect("an end")
}

#[test]
fn a_folder_arrives_as_it_was() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let (photos, downloads) = (photos(&server), folder(&server, "downloads"));
        let recv = begin(&mut server, "luke", &["recv", "-o", path(&downloads)]);
        let sent = carry_out(&server, "yoda", &["send", path(&photos), "--to", "luke"]);
        let received = recv.end();
        let ((_, err), (name, told)) = (said(&sent), said(&received));
        assert_eq!((code(&sent), code(&received)), (Some(0), Some(0)), "{err} {told}");
        assert_eq!(name, "yoda_photos\n");
        assert!(told.contains("yoda offers photos (8 files and folders, 12.0 MB), which is accepted.\n"), "{told}");
        assert!(err.contains("photos has arrived at luke, complete and verified"), "{err}");
        assert_eq!(all(&photos), all(&downloads.join("yoda_photos")));
        assert_eq!(fs::read_dir(&downloads).expect("read").count(), 1, "nothing else is left there");
    }
}

#[test]
fn what_is_there_already_is_neither_sent_nor_written() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (photos, downloads) = (photos(&server), folder(&server, "downloads"));
        send(&server, &downloads, &[path(&photos)]);
        let before = traces(&downloads);
        let [yoda, luke] = send(&server, &downloads, &[path(&photos)]);
        assert_eq!(last(&luke)["saved_as"], "yoda_photos");
        let resumed = yoda.iter().find(|event| event["resumed_from"].is_u64()).expect("resumed");
        assert_eq!(resumed["resumed_from"], last(&yoda)["total"], "nothing is sent");
        assert_eq!(traces(&downloads), before);

        fs::write(photos.join("summer/a.jpg"), content(70_001)).expect("changed");
        fs::write(photos.join("summer/b.jpg"), content(5_000)).expect("new");
        let [yoda, _] = send(&server, &downloads, &[path(&photos)]);
        let resumed = yoda.iter().find(|event| event["resumed_from"].is_u64()).expect("resumed");
        let sent =
            last(&yoda)["total"].as_u64().expect("a number") - resumed["resumed_from"].as_u64().expect("a number");
        assert_eq!(sent, 75_001);
        let summer = downloads.join("yoda_photos/summer");
        assert_eq!(fs::read(summer.join("a.jpg")).expect("kept"), content(70_000));
        assert_eq!(fs::read(summer.join("a (2).jpg")).expect("beside it"), content(70_001));
        assert_eq!(fs::read(summer.join("b.jpg")).expect("new"), content(5_000));
    }
}

#[test]
fn several_files_and_folders_are_one_transfer() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (photos, downloads) = (photos(&server), folder(&server, "downloads"));
        let notes = server.dir.path().join("notes.txt");
        fs::write(&notes, content(3_000)).expect("a file");
        let [yoda, luke] = send(&server, &downloads, &[path(&notes), path(&photos)]);
        assert_eq!(last(&luke)["saved_as"], "yoda_notes.txt, yoda_photos");
        assert_eq!(last(&yoda)["name"], "notes.txt and 1 more");
        let offer = luke.iter().find(|event| event["event"] == "offer").expect("an offer");
        assert_eq!((&offer["entries"], &offer["bytes"]), (&9.into(), &12_073_010.into()));
        assert_eq!(fs::read(downloads.join("yoda_notes.txt")).expect("received"), content(3_000));
        assert_eq!(all(&photos), all(&downloads.join("yoda_photos")));

        let missing = carry_out(&server, "yoda", &["send", path(&notes), "/nonexistent/file", "--to", "luke"]);
        assert_eq!(code(&missing), Some(1), "{}", said(&missing).1);
        assert!(said(&missing).1.contains("/nonexistent/file"), "{}", said(&missing).1);
    }
}

#[test]
fn a_folder_whose_receiver_was_killed_goes_on_where_it_was() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (photos, downloads, home) = (photos(&server), folder(&server, "downloads"), folder(&server, "luke's home"));
        let film = fs::File::create(photos.join("another.mp4")).expect("a file");
        film.set_len(400_000_000).expect("a long file");
        let options = ["--accept", "all", "--downloads", path(&downloads)];
        let mut yoda = Client::start(&server, "yoda", &[]);
        let mut luke = Client::start_at(&home, &server, "luke", &options);
        let command = format!("UPD luke {}", path(&photos));
        yoda.type_line(&command);
        luke.find("some of it", |event| event["state"] == "moving" && event["bytes"].as_u64() > Some(30_000_000));
        luke.interrupt("-KILL");

        let mut luke = Client::start_at(&home, &server, "luke", &options);
        yoda.type_line(&command);
        let is_resumed = |event: &Value| event["resumed_from"].is_u64();
        let (there, here) = (luke.find("where it goes on", is_resumed), yoda.find("where it goes on", is_resumed));
        assert_eq!(there["resumed_from"], here["resumed_from"]);
        assert!(there["resumed_from"].as_u64() >= Some(8 << 20), "{there}");
        let is_done = |event: &Value| event["state"] == "done" && event["id"] == there["id"];
        let (received, sent) = (luke.find("the end", is_done), yoda.find("the end", is_done));
        assert_eq!((&received["blake3"], &received["saved_as"]), (&sent["blake3"], &"yoda_photos".into()));
        assert_eq!(all(&photos), all(&downloads.join("yoda_photos")));
        assert_eq!(fs::read_dir(&downloads).expect("read").count(), 1, "nothing else is left there");
    }
}

#[test]
fn each_of_several_receivers_gets_it_or_is_told_of() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (photos, downloads) = (photos(&server), ["luke", "leia"].map(|name| folder(&server, &format!("{name}'s"))));
        let names = ["luke", "leia"];
        let mut receivers = [0, 1]
            .map(|at| Client::start(&server, names[at], &["--accept", "all", "--downloads", path(&downloads[at])]));
        let to_three = ["send", path(&photos), "--to", "luke", "--to", "nobody", "--to", "leia"];
        let sent = carry_out(&server, "yoda", &to_three);
        assert_eq!(code(&sent), Some(5), "{}", said(&sent).1);
        let (_, err) = said(&sent);
        for words in ["arrived at luke", "The user nobody does not exist", "arrived at leia"] {
            assert!(err.contains(words), "{words}: {err}");
        }
        for (receiver, downloads) in receivers.iter_mut().zip(&downloads) {
            receiver.find("the end", |event| event["state"] == "done");
            assert_eq!(all(&photos), all(&downloads.join("yoda_photos")));
        }
    }
}

#[test]
fn a_folder_does_not_go_to_standard_output() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let photos = photos(&server);
        let recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
        let sent = carry_out(&server, "yoda", &["send", path(&photos), "--to", "luke"]);
        let received = recv.end();
        assert_eq!((code(&sent), code(&received)), (Some(5), Some(5)), "{} {}", said(&sent).1, said(&received).1);
        assert!(said(&received).1.contains("photos is a folder or several files"), "{}", said(&received).1);
        assert_eq!(said(&received).0, "");
    }
}

#[test]
fn a_folder_is_sent_from_a_conversation_too() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (photos, downloads) = (photos(&server), folder(&server, "downloads"));
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        let mut yoda = Client::start(&server, "yoda", &[]);
        yoda.type_line(&format!("UPD luke {}", path(&photos)));
        for client in [&mut yoda, &mut luke] {
            client.find("the end", |event| event["state"] == "done");
        }
        assert_eq!(all(&photos), all(&downloads.join("yoda_photos")));
    }
}
