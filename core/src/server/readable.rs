//! Who may read what: intervals of a conversation's numbers, set by joining and leaving.

use serde::{Deserialize, Serialize};

use crate::id::MessageNumber;
use crate::machine::Usage;

/// At most this many intervals of one person in one room are remembered; who comes and goes more often can no
/// longer read what they read first.
pub(super) const MAX_INTERVALS: usize = 16;

/// What one person may read in one room.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Readable {
    /// From their earlier times there: first and last number, in order, disjoint, not adjacent.
    past: Vec<(u64, u64)>,
    /// If they are a member: from this number on.
    since: Option<u64>,
}

impl Readable {
    /// Whether they are a member now.
    pub(super) fn is_member(&self) -> bool {
        self.since.is_some()
    }

    /// If they are a member: the first message that they may read of this time.
    pub(super) fn since(&self) -> Option<MessageNumber> {
        self.since.map(MessageNumber)
    }

    /// How many intervals are remembered.
    pub(super) fn usage(&self) -> Usage {
        Usage::new("intervals of one user in one room", self.past.len(), MAX_INTERVALS)
    }

    /// They join when the room's newest message is `last`.
    pub(super) fn join(&mut self, last: MessageNumber) {
        let next = last.0 + 1;
        // Nothing was said while they were away: the interval goes on.
        let resumed = self.past.pop_if(|(_, end)| *end == last.0);
        self.since = Some(resumed.map_or(next, |(first, _)| first));
    }

    /// They leave when the room's newest message is `last`.
    pub(super) fn leave(&mut self, last: MessageNumber) {
        let Some(first) = self.since.take() else { return };
        if first > last.0 {
            return;
        }
        if self.past.len() >= MAX_INTERVALS {
            self.past.remove(0);
        }
        self.past.push((first, last.0));
    }

    /// The intervals after the number `after`, when the room's newest message is `last`.
    pub(super) fn intervals(
        &self,
        after: MessageNumber,
        last: MessageNumber,
    ) -> impl Iterator<Item = (MessageNumber, MessageNumber)> {
        let current = self.since.map(|first| (first, last.0));
        self.past.iter().copied().chain(current).filter_map(move |(first, end)| {
            let first = first.max(after.0.saturating_add(1));
            (first <= end).then_some((MessageNumber(first), MessageNumber(end)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(readable: &Readable, after: u64, last: u64) -> Vec<(u64, u64)> {
        readable.intervals(MessageNumber(after), MessageNumber(last)).map(|(first, last)| (first.0, last.0)).collect()
    }

    #[test]
    fn what_was_said_while_away_is_not_readable() {
        let mut readable = Readable::default();
        readable.join(MessageNumber(0));
        readable.leave(MessageNumber(3));
        readable.join(MessageNumber(5));
        assert_eq!(all(&readable, 0, 7), [(1, 3), (6, 7)]);
        assert_eq!(all(&readable, 2, 7), [(3, 3), (6, 7)]);
        assert_eq!(all(&readable, 6, 7), [(7, 7)]);
        assert_eq!(all(&readable, u64::MAX, 7), []);
    }

    #[test]
    fn intervals_that_touch_become_one() {
        let mut readable = Readable::default();
        for last in [0, 0, 4, 4] {
            readable.join(MessageNumber(last));
            readable.leave(MessageNumber(last));
        }
        assert_eq!(readable, Readable::default(), "nothing was said");
        readable.join(MessageNumber(4));
        readable.leave(MessageNumber(6));
        readable.join(MessageNumber(6));
        assert_eq!(readable, Readable { past: vec![], since: Some(5) });
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// So many messages are said in the room.
        Say(u64),
        Join,
        Leave,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![3 => (1..4u64).prop_map(Op::Say), 2 => Just(Op::Join), 2 => Just(Op::Leave)]
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_everything_heard(ops in prop::collection::vec(op(), 0..300), after in 0..60u64) {
            let (mut readable, mut last, mut member) = (Readable::default(), 0, false);
            // What was heard each time, if anything; times between which nothing was said are one.
            let mut times: Vec<Vec<u64>> = Vec::new();
            for op in ops {
                match op {
                    Op::Say(count) => for _ in 0..count {
                        last += 1;
                        match times.last_mut() {
                            Some(time) if member && time.last() == Some(&(last - 1)) => time.push(last),
                            _ if member => times.push(vec![last]),
                            _ => {}
                        }
                    },
                    Op::Join if !member => {
                        readable.join(MessageNumber(last));
                        member = true;
                    }
                    Op::Leave if member => {
                        readable.leave(MessageNumber(last));
                        member = false;
                    }
                    Op::Join | Op::Leave => {}
                }
                prop_assert_eq!(readable.is_member(), member);
                prop_assert!(readable.past.len() <= MAX_INTERVALS);
                let interval = |time: &Vec<u64>| (time[0].max(after + 1), time[time.len() - 1]);
                let heard = times.iter().map(interval).filter(|(first, last)| first <= last).collect::<Vec<_>>();
                let read = all(&readable, after, last);
                // Only what was heard first is forgotten, and only if there is too much of it.
                prop_assert!(heard.ends_with(&read));
                prop_assert!(read.len() == heard.len() || times.len() > MAX_INTERVALS);
            }
        }
    }
}
