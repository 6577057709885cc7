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
                let all = model.sessions.all().map(|(user, _)| user);
                let to: Vec<_> = model.hearing(None, all, &message.from).collect();
                self.expected.add(to, Event::Broadcast { number, at, from, text });
            }
            Conversation::Room(room) => {
                let members = model.conference.members(*room).into_iter().flatten();
                let to: Vec<_> = model.hearing(Some(*room), members, &message.from).collect();
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

#[cfg(test)]
mod tests {
    use super::super::facts::{DURABLE_STAYS, ONE_ORDER, ONE_POST};
    use super::super::replies::{ACKNOWLEDGED, ONE_REPLY};
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::id::{ConnectionId, LogIndex, MessageNumber, RequestId};
    use toom_core::server::fact::{Committed, Fact};
    use toom_core::server::io::Input;
    use toom_core::time::Timestamp;
    use toom_core::wire::message::{Reply, ReplyBody, RequestBody, ServerMessage};

    fn stage() -> (Stage, [ConnectionId; 3]) {
        let mut stage = Stage::new(&["a", "b", "c"]);
        let all = stage.all(["a", "b", "c"]);
        (stage, all)
    }

    #[test]
    fn what_the_server_says_is_right() {
        let (mut stage, [a, b, _]) = stage();
        stage.broadcast(a, "one");
        stage.ask(b, RequestBody::BuildRoom { users: vec!["a".into()] });
        stage.ask(a, RequestBody::RoomMessage { room: toom_core::id::RoomId(1), text: "two".into() });
        stage.disconnect(b);
        stage.ask(a, RequestBody::DirectMessage { to: "b".into(), text: "three".into() });
        stage.restart();
        let [a, _] = stage.all(["a", "b"]);
        stage.broadcast(a, "four");
        assert_eq!(stage.broken(), None);
    }

    #[test]
    fn a_receiver_who_is_forgotten_or_told_twice_is_found() {
        for change in [|to: &mut Vec<ConnectionId>| _ = to.remove(0), |to: &mut Vec<ConnectionId>| to.push(to[0])] {
            let (mut stage, [a, ..]) = stage();
            stage.tamper_events(move |to, _| change(to));
            stage.broadcast(a, "x");
            assert_eq!(stage.broken(), Some(EACH_ONCE));
        }
    }

    #[test]
    fn an_author_who_is_told_their_own_message_is_found() {
        let (mut stage, [a, ..]) = stage();
        stage.tamper_events(move |to, _| to.push(a));
        stage.broadcast(a, "x");
        assert_eq!(stage.broken(), Some(EACH_ONCE));
    }

    #[test]
    fn what_is_told_before_its_commit_is_found() {
        let (mut stage, [a, b, _]) = stage();
        stage.tamper(move |out| {
            if let Some(Output::Propose { fact: Fact::Broadcast { from, text, at, id: None }, .. }) = out.first() {
                let (number, at, from, text) = (MessageNumber(1), *at, from.clone(), text.clone());
                let event = Event::Broadcast { number, at, from, text };
                out.push(Output::Send { to: vec![b], message: ServerMessage::Event(event) });
            }
        });
        stage.broadcast(a, "x");
        assert_eq!(stage.broken(), Some(NOTHING_EARLY));
    }

    #[test]
    fn a_wrong_confirmation_or_one_before_the_commit_is_found() {
        let wrong: [fn(&mut MessageNumber, &mut Timestamp); 2] =
            [|number, _| number.0 += 1, |_, at| *at = at.next_second()];
        for change in wrong {
            let (mut stage, [a, ..]) = stage();
            stage.tamper_replies(move |body| {
                if let ReplyBody::Sent { number, at } = body {
                    change(number, at);
                }
            });
            stage.broadcast(a, "x");
            assert_eq!(stage.broken(), Some(ACKNOWLEDGED));
        }
        let (mut stage, [a, ..]) = stage();
        stage.tamper_replies(|body| *body = ReplyBody::Sent { number: MessageNumber(1), at: Timestamp::default() });
        stage.broadcast(a, "");
        assert_eq!(stage.broken(), Some(ACKNOWLEDGED));
    }

    #[test]
    fn a_reply_that_is_missing_or_comes_twice_is_found() {
        let (mut first, [a, ..]) = stage();
        first.tamper(|out| out.retain(|it| !matches!(it, Output::Send { message: ServerMessage::Reply(_), .. })));
        first.broadcast(a, "x");
        assert_eq!(first.broken(), Some(ONE_REPLY));
        let (mut second, [a, ..]) = stage();
        second.tamper(|out| {
            if let Some(Output::Send { to, message: message @ ServerMessage::Reply(_) }) = out.last() {
                out.push(Output::Send { to: to.clone(), message: message.clone() });
            }
        });
        second.ask(a, RequestBody::Rooms);
        assert_eq!(second.broken(), Some(ONE_REPLY));
    }

    #[test]
    fn a_goodbye_before_the_answers_is_found() {
        let (mut stage, [a, ..]) = stage();
        stage.tamper(|out| out.retain(|it| !matches!(it, Output::Propose { .. })));
        stage.broadcast(a, "x");
        stage.tamper(move |out| {
            let reply = Reply { id: RequestId(5), body: ReplyBody::Bye };
            out.push(Output::Send { to: vec![a], message: ServerMessage::Reply(reply) });
        });
        stage.ask(a, RequestBody::Logout);
        assert_eq!(stage.broken(), Some(ONE_REPLY));
    }

    #[test]
    fn a_request_without_a_reply_is_found_at_the_end() {
        let mut stage = Stage::new(&["a"]);
        stage.tamper(|out| out.clear());
        stage.all(["a"]);
        assert_eq!((stage.broken(), stage.finish()), (None, Some(ONE_REPLY)));
    }

    #[test]
    fn a_fact_that_nobody_asked_for_is_found() {
        let others: [fn(&mut Fact); 3] = [
            |fact| {
                *fact = Fact::Broadcast {
                    from: name("b"),
                    text: "x".into(),
                    at: Timestamp::from_millis(1_000_000),
                    id: None,
                }
            },
            |fact| {
                *fact = Fact::Broadcast {
                    from: name("a"),
                    text: "y".into(),
                    at: Timestamp::from_millis(1_000_000),
                    id: None,
                }
            },
            |fact| {
                *fact = Fact::Broadcast { from: name("a"), text: "x".into(), at: Timestamp::from_millis(7), id: None }
            },
        ];
        for change in others {
            let (mut stage, [a, ..]) = stage();
            stage.tamper(move |out| {
                out.iter_mut().for_each(|it| {
                    if let Output::Propose { fact, .. } = it {
                        change(fact);
                    }
                })
            });
            stage.broadcast(a, "x");
            assert_eq!(stage.broken(), Some(ONE_POST));
        }
    }

    #[test]
    fn facts_out_of_order_or_never_durable_are_found() {
        let (mut stage, _) = stage();
        let fact = Fact::Broadcast { from: name("a"), text: "x".into(), at: Timestamp::default(), id: None };
        let committed = Committed { index: LogIndex(4), ticket: None, fact };
        stage.tell(&Observation::ServerHears(&Input::Committed { committed, wall: Timestamp::default() }));
        assert_eq!(stage.broken(), Some(ONE_ORDER));
    }

    #[test]
    fn a_log_that_lost_something_is_found() {
        let (mut stage, [a, ..]) = stage();
        stage.broadcast(a, "x");
        let settings = toom_core::server::Settings {
            block: core::time::Duration::ZERO,
            grace: core::time::Duration::ZERO,
            ..Default::default()
        };
        stage.tell(&Observation::ServerStarts { settings, log: &[] });
        assert_eq!(stage.broken(), Some(DURABLE_STAYS));
    }

    #[test]
    fn a_record_that_is_missing_or_wrong_is_found() {
        let (mut first, [a, ..]) = stage();
        first.tamper(|out| out.retain(|it| !matches!(it, Output::Record(_))));
        first.broadcast(a, "x");
        assert_eq!(first.broken(), Some(RECORDED));
        let (mut second, [a, ..]) = stage();
        second.tamper(|out| {
            out.iter_mut().for_each(|it| {
                if let Output::Record(message) = it {
                    message.text.push('!');
                }
            })
        });
        second.broadcast(a, "x");
        assert_eq!(second.broken(), Some(RECORDED));
    }
}
