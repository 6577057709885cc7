//! The server as a service: what its manager is told, and what SIGHUP does.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::run::{RUNTIMES, Server, code, eventually, path, said};

#[test]
fn a_hangup_has_the_credentials_read_again_and_disturbs_nobody() {
    for runtime in RUNTIMES {
        let mut server = Server::start(runtime);
        let luke = crate::run::Client::start(&server, "luke", &[]);
        let file = server.dir.path().join("credentials.txt");
        let append = |line: &str| {
            let mut file = OpenOptions::new().append(true).open(&file).expect("the file");
            writeln!(file, "{line}").expect("written");
        };
        append("a;b is no name");
        server.signal("-HUP");
        // The mistake is said, and nothing ends; then the file is right.
        server.stderr_line("was not read again");
        fs::write(&file, "han han-password\n").expect("the file");
        fs::write(server.dir.path().join("han"), "han-password\n").expect("a file");
        server.signal("-HUP");
        eventually("a login with the new account", || code(&server.client("han", &["--json"], "")) == Some(0));
        let output = server.client("yoda", &["--json"], "ATU\n");
        assert!(said(&output).0.contains("luke"), "{:?}", said(&output));
        drop(luke);
        assert_eq!(server.stop("-TERM").0, Some(0));
    }
}

#[test]
fn the_service_manager_hears_when_it_is_ready_and_when_it_stops() {
    for runtime in RUNTIMES {
        let folder = tempfile::tempdir().expect("a folder");
        let address = folder.path().join("notify");
        let socket = UnixDatagram::bind(&address).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let server = Server::start_with_environment(runtime, &[("NOTIFY_SOCKET", path(&address))]);
        let told = || {
            let mut datagram = [0; 256];
            let length = socket.recv(&mut datagram).expect("a datagram");
            String::from_utf8_lossy(&datagram[..length]).into_owned()
        };
        assert!(told().starts_with("READY=1\n"));
        server.signal("-HUP");
        assert!(told().starts_with("STATUS="));
        assert!(told().starts_with("READY=1\n"));
        assert_eq!(server.stop("-TERM").0, Some(0));
        assert_eq!(told(), "STOPPING=1");
    }
}
