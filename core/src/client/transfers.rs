//! The book of offers and transfers. An entry begins as an offer, somebody's or one's own, and leaves the book
//! when the offer comes to nothing or its transfer has ended.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::event::{Direction, Transfer, TransferFailure, TransferState};
use super::io::SourceId;
use super::standing::{Path, Waiting};
use crate::id::{OfferId, PeerIndex};
use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::{ListingSize, PeerSecret, PublicKey};
use crate::text::FileLabel;
use crate::time::Instant;

/// Offers of others that wait for an answer; more are refused.
pub(super) const MAX_WAITING_OFFERS: usize = 256;
/// Files to others, offered or under way; each holds an open file, keys and buffers.
pub(super) const MAX_OUTGOING: usize = 64;
/// Files from others under way; likewise. Together with those to others at most as many as the transfer
/// machine takes.
pub(super) const MAX_INCOMING: usize = 64;

const _: () = assert!(MAX_OUTGOING + MAX_INCOMING <= crate::transfer::MAX_TRANSFERS);

/// One offer or transfer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) peer: UserName,
    pub(super) label: FileLabel,
    /// Bytes that have arrived.
    pub(super) bytes: u64,
    /// The size of the file; of a stream it is known at its end.
    pub(super) total: Option<u64>,
    /// If it is a folder or several files.
    pub(super) listing: Option<ListingSize>,
    pub(super) rate_bps: u64,
    pub(super) path: Path,
    /// What it waits for, if it does.
    pub(super) stall: Option<Stall>,
    pub(super) stage: Stage,
    /// Set when this end has decided to end it: why, whatever the transfer machine says.
    pub(super) ending: Option<TransferFailure>,
    /// Why the offer was over, if the answer to it came too late.
    pub(super) over: Option<TransferFailure>,
}

/// Why a transfer under way does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// It waits for something.
    Waiting(Waiting),
    /// The other end was heard last then.
    Silent(Instant),
}

/// How far an entry is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Somebody's offer, not answered.
    Waiting {
        /// Where the sender is reached.
        address: SocketAddr,
        /// What the sender's datagrams carry.
        index: PeerIndex,
        /// What both ends share.
        agreed: Agreed,
    },
    /// One's own offer, not answered.
    Offered {
        /// The open file.
        source: SourceId,
        /// What the receiver's datagrams carry.
        index: PeerIndex,
        /// What both ends share.
        agreed: Agreed,
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

/// What both ends of an offer share.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// The key of the other end's device.
    pub(super) device: PublicKey,
    /// Sealed in the offer.
    pub(super) secret: PeerSecret,
    /// The hash of the sealed offer.
    pub(super) sealed: [u8; 32],
}

impl Entry {
    /// One that has just begun.
    pub(super) fn new(peer: UserName, label: FileLabel, total: Option<u64>, stage: Stage) -> Entry {
        let (path, stall) = (Path::default(), None);
        Entry { peer, label, bytes: 0, total, listing: None, rate_bps: 0, path, stall, stage, ending: None, over: None }
    }

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
            path: self.path,
        }
    }

    /// It stands still.
    pub(super) fn stall(&mut self, stall: Stall) {
        (self.stall, self.rate_bps) = (Some(stall), 0);
    }

    /// It moves.
    pub(super) fn moves(&mut self, bytes: u64) {
        (self.bytes, self.stall) = (bytes, None);
        if let Stage::Running { moving, .. } = &mut self.stage {
            *moving = true;
        }
    }

    fn direction(&self) -> Direction {
        match self.stage {
            Stage::Waiting { .. } => Direction::In,
            Stage::Offered { .. } => Direction::Out,
            Stage::Running { direction, .. } => direction,
        }
    }

    pub(super) fn state(&self, now: Instant) -> TransferState {
        match (&self.stage, self.stall) {
            (_, Some(Stall::Waiting(waiting))) => TransferState::Waiting(waiting),
            (_, Some(Stall::Silent(since))) => TransferState::Paused { silent: now.saturating_since(since) },
            (Stage::Running { moving: true, .. }, None) => TransferState::Moving,
            (Stage::Offered { .. }, None) => TransferState::Waiting(Waiting::Acceptance),
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
/// [`Transfers::may_receive`].
#[derive(Debug, Default)]
pub(super) struct Transfers {
    entries: BTreeMap<OfferId, Entry>,
    /// Those under way whose other end has left the conference, and when they are given up: the earliest first.
    deserted: VecDeque<(Instant, OfferId)>,
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
        self.deserted.retain(|(_, deserted)| *deserted != id);
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
        self.count(is_waiting) < MAX_WAITING_OFFERS
    }

    /// The first offer that waits for an answer, of those of somebody `who`; without those of whom has come back to
    /// send again what has not ended here, because only then it can go on where it was.
    pub(super) fn first_waiting(&self, who: impl Fn(&UserName) -> bool) -> Option<OfferId> {
        let waits = |entry: &Entry| is_waiting(&entry.stage) && who(&entry.peer) && !self.is_sent_again(entry);
        self.entries.iter().find(|(_, entry)| waits(entry)).map(|(id, _)| *id)
    }

    /// Whether this was under way from the same user when they left, and is about to be given up.
    fn is_sent_again(&self, offer: &Entry) -> bool {
        let same = |entry: &Entry| is_incoming(&entry.stage) && entry.peer == offer.peer && entry.label == offer.label;
        let is_deserted = |id: &OfferId| self.deserted.iter().any(|(_, deserted)| deserted == id);
        self.entries.iter().any(|(id, entry)| same(entry) && (entry.ending.is_some() || is_deserted(id)))
    }

    /// Whether another file may be offered. Its transfer may start at any time, so that offers count like them.
    pub(super) fn may_offer(&self) -> bool {
        self.count(is_outgoing) < MAX_OUTGOING
    }

    /// Whether another file of somebody may start.
    pub(super) fn may_receive(&self) -> bool {
        self.count(is_incoming) < MAX_INCOMING
    }

    /// `user` has left: what is under way with them is given up at `until`, unless it ends before. `until` is
    /// not before that of an earlier call.
    pub(super) fn desert(&mut self, user: &UserName, until: Instant) {
        for (id, entry) in &self.entries {
            let running = matches!(entry.stage, Stage::Running { .. }) && entry.peer == *user;
            if running && self.deserted.iter().all(|(_, deserted)| deserted != id) {
                self.deserted.push_back((until, *id));
            }
        }
    }

    /// A transfer whose other end has left still moves, as it may without the server: it is given up at `until` at the
    /// earliest, which is not before that of an earlier call.
    pub(super) fn put_off(&mut self, id: OfferId, until: Instant) {
        let before = self.deserted.len();
        self.deserted.retain(|(_, deserted)| *deserted != id);
        if self.deserted.len() < before {
            self.deserted.push_back((until, id));
        }
    }

    /// When the first of those whose other end has left is given up.
    pub(super) fn given_up_at(&self) -> Option<Instant> {
        self.deserted.front().map(|(until, _)| *until)
    }

    /// The next one to give up now; each is given once.
    pub(super) fn take_given_up(&mut self, now: Instant) -> Option<OfferId> {
        let due = self.deserted.front().is_some_and(|(until, _)| *until <= now);
        if due { self.deserted.pop_front().map(|(_, id)| id) } else { None }
    }

    /// All as people see them.
    pub(super) fn shown(&self, now: Instant) -> Vec<Transfer> {
        self.entries.iter().map(|(id, entry)| entry.shown(*id, entry.state(now))).collect()
    }

    /// The first of `candidates` under which nobody is listening here.
    pub(super) fn unused_index(&self, candidates: impl Iterator<Item = PeerIndex>) -> PeerIndex {
        let used = |index: &PeerIndex| self.entries.values().any(|entry| entry.index() == Some(*index));
        let mut candidates = candidates.skip_while(used);
        candidates.next().unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        let most = MAX_WAITING_OFFERS + MAX_OUTGOING + MAX_INCOMING;
        each(Usage::new("offers and transfers", self.entries.len(), most));
        each(Usage::new("transfers with who has left", self.deserted.len(), MAX_OUTGOING + MAX_INCOMING));
    }

    /// How many of each kind there are.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("offers of others", self.count(is_waiting), MAX_WAITING_OFFERS));
        each(Usage::new("files to others", self.count(is_outgoing), MAX_OUTGOING));
        each(Usage::new("files from others", self.count(is_incoming), MAX_INCOMING));
    }

    fn count(&self, which: impl Fn(&Stage) -> bool) -> usize {
        self.entries.values().filter(|entry| which(&entry.stage)).count()
    }
}

fn is_waiting(stage: &Stage) -> bool {
    matches!(stage, Stage::Waiting { .. })
}

fn is_outgoing(stage: &Stage) -> bool {
    matches!(stage, Stage::Offered { .. } | Stage::Running { direction: Direction::Out, .. })
}

fn is_incoming(stage: &Stage) -> bool {
    matches!(stage, Stage::Running { direction: Direction::In, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(index: u32) -> Entry {
        entry(Stage::Running { direction: Direction::In, index: PeerIndex(index), moving: false })
    }

    fn entry(stage: Stage) -> Entry {
        Entry::new(UserName::new("yoda").unwrap(), FileLabel::new("a"), Some(0), stage)
    }

    #[test]
    fn an_index_in_use_is_not_given_again() {
        let mut transfers = Transfers::default();
        transfers.insert(OfferId(1), running(7));
        transfers.insert(OfferId(2), running(8));
        assert_eq!(transfers.unused_index([7, 8, 7, 9, 10].into_iter().map(PeerIndex)), PeerIndex(9));
    }

    #[test]
    fn transfers_under_way_are_bounded_each_way() {
        let mut transfers = Transfers::default();
        // One's own offer may become one at any time.
        let (source, index) = (SourceId(1), PeerIndex(1));
        let agreed = Agreed { device: PublicKey([0; 32]), secret: PeerSecret([0; 32]), sealed: [0; 32] };
        transfers.insert(OfferId(1_000), entry(Stage::Offered { source, index, agreed }));
        for n in 1..MAX_OUTGOING as u32 {
            assert!(transfers.may_offer());
            let stage = Stage::Running { direction: Direction::Out, index: PeerIndex(n), moving: false };
            transfers.insert(OfferId(n.into()), entry(stage));
        }
        assert!(!transfers.may_offer());
        for n in 0..MAX_INCOMING as u32 {
            assert!(transfers.may_receive());
            transfers.insert(OfferId(2_000 + u64::from(n)), running(2_000 + n));
        }
        assert!(!transfers.may_receive() && transfers.may_wait());
    }
}
