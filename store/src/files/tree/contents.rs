//! The contents of all files as they arrive, in partial files.
//!
//! What arrives in order is hashed from memory; what came before its turn is read back later, a block with each write,
//! so that no write takes long. What was hashed is not written again, whatever comes: the root is of what is on the
//! disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::layout::{Layout, Span};
use super::part_folder::PartFolder;
use super::received::Received;
use super::recent::Recent;
use super::root::{Known, RootHasher};
use super::survey::{Claim, Held, InPlace};
use crate::files::journal::{self, Journal, Record};
use crate::files::written::Written;
use crate::system::SystemCalls;

/// What is read back at once while writing: as much as a write brings at most.
const HASH_BLOCK: u64 = 256 * 1024;
/// What is hashed at once when nothing else is to be done.
const CATCH_UP_BLOCK: u64 = 1024 * 1024;

/// The contents of all files, as far as they are there.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) received: Received,
    layout: Layout,
    /// Of the flow.
    written: Written,
    root: RootHasher,
    /// Of each file that is whole.
    hashes: Vec<[u8; 32]>,
    /// Files that are at their final place already.
    pub(super) in_place: BTreeMap<usize, InPlace>,
    files: Recent<File>,
    journal: Option<OpenJournal>,
    /// What is read back; kept for its memory.
    block: Vec<u8>,
    calls: SystemCalls,
}

/// The journal of the file that is being hashed.
#[derive(Debug)]
struct OpenJournal {
    entry: usize,
    journal: Journal,
    /// How much its newest record is about.
    recorded: u64,
}

impl Contents {
    /// What is not sent is what was claimed and is the `same`.
    pub(super) fn new(
        received: Received,
        encoded: &[u8],
        claims: Vec<Claim>,
        same: &[bool],
        calls: SystemCalls,
    ) -> Contents {
        let count = received.listing.entries().len();
        let (mut left_out, mut hashes) = (vec![0; count], vec![[0; 32]; count]);
        let (mut known, mut in_place) = (BTreeMap::new(), BTreeMap::new());
        for (Claim { part, held }, _) in claims.into_iter().zip(same).filter(|(_, same)| **same) {
            let entry = usize::try_from(part.entry).unwrap_or(usize::MAX);
            if let (Some(left_out), Some(hash)) = (left_out.get_mut(entry), hashes.get_mut(entry)) {
                (*left_out, *hash) = (part.bytes, part.blake3);
            }
            let what = match held {
                Held::Partial(Some(hasher)) => Known::Beginning(hasher),
                Held::Partial(None) => Known::Whole(part.blake3),
                Held::InPlace(found) => {
                    in_place.insert(entry, found);
                    Known::Whole(part.blake3)
                }
            };
            known.insert(entry, what);
        }
        let layout = Layout::new(encoded.len() as u64, &received.listing, left_out);
        let root = RootHasher::new(encoded, &received.listing, known);
        let mut written = Written::default();
        written.add(0..root.next());
        let (files, journal, block) = (Recent::default(), None, Vec::new());
        let mut contents = Contents { received, layout, written, root, hashes, in_place, files, journal, block, calls };
        contents.finish_files();
        contents
    }

    /// Where the flow ends.
    pub(super) fn end(&self) -> u64 {
        self.layout.end()
    }

    /// The hash of a file, once it is whole.
    pub(super) fn hash_of(&self, entry: usize) -> [u8; 32] {
        self.hashes.get(entry).copied().unwrap_or_default()
    }

    /// Files that are not at their final place yet.
    pub(super) fn arriving(&self) -> impl Iterator<Item = usize> + '_ {
        let files = self.received.entries().filter(|(_, entry)| entry.bytes.is_some());
        files.map(|(entry, _)| entry).filter(|entry| !self.in_place.contains_key(entry))
    }

    /// Whether a partial file that an earlier transfer left is gone on with.
    pub(super) fn goes_on_with(&self, entry: usize) -> bool {
        self.layout.offset_in(entry, 0) > 0 && !self.in_place.contains_key(&entry)
    }

    /// Writes a part of the flow, which ends at [`Contents::end`] at most.
    pub(super) fn write(&mut self, folder: &PartFolder, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let new = offset.max(self.root.next())..end;
        if new.is_empty() {
            return Ok(());
        }
        for Span { entry, offset: at, flow } in self.layout.spans(new.clone()) {
            let file = self.files.get_or_open(entry, || folder.open(&self.received.part_name(entry), true));
            self.calls.count();
            file.and_then(|file| file.write_all_at(part_of(bytes, offset, &flow), at))
                .map_err(|error| crate::about(&self.received.path(entry), "cannot be written", &error))?;
        }
        self.written.add(new.clone());
        if new.start == self.root.next() {
            self.hash(folder, new.start, part_of(bytes, offset, &new));
        }
        let known = self.written.prefix().min(self.end());
        self.read_back(folder, known.min(self.root.next().saturating_add(HASH_BLOCK)))
    }

    /// The root, of what is on the disk.
    pub(super) fn hash_all(&mut self, folder: Option<&PartFolder>) -> io::Result<[u8; 32]> {
        if let Some(folder) = folder {
            self.catch_up(folder, self.end())?;
        }
        self.root.finish().ok_or_else(|| io::Error::other("what was sent is not complete"))
    }

    /// Makes ready for a later transfer what was written; how much that is.
    pub(super) fn keep(&mut self, folder: &PartFolder) -> u64 {
        if let Err(error) = self.catch_up(folder, self.written.prefix().min(self.end())) {
            tracing::debug!("less than could be is kept: {error}");
        }
        let (entry, _) = self.root.at_hand();
        let there = self.layout.offset_in(entry, self.root.next());
        if self.received.has_journal(entry) {
            self.record(folder, there);
        } else if let Ok(file) = self.files.get_or_open(entry, || folder.open(&self.received.part_name(entry), false)) {
            // What is behind it has holes.
            let _ = file.set_len(there);
        }
        let went_on_with = self.arriving().map(|entry| self.layout.offset_in(entry, 0)).sum::<u64>();
        self.root.next().saturating_sub(self.layout.range(0).start).saturating_add(went_on_with)
    }

    /// Hashes what comes next in the flow.
    fn hash(&mut self, folder: &PartFolder, start: u64, bytes: &[u8]) {
        let spans: Vec<Span> = self.layout.spans(start..start.saturating_add(bytes.len() as u64)).collect();
        for Span { entry, flow, .. } in spans {
            self.root.update(part_of(bytes, start, &flow));
            if self.received.has_journal(entry) {
                let there = self.layout.offset_in(entry, self.root.next());
                let recorded = self.journal_of(entry).recorded;
                if there - recorded >= journal::INTERVAL || Some(there) == self.received.bytes(entry) {
                    self.record(folder, there);
                }
            }
            self.finish_files();
        }
    }

    fn finish_files(&mut self) {
        while let Some((entry, hash)) = self.root.finish_file(&self.layout) {
            if let Some(known) = self.hashes.get_mut(entry) {
                *known = hash;
            }
        }
    }

    fn catch_up(&mut self, folder: &PartFolder, end: u64) -> io::Result<()> {
        while self.root.next() < end {
            self.read_back(folder, end.min(self.root.next().saturating_add(CATCH_UP_BLOCK)))?;
        }
        Ok(())
    }

    fn read_back(&mut self, folder: &PartFolder, end: u64) -> io::Result<()> {
        let spans: Vec<Span> = self.layout.spans(self.root.next()..end).collect();
        let mut block = std::mem::take(&mut self.block);
        for Span { entry, offset, flow } in spans {
            block.resize(usize::try_from(flow.end - flow.start).unwrap_or(0), 0);
            let file = self.files.get_or_open(entry, || folder.open(&self.received.part_name(entry), false));
            self.calls.count();
            file.and_then(|file| file.read_exact_at(&mut block, offset)).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
                    io::Error::new(error.kind(), format!("{} is not complete", self.received.path(entry).display()))
                }
                _ => crate::about(&self.received.path(entry), "cannot be read", &error),
            })?;
            self.hash(folder, flow.start, &block);
        }
        self.block = block;
        Ok(())
    }

    fn journal_of(&mut self, entry: usize) -> &mut OpenJournal {
        if self.journal.as_ref().is_none_or(|open| open.entry != entry) {
            self.journal = None;
        }
        self.journal.get_or_insert_with(|| OpenJournal {
            entry,
            journal: Journal::of(&self.received.part_name(entry)),
            // So much the survey has confirmed.
            recorded: self.layout.offset_in(entry, 0),
        })
    }

    /// Notes how much of the file at hand was hashed. Without it a later transfer has to begin earlier.
    fn record(&mut self, folder: &PartFolder, bytes: u64) {
        let (entry, blake3) = self.root.at_hand();
        let open = self.journal_of(entry);
        if bytes <= open.recorded {
            return;
        }
        match open.journal.append(folder.handle(), Record { bytes, blake3 }) {
            Ok(()) => open.recorded = bytes,
            Err(error) => tracing::debug!("a journal cannot be written, so a later transfer may begin anew: {error}"),
        }
    }
}

/// The part of `bytes`, which begin at `start` of the flow, that is at `flow`.
fn part_of<'a>(bytes: &'a [u8], start: u64, flow: &Range<u64>) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.get(at(flow.start)..at(flow.end)).unwrap_or_default()
}
