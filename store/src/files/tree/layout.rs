//! Where each byte of the flow belongs.

use std::ops::Range;

use toom_core::transfer::listing::Listing;

/// The map from offsets of the flow to files and offsets in them.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where each entry begins in the flow, and at last where the flow ends.
    starts: Vec<u64>,
    /// How much of the beginning of each is not sent.
    left_out: Vec<u64>,
}

/// A run of the flow that is in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) entry: usize,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Where it is in the flow.
    pub(super) flow: Range<u64>,
}

impl Layout {
    /// For a listing that takes `encoded` bytes itself; `left_out` is how much of each entry is not sent.
    pub(super) fn new(encoded: u64, listing: &Listing, mut left_out: Vec<u64>) -> Layout {
        left_out.resize(listing.entries().len(), 0);
        let (mut starts, mut start) = (vec![encoded], encoded);
        for (entry, left_out) in listing.entries().iter().zip(&left_out) {
            start += entry.bytes.unwrap_or(0).saturating_sub(*left_out);
            starts.push(start);
        }
        Layout { starts, left_out }
    }

    /// Where the flow ends.
    pub(super) fn end(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Where an entry is in the flow.
    pub(super) fn range(&self, entry: usize) -> Range<u64> {
        let at = |entry: usize| self.starts.get(entry).copied().unwrap_or(self.end());
        at(entry)..at(entry.saturating_add(1))
    }

    /// How far into a file an offset of the flow is.
    pub(super) fn offset_in(&self, entry: usize, flow: u64) -> u64 {
        flow.saturating_sub(self.range(entry).start) + self.left_out.get(entry).copied().unwrap_or(0)
    }

    /// The files that `range` is in, in order; nothing for what is not contents.
    pub(super) fn spans(&self, range: Range<u64>) -> impl Iterator<Item = Span> + '_ {
        // Of those that begin here, all but the last are empty.
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let entries = first..self.left_out.len();
        let end = range.end;
        entries.take_while(move |entry| self.range(*entry).start < end).filter_map(move |entry| {
            let Range { start, end } = self.range(entry);
            let flow = start.max(range.start)..end.min(range.end);
            let offset = self.offset_in(entry, flow.start);
            (flow.start < flow.end).then_some(Span { entry, offset, flow })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use toom_core::text::FileLabel;
    use toom_core::transfer::listing::Entry;

    proptest! {
        #[test]
        fn every_byte_belongs_where_a_list_of_all_bytes_says(
            sizes in proptest::collection::vec((proptest::option::of(0_u64..9), 0_u64..9), 0..12),
            encoded in 0_u64..5,
            start in 0_u64..60,
            length in 0_u64..60,
        ) {
            let mut listing = Listing::default();
            // What each byte of the flow is, one by one.
            let mut bytes = vec![None; encoded as usize];
            let mut left_out = Vec::new();
            for (entry, (size, known)) in sizes.iter().enumerate() {
                let name = FileLabel::new("a");
                listing.push(Entry { folder: None, name, permissions: 0, bytes: *size }).expect("listed");
                let known = size.map_or(0, |size| size.min(*known));
                left_out.push(known);
                bytes.extend((known..size.unwrap_or(0)).map(|offset| Some((entry, offset))));
            }
            let layout = Layout::new(encoded, &listing, left_out);
            prop_assert_eq!(layout.end(), bytes.len() as u64);
            let mut found = Vec::new();
            for Span { entry, offset, flow } in layout.spans(start..start + length) {
                prop_assert!(!flow.is_empty());
                found.extend(flow.clone().map(|at| (at, entry, offset + at - flow.start)));
            }
            let expected: Vec<_> = (start..start + length)
                .filter_map(|at| bytes.get(at as usize).copied().flatten().map(|(entry, offset)| (at, entry, offset)))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
