//! No faster than somebody wants: the rate that a person sets, whatever the path would carry.
//!
//! Each datagram moves the moment at which the next one is due by the time it takes at that rate (the generic cell rate
//! algorithm, ITU-T I.371). What is due may leave a little before, so that bursts stay worth a system call.

use core::time::Duration;

use crate::time::Instant;

/// So much before it is due a packet may leave.
const TOLERANCE: Duration = Duration::from_millis(2);

/// At most so many bytes a second, headers of packets included. Over any time, what leaves is no more than that, what
/// [`TOLERANCE`] holds, and one packet.
#[derive(Debug)]
pub(super) struct Limit {
    rate: u64,
    due: Instant,
}

impl Limit {
    /// Of so many bytes a second; at least one.
    pub(super) fn new(now: Instant, rate: u64) -> Limit {
        Limit { rate: rate.max(1), due: now }
    }

    /// Whether a packet may leave.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.due <= now + TOLERANCE
    }

    /// When a worthwhile burst may.
    pub(super) fn opens_at(&self) -> Instant {
        self.due
    }

    /// `bytes` have left, whether they were allowed to or not.
    pub(super) fn spend(&mut self, now: Instant, bytes: u64) {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.rate));
        self.due = self.due.max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_leaves_than_the_rate_and_one_packet_more_than_what_is_tolerated() {
        for (rate, packet) in [(125_000, 65_000), (1_000_000, 1_200), (125_000_000, 1_452), (1, 1)] {
            let began = Instant::from_nanos(7);
            let (mut limit, mut now, mut sent) = (Limit::new(began, rate), began, 0_u64);
            for _ in 0..1_000 {
                while limit.allows(now) {
                    limit.spend(now, packet);
                    sent += packet;
                }
                let nanos = (now - began + TOLERANCE).as_nanos();
                let most = u128::from(rate) * nanos / 1_000_000_000 + u128::from(packet);
                assert!(u128::from(sent) <= most, "{rate}: {sent} of {most}");
                assert!(limit.opens_at() > now);
                now = limit.opens_at();
            }
            // And hardly less.
            let most = u128::from(rate) * (now - began).as_nanos() / 1_000_000_000;
            assert!(u128::from(sent) >= most, "{rate}: {sent} of {most}");
        }
    }

    #[test]
    fn what_did_not_leave_is_not_saved_up() {
        let mut limit = Limit::new(Instant::ZERO, 1_000);
        let later = Instant::from_nanos(60_000_000_000);
        limit.spend(later, 1_000);
        assert!(!limit.allows(later) && limit.opens_at() == later + Duration::from_secs(1));
    }
}
