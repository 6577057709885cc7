//! Clients come and go.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use toom_core::client::io::AcceptPolicy;
use toom_core::client::people::Person;
use toom_core::config::TransferConfig;
use toom_core::id::ConnectionId;

use super::super::client::{ClientNode, ClientOptions};
use super::super::dice::Dice;
use super::super::disk::Disk;
use super::super::network::{Node, Toward};
use super::{End, Simulation, Who};
use crate::invariants::Observation;

/// A port that the first ones have to themselves; after five thousand they are used again.
pub(super) fn port(first: u16, number: usize) -> u16 {
    first + (number % 5_000) as u16
}

/// What a client is like.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// What it does with offers.
    pub accept: AcceptPolicy,
    /// Whether it comes back by itself when its connection is lost.
    pub reconnect: bool,
}

impl From<AcceptPolicy> for Manner {
    /// One that ends with its connection.
    fn from(accept: AcceptPolicy) -> Manner {
        Manner { accept, reconnect: false }
    }
}

/// What a client that ended has left behind.
#[derive(Debug)]
pub(crate) struct Remains {
    /// Where it was.
    pub(crate) address: SocketAddr,
    /// What it knew of people.
    pub(crate) people: Vec<Person>,
    /// Its disk.
    pub(crate) disk: Disk,
}

impl Simulation {
    /// A new client that connects from a host of its own; its number.
    pub fn connect(&mut self, manner: impl Into<Manner>) -> usize {
        let host = self.fresh_address();
        self.start_client(manner.into(), host, BTreeMap::new(), Vec::new())
    }

    /// A new client on the host of an earlier one, with another UDP port. If the earlier one is gone, it is the
    /// same person's, and finds the files that were received.
    pub fn connect_from(&mut self, manner: impl Into<Manner>, earlier: usize) -> usize {
        let (host, downloads, people) = match self.remains.get(&earlier) {
            Some(remains) => (remains.address.ip(), remains.disk.downloads().clone(), remains.people.clone()),
            None => {
                let earlier = self.client(earlier);
                (earlier.address().ip(), BTreeMap::new(), earlier.people().to_vec())
            }
        };
        self.start_client(manner.into(), host, downloads, people)
    }

    /// The living client that is meant by a number, taken modulo how many there are; if that one was killed, the
    /// next one that lives.
    pub fn living(&self, number: usize) -> Option<usize> {
        let count = self.clients.len();
        (0..count).map(|step| (number % count + step) % count).find(|number| self.clients[*number].is_some())
    }

    /// A client is gone at once, with its connection and its UDP port.
    pub fn kill(&mut self, number: usize) {
        self.remove_client(number);
        self.settle();
    }

    fn start_client(
        &mut self,
        Manner { accept, reconnect }: Manner,
        host: IpAddr,
        downloads: BTreeMap<String, Vec<u8>>,
        people: Vec<Person>,
    ) -> usize {
        let number = self.clients.len();
        let address = SocketAddr::new(host, port(40_000, number));
        self.network.bind(number, address);
        let connection = self.network.connect(self.now, host);
        self.network.trace.client(number, address, connection);
        let dice = Dice::new(self.options.seed, &format!("client {number}"));
        let transfer = TransferConfig::default();
        let options = ClientOptions { address, accept, transfer, downloads, people, reconnect };
        self.clients.push(Some(ClientNode::new(self.now, number, connection, options, self.options.work, dice)));
        self.ports.insert(address, number);
        self.context().observe(&Observation::ClientStarts { client: number, address, connection });
        self.has_end(connection, number, host);
        self.update(Node::Client(number));
        self.settle();
        number
    }

    /// A client whose machine wants another connection gets one, unless nothing gets through.
    pub(super) fn connect_again(&mut self, number: usize) {
        let wants = |client: &&mut ClientNode| client.is_wanting_connection();
        let Some(address) = self.clients[number].as_mut().filter(wants).map(|client| client.address()) else { return };
        if self.cut_off.contains(&number) {
            return self.with_client(number, |client, ctx, _| client.cannot_connect(ctx, "nobody answers".into()));
        }
        let connection = self.network.connect(self.now, address.ip());
        self.network.trace.client(number, address, connection);
        self.context().observe(&Observation::ClientConnects { client: number, connection });
        self.has_end(connection, number, address.ip());
        self.with_client(number, |client, ctx, _| client.connects(ctx, connection));
    }

    /// A client's connection breaks, and it cannot make another one until it is [let back](Self::let_back).
    pub fn cut_off(&mut self, number: usize) {
        self.cut_off.insert(number);
        self.cut(number);
    }

    /// A client's connection breaks.
    pub fn cut(&mut self, number: usize) {
        let connection = self.client(number).connection();
        self.network.reset(self.now, connection);
        self.settle();
    }

    /// A client that was cut off can connect again.
    pub fn let_back(&mut self, number: usize) {
        self.cut_off.remove(&number);
    }

    fn has_end(&mut self, connection: ConnectionId, number: usize, host: IpAddr) {
        let address = SocketAddr::new(host, port(50_000, number));
        self.ends.insert(connection, End { address, who: Who::Client(number) });
    }

    /// A client's process ends here: nothing more is written.
    pub(super) fn remove_client(&mut self, number: usize) {
        let Some(client) = self.clients[number].take() else { return };
        let (address, connection) = (client.address(), client.connection());
        self.ports.remove(&address);
        self.remains.insert(number, Remains { address, people: client.people().to_vec(), disk: client.into_disk() });
        self.context().observe(&Observation::ClientEnds(number));
        self.network.end(self.now, connection, Toward::Server);
        self.update(Node::Client(number));
    }
}
