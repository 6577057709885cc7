//! What an attacker has overheard: the latest datagrams that arrived at each client.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// How many of each client's.
const KEPT_DATAGRAMS: usize = 64;

/// A datagram, and from where it came.
type Overheard = (SocketAddr, Vec<u8>);

/// The latest datagrams, by where they arrived.
#[derive(Debug, Default)]
pub(super) struct Replay(BTreeMap<SocketAddr, VecDeque<Overheard>>);

impl Replay {
    /// A datagram arrives.
    pub(super) fn hear(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let heard = self.0.entry(to).or_default();
        // The oldest one's memory is used again.
        let oldest = if heard.len() < KEPT_DATAGRAMS { None } else { heard.pop_front() };
        let mut bytes = oldest.map(|(_, bytes)| bytes).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        heard.push_back((from, bytes));
    }

    /// The latest so many that arrived there, oldest first.
    pub(super) fn latest(&self, to: SocketAddr, count: usize) -> Vec<Overheard> {
        let Some(heard) = self.0.get(&to) else { return Vec::new() };
        heard.iter().skip(heard.len().saturating_sub(count)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_client_are_kept() {
        let at = |port| SocketAddr::new([10, 0, 0, 1].into(), port);
        let mut replay = Replay::default();
        for number in 0..100 {
            replay.hear(at(1), at(2), &[number]);
        }
        replay.hear(at(2), at(1), &[7, 7]);
        assert_eq!(replay.latest(at(2), 2), [(at(1), vec![98]), (at(1), vec![99])]);
        let all = replay.latest(at(2), usize::MAX);
        assert_eq!((all.len(), &all[0].1), (KEPT_DATAGRAMS, &vec![36]));
        assert_eq!((replay.latest(at(1), 9), replay.latest(at(3), 9)), (vec![(at(2), vec![7, 7])], vec![]));
    }
}
