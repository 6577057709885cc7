//! The round-trip time, and the timeouts that follow from it (RFC 9002, sections 5 and 6).

use core::time::Duration;

/// The most that a receiver waits before it acknowledges, and so the most that is believed of a delay.
pub(super) const MAX_ACK_DELAY: Duration = Duration::from_millis(5);

/// What a driver's timer can be expected to tell apart (RFC 9002, section 6.1.2: kGranularity).
const GRANULARITY: Duration = Duration::from_millis(1);

/// Assumed before the first sample. RFC 9002 says 333 ms; the only packets sent meanwhile are challenges, a
/// few for each connection, and a file on a local network should not wait a second for a lost one.
const INITIAL: Duration = Duration::from_millis(100);

/// An estimate of the round-trip time.
#[derive(Clone, Debug)]
pub(super) struct Rtt {
    smoothed: Duration,
    variation: Duration,
    latest: Duration,
    min: Duration,
    sampled: bool,
}

impl Rtt {
    pub(super) fn new() -> Self {
        Rtt { smoothed: INITIAL, variation: INITIAL / 2, latest: INITIAL, min: INITIAL, sampled: false }
    }

    /// A packet was acknowledged `latest` after it was sent; the other end says that `ack_delay` of it was
    /// its own (RFC 9002, section 5.3).
    pub(super) fn sample(&mut self, latest: Duration, ack_delay: Duration) {
        self.latest = latest;
        if !self.sampled {
            self.sampled = true;
            (self.min, self.smoothed, self.variation) = (latest, latest, latest / 2);
            return;
        }
        self.min = self.min.min(latest);
        let ack_delay = ack_delay.min(MAX_ACK_DELAY);
        let adjusted = if latest >= self.min + ack_delay { latest - ack_delay } else { latest };
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// The same, if anything was measured.
    pub(super) fn measured(&self) -> Option<Duration> {
        self.sampled.then_some(self.smoothed)
    }

    /// How much later a packet must have been sent and acknowledged for an earlier one to be lost
    /// (RFC 9002, section 6.1.2).
    pub(super) fn loss_delay(&self) -> Duration {
        (self.smoothed.max(self.latest) * 9 / 8).max(GRANULARITY)
    }

    /// How long to wait for an acknowledgement before probing (RFC 9002, section 6.2.1), without backoff.
    pub(super) fn probe_timeout(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY) + MAX_ACK_DELAY
    }

    /// If nothing arrives for so long, everything that was known of the path is out of date
    /// (RFC 9002, section 7.6.1).
    pub(super) fn persistent_congestion(&self) -> Duration {
        self.probe_timeout() * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_sample_replaces_the_assumption_and_later_ones_are_smoothed() {
        let mut rtt = Rtt::new();
        rtt.sample(ms(40), ms(5));
        assert_eq!((rtt.smoothed(), rtt.probe_timeout()), (ms(40), ms(40 + 80 + 5)));
        rtt.sample(ms(80), ms(0));
        assert_eq!((rtt.smoothed(), rtt.variation), (ms(45), ms(25)));
        assert_eq!(rtt.loss_delay(), ms(90));
    }

    #[test]
    fn a_claimed_delay_is_bounded_and_never_makes_the_sample_smaller_than_the_smallest() {
        let mut rtt = Rtt::new();
        rtt.sample(ms(40), ms(0));
        rtt.sample(ms(42), ms(5_000));
        assert_eq!(rtt.smoothed(), (ms(40) * 7 + ms(42)) / 8);
        let mut rtt = Rtt::new();
        rtt.sample(ms(40), ms(0));
        rtt.sample(ms(60), ms(5_000));
        assert_eq!(rtt.smoothed(), (ms(40) * 7 + ms(55)) / 8);
    }

    #[test]
    fn timeouts_never_fall_under_what_a_timer_can_do() {
        let mut rtt = Rtt::new();
        (0..100).for_each(|_| rtt.sample(Duration::from_micros(50), Duration::ZERO));
        assert_eq!(rtt.loss_delay(), GRANULARITY);
        assert!(rtt.probe_timeout() >= GRANULARITY + MAX_ACK_DELAY);
    }
}
