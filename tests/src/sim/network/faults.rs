//! What can be done to a network.

use std::net::{Ipv4Addr, SocketAddr};

use toom_core::id::ConnectionId;
use toom_core::time::Instant;

use super::{Delivery, Network, Node, Toward};
use crate::sim::fault::{FaultKind, Host};
use crate::sim::options::LinkOptions;
use crate::sim::stream;

/// Where an attacker is.
const STRANGER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 6_666);

impl Network {
    /// From now on nothing gets from one host to another, nor back if `both`.
    pub fn part(&mut self, now: Instant, from: Host, to: Host, both: bool) {
        if from == to {
            return;
        }
        self.partitions.add(from, to);
        if both {
            self.partitions.add(to, from);
        }
        let clients: Vec<(ConnectionId, usize)> = self.clients.iter().map(|(id, client)| (*id, *client)).collect();
        for (connection, client) in clients {
            if from == Host::Client(client) || to == Host::Client(client) {
                self.follow_partitions(now, connection, client);
            }
        }
    }

    /// From now on datagrams from one client to another fare like this.
    pub fn set_link(&mut self, from: (usize, SocketAddr), to: (usize, SocketAddr), options: LinkOptions) {
        self.link_options.insert((from.0, to.0), options);
        let addresses = (self.outside(from.1), self.outside(to.1));
        if let Some(link) = self.links.get_mut(&addresses) {
            link.set_options(options);
        }
    }

    /// One direction of a connection stalls, trickles, or is well again.
    pub fn hinder(&mut self, now: Instant, connection: ConnectionId, toward: Toward, how: stream::Input<'_>) {
        self.stream(now, connection, toward, how);
    }

    /// A connection breaks: both ends lose what is under way and see its end. Says whether there was one.
    pub fn reset(&mut self, now: Instant, connection: ConnectionId) -> bool {
        let directions = self.directions(connection);
        for toward in &directions {
            self.arrived(now, connection, *toward, stream::Item::Ended);
        }
        !directions.is_empty()
    }

    /// The client that has bound `own` has a new port or a new IP address from now on, without knowing it.
    pub fn rebind(&mut self, client: usize, own: SocketAddr) {
        self.moves = self.moves.wrapping_add(1);
        let before = self.outside(own);
        let [high, low] = self.moves.to_be_bytes();
        let new = if self.dice.chance(0.5) {
            SocketAddr::new(Ipv4Addr::new(172, 16, high, low).into(), before.port())
        } else {
            SocketAddr::new(before.ip(), 1_024 + self.moves % 32_768)
        };
        self.addresses.rebind(client, own, new);
    }

    /// Someone sends the latest datagrams that arrived at the client that has bound `own` once more, right beside it.
    pub fn replay(&mut self, now: Instant, own: SocketAddr, count: usize, foreign: bool, changed: bool) {
        let to = self.outside(own);
        for (from, mut datagram) in self.replay.latest(own, count) {
            let from = if foreign { STRANGER } else { from };
            let kind = match (changed, foreign) {
                (true, _) => FaultKind::Forgery,
                (false, true) => FaultKind::ForeignReplay,
                (false, false) => FaultKind::Replay,
            };
            if changed && !self.dice.flip_bit(&mut datagram) {
                continue;
            }
            self.trace.datagram(now, from, to, &datagram);
            self.fault(now, kind, Node::Link(from, to));
            self.deliveries.push_back(Delivery::Datagram { from, to: own, datagram });
        }
    }

    /// Everything is as the world's options say, without their faults. Who moved stays there.
    pub fn heal(&mut self, now: Instant) {
        self.options.link = self.options.link.without_faults();
        self.link_options.clear();
        for link in self.links.values_mut() {
            link.set_options(self.options.link);
        }
        self.partitions.mend();
        let streams: Vec<(ConnectionId, Toward)> = self.streams.keys().copied().collect();
        for (connection, toward) in streams {
            self.stream(now, connection, toward, stream::Input::Healed);
        }
    }

    /// The connection of a client is as partitioned as its host.
    pub(super) fn follow_partitions(&mut self, now: Instant, connection: ConnectionId, client: usize) {
        for toward in [Toward::Server, Toward::Client] {
            let passage = self.partitions.passage(client, toward);
            self.stream(now, connection, toward, stream::Input::Passage(passage));
        }
    }
}
