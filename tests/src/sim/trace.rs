//! What happened in a run: a digest of everything for comparing two runs, and the latest lines for people.
//!
//! Millions of events are recorded and a few lines are read, so an event is kept in its parts: they are hashed
//! as they are, many at a time, and put into words only when someone looks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use toom_core::id::ConnectionId;
use toom_core::time::Instant;

use super::fault::FaultKind;
use super::network::{Node, Toward};
use super::stream::Item;
use crate::simulate::compact::shorten;

/// A person who looks at a failure reads no further back.
const KEPT_EVENTS: usize = 60;
/// Hashing is several times faster over many bytes at once.
const BATCH_BYTES: usize = 64 * 1024;

/// The log of a run.
#[derive(Debug)]
pub struct Trace {
    hasher: blake3::Hasher,
    /// What is not hashed yet.
    batch: Vec<u8>,
    entries: u64,
    latest: VecDeque<(Instant, Event)>,
    clients: Clients,
}

/// Which client is where.
#[derive(Debug, Default)]
struct Clients {
    addresses: BTreeMap<SocketAddr, usize>,
    connections: BTreeMap<ConnectionId, usize>,
}

/// Something that happened, in its parts.
#[derive(Debug)]
enum Event {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: usize },
    Opened(ConnectionId, Toward),
    Bytes(ConnectionId, Toward, usize),
    Ended(ConnectionId, Toward),
    Fault(FaultKind, Node),
    Note(String),
}

impl Default for Trace {
    fn default() -> Self {
        Trace {
            hasher: blake3::Hasher::new(),
            batch: Vec::new(),
            entries: 0,
            latest: VecDeque::new(),
            clients: Clients::default(),
        }
    }
}

impl Trace {
    /// From now on this client has this UDP port and this connection.
    pub fn client(&mut self, client: usize, address: SocketAddr, connection: ConnectionId) {
        self.clients.addresses.insert(address, client);
        self.clients.connections.insert(connection, client);
    }

    /// A datagram was sent.
    pub fn datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.begin(now, 0);
        self.address(from);
        self.address(to);
        self.bytes(datagram);
        self.keep(now, Event::Datagram { from, to, bytes: datagram.len() });
    }

    /// Something arrived on a connection.
    pub fn stream(&mut self, now: Instant, connection: ConnectionId, toward: Toward, item: &Item) {
        let (kind, bytes, event) = match item {
            Item::Opened => (1, &[][..], Event::Opened(connection, toward)),
            Item::Bytes(bytes) => (2, &bytes[..], Event::Bytes(connection, toward, bytes.len())),
            Item::Ended => (3, &[][..], Event::Ended(connection, toward)),
        };
        self.begin(now, kind);
        self.direction(connection, toward);
        self.bytes(bytes);
        self.keep(now, event);
    }

    /// Something went wrong on a link.
    pub fn fault(&mut self, now: Instant, kind: FaultKind, link: Node) {
        self.begin(now, 4);
        self.batch.push(kind as u8);
        match link {
            Node::Link(from, to) => {
                self.address(from);
                self.address(to);
            }
            Node::Stream(connection, toward) => self.direction(connection, toward),
            Node::Server | Node::Connection(_) | Node::Client(_) => {}
        }
        self.keep(now, Event::Fault(kind, link));
    }

    /// Something else happened, which is told in words.
    pub fn note(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        let text = fmt::format(what);
        self.begin(now, 5);
        self.bytes(text.as_bytes());
        self.keep(now, Event::Note(text));
    }

    /// How much happened, and a hash of all of it, times and bytes included.
    pub fn digest(&self) -> (u64, [u8; 32]) {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.batch);
        (self.entries, hasher.finalize().into())
    }

    /// The latest lines, oldest first.
    pub fn latest(&self) -> String {
        let line = |(at, event): &(Instant, Event)| {
            let what = event.in_words(&self.clients);
            format!("{:>13.6} s  {what}\n", at.saturating_since(Instant::ZERO).as_secs_f64())
        };
        self.latest.iter().map(line).collect()
    }

    fn begin(&mut self, now: Instant, kind: u8) {
        self.batch.extend_from_slice(&now.as_nanos().to_be_bytes());
        self.batch.push(kind);
    }

    fn address(&mut self, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => self.batch.extend_from_slice(&ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => self.batch.extend_from_slice(&ip.octets()),
        }
        self.batch.extend_from_slice(&address.port().to_be_bytes());
    }

    fn direction(&mut self, connection: ConnectionId, toward: Toward) {
        self.batch.extend_from_slice(&connection.0.to_be_bytes());
        self.batch.push(toward as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.batch.extend_from_slice(bytes);
    }

    fn keep(&mut self, now: Instant, event: Event) {
        if self.batch.len() >= BATCH_BYTES {
            self.hasher.update(&self.batch);
            self.batch.clear();
        }
        self.entries += 1;
        if self.latest.len() == KEPT_EVENTS {
            self.latest.pop_front();
        }
        self.latest.push_back((now, event));
    }
}

impl Event {
    fn in_words(&self, clients: &Clients) -> String {
        match self {
            Event::Datagram { from, to, bytes } => format!("{}: {bytes} bytes", clients.path(*from, *to)),
            Event::Opened(connection, toward) => format!("{}: opened", clients.stream(*connection, *toward)),
            Event::Bytes(connection, toward, bytes) => {
                format!("{}: {bytes} bytes", clients.stream(*connection, *toward))
            }
            Event::Ended(connection, toward) => format!("{}: ended", clients.stream(*connection, *toward)),
            Event::Fault(kind, Node::Link(from, to)) => format!("{}: {kind:?}", clients.path(*from, *to)),
            Event::Fault(kind, Node::Stream(connection, toward)) => {
                format!("{}: {kind:?}", clients.stream(*connection, *toward))
            }
            Event::Fault(kind, node) => format!("{node:?}: {kind:?}"),
            Event::Note(text) => shorten(text),
        }
    }
}

impl Clients {
    /// The way of a datagram.
    fn path(&self, from: SocketAddr, to: SocketAddr) -> String {
        // Of what a peer that moved sends nobody knows whose it is.
        let who = |address| match self.addresses.get(&address) {
            Some(client) => format!("client {client}"),
            None => address.to_string(),
        };
        format!("datagram {} -> {}", who(from), who(to))
    }

    /// One direction of a connection.
    fn stream(&self, connection: ConnectionId, toward: Toward) -> String {
        let who = match self.connections.get(&connection) {
            Some(client) => format!("client {client}"),
            None => "no client".to_owned(),
        };
        let arrow = if toward == Toward::Server { "->" } else { "<-" };
        format!("connection {connection}, {who} {arrow} server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::new([10, 0, 0, 1].into(), port)
    }

    /// Records something of each kind; `skewed` makes one of them differ a little.
    fn digest(skewed: Option<usize>) -> (u64, [u8; 32]) {
        let mut trace = Trace::default();
        let differs = |place| u8::from(skewed == Some(place));
        let now = Instant::from_nanos(u64::from(differs(0)));
        let (connection, port) = (ConnectionId(1 + u64::from(differs(1))), 2 + u16::from(differs(2)));
        trace.datagram(now, address(1), address(port), &[differs(3)]);
        trace.stream(now, connection, Toward::Client, &Item::Bytes(vec![differs(4)]));
        let end = if skewed == Some(5) { Item::Opened } else { Item::Ended };
        trace.stream(now, connection, if skewed == Some(6) { Toward::Server } else { Toward::Client }, &end);
        let kind = if skewed == Some(7) { FaultKind::Loss } else { FaultKind::Reorder };
        trace.fault(now, kind, Node::Stream(connection, Toward::Client));
        trace.note(now, format_args!("{}", differs(8)));
        trace.digest()
    }

    #[test]
    fn the_digest_is_of_everything() {
        assert_eq!(digest(None), digest(None));
        for place in 0..9 {
            assert_ne!(digest(Some(place)), digest(None), "{place}");
        }
    }

    #[test]
    fn the_digest_does_not_forget_what_was_hashed_before() {
        let after = |first: u8| {
            let mut trace = Trace::default();
            trace.datagram(Instant::ZERO, address(1), address(2), &[first]);
            trace.datagram(Instant::ZERO, address(1), address(2), &vec![0; 2 * BATCH_BYTES]);
            trace.note(Instant::ZERO, format_args!("the end"));
            trace.digest()
        };
        assert_eq!(after(1), after(1));
        assert_ne!(after(1), after(2));
    }

    #[test]
    fn the_latest_lines_are_kept_in_words() {
        let mut trace = Trace::default();
        for number in 0..100 {
            trace.note(Instant::from_nanos(number), format_args!("line {number}"));
        }
        trace.datagram(Instant::from_nanos(2_500_000_000), address(1), address(2), b"hello");
        trace.client(3, address(1), ConnectionId(4));
        trace.stream(Instant::ZERO, ConnectionId(4), Toward::Server, &Item::Bytes(vec![0; 9]));
        trace.fault(Instant::ZERO, FaultKind::Split, Node::Stream(ConnectionId(5), Toward::Client));
        trace.note(Instant::ZERO, format_args!("client 3: {:?}", [9u8; 300]));
        let latest = trace.latest();
        let lines: Vec<&str> = latest.lines().collect();
        assert_eq!((lines.len(), lines[0]), (KEPT_EVENTS, "     0.000000 s  line 44"));
        let end = [
            "     2.500000 s  datagram client 3 -> 10.0.0.1:2: 5 bytes",
            "     0.000000 s  connection 4, client 3 -> server: 9 bytes",
            "     0.000000 s  connection 5, no client <- server: Split",
            "     0.000000 s  client 3: <300 bytes>",
        ];
        assert_eq!(lines[KEPT_EVENTS - end.len()..], end);
    }
}
