//! A directory whose files are on a disk that forgets and fails.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
use tempfile::TempDir;
use toom_tests::sim::dice::Dice;

use crate::disk::{Disk, FileId, Image};
use crate::life::DATABASE;
use crate::vfs;

/// What SQLite asks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Make,
    Delete,
    Read,
    Write,
    Resize,
    Sync,
}

/// Something that will fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) operation: Operation,
    /// Of the file of this name.
    pub(crate) file: &'static str,
    /// After so many that succeed.
    pub(crate) after: u32,
    /// Whether all later ones fail too.
    pub(crate) lasting: bool,
    pub(crate) full: bool,
}

/// Called before each operation, with the disk as it is then.
pub(crate) type Witness = Box<dyn FnMut(&Disk, Operation, &str) + Send>;

/// What happens in one directory.
pub(crate) struct Directory {
    pub(crate) disk: Disk,
    pub(crate) failures: Vec<Failure>,
    pub(crate) witness: Option<Witness>,
    /// What was asked for since this was emptied, reading excluded.
    pub(crate) operations: Vec<(Operation, String)>,
    /// Files that SQLite has not written to since they were mounted, all dated [`UNTOUCHED`].
    untouched: BTreeMap<String, PathBuf>,
    /// Decides what a failed sync forgets.
    pub(crate) dice: Dice,
}

/// A temporary directory while its files are on such a disk.
pub(crate) struct Mount {
    /// Dropped after the directory is no longer mounted.
    folder: TempDir,
    directory: Arc<Mutex<Directory>>,
}

/// When files were written that nobody has written to since: long ago.
const UNTOUCHED: SystemTime = SystemTime::UNIX_EPOCH;

static MOUNTED: Mutex<BTreeMap<PathBuf, Arc<Mutex<Directory>>>> = Mutex::new(BTreeMap::new());

impl Mount {
    /// A new directory with what programs see of `disk`, which goes on from there.
    pub(crate) fn new(disk: Disk) -> Mount {
        vfs::register();
        let folder = tempfile::tempdir().expect("a directory");
        let mut untouched = BTreeMap::new();
        for (name, content) in disk.cached() {
            let path = folder.path().join(&name);
            std::fs::write(&path, content).expect("written");
            File::options().write(true).open(&path).and_then(|file| file.set_modified(UNTOUCHED)).expect("dated");
            untouched.insert(name, path);
        }
        let directory = Directory {
            disk,
            failures: Vec::new(),
            witness: None,
            operations: Vec::new(),
            untouched,
            dice: Dice::new(0, "failures"),
        };
        let mount = Mount { folder, directory: Arc::new(Mutex::new(directory)) };
        lock(&MOUNTED).insert(mount.key(), mount.directory.clone());
        mount
    }

    /// A new directory with these files, all durable.
    pub(crate) fn holding(image: &Image) -> Mount {
        Mount::new(Disk::holding(image))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What happens in it, which waits meanwhile.
    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    fn key(&self) -> PathBuf {
        self.path().canonicalize().expect("there")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        lock(&MOUNTED).remove(&self.key());
    }
}

impl Directory {
    /// Notes that SQLite is about to do something; the error if that must fail.
    pub(crate) fn about_to(&mut self, operation: Operation, file: &str) -> Result<(), c_int> {
        if let Some(witness) = &mut self.witness {
            witness(&self.disk, operation, file);
        }
        if matches!(operation, Operation::Write | Operation::Resize | Operation::Sync) {
            self.notice_renewal(file);
        }
        if operation != Operation::Read {
            self.operations.push((operation, file.into()));
        }
        let Some(place) = self.failures.iter().position(|it| it.operation == operation && it.file == file) else {
            return Ok(());
        };
        let failure = &mut self.failures[place];
        if let Some(after) = failure.after.checked_sub(1) {
            failure.after = after;
            return Ok(());
        }
        let code = failure.code();
        if !failure.lasting {
            self.failures.remove(place);
        }
        Err(code)
    }

    /// What was done to the log itself. The index of searches beside it may be written whatever happens.
    pub(crate) fn operations_on_log(&self) -> Vec<(Operation, String)> {
        self.operations.iter().filter(|(_, file)| file.starts_with(DATABASE)).cloned().collect()
    }

    /// If the store itself has written a file anew, without SQLite, it will be synced as a whole, also what an earlier
    /// sync forgot. Called before SQLite writes to it or syncs it.
    fn notice_renewal(&mut self, file: &str) {
        let Some(path) = self.untouched.remove(file) else { return };
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| modified != UNTOUCHED)
            && let Some(id) = self.disk.find(file)
        {
            self.disk.write(id, 0, &std::fs::read(path).expect("read"));
        }
    }

    /// A sync of a file that fails.
    pub(crate) fn fail_to_sync(&mut self, file: FileId) {
        self.disk.fail_to_sync(file, &mut self.dice);
    }
}

impl Failure {
    fn code(&self) -> c_int {
        match self.operation {
            _ if self.full => SQLITE_FULL,
            Operation::Read => SQLITE_IOERR_READ,
            Operation::Resize => SQLITE_IOERR_TRUNCATE,
            Operation::Sync => SQLITE_IOERR_FSYNC,
            Operation::Make | Operation::Delete | Operation::Write => SQLITE_IOERR_WRITE,
        }
    }
}

/// The mounted directory that the file at `path` is in, and the file's name.
pub(crate) fn find(path: &Path) -> Option<(Arc<Mutex<Directory>>, String)> {
    let directory = lock(&MOUNTED).get(path.parent()?)?.clone();
    Some((directory, path.file_name()?.to_str()?.to_owned()))
}

/// Locks, also after a test panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
