//! Files and folders that are read to be sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use toom_core::text::FileLabel;
use toom_core::transfer::parts::Part;

use super::layout::{Layout, Span};
use super::recent::Recent;
use super::root::{Known, MAX_BEGINNINGS, RootHasher};
use super::scan::{Scan, base_name, not_listed};
use crate::system::SystemCalls;

/// What is read at once only to be hashed.
const HASH_BLOCK: usize = 1024 * 1024;

/// Of the first name in a label of several: leaves room for ` and 65535 more`.
const MAX_FIRST_NAME_BYTES: usize = 140;

/// Files and folders that are read to be sent.
#[derive(Debug)]
pub struct TreeSource {
    scan: Scan,
    /// The listing.
    encoded: Vec<u8>,
    /// What is behind the listing; known once both ends were compared.
    flow: Option<Flow>,
    folders: Recent<OwnedFd>,
    files: Recent<File>,
    calls: SystemCalls,
}

/// What was found, to be offered.
#[derive(Debug)]
pub struct Opened {
    /// To read it.
    pub source: TreeSource,
    /// What it is called.
    pub label: FileLabel,
    /// The sizes of all files.
    pub bytes: u64,
    /// How much of the flow the listing takes.
    pub listing: u64,
    /// How many files and folders there are.
    pub entries: u32,
}

/// The contents.
#[derive(Debug)]
struct Flow {
    layout: Layout,
    /// Until the root was said, or can no longer be.
    root: Option<RootHasher>,
}

impl TreeSource {
    /// Looks through `paths`, files and folders, each of which becomes an entry at the top. What is in folders and is
    /// neither a file nor a folder is left out; a link is followed only if it is named itself.
    pub fn open(paths: &[PathBuf]) -> io::Result<Opened> {
        let [first, others @ ..] = paths else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to send: name a file or folder"));
        };
        let scan = Scan::of(paths)?;
        let encoded = scan.listing.encode().map_err(|why| not_listed(first, why))?;
        Ok(Opened {
            label: label(first, others.len())?,
            bytes: scan.listing.bytes(),
            listing: encoded.len() as u64,
            entries: u32::try_from(scan.listing.entries().len()).unwrap_or(u32::MAX),
            source: TreeSource {
                scan,
                encoded,
                flow: None,
                folders: Recent::default(),
                files: Recent::default(),
                calls: SystemCalls::default(),
            },
        })
    }

    /// Counts its reads in `calls` from now on.
    pub(in crate::files) fn count_in(&mut self, calls: SystemCalls) {
        self.calls = calls;
    }

    /// Fills `buffer` from `offset` of the flow: of the listing at once, of the contents after [`TreeSource::compare`].
    /// Hashes what it sees in order.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let whole = self.flow.as_ref().map_or(self.encoded.len() as u64, |flow| flow.layout.end());
        let Some(end) = offset.checked_add(buffer.len() as u64).filter(|end| *end <= whole) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such part of what is sent"));
        };
        let listing = self.encoded.get(index(offset)..).unwrap_or_default();
        let from_listing = listing.len().min(buffer.len());
        buffer[..from_listing].copy_from_slice(&listing[..from_listing]);
        let spans = |flow: &Flow| flow.layout.spans(offset..end).collect::<Vec<_>>();
        for Span { entry, offset: at, flow } in self.flow.as_ref().map(spans).unwrap_or_default() {
            self.read_file(entry, at, buffer.get_mut(within(&flow, offset)).unwrap_or_default())?;
        }
        self.see(offset..end, buffer).inspect_err(|_| self.give_up())
    }

    /// Which of the parts that the receiver has are what is here; one that makes no sense is not. They are left out
    /// of the flow from now on. Reads as much of the files.
    pub fn compare(&mut self, parts: &[Part]) -> io::Result<Vec<bool>> {
        if self.flow.is_some() {
            return Err(io::Error::other("what the receiver has was compared already"));
        }
        let mut known = BTreeMap::new();
        let mut left_out = vec![0; self.scan.listing.entries().len()];
        let mut beginnings = 0;
        let mut same = Vec::with_capacity(parts.len());
        for part in parts {
            let found = self.known_by(part, beginnings < MAX_BEGINNINGS)?;
            let entry = index(part.entry.into());
            let is_new = found.is_some() && !known.contains_key(&entry);
            same.push(is_new);
            if let Some(found) = found.filter(|_| is_new) {
                beginnings += usize::from(matches!(found, Known::Beginning(_)));
                known.insert(entry, found);
                left_out[entry] = part.bytes;
            }
        }
        let layout = Layout::new(self.encoded.len() as u64, &self.scan.listing, left_out);
        let root = RootHasher::new(&self.encoded, &self.scan.listing, known);
        self.flow = Some(Flow { layout, root: Some(root) });
        self.finish_files().inspect_err(|_| self.give_up())?;
        Ok(same)
    }

    /// The root, said once, when every byte of the flow has been read in order.
    pub fn take_hash(&mut self) -> Option<[u8; 32]> {
        let root = &mut self.flow.as_mut()?.root;
        let hash = root.as_ref()?.finish()?;
        *root = None;
        Some(hash)
    }

    /// What is known of a file if `part` is the same as here.
    fn known_by(&mut self, part: &Part, beginning_is_welcome: bool) -> io::Result<Option<Known>> {
        let entry = index(part.entry.into());
        let Some(bytes) = self.scan.listing.entries().get(entry).and_then(|entry| entry.bytes) else {
            return Ok(None);
        };
        let is_whole = part.bytes == bytes;
        if part.bytes > bytes || (!is_whole && (part.bytes == 0 || !beginning_is_welcome)) {
            return Ok(None);
        }
        let (mut hasher, mut buffer, mut offset) = (Box::<blake3::Hasher>::default(), vec![], 0);
        while offset < part.bytes {
            buffer.resize(index(part.bytes - offset).min(HASH_BLOCK), 0);
            self.read_file(entry, offset, &mut buffer)?;
            hasher.update(&buffer);
            offset += buffer.len() as u64;
        }
        if is_whole {
            self.expect_unchanged(entry)?;
        }
        let hash: [u8; 32] = hasher.finalize().into();
        let known = if is_whole { Known::Whole(hash) } else { Known::Beginning(hasher) };
        Ok((hash == part.blake3).then_some(known))
    }

    fn read_file(&mut self, entry: usize, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.files.get_or_open(entry, || self.scan.open(&mut self.folders, entry))?;
        self.calls.count();
        file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.scan.changed(entry),
            _ => crate::about(&self.scan.path(entry), "cannot be read", &error),
        })
    }

    /// Hashes the part of `buffer` that has not been seen, if all before it has been.
    fn see(&mut self, range: Range<u64>, buffer: &[u8]) -> io::Result<()> {
        let Some(Flow { layout, root: Some(root) }) = &self.flow else { return Ok(()) };
        let next = root.next();
        if !(range.start..range.end).contains(&next) {
            return Ok(());
        }
        for span in layout.spans(next..range.end).collect::<Vec<_>>() {
            if let Some(Flow { root: Some(root), .. }) = &mut self.flow {
                root.update(buffer.get(within(&span.flow, range.start)).unwrap_or_default());
            }
            self.finish_files()?;
        }
        Ok(())
    }

    /// Each file must still be what it was once all of it has been read.
    fn finish_files(&mut self) -> io::Result<()> {
        while let Some(Flow { layout, root: Some(root) }) = &mut self.flow
            && let Some((entry, _)) = root.finish_file(layout)
        {
            self.expect_unchanged(entry)?;
        }
        Ok(())
    }

    fn expect_unchanged(&mut self, entry: usize) -> io::Result<()> {
        let file = self.files.get_or_open(entry, || self.scan.open(&mut self.folders, entry))?;
        self.scan.expect_unchanged(entry, file)
    }

    /// A mixture of two states of a file has no hash.
    fn give_up(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.root = None;
        }
    }
}

/// The base name of the only path, or of the first of several with how many there are beside.
fn label(first: &Path, others: usize) -> io::Result<FileLabel> {
    let name = base_name(first).map_err(|error| crate::about(first, "cannot be opened", &error))?;
    let label = FileLabel::new(&name.to_string_lossy());
    if others == 0 {
        return Ok(label);
    }
    let name = label.as_str();
    let end = (0..=name.len().min(MAX_FIRST_NAME_BYTES)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    Ok(FileLabel::new(&format!("{} and {others} more", &name[..end])))
}

/// Where in a buffer that begins at `start` of the flow a part of the flow is.
fn within(part: &Range<u64>, start: u64) -> Range<usize> {
    index(part.start.saturating_sub(start))..index(part.end.saturating_sub(start))
}

/// More than memory has is beyond the end of everything.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
