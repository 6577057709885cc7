//! The model of addresses from which many names fail: a short list of names for each.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use toom_core::time::Instant;
use toom_core::wire::limits::{FAILED_NAMES_WINDOW, MAX_FAILED_NAMES_PER_ADDRESS};

/// What counts as one address: all of an IPv4 address, or the first four groups of an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(Vec<u16>);

impl Origin {
    /// The origin of a connection.
    pub(super) fn of(address: SocketAddr) -> Origin {
        Origin(match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.octets().map(u16::from).to_vec(),
            // One more group, so that it is not taken for an IPv4 address.
            IpAddr::V6(ip) => [&ip.segments()[..4], &[0]].concat(),
        })
    }
}

/// The names that failed last from each address, each once, the one that failed longest ago first. There are never
/// so many addresses here that the server would forget one.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    failed: BTreeMap<Origin, Vec<(String, Instant)>>,
}

impl Addresses {
    /// How long logins from there are still refused, if they are.
    pub(super) fn rest(&self, origin: &Origin, now: Instant) -> Option<Duration> {
        let failed = self.failed.get(origin).filter(|failed| failed.len() > MAX_FAILED_NAMES_PER_ADDRESS)?;
        let until = failed[failed.len() - 1 - MAX_FAILED_NAMES_PER_ADDRESS].1 + FAILED_NAMES_WINDOW;
        (now < until).then(|| until - now)
    }

    /// The password was wrong.
    pub(super) fn fail(&mut self, origin: &Origin, name: &str, now: Instant) {
        let failed = self.failed.entry(origin.clone()).or_default();
        failed.retain(|(known, _)| known != name);
        failed.push((name.to_owned(), now));
        let over = failed.len().saturating_sub(MAX_FAILED_NAMES_PER_ADDRESS + 1);
        failed.drain(..over);
    }

    /// It was the right one.
    pub(super) fn succeed(&mut self, origin: &Origin, name: &str) {
        if let Some(failed) = self.failed.get_mut(origin) {
            failed.retain(|(known, _)| known != name);
        }
    }
}
