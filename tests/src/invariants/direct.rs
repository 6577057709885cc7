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
        let Some(connection) = model.sessions.connection(to) else { return };
        let Some(due) = self.sessions.get_mut(&connection) else { return };
        let waiting = due.waiting.entry(message.from.clone()).or_default();
        if waiting.is_empty() {
            self.now = Some((connection, message.from.clone(), message.number));
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
            (_, ReplyBody::Welcome { .. } | ReplyBody::Resumed { .. }) => {
                let Some(user) = model.user(connection) else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::wire::message::ServerMessage;

    fn write(stage: &mut Stage, from: ConnectionId, texts: &[&str]) {
        for text in texts {
            stage.ask(from, RequestBody::DirectMessage { to: "b".into(), text: (*text).into() });
        }
    }

    fn received(through: u64) -> RequestBody {
        RequestBody::DirectReceived { from: name("a"), through: MessageNumber(through) }
    }

    fn is_direct(output: &Output) -> bool {
        matches!(output, Output::Send { message: ServerMessage::Event(Event::DirectMessage { .. }), .. })
    }

    #[test]
    fn what_the_server_says_is_right() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a] = stage.all(["a"]);
        write(&mut stage, a, &["1", "2"]);
        let [b] = stage.all(["b"]);
        write(&mut stage, a, &["3"]);
        stage.ask(b, received(2));
        stage.disconnect(b);
        let [b] = stage.all(["b"]);
        stage.ask(b, RequestBody::CatchUp);
        assert_eq!((stage.broken(), stage.sent(b).len()), (None, 3), "a welcome, the third message, and the answer");
    }

    #[test]
    fn one_that_is_lost_on_its_way_to_somebody_active_is_found() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a, _] = stage.all(["a", "b"]);
        stage.tamper(|out| out.retain(|it| !is_direct(it)));
        write(&mut stage, a, &["x"]);
        assert_eq!(stage.broken(), Some(AT_ONCE));
    }

    #[test]
    fn one_that_is_sent_twice_or_to_somebody_else_is_found() {
        for (twice, names) in [(true, ["a", "b", "c"]), (false, ["a", "b", "c"])] {
            let mut stage = Stage::new(&names);
            let [a, _, c] = stage.all(names);
            stage.tamper_events(move |to, _| to.push(if twice { to[0] } else { c }));
            write(&mut stage, a, &["x"]);
            let expected = if twice { ONCE } else { NOTHING_EARLY };
            assert_eq!(stage.broken(), Some(expected), "for c nothing of this is in the log");
        }
    }

    #[test]
    fn one_that_overtakes_or_is_left_out_is_found() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a] = stage.all(["a"]);
        write(&mut stage, a, &["1", "2"]);
        stage.tamper(|out| {
            if let Some(first) = out.iter().position(is_direct) {
                out.remove(first);
            }
        });
        stage.all(["b"]);
        assert_eq!(stage.broken(), Some(ONCE));
    }

    #[test]
    fn one_that_comes_again_though_it_was_shown_is_found() {
        let mut stage = Stage::new(&["a", "b"]);
        let [a, b] = stage.all(["a", "b"]);
        write(&mut stage, a, &["1"]);
        stage.ask(b, received(1));
        let again =
            stage.sent(b).into_iter().rfind(|it| matches!(it, ServerMessage::Event(Event::DirectMessage { .. })));
        let again = again.expect("it was sent");
        stage.disconnect(b);
        let [b] = stage.all(["b"]);
        stage.tamper(move |out| out.push(Output::Send { to: vec![b], message: again.clone() }));
        stage.ask(a, RequestBody::Rooms);
        assert_eq!(stage.broken(), Some(ONCE));
    }

    #[test]
    fn what_was_missed_and_never_comes_is_found_by_who_catches_up_and_at_the_end() {
        for catching_up in [true, false] {
            let mut stage = Stage::new(&["a", "b"]);
            let [a] = stage.all(["a"]);
            write(&mut stage, a, &["1"]);
            stage.tamper(|out| out.retain(|it| !is_direct(it)));
            let [b] = stage.all(["b"]);
            if catching_up {
                stage.ask(b, RequestBody::CatchUp);
                assert_eq!(stage.broken(), Some(ALL));
            } else {
                let (kind, not_before) =
                    (toom_core::wire::message::HistoryKind::Broadcast, toom_core::time::Timestamp::default());
                stage.ask(b, RequestBody::History { kind, not_before, after: None });
                stage.ask(b, RequestBody::Logout);
                stage.ask(a, RequestBody::Logout);
                assert_eq!((stage.broken(), stage.finish()), (None, Some(ALL)));
            }
        }
    }
}
