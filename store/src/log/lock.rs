//! The lock that keeps a second server off a data directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::OpenError;

/// Held as long as it lives; the system releases it with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `data`, or says who has it.
    pub(super) fn take(data: &Path) -> Result<Lock, OpenError> {
        let path = data.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(|error| {
                OpenError(format!("{} cannot be opened: {}", path.display(), crate::system::in_words(&error)))
            })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError(format!(
                "the data directory {} is in use by another Toom server; stop it first or choose another with --data",
                data.display()
            ))),
            Err(error) => {
                let error = io::Error::from(error);
                Err(OpenError(format!("{} cannot be locked: {}", path.display(), crate::system::in_words(&error))))
            }
        }
    }
}
