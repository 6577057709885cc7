use super::super::fact::Conversation;
use super::super::io::Presence;
use super::super::testing::*;
use super::*;
use crate::id::MessageNumber;
use crate::secure::PublicKey;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_TEXT_BYTES, RESUME_LIFETIME};
use crate::wire::message::{Request, RequestBody, ServerMessage};
use core::time::Duration;

const GRACE: Duration = Duration::from_secs(60);
const OVER: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::SessionOver);

fn world<const N: usize>(users: [&str; N]) -> World {
    World::with_grace(&users, GRACE)
}

/// What a client keeps of its session.
#[derive(Clone, Debug)]
struct Kept {
    user: &'static str,
    secret: ResumeSecret,
    positions: Positions,
    /// The connection on which it logged in, and so its device.
    first: ConnectionId,
}

/// Logs in, and keeps what was granted.
fn log_in(world: &mut World, user: &'static str) -> Kept {
    let first = world.login(user);
    kept(world, user, first)
}

fn kept(world: &mut World, user: &'static str, first: ConnectionId) -> Kept {
    let granted = world.events(first).into_iter().find_map(|event| match event {
        Event::Granted { secret, positions } => Some(Kept { user, secret, positions, first }),
        _ => None,
    });
    granted.expect("nothing was granted")
}

/// Asks to resume on a new connection of a device.
fn resume_on(world: &mut World, kept: &Kept, device: PublicKey) -> (ConnectionId, ReplyBody) {
    let connection = world.connect_on(device);
    let Kept { user, secret, positions, .. } = kept.clone();
    let body = RequestBody::Resume { user: name(user), secret, udp_port: 7000, positions };
    let reply = world.ask(connection, body);
    (connection, reply)
}

/// Resumes: the connection, and how much was missed.
fn resume(world: &mut World, kept: &Kept) -> (ConnectionId, u64) {
    match resume_on(world, kept, device(kept.first)) {
        (connection, ReplyBody::Resumed { missed }) => (connection, missed),
        (_, other) => panic!("{other:?}"),
    }
}

fn is_refused(world: &mut World, kept: &Kept) -> bool {
    resume_on(world, kept, device(kept.first)).1 == OVER
}

/// Number and text of each message in all pages of what was missed; the number of the room first, 0 for broadcasts.
fn pull(world: &mut World, who: ConnectionId) -> Vec<(u32, u64, String)> {
    let mut all = Vec::new();
    loop {
        let ReplyBody::Missed { messages, more } = world.ask(who, RequestBody::Missed) else { panic!() };
        let line = |it: crate::wire::message::PastMessage| (it.room.map_or(0, |it| it.0), it.number.0, it.text);
        all.extend(messages.into_iter().map(line));
        if !more {
            return all;
        }
    }
}

/// Number and text of each broadcast and message in rooms that came by itself.
fn live(world: &mut World, who: ConnectionId) -> Vec<(u32, u64, String)> {
    let line = |event| match event {
        Event::Broadcast { number, text, .. } => Some((0, number.0, text)),
        Event::RoomMessage { room, number, text, .. } => Some((room.0, number.0, text)),
        _ => None,
    };
    world.events(who).into_iter().filter_map(line).collect()
}

fn lines(lines: &[(u32, u64, &str)]) -> Vec<(u32, u64, String)> {
    lines.iter().map(|(room, number, words)| (*room, *number, text(words))).collect()
}

#[test]
fn what_is_granted_says_where_everything_stands() {
    let mut world = world(["a", "b"]);
    let b = world.login("b");
    world.ask(b, broadcast("one"));
    let a = log_in(&mut world, "a");
    assert_eq!(a.positions, Positions { broadcasts: MessageNumber(1), rooms: vec![] });
    world.ask(b, build(&["a"]));
    world.ask(b, room_message(1, "hi"));
    world.disconnect(a.first);
    world.advance(GRACE);
    let a = log_in(&mut world, "a");
    assert_eq!(a.positions.rooms, [(RoomId(1), MessageNumber(1))]);
}

#[test]
fn nothing_is_granted_before_it_is_committed_nor_by_a_store_that_failed() {
    let mut world = world(["a"]);
    world.hold_proposals = true;
    let a = world.login("a");
    assert_eq!(world.inbox(a), []);
    world.fail_proposals();
    assert_eq!(world.inbox(a), []);
    world.hold_proposals = false;
    world.disconnect(a);
    assert!(world.server.sessions.is_empty(), "it ends with its connection");
}

#[test]
fn a_session_stays_active_for_a_while_and_is_resumed_without_anybody_noticing() {
    let mut world = world(["a", "b"]);
    let a = log_in(&mut world, "a");
    let b = world.login("b");
    world.forget();
    let lost = Activity::ConnectionLost { user: name("a"), at: world.wall };
    world.disconnect(a.first);
    assert_eq!((world.activities.clone(), world.inbox(b)), (vec![lost], vec![]));
    world.advance(GRACE - Duration::from_nanos(1));
    world.forget();
    let since = world.wall.saturating_add(Duration::from_nanos(1)).as_millis() - 60_000;
    let (again, missed) = resume(&mut world, &a);
    assert_eq!((missed, world.inbox(b), world.inbox(again)), (0, vec![], vec![]));
    let row = |since| Presence { name: name("a"), address: [192, 0, 2, 1].into(), udp_port: 7000, since };
    let Some(Activity::Resumed(presence)) = world.activities.first() else { panic!() };
    assert_eq!(*presence, row(presence.since));
    assert!((since - presence.since.as_millis()).abs() <= 1, "since the login");
    world.advance(GRACE * 2);
    assert_eq!(world.inbox(b), [], "nothing is left of the loss");
    world.disconnect(again);
    world.advance(GRACE);
    assert_eq!(world.events(b), [Event::Left { user: name("a") }]);
}

#[test]
fn what_was_missed_is_pulled_before_anything_newer_comes() {
    let mut world = world(["a", "b", "c"]);
    let (a, b, c) = (log_in(&mut world, "a"), world.login("b"), world.login("c"));
    world.ask(b, build(&["a"]));
    world.ask(b, build(&["a", "c"]));
    world.ask(b, broadcast("seen"));
    let mut a = a;
    a.positions = Positions {
        broadcasts: MessageNumber(1),
        rooms: vec![(RoomId(1), MessageNumber(0)), (RoomId(2), MessageNumber(0))],
    };
    world.disconnect(a.first);
    world.ask(b, broadcast("one"));
    world.ask(b, room_message(1, "two"));
    world.ask(c, broadcast("three"));
    let (again, missed) = resume(&mut world, &a);
    assert_eq!(missed, 3);
    world.ask(b, broadcast("four"));
    world.ask(b, room_message(1, "five"));
    world.ask(b, room_message(2, "six"));
    assert_eq!(live(&mut world, again), lines(&[(2, 1, "six")]), "only where nothing is missing");
    let all = [(0, 2, "one"), (0, 3, "three"), (0, 4, "four"), (1, 1, "two"), (1, 2, "five")];
    assert_eq!(pull(&mut world, again), lines(&all));
    world.ask(b, broadcast("seven"));
    assert_eq!(live(&mut world, again), lines(&[(0, 5, "seven")]));
    assert_eq!(pull(&mut world, again), []);
}

#[test]
fn messages_that_come_while_a_page_is_read_are_in_the_next_one() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.disconnect(a.first);
    world.ask(b, broadcast("one"));
    let (again, _) = resume(&mut world, &a);
    world.hold_queries = true;
    let first = world.send(again, RequestBody::Missed);
    let second = world.send(again, RequestBody::Missed);
    assert_eq!(world.reply(again, second), Some(ReplyBody::Refused(Refusal::OutOfOrder)), "one at a time");
    world.ask(b, broadcast("two"));
    world.find_next(true);
    let page = world.reply(again, first);
    assert!(matches!(&page, Some(ReplyBody::Missed { messages, more: true }) if messages.len() == 1), "{page:?}");
    let failing = world.send(again, RequestBody::Missed);
    world.find_next(false);
    assert_eq!(world.reply(again, failing), Some(ReplyBody::Refused(Refusal::StorageFailed)));
    world.hold_queries = false;
    assert_eq!((live(&mut world, again), pull(&mut world, again)), (vec![], lines(&[(0, 2, "two")])));
}

#[test]
fn years_that_were_missed_come_in_pages() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.disconnect(a.first);
    let count = 3 * MAX_PAGE_BYTES / MAX_TEXT_BYTES;
    for _ in 0..count {
        world.ask(b, broadcast(&"x".repeat(MAX_TEXT_BYTES)));
    }
    let (again, missed) = resume(&mut world, &a);
    assert_eq!(missed, count as u64);
    let numbers: Vec<u64> = pull(&mut world, again).into_iter().map(|(_, number, _)| number).collect();
    assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
}

#[test]
fn a_room_that_one_was_put_into_meanwhile_is_told_and_its_messages_are_missed() {
    let mut world = world(["a", "b", "c"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.login("c");
    world.ask(b, build(&["c"]));
    world.ask(b, room_message(1, "before a came"));
    world.disconnect(a.first);
    let invite = RequestBody::Invite { room: RoomId(1), user: text("a") };
    assert!(matches!(world.ask(b, invite), ReplyBody::Invited(_)), "a is still active");
    world.ask(b, room_message(1, "welcome"));
    let (again, missed) = resume(&mut world, &a);
    assert_eq!(missed, 1);
    let events = world.events(again);
    assert!(matches!(&events[..], [Event::RoomCreated(room)] if room.room == RoomId(1)), "{events:?}");
    assert_eq!(pull(&mut world, again), lines(&[(1, 2, "welcome")]));
    // A position from before one left and came back is not enough to read what was said meanwhile.
    world.ask(again, RequestBody::Leave { room: RoomId(1) });
    world.ask(b, room_message(1, "secret"));
    world.ask(b, RequestBody::Invite { room: RoomId(1), user: text("a") });
    world.disconnect(again);
    let (again, _) = resume(&mut world, &a);
    assert_eq!(pull(&mut world, again), []);
}

#[test]
fn direct_messages_that_were_missed_come_by_themselves() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.disconnect(a.first);
    world.ask(b, direct("a", "psst"));
    let (again, missed) = resume(&mut world, &a);
    let events = world.events(again);
    assert!(matches!(&events[..], [Event::DirectMessage { text, .. }] if text == "psst"), "{events:?}");
    assert_eq!(missed, 1);
}

#[test]
fn a_session_outlives_the_server() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    let b = kept(&mut world, "b", b);
    world.ask(b.first, broadcast("one"));
    world.restart();
    let (again, _) = resume(&mut world, &b);
    world.ask(again, broadcast("two"));
    assert_eq!(world.ask(again, RequestBody::ActiveUsers), ReplyBody::ActiveUsers(vec![]), "a has not come back yet");
    let (c, missed) = resume(&mut world, &a);
    assert_eq!((missed, pull(&mut world, c)), (2, lines(&[(0, 1, "one"), (0, 2, "two")])));
    assert_eq!(world.events(again), [Event::Joined { user: name("a") }]);
}

#[test]
fn a_session_that_was_lost_for_long_is_resumed_as_one_that_comes_back() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.disconnect(a.first);
    world.advance(GRACE);
    world.ask(b, broadcast("one"));
    world.forget();
    let (again, _) = resume(&mut world, &a);
    assert_eq!(pull(&mut world, again), lines(&[(0, 1, "one")]));
    assert_eq!(world.events(b), [Event::Joined { user: name("a") }]);
    world.disconnect(again);
    world.advance(RESUME_LIFETIME);
    assert!(is_refused(&mut world, &a));
}

#[test]
fn only_the_same_device_with_the_secret_resumes() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), log_in(&mut world, "b"));
    world.disconnect(a.first);
    let forged = Kept { secret: ResumeSecret([0; 32]), ..a.clone() };
    let others = Kept { secret: b.secret.clone(), ..a.clone() };
    let unknown = Kept { user: "nobody", ..a.clone() };
    for wrong in [forged, others, unknown] {
        assert!(is_refused(&mut world, &wrong), "{wrong:?}");
    }
    assert_eq!(resume_on(&mut world, &a, PublicKey([99; 32])).1, OVER, "another device");
    let failed =
        |activity: &Activity| matches!(activity, Activity::LoginFailed { refusal: LoginRefusal::SessionOver, .. });
    assert_eq!(world.activities.iter().filter(|it| failed(it)).count(), 4);
    resume(&mut world, &a);
}

#[test]
fn it_is_over_after_a_logout_a_new_password_a_removed_account_or_a_later_login() {
    let mut world = world(["a"]);
    let a = log_in(&mut world, "a");
    world.ask(a.first, RequestBody::Logout);
    assert!(is_refused(&mut world, &a));

    let a = log_in(&mut world, "a");
    world.commit(Fact::PasswordChanged { name: name("a"), hash: hash(&password_of("a")) });
    assert!(world.server.is_open(a.first), "who is connected stays");
    assert!(is_refused(&mut world, &a));
    world.disconnect(a.first);
    assert!(world.server.sessions.is_empty());

    let a = log_in(&mut world, "a");
    world.disconnect(a.first);
    world.commit(Fact::PasswordChanged { name: name("a"), hash: hash(&password_of("a")) });
    assert!(world.server.sessions.is_empty(), "who is not connected is gone");
    assert!(is_refused(&mut world, &a));

    let first = log_in(&mut world, "a");
    world.disconnect(first.first);
    world.advance(GRACE);
    let second = log_in(&mut world, "a");
    assert!(is_refused(&mut world, &first));
    world.disconnect(second.first);
    resume(&mut world, &second);
    world.restart();
    assert!(is_refused(&mut world, &first));

    world.commit(Fact::AccountRemoved { name: name("a") });
    world.add_account("a");
    assert!(is_refused(&mut world, &second));
}

#[test]
fn a_later_login_counts_before_it_is_in_the_log() {
    let mut world = world(["a"]);
    let first = log_in(&mut world, "a");
    world.disconnect(first.first);
    world.advance(GRACE);
    world.hold_proposals = true;
    world.login("a");
    assert!(is_refused(&mut world, &first));
}

#[test]
fn whoever_resumes_closes_the_connection_before() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.forget();
    let (again, _) = resume(&mut world, &a);
    assert_eq!(world.closed, [(a.first, CloseReason::Superseded)].into());
    world.disconnect(a.first);
    world.ask(b, broadcast("one"));
    assert_eq!((live(&mut world, again), world.inbox(b)), (lines(&[(0, 1, "one")]), vec![]));
    world.advance(GRACE * 2);
    assert!(world.server.is_open(again));
}

#[test]
fn a_post_that_comes_again_is_one_message_and_has_one_answer() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.ask(b, build(&["a"]));
    world.forget();
    let post = |world: &mut World, connection, id: u64, body| {
        world.send_as(connection, Request { id: RequestId(id), body });
        world.reply(connection, RequestId(id))
    };
    let bodies = [broadcast("x"), room_message(1, "y"), direct("b", "z")];
    let answers = [0, 1, 2].map(|kind| post(&mut world, a.first, 1_000 + kind, bodies[kind as usize].clone()));
    assert!(answers.iter().all(|answer| matches!(answer, Some(ReplyBody::Sent { number: MessageNumber(1), .. }))));
    for restart in [false, true] {
        if restart {
            world.restart();
        }
        let (again, _) = resume(&mut world, &a);
        let facts = world.log.len();
        let same = [0, 1, 2].map(|kind| post(&mut world, again, 1_000 + kind, bodies[kind as usize].clone()));
        assert_eq!((&same, world.log.len()), (&answers, facts), "the log does not grow");
    }
    assert_eq!(world.messages[&Conversation::Broadcast].len(), 1);
}

#[test]
fn a_post_that_comes_again_before_it_is_committed_is_one_message() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.forget();
    world.hold_proposals = true;
    let post = Request { id: RequestId(1_000), body: broadcast("x") };
    world.send_as(a.first, post.clone());
    let (again, _) = resume(&mut world, &a);
    world.send_as(again, post);
    world.hold_proposals = false;
    world.disconnect(a.first);
    let sent = world.reply(again, RequestId(1_000));
    assert!(matches!(sent, Some(ReplyBody::Sent { number: MessageNumber(1), .. })), "{sent:?}");
    assert_eq!((live(&mut world, b), world.messages[&Conversation::Broadcast].len()), (lines(&[(0, 1, "x")]), 1));
    world.restart();
    assert_eq!(world.server.conference.broadcasts, MessageNumber(1));
}

#[test]
fn a_refusal_that_was_committed_is_repeated() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.ask(b, build(&["a"]));
    world.hold_proposals = true;
    let post = Request { id: RequestId(1_000), body: room_message(1, "x") };
    world.send(a.first, RequestBody::Leave { room: RoomId(1) });
    world.send_as(a.first, post.clone());
    world.hold_proposals = false;
    world.commit(Fact::AccountRemoved { name: name("nobody") });
    let refused = Some(ReplyBody::Refused(Refusal::NotAMember));
    assert_eq!(world.reply(a.first, post.id), refused);
    world.send(b, RequestBody::Invite { room: RoomId(1), user: text("a") });
    let (again, _) = resume(&mut world, &a);
    world.send_as(again, post.clone());
    assert_eq!(world.reply(again, post.id), refused);
}

#[test]
fn offers_that_were_not_agreed_end_with_the_connection_and_ids_are_not_used_again() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    let sealed = || crate::secure::SealedOffer::new(vec![9; 300]).unwrap();
    let offer = |to: &str, device| RequestBody::Offer {
        to: text(to),
        device,
        index: crate::id::PeerIndex(1),
        sealed: sealed(),
    };
    assert_eq!(world.ask(b, offer("a", device(a.first))), ReplyBody::Offered { offer: crate::id::OfferId(1) });
    world.forget();
    world.disconnect(a.first);
    let ended = |event: &Event| matches!(event, Event::OfferEnded { .. });
    assert!(world.events(b).iter().any(ended));
    let offline = ReplyBody::Refused(Refusal::UserOffline(vec![name("a")]));
    assert_eq!(world.ask(b, offer("a", device(a.first))), offline, "nobody is there to be asked");
    world.restart();
    let (b, a) = (world.login("b"), world.login("a"));
    let ReplyBody::Offered { offer } = world.ask(b, offer("a", device(a))) else { panic!() };
    assert_eq!(offer.0, 101, "a transfer of the first run may still be going on");
}

#[test]
fn too_many_positions_break_a_limit_and_who_is_logged_in_resumes_nothing() {
    let mut world = world(["a"]);
    let a = log_in(&mut world, "a");
    let Kept { secret, .. } = a.clone();
    let rooms = (0..=MAX_ROOMS_PER_USER as u32).map(|room| (RoomId(room), MessageNumber(1))).collect();
    let positions = Positions { broadcasts: MessageNumber(0), rooms };
    let body = RequestBody::Resume { user: name("a"), secret, udp_port: 1, positions };
    assert_eq!(world.ask(a.first, body.clone()), ReplyBody::Refused(Refusal::OutOfOrder));
    let connection = world.connect_on(device(a.first));
    world.send(connection, body);
    assert_eq!(world.closed, [(connection, CloseReason::LimitBroken)].into());
}

#[test]
fn the_right_password_on_the_same_device_waits_for_the_word_of_the_connection_before() {
    let mut world = world(["a", "b"]);
    let a = log_in(&mut world, "a");
    world.forget();
    let second = world.connect_on(device(a.first));
    let login = world.try_login(second, "a", &password_of("a"));
    assert_eq!((world.events(a.first), world.inbox(second)), (vec![Event::Ping], vec![]));
    let third = world.connect_on(device(a.first));
    let third_login = world.try_login(third, "a", &password_of("a"));
    assert_eq!(world.reply(third, third_login), Some(ALREADY), "one at a time");
    assert_eq!(world.ask(a.first, RequestBody::Ping), ReplyBody::Done);
    assert_eq!(world.reply(second, login), Some(ALREADY));

    let login = world.try_login(second, "a", &password_of("a"));
    world.advance(Duration::from_secs(2) - Duration::from_nanos(1));
    assert_eq!(world.inbox(second), []);
    world.advance(Duration::from_nanos(1));
    assert!(matches!(world.reply(second, login), Some(ReplyBody::Welcome { .. })), "nobody was there");
    assert_eq!(world.closed, [(a.first, CloseReason::Superseded)].into());
    assert!(is_refused(&mut world, &a));
    assert_eq!(world.server.deadline_of_sessions(), None);
}

#[test]
fn the_right_password_on_the_same_device_takes_a_lost_session_at_once() {
    let mut world = world(["a", "b"]);
    let a = log_in(&mut world, "a");
    world.disconnect(a.first);
    let elsewhere = world.connect();
    let login = world.try_login(elsewhere, "a", &password_of("a"));
    assert_eq!(world.reply(elsewhere, login), Some(ALREADY), "another device");
    let again = world.connect_on(device(a.first));
    let login = world.try_login(again, "a", &password_of("a"));
    assert!(matches!(world.reply(again, login), Some(ReplyBody::Welcome { .. })));

    let waiting = world.connect_on(device(a.first));
    let login = world.try_login(waiting, "a", &password_of("a"));
    world.disconnect(again);
    assert!(matches!(world.reply(waiting, login), Some(ReplyBody::Welcome { .. })), "while it waits");
    let gone = world.connect_on(device(a.first));
    world.try_login(gone, "a", &password_of("a"));
    world.disconnect(gone);
    world.advance(Duration::from_secs(2));
    assert!(world.server.is_open(waiting), "who asked is gone");
}

#[test]
fn with_no_grace_sessions_end_with_their_connection() {
    let mut world = World::new(&["a"]);
    let a = world.login("a");
    assert_eq!(world.inbox(a), []);
    let facts = world.log.len();
    world.disconnect(a);
    assert!(world.server.sessions.is_empty() && world.log.len() == facts);
}

#[test]
fn how_much_waits_is_bounded() {
    let mut world = world(["a"]);
    let a = log_in(&mut world, "a");
    for number in 0..MAX_LOST_SESSIONS as u64 {
        world.server.lost.start(world.now + GRACE, ConnectionId(1_000_000 + number), name("x"));
    }
    world.disconnect(a.first);
    assert!(world.server.sessions.is_empty(), "it ends with its connection");
    resume(&mut world, &a);
}

#[test]
fn what_is_said_to_a_session_that_is_not_connected_goes_nowhere() {
    let mut world = world(["a", "b"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.forget();
    world.disconnect(a.first);
    // The test's driver breaks if anything is sent to a connection that is gone.
    world.ask(b, direct("a", "x"));
    world.ask(b, build(&["a"]));
    world.ask(b, room_message(1, "x"));
    assert!(matches!(world.ask(b, RequestBody::ActiveUsers), ReplyBody::ActiveUsers(users) if users.len() == 1));
    let message = |it: &ServerMessage| matches!(it, ServerMessage::Event(_));
    assert!(!world.inbox(b).iter().any(message));
}

#[test]
fn a_logout_and_a_later_login_count_before_they_are_in_the_log() {
    let mut world = world(["a", "b"]);
    let a = log_in(&mut world, "a");
    world.hold_proposals = true;
    assert_eq!(world.ask(a.first, RequestBody::Logout), ReplyBody::Bye);
    assert!(is_refused(&mut world, &a), "after a logout");
    world.hold_proposals = false;
    world.restart();
    let b = log_in(&mut world, "b");
    world.disconnect(b.first);
    world.advance(GRACE);
    world.hold_proposals = true;
    let later = world.login("b");
    world.disconnect(later);
    assert!(is_refused(&mut world, &b), "the later session has ended with its connection");
}

#[test]
fn who_waits_for_the_word_of_a_connection_is_refused_if_the_password_or_the_account_is_another_one_then() {
    let changes =
        [Fact::PasswordChanged { name: name("a"), hash: hash("another") }, Fact::AccountRemoved { name: name("a") }];
    for change in changes {
        let mut world = world(["a", "b"]);
        let a = log_in(&mut world, "a");
        let second = world.connect_on(device(a.first));
        let login = world.try_login(second, "a", &password_of("a"));
        assert_eq!(world.reply(second, login), None);
        world.commit(change);
        let wrong = ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials);
        assert_eq!(world.reply(second, login), Some(wrong));
        world.disconnect(a.first);
        world.advance(Duration::from_secs(2));
        assert!(world.server.sessions.is_empty());
    }
}

#[test]
fn who_leaves_a_room_before_reading_what_they_missed_there_is_not_sent_what_was_said_until_they_came_back() {
    let mut world = world(["a", "b", "c"]);
    let (a, b) = (log_in(&mut world, "a"), world.login("b"));
    world.login("c");
    world.ask(b, build(&["a", "c"]));
    world.disconnect(a.first);
    world.ask(b, room_message(1, "before"));
    let (again, _) = resume(&mut world, &a);
    world.ask(again, RequestBody::Leave { room: RoomId(1) });
    world.ask(b, room_message(1, "secret"));
    world.ask(b, RequestBody::Invite { room: RoomId(1), user: text("a") });
    world.ask(b, room_message(1, "after"));
    assert_eq!(pull(&mut world, again), lines(&[(1, 3, "after")]));
    world.ask(b, room_message(1, "live"));
    assert_eq!(live(&mut world, again), lines(&[(1, 4, "live")]));
}

#[test]
fn no_offer_is_made_before_the_log_has_its_id() {
    let mut world = world(["a", "b"]);
    let (a, b) = (world.login("a"), world.login("b"));
    world.forget();
    let offer = || RequestBody::Offer {
        to: text("a"),
        device: device(a),
        index: crate::id::PeerIndex(1),
        sealed: crate::secure::SealedOffer::new(vec![9; 300]).unwrap(),
    };
    world.hold_proposals = true;
    let waiting = [0; 3].map(|_| world.send(b, offer()));
    assert_eq!((world.inbox(a), world.inbox(b)), (vec![], vec![]));
    world.hold_proposals = false;
    while !world.proposals.is_empty() {
        world.commit_next();
    }
    let ids = waiting.map(|id| world.reply(b, id));
    assert_eq!(ids, [1, 2, 3].map(|id| Some(ReplyBody::Offered { offer: crate::id::OfferId(id) })));
    assert_eq!(world.server.conference.offers, crate::id::OfferId(100), "they were taken once");
    world.disconnect(b);
    world.restart();
    let b = world.login("b");
    world.hold_proposals = true;
    let failing = world.send(b, offer());
    world.fail_proposals();
    assert_eq!(world.reply(b, failing), Some(ReplyBody::Refused(Refusal::StorageFailed)));
}
