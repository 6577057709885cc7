//! What is known of the beginning of a partial file, so that a later transfer can go on there.
//!
//! Beside `.NAME.RANDOM.part` lies `.NAME.RANDOM.journal`, with a record for every few megabytes: so many bytes from the
//! beginning were written, and this is their hash. It is not synced, and others may be able to write to it: nothing in
//! it is believed before the partial file was hashed again, and the sender has compared the hash with that of its file.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// How many bytes of file a record is about at least: what a crash takes.
pub(super) const INTERVAL: u64 = 8 * 1024 * 1024;

/// Length 8, hash 32, checksum 8.
const RECORD_BYTES: usize = 48;

/// Records that are read: of a file of 80 TB.
const MAX_RECORDS: usize = 10_000_000;

/// The first `bytes` of a partial file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) bytes: u64,
    pub(super) blake3: [u8; 32],
}

/// The journal of one partial file. It comes into being with its first record.
#[derive(Debug)]
pub(super) struct Journal {
    name: String,
    file: Option<File>,
}

impl Journal {
    /// That of a partial file.
    pub(super) fn of(part: &str) -> Journal {
        Journal { name: name_of(part), file: None }
    }

    /// What it says, in order, up to the first record that is damaged or makes no sense.
    pub(super) fn read(&self, directory: &OwnedFd) -> Vec<Record> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(directory, &self.name, flags, Mode::empty()) else { return Vec::new() };
        let (mut records, mut reader) = (Vec::<Record>::new(), std::io::BufReader::new(File::from(file)));
        let mut encoded = [0; RECORD_BYTES];
        while records.len() < MAX_RECORDS
            && reader.read_exact(&mut encoded).is_ok()
            && let Some(record) = decode(&encoded)
            && records.last().is_none_or(|last| last.bytes < record.bytes)
        {
            records.push(record);
        }
        records
    }

    /// Replaces everything in it.
    pub(super) fn write(&mut self, directory: &OwnedFd, records: &[Record]) -> std::io::Result<()> {
        self.remove(directory);
        records.iter().try_for_each(|record| self.append(directory, *record))
    }

    /// Adds a record.
    pub(super) fn append(&mut self, directory: &OwnedFd, record: Record) -> std::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = rustix::fs::openat(directory, &self.name, flags, Mode::RUSR | Mode::WUSR)?;
                self.file.insert(file.into())
            }
        };
        file.write_all(&encode(record))
    }

    /// Removes it, if it is there.
    pub(super) fn remove(&mut self, directory: &OwnedFd) {
        self.file = None;
        remove(directory, &self.name);
    }
}

/// Whether a partial file has a journal.
pub(super) fn is_there(directory: &OwnedFd, part: &str) -> bool {
    rustix::fs::statat(directory, name_of(part), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Removes the journal of a partial file, if there is one.
pub(super) fn remove_of(directory: &OwnedFd, part: &str) {
    remove(directory, &name_of(part));
}

fn remove(directory: &OwnedFd, name: &str) {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => tracing::debug!("the journal {name} stays: {error}"),
    }
}

fn name_of(part: &str) -> String {
    format!("{}.journal", part.strip_suffix(".part").unwrap_or(part))
}

fn encode(Record { bytes, blake3 }: Record) -> [u8; RECORD_BYTES] {
    let mut encoded = [0; RECORD_BYTES];
    encoded[..8].copy_from_slice(&bytes.to_be_bytes());
    encoded[8..40].copy_from_slice(&blake3);
    let checksum = checksum(&encoded[..40]);
    encoded[40..].copy_from_slice(&checksum);
    encoded
}

fn decode(encoded: &[u8; RECORD_BYTES]) -> Option<Record> {
    let (content, sum) = encoded.split_at(40);
    let (bytes, blake3) = content.split_at(8);
    let record = Record { bytes: u64::from_be_bytes(bytes.try_into().ok()?), blake3: blake3.try_into().ok()? };
    (checksum(content) == *sum).then_some(record)
}

/// Against a record that was written halfway.
fn checksum(content: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(content).as_bytes()[..8]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PART: &str = ".yoda_film.mp4.0123abcd.part";
    const JOURNAL: &str = ".yoda_film.mp4.0123abcd.journal";

    fn record(bytes: u64) -> Record {
        Record { bytes, blake3: [bytes as u8; 32] }
    }

    #[test]
    fn records_come_back_up_to_the_first_that_is_damaged_or_not_larger() {
        let downloads = tempfile::tempdir().expect("a directory");
        let directory = rustix::fs::open(downloads.path(), OFlags::RDONLY, Mode::empty()).expect("opened");
        let mut journal = Journal::of(PART);
        assert_eq!((journal.read(&directory), is_there(&directory, PART)), (vec![], false));
        for bytes in [5, 9, 12] {
            journal.append(&directory, record(bytes)).expect("appended");
        }
        assert_eq!(Journal::of(PART).read(&directory), [record(5), record(9), record(12)]);
        let path = downloads.path().join(JOURNAL);
        let whole = fs::read(&path).expect("read");
        for place in 0..whole.len() {
            let mut bent = whole.clone();
            bent[place] ^= 1;
            fs::write(&path, bent).expect("written");
            assert_eq!(journal.read(&directory).len(), place / RECORD_BYTES);
        }
        fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        assert_eq!(journal.read(&directory), [record(5), record(9)]);
        journal.write(&directory, &[record(7), record(7), record(8)]).expect("written");
        assert_eq!(journal.read(&directory), [record(7)]);
        remove_of(&directory, PART);
        assert!(!path.exists() && !is_there(&directory, PART));
    }
}
