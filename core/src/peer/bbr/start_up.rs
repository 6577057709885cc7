//! Start-up: how a sender finds out what the path carries.
//!
//! The window grows by two packets for each that is acknowledged, so that each round trip has three times as many as the
//! one before. What leaves together, and fast, shows a queue early in the round trip: as soon as one shows, the pace is
//! half as much again as what arrives, and the window grows by one packet for each. As what a sender sees is a round trip
//! old, it would otherwise overfill the queue by more than the path holds.
//!
//! A queue that is too short to be seen overflows from what leaves together, however little that is. Once much of a
//! round trip is lost, the window is spread over a whole one, and grows as if a queue showed.

use core::time::Duration;

use super::phase::Phase;
use super::round::FULL_ROUNDS;
use super::{Bbr, MAX_RATE};
use crate::peer::controller::Acked;

/// If so many thousandths of a round that was no faster than the one before are lost, start-up is over.
const STARTUP_LOSS_PER_MILLE: u64 = 200;

/// So much of a round, in thousandths, and so many packets are many losses.
const MANY_LOSSES_PER_MILLE: u64 = 100;
const MANY_LOSSES: u64 = 8;

/// The window leaves within this part of a round trip: sooner, and a short queue has no room for it; later, and a queue
/// shows later.
const TOGETHER: u128 = 3;

impl Bbr {
    /// Section 5.3.1.2, and the end of start-up.
    pub(super) fn check_full(&mut self, acked: &Acked) {
        if self.full.reached || acked.rate.is_none_or(|sample| sample.is_app_limited) {
            return;
        }
        if self.full.check(self.max_rate()) {
            return;
        }
        // A queue says the same, and sooner, as does what the network writes on packets; so do many losses.
        let loses = self.round.lost * 1_000 > (self.round.lost + self.round.delivered) * STARTUP_LOSS_PER_MILLE;
        self.full.reached = self.full.rounds >= FULL_ROUNDS || self.has_queue() || loses || self.round.marked;
    }

    /// Something was lost: whether the queue is one that is too short to be seen.
    pub(super) fn look_for_overflow(&mut self) {
        let many = self.round.lost * 1_000 > self.round.delivered * MANY_LOSSES_PER_MILLE;
        self.full.overflows |= self.phase == Phase::Startup && many && self.round.lost > MANY_LOSSES * self.packet;
    }

    /// By how much the window grows.
    pub(super) fn growth_in_start_up(&self, acked: &Acked) -> u64 {
        let is_near = self.has_queue() || self.full.overflows;
        if is_near { acked.bytes } else { acked.bytes.saturating_mul(2) }
    }

    /// The pace while no queue shows: what is known of the rate is a round trip old; the window is not.
    pub(super) fn pace_in_start_up(&self, smoothed_rtt: Duration) -> u64 {
        let times = if self.full.overflows { 1 } else { TOGETHER };
        let by_window = u128::from(self.window) * times * 1_000_000_000 / smoothed_rtt.as_nanos().max(1_000);
        u64::try_from(by_window).unwrap_or(u64::MAX).min(MAX_RATE)
    }
}
