//! `toom send -` and `toom recv -o -`: bytes that nobody keeps.

use std::fs;
use std::io::{Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::moving::content;
use crate::run::{Client, RUNTIMES, Server, code, eventually, feed, path, run, said, toom};
use crate::task::{Task, begin, carry_out, folder};

/// What each end keeps at most.
const STREAM_BYTES: usize = 8 << 20;

/// Writes `bytes` piece by piece, as far as somebody takes them, and counts.
fn feed_slowly(mut stdin: ChildStdin, bytes: Vec<u8>) -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let fed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fed);
    let body = move || {
        for piece in bytes.chunks(16 * 1024) {
            // It may have ended.
            if stdin.write_all(piece).is_err() {
                return;
            }
            count.fetch_add(piece.len(), SeqCst);
        }
    };
    (fed, thread::spawn(body))
}

fn end(task: Task) -> (Option<i32>, String) {
    let output = task.end();
    (code(&output), said(&output).1)
}

#[test]
fn what_goes_in_at_one_end_comes_out_at_the_other() {
    for runtime in RUNTIMES {
        for length in [0, 1, 50_000_000] {
            let mut server = Server::start(runtime);
            let mut recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
            let mut send = Task::start(&server, "yoda", &["send", "-", "--to", "luke"]);
            let (_, feeder) = feed_slowly(send.stdin(), content(length));
            let mut received = Vec::new();
            recv.stdout().read_to_end(&mut received).expect("read");
            assert!(received == content(length), "{length} bytes became {}", received.len());
            feeder.join().expect("all is fed");
            let ((sent, told), (taken, heard)) = (end(send), end(recv));
            assert_eq!((sent, taken), (Some(0), Some(0)), "{told} {heard}");
            assert!(told.contains("Waiting for luke to accept stdin (a stream)."), "{told}");
            assert!(heard.contains("yoda offers stdin (a stream), which is accepted."), "{heard}");
        }
    }
}

#[test]
fn a_file_goes_to_standard_output_and_nothing_else_does() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let film = server.dir.path().join("film");
        fs::write(&film, content(20_000_000)).expect("a file");
        let recv = begin(&mut server, "luke", &["recv", "-o", "-", "--json"]);
        let received = thread::spawn(move || recv.end());
        let sent = carry_out(&server, "yoda", &["send", path(&film), "--to", "luke"]);
        assert_eq!(code(&sent), Some(0), "{}", said(&sent).1);
        let received = received.join().expect("it ends");
        assert!(received.stdout == content(20_000_000), "{} bytes", received.stdout.len());
        let events: Vec<Value> =
            said(&received).1.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let done = events.iter().find(|event| event["state"] == "done").expect("the end");
        assert_eq!((&done["saved_as"], &done["total"]), (&"-".into(), &20_000_000.into()));
        assert_eq!(code(&received), Some(0));
    }
}

#[test]
fn a_stream_is_saved_under_its_name_and_its_length_is_known_at_its_end() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let downloads = folder(&server, "downloads");
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        let args = server.task_args("yoda", &["send", "-", "--name", "notes.txt", "--to", "luke"]);
        let sent = feed(toom(&args.iter().map(String::as_str).collect::<Vec<_>>()), "some notes");
        assert_eq!(code(&sent), Some(0), "{}", said(&sent).1);
        let offer = luke.event("offer");
        assert_eq!((&offer["name"], &offer["bytes"]), (&"notes.txt".into(), &Value::Null));
        assert_eq!(luke.find("the beginning", |event| event["state"] == "starting")["total"], Value::Null);
        let done = luke.find("the end", |event| event["state"] == "done");
        assert_eq!((&done["total"], &done["saved_as"]), (&10.into(), &"yoda_notes.txt".into()));
        assert_eq!(fs::read(downloads.join("yoda_notes.txt")).expect("read"), b"some notes");
    }
}

#[test]
fn a_reader_that_takes_nothing_stops_the_sender_and_loses_nothing() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let mut recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
        let mut send = Task::start(&server, "yoda", &["send", "-", "--to", "luke"]);
        let (fed, feeder) = feed_slowly(send.stdin(), content(60_000_000));
        // All that both ends keep.
        eventually("the sender is full", || fed.load(SeqCst) >= 2 * STREAM_BYTES);
        // Meanwhile something else happens, so that there is time for more.
        server.client("leia", &["--json"], "ATU\nBCM hello\nATU\n");
        let most = 2 * STREAM_BYTES + (1 << 20);
        assert!(fed.load(SeqCst) <= most, "{} bytes were taken, and none given", fed.load(SeqCst));
        let mut received = Vec::new();
        recv.stdout().read_to_end(&mut received).expect("read");
        assert!(received == content(60_000_000));
        feeder.join().expect("all is fed");
        assert_eq!((end(send).0, end(recv).0), (Some(0), Some(0)));
    }
}

#[test]
fn a_slow_source_is_passed_on_while_it_comes() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let mut recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
        let mut send = Task::start(&server, "yoda", &["send", "-", "--to", "luke"]);
        let (mut stdin, mut stdout) = (send.stdin(), recv.stdout());
        for word in [b"one\n", b"two\n", b"six\n"] {
            stdin.write_all(word).expect("taken");
            let mut heard = [0; 4];
            stdout.read_exact(&mut heard).expect("it arrives before more comes");
            assert_eq!(&heard, word);
        }
        drop(stdin);
        assert_eq!((end(send).0, end(recv).0), (Some(0), Some(0)));
    }
}

#[test]
fn a_reader_that_goes_away_ends_both_with_a_sentence() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let mut recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
        let mut send = Task::start(&server, "yoda", &["send", "-", "--to", "luke"]);
        let (_, feeder) = feed_slowly(send.stdin(), content(30_000_000));
        let mut some = [0; 100_000];
        recv.stdout().read_exact(&mut some).expect("it has begun");
        let ((sent, told), (taken, heard)) = (end(send), end(recv));
        assert_eq!((sent, taken), (Some(1), Some(1)), "{told} {heard}");
        assert!(heard.contains("nobody reads standard output any more"), "{heard}");
        assert!(told.contains("stdin to luke failed: the other person's computer could not"), "{told}");
        feeder.join().expect("nobody takes the rest");
    }
}

#[test]
fn a_sender_that_is_gone_is_an_end_and_not_a_whole_stream() {
    for (runtime, with) in RUNTIMES.into_iter().flat_map(|runtime| [(runtime, "-KILL"), (runtime, "-INT")]) {
        let mut server = Server::start_with(runtime, &["--grace", "0s"]);
        let mut recv = begin(&mut server, "luke", &["recv", "-o", "-"]);
        let mut send = Task::start(&server, "yoda", &["send", "-", "--to", "luke"]);
        let (mut stdin, mut stdout) = (send.stdin(), recv.stdout());
        stdin.write_all(b"some").expect("taken");
        stdout.read_exact(&mut [0; 4]).expect("it has begun");
        send.signal(with);
        let (taken, heard) = end(recv);
        assert_eq!(taken, Some(1), "{heard}");
        assert!(heard.contains("stdin from yoda failed: "), "{heard}");
        assert_eq!(end(send).0, if with == "-INT" { Some(130) } else { None });
    }
}

#[test]
fn standard_input_is_read_for_one_thing_only() {
    for (line, sentence) in [
        ("send - film --to luke --server x", "is sent alone"),
        ("send film --name x --to luke --server x", "--name is for standard input"),
        ("send - --to luke --server x", "give --user and --password-file"),
        ("send - --to luke --server x --user yoda --password-fd 0", "give --user and --password-file"),
        ("send - --to luke --server x --user yoda --password-file x --trust ask", "and no --trust ask"),
    ] {
        let output = run(&line.split(' ').collect::<Vec<_>>(), "");
        let (_, stderr) = said(&output);
        assert_eq!(code(&output), Some(2), "{line}: {stderr}");
        assert!(stderr.contains(sentence), "{line}: {stderr}");
    }
}
