//! What is looked at before a log is used.
//!
//! Every fact has a checksum, and the start reads those that it needs; damage that SQLite itself sees, in the structure
//! of its file, is looked for by `quick_check`, which reads the whole file. That takes seconds where there are years of
//! messages, and a file that was closed properly has been synced, so it is only done where it is cheap, or where the
//! last run did not end as it should. What changes on the disk of its own accord is found when it is read, and by
//! `toom server check`.

use std::path::Path;

use rusqlite::Connection;

use super::facts::ReadError;
use super::{OpenError, facts, messages, schema, search};

/// Databases up to this size are checked at every start: some 50 ms.
const MAX_ALWAYS_CHECKED: u64 = 16 * 1024 * 1024;

/// Whether the log at `path`, which has not been opened yet, is to be checked. Who ends properly leaves no write-ahead
/// log behind.
pub(super) fn is_due(path: &Path) -> bool {
    let ended_early = std::fs::metadata(super::checkpoint::wal(path)).is_ok_and(|wal| wal.len() > 0);
    ended_early || std::fs::metadata(path).is_ok_and(|file| file.len() <= MAX_ALWAYS_CHECKED)
}

/// Refuses a file whose structure is damaged.
pub(super) fn structure(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| schema::while_opening(path, &error))?;
    if found == "ok" {
        return Ok(());
    }
    let first = found.lines().next().unwrap_or_default();
    Err(OpenError(format!(
        "{} is damaged ({first}): restore it from a backup, or move it away; it was not touched",
        path.display()
    )))
}

/// Refuses a log that lacks its newest facts: SQLite takes a write-ahead log that is damaged as one that ends there. The
/// index of words only ever has what was synced in the log before.
pub(super) fn end(connection: &Connection, data: &Path, path: &Path) -> Result<(), OpenError> {
    // In this order: a server that runs commits meanwhile, and its index follows.
    let newest = search::newest(data);
    let last = facts::last(connection).map_err(|error| schema::while_opening(path, &error))?;
    match newest.filter(|newest| *newest > last) {
        None => Ok(()),
        Some(newest) => Err(OpenError(format!(
            "{} lacks its newest messages: it ends with fact {last}, and {} has fact {newest}: restore a backup, or delete \
             the latter to go on with what is left; nothing was touched",
            path.display(),
            search::path(data).display()
        ))),
    }
}

/// What is wrong with the table of messages, in words.
pub(super) fn messages(connection: &Connection, path: &Path) -> Result<Option<String>, OpenError> {
    messages::check(connection).map_err(|error| ReadError::Database(error).while_opening(path))
}
