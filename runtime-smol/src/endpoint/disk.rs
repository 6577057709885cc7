//! The files of the transfers: carries out what the machine says about them, and what it then must hear.
//!
//! Ranges are read and written at once, in the endpoint's thread: they come from and go to the page cache.
//! Hashing and naming a whole file take long, and go to another thread.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use toom_core::client::io::{Side, Start};
use toom_core::id::OfferId;
use toom_core::transfer::io::{Input, SLOT_BYTES, SLOTS, SlotId};
use toom_store::files::{Sink, Source};

use crate::in_words;

/// How much is gathered before it is written to a file: what a few receiving buffers hold.
const GATHERED_BYTES: usize = 256 * 1024;

/// The files of all transfers of an endpoint.
pub(super) struct Disk {
    downloads: PathBuf,
    files: BTreeMap<OfferId, File>,
    gathered: Gathered,
    finished: Arc<dyn Fn(Finished) + Send + Sync>,
}

/// One transfer's file.
enum File {
    Source {
        source: Source,
        /// Empty until they are used.
        slots: Vec<Vec<u8>>,
    },
    Sink(Sink),
    /// With the thread that does slow work on it.
    Away,
}

/// Neighbouring ranges that are to be written with one call.
#[derive(Default)]
struct Gathered {
    transfer: OfferId,
    offset: u64,
    bytes: Vec<u8>,
}

/// Slow work that is done.
#[derive(Debug)]
pub(super) struct Finished {
    transfer: OfferId,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Hashed(Sink, io::Result<[u8; 32]>),
    Published(io::Result<String>),
}

impl Disk {
    /// `finished` is called from another thread, and must not wait.
    pub(super) fn new(downloads: PathBuf, finished: impl Fn(Finished) + Send + Sync + 'static) -> Disk {
        Disk { downloads, files: BTreeMap::new(), gathered: Gathered::default(), finished: Arc::new(finished) }
    }

    /// Makes ready for a transfer; what the machine must hear if that fails.
    pub(super) fn open(&mut self, start: &Start, source: Option<Source>) -> Option<Input<'static>> {
        let file = match (&start.side, source) {
            (Side::Send { .. }, Some(source)) => {
                Ok(File::Source { source, slots: vec![Vec::new(); usize::from(SLOTS)] })
            }
            (Side::Send { .. }, None) => Err(io::Error::other("the file was not opened")),
            (Side::Receive { from, label }, _) => {
                Sink::create(&self.downloads, from, label, start.bytes).map(File::Sink)
            }
        };
        match file {
            Ok(file) => {
                self.files.insert(start.transfer, file);
                None
            }
            Err(error) => Some(failed(start.transfer, &error)),
        }
    }

    /// Reads a range into a slot; the hash too, once the whole file has been read.
    pub(super) fn read(
        &mut self,
        transfer: OfferId,
        offset: u64,
        length: usize,
        slot: SlotId,
    ) -> (Input<'static>, Option<Input<'static>>) {
        let Some(File::Source { source, slots }) = self.files.get_mut(&transfer) else {
            return (failed(transfer, &not_open()), None);
        };
        let Some(buffer) = slots.get_mut(usize::from(slot.0)) else {
            return (failed(transfer, &io::Error::other("there is no such buffer")), None);
        };
        buffer.resize(length.min(SLOT_BYTES), 0);
        match source.read_at(offset, buffer) {
            Ok(()) => {
                let hash = source.take_hash().map(|blake3| Input::SourceHashed { transfer, blake3 });
                (Input::Read { transfer, slot }, hash)
            }
            Err(error) => (failed(transfer, &error), None),
        }
    }

    /// The bytes of a slot; none if nothing was read into it.
    pub(super) fn slot(&self, transfer: OfferId, slot: SlotId) -> &[u8] {
        match self.files.get(&transfer) {
            Some(File::Source { slots, .. }) => slots.get(usize::from(slot.0)).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Takes a range that is to be written. What was gathered before is written first if this does not
    /// follow it in the same file.
    pub(super) fn write(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) -> Option<Input<'static>> {
        let Gathered { transfer: last, offset: start, bytes: gathered } = &self.gathered;
        let follows = *last == transfer && start.checked_add(gathered.len() as u64) == Some(offset);
        let fits = gathered.len() + bytes.len() <= GATHERED_BYTES;
        let written = if follows && fits { None } else { self.write_gathered() };
        if self.gathered.bytes.is_empty() {
            (self.gathered.transfer, self.gathered.offset) = (transfer, offset);
        }
        self.gathered.bytes.extend_from_slice(bytes);
        written
    }

    /// Writes what was gathered.
    pub(super) fn write_gathered(&mut self) -> Option<Input<'static>> {
        let Gathered { transfer, offset, ref bytes } = self.gathered;
        if bytes.is_empty() {
            return None;
        }
        let written = match self.files.get_mut(&transfer) {
            Some(File::Sink(sink)) => sink.write_at(offset, bytes),
            _ => Err(not_open()),
        };
        let input = match written {
            Ok(()) => Input::Written { transfer, bytes: bytes.len() as u64 },
            Err(error) => failed(transfer, &error),
        };
        self.gathered.bytes.clear();
        Some(input)
    }

    /// Hashes the whole partial file, elsewhere.
    pub(super) fn verify(&mut self, transfer: OfferId) -> Option<Input<'static>> {
        self.send_away(transfer, |mut sink| {
            let hash = sink.hash();
            Work::Hashed(sink, hash)
        })
    }

    /// Gives the file its final name, elsewhere: one that has the name already may have to be compared.
    pub(super) fn publish(&mut self, transfer: OfferId) -> Option<Input<'static>> {
        self.send_away(transfer, |sink| Work::Published(sink.publish()))
    }

    /// What the machine must hear about slow work that is done; nothing if its transfer is over.
    pub(super) fn finished(&mut self, Finished { transfer, work }: Finished) -> Option<Input<'static>> {
        let file = self.files.get_mut(&transfer).filter(|file| matches!(file, File::Away))?;
        let input = match work {
            Work::Hashed(sink, hash) => {
                *file = File::Sink(sink);
                hash.map(|blake3| Input::Verified { transfer, blake3 })
            }
            Work::Published(name) => name.map(|saved_as| Input::Published { transfer, saved_as }),
        };
        Some(input.unwrap_or_else(|error| failed(transfer, &error)))
    }

    /// Closes a transfer's file; a partial one is removed.
    pub(super) fn close(&mut self, transfer: OfferId) {
        self.files.remove(&transfer);
        if self.gathered.transfer == transfer {
            self.gathered.bytes.clear();
        }
    }

    /// Does slow work on a partial file in another thread.
    fn send_away(
        &mut self,
        transfer: OfferId,
        work: impl FnOnce(Sink) -> Work + Send + 'static,
    ) -> Option<Input<'static>> {
        match self.files.insert(transfer, File::Away) {
            Some(File::Sink(sink)) => {
                let finished = Arc::clone(&self.finished);
                smol::unblock(move || finished(Finished { transfer, work: work(sink) })).detach();
                None
            }
            _ => Some(failed(transfer, &not_open())),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("downloads", &self.downloads).finish_non_exhaustive()
    }
}

fn failed(transfer: OfferId, error: &io::Error) -> Input<'static> {
    Input::StorageFailed { transfer, reason: in_words(error) }
}

fn not_open() -> io::Error {
    io::Error::other("the file is not open")
}
