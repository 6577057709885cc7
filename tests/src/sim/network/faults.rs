//! What can be done to a network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toom_core::id::ConnectionId;
use toom_core::time::Instant;

use super::{Delivery, Network, Node, Toward};
use crate::sim::fault::{FaultKind, Host};
use crate::sim::options::LinkOptions;
use crate::sim::stream;

/// Where an attacker is.
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 6_666);

impl Network {
    /// The host with this address, as the network knows it.
    pub fn host_at(&self, address: IpAddr) -> Option<Host> {
        self.addresses.host_at(address).map(Host::Client)
    }

    /// From now on nothing gets from one host to another, nor back if `both`.
    pub fn part(&mut self, now: Instant, from: Host, to: Host, both: bool) {
        if from == to {
            return;
        }
        self.partitions.add(from, to);
        if both {
            self.partitions.add(to, from);
        }
        let connections: Vec<(ConnectionId, usize)> = self.hosts.iter().map(|(id, host)| (*id, *host)).collect();
        for (connection, host) in connections {
            if from == Host::Client(host) || to == Host::Client(host) {
                self.follow_partitions(now, connection, host);
            }
        }
    }

    /// From now on datagrams from the host of one client to that of another fare like this. Clients are told by the
    /// addresses that they have bound.
    pub fn set_link(&mut self, from: SocketAddr, to: SocketAddr, options: LinkOptions) {
        let hosts = |from, to| self.addresses.host(from).zip(self.addresses.host(to));
        let Some(meant) = hosts(from, to) else { return };
        for ((from, to), link) in &mut self.links {
            if hosts(*from, *to) == Some(meant) {
                link.set_options(options);
            }
        }
        self.link_options.insert(meant, options);
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
    pub fn rebind(&mut self, own: SocketAddr) {
        self.moves = self.moves.wrapping_add(1);
        let before = self.outside(own);
        let [high, low] = self.moves.to_be_bytes();
        let new = if self.dice.chance(0.5) {
            SocketAddr::new(Ipv4Addr::new(172, 16, high, low).into(), before.port())
        } else {
            SocketAddr::new(before.ip(), 1_024 + self.moves % 32_768)
        };
        self.addresses.rebind(own, new);
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

    /// A connection is as partitioned as its host.
    pub(super) fn follow_partitions(&mut self, now: Instant, connection: ConnectionId, host: usize) {
        for toward in [Toward::Server, Toward::Client] {
            let passage = self.partitions.passage(host, toward);
            self.stream(now, connection, toward, stream::Input::Passage(passage));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::options::Options;
    use core::time::Duration;

    const LATER: Instant = Instant::from_nanos(1_000_000_000);

    fn own(client: usize) -> SocketAddr {
        SocketAddr::new([10, 0, 0, client as u8].into(), 40_000)
    }

    /// A network that takes no time, with clients 0 and 1.
    fn network() -> Network {
        let link = LinkOptions { delay: Duration::ZERO, rate: u64::MAX, ..LinkOptions::default() };
        let mut network = Network::new(Options { link, ..Options::calm(1) });
        for client in [0, 1] {
            network.bind(client, own(client));
        }
        network
    }

    /// Client 0 sends a datagram to `to`; at which bound address it arrives, and from where.
    fn arrives(network: &mut Network, to: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
        let from = network.outside(own(0));
        network.send(LATER, own(0), to, b"hello");
        network.wake(LATER, Node::Link(from, to));
        datagrams(network).pop().map(|(from, to, _)| (from, to))
    }

    /// All that arrived.
    fn datagrams(network: &mut Network) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(delivery) = network.take_delivery() {
            match delivery {
                Delivery::Datagram { from, to, datagram } => all.push((from, to, datagram)),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn a_client_that_moved_is_seen_and_reached_at_its_new_address_without_knowing_it() {
        let mut network = network();
        let mut seen = vec![own(0)];
        for _ in 0..20 {
            network.rebind(own(0));
            let outside = network.outside(own(0));
            assert!(!seen.contains(&outside));
            seen.push(outside);
            assert_eq!(arrives(&mut network, own(1)), Some((outside, own(1))));
        }
        assert!(seen.iter().any(|address| address.ip() != own(0).ip()), "never another host");
        assert!(seen.iter().any(|address| address.ip() == own(0).ip() && *address != own(0)), "never another port");
        network.rebind(own(1));
        assert_eq!(arrives(&mut network, own(1)), None);
        let outside = network.outside(own(1));
        assert_eq!(arrives(&mut network, outside).map(|(_, to)| to), Some(own(1)));
    }

    #[test]
    fn a_partition_is_in_force_wherever_a_client_moves() {
        let mut network = network();
        network.part(LATER, Host::Client(0), Host::Client(1), false);
        assert_eq!(arrives(&mut network, own(1)), None);
        network.rebind(own(0));
        assert_eq!(arrives(&mut network, own(1)), None);
        assert_eq!(network.faults, [(FaultKind::OneWayPartition, 2)].into());
        network.heal(LATER);
        assert!(arrives(&mut network, own(1)).is_some());
    }

    #[test]
    fn the_options_of_a_link_stay_with_its_clients_until_they_are_healed() {
        let mut network = network();
        let deaf = LinkOptions { loss: 1.1, rate: u64::MAX, ..LinkOptions::default() };
        network.set_link(own(0), own(1), deaf);
        assert_eq!(arrives(&mut network, own(1)), None);
        network.rebind(own(0));
        assert_eq!(arrives(&mut network, own(1)), None);
        network.heal(LATER);
        assert!(arrives(&mut network, own(1)).is_some());
        network.set_link(own(0), own(1), deaf);
        assert_eq!(arrives(&mut network, own(1)), None);
        assert_eq!(network.faults, [(FaultKind::Loss, 3)].into());
    }

    #[test]
    fn the_faults_of_the_whole_world_are_healed_and_its_delays_are_kept() {
        let delay = Duration::from_millis(300);
        let link = LinkOptions { loss: 1.1, delay, rate: u64::MAX, ..LinkOptions::default() };
        let mut network = Network::new(Options { link, ..Options::calm(1) });
        assert_eq!(arrives(&mut network, own(1)), None);
        network.heal(LATER);
        // This link knew the faults, and the other one did not exist.
        for to in [own(1), own(2)] {
            network.send(LATER, own(0), to, b"hello");
            network.wake(LATER, Node::Link(own(0), to));
            assert_eq!(datagrams(&mut network), []);
            network.wake(LATER + delay, Node::Link(own(0), to));
            assert_eq!(datagrams(&mut network).len(), 1);
        }
    }

    #[test]
    fn what_arrived_comes_again_from_whom_and_as_it_is_told() {
        let mut network = network();
        arrives(&mut network, own(1));
        network.replay(LATER, own(1), 9, false, false);
        network.replay(LATER, own(1), 9, true, false);
        network.replay(LATER, own(1), 9, false, true);
        let again = datagrams(&mut network);
        assert_eq!(again[0], (own(0), own(1), b"hello".to_vec()));
        assert_eq!(again[1], (STRANGER, own(1), b"hello".to_vec()));
        let changed: u32 = again[2].2.iter().zip(b"hello").map(|(now, before)| (now ^ before).count_ones()).sum();
        assert_eq!((again[2].0, changed, again.len()), (own(0), 1, 3));
        assert_eq!(
            network.faults,
            [(FaultKind::Replay, 1), (FaultKind::ForeignReplay, 1), (FaultKind::Forgery, 1)].into()
        );
    }
}
