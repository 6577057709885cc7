//! The log as somebody looks at it who never writes, also while a server runs: one moment of it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use toom_core::id::LogIndex;
use toom_core::server::fact::{Committed, Message};

use super::facts::{self, ReadError, from_column};
use super::{OpenError, check, messages, schema, snapshots};
use crate::maintenance::Stats;

/// An opened log.
#[derive(Debug)]
pub(crate) struct OpenLog {
    path: PathBuf,
    connection: Connection,
}

impl OpenLog {
    /// Opens the log in `data`; `None` if there is none.
    pub(crate) fn open(data: &Path) -> Result<Option<OpenLog>, OpenError> {
        let path = schema::path(data);
        let Some(connection) = schema::open_read_only(data)? else { return Ok(None) };
        check::end(&connection, data, &path)?;
        let failed = |error: rusqlite::Error| schema::while_opening(&path, &error);
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version < schema::SCHEMA_VERSION {
            return Err(OpenError(format!(
                "{} was written by an earlier version of Toom; start the server once, which brings it up to date",
                path.display()
            )));
        }
        // What is read from now on is of one moment.
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(failed)?;
        Ok(Some(OpenLog { path, connection }))
    }

    /// What is wrong with the structure of the file.
    pub(crate) fn integrity(&self) -> Option<String> {
        let found = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        match found {
            Ok(found) if found == "ok" => None,
            Ok(found) => Some(format!("{} is damaged ({})", self.path.display(), found.replace('\n', " "))),
            Err(error) => Some(schema::sentence(&self.path, &error)),
        }
    }

    /// Reads the log behind `after`, oldest first.
    pub(crate) fn read_after(&self, after: LogIndex, mut each: impl FnMut(Committed)) -> Result<(), OpenError> {
        facts::read_after(&self.connection, after, |index, fact| each(Committed { index, ticket: None, fact }))
            .map_err(|error| error.while_opening(&self.path))
    }

    /// All snapshots, the newest first.
    pub(crate) fn snapshots(&self) -> Result<Vec<snapshots::Snapshot>, OpenError> {
        snapshots::all(&self.connection).map_err(|error| schema::while_opening(&self.path, &error))
    }

    /// The newest fact that the index of messages covers.
    pub(crate) fn recorded(&self) -> LogIndex {
        messages::newest_recorded(&self.connection).unwrap_or_default()
    }

    /// Whether the index of messages has this message, and says the same of it.
    pub(crate) fn has(&self, message: &Message) -> bool {
        messages::recorded_at(&self.connection, message.index).is_ok_and(|found| found.as_ref() == Some(message))
    }

    /// How many messages the index has.
    pub(crate) fn message_count(&self) -> Option<u64> {
        self.connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).map(from_column).ok()
    }

    /// What the index of messages says.
    pub(crate) fn message_stats(&self) -> Result<Stats, OpenError> {
        messages::stats(&self.connection).map_err(|error| ReadError::Database(error).while_opening(&self.path))
    }

    /// Copies all of it into an empty file: what was committed, without what was deleted.
    pub(crate) fn copy_to(self, file: &Path) -> Result<(), OpenError> {
        let copy = || {
            // A copy is a transaction of its own.
            self.connection.execute_batch("COMMIT")?;
            self.connection.execute("VACUUM INTO ?1", [file.as_os_str().to_string_lossy()]).map(|_| ())
        };
        copy().map_err(|error| OpenError(schema::sentence(file, &error)))
    }
}
