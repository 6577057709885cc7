//! The thread that moves what is committed from the write-ahead log into the database file.
//!
//! SQLite would do that inside some unlucky commit, and would swallow its errors. A sync that failed here is as
//! bad as one that failed in a commit, so the writer hears of it and stops.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};

use super::{schema, spawn};

/// A checkpoint is due after this many commits: about 4 MiB of write-ahead log when each is small.
const COMMITS_BETWEEN: u32 = 256;
/// ... or after this many bytes of facts.
const BYTES_BETWEEN: usize = 1024 * 1024;
/// Without a pause in writing the write-ahead log never starts anew by itself. At this size the writer waits
/// for it.
const MAX_WAL_BYTES: u64 = 64 * 1024 * 1024;

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
    pub(super) fn start(path: &Path) -> Checkpoints {
        // One signal may wait; more would ask for the same.
        let (due, signals) = mpsc::sync_channel(1);
        let failure = Arc::new(OnceLock::new());
        let thread = {
            let (path, failure) = (path.to_owned(), failure.clone());
            spawn("toom-log-checkpoint", move || run(&path, &signals, &failure))
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
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        if std::fs::metadata(wal).is_ok_and(|wal| wal.len() > MAX_WAL_BYTES) {
            return checkpoint(writer, "TRUNCATE");
        }
        // A full channel means that the thread has been told already.
        let _ = self.due.try_send(());
        Ok(())
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.due);
        let _ = self.thread.join();
    }
}

fn run(path: &Path, signals: &Receiver<()>, failure: &OnceLock<String>) {
    let connection = match schema::open_writable(path) {
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
