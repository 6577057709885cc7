//! Which client is behind which UDP address, though addresses change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The addresses of all clients. A client knows only its own, which it bound.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// By each address that a client has or had, its number.
    clients: BTreeMap<SocketAddr, usize>,
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
        self.clients.insert(own, client);
    }

    /// A client is at `new` from now on, without knowing it.
    pub(super) fn rebind(&mut self, client: usize, own: SocketAddr, new: SocketAddr) {
        let before = self.outside.insert(own, new).unwrap_or(own);
        self.own.remove(&before);
        self.left.insert(before);
        self.own.insert(new, own);
        self.clients.insert(new, client);
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

    /// The client that has or had this address.
    pub(super) fn client(&self, address: SocketAddr) -> Option<usize> {
        self.clients.get(&address).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_where_it_moved_last_and_nowhere_else() {
        let at = |port| SocketAddr::new([10, 0, 0, 1].into(), port);
        let mut addresses = Addresses::default();
        addresses.bind(3, at(1));
        assert_eq!((addresses.outside(at(1)), addresses.own(at(1))), (at(1), Some(at(1))));
        for new in [at(2), at(4)] {
            addresses.rebind(3, at(1), new);
            assert_eq!((addresses.outside(at(1)), addresses.own(new)), (new, Some(at(1))));
        }
        assert_eq!((addresses.own(at(1)), addresses.own(at(2))), (None, None));
        assert_eq!([1, 2, 4, 5].map(|port| addresses.client(at(port))), [Some(3), Some(3), Some(3), None]);
        // A stranger is where it is.
        assert_eq!((addresses.outside(at(5)), addresses.own(at(5))), (at(5), Some(at(5))));
    }
}
