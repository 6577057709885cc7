//! A server with accounts, and people who use it over real sockets.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
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
use toom_core::server::activity::Activity;
use toom_core::server::fact::Fact;
use toom_core::time::Instant as Start;
use toom_core::wire::codec;
use toom_core::wire::limits::DEFAULT_GRACE;
use toom_core::wire::message::{Request, RequestBody, ServerMessage};
use toom_std::client::{self, Client};
use toom_std::server::{self, Server};

/// After this, something that must happen has not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Any free port, for this computer only.
const LOCAL: &str = "127.0.0.1:0";

/// A server whose accounts have their names as passwords.
pub(crate) struct World {
    pub(crate) data: TempDir,
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) activity: Receiver<Activity>,
    /// How long sessions outlive their connection; people come back if they do.
    grace: Duration,
}

impl World {
    pub(crate) fn new(names: &[&str]) -> World {
        World::with_grace(names, Duration::ZERO)
    }

    /// A server whose sessions outlive their connections.
    pub(crate) fn resumable(names: &[&str]) -> World {
        World::with_grace(names, DEFAULT_GRACE)
    }

    fn with_grace(names: &[&str], grace: Duration) -> World {
        let data = TempDir::new().unwrap();
        let accounts: Vec<_> = names.iter().map(|name| account(name)).collect();
        toom_store::log::append(data.path(), &accounts).unwrap();
        let (server, activity) = start(data.path(), LOCAL.parse().unwrap(), grace);
        World { address: server.address(), data, server: Some(server), activity, grace }
    }

    /// Stops the server, which must not take forever.
    pub(crate) fn stop(&mut self) {
        let server = self.server.take().unwrap();
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            server.stop();
            done.send(())
        });
        ended.recv_timeout(PATIENCE).expect("the server stops");
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        let (server, activity) = start(self.data.path(), LOCAL.parse().unwrap(), self.grace);
        (self.address, self.server, self.activity) = (server.address(), Some(server), activity);
    }

    /// Starts a server where the one before was, on its data or on others.
    pub(crate) fn start_again(&mut self, data: Option<&Path>) {
        let (server, activity) = start(data.unwrap_or(self.data.path()), self.address, self.grace);
        (self.server, self.activity) = (Some(server), activity);
    }

    /// Waits for something that the server says happened.
    pub(crate) fn until(&self, wanted: impl Fn(&Activity) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !wanted(&self.activity.recv_timeout(end - Instant::now()).expect("the activity comes")) {}
    }
}

fn start(data: &Path, listen: SocketAddr, grace: Duration) -> (Server, Receiver<Activity>) {
    let (send, activity) = mpsc::channel();
    let config = ServerConfig {
        listen,
        data: data.to_owned(),
        attempts: 3,
        block: Duration::from_secs(10),
        post_rates: toom_core::server::PostRates::default(),
        keep: None,
        grace,
    };
    let on_activity = move |activity| _ = send.send(activity);
    (server::start(config, on_activity).unwrap(), activity)
}

fn account(name: &str) -> Fact {
    let hash = PasswordHash::new(&Password(name.into()), [1; 16], HashCost::Trivial);
    Fact::AccountAdded { name: user(name), hash }
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// Someone with a client.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) downloads: TempDir,
    events: Receiver<Event>,
    /// Seen, but not asked for yet.
    earlier: VecDeque<Event>,
}

impl Person {
    /// Connects, without logging in.
    pub(crate) fn connect(world: &World) -> Person {
        let downloads = TempDir::new().unwrap();
        let (send, events) = mpsc::channel();
        let config = ClientConfig {
            server: world.address.to_string(),
            udp_port: 0,
            downloads: downloads.path().to_owned(),
            accept: AcceptPolicy::All,
            device: SecretKey::new(seed()),
            server_key: Some(world.server.as_ref().unwrap().key()),
            known_people: None,
            seed: seed(),
            reconnect: world.grace > Duration::ZERO,
            transfers: TransferConfig::default(),
        };
        let client = client::start(config, move |event| _ = send.send(event)).unwrap();
        Person { client, downloads, events, earlier: VecDeque::new() }
    }

    /// Connects and logs in.
    pub(crate) fn login(world: &World, name: &str) -> Person {
        let mut person = Person::connect(world);
        person.give(Command::Login { name: name.into(), password: Password(name.into()) });
        let (port, key) = (person.client.udp_port(), world.server.as_ref().unwrap().key());
        assert_eq!(
            person.next(),
            Event::Welcome { user: user(name), server_key: key, udp_port: port, failed_logins: 0 }
        );
        person
    }

    pub(crate) fn give(&self, command: Command) {
        self.client.command(command);
    }

    pub(crate) fn broadcast(&self, text: &str) {
        self.give(Command::Broadcast { text: text.into() });
    }

    /// The next event, whatever it is, except for those about who comes and goes.
    pub(crate) fn next(&mut self) -> Event {
        loop {
            let event = self.earlier.pop_front().unwrap_or_else(|| self.receive());
            if !matches!(event, Event::Joined { .. } | Event::Left { .. }) {
                return event;
            }
        }
    }

    /// The first event that `wanted` takes; the others are kept for later.
    pub(crate) fn find<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut passed = VecDeque::new();
        loop {
            let event = self.earlier.pop_front().unwrap_or_else(|| self.receive());
            if let Some(found) = wanted(&event) {
                passed.append(&mut self.earlier);
                self.earlier = passed;
                return found;
            }
            passed.push_back(event);
        }
    }

    fn receive(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("an event comes")
    }

    /// Drops the client; the last event.
    pub(crate) fn stop(self) -> Option<Event> {
        drop(self.client);
        self.events.into_iter().last()
    }

    /// Logs out, and waits until everything is closed.
    pub(crate) fn leave(mut self) -> Vec<Event> {
        self.give(Command::Logout);
        self.find(|event| matches!(event, Event::Bye { .. }).then_some(()));
        self.client.join();
        self.earlier.into_iter().chain(self.events).collect()
    }
}

fn seed() -> [u8; 32] {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
    seed[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    seed
}

/// A connection without a client behind it.
pub(crate) fn raw(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A connection past the handshake.
pub(crate) fn greeted(world: &World) -> Stranger {
    Stranger::greet(raw(world), world.server.as_ref().unwrap().key())
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

/// The frame of a login.
pub(crate) fn login_frame(name: &str) -> Vec<u8> {
    let body = RequestBody::Login { name: name.into(), password: Password(name.into()), udp_port: 9 };
    codec::encode(&Request { id: RequestId(1), body }).to_vec()
}

/// Reads until the other end closes; what came.
pub(crate) fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("the other end closes, but: {error}"),
        }
    }
}
