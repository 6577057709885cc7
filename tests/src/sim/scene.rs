//! The simulator as a world for scenarios.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::id::RoomId;
use toom_core::server::Settings;
use toom_core::server::fact::Fact;
use toom_core::time::Instant;

use super::dice::Dice;
use super::options::Options;
use super::world::{Manner, Simulation};
use crate::invariants::{Watch, every_checker};
use crate::scenario::steps::{hash_of, user};
use crate::scenario::{ClientId, Downloaded, RawId, Setup, TestFile, World};

/// In virtual time, who has waited so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A simulation in which a scenario is played.
#[derive(Debug)]
pub struct SimulatedWorld {
    /// The simulation.
    pub simulation: Simulation,
    settings: Option<Settings>,
    /// Whether clients come back by themselves.
    reconnect: bool,
    received: BTreeMap<RawId, Vec<u8>>,
    /// The latest client on each device with a name.
    devices: BTreeMap<String, usize>,
}

impl SimulatedWorld {
    /// An empty world.
    pub fn new(options: Options) -> Self {
        let mut simulation = Simulation::new(options);
        *simulation.watch() = Watch::new(every_checker());
        SimulatedWorld {
            simulation,
            settings: None,
            reconnect: false,
            received: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    /// Runs until `done` says so; `false` if it will not.
    fn run(&mut self, mut done: impl FnMut(&mut Simulation) -> bool) -> bool {
        let limit = self.simulation.now() + PATIENCE;
        while !done(&mut self.simulation) {
            self.simulation.must_hold();
            if self.simulation.now() > limit || !self.simulation.step() {
                return false;
            }
        }
        true
    }
}

impl Drop for SimulatedWorld {
    /// Whatever a scenario looks at, the invariants hold.
    fn drop(&mut self) {
        match self.simulation.watch().broken() {
            Some(broken) if std::thread::panicking() => eprintln!("{broken}"),
            Some(broken) => panic!("{broken}"),
            None => {}
        }
    }
}

impl World for SimulatedWorld {
    fn start_server(&mut self, setup: &Setup) {
        for (name, password) in &setup.accounts {
            self.simulation.append(Fact::AccountAdded { name: user(name), hash: hash_of(password) });
        }
        let settings =
            Settings { attempts: setup.attempts, block: setup.block, post_rates: setup.post_rates, grace: setup.grace };
        self.settings = Some(settings);
        self.reconnect = setup.reconnect;
        self.simulation.start_server(settings);
    }

    fn restart_server(&mut self) {
        let settings = self.settings.expect("the server was started");
        self.simulation.stop_server();
        self.simulation.start_server(settings);
    }

    fn append(&mut self, fact: Fact) {
        self.simulation.append(fact);
    }

    fn connect(&mut self, accept: AcceptPolicy) -> ClientId {
        let reconnect = self.reconnect;
        ClientId(self.simulation.connect(Manner { accept, reconnect }))
    }

    fn connect_on(&mut self, device: &str, accept: AcceptPolicy) -> ClientId {
        let manner = Manner { accept, reconnect: self.reconnect };
        let client = match self.devices.get(device) {
            Some(earlier) => self.simulation.connect_from(manner, *earlier),
            None => self.simulation.connect(manner),
        };
        self.devices.insert(device.to_owned(), client);
        ClientId(client)
    }

    fn command(&mut self, client: ClientId, command: Command) {
        self.simulation.command(client.0, command);
    }

    fn untaken(&mut self, client: ClientId) -> &mut VecDeque<Event> {
        self.simulation.client(client.0).events()
    }

    fn fetch(&mut self, client: ClientId) -> bool {
        let before = self.untaken(client).len();
        self.run(|simulation| simulation.client(client.0).events().len() > before)
    }

    fn pause(&mut self, time: Duration) {
        self.simulation.advance(time);
        self.simulation.must_hold();
    }

    fn elapsed(&self) -> Duration {
        self.simulation.now() - Instant::ZERO
    }

    fn address(&mut self, client: ClientId) -> IpAddr {
        self.simulation.client(client.0).address().ip()
    }

    fn kill(&mut self, client: ClientId) {
        self.simulation.kill(client.0);
    }

    fn cut(&mut self, client: ClientId) {
        self.simulation.cut(client.0);
    }

    fn cut_off(&mut self, client: ClientId) {
        self.simulation.cut_off(client.0);
    }

    fn let_back(&mut self, client: ClientId) {
        self.simulation.let_back(client.0);
    }

    fn connect_raw(&mut self, from: Option<IpAddr>) -> RawId {
        RawId(self.simulation.connect_raw(from))
    }

    fn greet_raw(&mut self, raw: RawId) {
        self.simulation.greet_raw(raw.0);
    }

    fn greet_raw_on(&mut self, raw: RawId, device: &str) {
        self.simulation.greet_raw_on(raw.0, device);
    }

    fn write_raw(&mut self, raw: RawId, bytes: &[u8]) {
        self.simulation.write_raw(raw.0, bytes);
    }

    fn received_raw(&mut self, raw: RawId) -> &mut Vec<u8> {
        self.received.entry(raw).or_default()
    }

    fn fetch_raw(&mut self, raw: RawId) -> bool {
        let mut fresh = Vec::new();
        let heard = self.run(|simulation| {
            let node = simulation.raw(raw.0);
            fresh = node.take_received();
            !fresh.is_empty() || node.ended()
        });
        assert!(heard, "connection {} waited in vain for the server", raw.0);
        self.received_raw(raw).extend_from_slice(&fresh);
        !fresh.is_empty()
    }

    fn close_raw(&mut self, raw: RawId) {
        self.simulation.end_raw(raw.0);
    }

    fn datagram(&mut self, to: ClientId, bytes: &[u8]) {
        self.simulation.datagram(to.0, bytes);
    }

    fn put_file(&mut self, path: &str, bytes: u64, seed: u64) -> TestFile {
        let mut content = vec![0; usize::try_from(bytes).expect("a file that fits memory")];
        Dice::new(seed, "file").fill(&mut content);
        let path = PathBuf::from("/files").join(path);
        let facts = Downloaded { bytes, blake3: blake3::hash(&content).into() };
        self.simulation.put_file(path.clone(), content.into());
        TestFile { path, content: facts }
    }

    fn put_zeros(&mut self, path: &str, bytes: u64) -> PathBuf {
        let path = PathBuf::from("/files").join(path);
        let bytes = usize::try_from(bytes).expect("a file that fits memory");
        self.simulation.put_file(path.clone(), vec![0; bytes].into());
        path
    }

    fn downloads(&mut self, client: ClientId) -> BTreeMap<String, Downloaded> {
        let disk = self.simulation.client(client.0).disk();
        let facts = |content: &[u8]| Downloaded { bytes: content.len() as u64, blake3: blake3::hash(content).into() };
        let partial = disk.partial_files().map(|(name, content)| (format!("{name}.part"), facts(content)));
        let whole = disk.downloads().iter().map(|(name, content)| (name.clone(), facts(content)));
        whole.chain(partial).collect()
    }

    fn activities(&mut self) -> String {
        self.simulation.server().map(|server| format!("{:?}", server.activities())).unwrap_or_default()
    }

    fn user_log(&mut self) -> String {
        self.simulation.server().map(|server| server.text_logs().user_log()).unwrap_or_default()
    }

    fn message_log(&mut self, room: Option<RoomId>) -> Option<String> {
        let server = self.simulation.server()?;
        server.text_logs().message_log(server.durable(), room)
    }

    fn large(&self) -> u64 {
        20_000_000
    }

    fn block(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn report(&mut self) -> String {
        // The trace is shown when the simulation ends in a panic.
        String::new()
    }
}
