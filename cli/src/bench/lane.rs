//! The arithmetic of one direction of a link, in whatever time it is given: a queue that drops what does not fit, a
//! rate, random loss, a delay.

use std::time::Duration;

/// What a link is like; the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LinkOptions {
    /// Bits a second, or as many as the machine can do.
    pub(super) rate: Option<u64>,
    /// Of 100 datagrams that get through the queue, so many are lost at random.
    pub(super) loss_percent: f64,
    /// One way.
    pub(super) delay: Duration,
    /// The largest datagram that it carries; larger ones are lost, and nobody is told.
    pub(super) largest: usize,
    /// The same seed makes the same decisions.
    pub(super) seed: u64,
}

/// What a datagram is larger by on a real link: the headers of IPv4 and UDP. They take their share of the rate.
const HEADERS: usize = 28;

/// The least that a queue holds: one burst of 65,000 bytes, which a sender hands over with one call, and its headers.
const MIN_QUEUE_BYTES: u64 = 72 * 1024;

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    options: LinkOptions,
    queue_bytes: u64,
    /// When the last datagram that was taken has left the queue.
    free_at: Duration,
    random: u64,
    counts: Counts,
}

/// What happened to datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// That came out.
    pub(super) sent: u64,
    /// Lost at random.
    pub(super) lost: u64,
    /// That found no room in the queue.
    pub(super) dropped: u64,
    /// How much later than they should have, all together.
    pub(super) late: Duration,
    /// The latest.
    pub(super) latest: Duration,
}

impl Lane {
    /// `number` makes the losses of one lane differ from those of another with the same seed.
    pub(super) fn new(options: LinkOptions, number: u64) -> Lane {
        let mut random = options.seed;
        // Neighbouring seeds and lanes have nothing in common.
        random = next(&mut random) ^ number;
        let queue_bytes = options.rate.map_or(u64::MAX, |rate| {
            let bits = u128::from(rate) * 2 * options.delay.as_nanos() / 1_000_000_000;
            u64::try_from(bits / 8).unwrap_or(u64::MAX).max(MIN_QUEUE_BYTES)
        });
        Lane { options, queue_bytes, free_at: Duration::ZERO, random, counts: Counts::default() }
    }

    /// A datagram arrives; when it comes out, if it does. `now` never goes back.
    pub(super) fn take(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if bytes > self.options.largest {
            return None;
        }
        let leaves = match self.options.rate {
            Some(rate) => {
                let size = (bytes + HEADERS) as u64;
                if bytes_in(self.free_at.saturating_sub(now), rate) + size > self.queue_bytes {
                    self.drop_one();
                    return None;
                }
                self.free_at = self.free_at.max(now) + time_for(size, rate);
                self.free_at
            }
            None => now,
        };
        if self.is_unlucky() {
            self.counts.lost += 1;
            return None;
        }
        Some(leaves + self.options.delay)
    }

    /// A datagram found no room.
    pub(super) fn drop_one(&mut self) {
        self.counts.dropped += 1;
    }

    /// A datagram came out, `late` by so much.
    pub(super) fn sent(&mut self, late: Duration) {
        self.counts.sent += 1;
        self.counts.late += late;
        self.counts.latest = self.counts.latest.max(late);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    fn is_unlucky(&mut self) -> bool {
        // 53 bits are what a number with a fraction holds.
        let drawn = (next(&mut self.random) >> 11) as f64 / (1u64 << 53) as f64;
        drawn * 100.0 < self.options.loss_percent
    }
}

impl Counts {
    /// Both together.
    pub(super) fn and(self, other: Counts) -> Counts {
        Counts {
            sent: self.sent + other.sent,
            lost: self.lost + other.lost,
            dropped: self.dropped + other.dropped,
            late: self.late + other.late,
            latest: self.latest.max(other.latest),
        }
    }

    /// How late a datagram was, in the middle of all.
    pub(super) fn mean_lateness(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.late.as_nanos() / u128::from(self.sent.max(1))).unwrap_or(u64::MAX))
    }
}

/// How long `bytes` take.
fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How many bytes take so long.
fn bytes_in(time: Duration, rate: u64) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(rate) / 8 / 1_000_000_000).unwrap_or(u64::MAX)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): good enough for dice, and the same everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABIT: u64 = 1_000_000;
    /// With its headers it takes a millisecond at 10 Mbit/s.
    const DATAGRAM: usize = 1_250 - HEADERS;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn lane(rate: Option<u64>, loss_percent: f64, delay: u64) -> Lane {
        Lane::new(LinkOptions { rate, loss_percent, delay: at(delay), largest: 65_000, seed: 1 }, 0)
    }

    #[test]
    fn datagrams_follow_each_other_at_the_rate_and_come_out_after_the_delay() {
        let mut lane = lane(Some(10 * MEGABIT), 0.0, 25);
        assert_eq!([0, 0, 0].map(|now| lane.take(at(now), DATAGRAM)), [Some(at(26)), Some(at(27)), Some(at(28))]);
        assert_eq!(lane.take(at(2), DATAGRAM), Some(at(29)), "it waits for those before it");
        assert_eq!(lane.take(at(100), DATAGRAM), Some(at(126)), "the queue was empty");
    }

    #[test]
    fn without_a_rate_nothing_waits_and_nothing_is_dropped() {
        let mut lane = lane(None, 0.0, 25);
        assert!((0..100_000).all(|_| lane.take(at(3), DATAGRAM) == Some(at(28))));
    }

    #[test]
    fn the_queue_holds_what_is_under_way_in_a_round_trip_and_the_rest_is_dropped() {
        // 50 ms of 100 Mbit/s are 625,000 bytes: 500 datagrams.
        let mut lane = lane(Some(100 * MEGABIT), 0.0, 25);
        let taken = (0..700).filter(|_| lane.take(at(0), DATAGRAM).is_some()).count();
        assert_eq!((taken, lane.counts().dropped), (500, 200));
        assert!(lane.take(Duration::from_micros(99), DATAGRAM).is_none(), "the first one has not left yet");
        assert_eq!(lane.take(Duration::from_micros(100), DATAGRAM), Some(Duration::from_micros(500 * 100 + 25_100)));
    }

    #[test]
    fn the_queue_holds_a_burst_however_short_the_link_is() {
        let mut lane = lane(Some(MEGABIT), 0.0, 0);
        let taken = (0..100).filter(|_| lane.take(at(0), DATAGRAM).is_some()).count();
        assert_eq!(taken, MIN_QUEUE_BYTES as usize / 1_250);
    }

    #[test]
    fn what_is_lost_took_its_time_and_is_the_same_for_the_same_seed() {
        let run = |number| {
            let options =
                LinkOptions { rate: Some(10_000 * MEGABIT), loss_percent: 5.0, delay: at(25), largest: 2_000, seed: 9 };
            let mut lane = Lane::new(options, number);
            let outcome: Vec<_> = (0..100_000).map(|now| lane.take(Duration::from_micros(now), DATAGRAM)).collect();
            assert!(outcome.iter().flatten().zip(0..).all(|(due, _)| due.as_nanos() % 1_000 == 0));
            (lane.counts().lost, outcome)
        };
        let (lost, outcome) = run(0);
        assert!((4_700..5_300).contains(&lost), "{lost}");
        assert_eq!(run(0).1, outcome);
        assert_ne!(run(1).1, outcome);
        let mut slow = lane(Some(10 * MEGABIT), 100.0, 0);
        assert!((0..10).all(|_| slow.take(at(0), DATAGRAM).is_none()));
        assert_eq!((slow.counts().lost, slow.free_at), (10, at(10)));
    }

    #[test]
    fn what_is_larger_than_the_link_carries_takes_no_time_and_never_comes() {
        let mut lane = lane(Some(MEGABIT), 0.0, 0);
        assert_eq!(lane.take(at(0), 65_001), None);
        assert_eq!((lane.free_at, lane.counts().lost, lane.counts().dropped), (Duration::ZERO, 0, 0));
        assert!(lane.take(at(0), 65_000).is_some());
    }

    #[test]
    fn lateness_is_a_mean_and_a_maximum() {
        let mut lane = lane(None, 0.0, 0);
        [1, 2, 6].into_iter().for_each(|late| lane.sent(at(late)));
        let counts = lane.counts().and(Counts { sent: 1, late: at(7), latest: at(7), ..Counts::default() });
        assert_eq!((counts.sent, counts.mean_lateness(), counts.latest), (4, at(4), at(7)));
        assert_eq!(Counts::default().mean_lateness(), Duration::ZERO);
    }
}
