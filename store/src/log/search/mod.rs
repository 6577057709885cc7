//! The thread that searches, and that keeps the index it searches in: off the writer's thread, on a file of its own.
//!
//! The index follows the table of messages. It may be behind, after a start or a flood; a search first adds what was
//! recorded before it was asked, so that one finds what one has just said. It waits a while for that and no longer;
//! then the answer is that there is none.

mod index;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use toom_core::id::QueryId;
use toom_core::server::io::Page;
use toom_core::server::search::Search;

use super::{Complete, Completion, schema, spawn};
use index::{Index, Trouble};

pub(crate) use index::{newest, path};

/// Messages added in one transaction: a few milliseconds of work.
const BATCH: usize = 1_000;
/// How long new messages wait for others to be added together with, which costs far less for each.
const GATHER: Duration = Duration::from_millis(100);
/// How long a search waits for the index: most are far quicker, and after a crash nobody waits for years of messages.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often in one run an index that is damaged is built anew. A disk that damages more is not worth the work.
const MAX_REBUILDS: u32 = 3;

/// The writer's end of the thread.
#[derive(Debug)]
pub(super) struct Searches {
    work: Sender<Work>,
    /// Whether the thread has been told of messages and has not looked yet: told twice, it would do the same.
    told: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Work {
    /// There are new messages.
    Recorded,
    /// The oldest messages are gone.
    Forgotten,
    /// Answer this.
    Search(QueryId, Search),
}

impl Searches {
    /// Starts the thread for the log at `log`.
    pub(super) fn start(log: &Path, complete: Complete) -> Searches {
        let (work, received) = mpsc::channel();
        let told = Arc::new(AtomicBool::new(false));
        let searcher = Searcher::new(log.to_owned(), complete, told.clone());
        let thread = spawn("toom-log-search", move || searcher.run(&received));
        Searches { work, told, thread }
    }

    /// There are new messages.
    pub(super) fn recorded(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            // Fails only if the thread panicked; joining it says so.
            let _ = self.work.send(Work::Recorded);
        }
    }

    /// The oldest messages are gone.
    pub(super) fn forgotten(&self) {
        let _ = self.work.send(Work::Forgotten);
    }

    /// Answers a search, with everything that was recorded before.
    pub(super) fn search(&self, query: QueryId, search: Search) {
        let _ = self.work.send(Work::Search(query, search));
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.work);
        if self.thread.join().is_err() {
            tracing::error!("the thread that searches the log ended early");
        }
    }
}

/// The thread's state.
struct Searcher {
    log_path: PathBuf,
    complete: Complete,
    told: Arc<AtomicBool>,
    /// `None` until it is opened, and if it cannot be.
    open: Option<(Connection, Index)>,
    rebuilds: u32,
    /// Whether there may be messages that the index lacks.
    behind: bool,
    /// Whether they could not be added: what is found then would not be all.
    failing: bool,
}

impl Searcher {
    fn new(log_path: PathBuf, complete: Complete, told: Arc<AtomicBool>) -> Searcher {
        Searcher { log_path, complete, told, open: None, rebuilds: 0, behind: true, failing: false }
    }

    /// Works until the writer is gone.
    fn run(mut self, work: &Receiver<Work>) {
        self.open(true);
        let mut due = Instant::now();
        loop {
            let next = match self.behind && self.open.is_some() {
                true => work.recv_timeout(due.saturating_duration_since(Instant::now())),
                false => work.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(Work::Recorded) => {
                    self.told.store(false, Ordering::Release);
                    if !self.behind {
                        due = Instant::now() + GATHER;
                    }
                    self.behind = true;
                }
                Ok(Work::Forgotten) => self.forget(),
                Ok(Work::Search(query, search)) => {
                    let page = self.answer(&search);
                    (self.complete)(Completion::Found { query, page });
                }
                Err(RecvTimeoutError::Timeout) => self.advance(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn data(&self) -> &Path {
        self.log_path.parent().unwrap_or(Path::new("."))
    }

    /// Opens the index. One that is not this log's, or damaged, is thrown away first.
    fn open(&mut self, check: bool) {
        let opened = self.try_open(check);
        match opened {
            Ok(Some(open)) => self.open = Some(open),
            Ok(None) => self.rebuild("it belongs to another log"),
            Err(trouble) => self.failed(trouble),
        }
    }

    fn try_open(&self, check: bool) -> Result<Option<(Connection, Index)>, Trouble> {
        let log = schema::connect_read_only(&self.log_path).map_err(super::facts::ReadError::from)?;
        let Some(index) = Index::open(self.data(), &log)? else { return Ok(None) };
        if check {
            index.check()?;
        }
        index.forget(&log)?;
        Ok(Some((log, index)))
    }

    /// Adds some of what is missing.
    fn advance(&mut self) {
        let Some((log, index)) = &mut self.open else { return };
        match index.advance(log, BATCH) {
            Ok(more) => (self.behind, self.failing) = (more, false),
            Err(trouble) => self.failed(trouble),
        }
    }

    /// Takes out what is not in the log any more.
    fn forget(&mut self) {
        let Some((log, index)) = &self.open else { return };
        if let Err(trouble) = index.forget(log) {
            self.failed(trouble);
        }
    }

    fn answer(&mut self, search: &Search) -> Option<Page> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            // Not only when it knows to be behind: what was recorded before this search may not have been told yet.
            self.behind = true;
            while self.behind && self.open.is_some() {
                if Instant::now() >= give_up {
                    tracing::warn!("a search was not answered: the search index is being built");
                    return None;
                }
                self.advance();
            }
            let (log, index) = self.open.as_ref().filter(|_| !self.failing)?;
            match index.find(log, search) {
                Ok(page) => return Some(page),
                Err(trouble) => {
                    let rebuilds = self.rebuilds;
                    self.failed(trouble);
                    if self.rebuilds == rebuilds {
                        return None;
                    }
                }
            }
        }
    }

    /// A damaged index is built anew. With any other trouble it is tried again when there is more to add.
    fn failed(&mut self, trouble: Trouble) {
        (self.behind, self.failing) = (false, true);
        match trouble {
            Trouble::Index(error) if is_damage(&error) => self.rebuild(&error.to_string()),
            Trouble::Index(error) => {
                tracing::warn!("the search index cannot be used: {}", schema::sentence(&path(self.data()), &error));
            }
            Trouble::Log(error) => {
                tracing::warn!("the search index cannot follow: {}", error.sentence(&self.log_path));
            }
        }
    }

    fn rebuild(&mut self, why: &str) {
        self.open = None;
        if self.rebuilds >= MAX_REBUILDS {
            return tracing::error!(
                "the search index is damaged again ({why}), and is left alone until the next start"
            );
        }
        self.rebuilds += 1;
        tracing::warn!("the search index {} is built anew: {why}", path(self.data()).display());
        match index::remove(self.data()) {
            Ok(()) => self.open(false),
            Err(error) => tracing::warn!("{}", crate::about(&path(self.data()), "cannot be removed", &error)),
        }
        self.behind = true;
    }
}

/// Whether an error says that the file is not what it should be: SQLite's own structures, FTS5's, or the tables.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => matches!(
            error.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::ConstraintViolation
        ),
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => true,
        _ => false,
    }
}
