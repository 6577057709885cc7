//! Pages of messages that follow each other, by the table of messages.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};
use toom_core::id::MessageNumber;
use toom_core::server::fact::Message;
use toom_core::server::io::{Filling, Page, Query, Select, Span};
use toom_core::time::Timestamp;

use super::facts::{ReadError, from_column, to_column};
use super::messages::{key, message};

const OLDEST_FIRST: &str = "SELECT number, at, fact, checksum, body FROM messages LEFT JOIN log ON idx = fact
    WHERE conversation = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number";
const NEWEST_FIRST: &str = "SELECT number, at, fact, checksum, body FROM messages LEFT JOIN log ON idx = fact
    WHERE conversation = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number DESC";

/// The page that answers a query, of those that the table answers; `None` for another. `unsaved` are newer than all in
/// the table: they could not be added.
pub(super) fn answer(connection: &Connection, unsaved: &[Message], query: &Query) -> Result<Option<Page>, ReadError> {
    // One transaction, so that a page shows one moment.
    let snapshot = connection.unchecked_transaction()?;
    Ok(Some(match query {
        Query::Select(select) => in_order(&snapshot, unsaved, select)?,
        Query::Last(select) => newest(&snapshot, unsaved, select)?,
        Query::First(select) => first_of_each(&snapshot, unsaved, select)?,
        Query::Search(_) => return Ok(None),
    }))
}

/// Calls `each` with the messages of `span` not before a moment, in order, until it breaks.
pub(super) fn visit(
    connection: &Connection,
    span: &Span,
    not_before: Timestamp,
    each: &mut impl FnMut(Message) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    walk(connection, OLDEST_FIRST, (span, not_before), each)
}

/// As [`visit`], from the newest to the oldest.
fn visit_back(
    connection: &Connection,
    span: &Span,
    not_before: Timestamp,
    each: &mut impl FnMut(Message) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    walk(connection, NEWEST_FIRST, (span, not_before), each)
}

/// The number from which on the messages of `span` are not before a moment.
fn first_number(
    connection: &Connection,
    span: &Span,
    not_before: Timestamp,
) -> Result<Option<MessageNumber>, ReadError> {
    let (mut first, mut last) = (to_column(span.first.0), to_column(span.last.0));
    let key = key(&span.conversation);
    let mut newest = connection.prepare_cached("SELECT max(number) FROM messages WHERE conversation = ?1")?;
    let Some(newest) = newest.query_row([&key], |row| row.get::<_, Option<i64>>(0))? else { return Ok(None) };
    last = last.min(newest);
    // Times never go backwards in a conversation, so halving what is left finds the number to start from; else asking
    // for the last hour would walk through all the years before it.
    let mut from = connection.prepare_cached(
        "SELECT number, at FROM messages WHERE conversation = ?1 AND number >= ?2 ORDER BY number LIMIT 1",
    )?;
    while first <= last {
        let middle = first + (last - first) / 2;
        let found =
            from.query_row((&key, middle), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        match found {
            Some((number, at)) if at < not_before.as_millis() => first = number.saturating_add(1),
            _ => last = middle - 1,
        }
    }
    Ok((first <= newest).then(|| MessageNumber(from_column(first))))
}

fn walk(
    connection: &Connection,
    select: &str,
    (span, not_before): (&Span, Timestamp),
    each: &mut impl FnMut(Message) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ReadError> {
    let Some(first) = first_number(connection, span, not_before)? else { return Ok(ControlFlow::Continue(())) };
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query((key(&span.conversation), to_column(first.0), to_column(span.last.0)))?;
    while let Some(row) = rows.next()? {
        if each(message(&span.conversation, row)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn in_order(connection: &Connection, unsaved: &[Message], select: &Select) -> Result<Page, ReadError> {
    let mut page = Filling::new(select);
    for span in &select.spans {
        let mut rest = unsaved.iter().filter(|message| is_in(message, span, select)).cloned();
        if visit(connection, span, select.not_before, &mut |message| page.add(message))?.is_break()
            || rest.try_for_each(|message| page.add(message)).is_break()
        {
            break;
        }
    }
    Ok(page.page)
}

fn newest(connection: &Connection, unsaved: &[Message], select: &Select) -> Result<Page, ReadError> {
    let mut page = Filling::new(select);
    for span in select.spans.iter().rev() {
        let mut rest = unsaved.iter().rev().filter(|message| is_in(message, span, select)).cloned();
        if rest.try_for_each(|message| page.add(message)).is_break()
            || visit_back(connection, span, select.not_before, &mut |message| page.add(message))?.is_break()
        {
            break;
        }
    }
    page.page.messages.reverse();
    Ok(page.page)
}

fn first_of_each(connection: &Connection, unsaved: &[Message], select: &Select) -> Result<Page, ReadError> {
    let mut page = Filling::new(select);
    for span in &select.spans {
        let mut first = None;
        let found = visit(connection, span, select.not_before, &mut |message| {
            first = Some(message);
            ControlFlow::Break(())
        })?;
        if found.is_continue() {
            first = unsaved.iter().find(|message| is_in(message, span, select)).cloned();
        }
        if first.is_some_and(|message| page.add(message).is_break()) {
            break;
        }
    }
    Ok(page.page)
}

fn is_in(message: &Message, span: &Span, select: &Select) -> bool {
    message.conversation == span.conversation
        && (span.first..=span.last).contains(&message.number)
        && message.at >= select.not_before
}
