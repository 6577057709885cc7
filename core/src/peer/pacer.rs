//! Spreads packets over the round trip (RFC 9002, section 7.7), in bursts that are worth a system call.

use core::time::Duration;

use super::MAX_BURST_BYTES;
use crate::time::Instant;

/// How much time's worth of bytes may leave at once: what a driver's timer is usually late by at most.
const BURST_TIME: Duration = Duration::from_millis(2);

/// Whoever was woken later than that has left the path idle meanwhile, which then has room for so much more.
const MAX_LATENESS: Duration = Duration::from_millis(10);

/// What is worth waking for: so much time's worth, and at least so many packets; fewer beside others that fill the queue,
/// because what comes together finds no room in it where what comes one by one does.
const QUANTUM_TIME: Duration = Duration::from_millis(1);
const QUANTUM_PACKETS: u64 = 5;
const CROWDED_QUANTUM_PACKETS: u64 = 2;

/// The least that may leave at once (RFC 9002, section 7.2: the initial window).
const MIN_BURST_PACKETS: u64 = 10;

/// The most that may leave at once: a few of the largest system calls.
const MAX_BURST: u64 = 16 * MAX_BURST_BYTES as u64;

const NANOS: u128 = 1_000_000_000;

/// A token bucket. Once it is empty, it opens again only when a worthwhile burst has gathered.
#[derive(Debug)]
pub(super) struct Pacer {
    packet: u64,
    is_crowded: bool,
    /// In billionths of a byte, so that nothing is lost by rounding.
    tokens: u128,
    filled_at: Instant,
    closed_until: Option<Instant>,
}

impl Pacer {
    /// Full, for packets of at most `packet` bytes.
    pub(super) fn new(now: Instant, packet: u64) -> Self {
        let tokens = u128::from(MIN_BURST_PACKETS * packet) * NANOS;
        Pacer { packet, is_crowded: false, tokens, filled_at: now, closed_until: None }
    }

    /// Packets have at most this size from now on.
    pub(super) fn set_packet(&mut self, packet: u64) {
        self.packet = packet;
    }

    /// Whether others fill the queue.
    pub(super) fn set_crowded(&mut self, is_crowded: bool) {
        self.is_crowded = is_crowded;
    }

    /// Whether `bytes` may leave now, at `rate` bytes a second. If not, [`Pacer::opens_at`] tells when.
    pub(super) fn allows(&mut self, now: Instant, rate: u64, bytes: u64) -> bool {
        let late = self.closed_until.map_or(Duration::ZERO, |until| now.saturating_since(until)).min(MAX_LATENESS);
        let most = self.most(rate, BURST_TIME + late);
        let rate = u128::from(rate.max(1));
        let filled = self.tokens + rate * now.saturating_since(self.filled_at).as_nanos();
        // What was saved up for lateness is not taken away.
        self.tokens = filled.min(most.max(self.tokens));
        self.filled_at = now;
        if self.closed_until.is_some_and(|until| now < until) {
            return false;
        }
        self.closed_until = None;
        if self.tokens >= u128::from(bytes) * NANOS {
            return true;
        }
        let packets = if self.is_crowded { CROWDED_QUANTUM_PACKETS } else { QUANTUM_PACKETS };
        let quantum = (rate * QUANTUM_TIME.as_nanos()).max(u128::from(packets * self.packet) * NANOS);
        let quantum = quantum.min(MAX_BURST_BYTES as u128 * NANOS);
        let wait = (quantum.max(u128::from(bytes) * NANOS) - self.tokens).div_ceil(rate);
        self.closed_until = Some(now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)));
        false
    }

    /// Whether nothing has left for as long as it saves up.
    pub(super) fn is_idle(&mut self, now: Instant, rate: u64) -> bool {
        let _ = self.allows(now, rate, 0);
        self.tokens >= self.most(rate, BURST_TIME)
    }

    /// `bytes` have left.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(u128::from(bytes) * NANOS);
    }

    /// In billionths of a byte.
    fn most(&self, rate: u64, time: Duration) -> u128 {
        (u128::from(rate.max(1)) * time.as_nanos())
            .clamp(u128::from(MIN_BURST_PACKETS * self.packet) * NANOS, u128::from(MAX_BURST) * NANOS)
    }

    /// Something else than the pace keeps packets from leaving now: whatever comes next is not late.
    pub(super) fn give_way(&mut self) {
        self.closed_until = None;
    }

    /// When bytes may leave again.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as much as possible for a second, waking when told; bytes and wakes.
    fn run(rate: u64, packet: u64) -> (u64, u64) {
        let mut pacer = Pacer::new(Instant::ZERO, packet);
        let (mut now, mut bytes, mut wakes) = (Instant::ZERO, 0, 0);
        while now < Instant::from_nanos(1_000_000_000) {
            if pacer.allows(now, rate, packet) {
                pacer.spend(packet);
                bytes += packet;
            } else {
                let at = pacer.opens_at().unwrap();
                assert!(at > now);
                (now, wakes) = (at, wakes + 1);
            }
        }
        (bytes, wakes)
    }

    #[test]
    fn the_rate_is_kept_in_worthwhile_bursts() {
        for (rate, packet, most_wakes) in [
            (1_000_000, 1_200, 200),
            (12_500_000, 1_200, 1_100),
            (1_250_000_000, 1_200, 21_000),
            (1_250_000_000, 65_000, 21_000),
        ] {
            let (bytes, wakes) = run(rate, packet);
            assert!(bytes.abs_diff(rate) <= rate / 50 + 2 * 10 * packet, "{rate}: {bytes}");
            assert!(wakes <= most_wakes, "{rate}: {wakes}");
        }
    }

    #[test]
    fn beside_others_bursts_are_smaller() {
        let mut pacer = Pacer::new(Instant::ZERO, 1_200);
        let mut burst = |seconds: u64, is_crowded| {
            pacer.set_crowded(is_crowded);
            // All that was saved up leaves, and then what is worth waking for.
            let mut now = Instant::from_nanos(seconds * 1_000_000_000);
            let mut packets = 0;
            for _ in 0..2 {
                packets = 0;
                while pacer.allows(now, 1_000_000, 1_200) {
                    pacer.spend(1_200);
                    packets += 1;
                }
                now = pacer.opens_at().unwrap();
            }
            packets
        };
        assert_eq!((burst(1, false), burst(2, true), burst(3, false)), (5, 2, 5));
    }

    /// How many packets of 1,200 bytes leave at once, at a rate of 12 MB/s, if somebody is woken so many milliseconds late.
    fn burst_after(late: u64, gives_way: bool) -> u64 {
        let rate = 12_000_000;
        let mut pacer = Pacer::new(Instant::ZERO, 1_200);
        let mut burst = |now| {
            let mut packets = 0;
            while pacer.allows(now, rate, 1_200) {
                pacer.spend(1_200);
                packets += 1;
            }
            if gives_way {
                pacer.give_way();
            }
            packets
        };
        burst(Instant::from_nanos(1_000_000_000));
        burst(Instant::from_nanos(1_001_000_000) + Duration::from_millis(late))
    }

    #[test]
    fn what_a_late_timer_has_missed_is_made_up_for_but_not_what_anything_else_has() {
        // Ten packets a millisecond.
        assert_eq!([0, 1, 5, 10, 50].map(|late| burst_after(late, false)), [10, 20, 60, 110, 120]);
        assert_eq!([5, 50].map(|late| burst_after(late, true)), [20, 20]);
    }

    #[test]
    fn a_pause_does_not_save_up() {
        let mut pacer = Pacer::new(Instant::ZERO, 1_200);
        let now = Instant::from_nanos(3_600_000_000_000);
        let mut bytes = 0;
        while pacer.allows(now, 1_000_000, 1_200) {
            pacer.spend(1_200);
            bytes += 1_200;
        }
        assert_eq!(bytes, 12_000);
    }
}
