//! The monotonic clock of one driver. The wall clock is `toom_store::wall`.

use std::time::Duration;

use toom_core::time::Instant;

/// Counts from when it was started; the clock of every machine of one driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    /// Now.
    pub(crate) fn now(self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    /// The same clock, `by` later.
    #[cfg(test)]
    pub(crate) fn later(self, by: Duration) -> Clock {
        Clock(self.0 - by)
    }

    /// How long to wait for `deadline`; zero if it has passed, `None` if there is none.
    pub(crate) fn until(self, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|deadline| deadline.saturating_since(self.now()))
    }
}
