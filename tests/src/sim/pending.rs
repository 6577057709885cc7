//! Things that are under way and come at a known time.

use std::collections::BTreeMap;

use toom_core::time::Instant;

/// Items that become due, in order of their time and then of their coming here.
#[derive(Clone, Debug)]
pub struct Pending<T> {
    items: BTreeMap<(Instant, u64), T>,
    sequence: u64,
    latest: Instant,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Pending { items: BTreeMap::new(), sequence: 0, latest: Instant::ZERO }
    }
}

impl<T> Pending<T> {
    /// `item` becomes due at `at`.
    pub fn push(&mut self, at: Instant, item: T) {
        self.items.insert((at, self.sequence), item);
        self.sequence += 1;
        self.latest = self.latest.max(at);
    }

    /// `item` becomes due at `at`, but not before any item that came here earlier.
    pub fn push_in_order(&mut self, at: Instant, item: T) {
        self.push(at.max(self.latest), item);
    }

    /// The first item, if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// The first item, and when it is due.
    pub fn first(&self) -> Option<(Instant, &T)> {
        self.items.first_key_value().map(|((at, _), item)| (*at, item))
    }

    /// The first item, to be changed where it is.
    pub fn first_mut(&mut self) -> Option<&mut T> {
        self.items.first_entry().map(std::collections::btree_map::OccupiedEntry::into_mut)
    }

    /// Takes the first item, due or not.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_first().map(|(_, item)| item)
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the first item is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn items_come_by_time_then_by_arrival_and_never_early() {
        let mut pending = Pending::default();
        for (due, item) in [(5, 'c'), (3, 'a'), (3, 'b')] {
            pending.push(at(due), item);
        }
        assert_eq!((pending.deadline(), pending.pop_due(at(2))), (Some(at(3)), None));
        let order: Vec<char> = std::iter::from_fn(|| pending.pop_due(at(9))).collect();
        assert_eq!(order, ['a', 'b', 'c']);
    }

    #[test]
    fn what_is_in_order_waits_for_what_is_late() {
        let mut pending = Pending::default();
        pending.push_in_order(at(9), 'a');
        pending.push_in_order(at(1), 'b');
        assert_eq!(
            (pending.pop_due(at(8)), pending.pop_due(at(9)), pending.pop_due(at(9))),
            (None, Some('a'), Some('b'))
        );
    }
}
