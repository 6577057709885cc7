use super::super::fact::Conversation;
use super::super::testing::*;
use super::*;
use crate::time::Timestamp;
use crate::wire::message::{Reply, RequestBody, ServerMessage};

fn sent(world: &World, number: u64) -> ReplyBody {
    ReplyBody::Sent { number: MessageNumber(number), at: world.wall }
}

fn info(room: u32, members: &[&str]) -> RoomInfo {
    RoomInfo { room: RoomId(room), members: names(members) }
}

#[test]
fn a_broadcast_is_numbered_confirmed_recorded_and_told_to_all_others() {
    let mut world = World::new(&["a", "b", "c", "d"]);
    let [a, b, c] = world.login_all(["a", "b", "c"]);
    assert_eq!(world.ask(a, broadcast("one two  three ")), sent(&world, 1));
    assert_eq!(world.ask(b, broadcast("2")), sent(&world, 2));
    let event = |number, from: &str, words: &str, at| Event::Broadcast {
        number: MessageNumber(number),
        at,
        from: name(from),
        text: text(words),
    };
    let (one, two) = (event(1, "a", "one two  three ", world.wall), event(2, "b", "2", world.wall));
    assert_eq!(world.events(a), std::slice::from_ref(&two));
    assert_eq!(world.events(b), std::slice::from_ref(&one));
    assert_eq!(world.events(c), [one, two]);
    let told = |user: &str, number, words: &str| Activity::Broadcast {
        user: name(user),
        number: MessageNumber(number),
        text: text(words),
        at: world.wall,
    };
    assert_eq!(world.activities, [told("a", 1, "one two  three "), told("b", 2, "2")]);
    assert_eq!(world.messages[&Conversation::Broadcast].len(), 2);
}

#[test]
fn nothing_is_confirmed_or_told_before_it_is_committed_and_then_in_the_order_of_the_log() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.hold_proposals = true;
    let [one, two] = [(a, "1"), (b, "2")].map(|(who, words)| world.send(who, broadcast(words)));
    assert_eq!((world.inbox(a), world.inbox(b), world.activities.len()), (vec![], vec![], 0));
    world.commit_next();
    world.commit_next();
    let event = |number, from: &str| {
        let (number, at) = (MessageNumber(number), world.wall);
        ServerMessage::Event(Event::Broadcast { number, at, from: name(from), text: number.to_string() })
    };
    let reply = |id, number| ServerMessage::Reply(Reply { id, body: sent(&world, number) });
    let (for_a, for_b) = ([reply(one, 1), event(2, "b")], [event(1, "a"), reply(two, 2)]);
    assert_eq!(world.inbox(a), for_a);
    assert_eq!(world.inbox(b), for_b);
}

#[test]
fn times_never_go_back_when_the_clock_does() {
    let mut world = World::new(&["a", "b"]);
    let [a] = world.login_all(["a"]);
    let start = world.wall;
    world.ask(a, broadcast("1"));
    world.wall = Timestamp::from_millis(5);
    let late = |number| ReplyBody::Sent { number: MessageNumber(number), at: start };
    assert_eq!(world.ask(a, broadcast("2")), late(2));
    assert_eq!(world.ask(a, direct("b", "x")), late(1));
    world.restart();
    let [a] = world.login_all(["a"]);
    assert_eq!(world.ask(a, broadcast("3")), late(3));
}

#[test]
fn a_fact_from_another_server_is_told_here_too_and_answers_nobody() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.commit(Fact::Broadcast { from: name("a"), text: text("x"), at: world.wall, id: None });
    assert_eq!((world.inbox(a).len(), world.events(b).len()), (0, 1));
    world.commit(Fact::RoomLeft { room: RoomId(7), user: name("a"), at: world.wall });
    assert_eq!((world.inbox(a).len(), world.inbox(b).len(), world.activities.len()), (0, 0, 1));
    let again = world.log[2].clone();
    world.log.truncate(2);
    world.commit(again.fact);
    assert_eq!(world.inbox(b), [], "each fact once");
}

#[test]
fn a_store_that_cannot_write_is_said_and_others_hear_nothing() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.hold_proposals = true;
    let id = world.send(a, broadcast("x"));
    world.fail_proposals();
    assert_eq!(world.reply(a, id), Some(ReplyBody::Refused(Refusal::StorageFailed)));
    assert_eq!(world.inbox(b), []);
    let refused = Activity::Refused { user: name("a"), command: "BCM", refusal: Refusal::StorageFailed };
    assert_eq!(world.activities, [refused]);
}

#[test]
fn a_room_is_told_to_its_members_and_what_is_said_there_to_nobody_else() {
    let mut world = World::new(&["a", "b", "c"]);
    let [a, b, c] = world.login_all(["a", "b", "c"]);
    let room = info(1, &["a", "b"]);
    assert_eq!(world.ask(b, build(&["a", "b", "a"])), ReplyBody::RoomCreated(room.clone()));
    assert_eq!(world.events(a), [Event::RoomCreated(room.clone())]);
    assert_eq!(world.ask(a, room_message(1, "hi")), sent(&world, 1));
    let (number, at) = (MessageNumber(1), world.wall);
    let event = Event::RoomMessage { room: RoomId(1), number, at, from: name("a"), text: text("hi") };
    assert_eq!(world.events(b), [event]);
    assert_eq!(world.inbox(c), []);
    let built = Activity::RoomBuilt { user: name("b"), room };
    let said = Activity::RoomMessage { user: name("a"), room: RoomId(1), number, text: text("hi"), at };
    assert_eq!(world.activities, [built, said]);
    assert_eq!(world.ask(c, build(&["a"])), ReplyBody::RoomCreated(info(2, &["a", "c"])));
    assert_eq!(world.ask(c, room_message(2, "x")), sent(&world, 1), "each room has its own numbers");
}

#[test]
fn of_two_builds_of_one_room_in_one_batch_the_second_finds_it() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.hold_proposals = true;
    let (first, second) = (world.send(a, build(&["b"])), world.send(b, build(&["a"])));
    world.commit_next();
    world.commit_next();
    let room = info(1, &["a", "b"]);
    assert_eq!(world.reply(a, first), Some(ReplyBody::RoomCreated(room.clone())));
    assert_eq!(world.reply(b, second), Some(ReplyBody::RoomExists(room.clone())));
    assert_eq!(world.events(b), [Event::RoomCreated(room.clone())]);
    assert_eq!(world.activities.last(), Some(&Activity::RoomExists { user: name("b"), room }));
}

#[test]
fn a_message_that_is_committed_after_one_left_is_refused() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.ask(a, build(&["b"]));
    world.forget();
    world.hold_proposals = true;
    let (left, late) = (world.send(a, RequestBody::Leave { room: RoomId(1) }), world.send(a, room_message(1, "x")));
    world.commit_next();
    world.commit_next();
    assert_eq!(world.reply(a, left), Some(ReplyBody::Left { room: RoomId(1) }));
    assert_eq!(world.reply(a, late), Some(ReplyBody::Refused(Refusal::NotAMember)));
    assert_eq!(world.events(b), [Event::RoomChanged(info(1, &["b"]))]);
    let left = Activity::LeftRoom { user: name("a"), room: RoomId(1) };
    let refused = Activity::Refused { user: name("a"), command: "SRM", refusal: Refusal::NotAMember };
    assert_eq!(world.activities, [left, refused]);
}

#[test]
fn an_invited_user_is_told_of_the_room_and_its_members_of_the_change() {
    let mut world = World::new(&["a", "b", "c"]);
    let [a, b, c] = world.login_all(["a", "b", "c"]);
    world.ask(a, build(&["b"]));
    world.forget();
    let room = info(1, &["a", "b", "c"]);
    let invite = RequestBody::Invite { room: RoomId(1), user: text("c") };
    assert_eq!(world.ask(a, invite), ReplyBody::Invited(room.clone()));
    assert_eq!((world.inbox(a), world.events(b)), (vec![], vec![Event::RoomChanged(room.clone())]));
    assert_eq!(world.events(c), [Event::RoomCreated(room.clone())]);
    let invited = Activity::Invited { user: name("a"), invited: name("c"), room: RoomId(1) };
    assert_eq!(world.activities, [invited]);
    assert_eq!(world.ask(c, RequestBody::Rooms), ReplyBody::Rooms(vec![room]));
}

#[test]
fn membership_outlives_sessions_and_restarts() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.ask(a, build(&["b"]));
    world.disconnect(b);
    world.ask(a, room_message(1, "missed"));
    world.restart();
    let [a, b] = world.login_all(["a", "b"]);
    assert_eq!(world.ask(b, RequestBody::Rooms), ReplyBody::Rooms(vec![info(1, &["a", "b"])]));
    assert_eq!(world.ask(b, room_message(1, "back")), sent(&world, 2));
    assert_eq!(world.events(a).len(), 1);
    assert_eq!(world.ask(a, build(&["b"])), ReplyBody::RoomExists(info(1, &["a", "b"])));
}

#[test]
fn a_removed_account_is_closed_and_leaves_its_rooms() {
    let mut world = World::new(&["a", "b"]);
    let [a, b] = world.login_all(["a", "b"]);
    world.ask(a, build(&["b"]));
    world.forget();
    world.hold_proposals = true;
    world.send(b, room_message(1, "late"));
    world.commit(Fact::AccountRemoved { name: name("b") });
    assert_eq!(world.closed, [(b, CloseReason::AccountRemoved)].into());
    assert_eq!(world.events(a), [Event::Left { user: name("b") }, Event::RoomChanged(info(1, &["a"]))]);
    world.commit_next();
    assert_eq!(world.inbox(a), [], "what it said is refused");
    assert_eq!(world.login_with("b", &password_of("b")), INVALID);
    world.add_account("b");
    let [b] = world.login_all(["b"]);
    assert_eq!(world.ask(b, RequestBody::Rooms), ReplyBody::Rooms(vec![]), "a namesake is someone else");
}

#[test]
fn a_changed_password_keeps_the_session_and_counts_from_the_next_login() {
    let mut world = World::new(&["a"]);
    let a = world.login("a");
    world.commit(Fact::PasswordChanged { name: name("a"), hash: hash("new") });
    assert_eq!(world.ask(a, broadcast("x")), sent(&world, 1));
    world.disconnect(a);
    assert_eq!(world.login_with("a", &password_of("a")), INVALID);
    assert_eq!(world.login_with("a", "new"), ReplyBody::Welcome { user: name("a"), failed_logins: 1 });
}

#[test]
fn an_account_is_added_once() {
    let mut world = World::new(&["a"]);
    world.commit(Fact::AccountAdded { name: name("a"), hash: hash("other") });
    assert_eq!(world.login_with("a", "other"), INVALID);
    world.login("a");
}

#[test]
fn what_is_read_back_is_the_same_conference_and_nobody_is_told() {
    let mut world = World::new(&["a", "b", "c"]);
    let [a, b, c] = world.login_all(["a", "b", "c"]);
    world.ask(a, build(&["b", "c"]));
    world.ask(b, build(&["c"]));
    world.ask(c, room_message(1, "x"));
    world.ask(c, RequestBody::Leave { room: RoomId(1) });
    world.ask(a, direct("b", "x"));
    world.ask(b, RequestBody::DirectReceived { from: name("a"), through: MessageNumber(1) });
    world.ask(b, direct("a", "y"));
    world.ask(c, broadcast("z"));
    world.commit(Fact::AccountRemoved { name: name("c") });
    let before = std::mem::take(&mut world.server.conference);
    let recorded = std::mem::take(&mut world.messages);
    world.restart();
    assert_eq!(world.server.conference, before);
    let known = [1, 2].map(|room| Activity::RoomKnown { room: RoomId(room) });
    assert_eq!(world.activities, known);
    assert_eq!((world.messages.len(), &world.messages), (3, &recorded), "said again to the store");
}
