use super::super::testing::*;
use super::*;
use crate::id::{MessageNumber, OfferId, PeerIndex};
use crate::secure::{PublicKey, SealedOffer};
use crate::wire::message::Event;

fn refused(refusal: Refusal) -> ReplyBody {
    ReplyBody::Refused(refusal)
}

fn no_such(users: &[&str]) -> Refusal {
    Refusal::NoSuchUser(users.iter().map(|user| text(user)).collect())
}

fn invite(room: u32, user: &str) -> RequestBody {
    RequestBody::Invite { room: RoomId(room), user: text(user) }
}

fn leave(room: u32) -> RequestBody {
    RequestBody::Leave { room: RoomId(room) }
}

fn offer(to: &str) -> RequestBody {
    let (device, sealed) = (PublicKey([9; 32]), SealedOffer::new(vec![1]).unwrap());
    RequestBody::Offer { to: text(to), device, index: PeerIndex(1), sealed }
}

/// A and B are active and share room 1, C is active, D is offline.
fn world() -> (World, ConnectionId) {
    let mut world = World::new(&["a", "b", "c", "d"]);
    let [a, ..] = world.login_all(["a", "b", "c"]);
    world.ask(a, build(&["b"]));
    world.forget();
    (world, a)
}

#[test]
fn refused_commands_say_why_and_are_told_to_the_operator() {
    let (mut world, _) = world();
    let b = ConnectionId(2);
    let c = ConnectionId(3);
    let cases = [
        (c, room_message(2, "x"), "SRM", Refusal::NoSuchRoom),
        (c, room_message(0, "x"), "SRM", Refusal::NoSuchRoom),
        (c, room_message(1, "x"), "SRM", Refusal::NotAMember),
        (c, leave(2), "LEAVE", Refusal::NoSuchRoom),
        (c, leave(1), "LEAVE", Refusal::NotAMember),
        (c, invite(2, "x"), "INVITE", Refusal::NoSuchRoom),
        (c, invite(1, "x"), "INVITE", Refusal::NotAMember),
        (b, invite(1, "x"), "INVITE", no_such(&["x"])),
        (b, invite(1, "b"), "INVITE", Refusal::AlreadyAMember),
        (b, invite(1, "a"), "INVITE", Refusal::AlreadyAMember),
        (b, invite(1, "d"), "INVITE", Refusal::UserOffline(names(&["d"]))),
        (b, direct("x", "x"), "MSG", no_such(&["x"])),
        (b, direct("B", "x"), "MSG", no_such(&["B"])),
        (b, direct("not a name", "x"), "MSG", no_such(&["not a name"])),
        (b, direct("b", "x"), "MSG", Refusal::Oneself),
        (b, direct("a", ""), "MSG", Refusal::BadText),
        (b, broadcast(""), "BCM", Refusal::BadText),
        (b, broadcast(&"x".repeat(MAX_TEXT_BYTES + 1)), "BCM", Refusal::BadText),
        (b, room_message(1, ""), "SRM", Refusal::BadText),
        (b, offer("x"), "UPD", no_such(&["x"])),
        (b, offer("b"), "UPD", Refusal::Oneself),
        (b, offer("d"), "UPD", Refusal::UserOffline(names(&["d"]))),
        (b, RequestBody::AnswerOffer { offer: OfferId(1), index: None }, "REJECT", Refusal::NoSuchOffer),
        (b, RequestBody::AnswerOffer { offer: OfferId(1), index: Some(PeerIndex(1)) }, "ACCEPT", Refusal::NoSuchOffer),
        (b, RequestBody::WithdrawOffer { offer: OfferId(1) }, "CANCEL", Refusal::NoSuchOffer),
    ];
    let facts = world.log.len();
    for (who, body, command, refusal) in cases {
        assert_eq!(world.ask(who, body.clone()), refused(refusal.clone()), "{body:?}");
        let user = if who == b { name("b") } else { name("c") };
        assert_eq!(world.activities.pop(), Some(Activity::Refused { user, command, refusal }));
    }
    assert_eq!((world.log.len(), world.activities.len()), (facts, 0));
    assert!(matches!(world.ask(b, broadcast(&"x".repeat(MAX_TEXT_BYTES))), ReplyBody::Sent { .. }));
}

#[test]
fn a_room_needs_others_who_all_exist_and_then_are_all_active() {
    let (mut world, a) = world();
    for users in [&[][..], &["a"], &["a", "a"]] {
        assert_eq!(world.ask(a, build(users)), refused(Refusal::NobodyElse));
    }
    let unknown = build(&["a", "x", "d", "b", "x", "not a name", "a"]);
    assert_eq!(world.ask(a, unknown), refused(no_such(&["x", "not a name"])));
    world.add_account("e");
    let offline = build(&["e", "b", "d", "e"]);
    assert_eq!(world.ask(a, offline), refused(Refusal::UserOffline(names(&["e", "d"]))));
    let ReplyBody::RoomExists(room) = world.ask(a, build(&["b", "a", "b"])) else { panic!() };
    assert_eq!(room, RoomInfo { room: RoomId(1), members: names(&["a", "b"]) });
    assert_eq!(world.activities.last(), Some(&Activity::RoomExists { user: name("a"), room }));
    let ReplyBody::RoomCreated(room) = world.ask(a, build(&["c", "b"])) else { panic!() };
    assert_eq!(room.room, RoomId(2), "nothing was built before");
}

#[test]
fn too_many_names_for_a_room_are_a_violation_and_too_many_members_a_limit() {
    let (mut world, a) = world();
    let users: Vec<String> = (0..MAX_ROOM_MEMBERS).map(|number| format!("user{number}")).collect();
    for user in &users {
        world.add_account(user);
        world.login(user);
    }
    let all: Vec<&str> = users.iter().map(String::as_str).collect();
    assert_eq!(world.ask(a, build(&all)), refused(Refusal::LimitReached(text("members of a room"))));
    assert!(matches!(world.ask(a, build(&all[1..])), ReplyBody::RoomCreated(_)));
    world.send(a, build(&vec!["a"; MAX_ROOM_MEMBERS + 1]));
    assert_eq!(world.closed, [(a, CloseReason::LimitBroken)].into());
}

#[test]
fn requests_in_flight_are_bounded_and_answers_make_room() {
    let (mut world, a) = world();
    world.hold_proposals = true;
    for _ in 0..MAX_REQUESTS_IN_FLIGHT {
        world.send(a, broadcast("x"));
    }
    world.commit_next();
    world.send(a, broadcast("x"));
    assert!(world.closed.is_empty());
    world.send(a, RequestBody::ActiveUsers);
    assert_eq!(world.closed, [(a, CloseReason::TooManyRequests)].into());
    world.hold_proposals = false;
    world.commit_next();
    assert_eq!(world.messages.values().next().map(Vec::len), Some(MAX_REQUESTS_IN_FLIGHT + 1));
}

#[test]
fn logging_out_waits_for_what_was_asked_before() {
    let (mut world, a) = world();
    let others = ConnectionId(2);
    (world.hold_proposals, world.hold_queries) = (true, true);
    let post = world.send(a, broadcast("x"));
    let out = world.send(a, RequestBody::Logout);
    assert_eq!(world.ask(a, RequestBody::ActiveUsers), refused(Refusal::OutOfOrder));
    assert_eq!(world.reply(a, out), None);
    world.commit_next();
    assert!(matches!(world.reply(a, post), Some(ReplyBody::Sent { .. })));
    assert_eq!(world.reply(a, out), Some(ReplyBody::Bye));
    assert_eq!(world.closed, [(a, CloseReason::LoggedOut)].into());
    assert!(matches!(
        world.events(others)[..],
        [Event::Broadcast { number: MessageNumber(1), .. }, Event::Left { .. }]
    ));
}

#[test]
fn a_long_name_that_is_none_is_quoted_in_part() {
    let (mut world, a) = world();
    let long = format!("x{}", "é".repeat(1_000));
    let ReplyBody::Refused(Refusal::NoSuchUser(users)) = world.ask(a, direct(&long, "x")) else { panic!() };
    assert!(long.starts_with(&users[0]) && users[0].len() == MAX_QUOTED_BYTES - 1);
}

#[test]
fn a_list_of_rooms_fits_a_frame() {
    let users: Vec<String> = (0..200).map(|number| format!("{}{number}", "x".repeat(60))).collect();
    let mut world = World::new(&users.iter().map(String::as_str).collect::<Vec<_>>());
    world.add_account("a");
    let a = world.login("a");
    let at = world.wall;
    for room in 0..50 {
        let mut members: Vec<UserName> = users.iter().map(|user| name(user)).collect();
        members.remove(room);
        world.commit(Fact::RoomBuilt { by: name("a"), members, at });
    }
    let reply = world.ask(a, RequestBody::Rooms);
    let ReplyBody::Rooms(rooms) = &reply else { panic!() };
    assert!((5..50).contains(&rooms.len()) && rooms[0].room == RoomId(1));
    assert!(crate::wire::codec::encode(&reply).len() <= MAX_PAGE_BYTES);
}
