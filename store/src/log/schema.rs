//! The database file: where it is, how it is opened, and which schema it has.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::OpenError;

/// The schema that this version writes, kept in the database's `user_version`.
pub(super) const SCHEMA_VERSION: i64 = 3;

/// How long to wait while another process writes. `toom user import` of many accounts takes a second or two.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// When SQLite waits for the disk.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Never: the system writes when it likes.
    Off,
    /// At checkpoints: nothing is damaged when the power fails, but the newest commits may be gone.
    Normal,
    /// At each commit. The only level under which "committed" means durable.
    Full,
}

/// The truth. It has been the same since schema 1.
const LOG: &str = "CREATE TABLE log (idx INTEGER PRIMARY KEY, body BLOB NOT NULL);";

/// What is derived from it. A row of `messages` is added at the end of the table; only the index has to find a place
/// for it, which with many conversations is a page of its own for each.
const DERIVED: &str = "
    CREATE TABLE messages (
        fact INTEGER PRIMARY KEY,
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX messages_by_number ON messages (conversation, number);
    CREATE TABLE snapshots (idx INTEGER PRIMARY KEY, body BLOB NOT NULL);
    PRAGMA user_version = 3;
";

/// From an earlier schema, whose messages had other columns or indexes: what is derived goes, and the start that
/// follows makes it anew from the log.
const FROM_EARLIER: &str = "DROP TABLE messages; DROP TABLE IF EXISTS snapshots;";

/// The database of the data directory `data`.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("toom.db")
}

/// Makes the data directory, for its owner only, if it is missing.
pub(super) fn make_directory(data: &Path) -> Result<(), OpenError> {
    let failed = |error: io::Error| {
        OpenError(format!("the data directory {} cannot be made: {}", data.display(), crate::system::in_words(&error)))
    };
    if data.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    // What is confirmed must not vanish with its directory when the power fails.
    let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
}

/// Opens the database for writing; makes it if it is missing.
pub(super) fn open_or_create(data: &Path, synchronous: Synchronous) -> Result<Connection, OpenError> {
    let path = path(data);
    refuse_to_begin_anew(data, &path)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(|error| {
        OpenError(format!("{} cannot be opened: {}", path.display(), crate::system::in_words(&error)))
    })?;
    let failed = |error| while_opening(&path, &error);
    let mut connection = open_writable(&path, synchronous).map_err(failed)?;
    let version = check_version(&connection, &path)?;
    if !use_write_ahead_log(&connection).map_err(failed)? {
        let what = "the file system under it does not let processes share memory";
        return Err(OpenError(format!("{} cannot be used: {what}", path.display())));
    }
    if version < SCHEMA_VERSION {
        bring_up_to_date(&mut connection).map_err(failed)?;
    }
    Ok(connection)
}

/// Where a server has been, a database that is missing or empty was lost: whoever made a new one would seal that, and
/// empty what is derived from it.
fn refuse_to_begin_anew(data: &Path, path: &Path) -> Result<(), OpenError> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    if length(path) > 0 {
        return Ok(());
    }
    let left = [super::checkpoint::wal(path), super::search::path(data), data.join("logs").join("messagelog.txt")];
    match left.into_iter().find(|left| length(left) > 0) {
        None => Ok(()),
        Some(left) => Err(OpenError(format!(
            "{} is {}, and yet {} is there: restore it from a backup, or move {} away to begin anew; nothing was touched",
            path.display(),
            if path.exists() { "empty" } else { "missing" },
            left.display(),
            data.display()
        ))),
    }
}

/// Opens the database for reading; `None` if there is none yet. One that cannot be looked for is an error.
pub(crate) fn open_read_only(data: &Path) -> Result<Option<Connection>, OpenError> {
    let path = path(data);
    let there = path.try_exists().map_err(|error| {
        OpenError(format!("{} cannot be opened: {}", path.display(), crate::system::in_words(&error)))
    })?;
    refuse_to_begin_anew(data, &path)?;
    if !there {
        return Ok(None);
    }
    let connection = connect_read_only(&path).map_err(|error| while_opening(&path, &error))?;
    let version = check_version(&connection, &path)?;
    Ok((version != 0).then_some(connection))
}

/// What went wrong with the database at `path`, as one sentence.
pub(crate) fn sentence(path: &Path, error: &rusqlite::Error) -> String {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            format!("{path} is damaged ({error}): restore it from a backup, or move it away")
        }
        Some(ErrorCode::DiskFull) => format!("{path} cannot be written: the disk is full"),
        Some(ErrorCode::SystemIoFailure) => format!("{path} cannot be read or written: the disk failed ({error})"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} cannot be written: another program keeps it locked")
        }
        Some(ErrorCode::ReadOnly) => format!("{path} cannot be written: it is read-only"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => format!("{path} cannot be opened"),
        _ => format!("{path} cannot be used: {error}"),
    }
}

/// As [`sentence`], by someone who has only looked at the database.
pub(super) fn while_opening(path: &Path, error: &rusqlite::Error) -> OpenError {
    let damaged = matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt));
    OpenError(format!("{}{}", sentence(path, error), if damaged { "; it was not touched" } else { "" }))
}

/// Another connection for writing to a database that has been opened and checked.
pub(super) fn open_writable(path: &Path, synchronous: Synchronous) -> Result<Connection, rusqlite::Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, synchronous)
}

/// Another connection for reading from a database that has been opened and checked.
pub(super) fn connect_read_only(path: &Path) -> Result<Connection, rusqlite::Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, Synchronous::Full)
}

/// From now on, if this is the last connection to be closed, the write-ahead log is moved into the database.
pub(super) fn trust(connection: &Connection) -> Result<(), rusqlite::Error> {
    // The checkpoint thread does it while we run.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(|_| ())
}

/// From now on, closing leaves the files as they are.
pub(super) fn distrust(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
}

fn connect(path: &Path, mode: OpenFlags, synchronous: Synchronous) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Until all is known to be well: moving the write-ahead log into a damaged file makes it worse.
    distrust(&connection)?;
    let level = match synchronous {
        Synchronous::Off => "OFF",
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", level)?;
    Ok(connection)
}

/// The schema version of the database, 0 if it is empty; an error if it is not ours to use.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let failed = |error| while_opening(path, &error);
    let look = || {
        // One transaction: another process may be making the tables right now.
        let snapshot = connection.unchecked_transaction()?;
        let version: i64 = snapshot.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((version, tables))
    };
    let (version, tables) = look().map_err(failed)?;
    match version {
        1..=SCHEMA_VERSION if !is_as_made(connection, version).map_err(failed)? => Err(OpenError(format!(
            "{} is damaged (its tables are not those that were made): restore it from a backup, or move it away; it was \
             not touched",
            path.display()
        ))),
        1..=SCHEMA_VERSION => Ok(version),
        0 if tables == 0 => Ok(version),
        _ if version > SCHEMA_VERSION => Err(OpenError(format!(
            "{} was written by a newer version of Toom (schema {version}, this one knows {SCHEMA_VERSION}); it was \
             not touched: use that version",
            path.display()
        ))),
        _ => Err(OpenError(format!("{} is not a database of Toom; it was not touched", path.display()))),
    }
}

/// Whether the tables are declared as they were made. A letter that changed on the disk can make another table of one,
/// and then its rows are there and are not found: nothing else would say so.
fn is_as_made(connection: &Connection, version: i64) -> Result<bool, rusqlite::Error> {
    let declared = |connection: &Connection| -> Result<Vec<(String, String)>, rusqlite::Error> {
        // What an earlier schema had beside the log is made anew.
        let which = if version == SCHEMA_VERSION { "sql IS NOT NULL" } else { "name = 'log'" };
        let mut statement =
            connection.prepare(&format!("SELECT name, sql FROM sqlite_schema WHERE {which} ORDER BY name"))?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let made = Connection::open_in_memory()?;
    made.execute_batch(&[LOG, DERIVED].concat())?;
    Ok(declared(connection)? == declared(&made)?)
}

/// Makes the tables, or those that an earlier schema did not have: all or none.
fn bring_up_to_date(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0_i64 => transaction.execute_batch(&[LOG, DERIVED].concat())?,
        1..SCHEMA_VERSION => transaction.execute_batch(&[FROM_EARLIER, DERIVED].concat())?,
        _ => {}
    }
    transaction.commit()
}

/// Whether it could be done. Changing the journal mode needs the file for oneself for a moment, and does not wait
/// for it by itself.
fn use_write_ahead_log(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(10));
            }
            mode => return Ok(mode? == "wal"),
        }
    }
}

/// An empty database of our schema, for tests of what is in it.
#[cfg(test)]
pub(super) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("opened");
    connection.execute_batch(&[LOG, DERIVED].concat()).expect("made");
    connection
}
