//! Files of pseudo-random content, for what has to move something, and the hash of any file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Written at once: large enough to be quick, small beside everything else.
const PIECE: usize = 1 << 20;

/// Makes a file of `bytes` pseudo-random bytes, and says their hash. No compression and no hole in the file can
/// make it quicker to move than a real one.
pub(crate) fn write(path: &Path, bytes: u64, seed: &[u8; 32]) -> io::Result<blake3::Hash> {
    let mut file = File::create_new(path)?;
    let mut content = blake3::Hasher::new_keyed(seed).finalize_xof();
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE as u64);
        let piece = &mut piece[..length as usize];
        content.fill(piece);
        hasher.update(piece);
        file.write_all(piece)?;
        left -= length;
    }
    Ok(hasher.finalize())
}

/// The hash of a file, read from the beginning to the end.
pub(crate) fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [0, 1, PIECE as u64, PIECE as u64 + 1] {
            let path = dir.path().join(bytes.to_string());
            let said = write(&path, bytes, &[3; 32]).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
            assert_eq!(hash(&path).unwrap(), said);
        }
    }
}
