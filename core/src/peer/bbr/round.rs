//! What happens in one round trip, and whether the rate still grows from one to the next.

use crate::time::Instant;

/// Start-up ends when the rate has not grown by a fifth in three rounds (section 5.3.1.2 has a quarter, which is just
/// what probing for more would show).
const FULL_GROWTH_PERCENT: u64 = 120;
pub(super) const FULL_ROUNDS: u32 = 3;

/// A round trip: it ends when a packet that was sent after it began is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) count: u64,
    pub(super) began: Instant,
    /// Delivered when it began.
    pub(super) began_at: u64,
    pub(super) lost: u64,
    /// Of it, what had left since the last probe for more.
    pub(super) lost_at_rest: u64,
    /// The network has marked a packet.
    pub(super) marked: bool,
    /// The most that was in flight when something that was lost had left, or that was marked.
    pub(super) lost_in_flight: u64,
    pub(super) delivered: u64,
}

/// Whether the path is full, so that start-up or probing for more may end.
#[derive(Debug, Default)]
pub(super) struct Full {
    /// Start-up found out.
    pub(super) reached: bool,
    /// When the rate grew last.
    pub(super) rate: u64,
    /// Since then.
    pub(super) rounds: u32,
    /// Start-up has lost much before a queue showed.
    pub(super) overflows: bool,
}

impl Full {
    /// A round is over; whether the rate still grows.
    pub(super) fn check(&mut self, rate: u64) -> bool {
        let grows = rate >= self.rate * FULL_GROWTH_PERCENT / 100;
        (self.rate, self.rounds) = if grows { (rate, 0) } else { (self.rate, self.rounds + 1) };
        grows
    }
}
