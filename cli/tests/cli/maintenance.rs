//! `toom server check`, `backup` and `stats`, and `FIND`, with a server that runs.

use std::fs;

use serde_json::json;

use crate::run::{RUNTIMES, Server, code, events, eventually, path, run, said};

#[test]
fn a_running_server_is_checked_counted_copied_and_restored() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let data = server.data();
        let input = "BCM Hello there\nFIND hel*\nFIND nothing\nFIND\n";
        let found = events(&server.client("yoda", &["--json"], input));
        let answers: Vec<_> = found.iter().filter(|it| it["event"] == "found").collect();
        assert_eq!(answers.len(), 2, "{found:?}");
        let message = &answers[0]["messages"][0];
        assert_eq!((&message["kind"], &message["text"]), (&json!("broadcast"), &json!("Hello there")));
        assert_eq!(answers[1]["messages"], json!([]));
        assert!(found.iter().any(|it| it["code"] == "usage"), "{found:?}");

        let maintain = |args: &[&str]| run(&[&["server"], args, &["--data", path(&data), "--json"]].concat(), "");
        let checked = maintain(&["check"]);
        assert_eq!(code(&checked), Some(0), "{:?}", said(&checked));
        assert!(events(&checked).iter().all(|it| it["ok"] == json!(true)));
        let stats = events(&maintain(&["stats"]));
        assert_eq!(stats[0]["broadcasts"], json!(1), "{stats:?}");

        let copy = server.dir.path().join("copy.db");
        assert_eq!(code(&maintain(&["backup", path(&copy)])), Some(0));
        let again = maintain(&["backup", path(&copy)]);
        assert_eq!(code(&again), Some(1));
        assert!(said(&again).1.contains("copy.db"), "{:?}", said(&again));

        let restored = server.dir.path().join("restored");
        fs::create_dir(&restored).expect("a directory");
        fs::copy(&copy, restored.join("toom.db")).expect("copied");
        fs::copy(server.dir.path().join("copy.db.key"), restored.join("server_key")).expect("copied");
        let check = |exit| {
            let output = run(&["server", "check", "--data", path(&restored)], "");
            assert_eq!(code(&output), Some(exit), "{:?}", said(&output));
            said(&output).0
        };
        assert!(!check(0).contains("NOT OK"));
        // A bit of a text that flips on the disk.
        let mut content = fs::read(restored.join("toom.db")).expect("read");
        let place = content.windows(11).position(|it| it == b"Hello there").expect("it is there");
        content[place] ^= 1;
        fs::write(restored.join("toom.db"), content).expect("written");
        assert!(check(1).contains("log: NOT OK (fact "), "it is named");
    }
}

#[test]
fn data_that_is_not_there_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for command in [&["check"][..], &["stats"], &["backup", "/nowhere/x"]] {
        let output = run(&[&["server"], command, &["--data", path(dir.path())]].concat(), "");
        assert_eq!(code(&output), Some(1), "{command:?}");
        assert!(said(&output).1.contains("there is no data of a server in"), "{:?}", said(&output));
    }
}

#[test]
fn messages_are_forgotten_when_they_are_as_old_as_was_said() {
    for runtime in RUNTIMES {
        let server = Server::start_with(runtime, &["--keep", "1s"]);
        let posted = events(&server.client("yoda", &["--json"], "BCM Hello there\n"));
        assert!(posted.iter().any(|it| it["event"] == "sent" && it["number"] == json!(1)), "{posted:?}");
        eventually("the message being forgotten", || {
            let found = events(&server.client("luke", &["--json"], "FIND hello\nRDM b 1 Jun 2022 16:00:00\n"));
            let answers = found.iter().filter(|it| it["event"] == "found" || it["event"] == "history");
            answers.filter(|it| it["messages"] == json!([])).count() == 2
        });
        eventually("the text log", || {
            fs::read_to_string(server.data().join("logs/messagelog.txt")).is_ok_and(|text| text.is_empty())
        });
        let posted = events(&server.client("yoda", &["--json"], "BCM Once more\n"));
        assert!(posted.iter().any(|it| it["event"] == "sent" && it["number"] == json!(2)), "{posted:?}");
    }
    for (keep, why) in [("0s", "nothing would be kept"), ("90", "has no unit"), ("long", "is no duration")] {
        let refused = run(&["server", "--keep", keep], "");
        assert_eq!(code(&refused), Some(2));
        assert!(said(&refused).1.contains(why), "{:?}", said(&refused));
    }
}
