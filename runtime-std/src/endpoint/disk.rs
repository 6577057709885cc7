//! The files of the transfers.
//!
//! Reading and writing happen at once, in the driver's thread. What may take long, hashing a whole file or
//! comparing it with another, happens in a thread of its own, which owns the file meanwhile.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use toom_core::id::OfferId;
use toom_core::name::UserName;
use toom_core::text::FileLabel;
use toom_core::transfer::io::{SLOT_BYTES, SLOTS, SlotId};
use toom_store::files::{Sink, Source};

use super::driver::Mail;
use crate::mailbox::Posts;
use crate::{in_words, join, spawn_thread};

/// The open files of all transfers, and the thread for slow work.
pub(super) struct Disk {
    downloads: PathBuf,
    files: BTreeMap<OfferId, File>,
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

/// The file of one transfer.
enum File {
    /// Read to be sent; with the slots that hold what was read.
    Sending { source: Source, slots: Vec<Vec<u8>> },
    /// Being received.
    Receiving(Sink),
    /// With the worker.
    Away,
}

/// Slow work.
struct Job {
    transfer: OfferId,
    sink: Sink,
    work: Work,
}

enum Work {
    Hash,
    Publish,
}

/// What came of slow work, on its way to the driver.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) transfer: OfferId,
    sink: Option<Sink>,
    pub(super) result: Result<Outcome, String>,
}

/// What slow work says.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The hash of the whole partial file.
    Hashed([u8; 32]),
    /// The final name.
    Published(String),
}

impl Disk {
    /// Received files go to `downloads`; what the worker has finished is posted.
    pub(super) fn start(downloads: PathBuf, posts: Posts<Mail>) -> io::Result<Disk> {
        let (jobs, waiting) = mpsc::channel();
        let worker = spawn_thread("toom-disk", move || work(&waiting, &posts))?;
        Ok(Disk { downloads, files: BTreeMap::new(), jobs: Some(jobs), worker: Some(worker) })
    }

    /// Keeps a file that is to be sent.
    pub(super) fn send(&mut self, transfer: OfferId, source: Source) {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        self.files.insert(transfer, File::Sending { source, slots });
    }

    /// Makes the partial file of a transfer.
    pub(super) fn receive(
        &mut self,
        transfer: OfferId,
        from: &UserName,
        label: &FileLabel,
        bytes: u64,
    ) -> Result<(), String> {
        let sink = Sink::create(&self.downloads, from, label, bytes).map_err(|error| in_words(&error))?;
        self.files.insert(transfer, File::Receiving(sink));
        Ok(())
    }

    /// Reads a range of the source into a slot; the hash of the file if it has all been read now.
    pub(super) fn read(
        &mut self,
        transfer: OfferId,
        offset: u64,
        length: usize,
        slot: SlotId,
    ) -> Result<Option<[u8; 32]>, String> {
        let Some(File::Sending { source, slots }) = self.files.get_mut(&transfer) else { return Err(no_file()) };
        let slot = slots.get_mut(usize::from(slot.0)).ok_or_else(no_file)?;
        slot.resize(length.min(SLOT_BYTES), 0);
        source.read_at(offset, slot).map_err(|error| in_words(&error))?;
        Ok(source.take_hash())
    }

    /// What a slot holds.
    pub(super) fn slot(&self, transfer: OfferId, slot: SlotId) -> &[u8] {
        match self.files.get(&transfer) {
            Some(File::Sending { slots, .. }) => slots.get(usize::from(slot.0)).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Writes to the partial file.
    pub(super) fn write(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) -> Result<(), String> {
        let Some(File::Receiving(sink)) = self.files.get_mut(&transfer) else { return Err(no_file()) };
        sink.write_at(offset, bytes).map_err(|error| in_words(&error))
    }

    /// Hashes the partial file; `Finished` follows.
    pub(super) fn verify(&mut self, transfer: OfferId) -> Result<(), String> {
        self.give_away(transfer, Work::Hash)
    }

    /// Gives the partial file its final name; `Finished` follows.
    pub(super) fn publish(&mut self, transfer: OfferId) -> Result<(), String> {
        self.give_away(transfer, Work::Publish)
    }

    /// Takes back the file that slow work was about, unless it was closed meanwhile.
    pub(super) fn take_back(&mut self, finished: &mut Finished) {
        if let (Some(file @ File::Away), Some(sink)) = (self.files.get_mut(&finished.transfer), finished.sink.take()) {
            *file = File::Receiving(sink);
        }
    }

    /// Closes the file of a transfer; a partial one is removed.
    pub(super) fn close(&mut self, transfer: OfferId) {
        self.files.remove(&transfer);
    }

    fn give_away(&mut self, transfer: OfferId, work: Work) -> Result<(), String> {
        let file = self.files.get_mut(&transfer).ok_or_else(no_file)?;
        match (std::mem::replace(file, File::Away), &self.jobs) {
            (File::Receiving(sink), Some(jobs)) => {
                jobs.send(Job { transfer, sink, work }).map_err(|_| "the thread for files has ended".to_owned())
            }
            _ => Err(no_file()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.jobs = None;
        self.worker.take().into_iter().for_each(join);
    }
}

fn work(jobs: &Receiver<Job>, posts: &Posts<Mail>) {
    while let Ok(Job { transfer, mut sink, work }) = jobs.recv() {
        let finished = match work {
            Work::Hash => {
                let result = sink.hash().map(Outcome::Hashed);
                Finished { transfer, sink: Some(sink), result: result.map_err(|error| in_words(&error)) }
            }
            Work::Publish => {
                let result = sink.publish().map(Outcome::Published);
                Finished { transfer, sink: None, result: result.map_err(|error| in_words(&error)) }
            }
        };
        posts.post(Mail::Finished(finished));
    }
}

fn no_file() -> String {
    "the file is not open".to_owned()
}
