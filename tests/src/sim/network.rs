//! All links of a world, and who is woken by them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use toom_core::id::ConnectionId;
use toom_core::link::Outbound;
use toom_core::machine::Machine;
use toom_core::time::{Instant, Timestamp};

use super::dice::Dice;
use super::fault::{FaultCounts, FaultKind};
use super::link::{self, Arrived, DatagramLink, Fates};
use super::options::Options;
use super::stream::{self, Item, Stream};
use super::trace::Trace;
use crate::invariants::{Observation, Watch};

/// Something with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The server and its store.
    Server,
    /// The server's end of a connection.
    Connection(ConnectionId),
    /// A client.
    Client(usize),
    /// One direction of a TCP connection.
    Stream(ConnectionId, Toward),
    /// The datagrams from one address to another.
    Link(SocketAddr, SocketAddr),
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Toward {
    /// To the server.
    Server,
    /// To the client.
    Client,
}

/// Something that arrives at a node.
#[derive(Debug)]
pub enum Delivery {
    /// At one end of a TCP connection.
    Stream {
        /// Which connection.
        connection: ConnectionId,
        /// At which end.
        toward: Toward,
        /// What.
        item: Item,
    },
    /// At a UDP port.
    Datagram {
        /// Whose.
        from: SocketAddr,
        /// Where.
        to: SocketAddr,
        /// What.
        datagram: Vec<u8>,
    },
}

/// What a node sees of its world while it acts.
#[derive(Debug)]
pub struct Context<'a> {
    /// The clock.
    pub now: Instant,
    /// The wall clock.
    pub wall: Timestamp,
    /// The network.
    pub network: &'a mut Network,
}

impl Context<'_> {
    /// Notes what a node did.
    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.network.trace.record(self.now, what, &[]);
    }

    /// Tells those who watch what is happening.
    pub fn observe(&mut self, what: &Observation<'_>) {
        self.network.watch.observe(self.now, self.wall, what);
    }
}

/// All links.
#[derive(Debug)]
pub struct Network {
    options: Options,
    streams: BTreeMap<(ConnectionId, Toward), Stream>,
    links: BTreeMap<(SocketAddr, SocketAddr), DatagramLink>,
    connections: u64,
    touched: BTreeSet<Node>,
    deliveries: VecDeque<Delivery>,
    /// What crossed it.
    pub trace: Trace,
    /// What really went wrong so far.
    pub faults: FaultCounts,
    /// Who watches everything that happens in this world.
    pub watch: Watch,
}

impl Network {
    /// A network without links.
    pub fn new(options: Options) -> Network {
        Network {
            options,
            streams: BTreeMap::new(),
            links: BTreeMap::new(),
            connections: 0,
            touched: BTreeSet::new(),
            deliveries: VecDeque::new(),
            trace: Trace::default(),
            faults: FaultCounts::new(),
            watch: Watch::default(),
        }
    }

    /// Something went wrong for somebody.
    pub fn count(&mut self, kind: FaultKind) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Opens a TCP connection to the server.
    pub fn connect(&mut self, now: Instant) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        for toward in [Toward::Server, Toward::Client] {
            let dice = Dice::new(self.options.seed, &format!("stream {connection} {toward:?}"));
            self.streams.insert((connection, toward), Stream::new(self.options.stream, dice));
        }
        self.stream(now, connection, Toward::Server, stream::Input::Opened);
        connection
    }

    /// The server accepts a connection.
    pub fn accept(&mut self, now: Instant, connection: ConnectionId) {
        self.stream(now, connection, Toward::Client, stream::Input::Opened);
    }

    /// Writes as much as the stream takes.
    pub fn flush(&mut self, now: Instant, connection: ConnectionId, toward: Toward, outbound: &mut Outbound) {
        outbound.seal();
        let written = self.write(now, connection, toward, outbound.pending());
        outbound.written(written);
    }

    /// Writes as much of `bytes` as the stream takes; how much that was. One that is gone swallows all.
    pub fn write(&mut self, now: Instant, connection: ConnectionId, toward: Toward, bytes: &[u8]) -> usize {
        let Some(stream) = self.streams.get(&(connection, toward)) else { return bytes.len() };
        let bytes = &bytes[..bytes.len().min(stream.room())];
        if !bytes.is_empty() {
            self.stream(now, connection, toward, stream::Input::Wrote(bytes));
        }
        bytes.len()
    }

    /// The writer is done, or gone.
    pub fn end(&mut self, now: Instant, connection: ConnectionId, toward: Toward) {
        self.stream(now, connection, toward, stream::Input::Ended);
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.trace.record(now, format_args!("datagram {from} -> {to}: {} bytes", datagram.len()), datagram);
        self.link(now, from, to, link::Input::Sent(datagram));
    }

    /// The deadline of a link has come.
    pub fn wake(&mut self, now: Instant, node: Node) {
        match node {
            Node::Stream(connection, toward) => self.stream(now, connection, toward, stream::Input::Woke),
            Node::Link(from, to) => self.link(now, from, to, link::Input::Woke),
            Node::Server | Node::Connection(_) | Node::Client(_) => {}
        }
    }

    /// What became of the datagrams from one address to another.
    pub fn fates(&self, from: SocketAddr, to: SocketAddr) -> Fates {
        self.links.get(&(from, to)).map(DatagramLink::fates).unwrap_or_default()
    }

    /// What has arrived, oldest first.
    pub fn take_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// The links whose deadlines may have changed, with their deadlines.
    pub fn take_touched(&mut self) -> Vec<(Node, Option<Instant>)> {
        let deadline = |node: Node| match node {
            Node::Stream(connection, toward) => self.streams.get(&(connection, toward)).and_then(Machine::deadline),
            Node::Link(from, to) => self.links.get(&(from, to)).and_then(Machine::deadline),
            Node::Server | Node::Connection(_) | Node::Client(_) => None,
        };
        let touched = self.touched.iter().map(|node| (*node, deadline(*node))).collect();
        self.touched.clear();
        touched
    }

    fn stream(&mut self, now: Instant, connection: ConnectionId, toward: Toward, input: stream::Input<'_>) {
        let Some(stream) = self.streams.get_mut(&(connection, toward)) else { return };
        let mut out = Vec::new();
        stream.handle(now, input, &mut out);
        self.touched.insert(Node::Stream(connection, toward));
        for item in out {
            let (what, bytes) = match &item {
                Item::Opened => ("opened", &[][..]),
                Item::Bytes(bytes) => ("bytes", &bytes[..]),
                Item::Ended => ("ended", &[][..]),
            };
            let line = format_args!("stream {connection} -> {toward:?}: {what} {}", bytes.len());
            self.trace.record(now, line, bytes);
            if item == Item::Ended {
                self.streams.remove(&(connection, toward));
            }
            self.deliveries.push_back(Delivery::Stream { connection, toward, item });
        }
    }

    fn link(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, input: link::Input<'_>) {
        let options = &self.options;
        let make = || DatagramLink::new(options.link, Dice::new(options.seed, &format!("link {from} {to}")));
        let mut out = Vec::new();
        self.links.entry((from, to)).or_insert_with(make).handle(now, input, &mut out);
        self.touched.insert(Node::Link(from, to));
        let arrived = |Arrived(datagram)| Delivery::Datagram { from, to, datagram };
        self.deliveries.extend(out.into_iter().map(arrived));
    }
}
