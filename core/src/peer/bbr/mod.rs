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
//! | start-up | 4 | three times the rate each round trip, until it grows no more; 1.5 once a queue shows ([`start_up`]) |
//! | drain | 0.5 | empties the queue that this has built |
//! | down | 0.9 | leaves room for others, and empties what probing has built |
//! | cruise | 1 | most of the time |
//! | refill | 1 | fills the path for one round trip, so that probing tells something |
//! | up | 1.25 | whether more arrives if more is sent |
//! | probe of the round trip | 1, half a window | empties the queue if nobody has seen it empty for five seconds |
//!
//! **A queue shows.** If even the shortest of the latest round trips are longer than `min_rtt`, by more than other things
//! come to, something waits in a queue. Start-up does not wait then for three rounds to be sure that the rate grows no
//! more, and so may be faster than the draft's 2.77 (the same idea as HyStart's, RFC 9406).
//!
//! **What is lost.** A loss that is not by chance means that a queue is full. So the bound on what may be in flight
//! (`inflight_longterm`) is lowered when more than 2 % of a round were lost *and* there was a queue; the draft asks for
//! the first only, and so a path that loses 5 % at random would starve. A queue too short to be seen is noticed while
//! probing for more, if that loses much more than was lost right before. What is lost by chance ([`Bbr::update_chance`])
//! is made up for: the rate is what arrives, and more must leave for as much to arrive. Packets that the network has marked
//! (ECN, RFC 3168) say that there is a queue, and nothing else: they are too much, whatever was lost.
//!
//! **Beside others** who fill the queue, a sender that avoids queues gets hardly anything; see [`company`].

mod company;
mod min_rtt;
mod phase;
mod round;
mod sharing;
mod start_up;
#[cfg(test)]
mod tests;

use core::time::Duration;

use super::controller::{Acked, Controller, Lost, Marked};
use super::cubic::Cubic;
use crate::time::Instant;
use company::{Company, Watch};
use min_rtt::{MinRtt, RoundTrips};
use phase::{CRUISE, DOWN, DRAIN, FIRM, FIRM_DOWN, Gains, PROBE_RTT, Phase, REFILL, STARTUP, STARTUP_WITH_QUEUE, UP};
use round::{Full, Round};

/// What is left of the rate while there is a queue, so that it drains on the whole (section 2.4: BBRPacingMarginPercent).
const MARGIN_PERCENT: u64 = 99;

/// The window before anything is known. As it is paced over the first round trip, which the handshake has told, it may
/// be larger than that of RFC 9002: the same as of other senders that pace.
const INITIAL_PACKETS: u64 = 80;
const MIN_PACKETS: u64 = 4;

/// Of what was in flight, so many thousandths may be lost in a round (BBRLossThresh).
const LOSS_PER_MILLE: u64 = 20;

/// More than so much beyond twice what chance takes is too much in a round that probes, whether a queue is seen or not.
const PROBE_LOSS_PER_MILLE: u64 = 50;

/// What is lost by chance is made up for, up to this share, in millionths: 15 %. More is hardly chance.
const MAX_CHANCE: u64 = 150_000;

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

/// In company a rate is forgotten after so many rounds, or twice as many.
const FIRM_ROUNDS: u32 = 5;

/// How long the round trip is probed.
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);

/// What acknowledgements that come together may hold up: so much time's worth of bytes, and no more than a few bursts.
const AGGREGATION: Duration = Duration::from_millis(2);
const MAX_AGGREGATION: u64 = 512 * 1024;

/// So that arithmetic never overflows: 8 TB a second, and what the table of sent packets could ever use.
const MAX_RATE: u64 = 8 << 40;
const MAX_WINDOW: u64 = 8 << 30;

#[derive(Debug)]
pub(super) struct Bbr {
    packet: u64,
    phase: Phase,
    min_rtt: MinRtt,
    round_trips: RoundTrips,
    /// The highest rate of this cycle of phases, and of the one before.
    rates: [u64; 2],
    round: Round,
    full: Full,
    /// What share is lost by chance, in millionths.
    chance: u64,
    /// What was too much in flight, if that is known.
    inflight_longterm: Option<u64>,
    /// When it was lowered last, or start-up ended.
    lowered_at: Instant,
    /// How much it grows in this round of probing.
    growth: u64,
    /// Who else is in the queue.
    watch: Watch,
    /// While this sender is gentle beside others.
    cubic: Option<Cubic>,
    /// Since a rate was forgotten.
    rounds_of_rate: u32,
    /// When this phase began, and when the last probe for more ended.
    phase_began: Instant,
    cycle_began: Instant,
    rounds_in_cycle: u32,
    /// How long after that the next one begins.
    wait: Duration,
    window: u64,
    random: u64,
}

impl Bbr {
    /// For packets of this size. `seed` is random.
    pub(super) fn new(packet: u64, seed: u64) -> Bbr {
        let packet = packet.max(1);
        Bbr {
            packet,
            phase: Phase::Startup,
            min_rtt: MinRtt::default(),
            round_trips: RoundTrips::default(),
            rates: [0; 2],
            round: Round::default(),
            full: Full::default(),
            inflight_longterm: None,
            chance: 0,
            lowered_at: Instant::ZERO,
            growth: 0,
            watch: Watch::default(),
            cubic: None,
            rounds_of_rate: 0,
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
            Phase::Startup if self.has_queue() => STARTUP_WITH_QUEUE,
            Phase::Startup => STARTUP,
            Phase::Drain => DRAIN,
            Phase::Down if self.is_firm() => FIRM_DOWN,
            Phase::Cruise if self.is_firm() => FIRM,
            Phase::Down | Phase::Cruise if self.watch.is_suspicious() => FIRM_DOWN,
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
        let (Some(rtt), Some(min_rtt)) = (self.round_trips.latest(), self.min_rtt.get()) else {
            return false;
        };
        rtt > longest_without_queue(min_rtt)
    }

    /// Whether the round at hand lost more than chance does, or the network says that it has a queue.
    fn is_too_much(&self) -> bool {
        if self.round.marked {
            return true;
        }
        let all = self.round.lost + self.round.delivered;
        let chance = all * self.chance / 1_000_000;
        let more = self.round.lost.saturating_sub(chance) * 1_000;
        // A queue that is too short to be seen: only probing can tell, right after chance was measured.
        let is_probe = matches!(self.phase, Phase::Up);
        more > all * LOSS_PER_MILLE && self.has_queue()
            || is_probe && more > chance * 1_000 + all * PROBE_LOSS_PER_MILLE
    }

    fn update_rate(&mut self, acked: &Acked) {
        let Some(sample) = acked.rate else { return };
        let rate = sample.rate.min(MAX_RATE);
        if !sample.is_app_limited || rate >= self.max_rate() {
            self.rates[0] = self.rates[0].max(rate);
        }
    }

    /// Whether a round ends with this acknowledgement.
    fn round_ends(&mut self, now: Instant, acked: &Acked) -> bool {
        self.round.delivered += acked.bytes;
        self.round_trips.add(acked.latest_rtt);
        // A packet that has overtaken the others does not end a round.
        let long_enough = self.min_rtt.get().is_none_or(|min_rtt| now >= self.round.began + min_rtt * 3 / 4);
        long_enough && acked.rate.is_some_and(|sample| sample.stamp.delivered >= self.round.began_at)
    }

    /// What is lost while nothing is probed and no queue is there is lost by chance: the average over some rounds.
    fn update_chance(&mut self) {
        let all = self.round.lost_at_rest + self.round.delivered;
        if self.phase == Phase::Cruise && all > 0 && !self.has_queue() {
            let share = self.round.lost_at_rest.min(all) * 1_000_000 / all;
            self.chance = (self.chance * 7 + share) / 8;
        }
    }

    fn begin_round(&mut self, now: Instant, acked: &Acked) {
        let count = self.round.count + 1;
        self.round = Round { count, began: now, began_at: acked.delivered, ..Round::default() };
        self.rounds_in_cycle = self.rounds_in_cycle.saturating_add(1);
        self.rounds_of_rate = self.rounds_of_rate.saturating_add(1);
    }

    /// Too much was in flight, as a full queue shows.
    fn lower(&mut self, now: Instant) {
        self.lowered_at = now;
        let least = self.product(100) * BETA_PERCENT / 100;
        match self.phase {
            Phase::Up | Phase::Refill => {
                self.inflight_longterm = Some(self.round.lost_in_flight.max(least));
                self.begin_cycle(now);
            }
            // Somebody else has come.
            Phase::Down | Phase::Cruise => {
                let bound = self.inflight_longterm.unwrap_or(self.window);
                self.inflight_longterm = Some((bound * BETA_PERCENT / 100).max(least));
            }
            // It ends when the rate grows no more, and what it lost on the way is no bound.
            Phase::Startup | Phase::Drain | Phase::ProbeRtt(_) => {}
        }
    }

    /// The probe for more is over.
    fn begin_cycle(&mut self, now: Instant) {
        // The cycle before the last is forgotten, so that a rate that has become less is noticed.
        if self.rates[0] > 0 && (!self.is_firm() || self.rounds_of_rate >= FIRM_ROUNDS) {
            (self.rates, self.rounds_of_rate) = ([0, self.rates[0]], 0);
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
        // Less than what the path holds would leave it idle: the pace leaves room for others as well.
        let least = |bound: u64| bound.min(self.target(100));
        self.inflight_longterm.map_or(u64::MAX, |bound| (bound * HEADROOM_PERCENT / 100).max(least(bound)))
    }

    fn next_phase(&mut self, now: Instant, acked: &Acked, round_ended: bool) {
        match self.phase {
            Phase::Startup if self.full.reached => {
                self.lowered_at = now;
                self.enter(now, Phase::Drain);
            }
            Phase::Drain if acked.in_flight <= self.product(100) => self.begin_cycle(now),
            Phase::Down | Phase::Cruise if self.is_time_to_probe(now) => {
                self.growth = self.packet;
                self.enter(now, Phase::Refill);
            }
            // What acknowledgements hold up is in flight without a queue as well.
            Phase::Down if acked.in_flight <= self.target(100).min(self.with_headroom()) => {
                self.enter(now, Phase::Cruise);
            }
            Phase::Refill if round_ended && now > self.phase_began => {
                self.full = Full { reached: true, rate: self.max_rate(), ..Full::default() };
                self.enter(now, Phase::Up);
            }
            Phase::Up => {
                if round_ended && let Some(bound) = &mut self.inflight_longterm {
                    // Slowly at first, and then faster.
                    *bound = bound.saturating_add(self.growth).min(MAX_WINDOW);
                    self.growth = self.growth.saturating_mul(2).min(MAX_WINDOW);
                }
                if round_ended {
                    self.full.check(self.max_rate());
                }
                // What a round was probed with is acknowledged in the next one.
                let is_full = self.full.rounds >= 2 && acked.in_flight >= self.product(UP.rate);
                let long_enough = self.min_rtt.get().is_some_and(|min_rtt| now > self.phase_began + min_rtt);
                if long_enough && (is_full || self.has_queue()) {
                    self.begin_cycle(now);
                }
            }
            _ => {}
        }
    }

    /// Section 5.3.4: whether the round trip is to be probed, and when that is over.
    fn probe_rtt(&mut self, now: Instant, acked: &Acked) {
        match self.phase {
            Phase::ProbeRtt(None) if acked.in_flight <= self.target(PROBE_RTT.window) => {
                self.phase = Phase::ProbeRtt(Some((now + PROBE_RTT_TIME, self.round.count + 1)));
            }
            Phase::ProbeRtt(Some((until, round))) if now >= until && self.round.count >= round => {
                self.min_rtt.probed(now);
                match self.full.reached {
                    true if self.is_firm() => self.enter(now, Phase::Cruise),
                    true => self.begin_cycle(now),
                    false => self.enter(now, Phase::Startup),
                }
            }
            Phase::ProbeRtt(_) => {}
            _ if self.min_rtt.is_stale(now, self.is_firm()) => self.enter(now, Phase::ProbeRtt(None)),
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
        if let Some(cubic) = &self.cubic {
            self.window = cubic.window();
            return;
        }
        let target = self.target(self.gains().window);
        self.window = match self.phase {
            Phase::Startup => {
                let grown = self.window.saturating_add(self.growth_in_start_up(acked));
                self.window.max(grown.min(target.max(INITIAL_PACKETS * self.packet)))
            }
            _ => self.window.saturating_add(acked.bytes).min(target),
        };
        let bound = match self.phase {
            Phase::Startup | Phase::Refill | Phase::Up => self.inflight_longterm.unwrap_or(u64::MAX),
            Phase::Drain | Phase::Down | Phase::Cruise | Phase::ProbeRtt(_) => self.with_headroom(),
        };
        self.window = self.window.min(bound).clamp(MIN_PACKETS * self.packet, MAX_WINDOW);
    }
}

/// A round trip that is longer has waited in a queue.
fn longest_without_queue(min_rtt: Duration) -> Duration {
    min_rtt + (min_rtt / QUEUE_DIVISOR).max(QUEUE_LEAST)
}

impl Controller for Bbr {
    fn on_acked(&mut self, now: Instant, acked: Acked) {
        self.update_rate(&acked);
        let round_ended = self.round_ends(now, &acked);
        if round_ended {
            self.check_full(&acked);
            if self.watch.company == Company::Alone && self.is_too_much() {
                self.lower(now);
            }
        }
        self.min_rtt.begin(now, acked.latest_rtt);
        if round_ended && let Some(rtt) = self.round_trips.end_round() {
            self.min_rtt.update(now, rtt);
        }
        self.look_around(now, &acked, round_ended);
        match self.watch.company {
            Company::Alone => self.next_phase(now, &acked, round_ended),
            Company::Firm => self.next_phase_firm(now, &acked),
            Company::Gentle { .. } => {}
        }
        match &mut self.cubic {
            Some(cubic) => cubic.on_acked(now, acked),
            None => self.probe_rtt(now, &acked),
        }
        if round_ended {
            self.update_chance();
            self.begin_round(now, &acked);
        }
        self.update_window(&acked);
    }

    fn on_lost(&mut self, now: Instant, lost: Lost) {
        if let Some(cubic) = &mut self.cubic {
            cubic.on_lost(now, lost);
        }
        // What left before has had its consequence.
        if lost.sent_at < self.lowered_at {
            return;
        }
        self.round.lost = self.round.lost.saturating_add(lost.bytes);
        if lost.sent_at > self.cycle_began {
            self.round.lost_at_rest = self.round.lost_at_rest.saturating_add(lost.bytes);
        }
        self.round.lost_in_flight = self.round.lost_in_flight.max(lost.in_flight);
        self.look_for_overflow();
    }

    fn on_marked(&mut self, now: Instant, marked: Marked) {
        if let Some(cubic) = &mut self.cubic {
            cubic.on_marked(now, marked);
        }
        if marked.sent_at >= self.lowered_at {
            self.round.marked = true;
            self.round.lost_in_flight = self.round.lost_in_flight.max(marked.in_flight);
        }
    }

    fn on_spurious_loss(&mut self, bytes: u64) {
        // It was late, and no queue has overflown.
        self.full.overflows = false;
        self.round.lost = self.round.lost.saturating_sub(bytes);
        self.round.lost_at_rest = self.round.lost_at_rest.saturating_sub(bytes);
    }

    fn on_persistent_congestion(&mut self) {
        self.window = MIN_PACKETS * self.packet;
        if let Some(cubic) = &mut self.cubic {
            cubic.on_persistent_congestion();
        }
    }

    fn on_packet_size(&mut self, bytes: u64) {
        self.packet = bytes.max(1);
        if let Some(cubic) = &mut self.cubic {
            cubic.on_packet_size(bytes);
        }
        self.window = self.window.max(MIN_PACKETS * self.packet);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn is_crowded(&self) -> bool {
        self.watch.company != Company::Alone
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> u64 {
        if let Some(cubic) = &self.cubic {
            return cubic.pacing_rate(smoothed_rtt);
        }
        let gain = self.gains().rate;
        let rate = self.max_rate();
        let mut paced = rate.min(MAX_RATE) * gain / 100;
        if self.gains() == STARTUP {
            paced = paced.max(self.pace_in_start_up(smoothed_rtt));
        }
        let margin = if self.full.reached && self.has_queue() { MARGIN_PERCENT } else { 100 };
        // So that as much arrives.
        let arrives = 1_000_000 - self.chance.min(MAX_CHANCE);
        let paced = u128::from(paced) * u128::from(margin) * 10_000 / u128::from(arrives);
        u64::try_from(paced).unwrap_or(u64::MAX).max(self.packet)
    }
}
