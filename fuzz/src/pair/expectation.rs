//! What must have come of a transfer, from what happened to it and nothing else.

use toom_core::client::event::TransferFailure;
use toom_core::client::io::Progress;

use super::super::operations::pair::{PairOperation, Side, Transfer};

/// Nobody may give up sooner: an end waits for thirty seconds, and whoever waits says so every second.
const PATIENCE_MS: u64 = 28_000;

/// What an end may come to.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Which file.
    pub transfer: Transfer,
    cancelled: [bool; 2],
    disk_failed: [bool; 2],
    moved: bool,
    /// Copies of what was sent to this end came from elsewhere. Until it has proof of where the other end is, it follows
    /// them; if both ends do, neither reaches the other any more.
    misled: [bool; 2],
    /// How much time passed that was not known to be without trouble.
    troubled_ms: u64,
}

impl Expectation {
    /// Nothing has happened.
    pub fn new(transfer: Transfer) -> Expectation {
        Expectation { transfer, ..Expectation::default() }
    }

    /// Something happens.
    pub fn apply(&mut self, operation: &PairOperation) {
        if let Some(side) = operation.cancels() {
            self.cancelled[index(side)] = true;
        }
        if let Some(side) = operation.fails() {
            self.disk_failed[index(side)] = true;
        }
        self.moved |= operation.moves().is_some();
        match operation {
            PairOperation::Elsewhere { to, .. } => self.misled[index(*to)] = true,
            PairOperation::Wait { milliseconds } => self.troubled_ms += u64::from(*milliseconds),
            PairOperation::Flow { milliseconds } => self.troubled_ms += u64::from(*milliseconds),
            _ => {}
        }
    }

    /// Whether both ends must be done.
    pub fn must_arrive(&self) -> bool {
        let ended = self.cancelled.contains(&true) || self.disk_failed.contains(&true);
        !ended && !self.is_silent()
    }

    /// The outcome of one end must have a cause.
    pub fn check(&self, side: Side, outcome: &Progress) {
        let (this, other) = (index(side), 1 - index(side));
        let silent = self.is_silent();
        let Progress::Failed(failure) = outcome else { return };
        let explained = match failure {
            TransferFailure::Cancelled => self.cancelled[this],
            TransferFailure::CancelledByPeer => self.cancelled[other],
            TransferFailure::Read(_) | TransferFailure::Write(_) => self.disk_failed[this],
            TransferFailure::PeerStorage => self.disk_failed[other],
            TransferFailure::PeerSilent | TransferFailure::TimedOut => silent || self.peer_may_be_gone(other),
            _ => false,
        };
        assert!(explained, "{side:?} failed with {failure:?}: {self:?}");
    }

    /// Whether an end may have waited in vain.
    fn is_silent(&self) -> bool {
        self.moved || self.misled == [true, true] || self.troubled_ms >= PATIENCE_MS
    }

    /// Whoever failed tells the other end for a few seconds only.
    fn peer_may_be_gone(&self, peer: usize) -> bool {
        self.cancelled[peer] || self.disk_failed[peer]
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Receiver)
}
