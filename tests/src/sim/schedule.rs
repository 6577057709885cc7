//! The deadlines of all nodes, in one order.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::time::Instant;

/// Which node wakes next: ordered by time, then by when the deadline was set.
#[derive(Debug)]
pub struct Schedule<K> {
    order: BTreeSet<(Instant, u64, K)>,
    planned: BTreeMap<K, (Instant, u64)>,
    sequence: u64,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Schedule { order: BTreeSet::new(), planned: BTreeMap::new(), sequence: 0 }
    }
}

impl<K: Copy + Ord> Schedule<K> {
    /// From now on `node` has this deadline. One that does not change keeps its place.
    pub fn set(&mut self, node: K, deadline: Option<Instant>) {
        let before = self.planned.get(&node).copied();
        if before.map(|(at, _)| at) == deadline {
            return;
        }
        if let Some((at, sequence)) = before {
            self.order.remove(&(at, sequence, node));
            self.planned.remove(&node);
        }
        if let Some(at) = deadline {
            self.sequence += 1;
            self.order.insert((at, self.sequence, node));
            self.planned.insert(node, (at, self.sequence));
        }
    }

    /// When the next node wakes.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, ..)| *at)
    }

    /// Takes the next node and its time.
    pub fn pop(&mut self) -> Option<(Instant, K)> {
        let (at, _, node) = self.order.pop_first()?;
        self.planned.remove(&node);
        Some((at, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Option<Instant> {
        Some(Instant::from_nanos(nanos))
    }

    #[test]
    fn a_deadline_moves_and_can_be_taken_back() {
        let mut schedule = Schedule::default();
        for (node, deadline) in [('a', at(5)), ('b', at(5)), ('c', at(1)), ('c', None), ('a', at(7)), ('a', at(5))] {
            schedule.set(node, deadline);
        }
        assert_eq!(schedule.next(), at(5));
        let order: Vec<char> = std::iter::from_fn(|| schedule.pop()).map(|(_, node)| node).collect();
        assert_eq!(order, ['b', 'a']);
    }
}
