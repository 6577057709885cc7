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
    /// Of a flow that is open, what there is of it so far.
    length: u64,
    /// More may be added.
    open: bool,
    /// The first offset that was never sent.
    next: u64,
    /// The first offset that may not be sent yet.
    credit: u64,
    /// To be sent again; at most [`MAX_LOST_RANGES`].
    lost: RangeSet,
    /// To be sent once more when there is nothing else: what was lost once after all was sent. If it is lost again, the
    /// whole transfer waits for it another round trip. At most [`MAX_LOST_RANGES`].
    copies: RangeSet,
    acknowledged: RangeSet,
    /// The bytes themselves, if the connection has them.
    inline: Option<Vec<u8>>,
}

impl SendFlow {
    /// A flow of `length` bytes that somebody else has.
    pub(super) fn new(length: u64, credit: u64) -> Self {
        let (lost, copies, acknowledged) = (RangeSet::new(), RangeSet::new(), RangeSet::new());
        SendFlow { length, open: false, next: 0, credit, lost, copies, acknowledged, inline: None }
    }

    /// A flow of which there is nothing yet, and nobody knows how long it will be.
    pub(super) fn open(credit: u64) -> Self {
        SendFlow { open: true, ..SendFlow::new(0, credit) }
    }

    /// A flow of a few bytes that the connection keeps itself.
    pub(super) fn inline(bytes: Vec<u8>) -> Self {
        let flow = SendFlow::new(bytes.len() as u64, u64::MAX);
        SendFlow { inline: Some(bytes), ..flow }
    }

    /// Somebody has the first `length` bytes of an open flow.
    pub(super) fn grow(&mut self, length: u64) {
        if self.open {
            self.length = self.length.max(length);
        }
    }

    /// There is no more than there is.
    pub(super) fn end(&mut self) {
        self.open = false;
    }

    /// Whether the flow ends at `offset`, as far as that is known.
    pub(super) fn ends_at(&self, offset: u64) -> bool {
        !self.open && offset == self.length
    }

    /// The first byte of which nobody knows whether it has arrived.
    pub(super) fn first_unacknowledged(&self) -> u64 {
        self.acknowledged.iter().next().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    /// The first byte that was never sent.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes are known to have arrived.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.total()
    }

    pub(super) fn inline_bytes(&self) -> Option<&[u8]> {
        self.inline.as_deref()
    }

    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("ranges of a flow to be sent again", self.lost.range_count(), MAX_LOST_RANGES));
        each(Usage::new("ranges of a flow to be sent once more", self.copies.range_count(), MAX_LOST_RANGES));
        let acknowledged = self.acknowledged.range_count();
        each(Usage::new("ranges of a flow that the other end has", acknowledged, MAX_ACKNOWLEDGED_RANGES));
    }

    /// Takes the next range to be sent, of at most `most` bytes, and whether it was sent before.
    pub(super) fn claim(&mut self, most: u64) -> Option<(Range<u64>, bool)> {
        if let Some(range) = self.lost.take_first(most) {
            if !self.open && self.next == self.length && self.copies.range_count() < MAX_LOST_RANGES {
                self.copies.insert(range.clone());
            }
            return Some((range, true));
        }
        if let Some(range) = self.copies.take_first(most) {
            return Some((range, true));
        }
        let end = self.length.min(self.credit).min(self.next.saturating_add(most));
        let range = self.next..end;
        self.next = self.next.max(end);
        Some((range, false)).filter(|(range, _)| !range.is_empty())
    }

    /// Whether [`claim`](SendFlow::claim) would give something.
    pub(super) fn has_more(&self) -> bool {
        !self.lost.is_empty() || !self.copies.is_empty() || self.next < self.length.min(self.credit)
    }

    /// The other end has the first `bytes` already; nothing was claimed yet.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.next = bytes.min(self.length);
        self.on_acknowledged(0..self.next);
    }

    /// Whether only more credit would let more be sent: all that may leave was sent and has arrived.
    pub(super) fn waits_for_credit(&self) -> bool {
        self.next == self.credit && self.next < self.length && self.acknowledged.total() == self.next
    }

    pub(super) fn on_credit(&mut self, credit: u64) {
        self.credit = self.credit.max(credit);
    }

    pub(super) fn on_acknowledged(&mut self, range: Range<u64>) {
        self.lost.remove(range.clone());
        self.copies.remove(range.clone());
        self.acknowledged.insert(range);
        if self.acknowledged.total() == self.length
            && let Some(bytes) = &mut self.inline
        {
            // They may be some megabytes, and are not needed again.
            *bytes = Vec::new();
        }
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
        assert!(flow.ends_at(1_000) && SendFlow::inline(vec![0; 7]).ends_at(7));
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

    #[test]
    fn bytes_that_have_all_arrived_are_forgotten() {
        let mut flow = SendFlow::inline(vec![7; 30]);
        assert_eq!(flow.claim(20), Some((0..20, false)));
        flow.on_acknowledged(0..20);
        assert_eq!(flow.inline_bytes().map(<[u8]>::len), Some(30));
        assert_eq!(flow.claim(20), Some((20..30, false)));
        flow.on_lost(20..30);
        assert_eq!(flow.claim(20), Some((20..30, true)));
        flow.on_acknowledged(20..30);
        assert_eq!((flow.inline_bytes(), flow.has_more()), (Some(&[][..]), false));
    }

    #[test]
    fn an_open_flow_gives_what_there_is_and_ends_when_it_is_told() {
        let mut flow = SendFlow::open(700);
        assert_eq!((flow.claim(600), flow.has_more()), (None, false));
        flow.grow(500);
        flow.grow(400);
        assert_eq!(flow.claim(600), Some((0..500, false)));
        assert!(!flow.ends_at(500) && !flow.has_more());
        flow.grow(900);
        assert_eq!(flow.claim(600), Some((500..700, false)), "not beyond the credit");
        flow.on_acknowledged(500..600);
        assert_eq!(flow.first_unacknowledged(), 0);
        flow.on_acknowledged(0..450);
        assert_eq!(flow.first_unacknowledged(), 450);
        flow.on_acknowledged(450..500);
        assert_eq!(flow.first_unacknowledged(), 600);
        flow.end();
        flow.grow(1_000);
        assert!(flow.ends_at(900) && !flow.ends_at(1_000));
    }

    #[test]
    fn what_is_lost_after_all_was_sent_is_sent_twice() {
        let mut flow = SendFlow::new(300, 300);
        flow.claim(200);
        flow.on_lost(0..100);
        assert_eq!(flow.claim(100), Some((0..100, true)));
        assert_eq!(flow.claim(100), Some((200..300, false)), "while something is new, it can be sent again in time");
        flow.on_lost(100..200);
        flow.on_lost(250..300);
        assert_eq!(flow.claim(100), Some((100..200, true)));
        assert_eq!(flow.claim(100), Some((250..300, true)));
        flow.on_acknowledged(100..150);
        assert_eq!(flow.claim(100), Some((150..200, true)), "once more, but not what has arrived");
        assert_eq!(flow.claim(100), Some((250..300, true)));
        assert_eq!((flow.claim(100), flow.has_more()), (None, false));
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
        /// it, otherwise the first new one, otherwise once more what was lost after there was nothing new; nothing that
        /// has arrived; nothing beyond the credit or the end.
        #[test]
        fn it_is_a_list_of_bytes(ops in prop::collection::vec(op(), 0..120), length in 0u64..300, credit in 0u64..300) {
            let mut flow = SendFlow::new(length, credit);
            let (mut bytes, mut packets, mut credit) = (vec![Byte::New; length as usize], Vec::new(), credit);
            let mut copies = vec![false; length as usize];
            for op in ops {
                let first = |kind| bytes.iter().position(|byte| *byte == kind).map(|at| at as u64);
                let (lost, new) = (first(Byte::Lost), first(Byte::New).filter(|at| *at < credit));
                let copy = copies.iter().position(|copy| *copy).map(|at| at as u64);
                prop_assert_eq!(flow.has_more(), lost.or(copy).or(new).is_some());
                match op {
                    Op::Claim { most } => {
                        let run = |start: u64, same: &dyn Fn(usize) -> bool| {
                            start..(start..start + most).find(|at| !same(*at as usize)).unwrap_or(start + most)
                        };
                        let expected = match (lost, copy, new) {
                            (Some(start), ..) => Some((run(start, &|at| bytes.get(at) == Some(&Byte::Lost)), true)),
                            (_, Some(start), _) => Some((run(start, &|at| copies.get(at) == Some(&true)), true)),
                            (.., Some(start)) => {
                                let range = run(start, &|at| bytes.get(at) == Some(&Byte::New));
                                Some((range.start..range.end.min(credit), false))
                            }
                            _ => None,
                        };
                        let expected = expected.filter(|(range, _)| !range.is_empty());
                        prop_assert_eq!(flow.claim(most), expected.clone());
                        if let Some((range, _)) = expected {
                            let place = range.start as usize..range.end as usize;
                            let is_last = lost.is_some() && first(Byte::New).is_none();
                            copies[place.clone()].fill(is_last);
                            bytes[place].fill(Byte::UnderWay);
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
                            copies[place.clone()].fill(false);
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
