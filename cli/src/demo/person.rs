//! One of the people of the demo: a client, and what it was told.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{ClientConfig, TransferConfig};
use toom_core::secure::{Password, PublicKey, SecretKey};

use crate::exit::Failure;
use crate::line::{failure, human, json};
use crate::runtime::{Client, Runtime};
use crate::{output, random};

/// On one machine everything happens within moments. Whoever hears nothing for so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the people.
pub(super) struct Person {
    /// Their name.
    pub(super) name: &'static str,
    /// The driver of their client.
    pub(super) runtime: Runtime,
    /// Where received files are put.
    pub(super) downloads: PathBuf,
    client: Client,
    events: Receiver<Event>,
}

impl Person {
    /// Connects. With `show`, everything they are told is printed as JSON.
    pub(super) fn connect(
        name: &'static str,
        runtime: Runtime,
        (server, server_key): (String, PublicKey),
        downloads: PathBuf,
        show: bool,
    ) -> Result<Person, Failure> {
        std::fs::create_dir_all(&downloads).map_err(super::no_room)?;
        let (told, events) = mpsc::channel();
        let config = ClientConfig {
            server,
            udp_port: 0,
            downloads: downloads.clone(),
            accept: AcceptPolicy::All,
            device: SecretKey::new(random::bytes()?),
            server_key: Some(server_key),
            known_people: None,
            seed: random::bytes()?,
            reconnect: false,
            transfers: TransferConfig::default(),
        };
        let connected = runtime.connect(config, move |event| {
            if show {
                let mut object = json::render(&event, name);
                object["person"] = name.into();
                let _ = output::line(&object.to_string());
            }
            // Nobody waits any more once the story is over.
            let _ = told.send(event);
        });
        let client = connected.map_err(|error| Failure::failed(format!("{name} cannot connect: {error}.")))?;
        Ok(Person { name, runtime, downloads, client, events })
    }

    /// Logs in, and says the UDP port.
    pub(super) fn log_in(&self, password: Password) -> Result<u16, Failure> {
        self.command(Command::Login { name: self.name.into(), password });
        self.wait("the login", |event| match event {
            Event::Welcome { udp_port, .. } => Some(*udp_port),
            _ => None,
        })
    }

    /// Asks for something.
    pub(super) fn command(&self, command: Command) {
        self.client.command(command);
    }

    /// Waits for the first event in which `find` finds something; `what` says in words what it waits for.
    pub(super) fn wait<T>(&self, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> Result<T, Failure> {
        let name = self.name;
        loop {
            let Ok(event) = self.events.recv_timeout(PATIENCE) else {
                let seconds = PATIENCE.as_secs();
                return Err(Failure::failed(format!("{name} waited {seconds} seconds for {what}, in vain.")));
            };
            if let Some(found) = find(&event) {
                return Ok(found);
            }
            let bad = match &event {
                Event::Error(why) => Some(format!("{}.", failure::sentence(why))),
                Event::LoginFailed(_) | Event::ConnectionLost { .. } => human::render(&event, AcceptPolicy::All),
                Event::Transfer(transfer) if matches!(transfer.state, TransferState::Failed(_)) => {
                    human::render(&event, AcceptPolicy::All)
                }
                _ => None,
            };
            if let Some(why) = bad {
                return Err(Failure::failed(format!("{name} waited for {what}, but: {why}")));
            }
        }
    }

    /// Logs out and closes everything.
    pub(super) fn leave(self) -> Result<(), Failure> {
        self.command(Command::Logout);
        self.wait("the goodbye", |event| matches!(event, Event::Bye { .. }).then_some(()))?;
        self.client.join();
        Ok(())
    }
}
