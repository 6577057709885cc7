//! How far packets overtake each other on a path, and so how long to wait before one is taken for lost.
//!
//! # Theory of operation
//!
//! A packet is lost when enough later ones have arrived, or when it is late. How many and how late are three packets and
//! an eighth of a round trip (RFC 9002, section 6.1), until a packet arrives that was taken for lost: then the path
//! reorders, and from that packet it is known by how much. Both bounds then grow to what was seen, up to a round trip
//! more (RFC 8985, section 6.2, step 4), and go back when nothing of the kind was seen for long.
//!
//! To notice, packets that were taken for lost are remembered for a while.

use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;

use super::sent::Sent;
use crate::machine::Usage;
use crate::time::Instant;

/// How many later packets must have arrived for one to be lost, if nothing else is known (RFC 9002, section 6.1.1:
/// kPacketThreshold).
pub(super) const PACKET_THRESHOLD: u64 = 3;

/// The most that it grows to: some 100 ms at 1 Gbit/s; beyond it, time decides.
const MAX_PACKET_THRESHOLD: u64 = 8_192;

/// Packets that are remembered after they were taken for lost; of more the oldest are forgotten.
const MAX_REMEMBERED: usize = 4_096;

/// So many round trips after a packet was taken for lost it is not waited for any more.
const REMEMBERED_ROUND_TRIPS: u32 = 3;

/// So long after the last packet that overtook another the bounds go back (RFC 8985, section 6.2, step 4: 16 recoveries).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Reordering {
    /// How many later packets must have arrived for one to be lost.
    threshold: u64,
    /// How much later than otherwise a packet is lost.
    delay: Duration,
    /// When a packet arrived last that was taken for lost.
    seen_at: Instant,
    /// By number.
    remembered: BTreeMap<u64, Sent>,
}

impl Default for Reordering {
    fn default() -> Self {
        Reordering {
            threshold: PACKET_THRESHOLD,
            delay: Duration::ZERO,
            seen_at: Instant::ZERO,
            remembered: BTreeMap::new(),
        }
    }
}

impl Reordering {
    /// How many later packets must have arrived for one to be lost.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How much later than otherwise a packet is lost.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn usage(&self) -> Usage {
        Usage::new("packets that were taken for lost", self.remembered.len(), MAX_REMEMBERED)
    }

    /// A packet is taken for lost.
    pub(super) fn on_lost(&mut self, number: u64, sent: Sent) {
        self.remembered.insert(number, sent);
        if self.remembered.len() > MAX_REMEMBERED {
            self.remembered.pop_first();
        }
    }

    /// Takes a packet of `range` that was taken for lost and has arrived after all.
    pub(super) fn take_arrived(&mut self, range: Range<u64>) -> Option<(u64, Sent)> {
        let number = *self.remembered.range(range).next()?.0;
        self.remembered.remove(&number).map(|sent| (number, sent))
    }

    /// A packet arrived after it was taken for lost, which would not have happened if that took `late` longer and
    /// so many packets between it and the newest. `round_trip` bounds what is believed.
    pub(super) fn on_arrived_late(&mut self, now: Instant, packets: u64, late: Duration, round_trip: Duration) {
        self.seen_at = now;
        self.threshold = self.threshold.max(packets.saturating_add(1).min(MAX_PACKET_THRESHOLD));
        // A little more than what was seen: the next one may be later.
        self.delay = self.delay.max((late + late / 4).min(round_trip));
    }

    /// Forgets what is too old to matter.
    pub(super) fn forget(&mut self, now: Instant, round_trip: Duration) {
        while let Some(oldest) = self.remembered.first_entry()
            && oldest.get().at + round_trip * REMEMBERED_ROUND_TRIPS + self.delay < now
        {
            oldest.remove();
        }
        if now > self.seen_at + FORGOTTEN_AFTER {
            (self.threshold, self.delay) = (PACKET_THRESHOLD, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::delivery::Stamp;
    use crate::peer::sent::Content;

    const RTT: Duration = Duration::from_millis(50);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn sent(at: Instant) -> Sent {
        let (content, stamp) = (Content::Control(Vec::new()), Stamp::default());
        Sent { at, bytes: 1_200, eliciting: true, acknowledged: None, content, stamp }
    }

    #[test]
    fn what_was_taken_for_lost_is_known_when_it_arrives_once() {
        let mut reordering = Reordering::default();
        (5..8).for_each(|number| reordering.on_lost(number, sent(at(number))));
        assert!(reordering.take_arrived(0..5).is_none());
        assert_eq!(reordering.take_arrived(6..9).map(|(number, _)| number), Some(6));
        assert_eq!(reordering.take_arrived(6..9).map(|(number, _)| number), Some(7));
        assert!(reordering.take_arrived(6..9).is_none());
        // It left at 5, and three round trips are over.
        reordering.forget(at(155), RTT);
        assert_eq!(reordering.usage().used, 1);
        reordering.forget(at(156), RTT);
        assert_eq!(reordering.usage().used, 0);
    }

    #[test]
    fn it_is_as_patient_as_what_arrived_late_asks_for_up_to_a_round_trip_and_for_a_while() {
        let mut reordering = Reordering::default();
        let bounds = |it: &Reordering| (it.threshold(), it.delay());
        assert_eq!(bounds(&reordering), (PACKET_THRESHOLD, Duration::ZERO));
        reordering.on_arrived_late(at(100), 20, Duration::from_millis(8), RTT);
        reordering.on_arrived_late(at(200), 4, Duration::from_millis(1), RTT);
        assert_eq!(bounds(&reordering), (21, Duration::from_millis(10)));
        reordering.on_arrived_late(at(300), u64::MAX, Duration::from_secs(9), RTT);
        assert_eq!(bounds(&reordering), (MAX_PACKET_THRESHOLD, RTT));
        reordering.forget(at(10_300), RTT);
        assert_eq!(bounds(&reordering), (MAX_PACKET_THRESHOLD, RTT));
        reordering.forget(at(10_301), RTT);
        assert_eq!(bounds(&reordering), (PACKET_THRESHOLD, Duration::ZERO));
    }

    #[test]
    fn a_few_thousand_are_remembered_the_newest() {
        let mut reordering = Reordering::default();
        (0..MAX_REMEMBERED as u64 + 2).for_each(|number| reordering.on_lost(number, sent(at(0))));
        assert_eq!(reordering.usage().used, MAX_REMEMBERED);
        assert!(reordering.take_arrived(0..2).is_none() && reordering.take_arrived(2..3).is_some());
    }
}
