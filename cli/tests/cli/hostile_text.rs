//! What others write, on its way to people's terminals, logs and folders; and names that deceive.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::run::{Client, RUNTIMES, Server, code, events, eventually, path, run, said, toom};

/// A title, a colour, the order of letters, something unseen, and accents upon accents.
const HOSTILE: &str = "a\u{1b}]0;owned\u{7}b\u{1b}[31mc\u{202e}d\u{200b}e\u{301}\u{301}\u{301}\u{301}\u{301}\u{9b}2Jf";
const SHOWN: &str = "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{301}\u{301}\u{301}\u{301}\u{fffd}f";

#[test]
fn a_hostile_text_is_harmless_in_line_mode_and_whole_in_json() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let posted = server.client("yoda", &["--json"], &format!("BCM {HOSTILE}\n"));
        assert_eq!(events(&posted)[1]["event"], "sent");
        let read = "RDM b 1 Jun 2022 16:00:00\n";
        assert_eq!(events(&server.client("luke", &["--json"], read))[1]["messages"][0]["text"], HOSTILE);
        let (stdout, stderr) = said(&server.client("luke", &[], read));
        assert!(stdout.contains(&format!("yoda: {SHOWN}\n")), "{stdout:?}");
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!stdout.contains(steers) && !stderr.contains(steers), "{stdout:?} {stderr:?}");

        let log = server.data().join("logs/messagelog.txt");
        let row = || fs::read_to_string(&log).unwrap_or_default();
        eventually("a row of the message log", || row().ends_with('\n'));
        assert!(!row().contains(steers) && row().contains("a\u{fffd}]0\\;owned\u{fffd}b"), "{:?}", row());
    }
}

#[test]
fn the_server_s_own_terminal_is_not_steered_by_who_tries_to_log_in() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let credentials = dir.path().join("credentials.txt");
    fs::write(&credentials, "yoda wise\n").expect("a file");
    let out = dir.path().join("out");
    let data = dir.path().join("data");
    let data = path(&data);
    let mut server = toom(&["server", "--listen", "127.0.0.1:0", "--data", data, "--credentials", path(&credentials)])
        .stdout(fs::File::create(&out).expect("a file"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let shown = || fs::read_to_string(&out).unwrap_or_default();
    let address =
        || shown().lines().next()?.strip_prefix("The server is listening on ")?.strip_suffix('.').map(String::from);
    eventually("the server's address", || address().is_some());
    let client = ["client", &address().expect("an address"), "--user", "x\u{1b}]0;owned\u{7}y", "--json"];
    assert_eq!(code(&run(&client, "wrong\n")), Some(3));
    eventually("the failed login", || shown().contains("A login as "));
    let (last, _) = (shown().contains("A login as x\u{fffd}y from "), server.kill());
    server.wait().expect("it ends");
    assert!(last && !shown().contains('\u{1b}'), "{:?}", shown());
}

#[test]
fn an_error_about_a_hostile_path_is_harmless() {
    let output = run(&["demo", "/nowhere/\u{1b}]0;owned\u{7}x\u{202e}\nforged"], "");
    assert_eq!(said(&output).1, "There is no file /nowhere/\u{fffd}x\u{fffd}forged.\n");
    assert_eq!(code(&output), Some(1));
}

#[test]
fn a_name_that_looks_like_another_gets_no_account() {
    let server = Server::start("smol");
    let data = server.data();
    let add = |name: &str| run(&["user", "add", name, "--data", path(&data)], "secret\n");
    let twin = "yod\u{430}";
    let output = add(twin);
    let why =
        format!("The name {twin} looks like that of the account yoda, so it was not added; choose another name.\n");
    assert_eq!((code(&output), said(&output).1), (Some(1), why.clone()));
    for (name, exit) in
        [("user1", 0), ("userl", 0), ("yo\u{200b}da", 2), ("\u{301}x", 2), ("Zoe\u{308}", 0), ("Zo\u{eb}", 1)]
    {
        let output = add(name);
        assert_eq!(code(&output), Some(exit), "{name:?}: {:?}", said(&output));
    }

    let file = server.dir.path().join("more.txt");
    fs::write(&file, format!("han solo\n{twin} wise\n")).expect("a file");
    // Otherwise it is warned of first.
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("its owner's file");
    let output = run(&["user", "import", path(&file), "--data", path(&data)], "");
    assert_eq!((code(&output), said(&output).1), (Some(1), why.clone()));
    let names = events(&run(&["user", "list", "--data", path(&data), "--json"], ""))[0]["users"].clone();
    assert_eq!(
        names,
        serde_json::json!(["Zo\u{eb}", "leia", "luke", "user1", "userl", "yoda"]),
        "none of the file was added"
    );

    let (exit, dir) = server.stop("-TERM");
    assert_eq!(exit, Some(0));
    let data = dir.path().join("data");
    let output = run(&["server", "--listen", "127.0.0.1:0", "--data", path(&data), "--credentials", path(&file)], "");
    assert_eq!((code(&output), said(&output).1), (Some(1), why));
}

#[test]
fn accounts_are_found_however_their_letters_are_typed() {
    let server = Server::start("smol");
    let data = server.data();
    let user = |command: &str, name: &str| run(&["user", command, name, "--data", path(&data)], "secret\n");
    assert_eq!(code(&user("add", "Zoe\u{308}")), Some(0));
    assert_eq!(code(&user("passwd", "Zoe\u{308}")), Some(0));
    for name in ["Zoe\u{308}", "Zo\u{eb}"] {
        let output = run(&["client", &server.address, "--user", name, "--json"], "secret\nOUT\n");
        assert_eq!(events(&output)[0]["user"], "Zo\u{eb}", "{:?}", said(&output));
    }
    assert_eq!(code(&user("remove", "Zoe\u{308}")), Some(0));
    assert_eq!(code(&user("remove", "Zo\u{eb}")), Some(1));
}

#[test]
fn what_is_planted_in_the_download_folder_is_neither_followed_nor_replaced() {
    let server = Server::start("std");
    let elsewhere = server.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    fs::write(elsewhere.join("target"), "secret").expect("a file");
    let downloads = server.dir.path().join("downloads");
    fs::create_dir(&downloads).expect("a directory");
    std::os::unix::fs::symlink(elsewhere.join("target"), downloads.join("yoda_film.mp4")).expect("a link");
    std::os::unix::fs::symlink(elsewhere.join("nothing"), downloads.join("yoda_film (2).mp4")).expect("a link");
    std::os::unix::fs::symlink(&elsewhere, downloads.join("yoda_film (3).mp4")).expect("a link");
    let film = server.dir.path().join("film.mp4");
    fs::write(&film, "film").expect("a file");

    let mut luke = Client::start(&server, "luke", &["--downloads", path(&downloads), "--accept", "all"]);
    let mut yoda = Client::start(&server, "yoda", &[]);
    yoda.type_line(&format!("UPD luke {}", path(&film)));
    let done = luke.find("the end", |event| event["event"] == "transfer" && event["state"] == "done");
    assert_eq!(done["saved_as"], "yoda_film (4).mp4");
    assert_eq!(fs::read_to_string(downloads.join("yoda_film (4).mp4")).expect("a file"), "film");
    let left: Vec<_> = fs::read_dir(&elsewhere).expect("a directory").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["target"]);
    assert_eq!(fs::read_to_string(elsewhere.join("target")).expect("a file"), "secret");
}
