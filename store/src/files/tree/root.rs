//! The hash of a whole transfer, made from the flow in order: of the listing, and then of the hash of each file.
//!
//! Both ends make it alike. Only one file is at hand at a time, so that one hasher is enough, beside those of files
//! whose beginning the receiver has.

use std::collections::BTreeMap;

use toom_core::transfer::listing::Listing;

use super::layout::Layout;
use crate::files::running_hash::RunningHash;

/// Files of which the receiver has a beginning only, and whose hashers wait: two megabytes. Usually it is one, where
/// an earlier transfer was interrupted.
pub(super) const MAX_BEGINNINGS: usize = 1_024;

/// What is known of a file before the flow comes to it.
#[derive(Debug)]
pub(super) enum Known {
    /// All of it.
    Whole([u8; 32]),
    /// What is left out of the flow.
    Beginning(Box<blake3::Hasher>),
}

/// Hashes the contents of all files as they come.
#[derive(Debug)]
pub(super) struct RootHasher {
    /// Of the listing and the files before the one at hand.
    root: blake3::Hasher,
    known: BTreeMap<usize, Known>,
    /// Which entries are files.
    is_file: Vec<bool>,
    /// The entry at hand.
    entry: usize,
    hash: RunningHash,
    /// How far in the flow.
    next: u64,
}

impl RootHasher {
    /// Begins behind the listing.
    pub(super) fn new(encoded: &[u8], listing: &Listing, known: BTreeMap<usize, Known>) -> RootHasher {
        let mut root = blake3::Hasher::new();
        root.update(encoded);
        let is_file = listing.entries().iter().map(|entry| entry.bytes.is_some()).collect();
        let mut new =
            RootHasher { root, known, is_file, entry: 0, hash: RunningHash::default(), next: encoded.len() as u64 };
        new.take_up();
        new
    }

    /// How far in the flow everything was hashed.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The file at hand, and the hash of what was seen of it.
    pub(super) fn at_hand(&mut self) -> (usize, [u8; 32]) {
        (self.entry, self.hash.finalize())
    }

    /// Hashes what comes next of the file at hand.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.next += bytes.len() as u64;
    }

    /// Goes on to the next file if the one at hand has ended: that and its hash. Call it until there is none. Files
    /// that were known as a whole are not said.
    pub(super) fn finish_file(&mut self, layout: &Layout) -> Option<(usize, [u8; 32])> {
        while self.entry < self.is_file.len() && self.next >= layout.range(self.entry).end {
            let finished = self.entry;
            let (hash, is_new) = match self.known.remove(&finished) {
                Some(Known::Whole(hash)) => (hash, false),
                _ => (self.hash.finalize(), true),
            };
            self.entry += 1;
            self.take_up();
            if self.is_file.get(finished) == Some(&true) {
                self.root.update(&hash);
                if is_new {
                    return Some((finished, hash));
                }
            }
        }
        None
    }

    /// The root, once there is no file left.
    pub(super) fn finish(&self) -> Option<[u8; 32]> {
        (self.entry >= self.is_file.len()).then(|| self.root.finalize().into())
    }

    fn take_up(&mut self) {
        match self.known.get_mut(&self.entry) {
            Some(Known::Beginning(hasher)) => self.hash = RunningHash::from(std::mem::take(hasher)),
            _ => self.hash.reset(),
        }
    }
}
