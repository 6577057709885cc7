//! The packets that have left and have neither been acknowledged nor taken for lost
//! (RFC 9002, section 6 and appendix A.1).

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use crate::machine::Usage;
use crate::time::Instant;
use crate::wire::packet::PacketNumber;
use crate::wire::peer_frame::FlowId;

/// From the oldest outstanding packet to the newest: 75 MB at the smallest payload, 60 ms of 10 Gbit/s. It
/// bounds the memory of a connection.
pub(super) const MAX_SENT: usize = 65_536;

/// How many later packets must have arrived for one to be lost (RFC 9002, section 6.1.1: kPacketThreshold).
const PACKET_THRESHOLD: u64 = 3;

/// What a packet carried, so that it can be sent again or ticked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Frames other than bytes of a file; often none.
    Control(Vec<Control>),
    /// Bytes of a flow that are somebody else's.
    Data { flow: FlowId, offset: u64, length: u32 },
}

/// A frame that is sent again, in its present form, when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Ping,
    Challenge,
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

    /// The number of the oldest packet that may still be outstanding.
    pub(super) fn oldest(&self) -> u64 {
        self.base
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
    /// a range that was acknowledged before costs nothing.
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

    /// Takes what is lost because later packets have arrived (RFC 9002, section 6.1). Answers when the next
    /// one would be.
    pub(super) fn take_lost(
        &mut self,
        now: Instant,
        delay: Duration,
        mut each: impl FnMut(u64, Sent),
    ) -> Option<Instant> {
        let largest = self.largest_acked?;
        let mut next = None;
        for number in self.base..largest.min(self.next_number().0) {
            let Some(sent) = self.get(number) else { continue };
            let due = sent.at + delay;
            if largest - number < PACKET_THRESHOLD && due > now {
                next = crate::machine::earlier(next, Some(due));
            } else if let Some(sent) = self.take(number) {
                each(number, sent);
            }
        }
        self.forget_front();
        next
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
            sent.push(Sent { at: at(number), bytes: 100, eliciting: true, acknowledged: None, content });
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
        let next = sent.take_lost(now, DELAY, |number, _| numbers.push(number));
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
}
