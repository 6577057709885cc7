//! What must have come of a transfer, from what happened to it and nothing else.

use toom_core::client::event::TransferFailure;
use toom_core::client::io::Progress;

use super::super::operations::pair::{PairOperation, Side, Transfer};

/// Nobody may give up sooner: an end waits for thirty seconds, and whoever waits says so every second.
const PATIENCE_MS: u64 = 28_000;

/// After so long an end that has moved is heard from: its sign of life, and what follows from it.
const MOVE_MS: u64 = 10_000;

/// For so long a copy from elsewhere keeps an end from looking where the other one is.
const MISLED_MS: u64 = 3_000;

/// What an end may come to.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Which file.
    pub transfer: Transfer,
    cancelled: [bool; 2],
    disk_failed: [bool; 2],
    /// How often each end moved. If both do, neither may reach the other any more.
    moves: [u64; 2],
    /// The receiver moved before the sender could follow it.
    unreachable: bool,
    /// Copies of what was sent came from elsewhere.
    misled: u64,
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
        if let Some((side, _)) = operation.moves() {
            self.moves[index(side)] += 1;
        }
        match operation {
            PairOperation::Elsewhere { .. } => self.misled += 1,
            PairOperation::Wait { milliseconds } => self.troubled_ms += u64::from(*milliseconds),
            PairOperation::Flow { milliseconds } => self.troubled_ms += u64::from(*milliseconds),
            _ => {}
        }
    }

    /// The receiver moved before it knew where the sender is, and so before the sender can hear of it.
    pub fn receiver_is_lost(&mut self) {
        self.unreachable = true;
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
        let moves: u64 = self.moves.iter().sum();
        let followed_ms = moves * MOVE_MS + if moves > 0 { self.misled * MISLED_MS } else { 0 };
        let both_moved = self.moves.iter().all(|moves| *moves > 0);
        self.unreachable || both_moved || self.troubled_ms + followed_ms >= PATIENCE_MS
    }

    /// Whoever failed tells the other end for a few seconds only.
    fn peer_may_be_gone(&self, peer: usize) -> bool {
        self.cancelled[peer] || self.disk_failed[peer]
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Receiver)
}
