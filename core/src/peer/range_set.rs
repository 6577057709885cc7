//! A set of numbers, kept as ranges: packets that have arrived, bytes of a flow.

use core::ops::Range;
use std::collections::BTreeMap;

/// A set of numbers, kept as ranges that do not touch. Every operation costs the logarithm of their count,
/// and what it adds or takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start to end; none is empty.
    ranges: BTreeMap<u64, u64>,
    /// How many numbers are in it.
    total: u64,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        RangeSet::default()
    }

    /// How many ranges it has.
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// How many numbers it has.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u64) -> bool {
        // The usual case, without a search.
        if self.ranges.last_key_value().is_none_or(|(_, end)| number >= *end) {
            return false;
        }
        self.ranges.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// The ranges, the lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// Whether adding `range` would make one range more than there are.
    pub fn would_split(&self, range: &Range<u64>) -> bool {
        let touches = self.ranges.range(..=range.end).next_back().is_some_and(|(_, end)| *end >= range.start);
        !range.is_empty() && !touches
    }

    /// Adds `range`.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // The usual case, without a search: it prolongs the last range.
        if let Some(mut last) = self.ranges.last_entry()
            && *last.key() <= range.start
            && range.start <= *last.get()
        {
            let prolonged = range.end.max(*last.get());
            self.total += prolonged - *last.get();
            last.insert(prolonged);
            return;
        }
        // Otherwise it prolongs the last range that starts before it, if that reaches it.
        let mut merged = range.clone();
        if let Some((start, end)) =
            self.ranges.range(..=range.start).next_back().filter(|(_, end)| **end >= range.start)
        {
            if *end >= range.end {
                return;
            }
            self.total -= *end - *start;
            merged.start = *start;
        }
        while let Some((start, end)) = self.ranges.range(range.start..=merged.end).next_back() {
            let (start, end) = (*start, *end);
            if start == merged.start {
                // The range before it, counted above.
                break;
            }
            self.ranges.remove(&start);
            self.total -= end - start;
            merged.end = merged.end.max(end);
        }
        self.total += merged.end - merged.start;
        self.ranges.insert(merged.start, merged.end);
    }

    /// Takes `range` out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((start, end)) = self.ranges.range(..range.end).next_back() {
            let (start, end) = (*start, *end);
            if end <= range.start {
                break;
            }
            self.ranges.remove(&start);
            self.total -= end - start;
            self.insert(range.end..end);
            self.insert(start..range.start.min(end));
        }
    }

    /// Takes the lowest numbers out: one range of at most `most`.
    pub fn take_first(&mut self, most: u64) -> Option<Range<u64>> {
        let (start, end) = self.ranges.first_key_value().map(|(start, end)| (*start, *end))?;
        let taken = start..end.min(start.saturating_add(most));
        self.remove(taken.clone());
        Some(taken).filter(|taken| !taken.is_empty())
    }

    /// Takes the lowest range out.
    pub fn pop_first(&mut self) -> Option<Range<u64>> {
        self.take_first(u64::MAX)
    }

    /// Calls `each` for the parts of `range` that are not in the set, the lowest first.
    pub fn for_each_missing(&self, range: Range<u64>, mut each: impl FnMut(Range<u64>)) {
        // The usual case, without a search: all of it is behind all that is there.
        if !range.is_empty() && self.ranges.last_key_value().is_none_or(|(_, end)| *end <= range.start) {
            return each(range);
        }
        let mut at = range.start;
        if let Some((_, end)) = self.ranges.range(..=range.start).next_back() {
            at = at.max(*end);
        }
        if at < range.end {
            for (start, end) in self.ranges.range(at..range.end) {
                if at < *start {
                    each(at..*start);
                }
                at = *end;
            }
        }
        if at < range.end {
            each(at..range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Range<u64>),
        Remove(Range<u64>),
        TakeFirst(u64),
    }

    fn range() -> impl Strategy<Value = Range<u64>> {
        (0u64..120, 0u64..20).prop_map(|(start, length)| start..start + length)
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => range().prop_map(Op::Insert),
            2 => range().prop_map(Op::Remove),
            1 => (0u64..30).prop_map(Op::TakeFirst),
        ]
    }

    /// The ranges of a plain set of numbers.
    fn ranges_of(model: &BTreeSet<u64>) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for number in model {
            match ranges.last_mut() {
                Some(last) if last.end == *number => last.end += 1,
                _ => ranges.push(*number..*number + 1),
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(ops in prop::collection::vec(op(), 0..60), probe in range()) {
            let (mut set, mut model) = (RangeSet::new(), BTreeSet::new());
            for op in ops {
                match op {
                    Op::Insert(range) => {
                        let count = set.range_count();
                        let splits = set.would_split(&range);
                        set.insert(range.clone());
                        prop_assert_eq!(splits, set.range_count() > count);
                        model.extend(range);
                    }
                    Op::Remove(range) => {
                        set.remove(range.clone());
                        model.retain(|number| !range.contains(number));
                    }
                    Op::TakeFirst(most) => {
                        let expected = ranges_of(&model).first().map(|r| r.start..r.end.min(r.start + most));
                        let expected = expected.filter(|taken| !taken.is_empty());
                        prop_assert_eq!(set.take_first(most), expected.clone());
                        model.retain(|number| !expected.clone().unwrap_or(0..0).contains(number));
                    }
                }
                let ranges: Vec<_> = set.iter().collect();
                prop_assert_eq!(ranges, ranges_of(&model));
                prop_assert_eq!(set.total(), model.len() as u64);
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
            let mut missing = Vec::new();
            set.for_each_missing(probe.clone(), |range| missing.push(range));
            let expected: BTreeSet<u64> = probe.clone().filter(|number| !model.contains(number)).collect();
            prop_assert_eq!(missing, ranges_of(&expected));
            prop_assert!(probe.into_iter().all(|number| set.contains(number) == model.contains(&number)));
        }
    }
}
