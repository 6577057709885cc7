//! Separate rooms: who is told of them, and from when until when.

use std::collections::BTreeSet;

use toom_core::id::{ConnectionId, RoomId};
use toom_core::name::UserName;
use toom_core::wire::codec::encode;
use toom_core::wire::limits::MAX_PAGE_BYTES;
use toom_core::wire::message::{Event, Refusal, Reply, ReplyBody, RequestBody, RoomInfo, ServerMessage};

use super::conference::{Part, event, reply};
use super::model::{Expected, Model, Outcome};
use super::spelling::spelled;
use super::{Broken, Observation, ensure};

/// Nothing leaks.
pub const NO_OUTSIDER: &str = "rooms: no byte of a room's content or membership reaches someone outside";
/// Members come and go at one place for all.
pub const PLACE: &str =
    "rooms: a change of membership takes effect at its place in the log, and its members are told there";
/// The set of members is the room's identity.
pub const SAME_MEMBERS: &str = "rooms: the same set of current members has the same room";
/// Who asks is told how things are.
pub const TRUE_ANSWERS: &str = "rooms: what is answered about rooms is how they are";

/// What the members of rooms must be told now.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    expected: Expected,
}

impl Part for Rooms {
    fn end_turn(&mut self, _: &Model) -> Result<(), Broken> {
        let missed = self.expected.end();
        ensure(missed.is_none(), PLACE, || format!("connection and event that missed it: {missed:?}"))
    }

    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerEnds(_) => self.expected = Expected::default(),
            Observation::ServerHears(_) => {
                if let Some(applied) = &model.turn.applied {
                    self.expect(model, &applied.outcome);
                }
            }
            _ => {}
        }
        if let Some((to, event)) = event(what) {
            self.told(model, to, event)?;
        }
        if let Some(([connection], Reply { body: ReplyBody::Resumed { .. }, .. })) = reply(what) {
            self.expect_unknown(model, *connection);
        }
        match reply(what) {
            Some(([connection], reply)) => self.answered(model, *connection, reply),
            _ => Ok(()),
        }
    }
}

impl Rooms {
    fn expect(&mut self, model: &Model, outcome: &Outcome) {
        match outcome {
            Outcome::Built { by, room } => {
                self.expected.add(model.active_but(&room.members, by), Event::RoomCreated(room.clone()));
            }
            Outcome::Joined { by, user, room } => {
                self.expected.add(model.active_but([user], by), Event::RoomCreated(room.clone()));
                let others = room.members.iter().filter(|member| *member != user);
                self.expected.add(model.active_but(others, by), Event::RoomChanged(room.clone()));
            }
            Outcome::Left(room) => self.expect_change(model, room),
            Outcome::Removed(rooms) => rooms.iter().for_each(|room| self.expect_change(model, room)),
            _ => {}
        }
    }

    /// Who goes on with a session is told of the rooms that they were put into meanwhile.
    fn expect_unknown(&mut self, model: &Model, connection: ConnectionId) {
        let request = model.turn.answered.as_ref().map(|it| &it.body);
        let (Some(RequestBody::Resume { positions, .. }), Some(user)) = (request, model.user(connection)) else {
            return;
        };
        let known = |room: &RoomId| positions.rooms.iter().any(|(it, _)| it == room);
        for room in model.conference.rooms_of(user).filter(|it| !known(&it.room)) {
            self.expected.add([connection], Event::RoomCreated(room));
        }
    }

    fn expect_change(&mut self, model: &Model, room: &RoomInfo) {
        let to = room.members.iter().filter_map(|member| model.sessions.connection(member));
        self.expected.add(to, Event::RoomChanged(room.clone()));
    }

    fn told(&mut self, model: &Model, to: &[ConnectionId], event: &Event) -> Result<(), Broken> {
        let (room, is_change) = match event {
            Event::RoomMessage { room, .. } => (*room, false),
            Event::RoomCreated(info) | Event::RoomChanged(info) => (info.room, true),
            _ => return Ok(()),
        };
        for connection in to {
            inside(model, *connection, room, event)?;
        }
        match self.expected.take(to, event) {
            Err(connection) if is_change => {
                ensure(false, PLACE, || format!("connection {connection} is told what is not so: {event:?}"))
            }
            _ => Ok(()),
        }
    }

    fn answered(&self, model: &Model, connection: ConnectionId, reply: &Reply) -> Result<(), Broken> {
        let (Some(user), Some(request)) = (model.user(connection), &model.turn.answered) else { return Ok(()) };
        match (&request.body, &reply.body) {
            (_, ReplyBody::RoomCreated(info) | ReplyBody::Invited(info)) => inside(model, connection, info.room, reply),
            (RequestBody::BuildRoom { users }, ReplyBody::RoomExists(info)) => {
                inside(model, connection, info.room, reply)?;
                let wanted = info.members.iter().filter(|it| *it != user).map(ToString::to_string);
                let asked = users.iter().map(|it| spelled(it)).filter(|it| it != user.as_str());
                let same = wanted.collect::<BTreeSet<_>>() == asked.collect();
                let now = model.conference.room_of(&info.members.iter().cloned().collect());
                ensure(same && now.as_ref() == Some(info), SAME_MEMBERS, || {
                    format!("{user} asked for {users:?} and got {info:?}; the room of these is {now:?}")
                })
            }
            (_, ReplyBody::Rooms(rooms)) => is_list(model, user, rooms),
            (RequestBody::Invite { room, .. }, ReplyBody::Refused(Refusal::AlreadyAMember)) => {
                inside(model, connection, *room, reply)
            }
            (
                RequestBody::Invite { room, .. } | RequestBody::Leave { room } | RequestBody::RoomMessage { room, .. },
                ReplyBody::Refused(refusal),
            ) => is_true(model, user, *room, refusal),
            _ => Ok(()),
        }
    }
}

/// Whoever is on this connection is a member of the room now.
fn inside(model: &Model, connection: ConnectionId, room: RoomId, said: &dyn std::fmt::Debug) -> Result<(), Broken> {
    let (user, members) = (model.user(connection), model.conference.members(room));
    let inside = user.zip(members).is_some_and(|(user, members)| members.contains(user));
    ensure(inside, NO_OUTSIDER, || {
        format!("{said:?} is sent to {user:?} on connection {connection}; the members of room {room} are {members:?}")
    })
}

fn is_list(model: &Model, user: &UserName, rooms: &[RoomInfo]) -> Result<(), Broken> {
    let all: Vec<RoomInfo> = model.conference.rooms_of(user).collect();
    let known = rooms.iter().all(|info| model.conference.members(info.room).is_some_and(|it| it.contains(user)));
    ensure(known, NO_OUTSIDER, || format!("{user} is told of {rooms:?} and is in {all:?}"))?;
    // A list may be cut where it would not fit a frame.
    let reply = Reply { id: toom_core::id::RequestId(0), body: ReplyBody::Rooms(all.clone()) };
    let fits = encode(&ServerMessage::Reply(reply)).len() < MAX_PAGE_BYTES / 4;
    ensure(all.starts_with(rooms) && (!fits || all.len() == rooms.len()), TRUE_ANSWERS, || {
        format!("{user} is told of {rooms:?} and is in {all:?}")
    })
}

/// Being outside is said, and nothing that only members know.
fn is_true(model: &Model, user: &UserName, room: RoomId, refusal: &Refusal) -> Result<(), Broken> {
    let members = model.conference.members(room);
    let expected = match members {
        None => Some(Refusal::NoSuchRoom),
        Some(members) if !members.contains(user) => Some(Refusal::NotAMember),
        Some(_) => None,
    };
    // These say nothing of the room.
    let other = matches!(
        refusal,
        Refusal::BadText
            | Refusal::StorageFailed
            | Refusal::OutOfOrder
            | Refusal::RateLimited { .. }
            | Refusal::LimitReached(_)
            | Refusal::NoSuchUser(_)
    );
    let is_so = match (&expected, refusal) {
        _ if other => true,
        (Some(expected), refusal) => refusal == expected,
        (None, refusal) => !matches!(refusal, Refusal::NoSuchRoom | Refusal::NotAMember),
    };
    ensure(is_so, TRUE_ANSWERS, || format!("{user} is told {refusal:?} of room {room}, whose members are {members:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, name};
    use super::*;
    use toom_core::server::io::Output;

    const ROOM: RoomId = RoomId(1);

    /// `a` and `b` have a room, `c` is outside.
    fn stage() -> (Stage, [ConnectionId; 3]) {
        let mut stage = Stage::new(&["a", "b", "c"]);
        let all = stage.all(["a", "b", "c"]);
        stage.ask(all[0], RequestBody::BuildRoom { users: vec!["b".into()] });
        (stage, all)
    }

    fn say(text: &str) -> RequestBody {
        RequestBody::RoomMessage { room: ROOM, text: text.into() }
    }

    fn invite(user: &str) -> RequestBody {
        RequestBody::Invite { room: ROOM, user: user.into() }
    }

    #[test]
    fn what_the_server_says_is_right() {
        let (mut stage, [a, b, c]) = stage();
        stage.ask(c, say("x"));
        stage.ask(a, invite("c"));
        stage.ask(c, say("x"));
        stage.ask(c, RequestBody::BuildRoom { users: vec!["a".into(), "b".into()] });
        stage.ask(b, RequestBody::Leave { room: ROOM });
        stage.ask(b, invite("b"));
        stage.ask(b, RequestBody::Rooms);
        stage.append(toom_core::server::fact::Fact::AccountRemoved { name: name("a") });
        assert_eq!(stage.broken(), None);
    }

    #[test]
    fn whatever_reaches_an_outsider_is_found() {
        let leaks: [fn(&mut Stage, [ConnectionId; 3]); 2] = [
            |stage, [a, ..]| stage.ask(a, say("x")),
            |stage, [a, ..]| {
                stage.append(super::super::testing::added("d"));
                stage.all(["d"]);
                stage.ask(a, invite("d"));
            },
        ];
        for leak in leaks {
            let (mut stage, all) = stage();
            stage.tamper_events(move |to, event| {
                if let Event::RoomMessage { .. } | Event::RoomChanged(_) = event {
                    to.push(all[2]);
                }
            });
            leak(&mut stage, all);
            assert_eq!(stage.broken(), Some(NO_OUTSIDER));
        }
    }

    #[test]
    fn who_left_and_still_hears_is_found() {
        let (mut stage, [a, b, _]) = stage();
        stage.ask(b, RequestBody::Leave { room: ROOM });
        stage.tamper(move |out| {
            if let Some(Output::Record(message)) = out.first() {
                let (number, at, from, text) = (message.number, message.at, message.from.clone(), message.text.clone());
                let event = Event::RoomMessage { room: ROOM, number, at, from, text };
                out.push(Output::Send { to: vec![b], message: ServerMessage::Event(event) });
            }
        });
        stage.ask(a, say("x"));
        assert_eq!(stage.broken(), Some(NO_OUTSIDER));
    }

    #[test]
    fn lists_and_answers_with_a_room_of_others_are_found() {
        let room = || RoomInfo { room: ROOM, members: vec![name("a"), name("b")] };
        let replies: [fn(RoomInfo) -> ReplyBody; 2] =
            [|room| ReplyBody::Rooms(vec![room]), |_| ReplyBody::Refused(Refusal::AlreadyAMember)];
        for (reply, ask) in replies.into_iter().zip([RequestBody::Rooms, invite("b")]) {
            let (mut stage, [.., c]) = stage();
            stage.tamper_replies(move |body| *body = reply(room()));
            stage.ask(c, ask);
            assert_eq!(stage.broken(), Some(NO_OUTSIDER));
        }
    }

    #[test]
    fn a_member_who_is_not_told_of_a_change_is_found() {
        let (mut stage, [_, b, _]) = stage();
        stage.tamper_events(|to, event| {
            if let Event::RoomChanged(_) = event {
                to.clear();
            }
        });
        stage.ask(b, RequestBody::Leave { room: ROOM });
        assert_eq!(stage.broken(), Some(PLACE));
    }

    #[test]
    fn a_change_that_is_told_wrong_is_found() {
        let (mut stage, [_, b, _]) = stage();
        stage.tamper_events(|_, event| {
            if let Event::RoomChanged(room) = event {
                room.members.push(name("b"));
            }
        });
        stage.ask(b, RequestBody::Leave { room: ROOM });
        assert_eq!(stage.broken(), Some(PLACE));
    }

    #[test]
    fn a_second_room_of_the_same_members_is_found() {
        let (mut stage, [_, b, _]) = stage();
        stage.tamper_replies(|body| {
            if let ReplyBody::RoomExists(room) = body {
                room.room = RoomId(2);
            }
        });
        stage.ask(b, RequestBody::BuildRoom { users: vec!["a".into()] });
        assert_eq!(stage.broken(), Some(NO_OUTSIDER), "there is no room 2");
    }

    #[test]
    fn another_room_than_that_of_these_members_is_found() {
        let (mut stage, [a, ..]) = stage();
        stage.ask(a, RequestBody::BuildRoom { users: vec!["c".into()] });
        stage.tamper_replies(|body| {
            if let ReplyBody::RoomExists(room) = body {
                *room = RoomInfo { room: RoomId(2), members: vec![name("a"), name("c")] };
            }
        });
        stage.ask(a, RequestBody::BuildRoom { users: vec!["b".into()] });
        assert_eq!(stage.broken(), Some(SAME_MEMBERS));
    }

    #[test]
    fn a_list_that_lacks_a_room_and_a_wrong_refusal_are_found() {
        let (mut list, [a, ..]) = stage();
        list.tamper_replies(|body| *body = ReplyBody::Rooms(Vec::new()));
        list.ask(a, RequestBody::Rooms);
        assert_eq!(list.broken(), Some(TRUE_ANSWERS));
        let (mut refusal, [.., c]) = stage();
        refusal.tamper_replies(|body| *body = ReplyBody::Refused(Refusal::NoSuchRoom));
        refusal.ask(c, say("x"));
        assert_eq!(refusal.broken(), Some(TRUE_ANSWERS));
    }
}
