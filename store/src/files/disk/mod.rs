//! The files of all transfers of an endpoint: carries out what the transfer machine says about them, and keeps what
//! it then must hear.
//!
//! Ranges are read and written at once, by whoever calls: they come from and go to the page cache. Hashing and
//! naming a whole file take long, and are handed out as a [`Job`] (`jobs`), as is reading and writing a stream (`streams`).

mod jobs;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

use toom_core::client::io::{Destination, Side, Start};
use toom_core::id::OfferId;
use toom_core::name::UserName;
use toom_core::text::FileLabel;
use toom_core::transfer::Have;
use toom_core::transfer::io::{Input, SLOT_BYTES, SLOTS, SlotId};

use super::Sink;
use super::content::{ContentSink, ContentSource, wrong_kind};
use super::job::{Job, Work};
use super::stream::{self, StreamSink, StreamSource};
use super::tree::TreeSink;
use crate::system::{SystemCalls, in_words};

/// How much is gathered before it is written to a file: what a few receiving buffers hold.
const GATHERED_BYTES: usize = 256 * 1024;

/// The files of all transfers of an endpoint.
pub struct Disk {
    downloads: PathBuf,
    files: BTreeMap<OfferId, File>,
    gathered: Gathered,
    /// What the machine must hear.
    inputs: VecDeque<Input<'static>>,
    calls: SystemCalls,
    start_job: Box<dyn FnMut(Job) + Send>,
    /// Instead of the standard streams.
    streams: (Option<stream::Input>, Option<stream::Output>),
}

/// One transfer's file.
enum File {
    Source {
        source: ContentSource,
        /// Empty until they are used.
        slots: Vec<Vec<u8>>,
    },
    Sink(ContentSink),
    StreamSource {
        source: StreamSource,
        slots: Vec<Vec<u8>>,
    },
    StreamSink(StreamSink),
    /// With a job.
    Away,
    /// It could not be opened, or has its final name.
    Gone,
}

/// Neighbouring ranges that are to be written with one call.
#[derive(Default)]
struct Gathered {
    transfer: OfferId,
    offset: u64,
    bytes: Vec<u8>,
}

impl Disk {
    /// Received files go to `downloads`. `start_job` has slow work done elsewhere, and must not wait for it.
    pub fn new(downloads: PathBuf, start_job: impl FnMut(Job) + Send + 'static) -> Disk {
        Disk {
            downloads,
            files: BTreeMap::new(),
            gathered: Gathered::default(),
            inputs: VecDeque::new(),
            calls: SystemCalls::default(),
            start_job: Box::new(start_job),
            streams: (None, None),
        }
    }

    /// Reading and writing system calls.
    pub fn system_calls(&self) -> &SystemCalls {
        &self.calls
    }

    /// The next thing that the machine must hear.
    pub fn next_input(&mut self) -> Option<Input<'static>> {
        self.inputs.pop_front()
    }

    /// The transfers that have not been closed.
    pub fn transfers(&self) -> Vec<OfferId> {
        self.files.keys().copied().collect()
    }

    /// Makes ready for a transfer; `source` for a sending one.
    pub fn open(&mut self, start: &Start, source: Option<ContentSource>) {
        let transfer = start.transfer;
        let file = match (&start.side, source) {
            (Side::Send { .. }, _) if start.bytes.is_none() => self.open_input(transfer),
            (Side::Receive { into: Destination::Stream, .. }, _) => self.open_output(transfer),
            (Side::Send { .. }, Some(mut source)) => {
                source.count_in(self.calls.clone());
                Ok(File::source(source))
            }
            (Side::Send { .. }, None) => Err(io::Error::other("the file was not opened")),
            (Side::Receive { from, label, .. }, _) => self.create(start, from, label).map(File::Sink),
        };
        let file = file.unwrap_or_else(|error| {
            self.failed(start.transfer, &error);
            File::Gone
        });
        let is_new = match &file {
            File::Sink(sink) => !sink.is_adopted(),
            file => matches!(file, File::StreamSink(_)),
        };
        let is_adopted = matches!(&file, File::Sink(sink) if sink.is_adopted());
        self.files.insert(transfer, file);
        if is_new {
            self.inputs.push_back(Input::Prepared { transfer, have: Have::default() });
        }
        if is_adopted {
            self.send_away(transfer, |sink| match sink {
                ContentSink::File(mut sink) => {
                    let have = sink.prepare();
                    Work::Prepared(sink, have)
                }
                // Not adopted so early.
                sink => Work::Hashed(sink, Err(not_open())),
            });
        }
    }

    /// The contents are sent without these parts of what was surveyed.
    pub fn leave_out(&mut self, transfer: OfferId, same: &[bool]) {
        let agreed = match self.files.get_mut(&transfer) {
            Some(File::Sink(ContentSink::Tree(sink))) => sink.agreed(same),
            _ => Err(wrong_kind(transfer)),
        };
        if let Err(error) = agreed {
            self.failed(transfer, &error);
        }
    }

    /// What an earlier transfer left is of another file.
    pub fn restart(&mut self, transfer: OfferId) {
        match self.files.get_mut(&transfer) {
            Some(File::Sink(ContentSink::File(sink))) => sink.restart(),
            _ => self.failed(transfer, &not_open()),
        }
    }

    /// What of a stream is before `offset` is not read again.
    pub fn release(&mut self, transfer: OfferId, offset: u64) {
        if let Some(File::StreamSource { source, .. }) = self.files.get(&transfer) {
            source.release(offset);
        }
    }

    /// Reads a range into a slot; the hash is said too, once the whole file has been read.
    pub fn read(&mut self, transfer: OfferId, offset: u64, length: usize, slot: SlotId) {
        match self.try_to_read(transfer, offset, length, slot) {
            Ok(hash) => {
                self.inputs.push_back(Input::Read { transfer, slot });
                self.inputs.extend(hash.map(|blake3| Input::SourceHashed { transfer, blake3 }));
            }
            Err(error) => self.failed(transfer, &error),
        }
    }

    /// The bytes of a slot; none if nothing was read into it.
    pub fn slot(&self, transfer: OfferId, slot: SlotId) -> &[u8] {
        match self.files.get(&transfer) {
            Some(File::Source { slots, .. } | File::StreamSource { slots, .. }) => {
                slots.get(usize::from(slot.0)).map_or(&[], Vec::as_slice)
            }
            _ => &[],
        }
    }

    /// Takes a range that is to be written. What was gathered before is written first if this does not follow it
    /// in the same file.
    pub fn write(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) {
        if let Some(File::StreamSink(sink)) = self.files.get(&transfer) {
            if !sink.put(offset, bytes) {
                self.failed(transfer, &io::Error::other("more has come than there is room for"));
            }
            return;
        }
        let Gathered { transfer: last, offset: start, bytes: gathered } = &self.gathered;
        let follows = *last == transfer && start.checked_add(gathered.len() as u64) == Some(offset);
        let fits = gathered.len() + bytes.len() <= GATHERED_BYTES;
        if !(follows && fits) {
            self.flush();
        }
        if self.gathered.bytes.is_empty() {
            (self.gathered.transfer, self.gathered.offset) = (transfer, offset);
        }
        self.gathered.bytes.extend_from_slice(bytes);
    }

    /// Writes what was gathered: to be called when no more datagrams are at hand.
    pub fn flush(&mut self) {
        let Gathered { transfer, offset, ref bytes } = self.gathered;
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len() as u64;
        let written = match self.files.get_mut(&transfer) {
            Some(File::Sink(sink)) => sink.write_at(offset, bytes),
            _ => Err(not_open()),
        };
        self.gathered.bytes.clear();
        match written {
            Ok(()) => self.inputs.push_back(Input::Written { transfer, bytes: length }),
            Err(error) => self.failed(transfer, &error),
        }
    }

    /// Closes a transfer's file; a partial one is left for a later transfer, or removed.
    pub fn close(&mut self, transfer: OfferId, keep: bool) {
        if self.gathered.transfer == transfer {
            match keep {
                true => self.flush(),
                false => self.gathered.bytes.clear(),
            }
        }
        match self.files.remove(&transfer) {
            Some(File::Sink(sink)) if keep => sink.keep(),
            _ => {}
        }
    }

    fn try_to_read(
        &mut self,
        transfer: OfferId,
        offset: u64,
        length: usize,
        slot: SlotId,
    ) -> io::Result<Option<[u8; 32]>> {
        match self.files.get_mut(&transfer) {
            Some(File::Source { source, slots }) => {
                source.read_at(offset, sized(slots, slot, length)?)?;
                Ok(source.take_hash())
            }
            Some(File::StreamSource { source, slots }) => {
                source.read_at(offset, sized(slots, slot, length)?)?;
                Ok(None)
            }
            _ => Err(not_open()),
        }
    }

    fn create(&self, start: &Start, from: &UserName, label: &FileLabel) -> io::Result<ContentSink> {
        let mut sink = match start.listing {
            None => ContentSink::File(Box::new(Sink::create(&self.downloads, from, label, start.bytes)?)),
            Some(listing) => {
                let bytes = start.bytes.unwrap_or(0);
                ContentSink::Tree(Box::new(TreeSink::create(&self.downloads, from, label, listing, bytes)?))
            }
        };
        sink.count_in(self.calls.clone());
        Ok(sink)
    }

    fn failed(&mut self, transfer: OfferId, error: &io::Error) {
        self.inputs.push_back(Input::StorageFailed { transfer, reason: in_words(error) });
    }
}

impl File {
    fn source(source: ContentSource) -> File {
        File::Source { source, slots: slots() }
    }
}

fn slots() -> Vec<Vec<u8>> {
    vec![Vec::new(); usize::from(SLOTS)]
}

/// The buffer of a slot, with this length.
fn sized(slots: &mut [Vec<u8>], slot: SlotId, length: usize) -> io::Result<&mut [u8]> {
    let no_slot = || io::Error::other("there is no such buffer");
    let buffer = slots.get_mut(usize::from(slot.0)).ok_or_else(no_slot)?;
    buffer.resize(length.min(SLOT_BYTES), 0);
    Ok(buffer)
}

fn not_open() -> io::Error {
    io::Error::other("the file is not open")
}

#[cfg(test)]
mod tests;
