//! The thread that moves what is committed from the write-ahead log into the database file.
//!
//! SQLite would do that inside some unlucky commit, and would swallow its errors. A sync that failed here is as
//! bad as one that failed in a commit, so the writer hears of it and stops.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, ffi};

use super::{Synchronous, schema, spawn};

/// A checkpoint is due after this many commits: about 4 MiB of write-ahead log when each is small.
const COMMITS_BETWEEN: u32 = 256;
/// ... or after this many bytes of facts.
const BYTES_BETWEEN: usize = 1024 * 1024;
/// Without a pause in writing the write-ahead log never starts anew by itself. At this size the writer waits
/// for it.
const MAX_WAL_BYTES: u64 = 64 * 1024 * 1024;
/// How long it waits: commits wait behind it, and it is tried again soon.
const PATIENCE: Duration = Duration::from_millis(200);

/// The writer's end of the thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    path: PathBuf,
    commits: u32,
    bytes: usize,
    due: SyncSender<()>,
    failure: Arc<OnceLock<String>>,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Starts the thread for the database at `path`.
    pub(super) fn start(path: &Path, synchronous: Synchronous) -> Checkpoints {
        // One signal may wait; more would ask for the same.
        let (due, signals) = mpsc::sync_channel(1);
        let failure = Arc::new(OnceLock::new());
        let thread = {
            let (path, failure) = (path.to_owned(), failure.clone());
            spawn("toom-log-checkpoint", move || run(&path, synchronous, &signals, &failure))
        };
        Checkpoints { path: path.to_owned(), commits: 0, bytes: 0, due, failure, thread }
    }

    /// Why writing must stop, if it must.
    pub(super) fn failure(&self) -> Option<&String> {
        self.failure.get()
    }

    /// Counts a commit of about `bytes`; signals the thread when it is time.
    pub(super) fn committed(&mut self, bytes: usize, writer: &Connection) -> Result<(), rusqlite::Error> {
        self.commits += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.commits < COMMITS_BETWEEN && self.bytes < BYTES_BETWEEN {
            return Ok(());
        }
        (self.commits, self.bytes) = (0, 0);
        if std::fs::metadata(wal(&self.path)).is_ok_and(|wal| wal.len() > MAX_WAL_BYTES) {
            return self.start_anew(writer);
        }
        // A full channel means that the thread has been told already.
        let _ = self.due.try_send(());
        Ok(())
    }

    /// Moves everything and empties the write-ahead log, unless someone who reads keeps us from it for long.
    fn start_anew(&self, writer: &Connection) -> Result<(), rusqlite::Error> {
        writer.busy_timeout(PATIENCE)?;
        checkpoint(writer, "TRUNCATE")?;
        writer.busy_timeout(schema::BUSY_TIMEOUT)
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.due);
        let _ = self.thread.join();
    }
}

/// Makes durable what opening found in the write-ahead log of the database at `path`, or says why it cannot. A process
/// that was killed may have written what it had not synced: the next loss of power would take back what was read. So
/// all of it is moved into the database.
pub(super) fn settle(connection: &Connection, path: &Path) -> Result<(), String> {
    renew(connection, path)?;
    let failed = |error: rusqlite::Error| schema::sentence(path, &error);
    let give_up = Instant::now() + schema::BUSY_TIMEOUT;
    // SQLite waits for those who read or write, but not for another one who does the same.
    while connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0)).map_err(failed)? {
        if Instant::now() >= give_up {
            return Err(failed(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Writes the write-ahead log anew, as it is, or says why it cannot. A process whose sync failed leaves what the system
/// takes for synced and the disk does not have: what is appended behind that would be lost with it when the power
/// fails, and moving it might leave half of it in the database. Written anew, it is synced once more.
pub(super) fn renew(connection: &Connection, path: &Path) -> Result<(), String> {
    // Nobody else writes to it meanwhile.
    let _turn = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(|error| schema::sentence(path, &error))?;
    let wal = wal(path);
    write_anew(&wal).map_err(|error| crate::about(&wal, "cannot be written", &error).to_string())
}

/// Writes what is in a file over itself, and syncs it.
fn write_anew(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut buffer = vec![0; 1024 * 1024];
    let mut offset = 0;
    loop {
        let bytes = file.read_at(&mut buffer, offset)?;
        if bytes == 0 {
            break;
        }
        file.write_all_at(&buffer[..bytes], offset)?;
        offset += bytes as u64;
    }
    if offset > 0 { file.sync_all() } else { Ok(()) }
}

/// The write-ahead log of the database at `path`.
pub(super) fn wal(path: &Path) -> PathBuf {
    let mut wal = path.to_owned().into_os_string();
    wal.push("-wal");
    wal.into()
}

fn run(path: &Path, synchronous: Synchronous, signals: &Receiver<()>, failure: &OnceLock<String>) {
    let connection = match schema::open_writable(path, synchronous) {
        Ok(connection) => connection,
        Err(error) => {
            let _ = failure.set(schema::sentence(path, &error));
            return;
        }
    };
    for () in signals {
        if let Err(error) = checkpoint(&connection, "PASSIVE") {
            let _ = failure.set(schema::sentence(path, &error));
            return;
        }
    }
}

/// Being kept out by a reader or writer is no failure: the next checkpoint does more.
fn checkpoint(connection: &Connection, mode: &str) -> Result<(), rusqlite::Error> {
    match connection.pragma(None, "wal_checkpoint", mode, |_| Ok(())) {
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::facts;
    use toom_core::id::LogIndex;
    use toom_core::name::UserName;
    use toom_core::server::fact::Fact;
    use toom_core::time::Timestamp;

    #[test]
    fn a_write_ahead_log_that_grew_too_large_is_emptied_unless_it_is_being_read() {
        let data = tempfile::tempdir().expect("a directory");
        let connection = schema::open_or_create(data.path(), Synchronous::Full).expect("made");
        schema::trust(&connection).expect("set");
        let from = UserName::new("yoda").expect("a name");
        let fact = Fact::Broadcast { from, text: "x".repeat(1024 * 1024), at: Timestamp::from_millis(0), id: None };
        let transaction = connection.unchecked_transaction().expect("begun");
        for index in 1..=65 {
            facts::insert(&transaction, LogIndex(index), &fact).expect("inserted");
        }
        transaction.commit().expect("committed");

        let wal = || data.path().join("toom.db-wal").metadata().expect("there").len();
        let mut checkpoints = Checkpoints::start(&schema::path(data.path()), Synchronous::Full);
        checkpoints.committed(1, &connection).expect("not due");
        assert!(wal() > MAX_WAL_BYTES);
        let other = schema::open_read_only(data.path()).expect("opened").expect("there");
        other.execute_batch("BEGIN; SELECT count(*) FROM log").expect("read");
        checkpoints.committed(BYTES_BETWEEN, &connection).expect("kept out");
        assert!(wal() > MAX_WAL_BYTES);
        other.execute_batch("COMMIT").expect("ended");
        checkpoints.committed(BYTES_BETWEEN, &connection).expect("emptied");
        assert_eq!(wal(), 0);
        assert_eq!(checkpoints.failure(), None);
        checkpoints.stop();
    }

    #[test]
    fn a_failure_is_kept_for_the_writer() {
        let data = tempfile::tempdir().expect("a directory");
        let missing = data.path().join("missing");
        let checkpoints = Checkpoints::start(&missing, Synchronous::Full);
        let failure = checkpoints.failure.clone();
        checkpoints.stop();
        assert_eq!(failure.get(), Some(&format!("{} cannot be opened", missing.display())));
    }
}
