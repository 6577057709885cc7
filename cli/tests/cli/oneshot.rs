//! `toom send` and `toom recv`: their files, their words, and their exit codes.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::moving::content;
use crate::run::{Client, RUNTIMES, Server, code, path, run, said};
use crate::task::{begin, carry_out, folder};

/// A file of the test.
fn file(server: &Server, name: &str, length: u32) -> PathBuf {
    let file = server.dir.path().join(name);
    fs::write(&file, content(length)).expect("a file");
    file
}

fn same(left: &Path, right: &Path) -> bool {
    fs::read(left).expect("read") == fs::read(right).expect("read")
}

#[test]
fn a_file_crosses_and_both_say_what_they_wait_for_and_what_came_of_it() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let (downloads, film) = (folder(&server, "downloads"), file(&server, "a film.mp4", 3_000_000));
        let recv = begin(&mut server, "luke", &["recv", "-o", path(&downloads)]);
        let sent = carry_out(&server, "yoda", &["send", path(&film), "--to", "luke"]);
        let received = recv.end();
        let ((out, err), (name, told)) = (said(&sent), said(&received));
        assert_eq!((code(&sent), code(&received)), (Some(0), Some(0)), "{err} {told}");
        assert_eq!((out.as_str(), name.as_str()), ("", "yoda_a film.mp4\n"));
        assert!(err.contains("Waiting for luke to accept a film.mp4 (3.0 MB)."), "{err}");
        assert!(err.contains("a film.mp4 has arrived at luke, complete and verified"), "{err}");
        assert!(told.contains("Waiting for a file.\nyoda offers a film.mp4 (3.0 MB), which is accepted.\n"), "{told}");
        assert!(same(&film, &downloads.join("yoda_a film.mp4")));
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 1);
    }
}

#[test]
fn each_way_to_be_refused_has_its_exit_code() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let film = file(&server, "film", 100);
        let mut luke = Client::start(&server, "luke", &["--accept", "none"]);
        for (to, sentence) in [
            ("luke", "rejected"),
            ("leia", "The user leia is offline"),
            ("nobody", "The user nobody does not exist"),
            ("yoda", "This cannot be done with yourself"),
        ] {
            let output = carry_out(&server, "yoda", &["send", path(&film), "--to", to]);
            let (_, stderr) = said(&output);
            assert_eq!(code(&output), Some(5), "{to}: {stderr}");
            assert!(stderr.contains(sentence), "{to}: {stderr}");
        }
        luke.event("offer");

        let wrong = server.password_file("leia");
        for command in [&["send", path(&film), "--to", "luke"][..], &["recv"]] {
            let mut args = server.task_args("yoda", command);
            *args.last_mut().expect("a file") = wrong.clone();
            let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>(), "");
            let (_, stderr) = said(&output);
            assert_eq!(code(&output), Some(3), "{command:?}: {stderr}");
            assert!(stderr.contains("Invalid username or password"), "{stderr}");
        }

        let nobody = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").to_string();
        for command in [&["send", path(&film), "--to", "luke"][..], &["recv"]] {
            let mut args = server.task_args("yoda", command);
            *args.iter_mut().find(|arg| **arg == server.address).expect("a server") = nobody.clone();
            let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>(), "");
            assert_eq!(code(&output), Some(4), "{command:?}: {}", said(&output).1);
        }
    }
}

#[test]
fn a_receiver_who_waits_for_somebody_rejects_what_others_offer() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let (downloads, film) = (folder(&server, "downloads"), file(&server, "film", 100_000));
        let recv = begin(&mut server, "luke", &["recv", "--from", "yoda", "-o", path(&downloads)]);
        let others = carry_out(&server, "leia", &["send", path(&film), "--to", "luke"]);
        assert_eq!(code(&others), Some(5), "{}", said(&others).1);
        let sent = carry_out(&server, "yoda", &["send", path(&film), "--to", "luke"]);
        assert_eq!(code(&sent), Some(0), "{}", said(&sent).1);
        let received = recv.end();
        let (name, told) = said(&received);
        assert_eq!((code(&received), name.as_str()), (Some(0), "yoda_film\n"), "{told}");
        assert!(
            told.contains("Waiting for a file from yoda.\nleia offers film (100.0 kB), which is rejected."),
            "{told}"
        );
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 1);
    }
}

#[test]
fn a_file_is_sent_no_faster_than_somebody_wants() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let (downloads, film) = (folder(&server, "downloads"), file(&server, "film", 2_000_000));
        let home = folder(&server, "home");
        let recv = begin(&mut server, "luke", &["recv", "-o", path(&downloads)]);
        let began = Instant::now();
        let mut yoda =
            Client::start_task(&home, &server, "yoda", &["send", "--limit", "20mbit", path(&film), "--to", "luke"]);
        yoda.find("the end", |event| event["state"] == "done");
        // At most a packet of the largest size may leave at once.
        let least = Duration::from_secs_f64((2_000_000.0 - 70_000.0) * 8.0 / 20e6);
        assert!(began.elapsed() >= least, "{:?}", began.elapsed());
        assert_eq!((yoda.end(), code(&recv.end())), (Some(0), Some(0)));
    }
}

#[test]
fn an_offer_of_somebody_whose_key_has_changed_is_not_accepted() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (home, downloads, film) =
            (folder(&server, "home"), folder(&server, "downloads"), file(&server, "film", 100));
        for (exits, others) in [(Some(0), Some(0)), (Some(8), Some(5))] {
            let luke = Client::start_task(&home, &server, "luke", &["recv", "-o", path(&downloads)]);
            // From a computer that nobody knows.
            let sent = carry_out(&server, "yoda", &["send", path(&film), "--to", "luke"]);
            assert_eq!((luke.end(), code(&sent)), (exits, others), "{}", said(&sent).1);
            fs::write(&film, "something else").expect("written");
        }
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 1);
    }
}

#[test]
fn who_gives_no_name_and_no_password_is_asked() {
    let server = Server::start("smol");
    let film = file(&server, "film", 100);
    let args = ["send", path(&film), "--to", "leia", "--server", &server.address];
    let output = run(&args, "luke\nwrong\nluke-password\n");
    let (stdout, stderr) = said(&output);
    assert_eq!((code(&output), stdout.as_str()), (Some(5), ""), "{stderr}");
    assert!(stderr.starts_with("Username: Invalid username or password."), "{stderr}");
    assert!(stderr.contains("The user leia is offline"), "{stderr}");
    let output = run(&args, "luke\nwrong\n");
    assert_eq!(code(&output), Some(3), "{}", said(&output).1);
}

#[test]
fn after_an_interruption_at_either_end_the_same_again_goes_on() {
    for (runtime, receiver_leaves) in RUNTIMES.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let server = Server::start(runtime);
        let (downloads, film) = (folder(&server, "downloads"), server.dir.path().join("film"));
        fs::File::create(&film).and_then(|film| film.set_len(400_000_000)).expect("a long file");
        let (here, there) = (folder(&server, "yoda's home"), folder(&server, "luke's home"));
        let begin = || {
            let luke = Client::start_task(&there, &server, "luke", &["recv", "-o", path(&downloads)]);
            (Client::start_task(&here, &server, "yoda", &["send", path(&film), "--to", "luke"]), luke)
        };
        let (yoda, mut luke) = begin();
        luke.find("some of it", |event| event["state"] == "moving" && event["bytes"].as_u64() > Some(17_000_000));
        let (leaves, stays) = if receiver_leaves { (luke, yoda) } else { (yoda, luke) };
        assert_eq!((leaves.interrupt("-INT"), stays.end()), (Some(130), Some(7)), "{runtime} {receiver_leaves}");
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 2, "a partial file and its journal");

        let (yoda, mut luke) = begin();
        let resumed = luke.find("where it goes on", |event| event["resumed_from"].is_u64());
        assert!(resumed["resumed_from"].as_u64() >= Some(16 << 20), "{resumed}");
        assert_eq!(luke.find("the end", |event| event["state"] == "done")["saved_as"], "yoda_film");
        assert_eq!((yoda.end(), luke.end()), (Some(0), Some(0)));
        assert!(same(&film, &downloads.join("yoda_film")));
    }
}

#[test]
fn a_sender_that_was_killed_and_begins_anew_goes_on_with_who_still_waits_for_it() {
    for (runtime, conversation) in RUNTIMES.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let server = Server::start(runtime);
        let (downloads, film) = (folder(&server, "downloads"), server.dir.path().join("film"));
        fs::File::create(&film).and_then(|film| film.set_len(400_000_000)).expect("a long file");
        let home = folder(&server, "yoda's home");
        let begin = || Client::start_task(&home, &server, "yoda", &["send", path(&film), "--to", "luke"]);
        let mut luke = if conversation {
            Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)])
        } else {
            Client::start_task(&folder(&server, "luke's"), &server, "luke", &["recv", "-o", path(&downloads)])
        };
        let yoda = begin();
        luke.find("some of it", |event| event["state"] == "moving" && event["bytes"].as_u64() > Some(17_000_000));
        yoda.interrupt("-KILL");
        let yoda = begin();
        let resumed = luke.find("where it goes on", |event| event["resumed_from"].is_u64());
        assert!(resumed["resumed_from"].as_u64() >= Some(16 << 20), "{resumed}");
        assert_eq!(luke.find("the end", |event| event["state"] == "done")["saved_as"], "yoda_film");
        assert_eq!(yoda.end(), Some(0));
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 1, "{runtime} {conversation}");
    }
}

#[test]
fn what_makes_no_sense_is_a_matter_of_usage() {
    for line in ["send film --server x", "send --to luke --server x", "recv", "recv --server x --from a;b"] {
        let output = run(&line.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(code(&output), Some(2), "{line}: {}", said(&output).1);
    }
    let server = Server::start("smol");
    let output = carry_out(&server, "luke", &["recv", "-o", "/nonexistent"]);
    assert_eq!(code(&output), Some(1));
    assert!(said(&output).1.contains("There is no download directory /nonexistent."));
}
