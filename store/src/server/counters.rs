//! What a server counts about its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use toom_core::wire::limits::MAX_CONNECTIONS;

/// What the server has counted about its connections since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were refused because there were too many, or nothing left to serve them with.
    pub refused: u64,
    /// Connections that broke the protocol, or fell silent in the middle of it.
    pub violations: u64,
    /// Connections that were cut off because they read too slowly.
    pub slow_readers: u64,
}

/// [`Counters`] while they are counted, by all threads.
#[derive(Debug, Default)]
pub struct Tallies {
    accepted: AtomicU64,
    refused: AtomicU64,
    violations: AtomicU64,
    slow_readers: AtomicU64,
    /// Connections that are there now.
    open: AtomicUsize,
}

/// A place among the [`MAX_CONNECTIONS`]; free again when all its clones are dropped: whoever holds the socket holds
/// one.
#[derive(Clone, Debug)]
pub struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    tallies: Arc<Tallies>,
    number: u64,
}

impl Tallies {
    /// A place for a new connection, if there is one; otherwise it is refused.
    pub fn admit(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Relaxed) >= MAX_CONNECTIONS {
            self.open.fetch_sub(1, Relaxed);
            self.refuse(&format!("there are {MAX_CONNECTIONS} already"));
            return None;
        }
        let number = self.accepted.fetch_add(1, Relaxed) + 1;
        Some(Place(Arc::new(Held { tallies: Arc::clone(self), number })))
    }

    /// A connection is refused.
    pub fn refuse(&self, why: &str) {
        let refused = self.refused.fetch_add(1, Relaxed) + 1;
        tracing::warn!(refused, "refused a connection: {why}");
    }

    /// A connection broke the protocol; how many have.
    pub fn violation(&self) -> u64 {
        self.violations.fetch_add(1, Relaxed) + 1
    }

    /// A connection read too slowly; how many have.
    pub fn slow_reader(&self) -> u64 {
        self.slow_readers.fetch_add(1, Relaxed) + 1
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            violations: self.violations.load(Relaxed),
            slow_readers: self.slow_readers.load(Relaxed),
        }
    }
}

impl Place {
    /// Which connection this is since the start, from 1.
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tallies.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_for_so_many_connections_at_once() {
        let tallies = Arc::new(Tallies::default());
        let mut places: Vec<_> = (0..MAX_CONNECTIONS).filter_map(|_| tallies.admit()).collect();
        assert_eq!(places.len(), MAX_CONNECTIONS);
        assert!(tallies.admit().is_none());
        let clone = places.pop().clone();
        assert!(tallies.admit().is_none());
        drop(clone);
        let place = tallies.admit().expect("one is free again");
        let accepted = MAX_CONNECTIONS as u64 + 1;
        assert_eq!(place.number(), accepted);
        assert_eq!(tallies.counters(), Counters { accepted, refused: 2, ..Counters::default() });
    }
}
