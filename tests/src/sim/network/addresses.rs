//! Who is behind which address, though addresses change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The addresses of all clients. A client knows only its own UDP address, which it bound. A host is known by the
/// number of its first client.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Hosts by their own addresses.
    hosts: BTreeMap<IpAddr, usize>,
    /// By each UDP address that a client has or had, its host.
    ports: BTreeMap<SocketAddr, usize>,
    /// By its own address, where others see a client that moved.
    outside: BTreeMap<SocketAddr, SocketAddr>,
    /// And back.
    own: BTreeMap<SocketAddr, SocketAddr>,
    /// Where somebody was, and nobody is now.
    left: BTreeSet<SocketAddr>,
}

impl Addresses {
    /// A client has bound this address.
    pub(super) fn bind(&mut self, client: usize, own: SocketAddr) {
        let host = *self.hosts.entry(own.ip()).or_insert(client);
        self.ports.insert(own, host);
    }

    /// Whoever has bound `own` is at `new` from now on, without knowing it.
    pub(super) fn rebind(&mut self, own: SocketAddr, new: SocketAddr) {
        let before = self.outside.insert(own, new).unwrap_or(own);
        self.own.remove(&before);
        self.left.insert(before);
        self.own.insert(new, own);
        if let Some(host) = self.host(own) {
            self.ports.insert(new, host);
        }
    }

    /// Where others see whoever has bound `own`.
    pub(super) fn outside(&self, own: SocketAddr) -> SocketAddr {
        self.outside.get(&own).copied().unwrap_or(own)
    }

    /// Who has bound what others see as `outside`; `None` if nobody is there any more.
    pub(super) fn own(&self, outside: SocketAddr) -> Option<SocketAddr> {
        if self.left.contains(&outside) {
            return None;
        }
        Some(self.own.get(&outside).copied().unwrap_or(outside))
    }

    /// The host of the client that has or had this UDP address.
    pub(super) fn host(&self, address: SocketAddr) -> Option<usize> {
        self.ports.get(&address).copied()
    }

    /// The host with this address.
    pub(super) fn host_at(&self, address: IpAddr) -> Option<usize> {
        self.hosts.get(&address).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::new([10, 0, 0, 1].into(), port)
    }

    #[test]
    fn a_client_is_where_it_moved_last_and_nowhere_else() {
        let mut addresses = Addresses::default();
        addresses.bind(3, at(1));
        assert_eq!((addresses.outside(at(1)), addresses.own(at(1))), (at(1), Some(at(1))));
        for new in [at(2), at(4)] {
            addresses.rebind(at(1), new);
            assert_eq!((addresses.outside(at(1)), addresses.own(new)), (new, Some(at(1))));
        }
        assert_eq!((addresses.own(at(1)), addresses.own(at(2))), (None, None));
        assert_eq!([1, 2, 4, 5].map(|port| addresses.host(at(port))), [Some(3), Some(3), Some(3), None]);
        // A stranger is where it is.
        assert_eq!((addresses.outside(at(5)), addresses.own(at(5))), (at(5), Some(at(5))));
    }

    #[test]
    fn clients_with_one_address_are_on_one_host() {
        let mut addresses = Addresses::default();
        let other = SocketAddr::new([10, 0, 0, 2].into(), 1);
        for (client, own) in [(3, at(1)), (4, other), (5, at(2))] {
            addresses.bind(client, own);
        }
        assert_eq!([at(1), other, at(2)].map(|own| addresses.host(own)), [Some(3), Some(4), Some(3)]);
        assert_eq!((addresses.host_at(at(1).ip()), addresses.host_at([10, 0, 0, 3].into())), (Some(3), None));
    }
}
