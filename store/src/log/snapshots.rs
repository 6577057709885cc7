//! The table `snapshots`: the server's state as of some facts, so that a start need not apply all of them again.
//! Derived; what is in it is the machine's business.

use rusqlite::Connection;
use toom_core::id::LogIndex;

use super::facts::{from_column, to_column};

/// The newest one, and the one before it in case that one cannot be read.
const KEPT: i64 = 2;

/// A snapshot as of a fact.
pub(crate) type Snapshot = (LogIndex, Vec<u8>);

/// Adds a snapshot and deletes old ones, in a transaction of its own.
pub(super) fn insert(connection: &Connection, index: LogIndex, body: &[u8]) -> Result<(), rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("INSERT OR REPLACE INTO snapshots (idx, body) VALUES (?1, ?2)", (to_column(index.0), body))?;
    transaction.execute(
        "DELETE FROM snapshots WHERE idx NOT IN (SELECT idx FROM snapshots ORDER BY idx DESC LIMIT ?1)",
        [KEPT],
    )?;
    transaction.commit()
}

/// All that are there, the newest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Snapshot>, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT idx, body FROM snapshots ORDER BY idx DESC")?;
    let rows = statement.query_map([], |row| {
        // What is no blob is no snapshot either, and that is for who reads it to say.
        let body = row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec();
        Ok((LogIndex(from_column(row.get(0)?)), body))
    })?;
    rows.collect()
}
