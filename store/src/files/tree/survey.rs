//! Looking what of a listing is there already.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use toom_core::transfer::parts::Part;

use super::part_folder::PartFolder;
use super::places::Places;
use super::received::Received;
use super::root::MAX_BEGINNINGS;
use super::stat::{Identity, Modified, identity, kind, modified, size};
use crate::files::journal::Journal;
use crate::files::naming::WARILY;
use crate::system::SystemCalls;

/// What is read at once only to be hashed.
const HASH_BLOCK: u64 = 1024 * 1024;

/// Something that is there, and where.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) part: Part,
    pub(super) held: Held,
}

/// Where something is.
#[derive(Debug)]
pub(super) enum Held {
    /// All of it, at its final place.
    InPlace(InPlace),
    /// A partial file; with the hasher of it unless it is whole.
    Partial(Option<Box<blake3::Hasher>>),
}

/// A file at its final place, as it was when it was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InPlace {
    identity: Identity,
    bytes: u64,
    modified: Modified,
}

/// Looks for the files of a listing.
pub(super) struct Survey<'a> {
    pub(super) received: &'a Received,
    pub(super) folder: Option<&'a PartFolder>,
    pub(super) calls: &'a SystemCalls,
}

impl InPlace {
    /// None if it is no regular file.
    pub(super) fn of(stat: &Stat) -> Option<InPlace> {
        let bytes = size(stat);
        let is_file = kind(stat) == FileType::RegularFile;
        is_file.then_some(InPlace { identity: identity(stat), bytes, modified: modified(stat) })
    }
}

impl Survey<'_> {
    /// What there is, in the order of the listing. What cannot be read is not there.
    pub(super) fn claims(&self, mut places: Places<'_>) -> io::Result<Vec<Claim>> {
        let (mut claims, mut beginnings) = (Vec::new(), 0);
        for (entry, listed) in self.received.entries() {
            let Some(bytes) = listed.bytes else {
                places.find(entry)?;
                continue;
            };
            let found = match self.in_place(&mut places, entry, bytes) {
                Some(found) => Some(found),
                None if beginnings < MAX_BEGINNINGS => self.partial(entry, bytes),
                None => None,
            };
            if let (Some((bytes, blake3, held)), Ok(number)) = (found, u32::try_from(entry)) {
                beginnings += usize::from(matches!(held, Held::Partial(Some(_))));
                claims.push(Claim { part: Part { entry: number, bytes, blake3 }, held });
            }
        }
        Ok(claims)
    }

    fn in_place(&self, places: &mut Places<'_>, entry: usize, bytes: u64) -> Option<(u64, [u8; 32], Held)> {
        // A listing that has the same name many times must not have one file hashed as often.
        if !places.has_folder(entry) || !places.is_first_visit(entry) {
            return None;
        }
        let around = places.around(entry).ok()?;
        let name = self.received.name(entry, 1);
        let file = rustix::fs::openat(around, &name, OFlags::RDONLY | WARILY, Mode::empty()).ok()?;
        let found = InPlace::of(&rustix::fs::fstat(&file).ok()?).filter(|found| found.bytes == bytes)?;
        let file = File::from(file);
        let mut hasher = blake3::Hasher::new();
        self.hash(&file, &mut hasher, 0, bytes).ok()?;
        // It must not have changed while it was hashed.
        let after = InPlace::of(&rustix::fs::fstat(&file).ok()?)?;
        (after == found).then(|| (bytes, hasher.finalize().into(), Held::InPlace(found)))
    }

    /// What an earlier transfer left: as much as the journal says and the file confirms, or all of a small file.
    fn partial(&self, entry: usize, bytes: u64) -> Option<(u64, [u8; 32], Held)> {
        let (folder, name) = (self.folder?, self.received.part_name(entry));
        let file = folder.open(&name, false).ok()?;
        let there = file.metadata().ok()?.len();
        let mut hasher = Box::<blake3::Hasher>::default();
        let good = if self.received.has_journal(entry) {
            self.confirmed(folder, &name, &file, &mut hasher, bytes)
        } else if there <= bytes {
            self.hash(&file, &mut hasher, 0, there).ok()?;
            there
        } else {
            0
        };
        // What is behind it would be a longer file than was announced, or is written again.
        file.set_len(good).ok()?;
        let hash = hasher.finalize().into();
        (good > 0).then_some((good, hash, Held::Partial((good < bytes).then_some(hasher))))
    }

    /// How much of a large file is what its journal says.
    fn confirmed(&self, folder: &PartFolder, name: &str, file: &File, hasher: &mut blake3::Hasher, bytes: u64) -> u64 {
        let mut journal = Journal::of(name);
        let mut records = journal.read(folder.handle());
        records.retain(|record| record.bytes <= bytes);
        let (mut good, mut hashed) = (0, 0);
        for record in &records {
            let before = hasher.clone();
            let is_read = self.hash(file, hasher, hashed, record.bytes).is_ok();
            if !is_read || *hasher.finalize().as_bytes() != record.blake3 {
                *hasher = before;
                break;
            }
            (good, hashed) = (good + 1, record.bytes);
        }
        records.truncate(good);
        if let Err(error) = journal.write(folder.handle(), &records) {
            tracing::debug!("the journal of {name} cannot be written, so a later transfer may begin anew: {error}");
        }
        hashed
    }

    fn hash(&self, file: &File, hasher: &mut blake3::Hasher, from: u64, to: u64) -> io::Result<()> {
        let (mut block, mut at) = (Vec::new(), from);
        while at < to {
            block.resize(usize::try_from((to - at).min(HASH_BLOCK)).unwrap_or(0), 0);
            self.calls.count();
            file.read_exact_at(&mut block, at)?;
            hasher.update(&block);
            at += block.len() as u64;
        }
        Ok(())
    }
}
