//! `DATA/search.db`: which words are in which message, as a full-text index of SQLite (FTS5). It has no text: a row is
//! the number of a fact, the words of its message, and where it was said, so that one question finds what is both
//! about something and readable.
//!
//! It is derived from the log and lives in a file of its own, so that filling it never keeps the writer of the log
//! waiting, and so that it can be thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use toom_core::id::LogIndex;
use toom_core::name::UserName;
use toom_core::server::fact::Conversation;
use toom_core::server::io::Page;
use toom_core::server::search::Search;

use super::super::facts::{ReadError, from_column, to_column};
use super::super::{messages, schema};

/// Kept in `user_version`. An index of another version is built anew.
const VERSION: i64 = 1;

/// `contentless_delete` lets rows be taken out. The prefixes make `wo*` as quick as a word.
const SCHEMA: &str = "
    CREATE VIRTUAL TABLE search USING fts5(
        text, place, content='', contentless_delete=1, prefix='1 2 3', tokenize='unicode61 remove_diacritics 2'
    );
    CREATE TABLE progress (indexed INTEGER NOT NULL, fact BLOB);
    INSERT INTO progress VALUES (0, NULL);
    PRAGMA user_version = 1;
";

/// The index, opened.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
    /// The newest fact whose message is in it.
    indexed: LogIndex,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// With the index.
    Index(rusqlite::Error),
    /// With the log.
    Log(ReadError),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Trouble::Log(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Index(error)
    }
}

/// The index of the log in `data`.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("search.db")
}

/// The newest fact that the index in `data` has, if there is one that can be read.
pub(crate) fn newest(data: &Path) -> Option<LogIndex> {
    let connection = Connection::open_with_flags(path(data), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let indexed = connection.query_row("SELECT indexed FROM progress", [], |row| row.get(0)).ok()?;
    Some(LogIndex(from_column(indexed)))
}

/// Throws the index away; nothing is lost with it.
pub(super) fn remove(data: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path(data).into_os_string();
        name.push(end);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Index {
    /// Opens the index, or makes an empty one; `None` if what is there is not the index of this log.
    pub(super) fn open(data: &Path, log: &Connection) -> Result<Option<Index>, Trouble> {
        let path = path(data);
        // For its owner only, as the log is; the files beside it get the same mode from SQLite.
        let made = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        made.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let connection = Connection::open(&path)?;
        connection.busy_timeout(schema::BUSY_TIMEOUT)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        // What the power failure takes is indexed again; what is left is whole.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.commit()?;
        } else if version != VERSION {
            return Ok(None);
        }
        let (indexed, fact): (i64, Option<Vec<u8>>) =
            connection.query_row("SELECT indexed, fact FROM progress", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let indexed = LogIndex(from_column(indexed));
        let is_of_this_log = indexed == LogIndex(0) || digest(log, indexed).map_err(ReadError::from)? == fact;
        Ok(is_of_this_log.then_some(Index { connection, indexed }))
    }

    /// Its file cannot be written from now on, or can again.
    #[cfg(test)]
    pub(super) fn keep_from_writing(&self, yes: bool) {
        self.connection.pragma_update(None, "query_only", yes).expect("set");
    }

    /// Whether its own structure is whole.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        self.connection.execute("INSERT INTO search (search) VALUES ('integrity-check')", [])?;
        Ok(())
    }

    /// Adds the messages of the next facts, at most `limit`; whether there may be more.
    pub(super) fn advance(&mut self, log: &Connection, limit: usize) -> Result<bool, Trouble> {
        let next = messages::recorded_after(log, self.indexed, limit)?;
        let Some(newest) = next.last().map(|message| message.index) else { return Ok(false) };
        let fact = digest(log, newest).map_err(ReadError::from)?;
        let transaction = self.connection.unchecked_transaction()?;
        for message in &next {
            let mut add = transaction.prepare_cached("INSERT INTO search (rowid, text, place) VALUES (?1, ?2, ?3)")?;
            add.execute((to_column(message.index.0), &message.text, place(&message.conversation)))?;
        }
        transaction.execute("UPDATE progress SET indexed = ?1, fact = ?2", (to_column(newest.0), fact))?;
        transaction.commit()?;
        self.indexed = newest;
        Ok(next.len() == limit)
    }

    /// Takes out the messages that are older than all that the log has.
    pub(super) fn forget(&self, log: &Connection) -> Result<(), Trouble> {
        let oldest = messages::oldest_recorded(log).map_err(ReadError::from)?;
        let end = oldest.unwrap_or(LogIndex(self.indexed.0.saturating_add(1)));
        // The newest of them may have lost its text, by which it was known.
        let fact = digest(log, self.indexed).map_err(ReadError::from)?;
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute("DELETE FROM search WHERE rowid < ?1", [to_column(end.0)])?;
        transaction.execute("UPDATE progress SET fact = ?1", [fact])?;
        transaction.commit()?;
        Ok(())
    }

    /// The page that is looked for; in it is what [`Index::advance`] has added.
    pub(super) fn find(&self, log: &Connection, search: &Search) -> Result<Page, Trouble> {
        // One transaction, so that a page shows one moment.
        let snapshot = log.unchecked_transaction().map_err(ReadError::from)?;
        let mut page = Page { messages: Vec::new(), more: false };
        let mut bytes = 0_usize;
        for fact in self.facts(&snapshot, search)?.into_iter().rev() {
            // What retention took meanwhile is not there any more. And whatever an index says, nobody gets what
            // they may not read.
            let found = messages::recorded_at(&snapshot, fact)?.filter(|message| search.may_read(message));
            let Some(message) = found else { continue };
            bytes = bytes.saturating_add(message.text.len());
            let too_large = !page.messages.is_empty() && bytes > search.max_bytes;
            if too_large || page.messages.len() >= search.max_messages {
                page.more = true;
                break;
            }
            page.messages.push(message);
        }
        Ok(page)
    }

    /// The newest facts with the words, one more than fit a page.
    fn facts(&self, log: &Connection, search: &Search) -> Result<BTreeSet<LogIndex>, Trouble> {
        let limit = search.max_messages.saturating_add(1);
        let mut found: BTreeSet<LogIndex> = BTreeSet::new();
        for ((first, last), places) in ranges(log, search)? {
            // What is older than a full page has is not needed.
            let full = found.len() >= limit;
            let first = found.first().copied().filter(|_| full).unwrap_or_default().max(first);
            let mut select = self.connection.prepare_cached(
                "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC LIMIT ?4",
            )?;
            let limit_column = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows =
                select.query((expression(search, &places), to_column(first.0), to_column(last.0), limit_column))?;
            while let Some(row) = rows.next()? {
                found.insert(LogIndex(from_column(row.get(0)?)));
            }
            while found.len() > limit {
                found.pop_first();
            }
        }
        Ok(found)
    }
}

/// Where to search: intervals of facts, and the conversations to be searched there. Most conversations are readable
/// from the first message on and so share one interval.
fn ranges(log: &Connection, search: &Search) -> Result<BTreeMap<(LogIndex, LogIndex), Vec<String>>, ReadError> {
    let mut ranges: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let Some(top) = top(log, search)? else { return Ok(ranges) };
    for span in &search.spans {
        let first = match span.first.0 {
            0 | 1 => LogIndex(0),
            first => match messages::fact_from(log, &span.conversation, first)? {
                Some(fact) => fact,
                None => continue,
            },
        };
        let beyond = messages::fact_from(log, &span.conversation, span.last.0.saturating_add(1))?;
        let last = beyond.map_or(top, |beyond| top.min(LogIndex(beyond.0.saturating_sub(1))));
        ranges.entry((first, last)).or_default().push(place(&span.conversation));
    }
    let own = (LogIndex(search.direct_after.0.saturating_add(1)), top);
    ranges.entry(own).or_default().push(person(&search.reader));
    ranges.retain(|(first, last), _| first <= last);
    Ok(ranges)
}

/// The newest fact that may be found; `None` if what it should be older than is not there.
fn top(log: &Connection, search: &Search) -> Result<Option<LogIndex>, ReadError> {
    let Some((conversation, number)) = &search.before else { return Ok(Some(search.up_to)) };
    let before = messages::fact_of(log, conversation, *number)?;
    Ok(before.map(|before| search.up_to.min(LogIndex(before.0.saturating_sub(1)))))
}

/// In FTS5's language: every word quoted, so that it is a word whatever is in it.
fn expression(search: &Search, places: &[String]) -> String {
    let mut expression = String::from("text : (");
    for word in &search.words {
        // A NUL would end the expression.
        let text = word.text.replace('"', "\"\"").replace('\0', " ");
        // Writing to a String cannot fail.
        let _ = write!(expression, "\"{text}\"{} ", if word.is_prefix { " *" } else { "" });
    }
    let _ = write!(expression, ") AND place : ({})", places.join(" OR "));
    expression
}

/// Where a message was said, in words of the index.
fn place(conversation: &Conversation) -> String {
    match conversation {
        Conversation::Broadcast => "broadcast".into(),
        Conversation::Room(room) => format!("room{room}"),
        Conversation::Direct(a, b) => format!("{} {}", person(a), person(b)),
    }
}

/// One word, whatever is in the name.
fn person(name: &UserName) -> String {
    let mut word = String::from("with");
    for byte in name.as_str().bytes() {
        let _ = write!(word, "{byte:02x}");
    }
    word
}

/// What tells a fact from any other that might have its place.
fn digest(log: &Connection, fact: LogIndex) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    let body = log.query_row("SELECT body FROM log WHERE idx = ?1", [to_column(fact.0)], |row| {
        Ok(blake3::hash(row.get_ref(0)?.as_blob()?).as_bytes()[..16].to_vec())
    });
    body.optional()
}
