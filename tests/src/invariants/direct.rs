//! Direct messages: each is sent to the other person, in the order of their numbers, until it was shown.

use std::collections::{BTreeMap, VecDeque};

use toom_core::id::{ConnectionId, MessageNumber};
use toom_core::name::UserName;
use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::{CloseReason, Input, Output};
use toom_core::wire::message::{Event, ReplyBody, RequestBody};

use super::conference::{Part, event, reply};
use super::messages::NOTHING_EARLY;
use super::model::{Model, Outcome};
use super::{Broken, Observation, ensure};

/// What each session is sent.
pub const ONCE: &str = "messages: each session is sent the direct messages that its user was not shown before, once, \
                        each author's in order, and nobody else is";
/// Nothing older keeps it back.
pub const AT_ONCE: &str = "messages: a direct message is sent at once to who is active and was sent all before it";
/// `CatchUp` and the end of a settled session.
pub const ALL: &str =
    "messages: who has caught up, or stays long enough, was sent every direct message that they missed";

/// So many messages are fetched whatever their length before the first of them must have been shown: eight pages,
/// each at least eight times the longest text.
const ALWAYS_FETCHED: usize = 64;

/// What each session must still be sent.
#[derive(Debug, Default)]
pub(super) struct Direct {
    sessions: BTreeMap<ConnectionId, Due>,
    /// By user: what the latest session was not sent, if it lasted long enough and ended well.
    left_over: BTreeMap<UserName, BTreeMap<UserName, VecDeque<MessageNumber>>>,
    /// Must be sent now.
    now: Option<(ConnectionId, UserName, MessageNumber)>,
}

/// What one session must still be sent.
#[derive(Debug, Default)]
struct Due {
    user: Option<UserName>,
    /// By author.
    waiting: BTreeMap<UserName, VecDeque<MessageNumber>>,
    sent: usize,
    /// The store could not be read since this session began: the next message or login tries again.
    unreadable: bool,
    /// Its user has read their history since it began.
    settled: bool,
}

impl Part for Direct {
    fn end_turn(&mut self, model: &Model) -> Result<(), Broken> {
        let missed = self.now.take().filter(|(connection, ..)| model.connections.contains_key(connection));
        ensure(missed.is_none(), AT_ONCE, || format!("connection, author and number that was not: {missed:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => {
                self.sessions.clear();
                self.now = None;
            }
            Observation::ServerHears(Input::Disconnected { connection, .. }) => _ = self.sessions.remove(connection),
            Observation::ServerHears(Input::Found { page: None, .. }) => {
                self.sessions.values_mut().for_each(|due| due.unreadable = true);
            }
            Observation::ServerHears(_) => {
                if let Some(Outcome::Message(message)) = model.turn.applied.as_ref().map(|it| &it.outcome) {
                    self.posted(model, message);
                }
            }
            Observation::ServerSays(Output::Close { connection, reason }) => self.closed(*connection, *reason),
            _ => {}
        }
        if let Some((to, Event::DirectMessage { .. })) = event(what) {
            to.iter().try_for_each(|connection| self.sent(model, *connection, what))?;
        }
        match reply(what) {
            Some(([connection], reply)) => self.replied(model, *connection, &reply.body),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &Model) -> Result<(), Broken> {
        let missed = self.left_over.iter().find(|(_, waiting)| !waiting.is_empty());
        ensure(missed.is_none(), ALL, || format!("receiver, authors and numbers that were not: {missed:?}"))
    }
}

impl Direct {
    fn posted(&mut self, model: &Model, message: &Message) {
        let Some(to) =
            model.conference.message(&message.conversation, message.number).and_then(|said| said.unshown_to.as_ref())
        else {
            return;
        };
        let Some(connection) = model.sessions.get(to) else { return };
        let Some(due) = self.sessions.get_mut(connection) else { return };
        let waiting = due.waiting.entry(message.from.clone()).or_default();
        if waiting.is_empty() {
            self.now = Some((*connection, message.from.clone(), message.number));
        }
        waiting.push_back(message.number);
    }

    fn sent(&mut self, model: &Model, connection: ConnectionId, what: &Observation<'_>) -> Result<(), Broken> {
        let Some((_, Event::DirectMessage { number, at, from, text })) = event(what) else { return Ok(()) };
        let user = model.user(connection);
        let said = user.and_then(|user| model.conference.message(&Conversation::direct(user, from), *number));
        let name = if said.is_none() && user.is_some() { NOTHING_EARLY } else { ONCE };
        let is_it =
            said.is_some_and(|said| (&said.message.from, &said.message.text, &said.message.at) == (from, text, at));
        ensure(is_it, name, || format!("{from} to {user:?}, number {number}, {text:?} is sent; the log has {said:?}"))?;
        let due = self.sessions.entry(connection).or_default();
        let next = due.waiting.get_mut(from).and_then(VecDeque::pop_front);
        due.waiting.retain(|_, waiting| !waiting.is_empty());
        due.sent += 1;
        ensure(next == Some(*number), ONCE, || {
            format!("{from} to {user:?}: number {number} is sent, and {next:?} is the next one to be sent")
        })?;
        self.now.take_if(|(to, author, _)| *to == connection && author == from);
        Ok(())
    }

    fn replied(&mut self, model: &Model, connection: ConnectionId, body: &ReplyBody) -> Result<(), Broken> {
        let asked = model.turn.answered.as_ref().map(|it| &it.body);
        match (asked, body) {
            (_, ReplyBody::Welcome { user }) => {
                let unshown = model.conference.unshown(user);
                let waiting = unshown.into_iter().map(|(author, numbers)| (author, numbers.into())).collect();
                self.left_over.remove(user);
                self.sessions.insert(connection, Due { user: Some(user.clone()), waiting, ..Due::default() });
            }
            (Some(RequestBody::CatchUp), ReplyBody::Done) => {
                let Some(due) = self.sessions.get(&connection) else { return Ok(()) };
                let caught_up = due.waiting.is_empty() || due.unreadable || due.sent >= ALWAYS_FETCHED;
                return ensure(caught_up, ALL, || format!("connection {connection} caught up, and missed {due:?}"));
            }
            (_, ReplyBody::History { next: None, .. }) => {
                if let Some(due) = self.sessions.get_mut(&connection) {
                    due.settled = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn closed(&mut self, connection: ConnectionId, reason: CloseReason) {
        let Some(due) = self.sessions.remove(&connection) else { return };
        if reason == CloseReason::LoggedOut
            && due.settled
            && !due.unreadable
            && let Some(user) = due.user
        {
            self.left_over.insert(user, due.waiting);
        }
    }
}
