//! What must hold in every run, whatever happens: the invariants, each with its name, and the checkers that
//! watch for them while a simulation goes on.
//!
//! # Theory of operation
//!
//! A simulation tells every [`Observation`] to its [`Watch`], in the order in which things happen: what each
//! machine of the core hears and says, what becomes durable, what crosses the network, what ends up in a
//! folder. A checker keeps a model of its own, far simpler than the code and written from the contract, and
//! says which invariant is broken as soon as it is. The first one ends the run.
//!
//! Nothing here shares logic with the core: only its types are read.

pub mod addresses;
pub mod answers;
pub mod conference;
pub mod content;
pub mod datagrams;
pub mod deadlines;
pub mod devices;
pub mod direct;
pub mod facts;
pub mod history;
pub mod login;
#[cfg(test)]
mod made_up;
pub mod messages;
pub mod model;
pub mod offers;
pub mod presence;
pub mod ranges;
pub mod replay;
pub mod replies;
pub mod resources;
pub mod rooms;
pub mod sessions;
pub mod shown;
pub mod spelling;
#[cfg(test)]
mod testing;
pub mod transfer;

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;

use toom_core::client::Client;
use toom_core::client::io::{Input as ClientInput, Output as ClientOutput};
use toom_core::id::{ConnectionId, OfferId};
use toom_core::machine::Bounded;
use toom_core::server::fact::Committed;
use toom_core::server::io::{Input as ServerInput, Output as ServerOutput};
use toom_core::server::{Server, Settings};
use toom_core::time::{Instant, Timestamp};
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Input as TransferInput, Output as TransferOutput};

use crate::sim::network::Toward;

/// Something that happened in a simulation. `client` is a client's number in its simulation: one process, from
/// its start to its end.
#[derive(Debug)]
pub enum Observation<'a> {
    /// The server's process starts and reads this log.
    ServerStarts {
        /// What the operator decided.
        settings: Settings,
        /// Everything durable, oldest first.
        log: &'a [Committed],
    },
    /// The server has read its log.
    ServerRecovered(&'a Server),
    /// The server machine is about to hear this.
    ServerHears(&'a ServerInput<'a>),
    /// The server machine has said this, which is about to be carried out.
    ServerSays(&'a ServerOutput),
    /// The server machine has handled one input; its outputs are not carried out yet.
    ServerHandled(&'a Server),
    /// The server's process ends, maybe in the middle of what it was about to carry out.
    ServerEnds(&'a Server),
    /// A fact is durable now; the server has not heard of it yet.
    Durable(&'a Committed),
    /// A client's process starts.
    ClientStarts {
        /// Which.
        client: usize,
        /// Its address, with its UDP port.
        address: SocketAddr,
        /// Its connection to the server.
        connection: ConnectionId,
    },
    /// A client makes another connection; the one before is gone, or of no use to it any more.
    ClientConnects {
        /// Which.
        client: usize,
        /// The new connection.
        connection: ConnectionId,
    },
    /// A client machine is about to hear this.
    ClientHears(usize, &'a ClientInput),
    /// A client machine has said this, which is about to be carried out.
    ClientSays(usize, &'a ClientOutput),
    /// A client machine has handled one input; its outputs are not carried out yet.
    ClientHandled(usize, &'a Client),
    /// The transfers of a client are about to hear this.
    TransfersHear(usize, &'a TransferInput<'a>),
    /// The transfers of a client have said this, which is about to be carried out.
    TransfersSay(usize, &'a TransferOutput),
    /// The transfers of a client have handled one input; their outputs are not carried out yet.
    TransfersHandled(usize, &'a Transfers),
    /// A client's process ends.
    ClientEnds(usize),
    /// One half of a TCP connection, at either end, has taken something.
    Link {
        /// Which.
        half: &'a dyn Bounded,
        /// When it must be woken.
        deadline: Option<Instant>,
    },
    /// A machine was woken before its deadline: it must have nothing to say. How much it said.
    WokenEarly {
        /// Which machine.
        machine: Woken,
        /// How many outputs.
        said: usize,
    },
    /// A client sends a datagram.
    DatagramSent {
        /// Whose.
        client: usize,
        /// Where to.
        to: SocketAddr,
        /// What.
        datagram: &'a [u8],
    },
    /// A datagram arrives at a client.
    DatagramArrives {
        /// Whose.
        client: usize,
        /// From where.
        from: SocketAddr,
        /// What, as it was after the network.
        datagram: &'a [u8],
        /// Whether its seal was right, so that the machine hears of it.
        opened: bool,
    },
    /// A range of a file that a client sends was read.
    SourceRead {
        /// Whose file.
        client: usize,
        /// Which transfer.
        transfer: OfferId,
        /// Where in the file.
        offset: u64,
        /// What was there.
        bytes: &'a [u8],
    },
    /// A received file got its final name, or a file of that name and content was there already.
    Published {
        /// Whose folder.
        client: usize,
        /// Which transfer.
        transfer: OfferId,
        /// The final name.
        name: &'a str,
        /// What is in it.
        content: &'a [u8],
    },
}

/// A machine that was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Woken {
    /// The server.
    Server,
    /// A client.
    Client(usize),
    /// The transfers of a client.
    Transfers(usize),
    /// The end of a connection toward which bytes go: the server's or the client's.
    Link(ConnectionId, Toward),
}

impl fmt::Display for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Woken::Server => f.write_str("the server"),
            Woken::Client(client) => write!(f, "client {client}"),
            Woken::Transfers(client) => write!(f, "the transfers of client {client}"),
            Woken::Link(connection, Toward::Server) => write!(f, "the server's end of connection {connection}"),
            Woken::Link(connection, Toward::Client) => write!(f, "the client's end of connection {connection}"),
        }
    }
}

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The simulation's monotonic clock.
    pub now: Instant,
    /// The wall clock, which may have jumped.
    pub wall: Timestamp,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name, a constant of its checker's module: what a report, a shrunk case and a regression are known by.
    pub invariant: &'static str,
    /// What was seen and what was expected, in one sentence.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Watches for some invariants.
pub trait Checker: fmt::Debug {
    /// Something happened.
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken>;

    /// The run is over: all is healed, everything had its time, and nothing more will happen.
    fn finish(&mut self, at: Moment) -> Result<(), Broken> {
        let _ = at;
        Ok(())
    }
}

/// All checkers of a run, and the first thing that they found.
#[derive(Debug, Default)]
pub struct Watch {
    checkers: Vec<Box<dyn Checker>>,
    broken: Option<Broken>,
}

impl Watch {
    /// A watch without checkers.
    pub fn new(checkers: Vec<Box<dyn Checker>>) -> Watch {
        Watch { checkers, broken: None }
    }

    /// Tells every checker, until one of them has found something.
    pub fn observe(&mut self, now: Instant, wall: Timestamp, what: &Observation<'_>) {
        let at = Moment { now, wall };
        for checker in &mut self.checkers {
            if self.broken.is_none() {
                self.broken = checker.observe(at, what).err();
            }
        }
    }

    /// The run is over.
    pub fn finish(&mut self, now: Instant, wall: Timestamp) {
        for checker in &mut self.checkers {
            if self.broken.is_none() {
                self.broken = checker.finish(Moment { now, wall }).err();
            }
        }
    }

    /// An invariant that is broken outside of any checker (a panic, a run that does not converge).
    pub fn fail(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }
}

/// The checkers of every run.
pub fn every_checker() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(addresses::Addresses::default()),
        Box::new(conference::Conference::default()),
        Box::new(content::Content::default()),
        Box::new(datagrams::Datagrams::default()),
        Box::new(deadlines::Deadlines::default()),
        Box::new(login::Login::default()),
        Box::new(replay::Replay::default()),
        Box::new(resources::Resources::default()),
        Box::new(transfer::Life::default()),
    ]
}

/// Something is broken unless `holds`.
pub fn ensure(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, what: what() }) }
}

/// How long everything may take once all is healed, unless an invariant names its own bound.
pub const CONVERGENCE: Duration = Duration::from_secs(30 * 60);
