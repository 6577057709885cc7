//! A partial file that is being received.
//!
//! Others may be able to write to the download directory too, so names in it are not trusted. All are one component
//! (neither a [`UserName`] nor a [`FileLabel`] has a separator), taken relative to a handle of the directory that is
//! opened once, and never followed if they are links: for that `openat` with `O_NOFOLLOW` is enough, and no `openat2`
//! is needed. Our file is known by its inode, not by its name.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use toom_core::name::UserName;
use toom_core::text::{FileLabel, received_name};
use toom_core::transfer::Have;

use super::journal::{self, Journal, Record};
use super::naming::{MAX_ALTERNATIVES, has_content, rename_without_replacing};
use super::part;
use super::running_hash::RunningHash;
use super::written::Written;
use crate::system::SystemCalls;

/// What is read back and hashed with a write at most: small enough not to hold up the datagrams behind it, and more
/// than a write brings, so that it gains on the writes.
const HASH_BLOCK: u64 = 512 * 1024;
/// Less is not worth reading back.
const MIN_READ_BACK: u64 = 64 * 1024;
/// What is hashed at once when nothing else is to be done.
const CATCH_UP_BLOCK: u64 = 1024 * 1024;
/// A beginning that is shorter is not worth keeping.
const MIN_KEPT: u64 = 1024 * 1024;

/// A partial file that is being received.
#[derive(Debug)]
pub struct Sink {
    /// All names are relative to this handle, so that nobody can swap the directory under us.
    directory: OwnedFd,
    /// For people.
    downloads: PathBuf,
    part: String,
    file: File,
    from: UserName,
    label: FileLabel,
    /// Its size; of a stream it is known when all of it is there.
    bytes: Option<u64>,
    written: Written,
    hash: RunningHash,
    hashed: u64,
    journal: Journal,
    /// How much the newest record of the journal is about.
    recorded: u64,
    /// An earlier transfer left something, which nobody has looked at yet.
    adopted: bool,
    /// What is being hashed; kept for its memory.
    block: Vec<u8>,
    calls: SystemCalls,
    /// The part file has been renamed or removed.
    settled: bool,
}

/// What became of a try to take a final name.
enum Taken {
    Ours,
    /// By a file with the same content.
    Same,
    /// By something else.
    Other,
}

impl Sink {
    /// Makes a private partial file in `downloads`, or goes on with one for the same file that an earlier transfer
    /// left there; others of that kind are removed. A stream begins anew, since its sender cannot go back.
    pub fn create(downloads: &Path, from: &UserName, label: &FileLabel, bytes: Option<u64>) -> io::Result<Sink> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(downloads, flags, Mode::empty()).map_err(|error| {
            let what = "cannot be used as the download directory";
            crate::about(downloads, what, &error.into())
        })?;
        let final_name = received_name(from, label, 1);
        let adopted = bytes.and_then(|_| part::adopt(&directory, &final_name));
        let is_adopted = adopted.is_some();
        let (part, file) = adopted
            .map_or_else(|| part::create(&directory, &final_name), Ok)
            .map_err(|error| crate::about(downloads, "does not let a file be made in it", &error.into()))?;
        part::remove_orphans(&directory, &final_name);
        Ok(Sink {
            directory,
            downloads: downloads.to_owned(),
            journal: Journal::of(&part),
            recorded: 0,
            adopted: is_adopted,
            part,
            file,
            from: from.clone(),
            label: label.clone(),
            bytes,
            written: Written::default(),
            hash: RunningHash::default(),
            hashed: 0,
            block: Vec::new(),
            calls: SystemCalls::default(),
            settled: false,
        })
    }

    /// Whether an earlier transfer left something, so that [`Sink::prepare`] takes its time.
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Looks at what an earlier transfer left, before anything is written: as much of its beginning as is what the
    /// journal says.
    pub fn prepare(&mut self) -> Have {
        self.adopted = false;
        let mut records = self.journal.read(&self.directory);
        records.retain(|record| self.bytes.is_none_or(|bytes| record.bytes <= bytes));
        let mut good = 0;
        for record in &records {
            let before = self.hash.clone();
            // What cannot be read is not there.
            if self.hash_to(record.bytes).is_err() || self.hash.finalize() != record.blake3 {
                self.hash = before;
                break;
            }
            good += 1;
        }
        records.truncate(good);
        let last = records.last().copied().unwrap_or(Record { bytes: 0, blake3: [0; 32] });
        (self.hashed, self.recorded) = (last.bytes, last.bytes);
        self.written.add(0..last.bytes);
        let cut = self.file.set_len(last.bytes).and_then(|()| self.journal.write(&self.directory, &records));
        if let Err(error) = cut {
            tracing::debug!("{}", self.failed("may have to begin anew if it is interrupted", &error));
        }
        Have { bytes: last.bytes, blake3: last.blake3 }
    }

    /// What was there is of another file: it is not what is written now.
    pub fn restart(&mut self) {
        self.written = Written::default();
        self.hash.reset();
        (self.hashed, self.recorded) = (0, 0);
        self.journal.remove(&self.directory);
    }

    /// Leaves what was written for a later transfer, if it is worth it.
    pub fn keep(mut self) {
        if self.adopted {
            // Nobody has looked at it, so it is as it was.
            self.settled = true;
            return;
        }
        let bytes = self.written.prefix();
        if self.bytes.is_some() && bytes >= MIN_KEPT && self.is_ours(&self.part) && self.hash_to(bytes).is_ok() {
            self.settled = bytes == self.recorded || self.record();
        }
    }

    /// Counts its writes and reads in `calls` from now on.
    pub(super) fn count_in(&mut self, calls: SystemCalls) {
        self.calls = calls;
    }

    /// Writes `bytes` at `offset`. Hashes what it sees in order.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| self.bytes.is_none_or(|all| *end <= all));
        let Some(end) = end else {
            let what = format!("{} would get more bytes than were offered", self.part_path().display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        self.calls.count();
        self.file.write_all_at(bytes, offset).map_err(|error| self.failed("cannot be written", &error))?;
        if offset < self.hashed && offset < end {
            // The hash must be of what is in the file now.
            self.hash.reset();
            self.hashed = 0;
            self.recorded = 0;
            self.journal.remove(&self.directory);
        }
        self.written.add(offset..end);
        self.hash_what_came(offset, bytes)?;
        if self.hashed - self.recorded >= journal::INTERVAL {
            self.record();
        }
        Ok(())
    }

    /// The BLAKE3 hash of the whole partial file.
    pub fn hash(&mut self) -> io::Result<[u8; 32]> {
        self.hash_to(self.length())?;
        Ok(self.hash.finalize())
    }

    /// Gives the file its final name, replacing nothing; the name it has now (or the name of the file with the
    /// same content that was there already).
    pub fn publish(mut self) -> io::Result<String> {
        let hash = self.hash()?;
        self.file.sync_data().map_err(|error| self.failed("cannot be written", &error))?;
        self.give_ordinary_permissions();
        for attempt in 1..=MAX_ALTERNATIVES {
            let name = received_name(&self.from, &self.label, attempt);
            match self.take(&name, hash) {
                Ok(Taken::Ours) => {
                    self.settled = true;
                    self.journal.remove(&self.directory);
                    // So that the name survives a power failure; some file systems cannot, and need not, do that.
                    let _ = rustix::fs::fsync(&self.directory);
                    return Ok(name);
                }
                // Dropping ourselves removes the partial file.
                Ok(Taken::Same) => return Ok(name),
                Ok(Taken::Other) => {}
                Err(error) => return Err(self.not_named(&name, &error)),
            }
        }
        let name = self.downloads.join(received_name(&self.from, &self.label, 1));
        let what = format!("{} and all its alternatives are taken", name.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
    }

    fn length(&self) -> u64 {
        self.bytes.unwrap_or(self.written.prefix())
    }

    /// Hashes what was written, if nothing before it is missing; otherwise some of what was written before is read
    /// back.
    fn hash_what_came(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset == self.hashed {
            self.hash.update(bytes);
            self.hashed += bytes.len() as u64;
        }
        let known = self.written.prefix();
        if known - self.hashed < MIN_READ_BACK {
            return Ok(());
        }
        self.hash_up_to(known.min(self.hashed + HASH_BLOCK))
    }

    /// Notes what was hashed; whether that could be done. Without it a later transfer has to begin earlier.
    fn record(&mut self) -> bool {
        let record = Record { bytes: self.hashed, blake3: self.hash.finalize() };
        let written = self.journal.append(&self.directory, record);
        match &written {
            Ok(()) => self.recorded = self.hashed,
            Err(error) => tracing::debug!("{}", self.failed("has a journal that cannot be written", error)),
        }
        written.is_ok()
    }

    fn hash_to(&mut self, end: u64) -> io::Result<()> {
        while self.hashed < end {
            self.hash_up_to(end.min(self.hashed + CATCH_UP_BLOCK))?;
        }
        Ok(())
    }

    fn hash_up_to(&mut self, end: u64) -> io::Result<()> {
        self.block.resize(usize::try_from(end - self.hashed).unwrap_or(0), 0);
        self.calls.count();
        self.file.read_exact_at(&mut self.block, self.hashed).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), format!("{} is not complete", self.part_path().display()))
            }
            _ => self.failed("cannot be read", &error),
        })?;
        self.hash.update(&self.block);
        self.hashed = end;
        Ok(())
    }

    /// Renames the partial file to `name` unless that is taken, and says by what.
    fn take(&self, name: &str, hash: [u8; 32]) -> io::Result<Taken> {
        // Something else under the name of the partial file must not be passed off as what was received.
        if !self.is_ours(&self.part) {
            return Err(replaced());
        }
        match rename_without_replacing(&self.directory, &self.part, &self.directory, name) {
            Ok(()) if self.is_ours(name) => Ok(Taken::Ours),
            Ok(()) => Err(replaced()),
            Err(Errno::EXIST) if has_content(&self.directory, name, self.length(), hash) => Ok(Taken::Same),
            Err(Errno::EXIST) => Ok(Taken::Other),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `name` is the file that we write to.
    fn is_ours(&self, name: &str) -> bool {
        let named = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(named), Ok(ours)) = (named, rustix::fs::fstat(&self.file)) else { return false };
        (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)
    }

    /// The partial file was for its owner only; the final one is what any new file would be.
    fn give_ordinary_permissions(&self) {
        if let Some(umask) = umask() {
            let mode = Mode::from_raw_mode(0o666) & !umask;
            // A file system without permissions is no reason to lose the file.
            let _ = rustix::fs::fchmod(&self.file, mode);
        }
    }

    fn part_path(&self) -> PathBuf {
        self.downloads.join(&self.part)
    }

    fn failed(&self, what: &str, error: &io::Error) -> io::Error {
        crate::about(&self.part_path(), what, error)
    }

    fn not_named(&self, name: &str, error: &io::Error) -> io::Error {
        crate::about(&self.downloads.join(name), "cannot be made", error)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.settled || !self.is_ours(&self.part) {
            return;
        }
        self.journal.remove(&self.directory);
        if let Err(error) = rustix::fs::unlinkat(&self.directory, &self.part, AtFlags::empty()) {
            tracing::warn!("{}", self.failed("cannot be removed", &error.into()));
        }
    }
}

fn replaced() -> io::Error {
    io::Error::other("somebody removed or replaced the partial file")
}

/// The permissions that new files of this process do not get. Read from the system, since the call that tells
/// it also changes it, for all threads.
fn umask() -> Option<Mode> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok().map(Mode::from_raw_mode)
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
