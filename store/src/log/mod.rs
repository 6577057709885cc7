//! The ordered log of facts, and the index of messages derived from it, in SQLite. To be written.

use std::path::Path;
use toom_core::id::{QueryId, Ticket};
use toom_core::name::UserName;
use toom_core::server::fact::{Committed, Fact, Message};
use toom_core::server::io::{Page, Select};

/// What the store reports.
#[derive(Debug)]
pub enum Completion {
    /// The next fact of the log.
    Committed(Committed),
    /// This proposal will never be committed.
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

/// An opened log that has not been started.
#[derive(Debug)]
pub struct Log(());

/// A running log.
#[derive(Debug)]
pub struct LogHandle(());

impl Log {
    /// Opens (or makes) the log in `data`, and locks it against a second server.
    pub fn open(_data: &Path) -> Result<Log, OpenError> {
        Err(OpenError("not built yet".into()))
    }
    /// Reads the whole log, oldest first.
    pub fn replay(&mut self, _each: impl FnMut(Committed)) -> Result<(), OpenError> {
        Ok(())
    }
    /// Starts the writer; it calls `complete` from its own threads, in the order of the log.
    pub fn start(self, _complete: impl Fn(Completion) + Send + Sync + 'static) -> LogHandle {
        LogHandle(())
    }
}

impl LogHandle {
    /// Appends a fact; `Committed` or `ProposalFailed` follows.
    pub fn propose(&self, _ticket: Ticket, _fact: Fact) {}
    /// Indexes a message; seen by every later query.
    pub fn record(&self, _message: &Message) {}
    /// Reads a page; `Found` follows.
    pub fn query(&self, _query: QueryId, _select: Select) {}
    /// Commits what is queued and ends.
    pub fn stop(self) {}
}

/// Appends facts from another process (`toom user`), also while a server runs, which then hears of them.
pub fn append(_data: &Path, _facts: &[Fact]) -> Result<(), OpenError> {
    Err(OpenError("not built yet".into()))
}

/// The names that have an account now, in order; empty if there is no log.
pub fn accounts(_data: &Path) -> Result<Vec<UserName>, OpenError> {
    Err(OpenError("not built yet".into()))
}
