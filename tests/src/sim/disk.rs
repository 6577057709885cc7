//! A client's files, in memory. Everything takes a while, and comes back in the order in which it was asked.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use toom_core::client::io::SourceId;
use toom_core::id::OfferId;
use toom_core::name::UserName;
use toom_core::text::{FileLabel, received_name};
use toom_core::time::Instant;
use toom_core::transfer::io::{SLOTS, SlotId};

use super::dice::Dice;
use super::fault::{DiskTrouble, FaultKind};
use super::options::WorkOptions;
use super::pending::Pending;

/// The content of a file.
pub type Content = Arc<[u8]>;

/// What everything takes at most on a slow disk.
const SLOW: Duration = Duration::from_secs(2);

/// A client's disk.
#[derive(Debug)]
pub struct Disk {
    under_way: Pending<Work>,
    work: WorkOptions,
    dice: Dice,
    opened: BTreeMap<SourceId, Content>,
    sources: BTreeMap<OfferId, Source>,
    sinks: BTreeMap<OfferId, Sink>,
    downloads: BTreeMap<String, Vec<u8>>,
    troubles: BTreeSet<DiskTrouble>,
    /// What went wrong and was not taken yet.
    suffered: Vec<FaultKind>,
}

/// Something that takes a while.
#[derive(Debug)]
pub enum Work {
    /// Open a file for sending.
    Open {
        /// Echoed.
        source: SourceId,
        /// Which file.
        path: PathBuf,
    },
    /// Read a range into a slot.
    Read {
        /// Which transfer.
        transfer: OfferId,
        /// From where.
        offset: u64,
        /// How much.
        length: usize,
        /// Where to.
        slot: SlotId,
    },
    /// So many bytes were written.
    Written {
        /// Which transfer.
        transfer: OfferId,
        /// How many.
        bytes: u64,
    },
    /// Hash a partial file.
    Verify {
        /// Which transfer.
        transfer: OfferId,
    },
    /// Give it its final name.
    Publish {
        /// Which transfer.
        transfer: OfferId,
    },
}

#[derive(Debug)]
struct Source {
    content: Content,
    slots: Vec<Vec<u8>>,
    hasher: blake3::Hasher,
    hashed: u64,
    hash_told: bool,
}

#[derive(Debug)]
struct Sink {
    from: UserName,
    label: FileLabel,
    content: Vec<u8>,
}

impl Disk {
    /// A disk with nothing but these files in its folder for downloads.
    pub fn new(work: WorkOptions, dice: Dice, downloads: BTreeMap<String, Vec<u8>>) -> Disk {
        Disk {
            under_way: Pending::default(),
            work,
            dice,
            opened: BTreeMap::new(),
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            downloads,
            troubles: BTreeSet::new(),
            suffered: Vec::new(),
        }
    }

    /// It goes wrong in this way, too, from now on.
    pub fn spoil(&mut self, trouble: DiskTrouble) {
        self.troubles.insert(trouble);
    }

    /// It is well again. What changed meanwhile stays changed.
    pub fn mend(&mut self) {
        self.troubles.clear();
    }

    /// What went wrong since the last call.
    pub fn take_suffered(&mut self) -> Vec<FaultKind> {
        core::mem::take(&mut self.suffered)
    }

    /// Starts something.
    pub fn ask(&mut self, now: Instant, work: Work) {
        let slow = self.troubles.contains(&DiskTrouble::Slow);
        let time = self.dice.up_to(if slow { SLOW } else { self.work.file });
        if time > self.work.file {
            self.suffered.push(FaultKind::SlowDisk);
        }
        self.under_way.push_in_order(now + time, work);
    }

    /// The next thing that is done.
    pub fn pop_due(&mut self, now: Instant) -> Option<Work> {
        self.under_way.pop_due(now)
    }

    /// When the next thing is done.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.deadline()
    }

    /// Opens a file to be sent.
    pub fn open(&mut self, source: SourceId, content: Content) -> Result<(), String> {
        self.try_reading()?;
        self.opened.insert(source, content);
        Ok(())
    }

    /// It will not be sent.
    pub fn close_source(&mut self, source: SourceId) {
        self.opened.remove(&source);
    }

    /// It is sent by this transfer.
    pub fn start_source(&mut self, transfer: OfferId, source: SourceId) -> bool {
        let Some(content) = self.opened.remove(&source) else { return false };
        let slots = vec![Vec::new(); usize::from(SLOTS)];
        let hasher = blake3::Hasher::new();
        self.sources.insert(transfer, Source { content, slots, hasher, hashed: 0, hash_told: false });
        true
    }

    /// A new partial file of this transfer.
    pub fn create_sink(
        &mut self,
        transfer: OfferId,
        from: &UserName,
        label: &FileLabel,
        bytes: u64,
    ) -> Result<(), String> {
        self.try_writing()?;
        let content = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.sinks.insert(transfer, Sink { from: from.clone(), label: label.clone(), content });
        Ok(())
    }

    /// Reads a range into a slot; the hash of the whole file when its end is read for the first time in order.
    pub fn read(
        &mut self,
        transfer: OfferId,
        offset: u64,
        length: usize,
        slot: SlotId,
    ) -> Result<Option<[u8; 32]>, String> {
        self.try_reading()?;
        if self.troubles.contains(&DiskTrouble::SourcesChange) {
            self.change_source(transfer);
        }
        let source = self.sources.get_mut(&transfer).ok_or("no such source")?;
        let start = usize::try_from(offset).map_err(|_| "too far")?;
        let range = source.content.get(start..start + length).ok_or("the file is shorter than that")?;
        source.slots[usize::from(slot.0)] = range.to_vec();
        if offset == source.hashed {
            source.hasher.update(range);
            source.hashed += length as u64;
        }
        let whole = source.hashed == source.content.len() as u64 && !source.hash_told;
        source.hash_told |= whole;
        Ok(whole.then(|| source.hasher.finalize().into()))
    }

    /// The bytes of a slot.
    pub fn slot(&self, transfer: OfferId, slot: SlotId) -> &[u8] {
        &self.sources[&transfer].slots[usize::from(slot.0)]
    }

    /// Writes a range of a partial file.
    pub fn write(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) -> Result<(), String> {
        self.try_writing()?;
        let sink = self.sinks.get_mut(&transfer).ok_or("no such partial file")?;
        let start = usize::try_from(offset).map_err(|_| "too far")?;
        let range = sink.content.get_mut(start..start + bytes.len()).ok_or("a write beyond the end")?;
        range.copy_from_slice(bytes);
        Ok(())
    }

    /// The hash of a partial file.
    pub fn hash(&mut self, transfer: OfferId) -> Result<[u8; 32], String> {
        self.try_reading()?;
        let sink = self.sinks.get(&transfer).ok_or("no such partial file")?;
        Ok(blake3::hash(&sink.content).into())
    }

    /// Gives a partial file its final name, replacing nothing; the name that has its content now.
    pub fn publish(&mut self, transfer: OfferId) -> Result<String, String> {
        self.try_writing()?;
        let sink = self.sinks.remove(&transfer).ok_or("no such partial file")?;
        for name in (1..).map(|attempt| received_name(&sink.from, &sink.label, attempt)) {
            match self.downloads.get(&name) {
                Some(there) if *there == sink.content => return Ok(name),
                Some(_) => {}
                None => {
                    self.downloads.insert(name.clone(), sink.content);
                    return Ok(name);
                }
            }
        }
        Err("all names are taken".into())
    }

    /// The transfer is over.
    pub fn close(&mut self, transfer: OfferId) {
        self.sources.remove(&transfer);
        self.sinks.remove(&transfer);
    }

    /// What was received and published, by name.
    pub fn downloads(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.downloads
    }

    /// Partial files, with the names that they would get.
    pub fn partial_files(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.sinks.values().map(|sink| (received_name(&sink.from, &sink.label, 1), sink.content.as_slice()))
    }

    fn try_reading(&mut self) -> Result<(), String> {
        if !self.troubles.contains(&DiskTrouble::ReadsFail) {
            return Ok(());
        }
        self.suffered.push(FaultKind::ClientReadError);
        Err("the disk cannot be read".into())
    }

    fn try_writing(&mut self) -> Result<(), String> {
        if !self.troubles.contains(&DiskTrouble::WritesFail) {
            return Ok(());
        }
        self.suffered.push(FaultKind::ClientWriteError);
        Err("the disk cannot be written".into())
    }

    /// Somebody writes to a file while it is sent, and leaves its size and time as they were: only its hash tells.
    fn change_source(&mut self, transfer: OfferId) {
        let Some(source) = self.sources.get_mut(&transfer) else { return };
        let Some(last) = source.content.len().checked_sub(1) else { return };
        let place = self.dice.within(0..=last as u64) as usize;
        Arc::make_mut(&mut source.content)[place] ^= 1 << self.dice.within(0..=7);
        self.suffered.push(FaultKind::SourceChange);
    }
}

#[cfg(test)]
mod tests;
