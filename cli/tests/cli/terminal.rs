//! A person at a terminal: the line editor, on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::run::{Server, toom};

#[test]
fn lines_that_are_typed_ahead_of_the_prompt_are_all_carried_out() {
    let mut server = Server::start("smol");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("its other end can be opened");
    unlockpt(&master).expect("its other end can be opened");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let terminal = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("a terminal");
    let args = server.client_args("yoda");
    let mut command = toom(&args.iter().map(String::as_str).chain(["--trust", "new"]).collect::<Vec<_>>());
    command.env("TERM", "xterm").stdin(Stdio::from(terminal())).stdout(Stdio::from(terminal())).stderr(Stdio::null());
    let mut client = command.spawn().expect("the binary starts");
    drop(command);

    let mut keyboard = File::from(master);
    let mut screen = keyboard.try_clone().expect("the terminal can be read");
    // Whoever writes to a terminal that nobody reads has to wait; reading ends with an error when it is closed.
    thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});

    server.activity("the login", |activity| activity["kind"] == "login");
    keyboard.write_all(b"BCM one\rBCM two\rBCM three\rOUT\r").expect("the terminal takes what is typed");
    for text in ["one", "two", "three"] {
        let heard = server.activity("a broadcast", |activity| activity["kind"] == "broadcast");
        assert_eq!(heard["text"], text);
    }
    assert_eq!(client.wait().expect("it ends").code(), Some(0));
}
