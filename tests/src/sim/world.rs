//! The clock, the nodes, and the one loop that runs them.

mod clients;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::id::ConnectionId;
use toom_core::server::Settings;
use toom_core::server::fact::Fact;
use toom_core::time::{Instant, Timestamp};

use super::client::ClientNode;
use super::dice::Dice;
use super::disk::Content;
use super::fault::FaultKind;
use super::keys;
use super::link::Fates;
use super::network::{Context, Delivery, Network, Node, Toward};
use super::options::Options;
use super::raw::RawNode;
use super::schedule::Schedule;
use super::server::ServerNode;
use super::store::Durable;
use super::stream::Item;
use super::trace::Trace;
use crate::invariants::Watch;
use clients::Remains;

pub use clients::Manner;

/// More steps than this without the clock moving are a machine that asks to be woken for ever.
const MAX_STEPS_AT_ONE_MOMENT: u32 = 200_000;

/// A whole world.
#[derive(Debug)]
pub struct Simulation {
    options: Options,
    now: Instant,
    /// What the wall clock was at the start, or would have been, had it not jumped.
    epoch: Timestamp,
    steps_at_now: u32,
    schedule: Schedule<Node>,
    network: Network,
    pub(super) server: Option<ServerNode>,
    /// Of the last start of the server.
    pub(super) settings: Option<Settings>,
    /// Of a server that is stopped.
    durable: Durable,
    /// How often the server was started.
    starts: u64,
    /// How many hosts have an address.
    hosts: u32,
    pub(super) clients: Vec<Option<ClientNode>>,
    /// Clients that cannot reach the server.
    pub(super) cut_off: BTreeSet<usize>,
    /// What clients that ended have left behind, by their number.
    pub(super) remains: BTreeMap<usize, Remains>,
    raws: Vec<RawNode>,
    ends: BTreeMap<ConnectionId, End>,
    ports: BTreeMap<SocketAddr, usize>,
    pub(super) files: BTreeMap<PathBuf, Content>,
}

/// Who is at the client's end of a connection, and where.
#[derive(Clone, Copy, Debug)]
struct End {
    address: SocketAddr,
    who: Who,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Client(usize),
    Raw(usize),
}

impl Simulation {
    /// An empty world.
    pub fn new(options: Options) -> Simulation {
        Simulation {
            network: Network::new(options.clone()),
            epoch: options.epoch,
            options,
            now: Instant::ZERO,
            steps_at_now: 0,
            schedule: Schedule::default(),
            server: None,
            settings: None,
            durable: Durable::default(),
            starts: 0,
            hosts: 0,
            clients: Vec::new(),
            cut_off: BTreeSet::new(),
            remains: BTreeMap::new(),
            raws: Vec::new(),
            ends: BTreeMap::new(),
            ports: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// Starts the server on what is durable.
    pub fn start_server(&mut self, settings: Settings) {
        assert!(self.server.is_none(), "the server runs already");
        self.starts += 1;
        self.settings = Some(settings);
        let dice = Dice::new(self.options.seed, &format!("server {}", self.starts));
        let durable = core::mem::take(&mut self.durable);
        let work = self.options.work;
        let mut ctx = context(self.now, self.epoch, &mut self.network);
        self.server = Some(ServerNode::start(&mut ctx, durable, settings, work, dice));
        self.update(Node::Server);
        self.settle();
    }

    /// Ends the server's process.
    pub fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.durable = server.stop(&mut context(self.now, self.epoch, &mut self.network));
            self.update(Node::Server);
            self.settle();
        }
    }

    /// Appends a fact from outside the server, which may run; whether that went well.
    pub fn append(&mut self, fact: Fact) -> bool {
        if self.server.is_none() {
            self.durable.append(None, fact);
            return true;
        }
        let mut appended = false;
        self.with_server(|server, ctx| appended = server.append(ctx, fact));
        self.settle();
        appended
    }

    /// The server, if it runs.
    pub fn server(&self) -> Option<&ServerNode> {
        self.server.as_ref()
    }

    /// What is durable.
    pub fn durable(&self) -> &Durable {
        self.server.as_ref().map_or(&self.durable, ServerNode::durable)
    }

    /// A client that was not killed.
    pub fn client(&mut self, number: usize) -> &mut ClientNode {
        self.clients[number].as_mut().expect("this client was killed")
    }

    /// A client's person asks for something.
    pub fn command(&mut self, number: usize, command: Command) {
        self.with_client(number, |client, ctx, files| client.command(ctx, command, files));
        self.settle();
    }

    /// A new connection without a client, from `address` or from a fresh one; its number.
    pub fn connect_raw(&mut self, address: Option<IpAddr>) -> usize {
        let number = self.raws.len();
        let address = SocketAddr::new(address.unwrap_or_else(|| self.fresh_address()), clients::port(60_000, number));
        let connection = self.network.connect(self.now, address.ip());
        self.ends.insert(connection, End { address, who: Who::Raw(number) });
        self.raws.push(RawNode::new(connection));
        self.settle();
        number
    }

    /// How many connections without a client there were.
    pub fn raws(&self) -> usize {
        self.raws.len()
    }

    /// A connection without a client.
    pub fn raw(&mut self, number: usize) -> &mut RawNode {
        &mut self.raws[number]
    }

    /// Begins the handshake on a connection without a client; what is written to it from now on are frames.
    pub fn greet_raw(&mut self, number: usize) {
        self.with_raw(number, RawNode::greet);
        self.settle();
    }

    /// The same on the device with this name.
    pub fn greet_raw_on(&mut self, number: usize, device: &str) {
        self.with_raw(number, |raw, ctx| raw.greet_as(ctx, keys::named(device)));
        self.settle();
    }

    /// The same on the device of the clients at an address.
    pub fn greet_raw_at(&mut self, number: usize, host: IpAddr) {
        self.with_raw(number, |raw, ctx| raw.greet_as(ctx, keys::device(host)));
        self.settle();
    }

    /// Writes on a connection without a client.
    pub fn write_raw(&mut self, number: usize, bytes: &[u8]) {
        self.with_raw(number, |raw, ctx| raw.write(ctx, bytes));
        self.settle();
    }

    /// Ends a connection without a client.
    pub fn end_raw(&mut self, number: usize) {
        let connection = self.raws[number].connection();
        self.network.end(self.now, connection, Toward::Server);
        self.settle();
    }

    /// A datagram from somewhere arrives at a client's UDP port, after the delay of the link.
    pub fn datagram(&mut self, number: usize, bytes: &[u8]) {
        let own = self.client(number).address();
        let to = self.network.outside(own);
        let from = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 9);
        self.network.send(self.now, from, to, bytes);
        self.settle();
    }

    /// Makes a file that every client can send.
    pub fn put_file(&mut self, path: PathBuf, content: Content) {
        self.files.insert(path, content);
    }

    /// The clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What became of the datagrams from one client to another.
    pub fn fates(&mut self, from: usize, to: usize) -> Fates {
        let (from, to) = (self.client(from).address(), self.client(to).address());
        self.network.fates(from, to)
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.network.trace
    }

    /// Who watches everything that happens.
    pub fn watch(&mut self) -> &mut Watch {
        &mut self.network.watch
    }

    /// Panics with the name of the first invariant that was broken, if one was.
    pub fn must_hold(&mut self) {
        if let Some(broken) = self.watch().broken() {
            panic!("{broken}");
        }
    }

    /// All links.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Notes something for whoever reads the trace.
    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.network.trace.note(self.now, what);
    }

    /// When the next node wakes.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// The run is over: whoever watches has the last word.
    pub fn finish(&mut self) {
        let Context { now, wall, network } = self.context();
        network.watch.finish(now, wall);
    }

    /// Runs until `until`, and moves the clock there.
    pub fn run_until(&mut self, until: Instant) {
        while self.schedule.next().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now = self.now.max(until);
        self.steps_at_now = 0;
    }

    /// Runs for `time`.
    pub fn advance(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Moves the clock to the next deadline and wakes its node; `false` if nothing will ever happen again.
    pub fn step(&mut self) -> bool {
        let Some((at, node)) = self.schedule.pop() else { return false };
        if at > self.now {
            self.now = at;
            self.steps_at_now = 0;
        }
        self.steps_at_now += 1;
        assert!(self.steps_at_now < MAX_STEPS_AT_ONE_MOMENT, "{node:?} asks to be woken again and again");
        match node {
            Node::Server => self.with_server(|server, ctx| server.woke(ctx)),
            Node::Connection(connection) => self.with_server(|server, ctx| server.connection_woke(ctx, connection)),
            Node::Client(number) => self.with_client(number, |client, ctx, _| client.woke(ctx)),
            Node::Stream(..) | Node::Link(..) => self.network.wake(self.now, node),
        }
        self.update(node);
        self.settle();
        true
    }

    /// Delivers what has arrived, and sets the deadlines that may have changed.
    pub(super) fn settle(&mut self) {
        while let Some(delivery) = self.network.take_delivery() {
            match delivery {
                Delivery::Stream { connection, toward, item } => self.deliver(connection, toward, item),
                Delivery::Room { connection, toward } => {
                    if let Some(&End { who, .. }) = self.ends.get(&connection) {
                        self.writable(connection, toward, who);
                    }
                }
                Delivery::Datagram { from, to, datagram } => {
                    if let Some(&number) = self.ports.get(&to) {
                        self.with_client(number, |client, ctx, _| client.datagram(ctx, from, datagram));
                    }
                }
            }
        }
        while let Some((link, deadline)) = self.network.take_touched() {
            self.schedule.set(link, deadline.map(|at| at.max(self.now)));
        }
    }

    fn update(&mut self, node: Node) {
        let deadline = match node {
            Node::Server => self.server.as_ref().and_then(ServerNode::deadline),
            Node::Connection(connection) => {
                self.server.as_ref().and_then(|server| server.connection_deadline(connection))
            }
            Node::Client(number) => self.clients[number].as_ref().and_then(ClientNode::deadline),
            Node::Stream(..) | Node::Link(..) => return,
        };
        self.schedule.set(node, deadline.map(|at| at.max(self.now)));
    }

    fn deliver(&mut self, connection: ConnectionId, toward: Toward, item: Item) {
        let Some(&End { address, who }) = self.ends.get(&connection) else { return };
        let opened = item == Item::Opened;
        match (toward, who) {
            (Toward::Server, _) if self.server.is_some() => {
                self.with_server(|server, ctx| server.arrived(ctx, connection, address, item));
            }
            // Nobody listens.
            (Toward::Server, _) => self.network.end(self.now, connection, Toward::Client),
            (Toward::Client, Who::Client(number)) => {
                self.with_client(number, |client, ctx, _| client.arrived(ctx, connection, item));
            }
            (Toward::Client, Who::Raw(number)) => self.with_raw(number, |raw, ctx| raw.arrived(ctx, item)),
        }
        self.update(Node::Connection(connection));
        if !opened {
            self.writable(connection, toward, who);
        }
    }

    /// The stream has room again: whoever writes into it may go on.
    fn writable(&mut self, connection: ConnectionId, toward: Toward, who: Who) {
        match (toward, who) {
            (Toward::Client, _) => {
                self.with_server(|server, ctx| server.writable(ctx, connection));
            }
            (Toward::Server, Who::Client(number)) => {
                self.with_client(number, |client, ctx, _| client.writable(ctx));
            }
            (Toward::Server, Who::Raw(number)) => self.with_raw(number, RawNode::writable),
        }
    }

    pub(super) fn with_server(&mut self, act: impl FnOnce(&mut ServerNode, &mut Context<'_>)) {
        if let Some(server) = &mut self.server {
            act(server, &mut context(self.now, self.epoch, &mut self.network));
        }
        if let Some(dead) = self.server.take_if(|server| server.is_dead()) {
            self.durable = dead.bury(&mut context(self.now, self.epoch, &mut self.network));
        }
        self.update(Node::Server);
    }

    pub(super) fn with_client(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut ClientNode, &mut Context<'_>, &BTreeMap<PathBuf, Content>),
    ) {
        if let Some(client) = &mut self.clients[number] {
            act(client, &mut context(self.now, self.epoch, &mut self.network), &self.files);
        }
        if self.clients[number].as_ref().is_some_and(ClientNode::is_dead) {
            self.note(format_args!("client {number} died"));
            self.network.count(FaultKind::ClientCrash);
            self.remove_client(number);
        }
        self.connect_again(number);
        self.update(Node::Client(number));
    }

    /// The wall clock jumps.
    pub(super) fn jump_clock(&mut self, milliseconds: i64) {
        self.epoch = Timestamp::from_millis(self.epoch.as_millis().saturating_add(milliseconds));
    }

    fn context(&mut self) -> Context<'_> {
        context(self.now, self.epoch, &mut self.network)
    }

    fn with_raw(&mut self, number: usize, act: impl FnOnce(&mut RawNode, &mut Context<'_>)) {
        act(&mut self.raws[number], &mut context(self.now, self.epoch, &mut self.network));
    }

    /// An address for each host: 10.0.0.1 and on.
    fn fresh_address(&mut self) -> IpAddr {
        self.hosts += 1;
        let [_, b, c, d] = self.hosts.to_be_bytes();
        Ipv4Addr::new(10, b, c, d).into()
    }
}

fn context(now: Instant, epoch: Timestamp, network: &mut Network) -> Context<'_> {
    Context { now, wall: epoch.saturating_add(now.saturating_since(Instant::ZERO)), network }
}

impl Drop for Simulation {
    /// A run that fails says how to repeat it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed of this run is {}; its latest events:\n{}", self.options.seed, self.trace().latest());
        }
    }
}
