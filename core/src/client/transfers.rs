//! The book of offers and transfers. An entry begins as an offer, somebody's or one's own, and leaves the book
//! when the offer comes to nothing or its transfer has ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::event::{Direction, Transfer, TransferFailure, TransferState};
use super::io::SourceId;
use crate::id::{OfferId, PeerIndex};
use crate::name::UserName;
use crate::secure::PeerSecret;
use crate::text::FileLabel;
use crate::wire::limits::MAX_OFFERS_PER_USER;
use crate::wire::message::PeerEndpoint;

/// Offers of others that wait for an answer; more are refused.
pub(super) const MAX_WAITING_OFFERS: usize = 256;
/// Transfers under way; each holds a file, keys and buffers.
pub(super) const MAX_RUNNING: usize = 256;

/// One offer or transfer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) peer: UserName,
    pub(super) label: FileLabel,
    /// Bytes that have arrived.
    pub(super) bytes: u64,
    /// The size of the file.
    pub(super) total: u64,
    pub(super) rate_bps: u64,
    pub(super) stage: Stage,
    /// Set when this end has decided to end it: why, whatever the transfer machine says.
    pub(super) ending: Option<TransferFailure>,
}

/// How far an entry is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Somebody's offer, not answered.
    Waiting {
        /// Where the sender is reached.
        address: SocketAddr,
        /// How, and with which secret.
        endpoint: PeerEndpoint,
    },
    /// One's own offer, not answered.
    Offered {
        /// The open file.
        source: SourceId,
        /// What the receiver's datagrams carry.
        index: PeerIndex,
        /// Shared with the receiver.
        secret: PeerSecret,
    },
    /// Under way.
    Running {
        /// Which way.
        direction: Direction,
        /// What the other end's datagrams carry.
        index: PeerIndex,
        /// Whether bytes have moved.
        moving: bool,
    },
}

impl Entry {
    /// The entry as people see it, in `state`.
    pub(super) fn shown(&self, id: OfferId, state: TransferState) -> Transfer {
        Transfer {
            id,
            peer: self.peer.clone(),
            name: self.label.clone(),
            direction: self.direction(),
            state,
            bytes: self.bytes,
            total: self.total,
            rate_bps: self.rate_bps,
        }
    }

    fn direction(&self) -> Direction {
        match self.stage {
            Stage::Waiting { .. } => Direction::In,
            Stage::Offered { .. } => Direction::Out,
            Stage::Running { direction, .. } => direction,
        }
    }

    fn state(&self) -> TransferState {
        match self.stage {
            Stage::Running { moving: true, .. } => TransferState::Moving,
            _ => TransferState::Starting,
        }
    }

    fn index(&self) -> Option<PeerIndex> {
        match self.stage {
            Stage::Waiting { .. } => None,
            Stage::Offered { index, .. } | Stage::Running { index, .. } => Some(index),
        }
    }
}

/// All that have not ended. Bounded: see [`Transfers::may_wait`], [`Transfers::may_offer`] and
/// [`Transfers::may_run`].
#[derive(Debug, Default)]
pub(super) struct Transfers {
    entries: BTreeMap<OfferId, Entry>,
}

impl Transfers {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn contains(&self, id: OfferId) -> bool {
        self.entries.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: OfferId, entry: Entry) {
        self.entries.insert(id, entry);
    }

    pub(super) fn get_mut(&mut self, id: OfferId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: OfferId) -> Option<Entry> {
        self.entries.remove(&id)
    }

    /// The ids, in order.
    pub(super) fn ids(&self) -> Vec<OfferId> {
        self.entries.keys().copied().collect()
    }

    /// The offers of others that wait for an answer.
    pub(super) fn waiting(&self) -> Vec<OfferId> {
        let waiting = |(id, entry): (&OfferId, &Entry)| matches!(entry.stage, Stage::Waiting { .. }).then_some(*id);
        self.entries.iter().filter_map(waiting).collect()
    }

    /// Whether another offer of somebody may wait.
    pub(super) fn may_wait(&self) -> bool {
        self.count(|stage| matches!(stage, Stage::Waiting { .. })) < MAX_WAITING_OFFERS
    }

    /// Whether another offer of one's own may be made, which its transfer must have room for, too.
    pub(super) fn may_offer(&self) -> bool {
        self.count(|stage| matches!(stage, Stage::Offered { .. })) < MAX_OFFERS_PER_USER && self.may_run()
    }

    /// Whether another transfer may start; one's own offers may start at any time and are counted.
    pub(super) fn may_run(&self) -> bool {
        self.count(|stage| !matches!(stage, Stage::Waiting { .. })) < MAX_RUNNING
    }

    /// All as people see them.
    pub(super) fn shown(&self) -> Vec<Transfer> {
        self.entries.iter().map(|(id, entry)| entry.shown(*id, entry.state())).collect()
    }

    /// The first of `candidates` under which nobody is listening here.
    pub(super) fn unused_index(&self, candidates: impl Iterator<Item = PeerIndex>) -> PeerIndex {
        let used = |index: &PeerIndex| self.entries.values().any(|entry| entry.index() == Some(*index));
        let mut candidates = candidates.skip_while(used);
        candidates.next().unwrap_or_default()
    }

    fn count(&self, which: impl Fn(&Stage) -> bool) -> usize {
        self.entries.values().filter(|entry| which(&entry.stage)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(index: u32) -> Entry {
        entry(Stage::Running { direction: Direction::In, index: PeerIndex(index), moving: false })
    }

    fn entry(stage: Stage) -> Entry {
        Entry {
            peer: UserName::new("yoda").unwrap(),
            label: FileLabel::new("a"),
            bytes: 0,
            total: 0,
            rate_bps: 0,
            stage,
            ending: None,
        }
    }

    #[test]
    fn an_index_in_use_is_not_given_again() {
        let mut transfers = Transfers::default();
        transfers.insert(OfferId(1), running(7));
        transfers.insert(OfferId(2), running(8));
        assert_eq!(transfers.unused_index([7, 8, 7, 9, 10].into_iter().map(PeerIndex)), PeerIndex(9));
    }

    #[test]
    fn transfers_under_way_are_bounded() {
        let mut transfers = Transfers::default();
        // One's own offer may become one at any time.
        let (source, index, secret) = (SourceId(1), PeerIndex(1), PeerSecret([0; 32]));
        transfers.insert(OfferId(MAX_RUNNING as u64), entry(Stage::Offered { source, index, secret }));
        for n in 1..MAX_RUNNING as u32 {
            assert!(transfers.may_run() && transfers.may_offer());
            transfers.insert(OfferId(n.into()), running(n));
        }
        assert!(!transfers.may_run() && !transfers.may_offer() && transfers.may_wait());
    }
}
