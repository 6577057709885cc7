//! BBR: congestion control by a model of the path (draft-ietf-ccwg-bbr-03, "the draft" below).
//!
//! # Theory of operation
//!
//! Two numbers describe a path: how many bytes a second arrive at most (`max_rate`), and how short a round trip is when
//! nothing waits in a queue (`min_rtt`, [`min_rtt`]). Their product is what the path holds, the bandwidth-delay
//! product; a sender that leaves at `max_rate` with one such product in flight fills it and builds no queue. As neither
//! can be seen all the time, the sender goes through phases, each with a gain on the rate and one on the window:
//!
//! | phase | rate | what for |
//! |---|---|---|
//! | start-up | 2.77 | doubles the rate each round trip until it grows no more |
//! | drain | 0.5 | empties the queue that this has built |
//! | down | 0.9 | leaves room for others, and empties what probing has built |
//! | cruise | 1 | most of the time |
//! | refill | 1 | fills the path for one round trip, so that probing tells something |
//! | up | 1.25 | whether more arrives if more is sent |
//! | probe of the round trip | 1, half a window | empties the queue if nobody has seen it empty for five seconds |
//!
//! **What is lost.** A loss that is not by chance means that a queue is full, and a full queue shows: the shortest round
//! trip of the last round is longer than `min_rtt` by what waits in it. So the bound on what may be in flight
//! (`inflight_longterm`) is lowered when more than 2 % of a round were lost *and* there was a queue; the draft asks for
//! the first only, and so a path that loses 5 % at random would starve. Without that bound a queue too short to be seen
//! costs little all the same: what is sent follows what arrives, and only one phase in many sends more.

mod min_rtt;
#[cfg(test)]
mod tests;

use core::time::Duration;

use super::controller::{Acked, Controller, Lost};
use crate::time::Instant;
use min_rtt::MinRtt;

/// Gains, in hundredths (the draft, sections 5.3 and 5.6).
const STARTUP: Gains = Gains { rate: 277, window: 277 };
const DRAIN: Gains = Gains { rate: 50, window: 200 };
const DOWN: Gains = Gains { rate: 90, window: 200 };
const CRUISE: Gains = Gains { rate: 100, window: 200 };
const REFILL: Gains = Gains { rate: 100, window: 200 };
const UP: Gains = Gains { rate: 125, window: 225 };
const PROBE_RTT: Gains = Gains { rate: 100, window: 50 };

/// What is left of the rate, so that a queue that was built drains on the whole (section 2.4: BBRPacingMarginPercent).
const MARGIN_PERCENT: u64 = 99;

/// The window before anything is known. As it is paced over the first round trip, which the handshake has told, it may
/// be larger than that of RFC 9002: the same as of other senders that pace.
const INITIAL_PACKETS: u64 = 64;
const MIN_PACKETS: u64 = 4;

/// Start-up ends when the rate has not grown by a quarter in three rounds (section 5.3.1.2).
const FULL_GROWTH_PERCENT: u64 = 125;
const FULL_ROUNDS: u32 = 3;

/// Of what was in flight, so many thousandths may be lost in a round (BBRLossThresh).
const LOSS_PER_MILLE: u64 = 20;

/// What is left of the bound on what is in flight when it was too much (BBRBeta), and what is left free of it while
/// cruising (BBRHeadroom), in hundredths.
const BETA_PERCENT: u64 = 70;
const HEADROOM_PERCENT: u64 = 85;

/// A round trip is one with a queue if it is longer than the shortest by this part of it and this time: what other
/// things than queues come to.
const QUEUE_DIVISOR: u32 = 10;
const QUEUE_LEAST: Duration = Duration::from_millis(1);

/// Between two probes for more: as long, and up to a second more; or as many rounds, for those who share with a sender
/// that adds a packet each round (section 5.3.3.5.3).
const PROBE_WAIT: Duration = Duration::from_secs(2);
const PROBE_ROUNDS: u32 = 63;

/// How long the round trip is probed.
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);

/// What acknowledgements that come together may hold up: so much time's worth of bytes, and no more than a few bursts.
const AGGREGATION: Duration = Duration::from_millis(2);
const MAX_AGGREGATION: u64 = 512 * 1024;

/// So that arithmetic never overflows: 8 TB a second, and what the table of sent packets could ever use.
const MAX_RATE: u64 = 8 << 40;
const MAX_WINDOW: u64 = 8 << 30;

/// In hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gains {
    rate: u64,
    window: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    /// Since what is in flight was little enough, if it was: until then, and in which round that was.
    ProbeRtt(Option<(Instant, u64)>),
}

#[derive(Debug)]
pub(super) struct Bbr {
    packet: u64,
    phase: Phase,
    min_rtt: MinRtt,
    /// The highest rate of this cycle of phases, and of the one before.
    rates: [u64; 2],
    round: Round,
    full: Full,
    /// What was too much in flight, if that is known.
    inflight_longterm: Option<u64>,
    /// How much it grows in this round of probing.
    growth: u64,
    /// When this phase began, and when the last probe for more ended.
    phase_began: Instant,
    cycle_began: Instant,
    rounds_in_cycle: u32,
    /// How long after that the next one begins.
    wait: Duration,
    window: u64,
    random: u64,
}

/// A round trip: it ends when a packet that was sent after it began is acknowledged.
#[derive(Debug, Default)]
struct Round {
    count: u64,
    /// Delivered when it began.
    began_at: u64,
    lost: u64,
    /// The most that was in flight when something that was lost had left.
    lost_in_flight: u64,
    delivered: u64,
    shortest: Option<Duration>,
}

/// Whether the path is full, so that start-up may end.
#[derive(Debug, Default)]
struct Full {
    reached: bool,
    rate: u64,
    rounds: u32,
}

impl Bbr {
    /// For packets of this size. `seed` is random.
    pub(super) fn new(packet: u64, seed: u64) -> Bbr {
        let packet = packet.max(1);
        Bbr {
            packet,
            phase: Phase::Startup,
            min_rtt: MinRtt::default(),
            rates: [0; 2],
            round: Round::default(),
            full: Full::default(),
            inflight_longterm: None,
            growth: 0,
            phase_began: Instant::ZERO,
            cycle_began: Instant::ZERO,
            rounds_in_cycle: 0,
            wait: PROBE_WAIT,
            window: INITIAL_PACKETS * packet,
            random: seed,
        }
    }

    fn max_rate(&self) -> u64 {
        self.rates[0].max(self.rates[1])
    }

    /// What the path holds, times a gain in hundredths.
    fn product(&self, gain: u64) -> u64 {
        let Some(min_rtt) = self.min_rtt.get() else { return INITIAL_PACKETS * self.packet };
        let bytes = u128::from(self.max_rate()) * min_rtt.as_nanos() / 1_000_000_000 * u128::from(gain) / 100;
        u64::try_from(bytes).unwrap_or(u64::MAX).clamp(MIN_PACKETS * self.packet, MAX_WINDOW)
    }

    fn gains(&self) -> Gains {
        match self.phase {
            Phase::Startup => STARTUP,
            Phase::Drain => DRAIN,
            Phase::Down => DOWN,
            Phase::Cruise => CRUISE,
            Phase::Refill => REFILL,
            Phase::Up => UP,
            Phase::ProbeRtt(_) => PROBE_RTT,
        }
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        (self.phase, self.phase_began) = (phase, now);
    }

    /// Whether the round at hand had a queue.
    fn has_queue(&self) -> bool {
        let (Some(shortest), Some(min_rtt)) = (self.round.shortest, self.min_rtt.get()) else { return false };
        shortest > min_rtt + (min_rtt / QUEUE_DIVISOR).max(QUEUE_LEAST)
    }

    /// Whether the round at hand lost more than chance does.
    fn is_too_much(&self) -> bool {
        let all = self.round.lost + self.round.delivered;
        self.round.lost * 1_000 > all * LOSS_PER_MILLE && self.has_queue()
    }

    fn update_rate(&mut self, acked: &Acked) {
        let Some(sample) = acked.rate else { return };
        let rate = sample.rate.min(MAX_RATE);
        if !sample.is_app_limited || rate >= self.max_rate() {
            self.rates[0] = self.rates[0].max(rate);
        }
    }

    /// Whether a round ends with this acknowledgement.
    fn round_ends(&mut self, acked: &Acked) -> bool {
        self.round.delivered += acked.bytes;
        self.round.shortest = Some(self.round.shortest.map_or(acked.latest_rtt, |it| it.min(acked.latest_rtt)));
        acked.rate.is_some_and(|sample| sample.stamp.delivered >= self.round.began_at)
    }

    fn begin_round(&mut self, acked: &Acked) {
        let count = self.round.count + 1;
        self.round = Round { count, began_at: acked.delivered, ..Round::default() };
        self.rounds_in_cycle = self.rounds_in_cycle.saturating_add(1);
    }

    /// Section 5.3.1.2, and the end of start-up.
    fn check_full(&mut self, acked: &Acked) {
        if self.full.reached || acked.rate.is_none_or(|sample| sample.is_app_limited) {
            return;
        }
        if self.max_rate() >= self.full.rate * FULL_GROWTH_PERCENT / 100 {
            self.full = Full { rate: self.max_rate(), ..Full::default() };
            return;
        }
        self.full.rounds += 1;
        self.full.reached = self.full.rounds >= FULL_ROUNDS;
    }

    /// Too much was in flight, as a full queue shows.
    fn lower(&mut self, now: Instant) {
        let least = self.product(100) * BETA_PERCENT / 100;
        match self.phase {
            Phase::Startup => {
                self.full.reached = true;
                self.inflight_longterm = Some(self.product(100).max(self.round.delivered));
            }
            Phase::Up | Phase::Refill => {
                self.inflight_longterm = Some(self.round.lost_in_flight.max(least));
                self.begin_cycle(now);
            }
            // Somebody else has come.
            Phase::Down | Phase::Cruise => {
                let bound = self.inflight_longterm.unwrap_or(self.window);
                self.inflight_longterm = Some((bound * BETA_PERCENT / 100).max(least));
            }
            Phase::Drain | Phase::ProbeRtt(_) => {}
        }
    }

    /// The probe for more is over.
    fn begin_cycle(&mut self, now: Instant) {
        // The cycle before the last is forgotten, so that a rate that has become less is noticed.
        if self.rates[0] > 0 {
            self.rates = [0, self.rates[0]];
        }
        (self.cycle_began, self.rounds_in_cycle) = (now, 0);
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.wait = PROBE_WAIT + Duration::from_millis((mixed >> 32) % 1_000);
        self.enter(now, Phase::Down);
    }

    fn is_time_to_probe(&self, now: Instant) -> bool {
        let rounds = u32::try_from(self.product(100) / self.packet).unwrap_or(PROBE_ROUNDS).min(PROBE_ROUNDS);
        now >= self.cycle_began + self.wait || self.rounds_in_cycle >= rounds.max(8)
    }

    /// What may be in flight while there is to be room for others.
    fn with_headroom(&self) -> u64 {
        self.inflight_longterm.map_or(u64::MAX, |bound| bound * HEADROOM_PERCENT / 100)
    }

    fn next_phase(&mut self, now: Instant, acked: &Acked, round_ended: bool) {
        match self.phase {
            Phase::Startup if self.full.reached => self.enter(now, Phase::Drain),
            Phase::Drain if acked.in_flight <= self.product(100) => self.begin_cycle(now),
            Phase::Down | Phase::Cruise if self.is_time_to_probe(now) => {
                self.growth = self.packet;
                self.enter(now, Phase::Refill);
            }
            Phase::Down if acked.in_flight <= self.product(100).min(self.with_headroom()) => {
                self.enter(now, Phase::Cruise);
            }
            Phase::Refill if round_ended && now > self.phase_began => self.enter(now, Phase::Up),
            Phase::Up => {
                if round_ended && let Some(bound) = &mut self.inflight_longterm {
                    // Slowly at first, and then faster.
                    *bound = bound.saturating_add(self.growth).min(MAX_WINDOW);
                    self.growth = self.growth.saturating_mul(2).min(MAX_WINDOW);
                }
                let long_enough = self.min_rtt.get().is_some_and(|min_rtt| now > self.phase_began + min_rtt);
                if long_enough && (acked.in_flight >= self.product(UP.rate) || self.has_queue()) {
                    self.begin_cycle(now);
                }
            }
            _ => {}
        }
    }

    /// Section 5.3.4: whether the round trip is to be probed, and when that is over.
    fn probe_rtt(&mut self, now: Instant, acked: &Acked) {
        let is_stale = self.min_rtt.update(now, acked.latest_rtt);
        match self.phase {
            Phase::ProbeRtt(None) if acked.in_flight <= self.target(PROBE_RTT.window) => {
                self.phase = Phase::ProbeRtt(Some((now + PROBE_RTT_TIME, self.round.count + 1)));
            }
            Phase::ProbeRtt(Some((until, round))) if now >= until && self.round.count >= round => {
                self.min_rtt.probed(now);
                match self.full.reached {
                    true => self.begin_cycle(now),
                    false => self.enter(now, Phase::Startup),
                }
            }
            Phase::ProbeRtt(_) => {}
            _ if is_stale => self.enter(now, Phase::ProbeRtt(None)),
            _ => {}
        }
    }

    /// What is to be in flight, for a gain in hundredths.
    fn target(&self, gain: u64) -> u64 {
        let product = self.product(gain);
        if matches!(self.phase, Phase::ProbeRtt(_)) {
            return product;
        }
        let held_up = u128::from(self.max_rate()) * AGGREGATION.as_nanos() / 1_000_000_000;
        product.saturating_add(u64::try_from(held_up).unwrap_or(u64::MAX).min(MAX_AGGREGATION))
    }

    fn update_window(&mut self, acked: &Acked) {
        let target = self.target(self.gains().window);
        let grown = self.window.saturating_add(acked.bytes);
        self.window = match self.phase {
            Phase::Startup => self.window.max(grown.min(target.max(INITIAL_PACKETS * self.packet))),
            _ => grown.min(target),
        };
        let bound = match self.phase {
            Phase::Startup | Phase::Refill | Phase::Up => self.inflight_longterm.unwrap_or(u64::MAX),
            Phase::Drain | Phase::Down | Phase::Cruise | Phase::ProbeRtt(_) => self.with_headroom(),
        };
        self.window = self.window.min(bound).clamp(MIN_PACKETS * self.packet, MAX_WINDOW);
    }
}

impl Controller for Bbr {
    fn on_acked(&mut self, now: Instant, acked: Acked) {
        self.update_rate(&acked);
        let round_ended = self.round_ends(&acked);
        if round_ended {
            self.check_full(&acked);
            if self.is_too_much() {
                self.lower(now);
            }
        }
        self.next_phase(now, &acked, round_ended);
        self.probe_rtt(now, &acked);
        if round_ended {
            self.begin_round(&acked);
        }
        self.update_window(&acked);
    }

    fn on_lost(&mut self, _: Instant, lost: Lost) {
        self.round.lost = self.round.lost.saturating_add(lost.bytes);
        self.round.lost_in_flight = self.round.lost_in_flight.max(lost.in_flight);
    }

    fn on_persistent_congestion(&mut self) {
        self.window = MIN_PACKETS * self.packet;
    }

    fn on_packet_size(&mut self, bytes: u64) {
        self.packet = bytes.max(1);
        self.window = self.window.max(MIN_PACKETS * self.packet);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> u64 {
        let gain = self.gains().rate;
        let rate = match self.max_rate() {
            0 => {
                let nanos = smoothed_rtt.as_nanos().max(1_000);
                u64::try_from(u128::from(self.window) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
            }
            rate => rate,
        };
        let paced = rate.min(MAX_RATE) * gain / 100;
        // Start-up may go faster than it knows to be right.
        let margin = if self.full.reached { MARGIN_PERCENT } else { 100 };
        (paced * margin / 100).max(self.packet)
    }
}
