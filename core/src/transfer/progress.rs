//! How far a transfer is, how fast it goes, and how much is lost: said at most ten times a second, and at the end.

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
    samples: VecDeque<(Instant, Count)>,
    due: Option<Instant>,
}

/// What was counted since the transfer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Bytes of the file that have arrived.
    pub(super) bytes: u64,
    /// Packets that left, at whichever end this can be known better.
    pub(super) packets: u64,
    /// Those of them that were lost.
    pub(super) lost: u64,
}

/// What of a run of bytes that has moved is not of the contents, and what of the contents need not move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// The first so many bytes.
    pub(super) listing: u64,
    /// The other end has so many already.
    pub(super) left_out: u64,
}

impl Beside {
    /// How far the contents are, if so much of the run has moved.
    pub(super) fn contents(self, moved: u64) -> u64 {
        moved.saturating_sub(self.listing).saturating_add(self.left_out)
    }
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) bytes: u64,
    pub(super) rate_bps: u64,
    /// Of a million packets, if there were any.
    pub(super) loss_ppm: Option<u32>,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Meter::resumed(now, Count::default())
    }

    /// Of a transfer that has only now begun, or goes on, with so much.
    pub(super) fn resumed(now: Instant, count: Count) -> Self {
        Meter { samples: VecDeque::from([(now, count)]), due: None }
    }

    /// So much is there now; gives a report if one is due.
    pub(super) fn update(&mut self, now: Instant, count: Count) -> Option<Reading> {
        let (last_at, last) = self.samples.back().copied().unwrap_or_default();
        if count.bytes == last.bytes {
            self.due = None;
            return None;
        }
        if now < last_at + INTERVAL {
            self.due = Some(last_at + INTERVAL);
            return None;
        }
        Some(self.read(now, count))
    }

    /// All bytes are there: gives a last report, unless that was told already. That of a transfer of less than a
    /// second has the average of all of it.
    pub(super) fn finish(&mut self, now: Instant, count: Count) -> Option<Reading> {
        let last_bytes = self.samples.back().map_or(0, |(_, last)| last.bytes);
        (count.bytes != last_bytes).then(|| self.read(now, count))
    }

    /// When the next report is due, if there is news.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn read(&mut self, now: Instant, count: Count) -> Reading {
        self.due = None;
        self.samples.push_back((now, count));
        if self.samples.len() > SAMPLES + 1 {
            self.samples.pop_front();
        }
        let (since, before) = self.samples.front().copied().unwrap_or_default();
        let nanos = now.saturating_since(since).as_nanos().max(1);
        let bits = u128::from(count.bytes.saturating_sub(before.bytes)) * 8;
        let rate_bps = u64::try_from(bits * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
        Reading { bytes: count.bytes, rate_bps, loss_ppm: loss_ppm(before, count) }
    }
}

/// Some that were taken for lost may turn out to be only late, so that the count of those may shrink.
fn loss_ppm(before: Count, now: Count) -> Option<u32> {
    let packets = now.packets.saturating_sub(before.packets);
    let lost = u128::from(now.lost.saturating_sub(before.lost).min(packets));
    (lost * 1_000_000).checked_div(u128::from(packets)).and_then(|ppm| u32::try_from(ppm).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn bytes(bytes: u64) -> Count {
        Count { bytes, ..Count::default() }
    }

    #[test]
    fn the_loss_is_that_of_the_last_second_and_what_was_only_late_is_not_lost() {
        let mut meter = Meter::new(at(0));
        let mut loss = |n: u64, lost| {
            let count = Count { bytes: n, packets: n * 100, lost };
            meter.update(at(n * 100), count).unwrap().loss_ppm
        };
        assert_eq!((loss(1, 0), loss(2, 50)), (Some(0), Some(250_000)));
        assert_eq!((3..=12).map(|n| loss(n, 50)).last(), Some(Some(0)));
        assert_eq!(loss(13, 40), Some(0));
        assert_eq!(Meter::new(at(0)).update(at(100), bytes(1)).unwrap().loss_ppm, None);
    }

    #[test]
    fn news_are_told_ten_times_a_second_at_most_and_none_is_forgotten() {
        let mut meter = Meter::new(at(0));
        assert_eq!(meter.update(at(50), bytes(0)), None);
        assert_eq!(meter.deadline(), None, "no news");
        assert_eq!(meter.update(at(60), bytes(1_000)), None);
        assert_eq!(meter.deadline(), Some(at(100)));
        assert_eq!(
            meter.update(at(100), bytes(1_000)),
            Some(Reading { bytes: 1_000, rate_bps: 80_000, loss_ppm: None })
        );
        assert_eq!(meter.deadline(), None);
    }

    #[test]
    fn the_last_report_of_a_short_transfer_has_its_average_and_is_told_once() {
        let mut meter = Meter::new(at(0));
        assert_eq!(meter.update(at(20), bytes(1_000)), None);
        assert_eq!(
            meter.finish(at(40), bytes(4_000)),
            Some(Reading { bytes: 4_000, rate_bps: 800_000, loss_ppm: None })
        );
        assert_eq!((meter.finish(at(50), bytes(4_000)), meter.deadline()), (None, None));
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut meter = Meter::new(at(0));
        let readings: Vec<_> =
            (1..=40).filter_map(|n| meter.update(at(n * 100), bytes(n.min(20) * 1_000 + n / 20))).collect();
        assert_eq!(readings[9].rate_bps, 80_000);
        let last = readings.last().unwrap();
        assert_eq!((last.bytes, readings.len()), (20_002, 21));
        assert!(meter.update(at(10_000), bytes(20_003)).unwrap().rate_bps < 30_000);
    }
}
