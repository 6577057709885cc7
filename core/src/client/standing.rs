//! How a transfer that is under way stands: how the path to the other end is, and what it waits for.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

/// The path to the other end, lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Which way it goes.
    pub kind: PathKind,
    /// The round-trip time, smoothed, once it was measured.
    pub round_trip: Option<Duration>,
    /// Of a million packets, so many were lost lately, if there were any.
    pub loss_ppm: Option<u32>,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathKind {
    /// Within a local network, or this computer.
    Lan,
    /// Straight to the other end, as far as anybody knows.
    #[default]
    Direct,
}

/// What a transfer that does not move waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The receiver has not answered the offer.
    Acceptance,
    /// Nothing was heard of the other end's computer yet.
    Answer,
    /// The disk here: it reads or writes more slowly than the other end and the path would allow.
    OwnDisk,
    /// What is sent is a stream, and nothing more has come of it.
    Source,
    /// What is received is passed on, and whoever reads it does not.
    Reader,
    /// The receiver's disk, or whoever reads what it passes on.
    PeerDisk,
    /// The file, or what is there of it, is hashed here, to compare or verify it, or the whole file is given its name.
    OwnHash,
    /// The same at the other end.
    PeerHash,
    /// Bytes, or news of them: the other end was heard lately, and this end has nothing to do.
    Bytes,
}

impl PathKind {
    /// That to an address.
    pub fn to(remote: SocketAddr) -> PathKind {
        let is_near = match remote.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        if is_near { PathKind::Lan } else { PathKind::Direct }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_router_of_the_internet_carries_are_near() {
        for (address, kind) in [
            ("127.0.0.1:1", PathKind::Lan),
            ("10.2.3.4:1", PathKind::Lan),
            ("172.31.0.1:1", PathKind::Lan),
            ("172.32.0.1:1", PathKind::Direct),
            ("192.168.7.7:1", PathKind::Lan),
            ("169.254.1.1:1", PathKind::Lan),
            ("8.8.8.8:1", PathKind::Direct),
            ("[::1]:1", PathKind::Lan),
            ("[fe80::1]:1", PathKind::Lan),
            ("[fd00::1]:1", PathKind::Lan),
            ("[2001:db8::1]:1", PathKind::Direct),
            ("[::ffff:192.168.0.1]:1", PathKind::Lan),
            ("[::ffff:8.8.8.8]:1", PathKind::Direct),
        ] {
            assert_eq!(PathKind::to(address.parse().unwrap()), kind, "{address}");
        }
    }
}
