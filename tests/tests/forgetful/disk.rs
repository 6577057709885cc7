//! What a disk has of the files of one directory: what is durable, what is only in the page cache, and what a crash
//! leaves of that.
//!
//! The rules are those that SQLite's documentation of its VFS promises, and nothing more:
//!
//! - What is written to a file, and its length, is durable after the next sync of that file. Before that each
//!   512-byte sector of each write may be there or not, in any order, and a file may have grown without its content.
//! - Bytes that were not written do not change (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`, which SQLite's own VFS reports).
//!   No other promise of `SQLITE_IOCAP_*` is used.
//! - A file that was made or deleted is durably so after the next sync of the directory. Before that each name may
//!   be as it was at any moment since, also without regard to other names.
//! - After a sync that failed, nobody knows what is durable, and a later sync does not bring back what it forgot:
//!   Linux marks such pages as clean.

use std::collections::{BTreeMap, BTreeSet};

use toom_tests::sim::dice::Dice;

/// The smallest part of a write that a crash keeps or loses.
const SECTOR: usize = 512;

/// The files of a directory: content by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A file, whatever its name is, and whether or not it still has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(u64);

/// The files of one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    made: u64,
    files: BTreeMap<FileId, File>,
    /// Which names there are, as programs see it.
    names: BTreeMap<String, FileId>,
    /// Which names a crash leaves for sure.
    durable_names: BTreeMap<String, FileId>,
    /// What happened to names since the directory was synced, oldest first; `None` is a deletion.
    unsynced_names: Vec<(String, Option<FileId>)>,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What programs see.
    cached: Vec<u8>,
    /// What a crash leaves for sure.
    durable: Vec<u8>,
    /// What happened since the file was synced, oldest first.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize { length: usize },
}

/// What becomes of the changes of one file that were not synced.
enum Fate {
    Lost,
    Kept,
    /// All before this one are kept, and some sectors of it.
    KeptUntil(usize),
    /// Each sector is kept with this probability.
    Scattered(f64),
}

impl Disk {
    /// A disk that has these files for sure.
    pub(crate) fn holding(image: &Image) -> Disk {
        let mut disk = Disk::default();
        for (name, content) in image {
            let id = disk.make(name, content);
            disk.sync(id);
        }
        disk.sync_directory();
        disk
    }

    /// The file of this name.
    pub(crate) fn find(&self, name: &str) -> Option<FileId> {
        self.names.get(name).copied()
    }

    /// Makes a file with some content, neither of which is durable.
    pub(crate) fn make(&mut self, name: &str, content: &[u8]) -> FileId {
        let id = FileId(self.made);
        self.made += 1;
        self.files.insert(id, File::default());
        self.names.insert(name.into(), id);
        self.unsynced_names.push((name.into(), Some(id)));
        if !content.is_empty() {
            self.write(id, 0, content);
        }
        id
    }

    /// Deletes a name. Those who have the file open keep it.
    pub(crate) fn delete(&mut self, name: &str) {
        if self.names.remove(name).is_some() {
            self.unsynced_names.push((name.into(), None));
        }
    }

    /// Writes to a file.
    pub(crate) fn write(&mut self, id: FileId, offset: usize, bytes: &[u8]) {
        self.change(id, Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Sets the length of a file.
    pub(crate) fn resize(&mut self, id: FileId, length: usize) {
        self.change(id, Change::Resize { length });
    }

    /// Makes the content of a file durable; not its name.
    pub(crate) fn sync(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(&id) {
            for change in file.unsynced.drain(..) {
                change.apply(&mut file.durable);
            }
        }
    }

    /// As [`Disk::sync`], but it fails: some of the changes become durable, the others never will.
    pub(crate) fn fail_to_sync(&mut self, id: FileId, dice: &mut Dice) {
        if let Some(file) = self.files.get_mut(&id) {
            file.durable = file.after_crash(dice);
            file.unsynced.clear();
        }
    }

    /// Makes all names durable as they are.
    pub(crate) fn sync_directory(&mut self) {
        self.durable_names = self.names.clone();
        self.unsynced_names.clear();
        let named: BTreeSet<_> = self.names.values().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    /// Whether a crash may take something of the file of this name.
    pub(crate) fn is_unsynced(&self, name: &str) -> bool {
        self.find(name).and_then(|id| self.files.get(&id)).is_some_and(|file| !file.unsynced.is_empty())
    }

    /// What programs see: durable or not. It is what the death of a process leaves.
    pub(crate) fn cached(&self) -> Image {
        self.names.iter().map(|(name, id)| (name.clone(), self.files[id].cached.clone())).collect()
    }

    /// What the loss of power leaves.
    pub(crate) fn after_crash(&self, dice: &mut Dice) -> Image {
        let mut names = self.durable_names.clone();
        let changed: BTreeSet<_> = self.unsynced_names.iter().map(|(name, _)| name).collect();
        for name in changed {
            let changes: Vec<_> = self.unsynced_names.iter().filter(|(other, _)| other == name).collect();
            // Changes of one name happen in order; how many of them did?
            match changes.get(up_to(dice, changes.len()).wrapping_sub(1)) {
                Some((_, Some(id))) => drop(names.insert(name.clone(), *id)),
                Some((_, None)) => drop(names.remove(name)),
                None => {}
            }
        }
        names.into_iter().map(|(name, id)| (name, self.files[&id].after_crash(dice))).collect()
    }

    fn change(&mut self, id: FileId, change: Change) {
        if let Some(file) = self.files.get_mut(&id) {
            change.apply(&mut file.cached);
            file.unsynced.push(change);
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(content, *offset, bytes),
            Change::Resize { length } => content.resize(*length, 0),
        }
    }
}

impl File {
    fn after_crash(&self, dice: &mut Dice) -> Vec<u8> {
        let mut content = self.durable.clone();
        let fate = Fate::draw(dice, self.unsynced.len());
        for (place, change) in self.unsynced.iter().enumerate() {
            match change {
                Change::Resize { length } if fate.keeps(place, dice) => content.resize(*length, 0),
                Change::Resize { .. } => {}
                Change::Write { offset, bytes } => {
                    for (offset, sector) in sectors(*offset, bytes) {
                        if fate.keeps(place, dice) {
                            put(&mut content, offset, sector);
                        } else if offset >= content.len() && fate.grows(dice) {
                            // The length made it to the disk, the content did not.
                            let mut rubbish = vec![0; sector.len()];
                            dice.fill(&mut rubbish);
                            put(&mut content, offset, &rubbish);
                        }
                    }
                }
            }
        }
        content
    }
}

impl Fate {
    fn draw(dice: &mut Dice, changes: usize) -> Fate {
        match dice.within(0..=5) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 | 3 => Fate::KeptUntil(up_to(dice, changes)),
            4 => Fate::Scattered(0.9),
            _ => Fate::Scattered(0.3),
        }
    }

    /// Whether one sector of the change at `place` is kept.
    fn keeps(&self, place: usize, dice: &mut Dice) -> bool {
        match self {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::KeptUntil(torn) => place < *torn || (place == *torn && dice.chance(0.5)),
            Fate::Scattered(probability) => dice.chance(*probability),
        }
    }

    /// Whether the file has grown by a sector that was lost.
    fn grows(&self, dice: &mut Dice) -> bool {
        !matches!(self, Fate::Lost) && dice.chance(0.2)
    }
}

fn up_to(dice: &mut Dice, most: usize) -> usize {
    dice.within(0..=most as u64) as usize
}

/// Writes over `content`, which grows as needed; a hole is zeros.
fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// The parts of a write that lie in different sectors, with their offsets.
fn sectors(mut offset: usize, mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (part, rest) = bytes.split_at(bytes.len().min(SECTOR - offset % SECTOR));
        parts.push((offset, part));
        offset += part.len();
        bytes = rest;
    }
    parts
}
