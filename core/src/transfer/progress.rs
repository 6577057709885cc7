//! How far a transfer is, and how fast it goes: said at most ten times a second, and at the end.

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Instant;

/// Between two reports.
const INTERVAL: Duration = Duration::from_millis(100);

/// The rate is the average since this many reports ago: about the last second.
const SAMPLES: usize = 10;

#[derive(Debug)]
pub(super) struct Meter {
    /// The last reports; never empty.
    samples: VecDeque<(Instant, u64)>,
    due: Option<Instant>,
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) bytes: u64,
    pub(super) rate_bps: u64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Meter { samples: VecDeque::from([(now, 0)]), due: None }
    }

    /// Of a transfer that has only now begun with so many bytes.
    pub(super) fn resumed(now: Instant, bytes: u64) -> Self {
        Meter { samples: VecDeque::from([(now, bytes)]), due: None }
    }

    /// So many bytes are there now; gives a report if one is due.
    pub(super) fn update(&mut self, now: Instant, bytes: u64) -> Option<Reading> {
        let (last_at, last_bytes) = self.samples.back().copied().unwrap_or_default();
        if bytes == last_bytes {
            self.due = None;
            return None;
        }
        if now < last_at + INTERVAL {
            self.due = Some(last_at + INTERVAL);
            return None;
        }
        Some(self.read(now, bytes))
    }

    /// All bytes are there: gives a last report, unless that was told already. That of a transfer of less than a
    /// second has the average of all of it.
    pub(super) fn finish(&mut self, now: Instant, bytes: u64) -> Option<Reading> {
        let last_bytes = self.samples.back().map_or(0, |(_, bytes)| *bytes);
        (bytes != last_bytes).then(|| self.read(now, bytes))
    }

    /// When the next report is due, if there is news.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn read(&mut self, now: Instant, bytes: u64) -> Reading {
        self.due = None;
        self.samples.push_back((now, bytes));
        if self.samples.len() > SAMPLES + 1 {
            self.samples.pop_front();
        }
        let (since, before) = self.samples.front().copied().unwrap_or_default();
        let nanos = now.saturating_since(since).as_nanos().max(1);
        let bits = u128::from(bytes.saturating_sub(before)) * 8;
        Reading { bytes, rate_bps: u64::try_from(bits * 1_000_000_000 / nanos).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn news_are_told_ten_times_a_second_at_most_and_none_is_forgotten() {
        let mut meter = Meter::new(at(0));
        assert_eq!(meter.update(at(50), 0), None);
        assert_eq!(meter.deadline(), None, "no news");
        assert_eq!(meter.update(at(60), 1_000), None);
        assert_eq!(meter.deadline(), Some(at(100)));
        assert_eq!(meter.update(at(100), 1_000), Some(Reading { bytes: 1_000, rate_bps: 80_000 }));
        assert_eq!(meter.deadline(), None);
    }

    #[test]
    fn the_last_report_of_a_short_transfer_has_its_average_and_is_told_once() {
        let mut meter = Meter::new(at(0));
        assert_eq!(meter.update(at(20), 1_000), None);
        assert_eq!(meter.finish(at(40), 4_000), Some(Reading { bytes: 4_000, rate_bps: 800_000 }));
        assert_eq!((meter.finish(at(50), 4_000), meter.deadline()), (None, None));
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut meter = Meter::new(at(0));
        let readings: Vec<_> = (1..=40).filter_map(|n| meter.update(at(n * 100), n.min(20) * 1_000 + n / 20)).collect();
        assert_eq!(readings[9].rate_bps, 80_000);
        let last = readings.last().unwrap();
        assert_eq!((last.bytes, readings.len()), (20_002, 21));
        assert!(meter.update(at(10_000), 20_003).unwrap().rate_bps < 30_000);
    }
}
