//! The table of messages catches up with the log while that is read at start.
//!
//! After a crash a few messages are missing, which wait in memory until the log runs. Where many are, after a migration
//! or because the table was damaged, they are written at once: the texts of years do not fit in memory.

use rusqlite::{Transaction, TransactionBehavior};
use toom_core::id::LogIndex;
use toom_core::server::fact::{Committed, Message};

use super::facts::{self, ReadError};
use super::{Log, OpenError, checkpoint, messages};

/// How many messages may wait in memory: all that a crash can leave, several times over.
const MAX_WAITING: usize = 16_384;

/// What is gathered while the log is read.
struct Gathered<'a> {
    log: &'a Log,
    /// Messages that the table lacks.
    waiting: Vec<Message>,
    /// Once there are too many.
    writing: Option<Transaction<'a>>,
    failure: Option<OpenError>,
}

impl Log {
    /// Reads the log behind `after`, oldest first; `each` says which message a fact became. What the table of messages
    /// lacks is recorded now, or returned to be recorded when the log runs.
    pub fn replay_messages(
        &mut self,
        after: LogIndex,
        mut each: impl FnMut(Committed) -> Option<Message>,
    ) -> Result<Vec<Message>, OpenError> {
        let mut last = after;
        let mut gathered = Gathered { log: self, waiting: Vec::new(), writing: None, failure: None };
        if let Some(damage) = &self.damage {
            tracing::warn!("the index of messages in {} is made anew: {damage}", self.path.display());
            gathered.begin(true)?;
        }
        facts::read_after(&self.reader, after, |index, fact| {
            last = index;
            if let Some(message) = each(Committed { index, ticket: None, fact }) {
                gathered.add(message);
            }
        })
        .map_err(|error| error.while_opening(&self.path))?;
        let (waiting, recorded) = gathered.finish()?;
        self.last = last;
        self.recorded = self.recorded.max(recorded);
        Ok(waiting)
    }
}

impl<'a> Gathered<'a> {
    fn add(&mut self, message: Message) {
        let is_there = self.log.damage.is_none() && message.index <= self.log.recorded;
        // Retention left a post's place in the log, and no text.
        if is_there || message.text.is_empty() || self.failure.is_some() {
            return;
        }
        self.waiting.push(message);
        if self.waiting.len() > MAX_WAITING || self.writing.is_some() {
            let written = if self.writing.is_none() { self.begin(false) } else { Ok(()) };
            self.failure = written.and_then(|()| self.write()).err();
        }
    }

    /// Begins to write; what was read is made durable first, as nothing may be appended behind what may be lost.
    fn begin(&mut self, clear: bool) -> Result<(), OpenError> {
        let Log { connection, path, .. } = self.log;
        checkpoint::settle(connection, path).map_err(OpenError)?;
        let begin = || {
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            if clear {
                messages::clear(&transaction)?;
            }
            Ok(transaction)
        };
        self.writing = Some(begin().map_err(|error| self.failed(error))?);
        Ok(())
    }

    fn write(&mut self) -> Result<(), OpenError> {
        for message in std::mem::take(&mut self.waiting) {
            messages::insert(&self.log.connection, &message).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// What still waits, and the newest fact whose message was written.
    fn finish(mut self) -> Result<(Vec<Message>, LogIndex), OpenError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(writing) = self.writing.take() else { return Ok((self.waiting, LogIndex(0))) };
        let newest = messages::newest_recorded(&writing).map_err(|error| self.failed(error))?;
        writing.commit().map_err(|error| self.failed(error))?;
        Ok((self.waiting, newest))
    }

    fn failed(&self, error: rusqlite::Error) -> OpenError {
        OpenError(ReadError::Database(error).sentence(&self.log.path))
    }
}
