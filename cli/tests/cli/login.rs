//! Logging in, and being refused.

use crate::run::{Client, RUNTIMES, Server, code, events, path, run, said};

#[test]
fn a_wrong_password_is_asked_for_again_until_the_user_is_blocked() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let output = run(&["--runtime", runtime, "client", &server.address], "leia\na\nb\nc\nleia-password\nATU\n");
        let (stdout, _) = said(&output);
        assert_eq!(code(&output), Some(3), "{stdout}");
        assert_eq!(stdout.matches("Password: ").count(), 3, "{stdout}");
        assert!(stdout.starts_with("Username: ") && stdout.contains("blocked"), "{stdout}");
        assert!(!stdout.contains("Welcome"), "{stdout}");

        // Meanwhile the right password does not help.
        let output = server.client("leia", &["--json"], "");
        let events = events(&output);
        assert_eq!((code(&output), events.len()), (Some(3), 1), "{events:?}");
        assert_eq!(events[0]["reason"], "blocked");
        assert!(events[0]["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 10_000));
        // Nobody else is concerned.
        assert_eq!(code(&server.client("yoda", &[], "OUT\n")), Some(0));
    }
}

#[test]
fn a_wrong_password_may_be_corrected() {
    let server = Server::start("smol");
    let output = run(&["client", &server.address, "--user", "yoda", "--json"], "wrong\nyoda-password\nATU\n");
    let names: Vec<_> =
        events(&output).iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(names, ["login_failed", "welcome", "active_users", "bye"]);
    assert_eq!(code(&output), Some(0));
}

#[test]
fn a_password_from_a_file_is_tried_once() {
    let server = Server::start("std");
    let wrong = server.dir.path().join("wrong");
    std::fs::write(&wrong, "wrong\n").expect("a file");
    for name in ["yoda", "nobody"] {
        let args = ["client", &server.address, "--user", name, "--password-file", path(&wrong), "--json"];
        let output = run(&args, "yoda-password\nATU\n");
        let events = events(&output);
        assert_eq!((code(&output), events.len()), (Some(3), 1), "{events:?}");
        assert_eq!(events[0]["reason"], "invalid_credentials");
    }
}

#[test]
fn the_number_of_attempts_is_that_of_the_option() {
    let server = Server::start_with("smol", &["--attempts", "1", "--block", "1h"]);
    let output = run(&["client", &server.address, "--user", "yoda", "--json"], "wrong\nyoda-password\n");
    let events = events(&output);
    assert_eq!((code(&output), events.len()), (Some(3), 1), "{events:?}");
    assert_eq!(events[0]["reason"], "blocked");
    assert!(events[0]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 3_500_000), "{events:?}");
}

#[test]
fn someone_who_is_active_already_is_refused() {
    let server = Server::start("std");
    let yoda = Client::start(&server, "yoda", &[]);
    let output = server.client("yoda", &["--json"], "");
    let events = events(&output);
    assert_eq!((code(&output), events.len()), (Some(3), 1), "{events:?}");
    assert_eq!(events[0]["reason"], "already_active");
    assert_eq!(yoda.finish(), Some(0));
}

#[test]
fn an_input_that_ends_before_the_login_is_no_login() {
    let server = Server::start("smol");
    for (input, shown) in [("", "Username: \n"), ("yoda\n", "Username: \nPassword: \n")] {
        let output = run(&["client", &server.address], input);
        let sentence = "The input has ended before anybody was logged in.\n";
        assert_eq!((code(&output), said(&output)), (Some(1), (shown.to_owned(), sentence.to_owned())));
    }
    assert_eq!(code(&run(&["client", &server.address], "yoda\nwrong\n")), Some(3));
    assert_eq!(code(&server.client("yoda", &[], "")), Some(0));
}

#[test]
fn users_are_told_how_many_logins_failed_since_their_last_one() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let fail = || run(&["client", &server.address, "--user", "yoda", "--password-fd", "0", "--json"], "wrong\n");
        let told = || events(&server.client("yoda", &["--json"], ""))[0]["failed_logins"].clone();
        assert_eq!(told(), 0);
        assert_eq!((code(&fail()), code(&fail())), (Some(3), Some(3)));
        assert_eq!((told(), told()), (2.into(), 0.into()));
        fail();
        let (stdout, _) = said(&server.client("yoda", &[], "ATU\n"));
        let sentence = "1 failed attempt to log in as yoda since your last login.";
        assert_eq!(stdout.matches(sentence).count(), 1, "{stdout}");
        let (stdout, _) = said(&server.client("yoda", &[], "ATU\n"));
        assert!(!stdout.contains("failed"), "{stdout}");
    }
}

#[test]
fn a_user_who_posts_more_than_the_server_allows_is_told_when_to_go_on() {
    // One long message at once, and then nothing for an hour.
    let server = Server::start_with("smol", &["--post-bytes-rate", "1"]);
    let post = format!("BCM {}\n", "x".repeat(10_000));
    let output = server.client("yoda", &["--json"], &post.repeat(2));
    let events = events(&output);
    let sent = events.iter().filter(|event| event["event"] == "sent").count();
    let error = events.iter().find(|event| event["event"] == "error").expect("an error");
    assert_eq!((sent, &error["code"]), (1, &"rate_limited".into()), "{events:?}");
    assert!(error["retry_after_ms"].as_u64().is_some_and(|ms| ms > 3_000_000), "{error}");
    let (stdout, _) = said(&server.client("yoda", &[], &post));
    assert!(stdout.contains("Error. You are sending more than this server allows; try again in"), "{stdout}");

    let server = Server::start_with("smol", &["--post-bytes-rate", "0", "--post-rate", "0"]);
    let output = server.client("yoda", &["--json"], &post.repeat(20));
    assert!(said(&output).0.matches("\"sent\"").count() == 20, "{:?}", said(&output));
}
