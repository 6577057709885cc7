//! When the end that seals goes on to its next key.

use core::time::Duration;

use super::MAX_BURST_PACKETS;
use crate::time::Instant;
use crate::wire::packet::PacketNumber;

/// Packets under one key: with AES-GCM so many full ones keep the chance of an attacker to tell them from noise
/// under 2^-57 (RFC 9001, section 6.6 and appendix B.1.1). At full speed that is ten seconds.
const MAX_PACKETS: u64 = 1 << 23;

/// How long one key is used: so that little can be opened by whoever learns it. While the other end is not heard the
/// last key stays, however long that takes, so that it is never two keys behind.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Which key seals. The other end follows with the first packet that it opens.
#[derive(Debug)]
pub(super) struct SendingEpoch {
    number: u32,
    /// The first packet that it seals.
    first: PacketNumber,
    since: Instant,
}

impl SendingEpoch {
    /// The first one.
    pub(super) fn new(now: Instant) -> SendingEpoch {
        SendingEpoch { number: 0, first: PacketNumber(0), since: now }
    }

    /// That of a burst that begins with packet `next`. `acknowledged` is the largest number that the other end has
    /// acknowledged: it must have this key before there is another (RFC 9001, section 6.1).
    ///
    /// It always has, long before [`MAX_PACKETS`]: no more than `sent::MAX_SENT` may be outstanding.
    pub(super) fn of_burst(&mut self, now: Instant, next: PacketNumber, acknowledged: Option<PacketNumber>) -> u32 {
        let full = next.0 - self.first.0 + MAX_BURST_PACKETS as u64 > MAX_PACKETS;
        let old = now >= self.since + MAX_TIME;
        if (full || old) && acknowledged >= Some(self.first) {
            *self = SendingEpoch { number: self.number + 1, first: next, since: now };
        }
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_number_of_packets_and_its_time() {
        let mut epoch = SendingEpoch::new(Instant::ZERO);
        let mut of = |seconds, next, acknowledged: Option<u64>| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            epoch.of_burst(now, PacketNumber(next), acknowledged.map(PacketNumber))
        };
        let last = MAX_PACKETS - MAX_BURST_PACKETS as u64;
        assert_eq!(of(0, 0, None), 0);
        assert_eq!(of(9, last, Some(last - 9)), 0);
        assert_eq!(of(9, last + 1, Some(last - 9)), 1, "the whole burst must fit");
        assert_eq!(of(9, 3 * last, Some(last)), 1, "the other end does not have it yet");
        assert_eq!(of(9, 3 * last, Some(last + 1)), 2);
        assert_eq!(of(68, 3 * last + 9, Some(3 * last)), 2);
        assert_eq!(of(69, 3 * last + 9, Some(3 * last)), 3);
        assert_eq!(of(128, 3 * last + 19, Some(3 * last + 9)), 3);
        assert_eq!(of(129, 3 * last + 19, Some(3 * last + 9)), 4);
    }

    #[test]
    fn a_key_that_nobody_has_is_kept() {
        let mut epoch = SendingEpoch::new(Instant::ZERO);
        assert_eq!(epoch.of_burst(Instant::ZERO + 9 * MAX_TIME, PacketNumber(70), None), 0);
    }
}
