//! Which bytes of a partial file are there: a prefix, and islands after it.

use std::collections::BTreeMap;
use std::ops::Range;

/// Islands that are remembered: each is a loss that has not been repaired yet. Beyond that the newest are
/// forgotten, and the prefix may stay shorter than it could be, which is allowed.
const MAX_ISLANDS: usize = 4_096;

/// The bytes that were written.
#[derive(Debug, Default)]
pub(super) struct Written {
    prefix: u64,
    /// Start to end; disjoint, with gaps between them, all after the prefix.
    islands: BTreeMap<u64, u64>,
}

impl Written {
    /// All bytes before this one were written.
    pub(super) fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Notes that `range` was written.
    pub(super) fn add(&mut self, range: Range<u64>) {
        if range.start > self.prefix {
            self.add_island(range);
            return;
        }
        self.prefix = self.prefix.max(range.end);
        while let Some(first) = self.islands.first_entry()
            && *first.key() <= self.prefix
        {
            self.prefix = self.prefix.max(first.remove());
        }
    }

    fn add_island(&mut self, Range { mut start, mut end }: Range<u64>) {
        if start >= end {
            return;
        }
        // Every island that touches the new one becomes part of it.
        while let Some((&other, &other_end)) = self.islands.range(..=end).next_back()
            && other_end >= start
        {
            self.islands.remove(&other);
            (start, end) = (start.min(other), end.max(other_end));
        }
        if self.islands.len() < MAX_ISLANDS {
            self.islands.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_prefix_ends_at_the_first_byte_that_was_not_written(
            ranges in proptest::collection::vec((0_u64..60, 0_u64..9), 0..30),
        ) {
            let mut written = Written::default();
            let mut model = BTreeSet::new();
            for (start, length) in ranges {
                written.add(start..start + length);
                model.extend(start..start + length);
                let first_missing = (0..).find(|byte| !model.contains(byte)).expect("there is one");
                prop_assert_eq!(written.prefix(), first_missing);
                let ends: Vec<_> = written.islands.iter().flat_map(|(start, end)| [*start, *end]).collect();
                prop_assert!(ends.is_sorted_by(|a, b| a < b) && ends.first().is_none_or(|start| *start > first_missing));
            }
        }
    }

    #[test]
    fn islands_are_bounded() {
        let mut written = Written::default();
        for start in 1..10_000 {
            written.add(start * 2..start * 2 + 1);
        }
        assert_eq!(written.islands.len(), MAX_ISLANDS);
        written.add(0..2);
        assert_eq!(written.prefix(), 3);
    }
}
