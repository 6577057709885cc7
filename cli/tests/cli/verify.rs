//! The keys of people: compared, pinned in a file, and missed when they are others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Client, RUNTIMES, Server, code, events, feed, path, said, toom};

/// Homes and folders of downloads of some devices.
struct Devices(TempDir);

impl Devices {
    fn new() -> Devices {
        Devices(tempfile::tempdir().unwrap())
    }

    fn downloads(&self, device: &str) -> PathBuf {
        let folder = self.0.path().join(format!("downloads of {device}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn known_people(&self, device: &str) -> PathBuf {
        self.0.path().join(device).join("toom/client/known_people")
    }

    fn client(&self, device: &str, server: &Server, name: &str) -> Client {
        let folder = self.downloads(device);
        let options = ["--accept", "all", "--downloads", path(&folder)];
        Client::start_at(&self.0.path().join(device), server, name, &options)
    }

    fn script(&self, device: &str, server: &Server, name: &str, more: &[&str], input: &str) -> Output {
        let args = server.client_args(name);
        let mut command = toom(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>());
        command.env("XDG_DATA_HOME", self.0.path().join(device));
        feed(command, input)
    }
}

fn film(devices: &Devices) -> String {
    let film = devices.0.path().join("film.mp4");
    fs::write(&film, vec![7; 100_000]).unwrap();
    path(&film).to_owned()
}

fn transfer(client: &mut Client, state: &str) -> Value {
    client.find(state, |event| event["event"] == "transfer" && event["state"] == state)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn two_people_compare_and_pin_each_other_and_another_device_is_refused_both_ways() {
    for runtime in RUNTIMES {
        let (server, devices) = (Server::start(runtime), Devices::new());
        let film = film(&devices);
        let mut yoda = devices.client("hut", &server, "yoda");
        let mut luke = devices.client("farm", &server, "luke");
        let number = yoda.ask("VERIFY luke", "safety_number");
        assert_eq!((&number["user"], &number["verified"]), (&"luke".into(), &false.into()));
        assert_eq!((&number["devices"], &number["own_devices"]), (&1.into(), &1.into()));
        assert_eq!(luke.ask("/verify yoda", "safety_number")["number"], number["number"]);
        assert_eq!(yoda.ask("VERIFY luke yes", "safety_number")["verified"], true);
        assert_eq!(luke.ask("VERIFY yoda yes", "safety_number")["verified"], true);
        yoda.type_line(&format!("UPD luke {film}"));
        assert_eq!(transfer(&mut luke, "done")["saved_as"], "yoda_film.mp4");
        transfer(&mut yoda, "done");
        let known = devices.known_people("hut");
        let text = fs::read_to_string(&known).unwrap();
        assert!(text.starts_with(&format!("{} luke verified ", server.key)), "{text}");
        assert_eq!(mode(&known), 0o600);

        assert_eq!(luke.finish(), Some(0));
        let mut luke = devices.client("tower", &server, "luke");
        let refused = yoda.ask(&format!("UPD luke {film}"), "error");
        assert_eq!((&refused["code"], &refused["user"]), (&"peer_key_changed".into(), &"luke".into()));
        assert_eq!(yoda.finish(), Some(8), "a script whose file was refused");

        let mut yoda = devices.client("hut", &server, "yoda");
        luke.type_line(&format!("UPD yoda {film}"));
        let changed = yoda.event("peer_key_changed");
        assert_eq!(
            (&changed["user"], &changed["verified"], &changed["key"]),
            (&"luke".into(), &true.into(), &refused["key"])
        );
        assert_eq!(transfer(&mut luke, "failed")["reason"], "rejected");
        assert_eq!(yoda.finish(), Some(8));
        assert_eq!(luke.finish(), Some(0), "who was rejected has met nobody with another key");
        assert_eq!(fs::read_dir(devices.downloads("hut")).unwrap().count(), 0);
    }
}

#[test]
fn a_device_that_changed_and_was_never_verified_is_told_and_waits_for_the_person() {
    for runtime in RUNTIMES {
        let (server, devices) = (Server::start(runtime), Devices::new());
        let film = film(&devices);
        let mut yoda = devices.client("hut", &server, "yoda");
        let mut luke = devices.client("farm", &server, "luke");
        luke.type_line(&format!("UPD yoda {film}"));
        transfer(&mut yoda, "done");
        transfer(&mut luke, "done");
        assert_eq!(luke.finish(), Some(0));
        let mut luke = devices.client("tower", &server, "luke");
        luke.type_line(&format!("UPD yoda {film}"));
        assert_eq!(yoda.event("peer_key_changed")["verified"], false);
        let offer = yoda.event("offer");
        let answer = yoda.ask(&format!("ACCEPT {}", offer["id"]), "offer_answered");
        assert_eq!(answer["accepted"], true, "it had not been accepted before");
        transfer(&mut yoda, "done");
        assert_eq!((yoda.finish(), luke.finish()), (Some(0), Some(0)));
        assert!(fs::read_to_string(devices.known_people("hut")).unwrap().contains(" luke met "));
    }
}

#[test]
fn line_mode_says_what_to_compare_and_what_is_wrong() {
    let (server, devices) = (Server::start("smol"), Devices::new());
    let luke = devices.client("farm", &server, "luke");
    let shown = devices.script("hut", &server, "yoda", &[], "VERIFY luke\nVERIFY luke no\nVERIFY leia\nVERIFY yoda\n");
    let (stdout, stderr) = said(&shown);
    assert_eq!(code(&shown), Some(0), "{stderr}");
    for words in [
        "The safety number of you and luke is\n  ",
        "It is of 1 device of luke and 1 device of yours. Compare it with luke",
        "Only yes can follow the user; the usage is: VERIFY user [yes]",
        "leia has never logged in from any device",
        "This cannot be done with yourself",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    drop(luke);
}

#[test]
fn a_file_of_known_people_that_makes_no_sense_is_told_and_left_as_it_is() {
    for runtime in RUNTIMES {
        let (server, devices) = (Server::start(runtime), Devices::new());
        assert_eq!(code(&devices.script("hut", &server, "yoda", &[], "OUT\n")), Some(0));
        let known = devices.known_people("hut");
        fs::write(&known, "this is no line\n").unwrap();
        let refused = devices.script("hut", &server, "yoda", &["--json"], "OUT\n");
        let (_, stderr) = said(&refused);
        assert_eq!((code(&refused), events(&refused).len()), (Some(1), 0));
        assert!(stderr.contains("known_people cannot be used: its line 1 makes no sense"), "{stderr}");
        assert_eq!(fs::read_to_string(&known).unwrap(), "this is no line\n");
    }
}
