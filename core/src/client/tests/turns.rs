//! When commands start, and in which order they are answered.

use super::*;
use crate::client::event::{Failure, PostKind, Transfer, TransferState};
use crate::client::io::SourceId;
use crate::client::requests::MAX_COMMANDS_IN_FLIGHT;
use crate::client::session::MAX_WAITING_COMMANDS;
use crate::client::standing::Waiting;
use crate::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_REQUESTS_IN_FLIGHT};
use crate::wire::message::{LoginRefusal, Refusal};

const NOT_LOGGED_IN: Event = Event::Error(Failure::NotLoggedIn);

fn confirmed(number: u64) -> Event {
    Event::Sent { kind: PostKind::Broadcast, number: MessageNumber(number), at: AT }
}

#[test]
fn a_login_waits_for_the_connection_and_commands_wait_for_the_login() {
    let mut world = World::new(AcceptPolicy::Ask);
    world.command(login());
    world.command(broadcast("hello"));
    assert_eq!(world.requests(), []);
    world.input(connected());
    let body = world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 3 });
    let password = Password("jedi".into());
    assert_eq!(body, RequestBody::Login { name: "yoda".into(), password, udp_port: 6000 });
    let welcome = Event::Welcome { user: name("yoda"), server_key: server_key(), udp_port: 6000, failed_logins: 3 };
    assert_eq!(world.events(), [welcome]);
    assert_eq!(world.answer(sent(1)), RequestBody::Broadcast { text: "hello".into() });
    assert_eq!(world.events(), [confirmed(1)]);
}

#[test]
fn without_a_login_commands_are_refused_and_another_login_may_follow() {
    let mut world = World::new(AcceptPolicy::Ask);
    world.input(connected());
    for command in [broadcast("hello"), Command::Rooms, Command::Transfers, Command::Logout] {
        world.command(command);
        assert_eq!(world.events(), [NOT_LOGGED_IN]);
    }
    world.command(login());
    world.command(broadcast("hello"));
    world.command(login());
    let refusal = LoginRefusal::InvalidCredentials;
    world.answer(ReplyBody::LoginFailed(refusal));
    assert_eq!(world.events(), [Event::LoginFailed(refusal), NOT_LOGGED_IN]);
    world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
    world.events();
    world.command(login());
    assert_eq!(world.events(), [Event::LoginFailed(LoginRefusal::AlreadyActive)]);
    assert_eq!(world.requests(), []);
}

#[test]
fn names_and_passwords_beyond_the_limits_are_wrong_without_asking() {
    for (name, password) in [(MAX_NAME_BYTES + 1, 1), (1, MAX_PASSWORD_BYTES + 1)] {
        let mut world = World::new(AcceptPolicy::Ask);
        world.input(connected());
        world.command(Command::Login { name: "x".repeat(name), password: Password("x".repeat(password)) });
        assert_eq!(world.events(), [Event::LoginFailed(LoginRefusal::InvalidCredentials)]);
        assert_eq!(world.requests(), []);
    }
}

#[test]
fn the_longest_name_and_password_are_asked_of_the_server() {
    let mut world = World::new(AcceptPolicy::Ask);
    world.input(connected());
    let (name, password) = ("x".repeat(MAX_NAME_BYTES), Password("y".repeat(MAX_PASSWORD_BYTES)));
    world.command(Command::Login { name: name.clone(), password: password.clone() });
    let asked = world.requests().remove(0).body;
    assert_eq!(asked, RequestBody::Login { name, password, udp_port: 6000 });
}

#[test]
fn a_reply_about_another_room_breaks_the_protocol() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::Leave { room: RoomId(1) });
    let asked = world.requests().remove(0);
    world.reply(asked.id, ReplyBody::Left { room: RoomId(2) });
    assert!(world.orders.contains(&Output::Disconnect), "{:?}", world.orders);
}

#[test]
fn posts_are_pipelined_up_to_the_limit_and_the_queue_behind_is_bounded() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for _ in 0..MAX_COMMANDS_IN_FLIGHT + MAX_WAITING_COMMANDS {
        world.command(broadcast("x"));
    }
    assert_eq!(world.events(), []);
    let mut open = world.requests();
    assert_eq!(open.len(), MAX_COMMANDS_IN_FLIGHT);
    const { assert!(MAX_COMMANDS_IN_FLIGHT + 16 == MAX_REQUESTS_IN_FLIGHT) };
    world.command(broadcast("one too many"));
    assert_eq!(world.events(), [Event::Error(Failure::Busy)]);
    for number in 1..=(MAX_COMMANDS_IN_FLIGHT + MAX_WAITING_COMMANDS) as u64 {
        world.reply(open.remove(0).id, sent(number));
        open.extend(world.requests());
        assert_eq!(world.events(), [confirmed(number)]);
    }
    assert_eq!(open, []);
}

#[test]
fn answers_to_posts_keep_the_order_of_the_commands() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(broadcast("a"));
    world.command(Command::RoomMessage { room: RoomId(9), text: "b".into() });
    world.command(broadcast(""));
    world.command(broadcast("d"));
    let [a, b, d] = world.requests().try_into().unwrap();
    world.reply(b.id, ReplyBody::Refused(Refusal::NoSuchRoom));
    assert_eq!(world.events(), []);
    world.reply(a.id, sent(1));
    assert_eq!(world.events(), [confirmed(1), Event::Error(Failure::NoSuchRoom), Event::Error(Failure::BadText),]);
    world.reply(d.id, sent(2));
    assert_eq!(world.events(), [confirmed(2)]);
}

#[test]
fn a_script_sees_the_effects_of_its_own_commands() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::BuildRoom { users: vec!["luke".into()] });
    world.command(Command::RoomMessage { room: RoomId(1), text: "hi".into() });
    world.command(Command::Rooms);
    world.answer(ReplyBody::RoomCreated(room(1)));
    world.answer(sent(1));
    world.answer(ReplyBody::Rooms(vec![room(1)]));
    assert_eq!(
        world.events(),
        [
            Event::RoomCreated(room(1)),
            Event::Sent { kind: PostKind::Room(RoomId(1)), number: MessageNumber(1), at: AT },
            Event::Rooms(vec![room(1)]),
        ]
    );
}

#[test]
fn transfers_are_managed_while_a_history_is_read() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::History { kind: wire::HistoryKind::Rooms, since: AT });
    world.command(Command::Transfers);
    assert_eq!(world.events(), [Event::Transfers(vec![])]);
}

#[test]
fn what_follows_a_file_waits_until_it_is_offered() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.command(Command::Transfers);
    world.command(broadcast("hi"));
    assert_eq!((world.events(), world.requests()), (vec![], vec![]));
    world.input(Input::SourceOpened { source: SourceId(1), label: FileLabel::new("a"), bytes: 5, listing: None });
    world.answer(devices("luke", other_device()));
    world.answer(ReplyBody::Offered { offer: OfferId(1) });
    let [Event::Transfer(starting), Event::Transfers(list)] = &world.events()[..] else { panic!() };
    let state = TransferState::Waiting(Waiting::Acceptance);
    assert_eq!(list[..], [Transfer { state, ..starting.clone() }]);
    assert_eq!(world.bodies(), [RequestBody::Broadcast { text: "hi".into() }]);

    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.command(broadcast("hi"));
    assert_eq!(world.requests(), []);
    world.input(Input::SourceFailed { source: SourceId(1), missing: Some("a".into()), reason: "gone".into() });
    assert_eq!(world.bodies(), [RequestBody::Broadcast { text: "hi".into() }]);
}

#[test]
fn answers_that_wait_for_one_before_them_are_bounded() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(broadcast("never answered"));
    for _ in 1..MAX_COMMANDS_IN_FLIGHT + MAX_WAITING_COMMANDS {
        world.command(broadcast(""));
    }
    assert_eq!(world.events(), []);
    world.command(broadcast(""));
    assert_eq!(world.events(), [Event::Error(Failure::Busy)]);
}
