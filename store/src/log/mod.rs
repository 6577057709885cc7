//! The ordered log of facts, and the index of messages derived from it, in SQLite.
//!
//! # Theory of operation
//!
//! `DATA/toom.db` has two tables. `log` is the truth: one row for each fact, in order, without gaps. `messages`
//! is derived: which fact is message `number` of a conversation, and when it was sent. Texts are only in `log`.
//!
//! One writer thread owns the only connection that writes. It takes everything that is queued, puts proposals
//! and index rows in one transaction (group commit: the more there is to do, the more one sync carries), and
//! reports each fact only after the commit, in the order of the log. Rows may wait a moment for company
//! (`unrecorded`), but no query waits for them: those that were queued behind a write go to the reader thread after
//! the commit of all rows, so they see it, and never delay the next commit.
//!
//! Another process (`toom user`) may [`append()`] at any time. SQLite's write lock orders us: inside each of our
//! transactions we first report what others appended meanwhile, then add ours behind it. When idle, the writer
//! looks for such rows three times a second.
//!
//! A commit that fails ends writing for good: after a failed sync nobody knows what the disk has, and a retry
//! that succeeds would prove nothing. Reading goes on.
//!
//! What is older than the operator wants to keep is forgotten by the writer (`retention`).
//!
//! Searches are answered by a thread with an index of its own, in `DATA/search.db` (`search`).
//!
//! The next start takes nothing on trust: what it found is written anew, synced, and moved into the database before
//! anyone hears of it. It may be the work of a process that was killed before its sync, or whose sync failed.

mod append;
mod catch_up;
mod check;
mod checkpoint;
mod facts;
mod lock;
mod messages;
mod pages;
mod read_only;
mod reader;
mod retention;
mod schema;
mod search;
mod snapshots;
mod unrecorded;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use toom_core::id::{LogIndex, MessageNumber, QueryId, Ticket};
use toom_core::server::fact::{Committed, Conversation, Fact, Message};
use toom_core::server::io::{Page, Query};

pub use append::{accounts, append};
#[doc(hidden)]
pub use schema::Synchronous;

pub(crate) use messages::{each_message, message_ranges, newest_recorded};
pub(crate) use read_only::OpenLog;
pub(crate) use schema::{open_read_only, path, sentence};
pub(crate) use search::path as search_path;

use facts::ReadError;
use lock::Lock;
use writer::{Request, Writer};

/// What the store reports.
#[derive(Debug)]
pub enum Completion {
    /// The next fact of the log.
    Committed(Committed),
    /// This proposal is not committed, and this process will not commit it. If it was the sync that failed, a later
    /// process may find that the disk has it after all.
    ProposalFailed {
        /// Which.
        ticket: Ticket,
    },
    /// The answer to a query; `None` if reading failed.
    Found {
        /// Which.
        query: QueryId,
        /// What was found.
        page: Option<Page>,
    },
    /// What was older than is kept of a conversation is gone.
    Forgotten {
        /// Of which.
        conversation: Conversation,
        /// Its first message that is left has a higher number.
        through: MessageNumber,
    },
    /// Writing has stopped for good; in words.
    StoppedWriting {
        /// In words.
        reason: String,
    },
}

/// Why a data directory cannot be used; one clear sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// Where completions go; called from the writer's and the reader's thread.
type Complete = Arc<dyn Fn(Completion) + Send + Sync>;

/// An opened log that has not been started.
pub struct Log {
    path: PathBuf,
    synchronous: Synchronous,
    lock: Lock,
    connection: Connection,
    reader: Connection,
    /// The last fact that was handed out by `replay`.
    last: LogIndex,
    /// The newest fact that the index of messages covers.
    recorded: LogIndex,
    /// For how long messages are kept.
    keep: Option<Duration>,
    /// What is wrong with the index of messages, if anything is: it is made anew while the log is read.
    damage: Option<String>,
}

/// A running log. Dropping it commits what is queued, and waits for that.
pub struct LogHandle {
    /// Unbounded, yet bounded by construction: the server machine has at most `MAX_REQUESTS_IN_FLIGHT`
    /// unanswered requests of each connection, a proposal or a query belongs to one of them, and a record
    /// follows a fact that was committed.
    queue: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    recorded_at_open: LogIndex,
}

impl Log {
    /// Opens (or makes) the log in `data`, and locks it against a second server.
    pub fn open(data: &Path) -> Result<Log, OpenError> {
        Log::open_to_be_lost(data, Synchronous::Full)
    }

    /// As [`Log::open`], yet with less than `FULL` what is committed may be lost when the power fails. It exists
    /// only so that the tests of durability can show that they would notice; nothing that people run calls it.
    #[doc(hidden)]
    pub fn open_to_be_lost(data: &Path, synchronous: Synchronous) -> Result<Log, OpenError> {
        schema::make_directory(data)?;
        let lock = Lock::take(data)?;
        let path = path(data);
        let check = check::is_due(&path);
        let connection = schema::open_or_create(data, synchronous)?;
        let reader = open_read_only(data)?.ok_or_else(|| OpenError(format!("{} is gone", path.display())))?;
        let recorded = newest_recorded(&reader).map_err(|error| schema::while_opening(&path, &error))?;
        check::end(&reader, data, &path)?;
        let mut damage = None;
        if check {
            check::structure(&reader, &path)?;
            damage = check::messages(&reader, &path)?;
        }
        Ok(Log { path, synchronous, lock, connection, reader, last: LogIndex(0), recorded, keep: None, damage })
    }

    /// Once it runs, messages that are older than `keep` by the wall clock are forgotten.
    pub fn keep(mut self, keep: Option<Duration>) -> Log {
        self.keep = keep;
        self
    }

    /// The newest fact that the index of messages covers: what is recorded of the log up to here is there already.
    pub fn recorded(&self) -> LogIndex {
        self.recorded
    }

    /// What the server was as of some facts, the newest first. None if the index of messages has to be made anew, as
    /// that needs every fact.
    pub fn snapshots(&self) -> Result<Vec<(LogIndex, Vec<u8>)>, OpenError> {
        if self.damage.is_some() {
            return Ok(Vec::new());
        }
        let failed = |error: rusqlite::Error| schema::while_opening(&self.path, &error);
        let last = facts::last(&self.reader).map_err(failed)?;
        let all = snapshots::all(&self.reader).map_err(failed)?;
        // It was taken of this very log: what it knows and the log does not is lost.
        if let Some((index, _)) = all.first().filter(|(index, _)| *index > last) {
            return Err(ReadError::Missing(*index).while_opening(&self.path));
        }
        Ok(all)
    }

    /// Reads the whole log, oldest first.
    pub fn replay(&mut self, mut each: impl FnMut(Committed)) -> Result<(), OpenError> {
        let last = &mut self.last;
        facts::read_after(&self.reader, *last, |index, fact| {
            *last = index;
            each(Committed { index, ticket: None, fact });
        })
        .map_err(|error| error.while_opening(&self.path))
    }

    /// Starts the writer; it calls `complete` from its own threads, in the order of the log. Facts that
    /// [`Log::replay`] has not handed out (all, if it was not called) come first.
    ///
    /// # Panics
    ///
    /// If the operating system has no thread left.
    pub fn start(self, complete: impl Fn(Completion) + Send + Sync + 'static) -> LogHandle {
        let complete: Complete = Arc::new(complete);
        let recorded_at_open = self.recorded;
        let (queue, requests) = mpsc::channel();
        let writer = Writer::new(self, complete);
        let writer = spawn("toom-log-writer", move || writer.run(&requests));
        LogHandle { queue: Some(queue), writer: Some(writer), recorded_at_open }
    }
}

impl LogHandle {
    /// Appends a fact; `Committed` or `ProposalFailed` follows.
    pub fn propose(&self, ticket: Ticket, fact: Fact) {
        self.request(Request::Propose(ticket, fact));
    }

    /// Indexes a message; seen by every later query.
    pub fn record(&self, message: &Message) {
        // After a restart the machine records the whole log again: nothing of that is copied or queued.
        if message.index > self.recorded_at_open {
            self.request(Request::Record(message.clone()));
        }
    }

    /// Keeps what the server is as of a fact. It is no loss if that fails.
    pub fn save_snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.request(Request::Snapshot(index, snapshot));
    }

    /// Reads a page; `Found` follows.
    pub fn query(&self, query: QueryId, what: impl Into<Query>) {
        self.request(Request::Query(query, what.into()));
    }

    /// Commits what is queued and ends.
    pub fn stop(self) {}

    fn request(&self, request: Request) {
        if let Some(queue) = &self.queue {
            // Fails only if the writer is gone, which is said when it is joined.
            let _ = queue.send(request);
        }
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.queue = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the log's writer ended early");
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").finish_non_exhaustive()
    }
}

/// As `std::thread::spawn`, with a name for those who look at the process.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).expect("the operating system has a thread for the log")
}
