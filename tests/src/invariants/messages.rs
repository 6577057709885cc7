//! Broadcasts and what is written in rooms: who is told, when, and in which order.

use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::Output;
use toom_core::wire::message::Event;

use super::conference::{Part, event};
use super::model::{Expected, Model, Outcome};
use super::{Broken, Observation, ensure};

/// Everyone who may is told, at the message's place in the log, which is the same for all.
pub const EACH_ONCE: &str = "messages: each session that may see a message is sent it exactly once, at its place in the log, its author's never";
/// Nothing before its commit.
pub const NOTHING_EARLY: &str = "messages: nothing is sent to anyone before it is durable";
/// History and text logs are derived from the log.
pub const RECORDED: &str = "messages: what is recorded for history is what the log says, each message once";

/// What must be said of the message at hand.
#[derive(Debug, Default)]
pub(super) struct Messages {
    expected: Expected,
    /// What must be recorded.
    record: Option<Message>,
}

impl Part for Messages {
    fn end_turn(&mut self, _: &Model) -> Result<(), Broken> {
        let unrecorded = self.record.take();
        ensure(unrecorded.is_none(), RECORDED, || format!("it is not: {unrecorded:?}"))?;
        let missed = self.expected.end();
        ensure(missed.is_none(), EACH_ONCE, || format!("connection and message that missed it: {missed:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => *self = Messages::default(),
            Observation::ServerHears(_) => {
                if let Some(Outcome::Message(message)) = model.turn.applied.as_ref().map(|it| &it.outcome) {
                    self.record = Some(message.clone());
                    self.expect(model, message);
                }
            }
            Observation::ServerSays(Output::Record(message)) => {
                let expected = self.record.take();
                ensure(expected.as_ref() == Some(message), RECORDED, || {
                    format!("{message:?} is recorded, the log says {expected:?}")
                })?;
            }
            _ => {}
        }
        if let Some((to, event)) = event(what)
            && let Some((conversation, number)) = place(event)
            && let Err(connection) = self.expected.take(to, event)
        {
            let known = model.conference.message(&conversation, number);
            let (name, said) = if known.is_none() { (NOTHING_EARLY, "has not said") } else { (EACH_ONCE, "said") };
            let user = model.user(connection);
            return ensure(false, name, || {
                format!("{event:?} is sent to {user:?} on connection {connection}; the log {said} it: {known:?}")
            });
        }
        Ok(())
    }
}

impl Messages {
    fn expect(&mut self, model: &Model, message: &Message) {
        let Message { number, at, from, text, .. } = message.clone();
        match &message.conversation {
            Conversation::Broadcast => {
                let to: Vec<_> = model.active_but(model.sessions.keys(), &message.from).collect();
                self.expected.add(to, Event::Broadcast { number, at, from, text });
            }
            Conversation::Room(room) => {
                let members = model.conference.members(*room).into_iter().flatten();
                let to: Vec<_> = model.active_but(members, &message.from).collect();
                self.expected.add(to, Event::RoomMessage { room: *room, number, at, from, text });
            }
            Conversation::Direct(..) => {}
        }
    }
}

fn place(event: &Event) -> Option<(Conversation, toom_core::id::MessageNumber)> {
    match event {
        Event::Broadcast { number, .. } => Some((Conversation::Broadcast, *number)),
        Event::RoomMessage { room, number, .. } => Some((Conversation::Room(*room), *number)),
        _ => None,
    }
}
