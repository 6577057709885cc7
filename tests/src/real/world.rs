//! Real sockets, files and threads as a world for scenarios.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use tempfile::TempDir;
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::config::{ClientConfig, ServerConfig, TransferConfig};
use toom_core::id::RoomId;
use toom_core::secure::SecretKey;
use toom_core::server::activity::Activity;
use toom_core::server::fact::Fact;

use super::files::{digest, write_random};
use super::raw::Raw;
use super::relay::{Onward, Relay};
use super::runtime::{Client, Runtimes, Server};
use crate::scenario::steps::{hash_of, user};
use crate::scenario::{ClientId, Downloaded, RawId, Setup, TestFile, World};

/// A client that is told nothing for so long has nothing to be told.
const PATIENCE: Duration = Duration::from_secs(30);
/// A person who looks at a failure reads no further back.
const KEPT_ACTIVITIES: usize = 60;

/// A server and its clients over the loopback device.
#[derive(Debug)]
pub struct RealWorld {
    runtimes: Runtimes,
    folder: TempDir,
    began: Instant,
    config: Option<ServerConfig>,
    server: Option<Server>,
    /// Whether clients come back by themselves; each has a relay then.
    reconnect: bool,
    /// Where the relays pass on to.
    onward: Onward,
    activities: Arc<Mutex<VecDeque<Activity>>>,
    clients: Vec<Member>,
    raws: Vec<Option<Raw>>,
}

#[derive(Debug)]
struct Member {
    /// Until it is killed.
    client: Option<Client>,
    relay: Option<Relay>,
    told: Arc<Told>,
    untaken: VecDeque<Event>,
    downloads: PathBuf,
}

/// What the client's driver has told and nobody has fetched.
#[derive(Debug, Default)]
struct Told {
    events: Mutex<VecDeque<Event>>,
    more: Condvar,
}

impl RealWorld {
    /// An empty world.
    pub fn new(runtimes: Runtimes) -> RealWorld {
        RealWorld {
            runtimes,
            folder: tempfile::Builder::new().prefix("toom-").tempdir().expect("a temporary directory"),
            began: Instant::now(),
            config: None,
            server: None,
            reconnect: false,
            onward: Onward::default(),
            activities: Arc::default(),
            clients: Vec::new(),
            raws: Vec::new(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run_server(&mut self) {
        let config = self.config.clone().expect("the server was set up");
        let activities = self.activities.clone();
        let on_activity = move |activity| {
            let mut activities = activities.lock().unwrap_or_else(PoisonError::into_inner);
            if activities.len() == KEPT_ACTIVITIES {
                activities.pop_front();
            }
            activities.push_back(activity);
        };
        match Server::start(self.runtimes.server, config, on_activity) {
            Ok(server) => {
                *self.onward.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.address());
                self.server = Some(server);
            }
            Err(why) => panic!("the server does not start: {why}"),
        }
    }

    fn server_address(&self) -> SocketAddr {
        self.server.as_ref().expect("the server runs").address()
    }

    fn relay(&self, client: ClientId) -> &Relay {
        self.clients[client.0].relay.as_ref().expect("clients that come back by themselves")
    }

    fn log(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.data().join("logs").join(name)).ok()
    }
}

impl World for RealWorld {
    fn start_server(&mut self, setup: &Setup) {
        let data = self.data();
        std::fs::create_dir_all(&data).expect("a data directory");
        let account =
            |(name, password): &(String, String)| Fact::AccountAdded { name: user(name), hash: hash_of(password) };
        let facts: Vec<Fact> = setup.accounts.iter().map(account).collect();
        toom_store::log::append(&data, &facts).expect("the accounts are added");
        let listen = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        self.config = Some(ServerConfig {
            listen,
            data,
            attempts: setup.attempts,
            block: setup.block,
            post_rates: setup.post_rates,
            keep: None,
            grace: setup.grace,
        });
        self.reconnect = setup.reconnect;
        self.run_server();
    }

    fn restart_server(&mut self) {
        *self.onward.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(server) = self.server.take() {
            server.stop();
        }
        self.run_server();
    }

    fn append(&mut self, fact: Fact) {
        toom_store::log::append(&self.data(), &[fact]).expect("the fact is appended");
    }

    fn connect(&mut self, accept: AcceptPolicy) -> ClientId {
        let number = self.clients.len();
        self.connect_on(&format!("the device of {number}"), accept)
    }

    fn connect_on(&mut self, device: &str, accept: AcceptPolicy) -> ClientId {
        let number = self.clients.len();
        let downloads = self.folder.path().join(format!("downloads of {number}"));
        std::fs::create_dir_all(&downloads).expect("a folder for downloads");
        let seed: [u8; 32] = blake3::hash(downloads.as_os_str().as_encoded_bytes()).into();
        let relay = self.reconnect.then(|| Relay::start(self.onward.clone()));
        let server = relay.as_ref().map_or_else(|| self.server_address(), Relay::address).to_string();
        let server_key = self.server.as_ref().map(Server::key);
        let known_people = Some(self.folder.path().join(format!("people known on {device}")));
        let device = key_of(device);
        let downloads_of_it = downloads.clone();
        let config = ClientConfig {
            server,
            udp_port: 0,
            downloads: downloads_of_it,
            accept,
            device,
            server_key,
            known_people,
            seed,
            reconnect: self.reconnect,
            transfers: TransferConfig::default(),
        };
        let told = Arc::new(Told::default());
        let on_event = {
            let told = told.clone();
            move |event| {
                told.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
                told.more.notify_one();
            }
        };
        let runtime = self.runtimes.clients[number % self.runtimes.clients.len()];
        match Client::start(runtime, config, on_event) {
            Ok(client) => {
                let untaken = VecDeque::new();
                self.clients.push(Member { client: Some(client), relay, told, untaken, downloads });
                ClientId(number)
            }
            Err(why) => panic!("a client does not start: {why}\n{}", self.report()),
        }
    }

    fn command(&mut self, client: ClientId, command: Command) {
        self.clients[client.0].client.as_ref().expect("a client that was not killed").command(command);
    }

    fn untaken(&mut self, client: ClientId) -> &mut VecDeque<Event> {
        let Member { told, untaken, .. } = &mut self.clients[client.0];
        untaken.append(&mut told.events.lock().unwrap_or_else(PoisonError::into_inner));
        untaken
    }

    fn fetch(&mut self, client: ClientId) -> bool {
        let Member { told, untaken, .. } = &mut self.clients[client.0];
        let events = told.events.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = told.more.wait_timeout_while(events, PATIENCE, |events| events.is_empty());
        let (mut events, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let any = !events.is_empty();
        untaken.append(&mut events);
        any
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn address(&mut self, _client: ClientId) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn kill(&mut self, client: ClientId) {
        self.clients[client.0].client = None;
    }

    fn cut(&mut self, client: ClientId) {
        self.relay(client).cut(false);
    }

    fn cut_off(&mut self, client: ClientId) {
        self.relay(client).cut(true);
    }

    fn let_back(&mut self, client: ClientId) {
        self.relay(client).open();
    }

    fn connect_raw(&mut self, from: Option<IpAddr>) -> RawId {
        let raw = Raw::connect(self.server_address(), from).expect("the server accepts connections");
        self.raws.push(Some(raw));
        RawId(self.raws.len() - 1)
    }

    fn greet_raw(&mut self, raw: RawId) {
        let key = self.server.as_ref().expect("a running server").key();
        self.raws[raw.0].as_mut().expect("an open connection").greet(key, SecretKey::new([0x5a; 32]));
    }

    fn greet_raw_on(&mut self, raw: RawId, device: &str) {
        let key = self.server.as_ref().expect("a running server").key();
        self.raws[raw.0].as_mut().expect("an open connection").greet(key, key_of(device));
    }

    fn write_raw(&mut self, raw: RawId, bytes: &[u8]) {
        self.raws[raw.0].as_mut().expect("an open connection").write(bytes);
    }

    fn received_raw(&mut self, raw: RawId) -> &mut Vec<u8> {
        &mut self.raws[raw.0].as_mut().expect("an open connection").received
    }

    fn fetch_raw(&mut self, raw: RawId) -> bool {
        self.raws[raw.0].as_mut().expect("an open connection").fetch()
    }

    fn close_raw(&mut self, raw: RawId) {
        self.raws[raw.0] = None;
    }

    fn datagram(&mut self, to: ClientId, bytes: &[u8]) {
        let port = self.clients[to.0].client.as_ref().expect("a client that was not killed").udp_port();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP port");
        // Should the system drop it, others get through.
        let _ = socket.send_to(bytes, (Ipv4Addr::LOCALHOST, port));
    }

    fn put_file(&mut self, path: &str, bytes: u64, seed: u64) -> TestFile {
        let path = self.folder.path().join("files").join(path);
        let content = write_random(&path, bytes, seed).expect("room for a test file");
        TestFile { path, content }
    }

    fn put_zeros(&mut self, path: &str, bytes: u64) -> PathBuf {
        let path = self.folder.path().join(path);
        File::create(&path).and_then(|file| file.set_len(bytes)).expect("a sparse file");
        path
    }

    fn downloads(&mut self, client: ClientId) -> BTreeMap<String, Downloaded> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.clients[client.0].downloads).expect("a folder for downloads") {
            let entry = entry.expect("an entry of the folder");
            // A partial file may be gone by now.
            if let Ok(content) = digest(&entry.path()) {
                found.insert(entry.file_name().to_string_lossy().into_owned(), content);
            }
        }
        found
    }

    fn activities(&mut self) -> String {
        self.report()
    }

    fn user_log(&mut self) -> String {
        self.log("userlog.txt").unwrap_or_default()
    }

    fn message_log(&mut self, room: Option<RoomId>) -> Option<String> {
        self.log(&room.map_or("messagelog.txt".to_owned(), |room| format!("SR_{room}_messagelog.txt")))
    }

    fn large(&self) -> u64 {
        300_000_000
    }

    fn block(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn report(&mut self) -> String {
        let mut text = "the latest at the server:\n".to_owned();
        for activity in self.activities.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {activity:?}");
        }
        text
    }
}

/// The key of the device with a name.
fn key_of(device: &str) -> SecretKey {
    SecretKey::new(blake3::hash(device.as_bytes()).into())
}

impl Drop for RealWorld {
    /// The server last: it would wait for those who are still connected.
    fn drop(&mut self) {
        self.clients.clear();
        self.raws.clear();
        self.server = None;
    }
}
