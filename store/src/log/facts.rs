//! The table `log`: facts as MessagePack with named fields, so that later versions can add fields, each followed by a
//! checksum. SQLite notices damage to its own structures only: without it a bit that flipped on the disk would be
//! another text, another name, or another password.

use std::path::Path;

use rusqlite::Connection;
use serde::Deserialize;
use toom_core::id::LogIndex;
use toom_core::server::fact::Fact;

use super::{OpenError, schema};

/// Against accidents, not against people who can write to the file.
const CHECKSUM_BYTES: usize = 8;

/// Why rows could not be read back.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The database failed.
    Database(rusqlite::Error),
    /// A fact is there, but is not one that this version understands.
    Unreadable(LogIndex),
    /// A fact is not there.
    Missing(LogIndex),
    /// The index of messages is damaged; it can be made anew from the log.
    DamagedMessages,
}

impl ReadError {
    /// As one sentence about the database at `path`.
    pub(crate) fn sentence(&self, path: &Path) -> String {
        match self {
            ReadError::Database(error) => schema::sentence(path, error),
            ReadError::Unreadable(index) => format!(
                "fact {index} of {} cannot be read: it is damaged, or a newer version of Toom wrote it",
                path.display()
            ),
            ReadError::Missing(index) => format!("fact {index} of {} is missing", path.display()),
            ReadError::DamagedMessages => format!(
                "the index of messages in {} is damaged; the server makes it anew at its next start",
                path.display()
            ),
        }
    }

    /// Whether there was no room. Then nothing of it was written, unlike after a sync that failed.
    pub(super) fn is_disk_full(&self) -> bool {
        let code = |error: &rusqlite::Error| error.sqlite_error_code();
        matches!(self, ReadError::Database(error) if code(error) == Some(rusqlite::ErrorCode::DiskFull))
    }

    /// As one sentence of someone who has only looked at the database at `path`.
    pub(super) fn while_opening(&self, path: &Path) -> OpenError {
        match self {
            ReadError::Database(error) => schema::while_opening(path, error),
            _ => OpenError(format!("{}; the file was not touched", self.sentence(path))),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        ReadError::Database(error)
    }
}

/// Puts `fact` in its place, which must be the one after the last; how many bytes it takes.
pub(super) fn insert(connection: &Connection, index: LogIndex, fact: &Fact) -> Result<usize, rusqlite::Error> {
    let body = encode(index, fact)?;
    let mut statement = connection.prepare_cached("INSERT INTO log (idx, body) VALUES (?1, ?2)")?;
    statement.execute((to_column(index.0), &body))?;
    Ok(body.len())
}

/// Puts `fact` in the place of the one that is there; how many bytes it takes.
pub(super) fn replace(connection: &Connection, index: LogIndex, fact: &Fact) -> Result<usize, rusqlite::Error> {
    let body = encode(index, fact)?;
    let mut statement = connection.prepare_cached("UPDATE log SET body = ?2 WHERE idx = ?1")?;
    statement.execute((to_column(index.0), &body))?;
    Ok(body.len())
}

/// The fact at a place.
pub(super) fn read(connection: &Connection, index: LogIndex) -> Result<Fact, ReadError> {
    let mut statement = connection.prepare_cached("SELECT body FROM log WHERE idx = ?1")?;
    let mut rows = statement.query([to_column(index.0)])?;
    let row = rows.next()?.ok_or(ReadError::Missing(index))?;
    let body = row.get_ref(0)?.as_blob().ok();
    body.and_then(|body| decode(index, body)).ok_or(ReadError::Unreadable(index))
}

/// Calls `each` with every fact after `last`, oldest first. A fact that is missing or cannot be read ends it:
/// whatever follows would be applied to the wrong state.
pub(super) fn read_after(
    connection: &Connection,
    last: LogIndex,
    mut each: impl FnMut(LogIndex, Fact),
) -> Result<(), ReadError> {
    let mut statement = connection.prepare_cached("SELECT idx, body FROM log WHERE idx > ?1 ORDER BY idx")?;
    let mut rows = statement.query([to_column(last.0)])?;
    let mut expected = LogIndex(last.0 + 1);
    while let Some(row) = rows.next()? {
        if LogIndex(from_column(row.get(0)?)) != expected {
            return Err(ReadError::Missing(expected));
        }
        let body = row.get_ref(1)?.as_blob().ok();
        let fact = body.and_then(|body| decode(expected, body)).ok_or(ReadError::Unreadable(expected))?;
        each(expected, fact);
        expected.0 += 1;
    }
    Ok(())
}

/// The place of the last fact; 0 if there is none.
pub(super) fn last(connection: &Connection) -> Result<LogIndex, rusqlite::Error> {
    let last: Option<i64> = connection.query_row("SELECT max(idx) FROM log", [], |row| row.get(0))?;
    Ok(LogIndex(from_column(last.unwrap_or(0))))
}

/// The fact that is stored at `index`; `None` if these bytes are not exactly that one.
pub(super) fn decode(index: LogIndex, body: &[u8]) -> Option<Fact> {
    let mut rest = body;
    let fact = Fact::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).ok()?;
    // MessagePack says itself where it ends. Facts of early logs have nothing behind it.
    let encoded = &body[..body.len() - rest.len()];
    (rest.is_empty() || rest == checksum(index, encoded)).then_some(fact)
}

/// As it is stored at `index`.
fn encode(index: LogIndex, fact: &Fact) -> Result<Vec<u8>, rusqlite::Error> {
    let mut body =
        rmp_serde::to_vec_named(fact).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let checksum = checksum(index, &body);
    body.extend(checksum);
    Ok(body)
}

/// Of a fact and its place.
fn checksum(index: LogIndex, encoded: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&index.0.to_be_bytes()).update(encoded);
    let mut checksum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

/// SQLite's integers are signed; numbers above their range do not exist, and stand for "no limit" in queries.
pub(super) fn to_column(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The inverse of [`to_column`]; what is negative was never written by us, and is found missing.
pub(super) fn from_column(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::name::UserName;
    use toom_core::time::Timestamp;

    fn broadcast() -> Fact {
        let from = UserName::new("yoda").expect("a name");
        Fact::Broadcast { from, text: "hi".into(), at: Timestamp::from_millis(5), id: None }
    }

    /// What is stored for `broadcast()` at 3.
    fn body() -> Vec<u8> {
        let connection = schema::in_memory();
        insert(&connection, LogIndex(3), &broadcast()).expect("inserted");
        connection.query_row("SELECT body FROM log WHERE idx = 3", [], |row| row.get(0)).expect("read")
    }

    #[test]
    fn facts_are_stored_with_the_names_of_their_fields_and_a_checksum() {
        let body = body();
        let (encoded, checksum) = body.split_at(body.len() - 8);
        assert_eq!(encoded, b"\x81\xa9Broadcast\x83\xa4from\xa4yoda\xa4text\xa2hi\xa2at\x05");
        assert_eq!(checksum, &blake3::hash(&[b"\0\0\0\0\0\0\0\x03", encoded].concat()).as_bytes()[..8]);
        assert_eq!(decode(LogIndex(3), &body), Some(broadcast()));
    }

    #[test]
    fn a_fact_with_a_field_of_a_later_version_is_understood() {
        let encoded = b"\x81\xa9Broadcast\x84\xa4from\xa4yoda\xa4text\xa2hi\xa2at\x05\xa4tone\xa3low";
        let body = [&encoded[..], &checksum(LogIndex(3), encoded)].concat();
        assert_eq!(decode(LogIndex(3), &body), Some(broadcast()));
    }

    #[test]
    fn a_fact_of_an_early_log_has_no_checksum() {
        let body = body();
        assert_eq!(decode(LogIndex(3), &body[..body.len() - 8]), Some(broadcast()));
    }

    #[test]
    fn bytes_that_are_not_exactly_this_fact_are_refused() {
        let body = body();
        assert_eq!(decode(LogIndex(4), &body), None, "another place");
        for end in (0..body.len()).filter(|end| *end != body.len() - 8) {
            assert_eq!(decode(LogIndex(3), &body[..end]), None, "cut at {end}");
        }
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(decode(LogIndex(3), &damaged), None, "bit {bit} of byte {place}");
            }
        }
        let trailing = [&body[..], b"\x00"].concat();
        assert_eq!(decode(LogIndex(3), &trailing), None);
        assert_eq!(decode(LogIndex(3), b"\x81\xa7Novelty\x80"), None);
    }
}
