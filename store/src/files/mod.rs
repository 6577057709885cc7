//! Files being sent and received. To be written.

use std::io;
use std::path::Path;
use toom_core::name::UserName;
use toom_core::text::FileLabel;

/// A file that is read to be sent.
#[derive(Debug)]
pub struct Source(());

impl Source {
    /// Opens a regular file; its label and size.
    pub fn open(_path: &Path) -> io::Result<(Source, FileLabel, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Fills `buffer` from `offset`; an error if the file is shorter than that. Hashes what it sees in order.
    pub fn read_at(&mut self, _offset: u64, _buffer: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The BLAKE3 hash of the whole file, said once, when all of it has been read in order.
    pub fn take_hash(&mut self) -> Option<[u8; 32]> {
        None
    }
}

/// A partial file that is being received.
#[derive(Debug)]
pub struct Sink(());

impl Sink {
    /// Makes a private partial file in `downloads`.
    pub fn create(_downloads: &Path, _from: &UserName, _label: &FileLabel, _bytes: u64) -> io::Result<Sink> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Writes `bytes` at `offset`. Hashes what it sees in order.
    pub fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The BLAKE3 hash of the whole partial file.
    pub fn hash(&mut self) -> io::Result<[u8; 32]> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Gives the file its final name, replacing nothing; the name it has now (or the name of the file with the
    /// same content that was there already).
    pub fn publish(self) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
