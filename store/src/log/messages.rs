//! The table `messages`: which fact is which message of a conversation. Derived from the log.
//!
//! Each row has a checksum, for the same reason as each fact has one: a number or a time that changed on the disk is
//! noticed, and the table is made anew from the log.

use std::ops::{ControlFlow, RangeInclusive};

use rusqlite::{Connection, OptionalExtension, Row};
use toom_core::id::{LogIndex, MessageNumber, RoomId};
use toom_core::name::UserName;
use toom_core::server::fact::{Conversation, Fact, Message};
use toom_core::server::io::Span;
use toom_core::time::Timestamp;

use super::facts::{ReadError, decode, from_column, to_column};
use super::pages;
use super::retention::Place;
use crate::maintenance::Stats;

/// Adds a message. A row that is there already is replaced: what the log says now is right.
pub(super) fn insert(connection: &Connection, message: &Message) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO messages (conversation, number, at, fact, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let (key, number, at, fact) =
        (key(&message.conversation), to_column(message.number.0), message.at.as_millis(), to_column(message.index.0));
    let checksum = checksum(&key, number, at, fact);
    statement.execute((key, number, at, fact, checksum))?;
    Ok(())
}

/// The newest fact that has a row; messages are added in the order of the log, so all before it have theirs.
pub(crate) fn newest_recorded(connection: &Connection) -> Result<LogIndex, rusqlite::Error> {
    let newest: Option<i64> = connection.query_row("SELECT max(fact) FROM messages", [], |row| row.get(0))?;
    Ok(LogIndex(from_column(newest.unwrap_or(0))))
}

/// Calls `each` with the messages of facts after one, oldest first, at most `limit`.
pub(super) fn recorded_after(
    connection: &Connection,
    after: LogIndex,
    limit: usize,
) -> Result<Vec<Message>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, at, fact, checksum, body, conversation FROM messages LEFT JOIN log ON idx = fact
         WHERE fact > ?1 ORDER BY fact LIMIT ?2",
    )?;
    let mut rows = statement.query((to_column(after.0), i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(message(&conversation_of(row)?, row)?);
    }
    Ok(all)
}

/// The message of a fact, if it is there.
pub(super) fn recorded_at(connection: &Connection, fact: LogIndex) -> Result<Option<Message>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, at, fact, checksum, body, conversation FROM messages LEFT JOIN log ON idx = fact
         WHERE fact = ?1",
    )?;
    let mut rows = statement.query([to_column(fact.0)])?;
    rows.next()?.map(|row| message(&conversation_of(row)?, row)).transpose()
}

/// The fact of a message, if it is there.
pub(super) fn fact_of(
    connection: &Connection,
    conversation: &Conversation,
    number: MessageNumber,
) -> Result<Option<LogIndex>, ReadError> {
    let mut statement =
        connection.prepare_cached("SELECT fact FROM messages WHERE conversation = ?1 AND number = ?2")?;
    let fact = statement.query_row((key(conversation), to_column(number.0)), |row| row.get(0)).optional()?;
    Ok(fact.map(|fact| LogIndex(from_column(fact))))
}

/// The fact of the first message with this number or a later one.
pub(super) fn fact_from(
    connection: &Connection,
    conversation: &Conversation,
    number: u64,
) -> Result<Option<LogIndex>, ReadError> {
    let mut statement = connection
        .prepare_cached("SELECT fact FROM messages WHERE conversation = ?1 AND number >= ?2 ORDER BY number LIMIT 1")?;
    let fact = statement.query_row((key(conversation), to_column(number)), |row| row.get(0)).optional()?;
    Ok(fact.map(|fact| LogIndex(from_column(fact))))
}

/// Whether every row is one that was written here: what is wrong, in words, if anything is.
pub(super) fn check(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let mut statement = connection
        .prepare("SELECT number, at, fact, checksum, conversation FROM messages ORDER BY conversation, number")?;
    let mut rows = statement.query([])?;
    let mut previous: Option<(String, i64)> = None;
    while let Some(row) = rows.next()? {
        let Ok(key) = row.get_ref(4)?.as_str().map(str::to_owned) else {
            return Ok(Some("a row is damaged".to_owned()));
        };
        let Some((number, ..)) = whole_row(&key, row) else {
            return Ok(Some(format!("a row of {key} is damaged")));
        };
        // What retention deleted is missing at the beginning only.
        if previous.is_some_and(|(before, last)| before == key && number != last + 1) {
            return Ok(Some(format!("message {} of {key} is missing", number - 1)));
        }
        previous = Some((key, number));
    }
    Ok(None)
}

/// How many there are of each kind, and the times of the oldest and the newest.
pub(super) fn stats(connection: &Connection) -> Result<Stats, rusqlite::Error> {
    let count = |pattern| {
        let count = "SELECT count(*) FROM messages WHERE conversation GLOB ?1";
        connection.query_row(count, [pattern], |row| row.get(0)).map(from_column)
    };
    // Times rise with the facts.
    let time = |order| {
        let first = format!("SELECT at FROM messages ORDER BY fact {order} LIMIT 1");
        connection.query_row(&first, [], |row| row.get(0)).optional()
    };
    Ok(Stats {
        broadcasts: count("broadcast")?,
        room_messages: count("room/*")?,
        direct_messages: count("direct/*")?,
        oldest: time("ASC")?.map(Timestamp::from_millis),
        newest: time("DESC")?.map(Timestamp::from_millis),
        ..Stats::default()
    })
}

/// The messages before a moment, the oldest first, at most `limit`.
pub(super) fn oldest(connection: &Connection, before: Timestamp, limit: usize) -> Result<Vec<Place>, ReadError> {
    // Times rise with the facts, and there is an index of these.
    let mut statement = connection
        .prepare_cached("SELECT number, at, fact, checksum, NULL, conversation FROM messages ORDER BY fact LIMIT ?1")?;
    let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        let conversation = conversation_of(row)?;
        let (number, at, fact) = whole_row(&key(&conversation), row).ok_or(ReadError::DamagedMessages)?;
        if Timestamp::from_millis(at) >= before {
            break;
        }
        old.push((LogIndex(from_column(fact)), conversation, MessageNumber(from_column(number))));
    }
    Ok(old)
}

/// Deletes a message's row.
pub(super) fn delete(
    connection: &Connection,
    conversation: &Conversation,
    number: MessageNumber,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("DELETE FROM messages WHERE conversation = ?1 AND number = ?2")?;
    statement.execute((key(conversation), to_column(number.0))).map(|_| ())
}

/// The oldest fact that has a row.
pub(super) fn oldest_recorded(connection: &Connection) -> Result<Option<LogIndex>, rusqlite::Error> {
    let oldest: Option<i64> = connection.query_row("SELECT min(fact) FROM messages", [], |row| row.get(0))?;
    Ok(oldest.map(|oldest| LogIndex(from_column(oldest))))
}

/// Empties the table.
pub(super) fn clear(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM messages", []).map(|_| ())
}

/// The first and the last message of the broadcasts and of each room; nothing for those that have none.
pub(crate) fn message_ranges(
    connection: &Connection,
) -> Result<Vec<(Conversation, RangeInclusive<u64>)>, rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT conversation, min(number), max(number) FROM messages
         WHERE conversation = 'broadcast' OR conversation GLOB 'room/*' GROUP BY conversation",
    )?;
    let mut rows = statement.query([])?;
    let mut ranges = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(conversation) = public_conversation(row.get_ref(0)?.as_str()?) {
            ranges.push((conversation, from_column(row.get(1)?)..=from_column(row.get(2)?)));
        }
    }
    Ok(ranges)
}

/// Calls `each` with every message of a conversation, in order.
pub(crate) fn each_message(
    connection: &Connection,
    conversation: &Conversation,
    mut each: impl FnMut(Message),
) -> Result<(), ReadError> {
    let all = Span { conversation: conversation.clone(), first: MessageNumber(0), last: MessageNumber(u64::MAX) };
    pages::visit(connection, &all, Timestamp::from_millis(i64::MIN), &mut |message| {
        each(message);
        ControlFlow::Continue(())
    })
    .map(|_| ())
}

/// The message of a row of `number, at, fact, checksum, body`.
pub(super) fn message(conversation: &Conversation, row: &Row<'_>) -> Result<Message, ReadError> {
    let (number, at, fact) = whole_row(&key(conversation), row).ok_or(ReadError::DamagedMessages)?;
    let index = LogIndex(from_column(fact));
    let body = row.get_ref(4)?.as_blob_or_null().map_err(|_| ReadError::Unreadable(index))?;
    let fact = decode(index, body.ok_or(ReadError::Missing(index))?);
    let (from, text) = match fact {
        Some(
            Fact::Broadcast { from, text, .. }
            | Fact::RoomMessage { from, text, .. }
            | Fact::DirectMessage { from, text, .. },
        ) => (from, text),
        _ => return Err(ReadError::Unreadable(index)),
    };
    Ok(Message {
        conversation: conversation.clone(),
        number: MessageNumber(from_column(number)),
        at: Timestamp::from_millis(at),
        from,
        text,
        index,
    })
}

/// Number, time and fact of a row that begins with `number, at, fact, checksum`; `None` if it is damaged.
fn whole_row(key: &str, row: &Row<'_>) -> Option<(i64, i64, i64)> {
    let (number, at, fact) = (row.get(0).ok()?, row.get(1).ok()?, row.get(2).ok()?);
    (row.get::<_, i64>(3).ok()? == checksum(key, number, at, fact)).then_some((number, at, fact))
}

/// Against accidents, as that of a fact.
fn checksum(key: &str, number: i64, at: i64, fact: i64) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for column in [number, at, fact] {
        hasher.update(&column.to_be_bytes());
    }
    let hash = hasher.update(key.as_bytes()).finalize();
    let half = hash.as_bytes().first_chunk().map_or(0, |half| u32::from_be_bytes(*half));
    i64::from(half)
}

/// The conversation of a row that has it in its last column.
fn conversation_of(row: &Row<'_>) -> Result<Conversation, ReadError> {
    row.get_ref(5)?.as_str().ok().and_then(conversation).ok_or(ReadError::DamagedMessages)
}

/// The inverse of [`key`].
fn conversation(key: &str) -> Option<Conversation> {
    let Some(names) = key.strip_prefix("direct/") else { return public_conversation(key) };
    let (first, second) = names.split_once('/')?;
    Some(Conversation::Direct(UserName::read(first).ok()?, UserName::read(second).ok()?))
}

/// A conversation as the table has it. Names have no `/`, so no two conversations share a key.
pub(super) fn key(conversation: &Conversation) -> String {
    match conversation {
        Conversation::Broadcast => "broadcast".into(),
        Conversation::Room(room) => format!("room/{room}"),
        Conversation::Direct(first, second) => format!("direct/{first}/{second}"),
    }
}

/// The inverse of [`key`] for conversations of more than two.
fn public_conversation(key: &str) -> Option<Conversation> {
    match key.strip_prefix("room/") {
        Some(room) => room.parse().ok().map(|room| Conversation::Room(RoomId(room))),
        None => (key == "broadcast").then_some(Conversation::Broadcast),
    }
}
