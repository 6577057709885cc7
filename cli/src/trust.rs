//! Connecting to a server that one trusts: its key is the one that was pinned, or somebody decides to pin it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use toom_core::client::event::Event;
use toom_core::config::ClientConfig;
use toom_core::secure::{PublicKey, SecretKey};
use toom_store::client::ClientError;
use toom_store::key_file;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::output;
use crate::runtime::Client;

/// What to do about a server whose key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trust {
    /// Show the key, and ask.
    Ask,
    /// Pin it.
    New,
    /// Refuse.
    Pinned,
}

impl Trust {
    /// As given; without that someone at a terminal is asked, and a script pins what it meets first.
    pub(crate) fn or_default(given: Option<Trust>, global: &Global) -> Trust {
        let asks = io::stdin().is_terminal() && !global.json;
        given.unwrap_or(if asks { Trust::Ask } else { Trust::New })
    }
}

/// The key of this device, in the client's folder, made if there is none.
pub(crate) fn device_key(folder: &Path) -> Result<SecretKey, Failure> {
    key_file::load_or_create(&folder.join("device_key")).map_err(|error| Failure::failed(format!("{error}.")))
}

/// Connects to `config.server` if its key is the pinned one; pins it if `trust` says so.
///
/// A key is shown before anything else is said to the server: for that the connection is ended, and made anew
/// expecting the key.
pub(crate) fn connect<E: FnMut(Event) + Send + 'static>(
    global: &Global,
    folder: &Path,
    trust: Trust,
    mut config: ClientConfig,
    on_event: impl Fn() -> E,
) -> Result<Client, Failure> {
    let server = config.server.clone();
    let known = KnownServers::read(folder.join("known_servers"))?;
    config.server_key = known.key(&server)?;
    let refused = match global.runtime.connect(config.clone(), on_event()) {
        Err(ClientError::UnknownKey(key)) => {
            decide(&server, key, trust)?;
            known.add(&server, key)?;
            config.server_key = Some(key);
            global.runtime.connect(config, on_event())
        }
        connected => connected,
    };
    refused.map_err(|error| match error {
        ClientError::Unreachable(why) => Failure::unreachable(why),
        ClientError::Local(why) => Failure::failed(why),
        ClientError::UnknownKey(key) => not_trusted(&server, key),
        ClientError::ChangedKey { expected, presented } => changed(&server, expected, presented, &known.shown()),
    })
}

/// Whether a key that is not known is to be trusted from now on.
fn decide(server: &str, key: PublicKey, trust: Trust) -> Result<(), Failure> {
    match trust {
        Trust::New => {
            // A script need not be told at each first meeting.
            if io::stderr().is_terminal() {
                output::note(&format!("The server at {server} has the key {key}; it is remembered."));
            }
            Ok(())
        }
        Trust::Pinned => Err(not_trusted(server, key)),
        Trust::Ask => match ask(server, key) {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_trusted(server, key)),
            Err(error) => Err(Failure::failed(format!("Nobody could be asked about the server's key: {error}."))),
        },
    }
}

fn ask(server: &str, key: PublicKey) -> io::Result<bool> {
    let mut terminal = io::stderr();
    writeln!(terminal, "The server at {server} is not known here. Its key is\n  {key}")?;
    writeln!(terminal, "Whoever runs it can tell you whether that is right.")?;
    loop {
        write!(terminal, "Trust it from now on? (yes/no) ")?;
        terminal.flush()?;
        let mut answer = String::new();
        if io::stdin().read_line(&mut answer)? == 0 {
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "yes" | "y" => return Ok(true),
            "no" | "n" => return Ok(false),
            _ => {}
        }
    }
}

fn not_trusted(server: &str, key: PublicKey) -> Failure {
    Failure {
        exit: Exit::KeyChanged,
        message: format!("The server at {server} is not trusted: its key {key} is not known here."),
    }
}

fn changed(server: &str, expected: PublicKey, presented: PublicKey, file: &str) -> Failure {
    Failure {
        exit: Exit::KeyChanged,
        message: format!(
            "THE KEY OF THE SERVER AT {server} HAS CHANGED. It was {expected} and now it is {presented}. Somebody \
             may be posing as the server, so nothing was said to it. If you know that it was set up anew, remove its \
             line from {file} and connect again."
        ),
    }
}
