//! Things that end after a while, if nothing else ends them first.

use std::collections::{BTreeSet, VecDeque};

use crate::machine::Usage;
use crate::time::Instant;

/// A queue of deadlines of one kind. Since each begins later than the one before and lasts as long, they stand
/// in order of time, and the next one is at the front.
///
/// What was cancelled stays in the queue until it comes to the front, or until at a cancellation more than half
/// of the queue is such: so it holds at most twice as many as ever ran at the same time, and a few.
#[derive(Debug)]
pub(super) struct Timeouts<K> {
    queue: VecDeque<(Instant, K)>,
    running: BTreeSet<K>,
}

impl<K> Default for Timeouts<K> {
    fn default() -> Self {
        Timeouts { queue: VecDeque::new(), running: BTreeSet::new() }
    }
}

/// A queue as short as this is not worth tidying.
const UNTIDY: usize = 32;

impl<K: Copy + Ord> Timeouts<K> {
    /// `key`, never used before, ends at `at`, which is not before any earlier `at`.
    pub(super) fn start(&mut self, at: Instant, key: K) {
        self.running.insert(key);
        self.queue.push_back((at, key));
    }

    /// `key` ended otherwise.
    pub(super) fn cancel(&mut self, key: K) {
        self.running.remove(&key);
        if self.queue.len() > 2 * self.running.len() + UNTIDY {
            self.queue.retain(|(_, key)| self.running.contains(key));
        }
        self.tidy_front();
    }

    /// When the next one ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// One that has ended by `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<K> {
        let (_, key) = *self.queue.front().filter(|(at, _)| *at <= now)?;
        self.queue.pop_front();
        self.running.remove(&key);
        self.tidy_front();
        Some(key)
    }

    /// How long the queue is, if at most `running` may run at the same time.
    pub(super) fn usage(&self, what: &'static str, running: usize) -> Usage {
        Usage::new(what, self.queue.len(), 2 * running + UNTIDY)
    }

    fn tidy_front(&mut self) {
        while self.queue.front().is_some_and(|(_, key)| !self.running.contains(key)) {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn they_end_in_order_and_cancelled_ones_never_do() {
        let mut timeouts = Timeouts::default();
        for key in 1..=4 {
            timeouts.start(at(key * 10), key);
        }
        timeouts.cancel(1);
        assert_eq!(timeouts.next(), Some(at(20)));
        assert_eq!(timeouts.expire(at(19)), None);
        timeouts.cancel(3);
        assert_eq!(timeouts.expire(at(100)), Some(2));
        assert_eq!(timeouts.next(), Some(at(40)));
        assert_eq!(timeouts.expire(at(100)), Some(4));
        assert_eq!((timeouts.expire(at(100)), timeouts.next()), (None, None));
    }

    #[test]
    fn cancelled_ones_do_not_pile_up_behind_a_running_one() {
        let mut timeouts = Timeouts::default();
        timeouts.start(at(0), 0);
        for key in 1..10_000 {
            timeouts.start(at(key), key);
            timeouts.cancel(key);
        }
        assert!(timeouts.queue.len() <= UNTIDY + 3, "{}", timeouts.queue.len());
        assert_eq!(timeouts.expire(at(0)), Some(0));
        assert_eq!(timeouts.next(), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Start { after: u64 },
        Cancel(prop::sample::Index),
        Expire { after: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0u64..5).prop_map(|after| Op::Start { after }),
            3 => any::<prop::sample::Index>().prop_map(Op::Cancel),
            2 => (0u64..20).prop_map(|after| Op::Expire { after }),
        ]
    }

    proptest! {
        /// The model is a plain list of those that are running.
        #[test]
        fn it_is_a_list_of_what_is_running(ops in prop::collection::vec(op(), 0..300)) {
            const LASTS: u64 = 50;
            let (mut timeouts, mut model, mut now) = (Timeouts::default(), Vec::new(), 0);
            for (key, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Start { after } => {
                        now += after;
                        timeouts.start(at(now + LASTS), key);
                        model.push((now + LASTS, key));
                    }
                    Op::Cancel(_) if model.is_empty() => {}
                    Op::Cancel(which) => {
                        let (_, key) = model.remove(which.index(model.len()));
                        timeouts.cancel(key);
                        timeouts.cancel(key);
                    }
                    Op::Expire { after } => {
                        now += after;
                        let expected = model.first().is_some_and(|(due, _)| *due <= now).then(|| model.remove(0).1);
                        prop_assert_eq!(timeouts.expire(at(now)), expected);
                    }
                }
                prop_assert_eq!(timeouts.next(), model.first().map(|(due, _)| at(*due)));
                prop_assert!(timeouts.queue.len() <= 2 * model.len() + UNTIDY + 1);
                prop_assert_eq!(timeouts.running.len(), model.len());
            }
        }
    }
}
