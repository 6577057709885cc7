//! The packets that have arrived: duplicates, and when to acknowledge (RFC 9000, section 13.2).
//!
//! What has arrived is acknowledged after a number of packets or bytes, or a short delay, whatever comes
//! first; at once when something is missing. "At once" means with the next `Woke`, so that a batch
//! of datagrams that the driver received together has one acknowledgement.

use super::range_set::RangeSet;
use super::rtt::MAX_ACK_DELAY;
use crate::machine::Usage;
use crate::time::Instant;
use crate::wire::ecn::{Ecn, EcnCounts};
use crate::wire::packet::PacketNumber;
use crate::wire::peer_frame::put_ack;

/// Ranges of packet numbers that are remembered. Beyond it the oldest is forgotten, and what is older than
/// that taken for a duplicate: at 5 % loss that is 80,000 packets ago.
const MAX_RANGES: usize = 4_096;

/// How many packets are acknowledged together, once the connection is under way.
const ACK_EVERY: u32 = 16;
/// While the connection is young its window is small, and must not wait for [`MAX_ACK_DELAY`].
const ACK_EVERY_AT_FIRST: u32 = 2;
/// How many packets that is.
const YOUNG: u64 = 128;
/// How many bytes are acknowledged together: large packets are few.
const ACK_EVERY_BYTES: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Received {
    numbers: RangeSet,
    /// Lower numbers cannot be told from duplicates any more.
    floor: u64,
    largest: Option<(u64, Instant)>,
    /// The other end knows that everything below has arrived or is lost.
    ack_floor: u64,
    unacknowledged: u32,
    unacknowledged_bytes: usize,
    ack_at: Option<Instant>,
    ecn: EcnCounts,
}

impl Received {
    pub(super) fn is_duplicate(&self, number: PacketNumber) -> bool {
        number.0 < self.floor || self.numbers.contains(number.0)
    }

    /// Whether no packet with a higher number has arrived.
    pub(super) fn is_newest(&self, number: PacketNumber) -> bool {
        self.largest.is_none_or(|(largest, _)| number.0 > largest)
    }

    pub(super) fn largest(&self) -> PacketNumber {
        PacketNumber(self.largest.map_or(0, |(largest, _)| largest))
    }

    /// Records a packet that is no duplicate. `eliciting` packets are acknowledged, `urgent` ones at once.
    pub(super) fn record(&mut self, now: Instant, number: PacketNumber, bytes: usize, eliciting: bool, urgent: bool) {
        let next = self.largest.map_or(0, |(largest, _)| largest + 1);
        if self.is_newest(number) {
            self.largest = Some((number.0, now));
        }
        self.numbers.insert(number.0..number.0 + 1);
        // A late packet is told even if the other end knew of all around it.
        self.ack_floor = self.ack_floor.min(number.0);
        if self.numbers.range_count() > MAX_RANGES {
            self.floor = self.numbers.pop_first().map_or(self.floor, |range| range.end);
        }
        if !eliciting {
            return;
        }
        self.unacknowledged += 1;
        self.unacknowledged_bytes += bytes;
        let every = if number.0 < YOUNG { ACK_EVERY_AT_FIRST } else { ACK_EVERY };
        let enough = self.unacknowledged >= every || self.unacknowledged_bytes >= ACK_EVERY_BYTES;
        // A new gap is told at once. What fills one is not: the other end waits for it, or has taken it for lost already.
        let is_gap = number.0 > next;
        let at = if urgent || is_gap || enough { now } else { now + MAX_ACK_DELAY };
        self.ack_at = crate::machine::earlier(self.ack_at, Some(at));
    }

    /// What was written on a packet that was recorded. A queue is told at once (RFC 9000, section 13.2.1).
    pub(super) fn see(&mut self, now: Instant, ecn: Ecn) {
        self.ecn.add(ecn);
        if ecn == Ecn::Congestion && self.unacknowledged > 0 {
            self.ack_at = Some(now);
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage::new("ranges of packets that have arrived", self.numbers.range_count(), MAX_RANGES)
    }

    /// When an acknowledgement is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ack_at
    }

    /// Appends an ACK if there is something to acknowledge and room for it; answers the largest number in it.
    pub(super) fn put_ack(&mut self, now: Instant, out: &mut Vec<u8>, room: usize) -> Option<PacketNumber> {
        let (largest, at) = self.largest.filter(|_| self.ack_at.is_some())?;
        let delay = u64::try_from(now.saturating_since(at).as_micros()).unwrap_or(u64::MAX);
        let floor = self.ack_floor;
        let ranges = self.numbers.iter().rev().take_while(|range| range.end > floor);
        if !put_ack(out, delay, ranges, self.ecn, room) {
            return None;
        }
        (self.unacknowledged, self.unacknowledged_bytes, self.ack_at) = (0, 0, None);
        Some(PacketNumber(largest))
    }

    /// An acknowledgement up to `largest` has arrived: it need not be repeated (RFC 9000, section 13.2.4).
    pub(super) fn acknowledgement_arrived(&mut self, largest: PacketNumber) {
        self.ack_floor = self.ack_floor.max(largest.0);
    }
}

#[cfg(test)]
// A list of one range is meant as such.
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use crate::wire::peer_frame::{Frame, Frames};
    use core::ops::Range;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn record(received: &mut Received, now: Instant, number: u64) {
        assert!(!received.is_duplicate(PacketNumber(number)));
        received.record(now, PacketNumber(number), 1_200, true, false);
    }

    fn acknowledged(received: &mut Received, now: Instant) -> Vec<Range<u64>> {
        let mut out = Vec::new();
        received.put_ack(now, &mut out, 1_000);
        match Frames::new(&out).next() {
            Some(Ok(Frame::Ack(ack))) => ack.ranges().collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn packets_in_order_are_acknowledged_together_or_after_the_delay() {
        let mut received = Received::default();
        (0..YOUNG).for_each(|number| record(&mut received, at(0), number));
        assert_eq!(acknowledged(&mut received, at(0)), [0..YOUNG]);
        assert_eq!(received.deadline(), None);
        for number in 0..15 {
            record(&mut received, at(1), YOUNG + number);
            assert_eq!(received.deadline(), Some(at(1) + MAX_ACK_DELAY));
        }
        record(&mut received, at(2), YOUNG + 15);
        assert_eq!(received.deadline(), Some(at(2)));
    }

    #[test]
    fn a_gap_is_acknowledged_at_once_and_what_fills_it_in_time() {
        let mut received = Received::default();
        record(&mut received, at(0), 0);
        record(&mut received, at(1), 2);
        assert_eq!(received.deadline(), Some(at(1)));
        assert_eq!(acknowledged(&mut received, at(1)), [2..3, 0..1]);
        record(&mut received, at(2), 1);
        assert_eq!(received.deadline(), Some(at(2) + MAX_ACK_DELAY));
        assert_eq!(acknowledged(&mut received, at(7)), [0..3]);
    }

    #[test]
    fn a_late_packet_is_told_although_all_around_it_was_known_to_be_told() {
        let mut received = Received::default();
        [0, 1, 3, 4].iter().for_each(|number| record(&mut received, at(0), *number));
        assert_eq!(acknowledged(&mut received, at(0)), [3..5, 0..2]);
        received.acknowledgement_arrived(PacketNumber(4));
        record(&mut received, at(1), 2);
        assert_eq!(acknowledged(&mut received, at(6)), [0..5]);
    }

    #[test]
    fn what_needs_no_acknowledgement_causes_none() {
        let mut received = Received::default();
        received.record(at(0), PacketNumber(7), 30, false, false);
        assert_eq!(received.deadline(), None);
        assert_eq!(acknowledged(&mut received, at(0)), []);
        assert!(received.is_duplicate(PacketNumber(7)));
    }

    #[test]
    fn ranges_are_repeated_until_their_acknowledgement_is_acknowledged() {
        let mut received = Received::default();
        [0, 2, 4].iter().for_each(|number| record(&mut received, at(0), *number));
        assert_eq!(acknowledged(&mut received, at(0)), [4..5, 2..3, 0..1]);
        record(&mut received, at(0), 6);
        assert_eq!(acknowledged(&mut received, at(0)), [6..7, 4..5, 2..3, 0..1]);
        received.acknowledgement_arrived(PacketNumber(4));
        record(&mut received, at(0), 8);
        assert_eq!(acknowledged(&mut received, at(0)), [8..9, 6..7, 4..5]);
        assert!(received.is_duplicate(PacketNumber(0)), "it is still known to have arrived");
        assert!(!received.is_duplicate(PacketNumber(1)), "and this one can still arrive");
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_a_duplicate() {
        let mut received = Received::default();
        (0..2 * MAX_RANGES as u64).for_each(|number| record(&mut received, at(0), number * 2));
        assert_eq!(received.numbers.range_count(), MAX_RANGES);
        assert!(received.is_duplicate(PacketNumber(1)));
        assert!(!received.is_duplicate(PacketNumber(4 * MAX_RANGES as u64 - 3)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arrive { number: u64, eliciting: bool, urgent: bool },
        Acknowledge { room: usize },
        AcknowledgementArrived { back: u64 },
        Wait { millis: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0u64..300, any::<bool>(), prop::bool::weighted(0.1))
                .prop_map(|(number, eliciting, urgent)| Op::Arrive { number, eliciting, urgent }),
            2 => (0usize..200).prop_map(|room| Op::Acknowledge { room }),
            1 => (0u64..50).prop_map(|back| Op::AcknowledgementArrived { back }),
            2 => (0u64..40).prop_map(|millis| Op::Wait { millis }),
        ]
    }

    proptest! {
        /// The model is the set of all numbers that arrived. Nothing that arrived is ever taken for new, nothing
        /// that did not arrive is ever acknowledged, and what must be acknowledged is, in time.
        #[test]
        fn it_is_a_set_of_numbers_that_is_acknowledged_in_time(ops in prop::collection::vec(op(), 0..200)) {
            let (mut received, mut model) = (Received::default(), BTreeSet::new());
            let (mut now, mut owed, mut oldest_owed) = (0, 0, None);
            for op in ops {
                match op {
                    Op::Arrive { number, eliciting, urgent } => {
                        prop_assert_eq!(received.is_duplicate(PacketNumber(number)), model.contains(&number));
                        if !model.insert(number) {
                            continue;
                        }
                        let newest = model.last() == Some(&number);
                        prop_assert_eq!(received.is_newest(PacketNumber(number)), newest);
                        let is_gap = newest && number > 0 && !model.contains(&(number - 1));
                        received.record(at(now), PacketNumber(number), 1_200, eliciting, urgent);
                        prop_assert_eq!(received.largest(), PacketNumber(*model.last().unwrap()));
                        if eliciting {
                            owed += 1;
                            oldest_owed.get_or_insert(now);
                            if urgent || is_gap || owed >= ACK_EVERY {
                                prop_assert_eq!(received.deadline().map(|due| due <= at(now)), Some(true));
                            }
                        }
                    }
                    Op::Acknowledge { room } => {
                        let due = received.deadline();
                        let mut out = Vec::new();
                        let largest = received.put_ack(at(now), &mut out, room);
                        prop_assert!(out.len() <= room);
                        prop_assert_eq!(largest.is_none(), out.is_empty());
                        let Some(largest) = largest else {
                            prop_assert_eq!(received.deadline(), due, "what could not be said is still owed");
                            continue;
                        };
                        prop_assert!(due.is_some() && model.last() == Some(&largest.0));
                        (owed, oldest_owed) = (0, None);
                        let Some(Ok(Frame::Ack(ack))) = Frames::new(&out).next() else { panic!("no ACK") };
                        prop_assert!(ack.ranges().flatten().all(|number| model.contains(&number)));
                        prop_assert!(ack.ranges().any(|range| range.contains(&largest.0)));
                    }
                    Op::AcknowledgementArrived { back } => {
                        let largest = model.last().copied().unwrap_or(0);
                        received.acknowledgement_arrived(PacketNumber(largest.saturating_sub(back)));
                    }
                    Op::Wait { millis } => now += millis,
                }
                let due_by = oldest_owed.map(|since| at(since) + MAX_ACK_DELAY);
                prop_assert_eq!(received.deadline().is_some(), due_by.is_some());
                prop_assert!(received.deadline() <= due_by, "an acknowledgement waits too long");
            }
        }
    }
}
