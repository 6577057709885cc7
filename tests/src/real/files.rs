//! Real files of pseudo-random content, and their hashes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::scenario::Downloaded;

/// How much is in memory at once.
const PIECE: usize = 1 << 20;

/// Makes a file of pseudo-random content, which `seed` decides.
pub fn write_random(path: &Path, bytes: u64, seed: u64) -> io::Result<Downloaded> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut content = blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof();
    let mut hasher = blake3::Hasher::new();
    let mut file = File::create(path)?;
    let mut piece = vec![0; PIECE];
    let mut rest = bytes;
    while rest > 0 {
        let piece = &mut piece[..PIECE.min(usize::try_from(rest).unwrap_or(PIECE))];
        content.fill(piece);
        hasher.update(piece);
        file.write_all(piece)?;
        rest -= piece.len() as u64;
    }
    Ok(Downloaded { bytes, blake3: hasher.finalize().into() })
}

/// Size and hash of a file.
pub fn digest(path: &Path) -> io::Result<Downloaded> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Downloaded { bytes, blake3: hasher.finalize().into() }),
            read => {
                hasher.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Lets this process open as many files as it may: both ends of hundreds of connections are in it.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the limit may still be enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
