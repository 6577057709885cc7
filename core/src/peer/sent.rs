//! The packets that have left and have neither been acknowledged nor taken for lost
//! (RFC 9002, section 6 and appendix A.1).

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use super::delivery::Stamp;
use crate::machine::Usage;
use crate::time::Instant;
use crate::wire::packet::PacketNumber;
use crate::wire::peer_frame::FlowId;

/// From the oldest outstanding packet to the newest: 75 MB at the smallest payload, 60 ms of 10 Gbit/s. It
/// bounds the memory of a connection.
pub(super) const MAX_SENT: usize = 65_536;

/// What a packet carried, so that it can be sent again or ticked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Frames other than bytes of a file; often none.
    Control(Vec<Control>),
    /// Nothing, to see whether the path carries a packet of so many bytes.
    MtuProbe { bytes: u32 },
    /// Bytes of a flow that are somebody else's.
    Data { flow: FlowId, offset: u64, length: u32 },
}

/// A frame that is sent again, in its present form, when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Ping,
    /// Unlike QUIC's it is repeated: the other end has no reason to ask again once its challenge is acknowledged.
    Response([u8; 8]),
    MaxData(FlowId),
    Verified,
    /// Bytes of a flow that the connection has itself.
    Inline {
        flow: FlowId,
        offset: u64,
        length: u32,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// Header and tag included.
    pub(super) bytes: u32,
    /// Whether it must be acknowledged; if so, it counts as being in flight until then.
    pub(super) eliciting: bool,
    /// The largest packet number that it acknowledged.
    pub(super) acknowledged: Option<PacketNumber>,
    pub(super) content: Content,
    pub(super) stamp: Stamp,
}

#[derive(Debug, Default)]
pub(super) struct SentPackets {
    /// The number of the first entry.
    base: u64,
    entries: VecDeque<Option<Sent>>,
    bytes_in_flight: u64,
    eliciting_in_flight: usize,
    largest_acked: Option<u64>,
}

impl Sent {
    /// How large the packet was, whether or not it counts as being in flight.
    pub(super) fn size(&self) -> usize {
        match self.content {
            Content::MtuProbe { bytes } => bytes as usize,
            _ => self.bytes as usize,
        }
    }
}

impl SentPackets {
    pub(super) fn next_number(&self) -> PacketNumber {
        PacketNumber(self.base + self.entries.len() as u64)
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < MAX_SENT
    }

    pub(super) fn usage(&self) -> Usage {
        Usage::new("packets that may be outstanding", self.entries.len(), MAX_SENT)
    }

    pub(super) fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Whether an acknowledgement is due to us.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.eliciting_in_flight > 0
    }

    /// Whether there is a packet with this number that was never sent.
    pub(super) fn is_unsent(&self, number: PacketNumber) -> bool {
        number >= self.next_number()
    }

    /// Records the packet that has [`next_number`](SentPackets::next_number).
    pub(super) fn push(&mut self, sent: Sent) {
        if sent.eliciting {
            self.bytes_in_flight += u64::from(sent.bytes);
            self.eliciting_in_flight += 1;
        }
        self.entries.push_back(Some(sent));
    }

    /// Ticks off the packets of `range` that are still outstanding.
    ///
    /// After [`take_lost`](SentPackets::take_lost) nothing older than the packet threshold is outstanding, so
    /// a range that was acknowledged before costs nothing, unless the path reorders.
    pub(super) fn acknowledge(&mut self, range: Range<u64>, mut each: impl FnMut(u64, Sent)) {
        if let Some(newest) = range.end.checked_sub(1) {
            self.largest_acked = self.largest_acked.max(Some(newest));
        }
        let start = range.start.max(self.base);
        let end = range.end.min(self.next_number().0);
        for number in start..end {
            if let Some(sent) = self.take(number) {
                each(number, sent);
            }
        }
        self.forget_front();
    }

    /// Takes what is lost because `threshold` later packets have arrived, or one that was sent later `delay` ago
    /// (RFC 9002, section 6.1). Answers when the next one would be.
    pub(super) fn take_lost(
        &mut self,
        now: Instant,
        (threshold, delay): (u64, Duration),
        mut each: impl FnMut(u64, Sent),
    ) -> Option<Instant> {
        let largest = self.largest_acked?;
        let mut next = None;
        for number in self.base..largest.min(self.next_number().0) {
            let Some(sent) = self.get(number) else { continue };
            let due = sent.at + delay;
            if largest - number < threshold && due > now {
                next = crate::machine::earlier(next, Some(due));
            } else if let Some(sent) = self.take(number) {
                each(number, sent);
            }
        }
        self.forget_front();
        next
    }

    /// The largest number that the other end has acknowledged.
    pub(super) fn largest_acknowledged(&self) -> Option<PacketNumber> {
        self.largest_acked.map(PacketNumber)
    }

    /// Takes everything, as if it were lost.
    pub(super) fn take_all(&mut self, each: impl FnMut(Sent)) {
        self.base = self.next_number().0;
        (self.bytes_in_flight, self.eliciting_in_flight) = (0, 0);
        self.entries.drain(..).flatten().for_each(each);
    }

    /// The oldest packet that must be acknowledged: what a probe repeats.
    pub(super) fn oldest_eliciting(&self) -> Option<&Sent> {
        self.entries.iter().flatten().find(|sent| sent.eliciting)
    }

    fn get(&self, number: u64) -> Option<&Sent> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.entries.get(index)?.as_ref()
    }

    fn take(&mut self, number: u64) -> Option<Sent> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let sent = self.entries.get_mut(index)?.take()?;
        if sent.eliciting {
            self.bytes_in_flight -= u64::from(sent.bytes);
            self.eliciting_in_flight -= 1;
        }
        Some(sent)
    }

    fn forget_front(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::reordering::PACKET_THRESHOLD;
    use proptest::prelude::*;

    const DELAY: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Ten packets of 100 bytes, one each millisecond.
    fn ten() -> SentPackets {
        let mut sent = SentPackets::default();
        for number in 0..10 {
            assert_eq!(sent.next_number(), PacketNumber(number));
            let content = Content::Control(vec![Control::Ping]);
            sent.push(Sent {
                at: at(number),
                bytes: 100,
                eliciting: true,
                acknowledged: None,
                content,
                stamp: Stamp::default(),
            });
        }
        sent
    }

    fn acknowledge(sent: &mut SentPackets, range: Range<u64>) -> Vec<u64> {
        let mut numbers = Vec::new();
        sent.acknowledge(range, |number, _| numbers.push(number));
        numbers
    }

    fn lost(sent: &mut SentPackets, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let mut numbers = Vec::new();
        let next = sent.take_lost(now, (PACKET_THRESHOLD, DELAY), |number, _| numbers.push(number));
        (numbers, next)
    }

    #[test]
    fn a_packet_is_acknowledged_once() {
        let mut sent = ten();
        assert_eq!(acknowledge(&mut sent, 2..4), [2, 3]);
        assert_eq!(acknowledge(&mut sent, 0..5), [0, 1, 4]);
        assert_eq!((sent.bytes_in_flight(), sent.awaits_acknowledgement()), (500, true));
        assert_eq!(acknowledge(&mut sent, 0..10), [5, 6, 7, 8, 9]);
        assert_eq!((sent.bytes_in_flight(), sent.awaits_acknowledgement()), (0, false));
        assert_eq!(sent.next_number(), PacketNumber(10));
    }

    #[test]
    fn three_later_arrivals_or_time_make_a_loss() {
        let mut sent = ten();
        assert_eq!(lost(&mut sent, at(10_000)), (vec![], None), "nothing later has arrived");
        acknowledge(&mut sent, 4..5);
        assert_eq!(lost(&mut sent, at(20)), (vec![0, 1], Some(at(102))));
        assert_eq!(lost(&mut sent, at(102)), (vec![2], Some(at(103))));
        assert_eq!(lost(&mut sent, at(200)), (vec![3], None));
        assert_eq!(sent.bytes_in_flight(), 500);
        assert_eq!(acknowledge(&mut sent, 0..4), [], "a late acknowledgement comes too late");
    }

    #[test]
    fn an_acknowledgement_of_unsent_packets_is_told_apart() {
        let sent = ten();
        assert!(!sent.is_unsent(PacketNumber(9)));
        assert!(sent.is_unsent(PacketNumber(10)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Send { bytes: u32, eliciting: bool },
        Acknowledge(Range<u64>),
        TakeLost,
        Wait { millis: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (30u32..1_200, prop::bool::weighted(0.8)).prop_map(|(bytes, eliciting)| Op::Send { bytes, eliciting }),
            2 => (0u64..80, 1u64..6).prop_map(|(start, count)| Op::Acknowledge(start..start + count)),
            1 => Just(Op::TakeLost),
            2 => (0u64..60).prop_map(|millis| Op::Wait { millis }),
        ]
    }

    /// A packet of the model: when it left, its size, whether it counts, whether it is still outstanding.
    type Packet = (u64, u32, bool, bool);

    /// The outstanding ones among `model` for which `which` says yes; they are outstanding no more.
    fn take(model: &mut [Packet], which: impl Fn(u64, &Packet) -> bool) -> Vec<u64> {
        let numbered = (0..).zip(model.iter_mut()).filter(|(number, packet)| packet.3 && which(*number, packet));
        numbered.map(|(number, packet)| (packet.3 = false, number).1).collect()
    }

    proptest! {
        /// The model is a list of all packets that ever left.
        #[test]
        fn it_is_a_list_of_what_is_outstanding(ops in prop::collection::vec(op(), 0..120)) {
            let (mut sent, mut model, mut now, mut largest) = (SentPackets::default(), Vec::<Packet>::new(), 0, None);
            for op in ops {
                match op {
                    Op::Send { bytes, eliciting } => {
                        prop_assert_eq!(sent.next_number(), PacketNumber(model.len() as u64));
                        let content = Content::Control(Vec::new());
                        sent.push(Sent { at: at(now), bytes, eliciting, acknowledged: None, content, stamp: Stamp::default() });
                        model.push((now, bytes, eliciting, true));
                    }
                    Op::Acknowledge(range) if range.end <= model.len() as u64 => {
                        largest = largest.max(Some(range.end - 1));
                        let expected = take(&mut model, |number, _| range.contains(&number));
                        prop_assert_eq!(acknowledge(&mut sent, range), expected);
                    }
                    Op::Acknowledge(range) => prop_assert!(sent.is_unsent(PacketNumber(range.end - 1))),
                    Op::TakeLost => {
                        let late = |since: u64| at(since) + DELAY;
                        let expected = take(&mut model, |number, packet| largest.is_some_and(|largest| {
                            number < largest && (largest - number >= PACKET_THRESHOLD || late(packet.0) <= at(now))
                        }));
                        let waiting = (0..).zip(&model).filter(|(number, packet)| packet.3 && Some(*number) < largest);
                        let next = waiting.map(|(_, packet)| late(packet.0)).min();
                        prop_assert_eq!(lost(&mut sent, at(now)), (expected, next));
                    }
                    Op::Wait { millis } => now += millis,
                }
                let outstanding = || model.iter().filter(|packet| packet.3 && packet.2);
                prop_assert_eq!(sent.bytes_in_flight(), outstanding().map(|packet| u64::from(packet.1)).sum::<u64>());
                prop_assert_eq!(sent.awaits_acknowledgement(), outstanding().next().is_some());
                let oldest = outstanding().next().map(|packet| at(packet.0));
                prop_assert_eq!(sent.oldest_eliciting().map(|sent| sent.at), oldest);
            }
        }
    }
}
