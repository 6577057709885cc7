//! What people say to each other, as scripts and pipes see it, and how sessions end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::run::{Client, RUNTIMES, Server, code, events, eventually, said, toom};

#[test]
fn two_clients_talk_on_either_driver() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let mut yoda = Client::start(&server, "yoda", &[]);
        let mut luke = Client::start(&server, "luke", &[]);
        assert_eq!(yoda.event("joined")["user"], "luke");

        let sent = yoda.ask("BCM Hello, \"all\"; of  you", "sent");
        assert_eq!((&sent["kind"], &sent["number"]), (&"broadcast".into(), &1.into()));
        let heard = luke.event("broadcast");
        assert_eq!((&heard["text"], &heard["from"]), (&"Hello, \"all\"; of  you".into(), &"yoda".into()));
        assert_eq!((&heard["number"], &heard["at"]), (&sent["number"], &sent["at"]));
        let shown = server.activity("the broadcast", |activity| activity["kind"] == "broadcast");
        assert_eq!(shown["at"], sent["at"]);

        let users = luke.ask("ATU", "active_users");
        assert_eq!(users["users"][0]["name"], "yoda");
        assert_eq!(users["users"].as_array().map(Vec::len), Some(1));

        let room = luke.ask("/room yoda yoda luke", "room_created");
        assert_eq!(room["members"], serde_json::json!(["luke", "yoda"]));
        assert_eq!(yoda.event("room_created")["room"], room["room"]);
        assert_eq!(yoda.ask("SRB luke", "room_exists")["room"], room["room"]);
        luke.type_line(&format!("SRM {} in the room", room["room"]));
        assert_eq!(yoda.event("room_message")["text"], "in the room");
        assert_eq!(luke.event("sent")["room"], room["room"]);

        assert_eq!(yoda.ask("MSG luke psst", "sent")["kind"], "direct");
        let psst = luke.event("direct_message");
        assert_eq!((&psst["from"], &psst["to"], &psst["text"]), (&"yoda".into(), &"luke".into(), &"psst".into()));

        let history = yoda.ask("RDM b 1 Jun 2022 16:00:00", "history");
        assert_eq!(history["messages"][0]["text"], "Hello, \"all\"; of  you");

        assert_eq!(luke.ask("OUT", "bye")["user"], "luke");
        assert_eq!(luke.end(), Some(0));
        assert_eq!(yoda.event("left")["user"], "luke");
        assert_eq!(yoda.finish(), Some(0));
    }
}

#[test]
fn lines_that_are_no_commands_are_errors_with_codes() {
    let server = Server::start("smol");
    let input = "bcm lower\nBCM\nATU now\nSRM x text\nRDM b yesterday\nSRM 7 text\nSRB nobody\nSRB leia\nMSG nobody x\n\nHELP\n";
    let output = server.client("yoda", &["--json"], input);
    let events = events(&output);
    let codes: Vec<_> = events.iter().filter(|event| event["event"] == "error").map(|event| &event["code"]).collect();
    assert_eq!(
        codes,
        [
            "unknown_command",
            "usage",
            "usage",
            "usage",
            "usage",
            "no_such_room",
            "no_such_user",
            "user_offline",
            "no_such_user"
        ]
    );
    assert!(events.iter().all(|event| event["event"] != "error" || event["message"].is_string()));
    assert_eq!(events[events.len() - 2]["event"], "help");
    assert_eq!(code(&output), Some(0));
}

#[test]
fn a_script_gets_one_answer_for_each_line_in_their_order() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let posts: String = (1..=300).map(|n| format!("BCM number {n}\n")).collect();
        let input = format!("{posts}RDM b 1 Jun 2022 16:00:00\nNOPE\nATU\nMSG luke hi\n");
        let output = server.client("yoda", &["--json"], &input);
        let events = events(&output);
        assert_eq!(code(&output), Some(0));
        for (event, number) in events[1..=300].iter().zip(1..) {
            assert_eq!((&event["event"], &event["number"]), (&"sent".into(), &number.into()));
        }
        let names: Vec<_> = events[301..].iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["history", "error", "active_users", "sent", "bye"]);
        let texts: Vec<_> = events[301]["messages"].as_array().into_iter().flatten().map(|m| &m["text"]).collect();
        assert_eq!(texts.len(), 300, "what was posted before is read");
        assert_eq!(texts[299], "number 300");
    }
}

#[test]
fn lines_after_out_are_not_carried_out() {
    let server = Server::start("smol");
    let output = server.client("yoda", &["--json"], "OUT\nBCM too late\n");
    assert_eq!(events(&output).last().map(|event| event["event"].clone()), Some("bye".into()));
    let output = server.client("yoda", &["--json"], "RDM b 1 Jun 2022 16:00:00\n");
    assert_eq!(events(&output)[1]["messages"], serde_json::json!([]));
}

#[test]
fn a_pipe_without_json_shows_prompts_answers_and_errors_in_turn() {
    let server = Server::start("std");
    let output = server.client("yoda", &[], "ATU\nNOPE\nBCM\nBCM hello\nHELP ATU\n");
    let (stdout, stderr) = said(&output);
    assert_eq!((code(&output), stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = stdout.lines().collect();
    let prompts =
        lines.iter().filter(|line| line.starts_with("Enter one of the following commands (BCM, ATU, SRB, SRM"));
    assert_eq!(prompts.count(), 6, "{stdout}");
    let order =
        ["Welcome", "no other active user", "Error. Invalid command!", "BCM text", "#1", "ATU (or /who)", "Bye, yoda!"];
    let mut rest = stdout.as_str();
    for expected in order {
        let at = rest.find(expected).unwrap_or_else(|| panic!("no {expected:?} at its place in {stdout}"));
        rest = &rest[at + expected.len()..];
    }
}

#[test]
fn an_interrupted_client_logs_out_and_exits_with_130() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        for signal in ["-INT", "-TERM", "-HUP"] {
            let yoda = Client::start(&server, "yoda", &[]);
            assert_eq!(yoda.interrupt(signal), Some(130), "{signal}");
            let left = server.activity("the logout", |activity| activity["kind"] == "logout");
            assert_eq!((&left["user"], &left["asked"]), (&"yoda".into(), &true.into()));
        }
    }
}

#[test]
fn a_server_that_is_lost_before_the_session_can_be_resumed_ends_a_client_with_4() {
    for runtime in RUNTIMES {
        let server = Server::start_with(runtime, &["--grace", "0s"]);
        let mut yoda = Client::start(&server, "yoda", &[]);
        server.kill();
        yoda.event("connection_lost");
        assert_eq!(yoda.end(), Some(4));
    }
}

#[test]
fn an_output_that_nobody_reads_is_a_quiet_end() {
    for json in [true, false] {
        let server = Server::start("smol");
        let args = server.client_args("yoda");
        let mut command = toom(&args.iter().map(String::as_str).collect::<Vec<_>>());
        if json {
            command.arg("--json");
        }
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut first).expect("a line");
        drop(stdout);
        // It stops reading when it finds out.
        let _ = stdin.write_all("ATU\n".repeat(1000).as_bytes());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((code(&output), said(&output).1.as_str()), (Some(0), ""));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_a_failure_and_a_sentence() {
    let server = Server::start("std");
    let args = server.client_args("yoda");
    let mut command = toom(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.stdin(Stdio::null()).stdout(fs::File::options().write(true).open("/dev/full").expect("the full device"));
    let output = command.output().expect("it ends");
    let (_, stderr) = said(&output);
    assert_eq!(code(&output), Some(1), "{stderr}");
    assert!(stderr.starts_with("Standard output cannot be written: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_message_to_someone_offline_is_delivered_in_the_first_of_their_sessions_only() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        assert_eq!(code(&server.client("yoda", &[], "MSG luke one\nMSG luke two\n")), Some(0));
        let texts = |input: &str| -> Vec<String> {
            let output = server.client("luke", &["--json"], input);
            assert_eq!(code(&output), Some(0));
            let events = events(&output).into_iter().filter(|event| event["event"] == "direct_message");
            events.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(texts(""), ["one", "two"], "{runtime}");
        assert_eq!(texts(""), [""; 0], "{runtime}");
        assert_eq!(texts("OUT\n"), [""; 0], "{runtime}");
    }
}

#[test]
fn a_server_whose_output_nobody_reads_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start("std");
    let listen = {
        // A port that is free now; nobody else here takes fixed ports.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").to_string()
    };
    let mut command: Command = toom(&["server", "--listen", &listen, "--data", crate::run::path(dir.path())]);
    command.args(["--credentials", crate::run::path(&server.dir.path().join("credentials.txt"))]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    drop(child.stdout.take());
    let file = server.password_file("yoda");
    let args = ["client", listen.as_str(), "--user", "yoda", "--password-file", file.as_str()];
    eventually("a login", || code(&crate::run::run(&args, "BCM hello\n")) == Some(0));
    assert!(child.try_wait().expect("a status").is_none(), "the server is still there");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

#[test]
fn a_server_stops_cleanly_at_each_signal_and_keeps_what_was_said() {
    for (runtime, signal) in [("smol", "-TERM"), ("std", "-INT")] {
        let server = Server::start(runtime);
        let mut yoda = Client::start(&server, "yoda", &[]);
        yoda.ask("BCM one; two \\ three", "sent");
        let (exit, dir) = server.stop(signal);
        assert_eq!(exit, Some(0), "{runtime}");
        yoda.event("reconnecting");
        assert_eq!(yoda.interrupt("-TERM"), Some(130));

        let log = fs::read_to_string(dir.path().join("data/logs/messagelog.txt")).expect("the text log");
        assert!(log.starts_with("1; ") && log.ends_with("; yoda; one\\; two \\\\ three\n"), "{log:?}");

        let server = Server::start_in(dir, runtime, &[]);
        let output = server.client("luke", &["--json"], "RDM b 1 Jun 2022 16:00:00\nBCM next\n");
        let events = events(&output);
        assert_eq!(events[1]["messages"][0]["text"], "one; two \\ three");
        assert_eq!(events[2]["number"], 2);
    }
}

#[test]
fn the_text_logs_follow_logins_rooms_and_logouts() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let logs = server.data().join("logs");
        let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap_or_default();
        let mut yoda = Client::start(&server, "yoda", &[]);
        let mut luke = Client::start(&server, "luke", &[]);
        eventually("both rows", || {
            let log = read("userlog.txt");
            let rows: Vec<_> = log.lines().collect();
            rows.len() == 2
                && rows[0].starts_with("1; ")
                && rows[0].contains("; yoda; 127.0.0.1; ")
                && rows[1].starts_with("2; ")
        });
        let room = yoda.ask("SRB luke", "room_created")["room"].clone();
        eventually("the room's log", || logs.join(format!("SR_{room}_messagelog.txt")).exists());
        luke.ask(&format!("SRM {room} in the room"), "sent");
        eventually("the room's message", || {
            read(&format!("SR_{room}_messagelog.txt")).ends_with("; luke; in the room\n")
        });
        assert_eq!(yoda.finish(), Some(0));
        eventually("the renumbered row", || {
            let log = read("userlog.txt");
            log.lines().count() == 1 && log.starts_with("1; ") && log.contains("; luke; ")
        });
    }
}

#[test]
fn the_terminal_of_a_server_tells_what_people_do() {
    let server = Server::start("smol");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = toom(&["server", "--listen", "127.0.0.1:0", "--data", crate::run::path(dir.path())]);
    command.args(["--credentials", crate::run::path(&server.dir.path().join("credentials.txt"))]);
    let mut child = command.spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let first = lines.next().expect("a line");
    let address = first.strip_prefix("The server is listening on ").and_then(|rest| rest.strip_suffix('.'));
    let address = address.unwrap_or_else(|| panic!("{first}"));
    let file = server.password_file("yoda");
    let args = ["client", address, "--user", "yoda", "--password-file", &file];
    assert_eq!(code(&crate::run::run(&args, "BCM Hello\nATU\nSRM 1 x\n")), Some(0));
    let shown: Vec<String> = lines.by_ref().take_while(|line| !line.contains("logged out")).collect();
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    assert!(
        shown.iter().any(|line| line.starts_with("yoda broadcasted BCM #1 \"Hello\" at ") && line.ends_with('.')),
        "{shown:?}"
    );
    let at = shown.iter().position(|line| line == "yoda issued ATU command").unwrap_or_else(|| panic!("{shown:?}"));
    assert_eq!(shown[at + 1], "Return message: no other active user");
    let at = shown.iter().position(|line| line == "yoda issued SRM command").unwrap_or_else(|| panic!("{shown:?}"));
    assert_eq!(shown[at + 1], "Return message: The separate room does not exist");
}

#[test]
fn who_comes_back_is_told_what_is_new_and_reads_the_newest() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        assert_eq!(code(&server.client("yoda", &["--json"], "BCM one\n")), Some(0));
        assert_eq!(code(&server.client("luke", &["--json"], "BCM two\nBCM Where is Yoda?\n")), Some(0));
        let mut yoda = Client::start(&server, "yoda", &[]);
        let news = yoda.event("new_since");
        assert_eq!([&news["broadcasts"], &news["rooms"], &news["mentions"]], [&json!(2), &json!([]), &json!(1)]);
        let latest = yoda.ask("LAST b 2", "history");
        let numbers: Vec<_> = latest["messages"].as_array().unwrap().iter().map(|it| it["number"].clone()).collect();
        assert_eq!((json!(numbers), &latest["more"]), (json!([2, 3]), &json!(true)));
        assert_eq!(yoda.ask("LAST 1", "error")["code"], json!("no_such_room"));
        assert_eq!(yoda.ask("LAST b 0", "error")["code"], json!("usage"));
        assert_eq!(yoda.finish(), Some(0));
    }
}
