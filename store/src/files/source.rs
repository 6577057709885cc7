//! A file that is read to be sent.
//!
//! What is sent must be one state of the file, not a mixture of two: once all of it has been read, its size and
//! time of modification must be what they were when it was opened. Another file that takes its name meanwhile does
//! not matter, since ours stays open.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use toom_core::text::FileLabel;

use super::running_hash::RunningHash;
use crate::system::SystemCalls;

/// What is read at once only to be hashed.
const HASH_BLOCK: usize = 1024 * 1024;

/// A file that is read to be sent.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// When it was opened; `None` if the file system does not tell.
    modified: Option<SystemTime>,
    hash: Hash,
    calls: SystemCalls,
}

/// The hash of what was read in order.
#[derive(Debug)]
enum Hash {
    /// Of the bytes up to `next`.
    Growing { hash: RunningHash, next: u64 },
    /// Of the whole file.
    Known([u8; 32]),
    /// It was taken.
    Taken,
}

impl Source {
    /// Opens a regular file; its label and size.
    pub fn open(path: &Path) -> io::Result<(Source, FileLabel, u64)> {
        // Without NONBLOCK, opening a pipe would wait for somebody to write to it.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| crate::about(path, "cannot be opened", &error))?;
        let metadata = file.metadata().map_err(|error| crate::about(path, "cannot be opened", &error))?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a directory", path.display())));
        }
        if !metadata.is_file() {
            let what = format!("{} is not a regular file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        let hash = Hash::Growing { hash: RunningHash::default(), next: 0 };
        Ok((
            Source { path: path.to_owned(), file, bytes, modified, hash, calls: SystemCalls::default() },
            FileLabel::new(&name),
            bytes,
        ))
    }

    /// Counts its reads in `calls` from now on.
    pub(super) fn count_in(&mut self, calls: SystemCalls) {
        self.calls = calls;
    }

    /// Fills `buffer` from `offset`; an error if the file is shorter than that, or has changed when all of it has
    /// been read. Hashes what it sees in order.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.bytes);
        let Some(end) = end else { return Err(self.too_short()) };
        self.calls.count();
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.too_short()),
            Err(error) => return Err(crate::about(&self.path, "cannot be read", &error)),
        }
        self.see(offset, end, buffer);
        if matches!(self.hash, Hash::Known(_)) {
            self.expect_unchanged().inspect_err(|_| self.hash = Hash::Taken)?;
        }
        Ok(())
    }

    /// The hash of the first `bytes`, of which nothing was read before; they count as read.
    pub fn hash_beginning(&mut self, bytes: u64) -> io::Result<[u8; 32]> {
        let (mut buffer, mut offset) = (vec![0; HASH_BLOCK], 0);
        while offset < bytes {
            let length = usize::try_from(bytes - offset).unwrap_or(HASH_BLOCK).min(HASH_BLOCK);
            self.read_at(offset, buffer.get_mut(..length).unwrap_or_default())?;
            offset += length as u64;
        }
        match &mut self.hash {
            Hash::Growing { hash, next } if *next == bytes => Ok(hash.finalize()),
            Hash::Known(hash) if bytes == self.bytes => Ok(*hash),
            _ => Err(io::Error::other(format!("{} was read already", self.path.display()))),
        }
    }

    /// The BLAKE3 hash of the whole file, said once, when all of it has been read in order.
    pub fn take_hash(&mut self) -> Option<[u8; 32]> {
        let Hash::Known(hash) = self.hash else { return None };
        self.hash = Hash::Taken;
        Some(hash)
    }

    /// Hashes the part of `buffer` that has not been seen, if all before it has been.
    fn see(&mut self, offset: u64, end: u64, buffer: &[u8]) {
        let Hash::Growing { hash, next } = &mut self.hash else { return };
        if offset <= *next && *next <= end {
            let seen = usize::try_from(*next - offset).unwrap_or(usize::MAX);
            hash.update(buffer.get(seen..).unwrap_or_default());
            *next = end;
            if end == self.bytes {
                self.hash = Hash::Known(hash.finalize());
            }
        }
    }

    fn expect_unchanged(&self) -> io::Result<()> {
        let metadata = self.file.metadata().map_err(|error| crate::about(&self.path, "cannot be read", &error))?;
        if (metadata.len(), metadata.modified().ok()) == (self.bytes, self.modified) {
            return Ok(());
        }
        Err(io::Error::other(format!("{} changed while it was being sent", self.path.display())))
    }

    fn too_short(&self) -> io::Error {
        let what = format!("{} is shorter than it was when it was offered", self.path.display());
        io::Error::new(io::ErrorKind::UnexpectedEof, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("film.mp4");
        fs::write(&path, content).expect("written");
        (directory, path)
    }

    fn error_of(path: &Path) -> String {
        Source::open(path).map(|_| ()).expect_err("refused").to_string()
    }

    #[test]
    fn a_file_is_opened_with_its_label_and_size() {
        let (_directory, path) = file(b"abc");
        let (_, label, bytes) = Source::open(&path).expect("opened");
        assert_eq!((label.as_str(), bytes), ("film.mp4", 3));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_name_and_without_waiting() {
        let (directory, path) = file(b"");
        assert_eq!(error_of(directory.path()), format!("{} is a directory", directory.path().display()));
        let missing = path.with_extension("gone");
        assert_eq!(error_of(&missing), format!("{} cannot be opened: no such file or directory", missing.display()));
        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        assert_eq!(error_of(&pipe), format!("{} is not a regular file", pipe.display()));
    }

    #[test]
    fn the_hash_is_said_once_when_the_end_is_reached() {
        let (_directory, path) = file(b"0123456789");
        let (mut source, ..) = Source::open(&path).expect("opened");
        let mut buffer = [0; 5];
        source.read_at(0, &mut buffer).expect("read");
        assert_eq!((&buffer, source.take_hash()), (b"01234", None));
        source.read_at(5, &mut buffer).expect("read");
        assert_eq!(&buffer, b"56789");
        assert_eq!(source.take_hash(), Some(blake3::hash(b"0123456789").into()));
        source.read_at(5, &mut buffer).expect("read");
        assert_eq!(source.take_hash(), None);
    }

    #[test]
    fn an_empty_file_has_its_hash_after_a_read_of_nothing() {
        let (_directory, path) = file(b"");
        let (mut source, ..) = Source::open(&path).expect("opened");
        assert_eq!(source.take_hash(), None);
        source.read_at(0, &mut []).expect("read");
        assert_eq!(source.take_hash(), Some(blake3::hash(b"").into()));
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let (_directory, path) = file(b"0123456789");
        let (mut source, ..) = Source::open(&path).expect("opened");
        fs::write(&path, b"0123").expect("written");
        let error = source.read_at(0, &mut [0; 10]).expect_err("too short");
        assert_eq!(error.to_string(), format!("{} is shorter than it was when it was offered", path.display()));
        assert!(source.read_at(u64::MAX, &mut [0; 10]).is_err());
        assert_eq!(source.take_hash(), None);
    }

    #[test]
    fn a_file_that_changed_or_grew_while_it_was_sent_is_an_error_when_all_of_it_has_been_read() {
        for (content, at) in [(&b"01234xxxxx"[..], 1), (b"0123456789x", 0)] {
            let (_directory, path) = file(b"0123456789");
            let (mut source, ..) = Source::open(&path).expect("opened");
            let opened_at = source.modified.expect("a time");
            source.read_at(0, &mut [0; 5]).expect("read");
            fs::write(&path, content).expect("written");
            // A system's clock for this may be coarse.
            let changed = File::options().append(true).open(&path).expect("opened");
            changed.set_modified(opened_at + std::time::Duration::from_nanos(at)).expect("set");
            let error = source.read_at(5, &mut [0; 5]).expect_err("changed");
            assert_eq!(error.to_string(), format!("{} changed while it was being sent", path.display()));
            assert_eq!(source.take_hash(), None);
        }
    }

    #[test]
    fn another_file_that_takes_the_name_does_not_matter() {
        let (_directory, path) = file(b"0123456789");
        let (mut source, ..) = Source::open(&path).expect("opened");
        let other = path.with_extension("new");
        fs::write(&other, b"something else").expect("written");
        fs::rename(&other, &path).expect("renamed");
        source.read_at(0, &mut [0; 10]).expect("read");
        assert_eq!(source.take_hash(), Some(blake3::hash(b"0123456789").into()));
    }

    proptest! {
        #[test]
        fn the_hash_is_of_the_file_whatever_the_order_of_reads(
            content in proptest::collection::vec(any::<u8>(), 1..300),
            reads in proptest::collection::vec((0_u64..300, 0_usize..80), 0..40),
        ) {
            let (_directory, path) = file(&content);
            let (mut source, _, bytes) = Source::open(&path).expect("opened");
            let mut next = 0;
            let in_order = (0..bytes).step_by(50).map(|offset| (offset, 50));
            for (offset, length) in reads.into_iter().chain(in_order) {
                let length = length.min(usize::try_from(bytes.saturating_sub(offset)).expect("small"));
                let mut buffer = vec![0; length];
                if offset > bytes {
                    prop_assert!(source.read_at(offset, &mut buffer).is_err());
                    continue;
                }
                source.read_at(offset, &mut buffer).expect("read");
                let start = usize::try_from(offset).expect("small");
                prop_assert_eq!(&buffer[..], &content[start..start + length]);
                if offset <= next {
                    next = next.max(offset + length as u64);
                }
                prop_assert_eq!(matches!(source.hash, Hash::Known(_)), next == bytes);
            }
            prop_assert_eq!(source.take_hash(), Some(blake3::hash(&content).into()));
        }
    }
}
