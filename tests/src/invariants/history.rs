//! What people read of the past.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::{Input as ClientInput, Output as ClientOutput};
use toom_core::id::{ConnectionId, MessageNumber, RequestId};
use toom_core::name::UserName;
use toom_core::server::fact::Conversation;
use toom_core::server::io::{Input, Output};
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES, MAX_TEXT_BYTES};
use toom_core::wire::message::{
    Cursor, FoundIn, FoundMessage, HistoryKind, PastMessage, Reply, ReplyBody, Request, RequestBody, ServerMessage,
};

use super::conference::{Part, reply};
use super::model::{Key, Model, Outcome};
use super::{Broken, Observation, ensure, rooms};

/// One page.
pub const EXACT: &str =
    "history: a page is exactly what its reader may read, from where and when it was asked, in order";
/// One page of a search.
pub const FOUND: &str = "history: a search finds what is in the log and its reader may read, the newest first";
/// One answer.
pub const WHOLE: &str =
    "history: an answer has everything since the time asked for, once and in order, however many pages";
/// The question.
pub const SINCE: &str = "history: a person who asks since a second is given what is strictly later than that second";
/// The newest of a conversation.
pub const LATEST: &str =
    "history: the newest messages of a conversation are its last ones that the reader may read, in order";
/// The end.
pub const FINAL: &str = "history: every acknowledged message is in the final history of everyone who may read it";

/// What is being read, and what was read last.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What each request may be answered with at most.
    asked: BTreeMap<(ConnectionId, RequestId), Vec<Key>>,
    /// What each request for the newest of a conversation may be answered with, and how many at most.
    latest: BTreeMap<(ConnectionId, RequestId), (Vec<Key>, usize)>,
    /// What the answer must have whose first page was asked for last.
    begun: BTreeMap<ConnectionId, Vec<Key>>,
    clients: BTreeMap<usize, Reader>,
    acknowledged: BTreeSet<Key>,
    /// What each person read last from the beginning of time.
    last: BTreeMap<(UserName, HistoryKind), BTreeSet<Key>>,
}

/// A client, and what it reads.
#[derive(Debug)]
struct Reader {
    connection: ConnectionId,
    user: Option<UserName>,
    /// What its person asked for.
    wanted: Vec<(HistoryKind, Timestamp)>,
    kind: HistoryKind,
    not_before: Timestamp,
    /// The pages so far.
    pages: Vec<PastMessage>,
    /// Its requests for the newest of a conversation, which have no pages.
    latest: BTreeSet<RequestId>,
}

impl Part for History {
    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => {
                self.asked.clear();
                self.latest.clear();
            }
            Observation::ServerHears(Input::Request { connection, request, .. }) => {
                self.is_asked(model, *connection, request);
            }
            Observation::ServerHears(Input::Disconnected { connection, .. })
            | Observation::ServerSays(Output::Close { connection, .. }) => {
                self.asked.retain(|(it, _), _| it != connection);
                self.latest.retain(|(it, _), _| it != connection);
            }
            Observation::ServerHears(Input::Committed { .. }) => self.forget_the_removed(model),
            Observation::ClientStarts { client, connection, .. } => {
                self.clients.insert(*client, Reader::new(*connection));
            }
            Observation::ClientConnects { client, connection } => {
                if let Some(reader) = self.clients.get_mut(client) {
                    let begun = self.begun.remove(&reader.connection);
                    self.begun.extend(begun.map(|begun| (*connection, begun)));
                    reader.connection = *connection;
                }
            }
            Observation::ClientHears(client, input) => self.client_hears(*client, input),
            Observation::ClientSays(client, output) => return self.client_says(model, *client, output),
            Observation::ClientEnds(client) => {
                self.clients.remove(client);
            }
            _ => {}
        }
        match reply(what) {
            Some(([connection], reply)) => self.replied(model, *connection, reply),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, model: &Model) -> Result<(), Broken> {
        // An answer may still have been on its way to somebody whose account was removed.
        let mut there = self.last.iter().filter(|((user, _), _)| model.conference.has_account(user));
        there.try_for_each(|((user, kind), read)| {
            let of_kind = |key: &&Key| key.0.is_some() == (*kind == HistoryKind::Rooms);
            let may_read =
                self.acknowledged.iter().filter(of_kind).filter(|key| model.conference.may_read(user, **key));
            let missing: Vec<&Key> = may_read.filter(|key| !read.contains(*key)).collect();
            ensure(missing.is_empty(), FINAL, || format!("{user} has not read {missing:?}"))
        })
    }
}

impl History {
    fn is_asked(&mut self, model: &Model, connection: ConnectionId, request: &Request) {
        if let RequestBody::Latest { room, count, before } = request.body {
            let Some(user) = model.user(connection) else { return };
            let kind = if room.is_some() { HistoryKind::Rooms } else { HistoryKind::Broadcast };
            let is_asked = |(place, number): &Key| *place == room && before.is_none_or(|before| *number < before);
            let keys = model.conference.readable(kind, user).map(|(key, _)| key).filter(is_asked).collect();
            self.latest.insert((connection, request.id), (keys, count as usize));
            return;
        }
        let RequestBody::History { kind, not_before, after } = request.body else { return };
        let Some(user) = model.user(connection) else { return };
        let all = model.conference.readable(kind, user).filter(|(_, said)| said.message.at >= not_before);
        let keys: Vec<Key> = all.map(|(key, _)| key).filter(|key| is_after(kind, *key, after)).collect();
        if after.is_none() {
            self.begun.insert(connection, keys.clone());
        }
        self.asked.insert((connection, request.id), keys);
    }

    fn replied(&mut self, model: &Model, connection: ConnectionId, reply: &Reply) -> Result<(), Broken> {
        let asked = self.asked.remove(&(connection, reply.id));
        let latest = self.latest.remove(&(connection, reply.id));
        match (&reply.body, &model.turn.applied) {
            (ReplyBody::History { messages, next }, _) if latest.is_some() => {
                let (expected, count) = latest.unwrap_or_default();
                is_last_page(model, model.user(connection), &expected, count, messages, *next)
            }
            (ReplyBody::History { messages, next }, _) => {
                let expected = asked.unwrap_or_default();
                is_page(model, model.user(connection), &expected, messages, *next)
            }
            (ReplyBody::Found { messages, .. }, _) => are_readable(model, model.user(connection), messages),
            (ReplyBody::Sent { .. }, Some(applied)) => {
                if let Outcome::Message(message) = &applied.outcome {
                    match message.conversation {
                        Conversation::Broadcast => _ = self.acknowledged.insert((None, message.number)),
                        Conversation::Room(room) => _ = self.acknowledged.insert((Some(room), message.number)),
                        Conversation::Direct(..) => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A later namesake has read nothing.
    fn forget_the_removed(&mut self, model: &Model) {
        if let Some(Outcome::Removed(_)) = model.turn.applied.as_ref().map(|it| &it.outcome) {
            self.last.retain(|(user, _), _| model.conference.has_account(user));
        }
    }

    fn client_hears(&mut self, client: usize, input: &ClientInput) {
        let Some(reader) = self.clients.get_mut(&client) else { return };
        match input {
            ClientInput::Command(Command::History { kind, since }) => reader.wanted.push((*kind, *since)),
            ClientInput::Message(ServerMessage::Reply(reply)) => match &reply.body {
                ReplyBody::Welcome { user, .. } => reader.user = Some(user.clone()),
                ReplyBody::History { messages, .. } if !reader.latest.remove(&reply.id) => {
                    reader.pages.extend_from_slice(messages);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn client_says(&mut self, model: &Model, client: usize, output: &ClientOutput) -> Result<(), Broken> {
        let Some(reader) = self.clients.get_mut(&client) else { return Ok(()) };
        match output {
            ClientOutput::Send(Request { id, body: RequestBody::Latest { .. } }) => {
                reader.latest.insert(*id);
                Ok(())
            }
            ClientOutput::Send(Request { body: RequestBody::History { kind, not_before, after: None }, .. }) => {
                (reader.kind, reader.not_before) = (*kind, *not_before);
                reader.pages.clear();
                reader.asks_what_was_wanted(client)
            }
            ClientOutput::Event(Event::History { kind, messages }) => {
                let required = self.begun.get(&reader.connection).map(Vec::as_slice).unwrap_or_default();
                reader.is_whole(model, *kind, required, messages)?;
                if let Some(user) =
                    reader.user.clone().filter(|_| reader.not_before <= Timestamp::default().next_second())
                {
                    self.last.insert((user, *kind), messages.iter().map(key).collect());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Reader {
    fn new(connection: ConnectionId) -> Reader {
        let (kind, not_before) = (HistoryKind::Broadcast, Timestamp::default());
        Reader {
            connection,
            user: None,
            wanted: Vec::new(),
            kind,
            not_before,
            pages: Vec::new(),
            latest: BTreeSet::new(),
        }
    }

    fn asks_what_was_wanted(&self, client: usize) -> Result<(), Broken> {
        let second = |at: Timestamp| at.as_millis().div_euclid(1_000);
        // The first millisecond of the next second.
        let next = |since: Timestamp| second(since).saturating_add(1).saturating_mul(1_000);
        let wanted = self.wanted.iter().any(|it| (it.0, next(it.1)) == (self.kind, self.not_before.as_millis()));
        ensure(wanted, SINCE, || {
            let asked = (self.kind, self.not_before);
            format!("client {client} asks for {asked:?}, its person wanted one of {:?}", self.wanted)
        })
    }

    /// `required` is what was there when the first page was asked for.
    fn is_whole(
        &self,
        model: &Model,
        kind: HistoryKind,
        required: &[Key],
        messages: &[PastMessage],
    ) -> Result<(), Broken> {
        ensure(kind == self.kind && *messages == *self.pages, WHOLE, || {
            let (shown, heard): (Vec<Key>, Vec<Key>) = (keys(messages), keys(&self.pages));
            format!("{:?} is shown {shown:?} after pages with {heard:?}", self.user)
        })?;
        let sorted = messages.is_sorted_by(|a, b| key(a) < key(b));
        let given: BTreeSet<Key> = messages.iter().map(key).collect();
        let missing = required.iter().find(|key| {
            !given.contains(*key) && self.user.as_ref().is_some_and(|user| model.conference.may_read(user, **key))
        });
        let early = messages.iter().find(|message| message.at < self.not_before);
        ensure(sorted && missing.is_none() && early.is_none(), WHOLE, || {
            format!(
                "{:?} is shown {given:?}; in order: {sorted}, missing: {missing:?}, too early: {early:?}",
                self.user
            )
        })
    }
}

/// `expected` is everything that there was to read when the page was asked for.
fn is_page(
    model: &Model,
    user: Option<&UserName>,
    expected: &[Key],
    messages: &[PastMessage],
    next: Option<Cursor>,
) -> Result<(), Broken> {
    are_said(model, user, expected, messages)?;
    let given = keys(messages);
    let last = messages.last().map(|it| Cursor { room: it.room, number: it.number });
    let goes_on = if given.len() < expected.len() { last } else { None };
    ensure(expected.starts_with(&given) && next == goes_on, EXACT, || {
        format!("{user:?} is given {given:?} and the cursor {next:?}, there was {expected:?}")
    })?;
    let bytes: usize = messages.iter().map(|it| it.text.len()).sum();
    let fits = messages.len() <= MAX_PAGE_MESSAGES && (bytes <= MAX_PAGE_BYTES || messages.len() == 1);
    ensure(fits, EXACT, || format!("a page has {} messages and {bytes} bytes", messages.len()))
}

/// As [`is_page`], for the newest messages of one conversation, at most `count`.
fn is_last_page(
    model: &Model,
    user: Option<&UserName>,
    expected: &[Key],
    count: usize,
    messages: &[PastMessage],
    next: Option<Cursor>,
) -> Result<(), Broken> {
    are_said(model, user, expected, messages)?;
    let given = keys(messages);
    let first = messages.first().map(|it| Cursor { room: it.room, number: it.number });
    let goes_on = if given.len() < expected.len() { first } else { None };
    let most = count.min(MAX_PAGE_MESSAGES);
    let bytes: usize = messages.iter().map(|it| it.text.len()).sum();
    // Fewer than were wanted are given only if one more would be too large.
    let is_full = given.len() == most.min(expected.len()) || bytes + MAX_TEXT_BYTES > MAX_PAGE_BYTES;
    let is_end = expected.ends_with(&given) && next == goes_on && given.len() <= most && is_full;
    ensure(is_end, LATEST, || {
        format!("{user:?} is given {given:?} and the cursor {next:?} of at most {most}, there was {expected:?}")
    })
}

/// Whether messages are what the log has, and this user may read them.
fn are_said(model: &Model, user: Option<&UserName>, expected: &[Key], messages: &[PastMessage]) -> Result<(), Broken> {
    for message in messages {
        let known = user.is_some_and(|user| model.conference.may_read(user, key(message)));
        let outside = message.room.is_some() && !known && !expected.contains(&key(message));
        ensure(!outside, rooms::NO_OUTSIDER, || format!("{user:?} is given {message:?}"))?;
        let conversation = message.room.map_or(Conversation::Broadcast, Conversation::Room);
        let said = model.conference.message(&conversation, message.number).map(|said| said.past());
        ensure(said.as_ref() == Some(message), EXACT, || {
            format!("{user:?} is given {message:?}, the log has {said:?}")
        })?;
    }
    Ok(())
}

fn are_readable(model: &Model, user: Option<&UserName>, messages: &[FoundMessage]) -> Result<(), Broken> {
    for found in messages {
        let (conversation, readable) = match (&found.place, user) {
            (FoundIn::Broadcast, _) => (Conversation::Broadcast, true),
            (FoundIn::Room(room), Some(user)) => {
                (Conversation::Room(*room), model.conference.may_read(user, (Some(*room), found.number)))
            }
            (FoundIn::Direct(peer), Some(user)) => (Conversation::direct(user, peer), true),
            (_, None) => return ensure(false, FOUND, || format!("nobody is given {found:?}")),
        };
        let said = model.conference.message(&conversation, found.number).map(|said| &said.message);
        let same = said.is_some_and(|said| (&said.from, &said.text, said.at) == (&found.from, &found.text, found.at));
        ensure(readable && same, FOUND, || format!("{user:?} finds {found:?}, the log has {said:?}"))?;
    }
    let sorted = messages.is_sorted_by(|newer, older| newer.at >= older.at);
    ensure(sorted, FOUND, || format!("{user:?} finds, out of order, {messages:?}"))
}

fn is_after(kind: HistoryKind, (room, number): Key, after: Option<Cursor>) -> bool {
    match (kind, after) {
        (HistoryKind::Broadcast, Some(after)) => number > after.number,
        (HistoryKind::Rooms, Some(after)) if after.room.is_some() => (room, number) > (after.room, after.number),
        _ => true,
    }
}

fn key(message: &PastMessage) -> (Option<toom_core::id::RoomId>, MessageNumber) {
    (message.room, message.number)
}

fn keys(messages: &[PastMessage]) -> Vec<Key> {
    messages.iter().map(key).collect()
}

#[cfg(test)]
mod tests;
