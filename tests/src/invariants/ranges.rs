//! Sets of numbers, for checkers: bytes that were written, packets that arrived.

use core::ops::Range;
use std::collections::BTreeMap;

/// A set of numbers, as ranges that do not touch each other.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Where each ends, by where it starts.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `range`. Answers whether all of it was new.
    pub fn insert(&mut self, range: Range<u64>) -> bool {
        let fresh = !self.overlaps(&range);
        let Range { mut start, mut end } = range;
        if start >= end {
            return fresh;
        }
        while let Some((first, last)) = self.before(end).filter(|(_, last)| *last >= start) {
            self.ends.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.ends.insert(start, end);
        fresh
    }

    /// Whether all of `range` is in the set.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.before(range.start).is_some_and(|(_, last)| last >= range.end)
    }

    /// Whether a part of `range` is in the set.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        !range.is_empty() && self.before(range.end - 1).is_some_and(|(_, last)| last > range.start)
    }

    /// The last range that does not start after `number`.
    fn before(&self, number: u64) -> Option<(u64, u64)> {
        self.ends.range(..=number).next_back().map(|(first, last)| (*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::dice::Dice;

    #[test]
    fn it_is_a_set_of_numbers() {
        let mut dice = Dice::new(1, "ranges");
        for _ in 0..200 {
            let (mut ranges, mut numbers) = (Ranges::default(), BTreeSet::new());
            for _ in 0..20 {
                let start = dice.within(0..=40);
                let range = start..start + dice.within(0..=8);
                assert_eq!(ranges.contains(&range), range.clone().all(|n| numbers.contains(&n)), "{range:?}");
                assert_eq!(ranges.overlaps(&range), range.clone().any(|n| numbers.contains(&n)), "{range:?}");
                assert_eq!(ranges.insert(range.clone()), !range.clone().any(|n| numbers.contains(&n)));
                numbers.extend(range);
                assert!(ranges.ends.iter().zip(ranges.ends.keys().skip(1)).all(|((_, end), next)| end < next));
            }
        }
    }
}
