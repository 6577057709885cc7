//! The keys of servers and devices: pinned at the first meeting, and missed when they are others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::run::{RUNTIMES, Server, code, events, feed, said, toom};

/// Runs a client of `server` whose home is `home`.
fn client(server: &Server, home: &Path, more: &[&str], input: &str) -> Output {
    let args = server.client_args("yoda");
    let mut command = toom(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>());
    command.env("XDG_DATA_HOME", home);
    feed(command, input)
}

fn known_servers(home: &Path) -> String {
    fs::read_to_string(home.join("toom/client/known_servers")).unwrap_or_default()
}

#[test]
fn a_server_is_remembered_at_the_first_meeting_and_shown_in_the_welcome() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let home = tempfile::tempdir().unwrap();
        let first = client(&server, home.path(), &["--json"], "OUT\n");
        assert_eq!(code(&first), Some(0), "{:?}", said(&first));
        assert_eq!(events(&first)[0]["server_key"], server.key.as_str());
        assert_eq!(known_servers(home.path()), format!("{} {}\n", server.address, server.key));

        let second = client(&server, home.path(), &["--json", "--trust", "pinned"], "OUT\n");
        assert_eq!((code(&second), said(&second).1), (Some(0), String::new()));
        assert_eq!(events(&second)[0]["server_key"], server.key.as_str());
    }
}

#[test]
fn a_server_with_another_key_is_told_nothing() {
    for runtime in RUNTIMES {
        let server = Server::start(runtime);
        let (address, old_key, home) = (server.address.clone(), server.key.clone(), tempfile::tempdir().unwrap());
        assert_eq!(code(&client(&server, home.path(), &[], "OUT\n")), Some(0));
        let before = known_servers(home.path());
        let (_, dir) = server.stop("-TERM");
        fs::remove_dir_all(dir.path().join("data")).unwrap();
        let mut server = Server::start_at(&address, dir, runtime, &[]);
        assert_ne!(server.key, old_key);
        for trust in ["new", "pinned", "ask"] {
            let refused = client(&server, home.path(), &["--trust", trust], "yes\nOUT\n");
            let (stdout, stderr) = said(&refused);
            assert_eq!((code(&refused), stdout.as_str()), (Some(8), ""), "{stderr}");
            assert!(stderr.contains(&old_key) && stderr.contains(&server.key), "{stderr}");
            assert!(stderr.contains("known_servers"), "it says what can be done: {stderr}");
            assert!(!stderr.contains('\u{fffd}'), "nothing in it is taken for harm: {stderr}");
        }
        assert_eq!(known_servers(home.path()), before);
        // It saw nobody log in before this one, who has a home of their own.
        assert_eq!(code(&server.client("luke", &[], "OUT\n")), Some(0));
        assert_eq!(server.activity("a login", |activity| activity["kind"] == "login")["user"], "luke");
    }
}

#[test]
fn a_key_that_is_not_known_is_refused_or_asked_about() {
    let server = Server::start("smol");
    let home = tempfile::tempdir().unwrap();
    let refused = client(&server, home.path(), &["--trust", "pinned"], "OUT\n");
    assert_eq!(code(&refused), Some(8), "{:?}", said(&refused));
    assert!(said(&refused).1.contains(&server.key));
    for answer in ["no\n", "maybe\nno\n", ""] {
        let refused = client(&server, home.path(), &["--trust", "ask"], answer);
        assert_eq!(code(&refused), Some(8), "{:?}", said(&refused));
    }
    assert_eq!(known_servers(home.path()), "");
    let trusted = client(&server, home.path(), &["--trust", "ask"], "yes\n");
    assert_eq!(code(&trusted), Some(0), "{:?}", said(&trusted));
    assert!(known_servers(home.path()).contains(&server.key));
}

#[test]
fn keys_are_for_their_owner_only_and_stay_the_same() {
    let server = Server::start("std");
    let home = tempfile::tempdir().unwrap();
    assert_eq!(code(&client(&server, home.path(), &[], "OUT\n")), Some(0));
    let device = home.path().join("toom/client/device_key");
    for path in [&device, &server.data().join("server_key")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let before = fs::read(&device).unwrap();
    assert_eq!(code(&client(&server, home.path(), &[], "OUT\n")), Some(0));
    assert_eq!(fs::read(&device).unwrap(), before);
    fs::set_permissions(&device, PermissionsExt::from_mode(0o644)).unwrap();
    let refused = client(&server, home.path(), &[], "OUT\n");
    assert_eq!(code(&refused), Some(1));
    assert!(said(&refused).1.contains("chmod 600"), "{:?}", said(&refused));

    let key = server.key.clone();
    let (_, dir) = server.stop("-TERM");
    assert_eq!(Server::start_in(dir, "smol", &[]).key, key);
}
