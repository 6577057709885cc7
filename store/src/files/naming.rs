//! Giving a received file its final name, replacing nothing.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// `name (2)`, `name (3)` ... up to this one are tried.
pub(super) const MAX_ALTERNATIVES: u32 = 10_000;

/// Opening what others may have put there: not through a link, and without waiting for the other end of a pipe.
pub(super) const WARILY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Fails with `EXIST` if `to` is taken, also by a link that leads nowhere.
pub(super) fn rename_without_replacing(
    from_directory: &OwnedFd,
    from: &str,
    to_directory: &OwnedFd,
    to: &str,
) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from_directory, from, to_directory, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_and_unlink(from_directory, from, to_directory, to),
        other => other,
    }
}

/// Whether `name` is a regular file with this content; one that cannot be read counts as another.
pub(super) fn has_content(directory: &OwnedFd, name: &str, bytes: u64, hash: [u8; 32]) -> bool {
    let Ok(file) = rustix::fs::openat(directory, name, OFlags::RDONLY | WARILY, Mode::empty()).map(File::from) else {
        return false;
    };
    let same_size = file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes);
    let mut hasher = blake3::Hasher::new();
    // No further than one byte behind ours, should it grow meanwhile.
    let content = file.take(bytes.saturating_add(1));
    same_size && hasher.update_reader(content).is_ok_and(|hasher| *hasher.finalize().as_bytes() == hash)
}

/// The same for file systems that cannot rename so. `linkat` does not follow `from`.
fn link_and_unlink(from_directory: &OwnedFd, from: &str, to_directory: &OwnedFd, to: &str) -> Result<(), Errno> {
    rustix::fs::linkat(from_directory, from, to_directory, to, AtFlags::empty())?;
    rustix::fs::unlinkat(from_directory, from, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn where_names_cannot_be_kept_by_renaming_linking_does() {
        let downloads = tempfile::tempdir().expect("a directory");
        for name in ["part", "taken"] {
            fs::write(downloads.path().join(name), name).expect("written");
        }
        let directory = rustix::fs::open(downloads.path(), OFlags::RDONLY, Mode::empty()).expect("opened");
        assert_eq!(link_and_unlink(&directory, "part", &directory, "taken"), Err(Errno::EXIST));
        assert_eq!(link_and_unlink(&directory, "part", &directory, "free"), Ok(()));
        let content = |name: &str| fs::read_to_string(downloads.path().join(name)).ok();
        assert_eq!(
            [content("part"), content("taken"), content("free")],
            [None, Some("taken".into()), Some("part".into())]
        );
    }
}
