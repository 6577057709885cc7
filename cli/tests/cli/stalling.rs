//! What is told of a transfer that does not move.

use std::fs;

use crate::moving::done;
use crate::run::{Client, RUNTIMES, Server, fresh_home, path};
use crate::task::folder;

#[test]
fn a_stream_of_which_nothing_comes_says_that_it_waits_for_its_source() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let downloads = folder(&server, "downloads");
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        let mut yoda = Client::start_task(&fresh_home(), &server, "yoda", &["send", "-", "--to", "luke"]);
        yoda.type_line("one");
        let waits = yoda.find("what it waits for", |event| event["waits_for"] == "source");
        assert_eq!((&waits["state"], &waits["bytes"], &waits["path"]), (&"moving".into(), &4.into(), &"lan".into()));
        luke.find("what it waits for", |event| event["state"] == "moving" && event["waits_for"] == "bytes");
        yoda.type_line("two");
        let moves = luke.find("that it goes on", |event| event["event"] == "transfer");
        assert_eq!((&moves["state"], moves.get("waits_for")), (&"moving".into(), None));
        assert_eq!(yoda.finish(), Some(0));
        assert_eq!(done(&mut luke)["bytes"], 8);
    }
}

#[test]
fn a_process_that_sleeps_pauses_the_transfer_which_goes_on_when_it_wakes() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let downloads = folder(&server, "downloads");
        let film = server.dir.path().join("film");
        fs::File::create(&film).and_then(|file| file.set_len(400_000_000)).expect("a long file");
        let mut yoda = Client::start(&server, "yoda", &[]);
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        yoda.type_line(&format!("UPD luke {}", path(&film)));
        luke.find("some of it", |event| event["state"] == "moving" && event["bytes"].as_u64() > Some(1_000_000));
        luke.signal("-STOP");
        let paused = yoda.find("a pause", |event| event["state"] == "paused" || event["state"] == "done");
        luke.signal("-CONT");
        assert_eq!((&paused["state"], &paused["reason"]), (&"paused".into(), &"peer_silent".into()));
        assert_eq!(paused["silent_s"], 5);
        yoda.find("that it goes on", |event| event["state"] == "moving");
        assert_eq!(done(&mut luke)["saved_as"], "yoda_film");
        assert_eq!(done(&mut yoda)["bytes"], 400_000_000);
    }
}
