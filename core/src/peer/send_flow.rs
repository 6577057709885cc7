//! One flow, as its sender knows it: which bytes to send next.

use core::ops::Range;

use super::range_set::RangeSet;
use super::sent::MAX_SENT;
use crate::machine::Usage;
use crate::transfer::io::SLOTS;

/// Ranges to be sent again. Every one was in a packet once, and nothing new is sent before them.
const MAX_LOST_RANGES: usize = MAX_SENT;

/// Ranges that have arrived: between two of them something is lost, in a slot, or on its way.
const MAX_ACKNOWLEDGED_RANGES: usize = MAX_LOST_RANGES + SLOTS as usize + MAX_SENT + 1;

/// The bytes of an outgoing flow. What is lost goes before what is new, and what is new goes in order.
#[derive(Debug)]
pub(super) struct SendFlow {
    length: u64,
    /// The first offset that was never sent.
    next: u64,
    /// The first offset that may not be sent yet.
    credit: u64,
    /// To be sent again; at most [`MAX_LOST_RANGES`].
    lost: RangeSet,
    acknowledged: RangeSet,
    /// The bytes themselves, if the connection has them.
    inline: Option<Vec<u8>>,
}

impl SendFlow {
    /// A flow of `length` bytes that somebody else has.
    pub(super) fn new(length: u64, credit: u64) -> Self {
        SendFlow { length, next: 0, credit, lost: RangeSet::new(), acknowledged: RangeSet::new(), inline: None }
    }

    /// A flow of a few bytes that the connection keeps itself.
    pub(super) fn inline(bytes: Vec<u8>) -> Self {
        let flow = SendFlow::new(bytes.len() as u64, u64::MAX);
        SendFlow { inline: Some(bytes), ..flow }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.total()
    }

    pub(super) fn inline_bytes(&self) -> Option<&[u8]> {
        self.inline.as_deref()
    }

    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("ranges of a flow to be sent again", self.lost.range_count(), MAX_LOST_RANGES));
        let acknowledged = self.acknowledged.range_count();
        each(Usage::new("ranges of a flow that the other end has", acknowledged, MAX_ACKNOWLEDGED_RANGES));
    }

    /// Takes the next range to be sent, of at most `most` bytes, and whether it was sent before.
    pub(super) fn claim(&mut self, most: u64) -> Option<(Range<u64>, bool)> {
        if let Some(range) = self.lost.take_first(most) {
            return Some((range, true));
        }
        let end = self.length.min(self.credit).min(self.next.saturating_add(most));
        let range = self.next..end;
        self.next = self.next.max(end);
        Some((range, false)).filter(|(range, _)| !range.is_empty())
    }

    /// Whether [`claim`](SendFlow::claim) would give something.
    pub(super) fn has_more(&self) -> bool {
        !self.lost.is_empty() || self.next < self.length.min(self.credit)
    }

    /// The other end has the first `bytes` already; nothing was claimed yet.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.next = bytes.min(self.length);
        self.on_acknowledged(0..self.next);
    }

    pub(super) fn on_credit(&mut self, credit: u64) {
        self.credit = self.credit.max(credit);
    }

    pub(super) fn on_acknowledged(&mut self, range: Range<u64>) {
        self.lost.remove(range.clone());
        self.acknowledged.insert(range);
    }

    /// The range must be sent again, unless it has arrived in another packet.
    pub(super) fn on_lost(&mut self, range: Range<u64>) {
        let lost = &mut self.lost;
        self.acknowledged.for_each_missing(range, |missing| lost.insert(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn new_bytes_go_in_order_up_to_the_credit_and_the_end() {
        let mut flow = SendFlow::new(1_000, 700);
        assert_eq!((flow.length(), SendFlow::inline(vec![0; 7]).length()), (1_000, 7));
        assert_eq!(flow.claim(600), Some((0..600, false)));
        assert_eq!(flow.claim(600), Some((600..700, false)));
        assert_eq!((flow.claim(600), flow.has_more()), (None, false));
        flow.on_credit(5_000);
        flow.on_credit(10);
        assert!(flow.has_more());
        assert_eq!(flow.claim(600), Some((700..1_000, false)));
        assert_eq!((flow.claim(600), flow.has_more()), (None, false));
    }

    #[test]
    fn what_is_lost_goes_first_unless_it_has_arrived_meanwhile() {
        let mut flow = SendFlow::new(1_000, 1_000);
        flow.claim(500);
        flow.on_acknowledged(100..200);
        flow.on_lost(0..300);
        assert_eq!(flow.claim(60), Some((0..60, true)));
        flow.on_acknowledged(60..80);
        assert_eq!(flow.claim(60), Some((80..100, true)));
        assert_eq!(flow.claim(500), Some((200..300, true)));
        assert_eq!(flow.claim(500), Some((500..1_000, false)));
        assert_eq!(flow.acknowledged(), 120);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Claim {
            most: u64,
        },
        Credit {
            credit: u64,
        },
        /// What becomes of one of the packets under way.
        Fate {
            which: prop::sample::Index,
            arrived: bool,
        },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0u64..60).prop_map(|most| Op::Claim { most }),
            1 => (0u64..400).prop_map(|credit| Op::Credit { credit }),
            3 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, arrived)| Op::Fate { which, arrived }),
        ]
    }

    /// What the model knows of one byte.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Byte {
        New,
        UnderWay,
        Lost,
        Arrived,
    }

    proptest! {
        /// The model is a list of bytes and a list of packets. A claim gives the first lost byte and those behind
        /// it, otherwise the first new one; nothing that has arrived; nothing beyond the credit or the end.
        #[test]
        fn it_is_a_list_of_bytes(ops in prop::collection::vec(op(), 0..120), length in 0u64..300, credit in 0u64..300) {
            let mut flow = SendFlow::new(length, credit);
            let (mut bytes, mut packets, mut credit) = (vec![Byte::New; length as usize], Vec::new(), credit);
            for op in ops {
                let first = |bytes: &[Byte], kind| bytes.iter().position(|byte| *byte == kind).map(|at| at as u64);
                let (lost, new) = (first(&bytes, Byte::Lost), first(&bytes, Byte::New).filter(|at| *at < credit));
                prop_assert_eq!(flow.has_more(), lost.or(new).is_some());
                match op {
                    Op::Claim { most } => {
                        let expected = lost.or(new).map(|start| {
                            let same = |at: u64| bytes.get(at as usize) == Some(&bytes[start as usize]);
                            let end = (start..start + most).find(|at| !same(*at)).unwrap_or(start + most);
                            (start..if lost.is_some() { end } else { end.min(credit) }, lost.is_some())
                        });
                        let expected = expected.filter(|(range, _)| !range.is_empty());
                        prop_assert_eq!(flow.claim(most), expected.clone());
                        if let Some((range, _)) = expected {
                            bytes[range.start as usize..range.end as usize].fill(Byte::UnderWay);
                            packets.push(range);
                        }
                    }
                    Op::Credit { credit: told } => {
                        flow.on_credit(told);
                        credit = credit.max(told);
                    }
                    Op::Fate { .. } if packets.is_empty() => {}
                    Op::Fate { which, arrived } => {
                        let range = packets.swap_remove(which.index(packets.len()));
                        let place = range.start as usize..range.end as usize;
                        if arrived {
                            flow.on_acknowledged(range);
                            bytes[place].fill(Byte::Arrived);
                        } else {
                            flow.on_lost(range);
                            bytes[place].iter_mut().filter(|byte| **byte != Byte::Arrived).for_each(|b| *b = Byte::Lost);
                        }
                    }
                }
                let arrived = bytes.iter().filter(|byte| **byte == Byte::Arrived).count() as u64;
                prop_assert_eq!(flow.acknowledged(), arrived);
            }
        }
    }
}
