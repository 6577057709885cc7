//! Time as the machines know it: [`Instant`] for intervals, [`Timestamp`] for dates. Neither reads a clock.

use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of the driver's monotonic clock, in nanoseconds since the driver's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The driver's start.
    pub const ZERO: Instant = Instant(0);

    /// The moment `nanos` nanoseconds after the driver's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the driver's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the end of time (584 years).
    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, rhs: Instant) -> Duration {
        self.saturating_since(rhs)
    }
}

/// A date: milliseconds since 1970-01-01T00:00:00Z, as RFC 3339 with milliseconds has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The date `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The first moment whose whole second is strictly later than this one's.
    ///
    /// `RDM` asks for messages "since" a time that is written in whole seconds.
    pub const fn next_second(self) -> Timestamp {
        Timestamp(self.0.div_euclid(1000).saturating_add(1).saturating_mul(1000))
    }

    /// `self` moved by a duration into the future, saturating.
    pub fn saturating_add(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_second_is_strictly_later_and_whole() {
        for (at, next) in [(0, 1000), (999, 1000), (1000, 2000), (-1, 0), (-1000, 0), (-1001, -1000)] {
            assert_eq!(Timestamp::from_millis(at).next_second(), Timestamp::from_millis(next));
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let late = Instant::from_nanos(u64::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(Instant::ZERO - late, Duration::ZERO);
        assert_eq!(Timestamp::from_millis(5).saturating_since(Timestamp::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn milliseconds_are_read_back() {
        for millis in [i64::MIN, -1, 0, 1, 1_654_063_500_123] {
            assert_eq!(Timestamp::from_millis(millis).as_millis(), millis);
        }
    }
}
