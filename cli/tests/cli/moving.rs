//! Files: between clients, in the demo, in the bench.

use std::fs;

use serde_json::Value;

use crate::run::{Client, RUNTIMES, Server, code, events, path, run, said, toom};

/// Some bytes without a pattern that a shift would not notice.
pub(crate) fn content(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub(crate) fn done(client: &mut Client) -> Value {
    client.find("the end of the transfer", |event| event["event"] == "transfer" && event["state"] == "done")
}

#[test]
fn a_file_crosses_and_is_stored_under_a_name_that_was_free() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let downloads = server.dir.path().join("downloads");
        fs::create_dir(&downloads).expect("a directory");
        let file = server.dir.path().join("a film.mp4");
        let mut yoda = Client::start(&server, "yoda", &[]);
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        for (length, stored) in [(300_000, "yoda_a film.mp4"), (300_000, "yoda_a film.mp4"), (0, "yoda_a film (2).mp4")]
        {
            fs::write(&file, content(length)).expect("a file");
            yoda.type_line(&format!("UPD luke {}", path(&file)));
            let received = done(&mut luke);
            let sent = done(&mut yoda);
            assert_eq!(received["saved_as"], stored);
            assert_eq!(received["blake3"], sent["blake3"]);
            assert_eq!((&received["direction"], &sent["direction"]), (&"in".into(), &"out".into()));
            assert!(fs::read(downloads.join(stored)).expect("the file") == content(length), "{stored} is the same");
        }
        assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 2, "no partial file is left");
        assert_eq!((yoda.finish(), luke.finish()), (Some(0), Some(0)));
    }
}

#[test]
fn a_file_cannot_be_sent_to_someone_offline_or_if_it_is_not_there() {
    let server = Server::start("smol");
    let file = server.password_file("yoda");
    let input = format!("UPD leia {file}\nUPD nobody {file}\nUPD luke /nonexistent/file\n");
    let output = server.client("yoda", &["--json"], &input);
    let codes: Vec<_> =
        events(&output).into_iter().filter_map(|event| event["code"].as_str().map(str::to_owned)).collect();
    assert_eq!(codes[..2], ["user_offline", "no_such_user"]);
    assert_eq!(codes[2], "no_such_file");
}

#[test]
fn an_offer_is_answered_by_hand_if_asked_to() {
    let server = Server::start("std");
    let downloads = server.dir.path().join("downloads");
    fs::create_dir(&downloads).expect("a directory");
    let mut yoda = Client::start(&server, "yoda", &[]);
    let mut luke = Client::start(&server, "luke", &["--accept", "ask", "--downloads", path(&downloads)]);
    let file = server.password_file("yoda");
    yoda.type_line(&format!("UPD luke {file}"));
    let offer = luke.event("offer");
    luke.type_line(&format!("REJECT {}", offer["id"]));
    let failed = yoda.find("the rejection", |event| event["state"] == "failed");
    assert_eq!((&failed["id"], &failed["reason"]), (&offer["id"], &"rejected".into()));
    yoda.type_line(&format!("UPD luke {file}"));
    let offer = luke.find("the second offer", |event| event["event"] == "offer" && event["id"] != offer["id"]);
    luke.type_line(&format!("ACCEPT {}", offer["id"]));
    assert_eq!(done(&mut luke)["saved_as"], "yoda_yoda");
    assert_eq!(done(&mut yoda)["id"], offer["id"]);
}

#[test]
fn scripts_reject_offers_unless_they_say_otherwise() {
    let server = Server::start("smol");
    let mut yoda = Client::start(&server, "yoda", &[]);
    let mut luke = Client::start(&server, "luke", &[]);
    yoda.type_line(&format!("UPD luke {}", server.password_file("yoda")));
    luke.event("offer");
    assert_eq!(yoda.find("the rejection", |event| event["state"] == "failed")["reason"], "rejected");
}

#[test]
fn input_that_ends_waits_for_the_file_under_way() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let downloads = server.dir.path().join("downloads");
        fs::create_dir(&downloads).expect("a directory");
        let file = server.dir.path().join("film");
        fs::write(&file, content(4_000_000)).expect("a file");
        let mut luke = Client::start(&server, "luke", &["--accept", "all", "--downloads", path(&downloads)]);
        let output = server.client("yoda", &["--json"], &format!("UPD luke {}\n", path(&file)));
        assert_eq!(code(&output), Some(0));
        let states: Vec<Value> = events(&output).into_iter().map(|event| event["state"].clone()).collect();
        assert!(states.contains(&"done".into()), "{states:?}");
        assert_eq!(done(&mut luke)["saved_as"], "yoda_film");
    }
}

/// A transfer in the middle of which the receiver is killed; the next one of the same file goes on, unless `change` has
/// made another file of it.
fn interrupted(runtime: &str, change: impl FnOnce(&fs::File)) -> (Value, Value) {
    const BYTES: u64 = 400_000_000;
    let server = Server::start(runtime);
    let downloads = server.dir.path().join("downloads");
    fs::create_dir(&downloads).expect("a directory");
    let options = ["--accept", "all", "--downloads", path(&downloads)];
    let path_of_film = server.dir.path().join("film");
    let film = fs::File::create(&path_of_film).expect("a file");
    film.set_len(BYTES).expect("a long file");
    let home = server.dir.path().join("luke's home");
    let mut yoda = Client::start(&server, "yoda", &[]);
    let mut luke = Client::start_at(&home, &server, "luke", &options);
    let command = format!("UPD luke {}", path(&path_of_film));
    yoda.type_line(&command);
    // More than one record of the journal.
    luke.find("some of it", |event| event["state"] == "moving" && event["bytes"].as_u64() > Some(17_000_000));
    luke.interrupt("-KILL");
    let left = fs::read_dir(&downloads).expect("a directory").count();
    assert_eq!(left, 2, "a partial file, and what is known of it");
    change(&film);

    let mut luke = Client::start_at(&home, &server, "luke", &options);
    yoda.type_line(&command);
    let is_resumed = |event: &Value| event["resumed_from"].is_u64();
    let (there, here) = (luke.find("where it goes on", is_resumed), yoda.find("where it goes on", is_resumed));
    assert_eq!((&there["resumed_from"], &there["source_changed"]), (&here["resumed_from"], &here["source_changed"]));
    let is_done = |event: &Value| event["state"] == "done" && event["id"] == there["id"];
    let (received, sent) = (luke.find("the end", is_done), yoda.find("the end", is_done));
    assert_eq!((&received["blake3"], &received["saved_as"]), (&sent["blake3"], &"yoda_film".into()));
    let hash = |path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(path).expect("opened")).expect("read").finalize().to_hex().to_string()
    };
    assert_eq!(received["blake3"], hash(downloads.join("yoda_film")));
    assert_eq!(received["blake3"], hash(path_of_film));
    assert_eq!(fs::read_dir(&downloads).expect("a directory").count(), 1, "nothing else is left");
    (there["resumed_from"].clone(), there["source_changed"].clone())
}

#[test]
fn a_transfer_whose_receiver_was_killed_goes_on_where_it_was() {
    for runtime in RUNTIMES {
        let (from, changed) = interrupted(runtime, |_| {});
        assert!(from.as_u64() >= Some(16 << 20) && changed == false, "{from} {changed}");
    }
}

#[test]
fn a_file_that_changed_since_its_transfer_was_interrupted_is_sent_anew_and_that_is_said() {
    let change = |film: &fs::File| std::os::unix::fs::FileExt::write_all_at(film, b"x", 7).expect("written");
    assert_eq!(interrupted("smol", change), (0.into(), true.into()));
}

#[test]
fn the_demo_succeeds_and_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("film.mp4");
    fs::write(&file, content(1_000_000)).expect("a file");
    let output = run(&["demo", path(&file)], "");
    let (stdout, stderr) = said(&output);
    assert_eq!(code(&output), Some(0), "{stderr}");
    assert!(stdout.contains("1000000 bytes") && stdout.contains("Everything arrived intact."), "{stdout}");

    let output = run(&["--json", "demo", path(&file)], "");
    let events = events(&output);
    let last = events.last().expect("events");
    assert_eq!((&last["event"], &last["ok"], &last["bytes"]), (&"demo".into(), &true.into(), &1_000_000.into()));
    assert!(events.iter().any(|event| event["event"] == "broadcast" && event["person"] == "Leia"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_whose_output_cannot_be_written_fails_with_a_sentence() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("film.mp4");
    fs::write(&file, content(1_000)).expect("a file");
    for options in [&["demo", path(&file)][..], &["--json", "demo", path(&file)]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("the full device");
        let output = toom(options).stdout(full).output().expect("it ends");
        let (_, stderr) = said(&output);
        assert_eq!(code(&output), Some(1), "{stderr}");
        assert!(stderr.contains("Standard output cannot be written: "), "{stderr}");
    }
}

#[test]
fn the_bench_prints_one_object_with_the_agreed_keys() {
    for runtime in RUNTIMES {
        let output = run(&["--runtime", runtime, "bench", "transfer", "--size", "3MiB", "--runs", "2"], "");
        let (stdout, stderr) = said(&output);
        assert_eq!(code(&output), Some(0), "{stderr}");
        let result: Value = serde_json::from_str(stdout.trim_end()).expect("one line of JSON");
        assert_eq!((&result["runtime"], &result["bytes"]), (&runtime.into(), &(3 << 20).into()));
        assert_eq!(result["verified"], true);
        for key in ["payload", "goodput_bps", "sender_peak_rss", "receiver_peak_rss", "packets", "acks"] {
            assert!(result[key].as_u64().is_some_and(|figure| figure > 0), "{key}: {result}");
        }
        // A burst is 64 KiB at most; one call sends one, and receives up to eight.
        for (key, bursts) in [("sender_system_calls", 1), ("receiver_system_calls", 8)] {
            assert!(result[key].as_u64().is_some_and(|calls| calls * bursts > 48), "fewer calls cannot do: {result}");
        }
        assert!(result["rate_bps"].is_null() && result["link_lost"].is_null(), "{result}");
        for key in ["sender_cpu_s", "receiver_cpu_s"] {
            assert!(result[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {result}");
        }
        assert!(result["retransmitted_bytes"].is_u64());
        assert_eq!(stderr.lines().count(), 3, "a heading and a row for each run: {stderr}");
    }
}

#[test]
fn a_bench_over_a_link_that_loses_and_delays_verifies_and_says_what_the_link_did() {
    for runtime in RUNTIMES {
        let link = ["--rate", "200mbit", "--delay", "2ms", "--loss", "2", "--seed", "7"];
        let bench = ["--runtime", runtime, "bench", "transfer", "--size", "2MiB", "--runs", "1"];
        let output = run(&[&bench[..], &link].concat(), "");
        let (stdout, stderr) = said(&output);
        assert_eq!(code(&output), Some(0), "{stderr}");
        let result: Value = serde_json::from_str(stdout.trim_end()).expect("one line of JSON");
        assert_eq!(result["verified"], true);
        assert_eq!((&result["rate_bps"], &result["loss_percent"]), (&200_000_000.into(), &2.0.into()));
        assert_eq!(result["delay_ms"], 2.0);
        // Of 1,800 datagrams and their acknowledgements; the same decisions each time.
        assert!(result["link_lost"].as_u64().is_some_and(|lost| lost > 10), "{result}");
        assert!(result["retransmitted_bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), "{result}");
        assert!(result["link_dropped"].is_u64());
        assert!(result["link_lateness_us"]["mean"].as_u64() <= result["link_lateness_us"]["max"].as_u64());
        let share = result["goodput_share"].as_f64().expect("a share");
        assert!(share > 0.0 && share < 1.0, "no link carries more than its rate: {result}");
    }
}

#[test]
fn a_bench_with_a_limit_is_no_faster() {
    for runtime in RUNTIMES {
        let bench = ["bench", "transfer", "--size", "2MiB", "--runs", "1", "--limit", "20mbit"];
        let output = run(&[&["--runtime", runtime], &bench[..]].concat(), "");
        let (stdout, stderr) = said(&output);
        assert_eq!(code(&output), Some(0), "{stderr}");
        let result: Value = serde_json::from_str(stdout.trim_end()).expect("one line of JSON");
        assert_eq!((&result["verified"], &result["limit_bps"]), (&true.into(), &20_000_000.into()));
        // One packet of the largest size, and two milliseconds' worth, may leave at once.
        let most = 20_000_000 * (2 << 20) / ((2 << 20) - 70_000);
        assert!(result["goodput_bps"].as_u64().is_some_and(|rate| rate <= most), "{result}");
    }
}

#[test]
fn a_link_that_cannot_be_is_refused_in_a_sentence() {
    for (option, value, sentence) in [
        ("--loss", "51", "it is a number between 0 and 50, without a sign of percent"),
        ("--loss", "1%", "it is a number between 0 and 50, without a sign of percent"),
        ("--rate", "1gigabit", "'1gigabit' is no rate; say for instance 100mbit, 1gbit or 1000000"),
        ("--rate", "1kbit", "it is between 64kbit and 100gbit"),
        ("--limit", "0", "it is between 64kbit and 100gbit"),
        ("--delay", "soon", "'soon' is no duration; say for instance 10s, 500ms or 2m"),
        ("--delay", "11s", "it is at most 10s"),
    ] {
        let output = run(&["bench", "transfer", option, value], "");
        let (stdout, stderr) = said(&output);
        assert_eq!((code(&output), stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(sentence), "{option} {value}: {stderr}");
    }
}
