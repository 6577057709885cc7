//! The files of all transfers of an endpoint: carries out what the transfer machine says about them, and keeps what
//! it then must hear.
//!
//! Ranges are read and written at once, by whoever calls: they come from and go to the page cache. Hashing and
//! naming a whole file take long, and are handed out as a [`Job`].

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

use toom_core::client::io::{Side, Start};
use toom_core::id::OfferId;
use toom_core::transfer::Have;
use toom_core::transfer::io::{Input, SLOT_BYTES, SLOTS, SlotId};

use super::{Sink, Source};
use crate::system::{SystemCalls, in_words};

/// How much is gathered before it is written to a file: what a few receiving buffers hold.
const GATHERED_BYTES: usize = 256 * 1024;

/// Slow work on a file, for a thread that may take its time; [`Disk::finished`] is to be given what it came to.
pub type Job = Box<dyn FnOnce() -> Finished + Send>;

/// The files of all transfers of an endpoint.
pub struct Disk {
    downloads: PathBuf,
    files: BTreeMap<OfferId, File>,
    gathered: Gathered,
    /// What the machine must hear.
    inputs: VecDeque<Input<'static>>,
    calls: SystemCalls,
    start_job: Box<dyn FnMut(Job) + Send>,
}

/// Slow work that is done.
#[derive(Debug)]
pub struct Finished {
    transfer: OfferId,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Prepared(Sink, Have),
    Compared(Source, io::Result<[u8; 32]>),
    Hashed(Sink, io::Result<[u8; 32]>),
    Published(io::Result<String>),
}

/// One transfer's file.
enum File {
    Source {
        source: Source,
        /// Empty until they are used.
        slots: Vec<Vec<u8>>,
    },
    Sink(Sink),
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
    pub fn open(&mut self, start: &Start, source: Option<Source>) {
        let transfer = start.transfer;
        let file = match (&start.side, source) {
            (Side::Send { .. }, Some(mut source)) => {
                source.count_in(self.calls.clone());
                Ok(File::source(source))
            }
            (Side::Send { .. }, None) => Err(io::Error::other("the file was not opened")),
            (Side::Receive { from, label }, _) => {
                Sink::create(&self.downloads, from, label, start.bytes).map(|mut sink| {
                    sink.count_in(self.calls.clone());
                    File::Sink(sink)
                })
            }
        };
        let file = file.unwrap_or_else(|error| {
            self.failed(start.transfer, &error);
            File::Gone
        });
        let is_new = matches!(&file, File::Sink(sink) if !sink.is_adopted());
        let is_adopted = matches!(&file, File::Sink(sink) if sink.is_adopted());
        self.files.insert(transfer, file);
        if is_new {
            self.inputs.push_back(Input::Prepared { transfer, have: Have::default() });
        }
        if is_adopted {
            self.send_away(transfer, |mut sink| {
                let have = sink.prepare();
                Work::Prepared(sink, have)
            });
        }
    }

    /// Hashes the beginning of a source, elsewhere.
    pub fn compare(&mut self, transfer: OfferId, bytes: u64) {
        match self.files.get_mut(&transfer) {
            Some(file @ File::Source { .. }) => {
                let File::Source { mut source, .. } = std::mem::replace(file, File::Away) else { return };
                (self.start_job)(Box::new(move || {
                    let hash = source.hash_beginning(bytes);
                    Finished { transfer, work: Work::Compared(source, hash) }
                }));
            }
            _ => self.failed(transfer, &not_open()),
        }
    }

    /// What an earlier transfer left is of another file.
    pub fn restart(&mut self, transfer: OfferId) {
        match self.files.get_mut(&transfer) {
            Some(File::Sink(sink)) => sink.restart(),
            _ => self.failed(transfer, &not_open()),
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
            Some(File::Source { slots, .. }) => slots.get(usize::from(slot.0)).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Takes a range that is to be written. What was gathered before is written first if this does not follow it
    /// in the same file.
    pub fn write(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) {
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

    /// Hashes the whole partial file, elsewhere.
    pub fn verify(&mut self, transfer: OfferId) {
        // All of it must be in the file before it is hashed.
        self.flush();
        self.send_away(transfer, |mut sink| {
            let hash = sink.hash();
            Work::Hashed(sink, hash)
        });
    }

    /// Gives the file its final name, elsewhere: one that has the name already may have to be compared.
    pub fn publish(&mut self, transfer: OfferId) {
        self.send_away(transfer, |sink| Work::Published(sink.publish()));
    }

    /// Takes back what a job came to; nothing follows if its transfer is over.
    pub fn finished(&mut self, Finished { transfer, work }: Finished) {
        let Some(file) = self.files.get_mut(&transfer).filter(|file| matches!(file, File::Away)) else {
            if let Work::Prepared(sink, _) | Work::Hashed(sink, _) = work {
                sink.keep();
            }
            return;
        };
        let mut read = None;
        let input = match work {
            Work::Prepared(sink, have) => {
                *file = File::Sink(sink);
                Ok(Input::Prepared { transfer, have })
            }
            Work::Compared(mut source, hash) => {
                read = source.take_hash().map(|blake3| Input::SourceHashed { transfer, blake3 });
                *file = File::source(source);
                hash.map(|blake3| Input::Compared { transfer, blake3 })
            }
            Work::Hashed(sink, hash) => {
                *file = File::Sink(sink);
                hash.map(|blake3| Input::Verified { transfer, blake3 })
            }
            Work::Published(name) => {
                *file = File::Gone;
                name.map(|saved_as| Input::Published { transfer, saved_as })
            }
        };
        match input {
            Ok(input) => self.inputs.extend([input].into_iter().chain(read)),
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
        let Some(File::Source { source, slots }) = self.files.get_mut(&transfer) else { return Err(not_open()) };
        let no_slot = || io::Error::other("there is no such buffer");
        let buffer = slots.get_mut(usize::from(slot.0)).ok_or_else(no_slot)?;
        buffer.resize(length.min(SLOT_BYTES), 0);
        source.read_at(offset, buffer)?;
        Ok(source.take_hash())
    }

    fn send_away(&mut self, transfer: OfferId, work: fn(Sink) -> Work) {
        match self.files.get_mut(&transfer) {
            Some(file @ File::Sink(_)) => {
                let File::Sink(sink) = std::mem::replace(file, File::Away) else { return };
                (self.start_job)(Box::new(move || Finished { transfer, work: work(sink) }));
            }
            _ => self.failed(transfer, &not_open()),
        }
    }

    fn failed(&mut self, transfer: OfferId, error: &io::Error) {
        self.inputs.push_back(Input::StorageFailed { transfer, reason: in_words(error) });
    }
}

impl File {
    fn source(source: Source) -> File {
        File::Source { source, slots: vec![Vec::new(); usize::from(SLOTS)] }
    }
}

fn not_open() -> io::Error {
    io::Error::other("the file is not open")
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
