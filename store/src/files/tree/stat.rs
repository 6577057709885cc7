//! What the system tells of a file, in types that are the same everywhere.

use rustix::fs::{FileType, Stat};

/// A time of modification, in seconds and nanoseconds.
pub(super) type Modified = (i64, i64);

/// Device and inode: the same as long as it is the same file or folder, whatever its name.
pub(super) type Identity = (u64, u64);

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between processors")]
pub(super) fn modified(stat: &Stat) -> Modified {
    (stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between processors")]
pub(super) fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}
