//! Clients whose server is gone for a while, or for good.

use std::fs;

use tempfile::TempDir;

use crate::run::{Client, RUNTIMES, Server, code, path, run};

/// Kills the server; where it was, and what it leaves behind.
fn kill(server: Server) -> (String, TempDir) {
    let address = server.address.clone();
    (address, server.stop("-KILL").1)
}

/// Logged in, and the session can be resumed: that was committed before the post.
fn granted(server: &Server, name: &str) -> Client {
    let mut client = Client::start(server, name, &[]);
    client.ask("BCM hello", "sent");
    client
}

#[test]
fn a_server_that_was_killed_and_started_again_loses_nothing_and_says_nothing_twice() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let (mut yoda, mut luke) = (granted(&server, "yoda"), granted(&server, "luke"));
        for round in 3..6 {
            let (address, dir) = kill(server);
            assert!(yoda.event("reconnecting")["reason"].is_string());
            luke.event("reconnecting");
            yoda.type_line(&format!("BCM number {round}"));
            server = Server::start_at(&address, dir, runtime, &[]);
            assert!(yoda.event("resumed")["missed"].is_u64());
            assert_eq!(yoda.event("sent")["number"], round);
            luke.event("resumed");
            let heard = luke.find("the broadcast", |event| event["event"] == "broadcast" && event["from"] == "yoda");
            let heard = (&heard["number"], &heard["text"]);
            assert!(heard == (&round.into(), &format!("number {round}").into()), "{heard:?}");
        }
        assert_eq!((yoda.finish(), luke.finish()), (Some(0), Some(0)));
        // Each post is there once.
        let all = Client::start(&server, "leia", &[]).ask("RDM b 1 Jun 2022 16:00:00", "history");
        let numbers: Vec<_> = all["messages"].as_array().unwrap().iter().map(|it| it["number"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }
}

#[test]
fn people_are_told_once_that_the_connection_is_lost_and_that_it_is_there_again() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let mut yoda = Client::start_plain(&server, "yoda");
        yoda.type_line("BCM hello");
        yoda.line_with("#1");
        let (address, dir) = kill(server);
        let lost = yoda.line_with("lost");
        assert!(
            lost.starts_with(&format!("Connection to {address} lost (")) && lost.contains("reconnecting..."),
            "{lost}"
        );
        let _server = Server::start_at(&address, dir, runtime, &[]);
        assert_eq!(yoda.line_with("onnect"), "Connected again; no message was missed.");
        yoda.type_line("OUT");
        yoda.line_with("Bye, yoda!");
        assert_eq!(yoda.end(), Some(0));
    }
}

#[test]
fn a_server_with_another_key_at_the_same_place_ends_a_client_with_8() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let mut yoda = granted(&server, "yoda");
        let (address, dir) = kill(server);
        fs::remove_dir_all(dir.path().join("data")).unwrap();
        let _other = Server::start_at(&address, dir, runtime, &[]);
        let last = yoda.event("connection_lost");
        assert_eq!(last["server_key_changed"], true);
        assert_eq!(yoda.end(), Some(8));
    }
}

#[test]
fn a_session_that_is_over_ends_a_client_with_4_and_answers_what_was_asked() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let mut yoda = granted(&server, "yoda");
        let (address, dir) = kill(server);
        yoda.event("reconnecting");
        yoda.type_line("BCM too late");
        let removed = run(&["user", "remove", "yoda", "--data", path(&dir.path().join("data"))], "");
        assert_eq!(code(&removed), Some(0), "{removed:?}");
        fs::write(dir.path().join("credentials.txt"), "luke luke-password\n").unwrap();
        let _server = Server::start_at(&address, dir, runtime, &[]);
        assert_eq!(yoda.event("error")["code"], "connection_lost");
        let reason = yoda.event("connection_lost")["reason"].to_string();
        assert!(reason.contains("the session is over"), "{reason}");
        assert_eq!(yoda.end(), Some(4));
    }
}

#[test]
fn whoever_leaves_while_the_server_is_gone_is_not_kept_for_long() {
    for runtime in RUNTIMES {
        for (line, exit) in [(None, 0), (Some("BCM never said"), 4)] {
            let server = Server::start(runtime);
            let mut yoda = granted(&server, "yoda");
            server.kill();
            yoda.event("reconnecting");
            line.into_iter().for_each(|line| yoda.type_line(line));
            yoda.type_line("OUT");
            assert_eq!(yoda.end(), Some(exit), "{line:?}");
        }
    }
}
