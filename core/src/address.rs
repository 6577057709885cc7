//! Socket addresses as everything above the sockets has them: an IPv4 address is one, whatever kind of socket it
//! came from.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `address` as IPv4 if it is one that IPv6 has mapped.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // With its scope, without which a link-local address is not reached.
        IpAddr::V6(_) => address,
    }
}

/// `address` as a socket for IPv6 must be given it: the inverse of [`canonical`].
pub fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Every address of this computer, of the family by which it reaches `other`: by that it will be reached by
/// others, too.
pub fn unspecified(other: SocketAddr, port: u16) -> SocketAddr {
    match other {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// What counts as one address where the number of connections or failures from it is limited: an IPv4 address, or
/// the /64 network of an IPv6 address, which is the least that a subscriber is given (RFC 6177, section 2), so that
/// one computer may have as many addresses in it as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network of `address`; an IPv4 address that IPv6 has mapped is one.
    pub fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_mapped_addresses_become_ipv4_and_scopes_are_kept() {
        for (given, expected) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[::192.0.2.1]:7", "[::192.0.2.1]:7"),
            ("[fe80::1%3]:7", "[fe80::1%3]:7"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(canonical(address(given)), address(expected));
        }
    }

    #[test]
    fn mapping_is_undone_by_canonical() {
        assert_eq!(mapped(address("192.0.2.1:7")), address("[::ffff:192.0.2.1]:7"));
        for given in ["192.0.2.1:7", "[fe80::1%3]:7"] {
            assert_eq!(canonical(mapped(address(given))), address(given));
        }
    }

    #[test]
    fn the_family_follows_the_other_end() {
        assert_eq!(unspecified(address("192.0.2.1:7"), 9), address("0.0.0.0:9"));
        assert_eq!(unspecified(address("[::1]:7"), 9), address("[::]:9"));
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_the_first_half_of_an_ipv6_address() {
        for (given, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::", "2001:db8:1:3::/64"),
            ("::1", "::/64"),
        ] {
            let network = Network::of(given.parse().expect("an address"));
            assert_eq!(network.to_string(), expected);
        }
        assert_ne!(Network::of(Ipv6Addr::UNSPECIFIED.into()), Network::of(Ipv4Addr::UNSPECIFIED.into()));
    }
}
