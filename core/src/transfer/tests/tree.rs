//! A folder, or several files: what to the machines is a run of bytes that begins with a listing.

use core::ops::Range;

use super::end::hash;
use crate::transfer::parts::Part;

/// What the driver of one end knows of the files.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// So many bytes are the listing.
    pub(super) listing: usize,
    /// How long each file is.
    pub(super) sizes: Vec<usize>,
    /// How much of each file a receiver has.
    pub(super) has: Vec<usize>,
    /// The listing and all contents; at a receiver as far as it has them.
    pub(super) whole: Vec<u8>,
    /// What is sent of it, once that is known.
    pub(super) sent: Option<Vec<Range<usize>>>,
}

impl Tree {
    /// Where a file is in the whole.
    pub(super) fn place(&self, entry: usize) -> Range<usize> {
        let start = self.listing + self.sizes[..entry].iter().sum::<usize>();
        start..start + self.sizes[entry]
    }

    /// What a receiver has.
    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |(entry, has): (usize, &usize)| Part {
            entry: entry as u32,
            bytes: *has as u64,
            blake3: hash(&self.whole[self.place(entry)][..*has]),
        };
        self.has.iter().enumerate().filter(|(_, has)| **has > 0).map(part).collect()
    }

    /// Which parts are the same in one's own files.
    pub(super) fn compare(&self, parts: &[Part]) -> Vec<bool> {
        let ours = |part: &Part| self.whole[self.place(part.entry as usize)].get(..part.bytes as usize).map(hash);
        parts.iter().map(|part| ours(part) == Some(part.blake3)).collect()
    }

    /// The contents are without these parts.
    pub(super) fn leave_out(&mut self, parts: &[Part], same: &[bool]) {
        let mut starts: Vec<usize> = (0..self.sizes.len()).map(|entry| self.place(entry).start).collect();
        for (part, _) in parts.iter().zip(same).filter(|(_, same)| **same) {
            starts[part.entry as usize] += part.bytes as usize;
        }
        let rest = starts.iter().enumerate().map(|(entry, start)| *start..self.place(entry).end);
        self.sent = Some(core::iter::once(0..self.listing).chain(rest).collect());
    }

    /// What is sent, one after the other.
    pub(super) fn flow(&self) -> Vec<u8> {
        let listing = || core::iter::once(0..self.listing).collect();
        let sent = self.sent.clone().unwrap_or_else(listing);
        sent.into_iter().flat_map(|range| self.whole[range].to_vec()).collect()
    }

    /// That has arrived: the whole now.
    pub(super) fn complete(&mut self, flow: &[u8]) {
        let mut at = 0;
        for range in self.sent.clone().expect("agreed") {
            let end = at + range.len();
            self.whole[range].copy_from_slice(&flow[at..end]);
            at = end;
        }
        assert_eq!(at, flow.len());
    }
}
