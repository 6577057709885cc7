//! Messages, rooms, lists and history: what is asked, and what is shown.

use super::*;
use crate::client::event::{Failure, PostKind};
use crate::wire::limits::{MAX_NAME_BYTES, MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use crate::wire::message::{ActiveUser, Cursor, HistoryKind, PastMessage, Refusal};

fn direct(number: u64) -> wire::Event {
    wire::Event::DirectMessage { number: MessageNumber(number), at: AT, from: name("luke"), text: "hi".into() }
}

fn received(through: u64) -> RequestBody {
    RequestBody::DirectReceived { from: name("luke"), through: MessageNumber(through) }
}

#[test]
fn every_command_asks_for_one_thing_and_shows_its_reply() {
    let active = ActiveUser { name: name("luke"), address: [192, 0, 2, 2].into(), udp_port: 7000, since: AT };
    let (users, user, text) = (vec!["luke".to_owned()], "luke".to_owned(), "hi".to_owned());
    let sent_as = |kind| Event::Sent { kind, number: MessageNumber(3), at: AT };
    let id = RoomId(2);
    for (command, request, reply, event) in [
        (
            Command::Broadcast { text: text.clone() },
            RequestBody::Broadcast { text: text.clone() },
            sent(3),
            sent_as(PostKind::Broadcast),
        ),
        (
            Command::RoomMessage { room: id, text: text.clone() },
            RequestBody::RoomMessage { room: id, text: text.clone() },
            sent(3),
            sent_as(PostKind::Room(id)),
        ),
        (
            Command::DirectMessage { to: user.clone(), text: text.clone() },
            RequestBody::DirectMessage { to: user.clone(), text },
            sent(3),
            sent_as(PostKind::Direct(user.clone())),
        ),
        (
            Command::ActiveUsers,
            RequestBody::ActiveUsers,
            ReplyBody::ActiveUsers(vec![active.clone()]),
            Event::ActiveUsers(vec![active]),
        ),
        (
            Command::BuildRoom { users: users.clone() },
            RequestBody::BuildRoom { users: users.clone() },
            ReplyBody::RoomCreated(room(2)),
            Event::RoomCreated(room(2)),
        ),
        (
            Command::BuildRoom { users: users.clone() },
            RequestBody::BuildRoom { users },
            ReplyBody::RoomExists(room(2)),
            Event::RoomExists(room(2)),
        ),
        (Command::Rooms, RequestBody::Rooms, ReplyBody::Rooms(vec![room(2)]), Event::Rooms(vec![room(2)])),
        (
            Command::Invite { room: id, user: user.clone() },
            RequestBody::Invite { room: id, user },
            ReplyBody::Invited(room(2)),
            Event::RoomChanged(room(2)),
        ),
        (
            Command::Leave { room: id },
            RequestBody::Leave { room: id },
            ReplyBody::Left { room: id },
            Event::LeftRoom { room: id },
        ),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(command.clone());
        assert_eq!(world.answer(reply), request);
        assert_eq!(world.events(), [event]);
        world.command(command);
        world.answer(ReplyBody::Refused(Refusal::NotAMember));
        assert_eq!(world.events(), [Event::Error(Failure::NotAMember)]);
    }
}

#[test]
fn what_breaks_a_limit_is_refused_without_asking() {
    let (long_text, long_name) = ("x".repeat(MAX_TEXT_BYTES + 1), "x".repeat(MAX_NAME_BYTES + 1));
    let stranger = || Failure::NoSuchUser(vec![long_name.clone()]);
    let (to, room) = ("luke".to_owned(), RoomId(1));
    for (command, failure) in [
        (broadcast(""), Failure::BadText),
        (broadcast(&long_text), Failure::BadText),
        (Command::RoomMessage { room, text: long_text.clone() }, Failure::BadText),
        (Command::DirectMessage { to, text: String::new() }, Failure::BadText),
        (Command::DirectMessage { to: long_name.clone(), text: "hi".into() }, stranger()),
        (Command::Invite { room, user: long_name.clone() }, stranger()),
        (Command::BuildRoom { users: vec!["luke".into(), long_name.clone()] }, stranger()),
        (Command::SendFiles { to: long_name.clone(), paths: vec!["a".into()] }, stranger()),
        (
            Command::SendFiles { to: "no/name".into(), paths: vec!["a".into()] },
            Failure::NoSuchUser(vec!["no/name".into()]),
        ),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(command);
        assert_eq!(world.events(), [Event::Error(failure)]);
        assert_eq!((world.requests(), world.orders()), (vec![], vec![]));
    }
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let many = (0..=MAX_ROOM_MEMBERS).map(|number| format!("user{number}")).collect();
    world.command(Command::BuildRoom { users: many });
    assert!(matches!(&world.events()[..], [Event::Error(Failure::LimitReached(_))]));
    let user = long_name[1..].to_owned();
    for command in [broadcast(&long_text[1..]), Command::Invite { room, user }] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(command);
        assert_eq!(world.requests().len(), 1);
    }
}

#[test]
fn repetitions_of_a_name_count_once_for_a_room() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let mut users: Vec<String> = vec!["luke".into(); MAX_ROOM_MEMBERS + 1];
    users.extend(["leia".into(), "luke".into()]);
    world.command(Command::BuildRoom { users });
    let body = world.answer(ReplyBody::RoomCreated(room(1)));
    assert_eq!(body, RequestBody::BuildRoom { users: vec!["luke".into(), "leia".into()] });
}

#[test]
fn the_pages_of_a_history_are_one_answer() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let kind = HistoryKind::Rooms;
    let message = |room: u32, number: u64| {
        let (room, number, from) = (Some(RoomId(room)), MessageNumber(number), name("luke"));
        PastMessage { room, number, at: AT, from, text: "hi".into() }
    };
    world.command(Command::History { kind, since: Timestamp::from_millis(1_999) });
    world.command(Command::History { kind: HistoryKind::Broadcast, since: AT });
    let cursor = Cursor { room: Some(RoomId(1)), number: MessageNumber(4) };
    let first = world.answer(ReplyBody::History { messages: vec![message(1, 4)], next: Some(cursor) });
    let not_before = Timestamp::from_millis(2_000);
    assert_eq!(first, RequestBody::History { kind, not_before, after: None });
    assert_eq!(world.events(), []);
    let second = world.answer(ReplyBody::History { messages: vec![message(2, 1)], next: None });
    assert_eq!(second, RequestBody::History { kind, not_before, after: Some(cursor) });
    let messages = vec![message(1, 4), message(2, 1)];
    assert_eq!(world.events(), [Event::History { kind, messages }]);
    // The second one begins when the first is shown.
    world.answer(ReplyBody::Refused(Refusal::StorageFailed));
    assert_eq!(world.events(), [Event::Error(Failure::StorageFailed)]);
    world.command(Command::ActiveUsers);
    assert_eq!(world.bodies(), [RequestBody::ActiveUsers]);
}

#[test]
fn a_search_without_words_is_told_as_what_it_is() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for (refusal, failure) in [(Refusal::BadText, Failure::NoWords), (Refusal::StorageFailed, Failure::StorageFailed)] {
        world.command(Command::Find { text: "*".into() });
        world.answer(ReplyBody::Refused(refusal));
        assert_eq!(world.events(), [Event::Error(failure)]);
    }
}

#[test]
fn the_newest_of_a_conversation_are_one_page() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let room = Some(RoomId(3));
    let message = PastMessage { room, number: MessageNumber(7), at: AT, from: name("luke"), text: "hi".into() };
    world.command(Command::Latest { room, count: 9 });
    let next = Some(Cursor { room, number: MessageNumber(7) });
    let asked = world.answer(ReplyBody::History { messages: vec![message.clone()], next });
    assert_eq!(asked, RequestBody::Latest { room, count: 9, before: None });
    assert_eq!(world.events(), [Event::Latest { room, messages: vec![message], more: true }]);
    world.command(Command::Latest { room: None, count: 1 });
    world.answer(ReplyBody::Refused(Refusal::StorageFailed));
    assert_eq!(world.events(), [Event::Error(Failure::StorageFailed)]);
}

#[test]
fn direct_messages_are_shown_once_and_confirmed_one_receipt_at_a_time() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.server(direct(3));
    let [first] = world.requests().try_into().unwrap();
    assert_eq!(first.body, received(3));
    for number in [3, 5, 4, 7] {
        world.server(direct(number));
    }
    let numbers: Vec<u64> = world
        .events()
        .iter()
        .map(|event| match event {
            Event::DirectMessage { number, .. } => number.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [3, 5, 7]);
    assert_eq!(world.requests(), []);
    world.reply(first.id, ReplyBody::Done);
    assert_eq!(world.answer(ReplyBody::Done), received(7));
    assert_eq!((world.requests(), world.events()), (vec![], vec![]));
}

#[test]
fn what_others_do_is_shown() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let (number, from, text, id) = (MessageNumber(3), name("luke"), "hi".to_owned(), RoomId(1));
    for (event, shown) in [
        (
            wire::Event::Broadcast { number, at: AT, from: from.clone(), text: text.clone() },
            Event::Broadcast { number, at: AT, from: from.clone(), text: text.clone() },
        ),
        (
            wire::Event::RoomMessage { room: id, number, at: AT, from: from.clone(), text: text.clone() },
            Event::RoomMessage { room: id, number, at: AT, from: from.clone(), text },
        ),
        (wire::Event::Joined { user: from.clone() }, Event::Joined { user: from.clone() }),
        (wire::Event::Left { user: from.clone() }, Event::Left { user: from }),
        (wire::Event::RoomCreated(room(1)), Event::RoomCreated(room(1))),
        (wire::Event::RoomChanged(room(1)), Event::RoomChanged(room(1))),
    ] {
        world.server(event);
        assert_eq!(world.events(), [shown]);
    }
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    let lost = |world: &mut World| {
        let events = world.events();
        let [.., Event::ConnectionLost { reason, was_logged_in: true, .. }] = &events[..] else { panic!("{events:?}") };
        assert!(reason.starts_with("the server broke the protocol: "), "{reason}");
        assert_eq!(world.orders(), [Output::Disconnect]);
        events.len() - 1
    };
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.reply(RequestId(77), ReplyBody::Done);
    assert_eq!(lost(&mut world), 0);

    for body in [
        ReplyBody::Done,
        ReplyBody::Bye,
        ReplyBody::Welcome { user: name("luke"), failed_logins: 0 },
        ReplyBody::Rooms(vec![]),
    ] {
        for command in [broadcast("hi"), Command::ActiveUsers, Command::Leave { room: RoomId(1) }] {
            let mut world = World::logged_in(AcceptPolicy::Ask);
            world.command(command);
            world.answer(body.clone());
            assert_eq!(world.events[0], Event::Error(Failure::ConnectionLost), "the command is answered");
            assert_eq!(lost(&mut world), 1);
        }
    }

    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::History { kind: HistoryKind::Broadcast, since: AT });
    let cursor = Cursor { room: None, number: MessageNumber(4) };
    for _ in 0..2 {
        world.answer(ReplyBody::History { messages: vec![], next: Some(cursor) });
    }
    assert_eq!(lost(&mut world), 1);

    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.server(offer(1));
    world.server(offer(1));
    assert!(lost(&mut world) > 0);

    let mut world = World::new(AcceptPolicy::Ask);
    world.input(connected());
    world.server(direct(1));
    assert!(matches!(&world.events()[..], [Event::ConnectionLost { was_logged_in: false, .. }]));
}
