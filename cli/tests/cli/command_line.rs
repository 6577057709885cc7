//! Usage, help, and what fails before anything is started.

use std::net::{TcpListener, UdpSocket};

use crate::run::{RUNTIMES, Server, code, path, run, said, toom};

#[test]
fn without_arguments_help_is_shown() {
    let output = run(&[], "");
    let (_, stderr) = said(&output);
    assert_eq!(code(&output), Some(2));
    assert!(stderr.contains("Usage: toom") && stderr.contains("server") && stderr.contains("client"), "{stderr}");
    let help = run(&["--help"], "");
    assert_eq!(code(&help), Some(0));
    assert!(!said(&help).0.contains("bench-transfer-end"));
}

#[test]
fn usage_errors_exit_with_2() {
    for args in [
        &["nonsense"][..],
        &["server", "--listen", "nowhere"],
        &["server", "--block", "soon"],
        &["client"],
        &["client", "host:port"],
        &["client", "host", "--password-file", "a", "--password-fd", "3"],
        &["--runtime", "tokio", "demo"],
        &["bench", "transfer", "--payload", "10"],
        &["user", "add", "a b"],
    ] {
        let output = run(args, "");
        assert_eq!(code(&output), Some(2), "{args:?}: {:?}", said(&output));
    }
}

#[test]
fn attempts_outside_1_to_5_are_refused_in_the_words_of_the_assignment() {
    for value in ["0", "6", "-1", "two", "2.0", ""] {
        let output = run(&["server", "--attempts", value], "");
        let (stdout, stderr) = said(&output);
        assert_eq!(code(&output), Some(2));
        assert_eq!(stdout, "");
        assert_eq!(
            stderr.trim_end(),
            format!(
                "Invalid number of allowed failed consecutive attempt: {value}. The valid value of argument number is \
                 an integer between 1 and 5"
            )
        );
    }
}

#[test]
fn options_come_from_the_environment_too_and_the_flag_wins() {
    let mut command = toom(&["server"]);
    command.env("TOOM_ATTEMPTS", "9");
    let output = crate::run::feed(command, "");
    assert!(said(&output).1.contains("attempt: 9."), "{:?}", said(&output));
    let mut command = toom(&["server", "--attempts", "8"]);
    command.env("TOOM_ATTEMPTS", "9");
    let output = crate::run::feed(command, "");
    assert!(said(&output).1.contains("attempt: 8."), "{:?}", said(&output));
}

#[test]
fn an_unreachable_server_exits_with_4() {
    // Nobody listens on a port that was free a moment ago and is only bound for UDP.
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = udp.local_addr().expect("an address").to_string();
    for runtime in RUNTIMES {
        for address in [address.as_str(), "name.invalid"] {
            let output = run(&["--runtime", runtime, "client", address, "--user", "yoda"], "password\n");
            let (stdout, stderr) = said(&output);
            assert_eq!(code(&output), Some(4), "{runtime} {address}: {stderr}");
            assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{stderr}");
        }
    }
}

#[test]
fn a_port_in_use_exits_with_1_and_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for runtime in RUNTIMES {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        let output = run(&["--runtime", runtime, "server", "--listen", &address, "--data", path(&data)], "");
        let (_, stderr) = said(&output);
        assert_eq!(code(&output), Some(1), "{stderr}");
        assert!(stderr.contains(&address) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start("smol");
    let data = server.data();
    let output = run(&["server", "--listen", "127.0.0.1:0", "--data", path(&data)], "");
    let (_, stderr) = said(&output);
    assert_eq!((code(&output), stderr.lines().count()), (Some(1), 1), "{stderr}");
}

#[test]
fn a_file_for_the_demo_that_cannot_be_sent_exits_with_1_and_a_sentence() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dir.path().join("missing");
    for file in [path(&missing), path(dir.path()), "/dev/null"] {
        let output = run(&["demo", file], "");
        let (stdout, stderr) = said(&output);
        assert_eq!(code(&output), Some(1), "{stderr}");
        assert!(stdout.is_empty() && stderr.contains(file) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_missing_download_directory_or_password_is_said_before_connecting() {
    let output = run(&["client", "127.0.0.1:1", "--password-file", "/nonexistent/password"], "");
    assert_eq!(code(&output), Some(1), "{:?}", said(&output));
    let output = run(&["client", "127.0.0.1:1", "--downloads", "/nonexistent/directory"], "");
    assert_eq!(code(&output), Some(1), "{:?}", said(&output));
}
