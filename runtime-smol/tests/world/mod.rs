//! A server and people on real sockets, for the tests beside this directory.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{ClientConfig, ServerConfig, TransferConfig};
use toom_core::id::RequestId;
use toom_core::link::{Arrived, Identity, Input, Link};
use toom_core::name::UserName;
use toom_core::secure::{HashCost, Password, PasswordHash, PublicKey, SecretKey, Suite};
use toom_core::server::fact::Fact;
use toom_core::time::Instant as Start;
use toom_core::wire::codec;
use toom_core::wire::limits::{DEFAULT_ATTEMPTS, DEFAULT_BLOCK, DEFAULT_GRACE};
use toom_core::wire::message::{Request, RequestBody, ServerMessage};
use toom_smol::client::{self, Client};
use toom_smol::server::{self, Server};

/// After this a wait fails; everything here takes milliseconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Any free port, for this computer only.
pub(crate) const LOCAL: &str = "127.0.0.1:0";

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a password";

/// A running server with some accounts.
pub(crate) struct World {
    pub(crate) server: Option<Server>,
    pub(crate) listen: SocketAddr,
    pub(crate) directory: TempDir,
    /// How long sessions outlive their connection; people come back if they do.
    grace: Duration,
}

impl World {
    pub(crate) fn new(names: &[&str]) -> World {
        World::at(LOCAL.parse().unwrap(), names)
    }

    pub(crate) fn at(listen: SocketAddr, names: &[&str]) -> World {
        World::with_grace(listen, names, Duration::ZERO)
    }

    /// A server whose sessions outlive their connections; it stays at its port.
    pub(crate) fn resumable(names: &[&str]) -> World {
        let mut world = World::with_grace(LOCAL.parse().unwrap(), names, DEFAULT_GRACE);
        world.listen = world.server().address();
        world
    }

    fn with_grace(listen: SocketAddr, names: &[&str], grace: Duration) -> World {
        let directory = tempfile::tempdir().unwrap();
        let hash = PasswordHash::new(&Password(PASSWORD.into()), [1; 16], HashCost::Trivial);
        let account = |name: &&str| Fact::AccountAdded { name: user(name), hash: hash.clone() };
        let facts: Vec<Fact> = names.iter().map(account).collect();
        toom_store::log::append(&directory.path().join("data"), &facts).unwrap();
        let mut world = World { server: None, listen, directory, grace };
        world.restart();
        world
    }

    /// Stops the server if it runs, and starts another one on the same data.
    pub(crate) fn restart(&mut self) {
        self.server.take().into_iter().for_each(Server::stop);
        self.server = Some(server::start(self.config(), |_| {}).unwrap());
    }

    pub(crate) fn config(&self) -> ServerConfig {
        ServerConfig {
            listen: self.listen,
            data: self.directory.path().join("data"),
            attempts: DEFAULT_ATTEMPTS,
            block: DEFAULT_BLOCK,
            post_rates: toom_core::server::PostRates::default(),
            keep: None,
            grace: self.grace,
        }
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Someone who has connected, and accepts every file.
    pub(crate) fn connect(&self) -> Person {
        let (sender, events) = mpsc::channel();
        let downloads = tempfile::tempdir_in(self.directory.path()).unwrap();
        let config = ClientConfig {
            server: self.server().address().to_string(),
            udp_port: 0,
            downloads: downloads.path().to_owned(),
            accept: AcceptPolicy::All,
            device: SecretKey::new(rand_seed()),
            server_key: Some(self.server().key()),
            known_people: None,
            seed: rand_seed(),
            reconnect: self.grace > Duration::ZERO,
            transfers: TransferConfig::default(),
        };
        let client = client::start(config, move |event| drop(sender.send(event))).unwrap();
        Person { client, events, downloads }
    }

    /// Someone who has logged in.
    pub(crate) fn person(&self, name: &str) -> Person {
        let person = self.connect();
        person.log_in(name, PASSWORD);
        person.wait_for("a welcome", |event| matches!(event, Event::Welcome { .. }).then_some(()));
        person
    }

    /// A connection without a client, past the handshake.
    pub(crate) fn stranger(&self) -> Stranger {
        let stream = TcpStream::connect(self.server().address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Stranger::greet(stream, self.server().key())
    }
}

/// A connection without a client behind it, past the handshake: what is written are frames, and what is read too.
pub(crate) struct Stranger {
    pub(crate) stream: TcpStream,
    link: Link<ServerMessage>,
    /// Read, as the server encoded it, and not taken.
    frames: Vec<u8>,
}

impl Stranger {
    /// Does the handshake on `stream` with the server that has this key.
    pub(crate) fn greet(stream: TcpStream, server: PublicKey) -> Stranger {
        let identity = Arc::new(Identity { secret: SecretKey::new([0x5a; 32]), best: Suite::AesGcm });
        let link = Link::client(Start::ZERO, identity, [0x5d; 32], Some(server));
        let mut stranger = Stranger { stream, link, frames: Vec::new() };
        stranger.write(&[]).unwrap();
        while !stranger.read().unwrap() {}
        stranger.write(&[]).unwrap();
        stranger
    }

    /// Seals and writes frames, or what are none.
    pub(crate) fn write(&mut self, frames: &[u8]) -> std::io::Result<()> {
        self.link.outbound.push(frames).unwrap();
        self.link.outbound.seal(Start::ZERO);
        let pending = self.link.outbound.pending().to_vec();
        self.link.outbound.written(pending.len());
        self.stream.write_all(&pending)
    }

    /// Reads until the server closes; the frames that came.
    pub(crate) fn read_to_end(mut self) -> std::io::Result<Vec<u8>> {
        loop {
            match self.read() {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(self.frames),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what is there; whether the handshake was done by it.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 4_096];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut established = false;
        for arrived in self.link.handle(Start::ZERO, Input::Bytes(&mut buffer[..count])) {
            match arrived {
                Arrived::Established(_) => established = true,
                Arrived::Message(message) => self.frames.extend_from_slice(&codec::encode(&message)),
                Arrived::Closed(why) => panic!("the server broke the protocol: {why:?}"),
            }
        }
        Ok(established)
    }
}

/// A client and what it was told.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) events: Receiver<Event>,
    pub(crate) downloads: TempDir,
}

impl Person {
    pub(crate) fn log_in(&self, name: &str, password: &str) {
        self.client.command(Command::Login { name: name.into(), password: Password(password.into()) });
    }

    pub(crate) fn broadcast(&self, text: &str) {
        self.client.command(Command::Broadcast { text: text.into() });
    }

    /// The first event that `pick` picks, from now on.
    pub(crate) fn wait_for<T>(&self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let give_up = Instant::now() + DEADLINE;
        let mut others = Vec::new();
        loop {
            match self.events.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(event) => match pick(event.clone()) {
                    Some(picked) => return picked,
                    None => others.push(event),
                },
                Err(RecvTimeoutError::Timeout) => panic!("waited in vain for {what}; there was {others:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before {what}; there was {others:?}"),
            }
        }
    }

    /// The number and text of the next broadcast of somebody else.
    pub(crate) fn next_broadcast(&self) -> (u64, String) {
        self.wait_for("a broadcast", |event| match event {
            Event::Broadcast { number, text, .. } => Some((number.0, text)),
            _ => None,
        })
    }
}

/// A login as it goes over the wire.
pub(crate) fn login_frame(name: &str) -> bytes::Bytes {
    let body = RequestBody::Login { name: name.into(), password: Password(PASSWORD.into()), udp_port: 1 };
    codec::encode(&Request { id: RequestId(1), body })
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn rand_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    assert_eq!(rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()), Ok(32));
    seed
}
