//! The monotonic clock of one driver, and an alarm that follows a machine's deadline.

use std::time::Duration;

use futures_lite::future;
use smol::Timer;
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

    fn system_time(self, at: Instant) -> std::time::Instant {
        self.0 + Duration::from_nanos(at.as_nanos())
    }
}

/// A timer that is set anew only where it must ring earlier than it would.
///
/// A machine's deadline moves with almost every input, mostly to later; each setting of a timer costs a
/// wake-up of the reactor, so a timer that rings too early and is then set again is cheaper.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: Clock,
    timer: Timer,
    set_for: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new(clock: Clock) -> Alarm {
        Alarm { clock, timer: Timer::never(), set_for: None }
    }

    /// Ends when `deadline` has passed; never if there is none. May be dropped at any time.
    pub(crate) async fn passed(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return future::pending().await };
        while self.clock.now() < deadline {
            if self.set_for.is_none_or(|set_for| set_for > deadline) {
                self.timer.set_at(self.clock.system_time(deadline));
                self.set_for = Some(deadline);
            }
            (&mut self.timer).await;
            self.set_for = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_follows_a_deadline_in_both_directions() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        future::block_on(async {
            let far = clock.now() + Duration::from_secs(3_600);
            assert_eq!(future::poll_once(alarm.passed(Some(far))).await, None);
            // Earlier than it was set for, then later again, then at once.
            for wait in [1, 5, 0] {
                let deadline = clock.now() + Duration::from_millis(wait);
                alarm.passed(Some(deadline)).await;
                assert!(clock.now() >= deadline);
            }
            assert_eq!(future::poll_once(alarm.passed(None)).await, None);
        });
    }
}
