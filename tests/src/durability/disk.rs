//! What a disk can do: batches in a file, and in SQLite as the store uses it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::TEXT_BYTES;

/// What a message takes in the log: its text, and what goes with it.
const RECORD_BYTES: usize = TEXT_BYTES + 64;

/// Messages a second when each batch is appended to a file and synced.
pub fn appended(folder: &Path, batch: usize, time: Duration) -> io::Result<f64> {
    let mut file = File::create(folder.join("appended"))?;
    let bytes = vec![7; RECORD_BYTES * batch];
    rate(batch, time, || {
        file.write_all(&bytes)?;
        file.sync_data()
    })
}

/// Messages a second when each batch is a transaction of SQLite: a write-ahead log, synced at each commit.
pub fn inserted(folder: &Path, batch: usize, time: Duration) -> io::Result<f64> {
    let folder = tempfile::tempdir_in(folder)?;
    let connection = Connection::open(folder.path().join("alone.db")).map_err(io::Error::other)?;
    let begin = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE log (idx INTEGER PRIMARY KEY, body BLOB NOT NULL);";
    connection.execute_batch(begin).map_err(io::Error::other)?;
    let body = vec![7_u8; RECORD_BYTES];
    rate(batch, time, || insert(&connection, batch, &body).map_err(io::Error::other))
}

fn insert(connection: &Connection, batch: usize, body: &[u8]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached("INSERT INTO log (body) VALUES (?1)")?;
    for _ in 0..batch {
        statement.execute([body])?;
    }
    drop(statement);
    transaction.commit()
}

fn rate(batch: usize, time: Duration, mut each: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < time {
        each()?;
        done += batch;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}
