//! The thread that writes: group commit, and the one feed of facts in the order of the log.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use toom_core::id::{LogIndex, QueryId, Ticket};
use toom_core::server::fact::{Committed, Fact, Message};
use toom_core::server::io::Query;

use super::checkpoint::{self, Checkpoints};
use super::facts::{self, ReadError};
use super::lock::Lock;
use super::reader::{Reader, Work};
use super::retention::Retention;
use super::search::Searches;
use super::unrecorded::Unrecorded;
use super::{Complete, Completion, Log, messages, schema, snapshots, spawn};

/// How often an idle writer looks for facts that another process appended.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// What one transaction may carry. Far beyond the point where more would make a commit cheaper; it bounds how
/// long the first one in a flood waits.
const MAX_BATCH: usize = 4_096;

/// What the handle asks for.
#[derive(Debug)]
pub(super) enum Request {
    Propose(Ticket, Fact),
    Record(Message),
    Query(QueryId, Query),
    Snapshot(LogIndex, Vec<u8>),
}

/// The writer thread's state.
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    complete: Complete,
    /// The last fact that was reported.
    last: LogIndex,
    /// The newest fact that the index of messages covers.
    recorded: LogIndex,
    unrecorded: Unrecorded,
    /// SQLite's counter of others' commits, as last seen.
    data_version: i64,
    /// Writing has ended for good.
    stopped: bool,
    /// It ended for want of room: what others append meanwhile is known to be in the log.
    full: bool,
    checkpoints: Checkpoints,
    /// None if messages are kept for ever, or cannot be forgotten.
    retention: Option<Retention>,
    reader: Sender<Work>,
    reader_thread: std::thread::JoinHandle<()>,
    searches: Searches,
    /// Released when all else is done.
    _lock: Lock,
}

/// What one transaction carries, and the queries to be answered after it.
#[derive(Debug, Default)]
struct Batch {
    proposals: Vec<(Ticket, Fact)>,
    records: Vec<Message>,
    queries: Vec<(QueryId, Query)>,
    /// Only the newest is of use.
    snapshot: Option<(LogIndex, Vec<u8>)>,
}

impl Writer {
    /// Makes durable what was read, and starts the threads beside the writer.
    pub(super) fn new(log: Log, complete: Complete) -> Writer {
        let unsettled = checkpoint::settle(&log.connection, &log.path).err();
        let (reader, work) = mpsc::channel();
        let state = Reader::new(log.path.clone(), log.reader, complete.clone());
        let reader_thread = spawn("toom-log-reader", move || state.run(&work));
        let mut writer = Writer {
            checkpoints: Checkpoints::start(&log.path, log.synchronous),
            searches: Searches::start(&log.path, complete.clone()),
            path: log.path,
            connection: log.connection,
            complete,
            last: log.last,
            recorded: log.recorded,
            unrecorded: Unrecorded::default(),
            retention: log.keep.map(Retention::new),
            data_version: -1,
            stopped: false,
            full: false,
            reader,
            reader_thread,
            _lock: log.lock,
        };
        if let Some(reason) = unsettled {
            writer.stop_writing(reason);
        }
        writer
    }

    /// Works until the handle is gone and everything that was queued is done.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        if !self.stopped
            && let Err(error) = schema::trust(&self.connection)
        {
            self.stop_writing(schema::sentence(&self.path, &error));
        }
        let mut next_poll = Instant::now();
        loop {
            match requests.recv_timeout(self.next_work(next_poll).saturating_duration_since(Instant::now())) {
                Ok(first) => self.carry_out(Batch::gather(first, requests)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            if self.unrecorded.is_due(now) {
                self.write(Vec::new(), true);
            }
            if now >= next_poll {
                self.poll();
                next_poll = now + POLL_INTERVAL;
            }
            if self.retention.as_ref().is_some_and(|retention| now >= retention.due()) {
                self.forget();
            }
        }
        self.write(Vec::new(), true);
        self.end();
    }

    /// When there is something to do that nobody asks for.
    fn next_work(&self, next_poll: Instant) -> Instant {
        let retention = self.retention.as_ref().map(Retention::due);
        [retention, self.unrecorded.due()].into_iter().flatten().fold(next_poll, Instant::min)
    }

    fn carry_out(&mut self, batch: Batch) {
        let Batch { proposals, records, queries, snapshot } = batch;
        let records = records.into_iter().filter(|message| message.index > self.recorded);
        self.unrecorded.extend(Instant::now(), records);
        if let Some(reason) = self.checkpoints.failure().cloned() {
            self.stop_writing(reason);
        }
        self.write(proposals, !queries.is_empty() || snapshot.is_some());
        if let Some((index, snapshot)) = snapshot {
            self.save_snapshot(index, &snapshot);
        }
        for (query, what) in queries {
            match what {
                Query::Search(search) => self.searches.search(query, search),
                // Fails only if the reader panicked; joining it says so.
                what => _ = self.reader.send(Work::Query(query, what)),
            }
        }
    }

    /// Writes facts, and the rows that wait if somebody looks for them or it is time.
    fn write(&mut self, proposals: Vec<(Ticket, Fact)>, must_record: bool) {
        let must_record = must_record || self.stopped || self.unrecorded.is_due(Instant::now());
        let records = if must_record { self.unrecorded.take() } else { Vec::new() };
        if proposals.is_empty() && records.is_empty() {
            return;
        }
        let committed = if self.stopped { Err(None) } else { self.commit(&proposals, &records).map_err(Some) };
        match committed {
            Ok(bytes) => {
                self.report_committed(proposals, &records);
                self.count_for_checkpoint(bytes);
            }
            Err(reason) => {
                if let Some(error) = reason {
                    self.full = error.is_disk_full();
                    self.stop_writing(error.sentence(&self.path));
                }
                self.report_failed(proposals, records);
            }
        }
    }

    /// One transaction: what others appended is reported, then our own is added behind it; how many bytes the
    /// facts take. If anything fails, dropping the transaction rolls it back.
    fn commit(&mut self, proposals: &[(Ticket, Fact)], records: &[Message]) -> Result<usize, ReadError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        report_foreign(&transaction, &mut self.last, &self.complete)?;
        let mut index = self.last;
        let mut bytes = 0;
        for (_, fact) in proposals {
            index = LogIndex(index.0 + 1);
            bytes += facts::insert(&transaction, index, fact)?;
        }
        for message in records {
            messages::insert(&transaction, message)?;
        }
        transaction.commit()?;
        Ok(bytes)
    }

    /// In a transaction of its own, behind the messages of all facts that it covers: those who wait for a commit do
    /// not wait for it.
    fn save_snapshot(&mut self, index: LogIndex, snapshot: &[u8]) {
        if self.stopped {
            return;
        }
        match snapshots::insert(&self.connection, index, snapshot) {
            Ok(()) => self.count_for_checkpoint(snapshot.len()),
            // After a failed sync nobody knows what the disk has, whatever was written.
            Err(error) => self.stop_writing(schema::sentence(&self.path, &error)),
        }
    }

    fn count_for_checkpoint(&mut self, bytes: usize) {
        if let Err(error) = self.checkpoints.committed(bytes, &self.connection) {
            self.stop_writing(schema::sentence(&self.path, &error));
        }
    }

    fn report_committed(&mut self, proposals: Vec<(Ticket, Fact)>, records: &[Message]) {
        for (ticket, fact) in proposals {
            self.last = LogIndex(self.last.0 + 1);
            let committed = Committed { index: self.last, ticket: Some(ticket), fact };
            (self.complete)(Completion::Committed(committed));
        }
        let newest = records.iter().map(|message| message.index).max();
        if newest.is_some() {
            self.searches.recorded();
        }
        self.recorded = self.recorded.max(newest.unwrap_or_default());
    }

    fn report_failed(&mut self, proposals: Vec<(Ticket, Fact)>, records: Vec<Message>) {
        for (ticket, _) in proposals {
            (self.complete)(Completion::ProposalFailed { ticket });
        }
        for message in records {
            let _ = self.reader.send(Work::Unsaved(message));
        }
    }

    /// Looks for facts that others appended.
    fn poll(&mut self) {
        if self.stopped && !self.full {
            return;
        }
        if let Err(error) = self.try_poll() {
            self.stop_writing(error.sentence(&self.path));
        }
    }

    fn try_poll(&mut self) -> Result<(), ReadError> {
        // Much cheaper than a query, and changes only by others' commits.
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version != self.data_version {
            report_foreign(&self.connection, &mut self.last, &self.complete)?;
            self.data_version = version;
        }
        Ok(())
    }

    /// Forgets some messages that have become too old.
    fn forget(&mut self) {
        let Some(retention) = self.retention.as_mut().filter(|_| !self.stopped) else {
            self.retention = None;
            return;
        };
        match retention.forget(&mut self.connection) {
            Ok(forgotten) => {
                if !forgotten.through.is_empty() {
                    self.searches.forgotten();
                }
                for (conversation, through) in forgotten.through {
                    (self.complete)(Completion::Forgotten { conversation, through });
                }
                self.count_for_checkpoint(forgotten.bytes);
            }
            Err(ReadError::Database(error)) => self.stop_writing(schema::sentence(&self.path, &error)),
            // Damage to what is old does not keep anybody from writing.
            Err(error) => {
                tracing::warn!("old messages are not forgotten any more: {}", error.sentence(&self.path));
                self.retention = None;
            }
        }
    }

    fn stop_writing(&mut self, reason: String) {
        if !std::mem::replace(&mut self.stopped, true) {
            // Closing must not try again what failed.
            let _ = schema::distrust(&self.connection);
            (self.complete)(Completion::StoppedWriting { reason });
        }
    }

    /// The other connections are closed first, so that closing the last one tidies up the files.
    fn end(self) {
        drop(self.reader);
        if self.reader_thread.join().is_err() {
            tracing::error!("the log's reader ended early");
        }
        self.searches.stop();
        self.checkpoints.stop();
    }
}

impl Batch {
    /// `first` and whatever is queued behind it.
    fn gather(first: Request, requests: &Receiver<Request>) -> Batch {
        let mut batch = Batch::default();
        for request in std::iter::once(first).chain(requests.try_iter()).take(MAX_BATCH) {
            match request {
                Request::Propose(ticket, fact) => batch.proposals.push((ticket, fact)),
                Request::Record(message) => batch.records.push(message),
                Request::Query(query, what) => batch.queries.push((query, what)),
                Request::Snapshot(index, snapshot) => batch.snapshot = Some((index, snapshot)),
            }
        }
        batch
    }
}

/// Reports facts after `last`, which others appended; they are durable already.
fn report_foreign(connection: &Connection, last: &mut LogIndex, complete: &Complete) -> Result<(), ReadError> {
    facts::read_after(connection, *last, |index, fact| {
        *last = index;
        complete(Completion::Committed(Committed { index, ticket: None, fact }));
    })
}
