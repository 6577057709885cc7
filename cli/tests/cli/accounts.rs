//! Accounts: imported, added and removed, also while a server runs.

use std::fs;

use crate::run::{Client, RUNTIMES, Server, code, events, path, run, said};

#[test]
fn accounts_are_added_changed_listed_and_removed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = path(dir.path());
    let user = |args: &[&str], input: &str| run(&[&["user"], args, &["--data", data]].concat(), input);
    assert_eq!(code(&user(&["add", "yoda"], "wise\n")), Some(0));
    assert_eq!(code(&user(&["add", "Yoda"], "wise\n")), Some(0), "names are case-sensitive");
    for (args, input, exit, part) in [
        (&["add", "yoda"][..], "wise\n", 1, "already"),
        (&["add", "luke"], "", 1, "No password"),
        (&["add", "luke"], "\n", 1, "empty"),
        (&["passwd", "luke"], "x\n", 1, "no account luke"),
        (&["remove", "luke"], "", 1, "no account luke"),
        (&["add", "a;b"], "x\n", 2, "cannot contain"),
    ] {
        let output = user(args, input);
        assert_eq!(code(&output), Some(exit), "{args:?}");
        assert!(said(&output).1.contains(part), "{args:?}: {:?}", said(&output));
    }
    assert_eq!(code(&user(&["passwd", "yoda"], "wiser\n")), Some(0));
    assert_eq!(said(&user(&["list"], "")).0, "Yoda\nyoda\n");
    assert_eq!(code(&user(&["remove", "Yoda"], "")), Some(0));
    assert_eq!(events(&user(&["list", "--json"], ""))[0]["users"], serde_json::json!(["yoda"]));
}

#[test]
fn passwords_come_from_files_and_descriptors() {
    let server = Server::start("smol");
    let data = server.data();
    let file = server.dir.path().join("new");
    fs::write(&file, "from a file \nsecond line\n").expect("a file");
    let add = ["user", "add", "han", "--data", path(&data), "--password-file", path(&file)];
    assert_eq!(code(&run(&add, "")), Some(0));
    let add = ["user", "add", "chewie", "--data", path(&data), "--password-fd", "0"];
    assert_eq!(code(&run(&add, "grr\n")), Some(0));
    for (name, password) in [("han", "from a file \n"), ("chewie", "grr\nOUT\n")] {
        let output = run(&["client", &server.address, "--user", name, "--password-fd", "0", "--json"], password);
        assert_eq!(code(&output), Some(0), "{name}: {:?}", said(&output));
    }
}

#[test]
fn a_running_server_hears_of_accounts_that_are_added_and_removed() {
    for runtime in RUNTIMES {
        // A slow machine may need another try, and too many would block the name.
        let server = Server::start_with(runtime, &["--attempts", "5"]);
        let data = server.data();
        let output = run(&["user", "add", "han", "--data", path(&data)], "falcon\n");
        assert_eq!(code(&output), Some(0), "{:?}", said(&output));
        let log_in = || run(&["client", &server.address, "--user", "han", "--json"], "falcon\n");
        crate::run::eventually("a login with the new account", || code(&log_in()) == Some(0));

        let yoda = Client::start(&server, "yoda", &[]);
        assert_eq!(code(&run(&["user", "remove", "yoda", "--data", path(&data)], "")), Some(0));
        assert_eq!(yoda.end(), Some(4), "a removed account's session ends");
        assert_eq!(code(&server.client("yoda", &[], "")), Some(3));
    }
}

#[test]
fn a_running_server_hears_of_a_changed_password_and_open_sessions_stay() {
    for runtime in RUNTIMES {
        let server = Server::start_with(runtime, &["--attempts", "5"]);
        let data = server.data();
        let mut luke = Client::start(&server, "luke", &[]);
        assert_eq!(code(&run(&["user", "passwd", "luke", "--data", path(&data)], "new\n")), Some(0));
        let log_in = |password: &str| {
            let output = run(&["client", &server.address, "--user", "luke", "--json"], password);
            events(&output)[0]["reason"].clone()
        };
        // Only the right password is told that.
        crate::run::eventually("the new password counts", || log_in("new\n") == "already_active");
        assert_eq!(log_in("luke-password\n"), "invalid_credentials");
        assert_eq!(luke.ask("ATU", "active_users")["users"], serde_json::json!([]));
    }
}

#[test]
fn a_file_of_accounts_that_everybody_can_read_is_told_and_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, file) = (dir.path().join("data"), dir.path().join("people"));
    fs::write(&file, "yoda wise\n").expect("a file");
    for (mode, is_told) in [(0o644, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a file of ours");
        let output = run(&["user", "import", path(&file), "--data", path(&data)], "");
        let (_, stderr) = said(&output);
        assert_eq!(code(&output), Some(0), "{stderr}");
        assert_eq!(stderr.contains("Everybody on this computer can read"), is_told, "{mode:o}: {stderr}");
        assert!(!stderr.contains("wise"), "{stderr}");
    }
    assert_eq!(said(&run(&["user", "list", "--data", path(&data)], "")).0, "yoda\n");
}

#[test]
fn the_credentials_file_adds_what_is_missing_at_each_start() {
    let server = Server::start("smol");
    let data = server.data();
    assert_eq!(code(&run(&["user", "passwd", "yoda", "--data", path(&data)], "changed\n")), Some(0));
    let (exit, dir) = server.stop("-TERM");
    assert_eq!(exit, Some(0));
    let credentials = dir.path().join("credentials.txt");
    let more = fs::read_to_string(&credentials).expect("a file") + "han it's a password with spaces \n";
    fs::write(&credentials, more).expect("a file");
    fs::write(dir.path().join("han"), "it's a password with spaces \n").expect("a file");
    let server = Server::start_in(dir, "smol", &[]);
    assert_eq!(code(&server.client("han", &[], "")), Some(0));
    assert_eq!(code(&server.client("yoda", &[], "")), Some(3), "an account that is there keeps its password");
}

#[test]
fn a_bad_line_of_the_credentials_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("credentials.txt");
    fs::write(&file, "yoda wise\nluke\n").expect("a file");
    let data = dir.path().join("data");
    for command in [
        &["server", "--listen", "127.0.0.1:0", "--credentials", path(&file), "--data", path(&data)][..],
        &["user", "import", path(&file), "--data", path(&data)],
    ] {
        let output = run(command, "");
        let (_, stderr) = said(&output);
        assert_eq!(code(&output), Some(2), "{stderr}");
        assert!(stderr.contains("Line 2 ") && !stderr.contains("wise"), "{stderr}");
    }
    let missing = dir.path().join("missing");
    let output = run(&["server", "--credentials", path(&missing), "--data", path(&data)], "");
    assert_eq!(code(&output), Some(1), "{:?}", said(&output));
    assert_eq!(said(&run(&["user", "list", "--data", path(&data)], "")).0, "", "nothing was added");
}
