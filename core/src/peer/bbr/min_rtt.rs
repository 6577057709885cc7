//! The shortest round trip of a path: what it is without a queue.

use core::time::Duration;

use crate::time::Instant;

/// What was seen longer ago does not count (the draft, section 2.13: MinRTTFilterLen).
const WINDOW: Duration = Duration::from_secs(10);

/// If the shortest was not seen for so long, it is looked for (ProbeRTTInterval).
const INTERVAL: Duration = Duration::from_secs(5);

/// A round trip that is longer by this part shows as well that there is hardly a queue.
const CLOSE: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct MinRtt {
    shortest: Option<Duration>,
    /// When it, or one that is close, was seen.
    seen_at: Instant,
    /// When it was so short.
    found_at: Instant,
}

impl MinRtt {
    pub(super) fn get(&self) -> Option<Duration> {
        self.shortest
    }

    /// A packet was acknowledged; whether it is time to look for the shortest.
    pub(super) fn update(&mut self, now: Instant, rtt: Duration) -> bool {
        let rtt = rtt.max(Duration::from_micros(1));
        match self.shortest {
            Some(shortest) if rtt > shortest && now < self.found_at + WINDOW => {
                if rtt <= shortest + shortest / CLOSE {
                    self.seen_at = now;
                }
            }
            // An old one is forgotten while it is looked for, or when another is close.
            Some(shortest) if rtt > shortest + shortest / CLOSE && now < self.seen_at + WINDOW => {}
            _ => {
                self.shortest = Some(rtt);
                (self.seen_at, self.found_at) = (now, now);
            }
        }
        now > self.seen_at + INTERVAL
    }

    /// It was looked for.
    pub(super) fn probed(&mut self, now: Instant) {
        self.seen_at = now;
    }
}
