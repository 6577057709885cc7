//! The table `messages`: which fact is which message of a conversation. Derived from the log.

use std::ops::ControlFlow;

use rusqlite::{CachedStatement, Connection, Row};
use toom_core::id::{LogIndex, MessageNumber, RoomId};
use toom_core::server::fact::{Conversation, Fact, Message};
use toom_core::server::io::{Page, Select, Span};
use toom_core::time::Timestamp;

use super::facts::{ReadError, decode, from_column, to_column};

/// Adds a message. A row that is there already is replaced: what the log says now is right.
pub(super) fn insert(connection: &Connection, message: &Message) -> Result<(), rusqlite::Error> {
    let mut statement = connection
        .prepare_cached("INSERT OR REPLACE INTO messages (conversation, number, at, fact) VALUES (?1, ?2, ?3, ?4)")?;
    statement.execute((
        key(&message.conversation),
        to_column(message.number.0),
        message.at.as_millis(),
        to_column(message.index.0),
    ))?;
    Ok(())
}

/// The newest fact that has a row; messages are added in the order of the log, so all before it have theirs.
pub(crate) fn newest_recorded(connection: &Connection) -> Result<LogIndex, rusqlite::Error> {
    let newest: Option<i64> = connection.query_row("SELECT max(fact) FROM messages", [], |row| row.get(0))?;
    Ok(LogIndex(from_column(newest.unwrap_or(0))))
}

/// How many messages the broadcasts and each room have; nothing for those that have none.
pub(crate) fn message_counts(connection: &Connection) -> Result<Vec<(Conversation, u64)>, rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT conversation, count(*) FROM messages
         WHERE conversation = 'broadcast' OR conversation GLOB 'room/*' GROUP BY conversation",
    )?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(conversation) = public_conversation(row.get_ref(0)?.as_str()?) {
            counts.push((conversation, from_column(row.get(1)?)));
        }
    }
    Ok(counts)
}

/// Calls `each` with every message of a conversation, in order.
pub(crate) fn each_message(
    connection: &Connection,
    conversation: &Conversation,
    mut each: impl FnMut(Message),
) -> Result<(), ReadError> {
    let all = Span { conversation: conversation.clone(), first: MessageNumber(0), last: MessageNumber(u64::MAX) };
    visit(connection, &all, Timestamp::from_millis(i64::MIN), &mut |message| {
        each(message);
        ControlFlow::Continue(())
    })
    .map(|_| ())
}

/// One page of messages. `unsaved` are newer than all in the table: they could not be added.
pub(super) fn page(connection: &Connection, unsaved: &[Message], select: &Select) -> Result<Page, ReadError> {
    // One transaction, so that a page shows one moment.
    let snapshot = connection.unchecked_transaction()?;
    let mut page = Page { messages: Vec::new(), more: false };
    let mut bytes = 0_usize;
    let mut add = |message: Message| {
        let first = page.messages.is_empty();
        let too_large = !first && bytes.saturating_add(message.text.len()) > select.max_bytes;
        if too_large || page.messages.len() >= select.max_messages {
            page.more = true;
            return ControlFlow::Break(());
        }
        bytes = bytes.saturating_add(message.text.len());
        page.messages.push(message);
        ControlFlow::Continue(())
    };
    for span in &select.spans {
        let wanted = |message: &&Message| {
            message.conversation == span.conversation
                && (span.first..=span.last).contains(&message.number)
                && message.at >= select.not_before
        };
        if visit(&snapshot, span, select.not_before, &mut add)?.is_break()
            || unsaved.iter().filter(wanted).cloned().try_for_each(&mut add).is_break()
        {
            break;
        }
    }
    Ok(page)
}

/// Calls `each` with the messages of `span` not before a moment, in order, until it breaks.
fn visit(
    connection: &Connection,
    span: &Span,
    not_before: Timestamp,
    each: &mut impl FnMut(Message) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    let key = key(&span.conversation);
    // Times never go backwards in a conversation, so the index of times gives the number to start from; else
    // asking for the last hour would walk through all the years before it.
    let mut statement: CachedStatement<'_> = connection.prepare_cached(
        "SELECT number FROM messages WHERE conversation = ?1 AND at >= ?2 ORDER BY at, number LIMIT 1",
    )?;
    let mut rows = statement.query((&key, not_before.as_millis()))?;
    let Some(row) = rows.next()? else { return Ok(ControlFlow::Continue(())) };
    let first = from_column(row.get(0)?).max(span.first.0);

    let mut statement = connection.prepare_cached(
        "SELECT number, at, fact, body FROM messages LEFT JOIN log ON idx = fact
         WHERE conversation = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number",
    )?;
    let mut rows = statement.query((&key, to_column(first), to_column(span.last.0)))?;
    while let Some(row) = rows.next()? {
        if each(message(&span.conversation, row)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The message of a row of `number, at, fact, body`.
fn message(conversation: &Conversation, row: &Row<'_>) -> Result<Message, ReadError> {
    let index = LogIndex(from_column(row.get(2)?));
    let body = row.get_ref(3)?.as_blob_or_null().map_err(|_| ReadError::Unreadable(index))?;
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
        number: MessageNumber(from_column(row.get(0)?)),
        at: Timestamp::from_millis(row.get(1)?),
        from,
        text,
        index,
    })
}

/// A conversation as the table has it. Names have no `/`, so no two conversations share a key.
fn key(conversation: &Conversation) -> String {
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
