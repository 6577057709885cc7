//! All links of a world, and who is woken by them.

mod addresses;
mod faults;
mod partitions;
mod replay;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use toom_core::id::ConnectionId;
use toom_core::link::Outbound;
use toom_core::machine::Machine;
use toom_core::time::{Instant, Timestamp};

use super::dice::Dice;
use super::fault::{FaultCounts, FaultKind, Host};
use super::link::{self, DatagramLink, Fates};
use super::options::{LinkOptions, Options};
use super::stream::{self, Item, Stream};
use super::trace::Trace;
use crate::invariants::{Observation, Watch};
use addresses::Addresses;
use partitions::Partitions;
use replay::Replay;

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
    /// The writer in this direction of a TCP connection hears that there may be room again.
    Room {
        /// Which connection.
        connection: ConnectionId,
        /// Which direction.
        toward: Toward,
    },
    /// At a UDP port.
    Datagram {
        /// Whose.
        from: SocketAddr,
        /// The address that the receiver has bound, wherever others see it.
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
        self.network.trace.note(self.now, what);
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
    /// For what attackers and middleboxes do.
    dice: Dice,
    streams: BTreeMap<(ConnectionId, Toward), Stream>,
    /// From which hosts connections come, of those that come from a client's.
    hosts: BTreeMap<ConnectionId, usize>,
    links: BTreeMap<(SocketAddr, SocketAddr), DatagramLink>,
    /// Of links between two hosts that are not like all others.
    link_options: BTreeMap<(usize, usize), LinkOptions>,
    addresses: Addresses,
    partitions: Partitions,
    replay: Replay,
    connections: u64,
    /// How often a client's address changed.
    moves: u16,
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
            dice: Dice::new(options.seed, "network"),
            options,
            streams: BTreeMap::new(),
            hosts: BTreeMap::new(),
            links: BTreeMap::new(),
            link_options: BTreeMap::new(),
            addresses: Addresses::default(),
            partitions: Partitions::default(),
            replay: Replay::default(),
            connections: 0,
            moves: 0,
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

    /// A client has bound this UDP address.
    pub fn bind(&mut self, client: usize, address: SocketAddr) {
        self.addresses.bind(client, address);
    }

    /// Opens a TCP connection to the server.
    pub fn connect(&mut self, now: Instant, from: IpAddr) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        for toward in [Toward::Server, Toward::Client] {
            let dice = Dice::new(self.options.seed, &format!("stream {connection} {toward:?}"));
            self.streams.insert((connection, toward), Stream::new(self.options.stream, dice));
        }
        if let Some(host) = self.addresses.host_at(from) {
            self.hosts.insert(connection, host);
            self.follow_partitions(now, connection, host);
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
        outbound.seal(now);
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

    /// Whoever has bound `from` sends a datagram.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let from = self.addresses.outside(from);
        self.trace.datagram(now, from, to, datagram);
        match self.partition(from, to) {
            Some(kind) => self.fault(now, kind, Node::Link(from, to)),
            None => self.link(now, from, to, link::Input::Sent(datagram)),
        }
    }

    /// Where others see whoever has bound `own`.
    pub fn outside(&self, own: SocketAddr) -> SocketAddr {
        self.addresses.outside(own)
    }

    /// The deadline of a link has come.
    pub fn wake(&mut self, now: Instant, node: Node) {
        match node {
            Node::Stream(connection, toward) => self.stream(now, connection, toward, stream::Input::Woke),
            Node::Link(from, to) => self.link(now, from, to, link::Input::Woke),
            Node::Server | Node::Connection(_) | Node::Client(_) => {}
        }
    }

    /// What became of the datagrams from where one client is now to where another one is.
    pub fn fates(&self, from: SocketAddr, to: SocketAddr) -> Fates {
        let (from, to) = (self.outside(from), self.outside(to));
        self.links.get(&(from, to)).map(DatagramLink::fates).unwrap_or_default()
    }

    /// What has arrived, oldest first.
    pub fn take_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// A link whose deadline may have changed, with its deadline.
    pub fn take_touched(&mut self) -> Option<(Node, Option<Instant>)> {
        let node = self.touched.pop_first()?;
        let deadline = match node {
            Node::Stream(connection, toward) => self.streams.get(&(connection, toward)).and_then(Machine::deadline),
            Node::Link(from, to) => self.links.get(&(from, to)).and_then(Machine::deadline),
            Node::Server | Node::Connection(_) | Node::Client(_) => None,
        };
        Some((node, deadline))
    }

    fn stream(&mut self, now: Instant, connection: ConnectionId, toward: Toward, input: stream::Input<'_>) {
        let Some(stream) = self.streams.get_mut(&(connection, toward)) else { return };
        let mut out = Vec::new();
        stream.handle(now, input, &mut out);
        let node = Node::Stream(connection, toward);
        self.touched.insert(node);
        for output in out {
            match output {
                stream::Output::Arrived(item) => self.arrived(now, connection, toward, item),
                stream::Output::Acknowledged => self.deliveries.push_back(Delivery::Room { connection, toward }),
                // There are so many that nobody would see anything else.
                stream::Output::Fault(FaultKind::Split) => self.count(FaultKind::Split),
                stream::Output::Fault(kind) => self.fault(now, kind, node),
                stream::Output::Held => {
                    if let Some(kind) = self.stream_partition(connection, toward) {
                        self.fault(now, kind, node);
                    }
                }
                stream::Output::TimedOut => {
                    self.reset(now, connection);
                }
            }
        }
    }

    fn arrived(&mut self, now: Instant, connection: ConnectionId, toward: Toward, item: Item) {
        self.trace.stream(now, connection, toward, &item);
        if item == Item::Ended {
            self.streams.remove(&(connection, toward));
            self.touched.insert(Node::Stream(connection, toward));
            if self.directions(connection).is_empty() {
                self.hosts.remove(&connection);
            }
        }
        self.deliveries.push_back(Delivery::Stream { connection, toward, item });
    }

    fn link(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, input: link::Input<'_>) {
        let link = match self.links.entry((from, to)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let hosts = self.addresses.host(from).zip(self.addresses.host(to));
                let options = hosts.and_then(|hosts| self.link_options.get(&hosts)).copied();
                let dice = Dice::new(self.options.seed, &format!("link {from} {to}"));
                place.insert(DatagramLink::new(options.unwrap_or(self.options.link), dice))
            }
        };
        let mut out = Vec::new();
        link.handle(now, input, &mut out);
        let node = Node::Link(from, to);
        self.touched.insert(node);
        for output in out {
            match output {
                link::Output::Arrived(datagram) => self.datagram_arrived(from, to, datagram),
                link::Output::Fault(kind) => self.fault(now, kind, node),
            }
        }
    }

    fn datagram_arrived(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        // Nobody is at an address that a client left.
        let Some(own) = self.addresses.own(to) else { return };
        if self.addresses.host(own).is_some() {
            self.replay.hear(from, own, &datagram);
        }
        self.deliveries.push_back(Delivery::Datagram { from, to: own, datagram });
    }

    /// Something goes wrong on a link.
    fn fault(&mut self, now: Instant, kind: FaultKind, link: Node) {
        self.count(kind);
        self.trace.fault(now, kind, link);
    }

    /// The directions of a connection that have not ended.
    fn directions(&self, connection: ConnectionId) -> Vec<Toward> {
        let open = |toward: &Toward| self.streams.contains_key(&(connection, *toward));
        [Toward::Server, Toward::Client].into_iter().filter(open).collect()
    }

    /// Whether a datagram is lost in a partition, and in which kind.
    fn partition(&self, from: SocketAddr, to: SocketAddr) -> Option<FaultKind> {
        if self.partitions.is_empty() {
            return None;
        }
        let host = |address| self.addresses.host(address).map(Host::Client);
        self.partitions.fault(host(from)?, host(to)?)
    }

    /// In which kind of partition something is held in one direction of a connection.
    fn stream_partition(&self, connection: ConnectionId, toward: Toward) -> Option<FaultKind> {
        let host = *self.hosts.get(&connection)?;
        self.partitions.stream_fault(host, toward)
    }
}
