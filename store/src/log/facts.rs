//! The table `log`: facts as MessagePack with named fields, so that later versions can add fields.

use std::path::Path;

use rusqlite::Connection;
use serde::Deserialize;
use toom_core::id::LogIndex;
use toom_core::server::fact::Fact;

use super::{OpenError, schema};

/// Why rows could not be read back.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The database failed.
    Database(rusqlite::Error),
    /// A fact is there, but is not one that this version understands.
    Unreadable(LogIndex),
    /// A fact is not there.
    Missing(LogIndex),
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
        }
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
    let body =
        rmp_serde::to_vec_named(fact).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut statement = connection.prepare_cached("INSERT INTO log (idx, body) VALUES (?1, ?2)")?;
    statement.execute((to_column(index.0), &body))?;
    Ok(body.len())
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
        let fact = row.get_ref(1)?.as_blob().ok().and_then(decode).ok_or(ReadError::Unreadable(expected))?;
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

/// A stored fact; `None` if these bytes are not exactly one.
pub(super) fn decode(mut body: &[u8]) -> Option<Fact> {
    let fact = Fact::deserialize(&mut rmp_serde::Deserializer::new(&mut body)).ok()?;
    // MessagePack says itself where it ends.
    body.is_empty().then_some(fact)
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
        Fact::Broadcast { from, text: "hi".into(), at: Timestamp::from_millis(5) }
    }

    #[test]
    fn facts_are_stored_with_the_names_of_their_fields() {
        let body = rmp_serde::to_vec_named(&broadcast()).expect("encodes");
        assert_eq!(body, b"\x81\xa9Broadcast\x83\xa4from\xa4yoda\xa4text\xa2hi\xa2at\x05");
        assert_eq!(decode(&body), Some(broadcast()));
    }

    #[test]
    fn a_fact_with_a_field_of_a_later_version_is_understood() {
        let body = b"\x81\xa9Broadcast\x84\xa4from\xa4yoda\xa4text\xa2hi\xa2at\x05\xa4tone\xa3low";
        assert_eq!(decode(body), Some(broadcast()));
    }

    #[test]
    fn bytes_that_are_not_exactly_one_fact_are_refused() {
        let body = rmp_serde::to_vec_named(&broadcast()).expect("encodes");
        for end in 0..body.len() {
            assert_eq!(decode(&body[..end]), None, "cut at {end}");
        }
        let trailing = [&body[..], b"\x00"].concat();
        assert_eq!(decode(&trailing), None);
        assert_eq!(decode(b"\x81\xa7Novelty\x80"), None);
    }
}
