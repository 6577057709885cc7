//! When to leave slow start before the first loss: HyStart++ (RFC 9406).

use core::time::Duration;

use crate::time::Instant;

const MIN_RTT_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_RTT_THRESHOLD: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const RTT_SAMPLES: u32 = 8;
const CONSERVATIVE_GROWTH_DIVISOR: u64 = 4;
const CONSERVATIVE_ROUNDS: u32 = 5;

/// Watches the round-trip times of slow start, round by round: a queue that builds up shows in them.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    /// A round ends with the acknowledgement of a packet that was sent after it began.
    round_began: Instant,
    samples: u32,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    conservative: Option<Conservative>,
}

/// Conservative slow start: the queue seems to build up, but that may have been a false alarm.
#[derive(Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
}

/// What to do with bytes that were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Let the window grow by so many bytes.
    Bytes(u64),
    /// Slow start is over.
    Over,
}

impl SlowStart {
    /// `bytes` were acknowledged at `now`, the newest of them sent at `sent_at`.
    pub(super) fn on_acked(&mut self, now: Instant, sent_at: Instant, rtt: Duration, bytes: u64) -> Growth {
        if sent_at >= self.round_began {
            self.begin_round(now);
            if let Some(conservative) = &mut self.conservative {
                conservative.rounds += 1;
                if conservative.rounds > CONSERVATIVE_ROUNDS {
                    return Growth::Over;
                }
            }
        }
        self.samples += 1;
        let current = self.current_min.map_or(rtt, |min| min.min(rtt));
        self.current_min = Some(current);
        if self.samples >= RTT_SAMPLES {
            self.judge(current);
        }
        match self.conservative {
            Some(_) => Growth::Bytes(bytes / CONSERVATIVE_GROWTH_DIVISOR),
            None => Growth::Bytes(bytes),
        }
    }

    fn begin_round(&mut self, now: Instant) {
        self.round_began = now;
        self.last_min = self.current_min.or(self.last_min);
        (self.current_min, self.samples) = (None, 0);
    }

    fn judge(&mut self, current: Duration) {
        match (&self.conservative, self.last_min) {
            (Some(conservative), _) if current < conservative.baseline => self.conservative = None,
            (None, Some(last)) => {
                let threshold = (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD);
                if current >= last + threshold {
                    self.conservative = Some(Conservative { baseline: current, rounds: 0 });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Feeds rounds of ten samples with these round-trip times; the growth after each round.
    fn rounds(rtts: &[u64]) -> Vec<Growth> {
        let (mut slow_start, mut now, mut growths) = (SlowStart::default(), Instant::ZERO, Vec::new());
        for rtt in rtts {
            let sent_at = now;
            now = now + ms(*rtt);
            let growth = (0..10).map(|_| slow_start.on_acked(now, sent_at, ms(*rtt), 400)).last();
            growths.extend(growth);
        }
        growths
    }

    #[test]
    fn a_steady_path_keeps_growing() {
        assert_eq!(rounds(&[50, 51, 50, 53, 50]), [Growth::Bytes(400); 5]);
    }

    #[test]
    fn a_queue_that_builds_up_slows_growth_and_then_ends_it() {
        let growths = rounds(&[50, 50, 60, 62, 64, 66, 68, 70, 72]);
        assert_eq!(growths[1..3], [Growth::Bytes(400), Growth::Bytes(100)]);
        assert_eq!(growths[6], Growth::Bytes(100));
        // The round after the fifth conservative one ends it, with its first acknowledgement.
        let mut slow_start =
            SlowStart { conservative: Some(Conservative { baseline: ms(60), rounds: 5 }), ..Default::default() };
        assert_eq!(slow_start.on_acked(Instant::from_nanos(1), Instant::ZERO, ms(60), 400), Growth::Over);
    }

    #[test]
    fn a_false_alarm_is_forgotten() {
        assert_eq!(rounds(&[50, 50, 60, 50, 50])[2..], [Growth::Bytes(100), Growth::Bytes(400), Growth::Bytes(400)]);
    }
}
