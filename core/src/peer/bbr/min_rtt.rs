//! The shortest round trip of a path: what it is without a queue.
//!
//! Not the shortest sample counts but the lower quartile of some: where packets overtake others, a few have hardly any
//! delay, and what they tell is true of no other packet.

use core::time::Duration;

use crate::time::Instant;

/// What was seen longer ago does not count (the draft, section 2.13: MinRTTFilterLen).
const WINDOW: Duration = Duration::from_secs(10);

/// If the shortest was not seen for so long, it is looked for (ProbeRTTInterval).
const INTERVAL: Duration = Duration::from_secs(5);

/// A round trip that is longer by this part shows as well that there is hardly a queue.
const CLOSE: u32 = 16;

/// So many samples, over at least one round, have a quartile that is worth something.
const ENOUGH: usize = 16;

/// Samples that are kept; of more every second one is.
const MAX_SAMPLES: usize = 32;

/// The latest samples, which tell whether there is a queue now.
const LATEST: usize = 8;

/// What round trips were of late.
#[derive(Debug)]
pub(super) struct RoundTrips {
    latest: [Duration; LATEST],
    /// Where in it the next one goes, after it was filled with the first.
    next: Option<usize>,
    samples: [Duration; MAX_SAMPLES],
    count: usize,
    /// One of so many is kept, and how many were not since the last.
    stride: u32,
    skipped: u32,
}

impl Default for RoundTrips {
    fn default() -> Self {
        let (latest, samples) = ([Duration::ZERO; LATEST], [Duration::ZERO; MAX_SAMPLES]);
        RoundTrips { latest, next: None, samples, count: 0, stride: 1, skipped: 0 }
    }
}

impl RoundTrips {
    /// One more.
    pub(super) fn add(&mut self, rtt: Duration) {
        let rtt = rtt.max(Duration::from_micros(1));
        match self.next {
            None => self.latest = [rtt; LATEST],
            Some(next) => self.latest[next] = rtt,
        }
        self.next = Some(self.next.map_or(0, |next| (next + 1) % LATEST));
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.count == MAX_SAMPLES {
            (0..MAX_SAMPLES / 2).for_each(|n| self.samples[n] = self.samples[n * 2 + 1]);
            self.count = MAX_SAMPLES / 2;
            self.stride = self.stride.saturating_mul(2);
        }
        self.samples[self.count] = rtt;
        self.count += 1;
    }

    /// A round is over: gives the lower quartile if there are enough for one, and begins anew.
    pub(super) fn end_round(&mut self) -> Option<Duration> {
        if self.count < ENOUGH {
            return None;
        }
        let rank = self.count / 4;
        let quartile = *self.samples[..self.count].select_nth_unstable(rank).1;
        (self.count, self.stride, self.skipped) = (0, 1, 0);
        Some(quartile)
    }

    /// All of the latest were as long, but one that may have overtaken others.
    pub(super) fn latest(&self) -> Option<Duration> {
        let mut latest = self.latest;
        self.next.map(|_| *latest.select_nth_unstable(1).1)
    }
}

#[derive(Debug, Default)]
pub(super) struct MinRtt {
    shortest: Option<Duration>,
    /// It is of a single packet.
    is_provisional: bool,
    /// When it, or one that is close, was seen.
    seen_at: Instant,
    /// When it was so short.
    found_at: Instant,
}

impl MinRtt {
    pub(super) fn get(&self) -> Option<Duration> {
        self.shortest
    }

    /// The first packet took so long; until more is known.
    pub(super) fn begin(&mut self, now: Instant, rtt: Duration) {
        if self.shortest.is_none() {
            (self.shortest, self.is_provisional) = (Some(rtt.max(Duration::from_micros(1))), true);
            (self.seen_at, self.found_at) = (now, now);
        }
    }

    /// Lately round trips took so long.
    pub(super) fn update(&mut self, now: Instant, rtt: Duration) {
        match self.shortest {
            _ if self.is_provisional => {}
            Some(shortest) if rtt > shortest && now < self.found_at + WINDOW => {
                if rtt <= shortest + shortest / CLOSE {
                    self.seen_at = now;
                }
                return;
            }
            // An old one is forgotten while it is looked for, or when another is close.
            Some(shortest) if rtt > shortest + shortest / CLOSE && now < self.seen_at + WINDOW => return,
            _ => {}
        }
        (self.shortest, self.is_provisional) = (Some(rtt), false);
        (self.seen_at, self.found_at) = (now, now);
    }

    /// Whether it is time to look for it.
    pub(super) fn is_stale(&self, now: Instant, in_company: bool) -> bool {
        now > self.seen_at + INTERVAL * if in_company { 2 } else { 1 }
    }

    /// It was looked for.
    pub(super) fn probed(&mut self, now: Instant) {
        self.seen_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_few_that_overtake_others_are_not_believed() {
        let mut round_trips = RoundTrips::default();
        for n in 0..100 {
            round_trips.add(if n % 10 == 0 { 25 * MS } else { 50 * MS });
        }
        assert_eq!(round_trips.latest(), Some(50 * MS));
        assert_eq!(round_trips.end_round(), Some(50 * MS));
        assert_eq!(round_trips.end_round(), None, "nothing new");
        (0..ENOUGH - 1).for_each(|_| round_trips.add(70 * MS));
        assert_eq!((round_trips.end_round(), round_trips.latest()), (None, Some(70 * MS)));
        round_trips.add(60 * MS);
        assert_eq!((round_trips.end_round(), round_trips.latest()), (Some(70 * MS), Some(70 * MS)));
    }

    #[test]
    fn the_shortest_of_ten_seconds_counts_and_is_looked_for_after_five() {
        let mut min_rtt = MinRtt::default();
        min_rtt.begin(at(0), 10 * MS);
        min_rtt.begin(at(1), 5 * MS);
        assert_eq!(min_rtt.get(), Some(10 * MS), "the first");
        min_rtt.update(at(100), 50 * MS);
        assert_eq!(min_rtt.get(), Some(50 * MS), "one packet is no measure");
        min_rtt.update(at(1_000), 80 * MS);
        assert!(!min_rtt.is_stale(at(5_100), false) && min_rtt.is_stale(at(5_101), false));
        // Close enough: nothing waits in a queue, so that it need not be looked for.
        min_rtt.update(at(5_000), 53 * MS);
        assert_eq!((min_rtt.get(), min_rtt.is_stale(at(10_000), false)), (Some(50 * MS), false));
        min_rtt.update(at(10_100), 53 * MS);
        assert_eq!(min_rtt.get(), Some(53 * MS), "the path has become longer");
        min_rtt.update(at(10_200), 40 * MS);
        assert_eq!(min_rtt.get(), Some(40 * MS));
    }
}
