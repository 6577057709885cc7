//! One flow, as its receiver knows it: which bytes have arrived, and how far it may go.

use core::ops::Range;

use super::range_set::RangeSet;
use crate::machine::Usage;
use crate::wire::varint::MAX_VARINT;

/// Gaps in a flow. A packet that would make one more is treated as if it had not arrived; the sender fills
/// the earlier gaps first. More than a window of packets with one in sixteen lost.
const MAX_RANGES: usize = 4_096;

/// The bytes of an incoming flow.
#[derive(Debug)]
pub(super) struct ReceiveFlow {
    /// Once it is known.
    length: Option<u64>,
    received: RangeSet,
    /// How much may be on its way or waiting for the disk.
    window: u64,
    /// What the owner is done with.
    consumed: u64,
    /// The credit that the sender was last told.
    told: u64,
    tell: bool,
}

/// What to do with bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Take what is new in them.
    Taken,
    /// There is no room to remember them: forget the packet.
    NoRoom,
    /// Beyond the end or the credit, or another end than was agreed.
    Violation,
}

impl ReceiveFlow {
    /// A flow of `length` bytes, of which `window` may be unconsumed.
    pub(super) fn new(length: u64, window: u64) -> Self {
        ReceiveFlow { length: Some(length), ..ReceiveFlow::open(window) }
    }

    /// A flow of which nobody knows yet how long it will be.
    pub(super) fn open(window: u64) -> Self {
        ReceiveFlow { length: None, received: RangeSet::new(), window, consumed: 0, told: window, tell: false }
    }

    /// The flow ends at `length`; whether that can be.
    #[must_use]
    pub(super) fn end_at(&mut self, length: u64) -> bool {
        let last = self.received.iter().next_back().map_or(0, |range| range.end);
        last <= length && *self.length.get_or_insert(length) == length
    }

    /// The sender knows of this credit already.
    pub(super) fn allow(&mut self, credit: u64) {
        self.told = self.told.max(credit.min(MAX_VARINT));
    }

    /// The bytes of `range` have arrived; calls `new` for the parts that had not.
    pub(super) fn on_arrived(&mut self, range: Range<u64>, fin: bool, new: impl FnMut(Range<u64>)) -> Arrival {
        if range.end > self.told || self.length.is_some_and(|length| range.end > length) {
            return Arrival::Violation;
        }
        if fin && !self.end_at(range.end) {
            return Arrival::Violation;
        }
        if self.received.range_count() >= MAX_RANGES && self.received.would_split(&range) {
            return Arrival::NoRoom;
        }
        self.received.for_each_missing(range.clone(), new);
        self.received.insert(range);
        Arrival::Taken
    }

    /// The owner has the first `bytes` already, and need not be told them.
    pub(super) fn skip(&mut self, bytes: u64) {
        let bytes = self.length.map_or(bytes, |length| bytes.min(length));
        self.received.insert(0..bytes);
        self.on_consumed(bytes);
    }

    pub(super) fn received(&self) -> u64 {
        self.received.total()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.length == Some(self.received.total())
    }

    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        let to_usize = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let unconsumed = self.received.total().saturating_sub(self.consumed);
        each(Usage::new("ranges of a flow that have arrived", self.received.range_count(), MAX_RANGES));
        each(Usage::new("bytes of a flow that wait for their owner", to_usize(unconsumed), to_usize(self.window)));
    }

    /// The owner is done with `bytes` more.
    pub(super) fn on_consumed(&mut self, bytes: u64) {
        self.consumed = self.consumed.saturating_add(bytes).min(self.received.total());
        // Not for every packet: an eighth of the window is far more than the way there and back takes.
        let goes_on = self.length.is_none_or(|length| self.told < length);
        self.tell |= goes_on && self.credit() - self.told >= self.window / 8;
    }

    /// The news may have been lost.
    pub(super) fn tell_again(&mut self) {
        self.tell = !self.is_complete();
    }

    /// Whether the sender should be told a new credit.
    pub(super) fn has_news(&self) -> bool {
        self.tell
    }

    /// The credit to tell the sender, which it may use from now on.
    pub(super) fn take_news(&mut self) -> Option<u64> {
        if !core::mem::take(&mut self.tell) {
            return None;
        }
        self.told = self.credit();
        Some(self.told)
    }

    fn credit(&self) -> u64 {
        self.consumed.saturating_add(self.window).min(MAX_VARINT).max(self.told)
    }
}

#[cfg(test)]
// A list of one range is meant as such.
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn arrive(flow: &mut ReceiveFlow, range: Range<u64>, fin: bool) -> (Arrival, Vec<Range<u64>>) {
        let mut new = Vec::new();
        (flow.on_arrived(range, fin, |range| new.push(range)), new)
    }

    #[test]
    fn only_what_is_new_is_taken() {
        let mut flow = ReceiveFlow::new(100, 1_000);
        assert_eq!(arrive(&mut flow, 20..40, false), (Arrival::Taken, vec![20..40]));
        assert_eq!(arrive(&mut flow, 10..60, false), (Arrival::Taken, vec![10..20, 40..60]));
        assert_eq!(arrive(&mut flow, 10..60, false), (Arrival::Taken, vec![]));
        assert_eq!((flow.received(), flow.is_complete()), (50, false));
        assert_eq!(arrive(&mut flow, 60..100, true), (Arrival::Taken, vec![60..100]));
        assert_eq!(arrive(&mut flow, 0..10, false), (Arrival::Taken, vec![0..10]));
        assert!(flow.is_complete());
    }

    #[test]
    fn nothing_goes_beyond_the_end_or_the_credit() {
        let mut flow = ReceiveFlow::new(100, 50);
        assert_eq!(arrive(&mut flow, 40..51, false).0, Arrival::Violation);
        assert_eq!(arrive(&mut flow, 0..50, true).0, Arrival::Violation);
        assert_eq!(arrive(&mut flow, 0..50, false).0, Arrival::Taken);
        flow.on_consumed(5);
        assert!(!flow.has_news(), "not for a few bytes");
        flow.on_consumed(10);
        assert_eq!(flow.take_news(), Some(65));
        assert_eq!(flow.take_news(), None);
        assert_eq!(arrive(&mut flow, 50..65, false).0, Arrival::Taken);
        flow.on_consumed(1_000);
        assert_eq!(flow.take_news(), Some(115), "never more consumed than arrived");
        assert_eq!(arrive(&mut flow, 65..101, false).0, Arrival::Violation);
        flow.on_consumed(1_000);
        assert_eq!(flow.take_news(), None, "all that there is may be sent");
        flow.tell_again();
        assert_eq!(flow.take_news(), Some(115), "unless that was lost on the way");
        assert_eq!(arrive(&mut flow, 65..100, true).0, Arrival::Taken);
        flow.tell_again();
        assert_eq!(flow.take_news(), None, "all of it is here");
    }

    #[test]
    fn an_open_flow_takes_what_comes_and_ends_once() {
        let mut flow = ReceiveFlow::open(80);
        assert_eq!(arrive(&mut flow, 40..80, false), (Arrival::Taken, vec![40..80]));
        assert_eq!(arrive(&mut flow, 70..81, false).0, Arrival::Violation, "beyond the credit");
        assert_eq!(arrive(&mut flow, 0..40, false).0, Arrival::Taken);
        assert!(!flow.is_complete(), "more may come");
        flow.on_consumed(80);
        assert_eq!(flow.take_news(), Some(160));
        assert_eq!(arrive(&mut flow, 20..60, true).0, Arrival::Violation, "it went on after that");
        assert!(!flow.end_at(79) && !flow.is_complete());
        assert_eq!(arrive(&mut flow, 90..100, true), (Arrival::Taken, vec![90..100]));
        assert_eq!(arrive(&mut flow, 95..101, false).0, Arrival::Violation, "beyond the end");
        assert!(!flow.end_at(101) && flow.end_at(100) && !flow.is_complete());
        assert_eq!(arrive(&mut flow, 80..90, false).0, Arrival::Taken);
        assert!(flow.is_complete());

        let mut empty = ReceiveFlow::open(80);
        assert!(!empty.is_complete() && empty.end_at(0) && empty.is_complete());
    }

    #[test]
    fn gaps_are_bounded_and_can_still_be_filled() {
        let mut flow = ReceiveFlow::new(1 << 20, 1 << 20);
        for gap in 0..MAX_RANGES as u64 {
            assert_eq!(arrive(&mut flow, gap * 4..gap * 4 + 2, false).0, Arrival::Taken);
        }
        let beyond = MAX_RANGES as u64 * 4;
        assert_eq!(arrive(&mut flow, beyond..beyond + 2, false), (Arrival::NoRoom, vec![]));
        assert_eq!(arrive(&mut flow, 2..4, false).0, Arrival::Taken);
        assert_eq!(arrive(&mut flow, beyond..beyond + 2, false).0, Arrival::Taken);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Arrive { range: Range<u64>, fin: bool },
        Consume { bytes: u64 },
        TakeNews,
        TellAgain,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0u64..320, 0u64..60, prop::bool::weighted(0.1))
                .prop_map(|(start, length, fin)| Op::Arrive { range: start..start + length, fin }),
            3 => (0u64..60).prop_map(|bytes| Op::Consume { bytes }),
            2 => Just(Op::TakeNews),
            1 => Just(Op::TellAgain),
        ]
    }

    proptest! {
        /// The model is the set of bytes that have arrived. Each is new once; nothing beyond the credit that was
        /// told is taken; the credit never shrinks, and never exceeds what was consumed by more than the window.
        #[test]
        fn it_is_a_set_of_bytes(ops in prop::collection::vec(op(), 0..120), length in 0u64..300, window in 8u64..100) {
            let mut flow = ReceiveFlow::new(length, window);
            let (mut model, mut consumed, mut told) = (BTreeSet::new(), 0, window);
            for op in ops {
                match op {
                    Op::Arrive { range, fin } => {
                        let allowed = range.end <= length && range.end <= told && (!fin || range.end == length);
                        let (arrival, new) = arrive(&mut flow, range.clone(), fin);
                        prop_assert_eq!(arrival, if allowed { Arrival::Taken } else { Arrival::Violation });
                        let fresh: Vec<u64> = range.filter(|byte| allowed && !model.contains(byte)).collect();
                        prop_assert_eq!(new.into_iter().flatten().collect::<Vec<_>>(), fresh.clone());
                        model.extend(fresh);
                    }
                    Op::Consume { bytes } => {
                        flow.on_consumed(bytes);
                        consumed = (consumed + bytes).min(model.len() as u64);
                        let much = consumed + window >= told + (window / 8).max(1);
                        prop_assert!(!much || told >= length || flow.has_news(), "the sender waits in vain");
                    }
                    Op::TakeNews => {
                        let had_news = flow.has_news();
                        let news = flow.take_news();
                        prop_assert_eq!(news.is_some(), had_news);
                        if let Some(credit) = news {
                            prop_assert!(credit >= told && credit <= told.max(consumed + window));
                            told = credit;
                        }
                    }
                    Op::TellAgain => flow.tell_again(),
                }
                prop_assert_eq!(flow.received(), model.len() as u64);
                prop_assert_eq!(flow.is_complete(), model.len() as u64 == length);
            }
        }
    }
}
