//! How a sender shares the queue with others, once [`company`](super::company) tells that they are there.

use core::time::Duration;

use super::company::{Company, Sight};
use super::phase::{Phase, UP};
use super::{Bbr, longest_without_queue};
use crate::peer::controller::{Acked, Controller};
use crate::peer::cubic::Cubic;
use crate::time::Instant;

/// Between two probes for more: so many of the shortest round trips, and up to two more.
const WAIT: u32 = 6;

/// So many of them after probing the queue that this sender has left itself has come and gone.
const SETTLED: u32 = 3;

/// So many rounds after probing alone.
const SETTLED_ROUNDS: u32 = 5;

impl Bbr {
    pub(super) fn is_firm(&self) -> bool {
        self.watch.company == Company::Firm
    }

    /// Whether others are in the queue, and how to share it with them.
    pub(super) fn look_around(&mut self, now: Instant, acked: &Acked, ends_round: bool) {
        let Some(min_rtt) = self.min_rtt.get() else { return };
        let is_cruising = self.phase == Phase::Cruise;
        let is_calm = match self.phase {
            Phase::Cruise if self.is_firm() => now > self.phase_began + min_rtt * SETTLED,
            Phase::Cruise => self.rounds_in_cycle >= SETTLED_ROUNDS,
            Phase::Down => !self.is_firm() && self.rounds_in_cycle >= SETTLED_ROUNDS,
            _ => false,
        };
        // One packet that was not held up is enough, so that what holds up others now and then is not taken for a queue.
        let has_queue = acked.latest_rtt > longest_without_queue(min_rtt);
        let has_lost = self.round.lost_at_rest > 0;
        let window = self.cubic.as_ref().map_or(acked.in_flight, |cubic| cubic.window());
        let smoothed_rtt = acked.smoothed_rtt;
        let sight = Sight { has_queue, ends_round, smoothed_rtt, is_calm, is_cruising, has_lost, window };
        match self.watch.update(now, sight) {
            None => {}
            Some(Company::Alone) => {
                // More is not known to be free.
                let rate = acked.rate.map_or(0, |sample| sample.rate);
                (self.rates, self.cubic) = ([0, rate.min(self.max_rate())], None);
                self.begin_cycle(now);
            }
            Some(Company::Firm) => {
                (self.inflight_longterm, self.cubic) = (None, None);
                self.enter(now, Phase::Cruise);
            }
            Some(Company::Gentle { window, .. }) => {
                self.cubic = Some(Cubic::resume(self.packet, window));
                self.enter(now, Phase::Cruise);
            }
        }
    }

    /// As the first version of BBR: a round trip of more, one of less, and some of as much as arrives.
    pub(super) fn next_phase_firm(&mut self, now: Instant, acked: &Acked) {
        let min_rtt = self.min_rtt.get().unwrap_or_default();
        let long_enough = now > self.phase_began + min_rtt;
        match self.phase {
            Phase::Cruise if now >= self.phase_began + self.wait_firm(min_rtt) => self.enter(now, Phase::Up),
            Phase::Up
                if long_enough
                    && (self.round.lost > 0 || self.round.marked || acked.in_flight >= self.product(UP.rate)) =>
            {
                self.begin_cycle(now);
            }
            Phase::Down if long_enough || acked.in_flight <= self.product(100) => self.enter(now, Phase::Cruise),
            _ => {}
        }
    }

    fn wait_firm(&self, min_rtt: Duration) -> Duration {
        min_rtt * WAIT + min_rtt * (self.random >> 56) as u32 / 128
    }
}
