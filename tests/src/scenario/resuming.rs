//! Sessions outlive their connections: clients come back by themselves, and nothing is lost or comes twice.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, PostKind, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::{MessageNumber, RoomId};
use toom_core::secure::ResumeSecret;
use toom_core::server::fact::Fact;
use toom_core::time::Timestamp;
use toom_core::wire::message::{
    Event as Told, HistoryKind, LoginRefusal, Positions, Reply, ReplyBody, RequestBody, ServerMessage,
};

use super::direct::message;
use super::history::history;
use super::presence::active_users;
use super::steps::{hash_of, log_in, log_in_with, login_request, password_of, request, start_resumable, user};
use super::world::{ClientId, RawId, World};

/// Longer than any scenario.
const LONG: Duration = Duration::from_secs(600);

/// Broadcasts, messages in a room and direct messages, and a room that was built meanwhile: all comes, once, in order,
/// before anything newer; and nobody else is told that somebody was away.
pub fn what_was_missed_comes_once_and_in_order(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], LONG);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    world.say(luke, room, "before");
    world.broadcast(luke, "before");
    world.cut_off(luke);
    is_away(world, luke);
    for text in ["1", "2", "3"] {
        world.broadcast(yoda, text);
        world.say(yoda, room, text);
        message(world, yoda, "luke", text);
    }
    world.let_back(luke);
    assert_eq!(is_back(world, luke), 9);
    world.broadcast(yoda, "after");
    world.say(yoda, room, "after");
    message(world, yoda, "luke", "after");
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    while all.iter().any(|texts| texts.last().is_none_or(|(_, text)| text != "after")) {
        let (kind, number, text) = heard(world, luke);
        all[kind].push((number, text));
    }
    let texts = |from: u64| -> Vec<(u64, String)> {
        let all = ["1", "2", "3", "after"].map(str::to_owned);
        (from..).zip(all).collect()
    };
    assert_eq!(all, [texts(2), texts(2), texts(1)]);
    let twice = |event: &Event| kind_of(event).is_some();
    world.absent(luke, "something twice", twice);
    world.absent(yoda, "that luke left", |event| matches!(event, Event::Left { .. }));
}

/// The server is stopped and started while a post is under way: everyone comes back, the post is there once and
/// confirmed once, and all goes on.
pub fn everyone_comes_back_to_a_server_that_was_restarted(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], LONG);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    for client in [yoda, luke] {
        world.broadcast(client, "before");
    }
    for post in 0..3 {
        world.command(yoda, Command::Broadcast { text: format!("under way {post}") });
        world.restart_server();
        for client in [yoda, luke] {
            is_away(world, client);
            is_back(world, client);
        }
        let (kind, number, _) = world.sent(yoda);
        assert_eq!((kind, number), (PostKind::Broadcast, MessageNumber(3 + post)));
        assert_eq!(world.hears(luke, &format!("under way {post}")).0, number);
    }
    world.say(luke, room, "after");
    assert_eq!(world.broadcast(luke, "after").0, MessageNumber(6));
    assert_eq!(world.hears(yoda, "after").0, MessageNumber(6));
    let read = history(world, yoda, HistoryKind::Broadcast, Timestamp::from_millis(0));
    assert_eq!(read.iter().filter(|message| message.text.starts_with("under way")).count(), 3, "{read:?}");
    world.absent(yoda, "a confirmation again", |event| matches!(event, Event::Sent { .. }));
    world.absent(
        luke,
        "a post again",
        |event| matches!(event, Event::Broadcast { text, .. } if text.starts_with("under way")),
    );
}

/// What is asked while the connection is gone waits for it, and is answered once and in order.
pub fn what_is_asked_meanwhile_is_answered_afterwards(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], LONG);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    world.broadcast(luke, "before");
    world.cut_off(luke);
    is_away(world, luke);
    for text in ["1", "2"] {
        world.command(luke, Command::Broadcast { text: text.into() });
    }
    world.command(luke, Command::ActiveUsers);
    world.broadcast(yoda, "meanwhile");
    world.let_back(luke);
    assert_eq!(is_back(world, luke), 1);
    assert_eq!([0; 2].map(|_| world.sent(luke).1), [3, 4].map(MessageNumber));
    let active = world.pick(luke, "who is active", |event| match event {
        Event::ActiveUsers(users) => Some(users.len()),
        _ => None,
    });
    assert_eq!(active, 1);
    assert_eq!([world.hears(yoda, "1").0, world.hears(yoda, "2").0], [3, 4].map(MessageNumber));
}

/// Somebody whose connection is dead logs in again on the same device: they are let in at once, and the client from
/// before is told that its session is over.
pub fn the_same_device_takes_over_and_the_client_before_is_told(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], LONG);
    let yoda = log_in(world, "yoda");
    let before = world.connect_on("laptop", AcceptPolicy::Ask);
    world.try_login(before, "luke", &password_of("luke")).expect("the right password");
    world.broadcast(before, "before");
    let other = world.connect_on("telephone", AcceptPolicy::Ask);
    let active = world.try_login(other, "luke", &password_of("luke"));
    assert_eq!(active, Err(LoginRefusal::AlreadyActive), "another device");
    world.cut_off(before);
    is_away(world, before);
    let active = world.try_login(other, "luke", &password_of("luke"));
    assert_eq!(active, Err(LoginRefusal::AlreadyActive), "another device, and the session waits");
    let luke = world.connect_on("laptop", AcceptPolicy::Ask);
    world.try_login(luke, "luke", &password_of("luke")).expect("the same device");
    world.wait(yoda, "luke's going", |event| *event == Event::Left { user: user("luke") });
    world.wait(yoda, "luke's coming", |event| *event == Event::Joined { user: user("luke") });
    world.command(before, Command::Broadcast { text: "lost".into() });
    world.let_back(before);
    let reason = world.pick(before, "the end", |event| match event {
        Event::ConnectionLost { reason, was_logged_in: true, .. } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("session is over"), "{reason}");
    world.absent(before, "a confirmation", |event| matches!(event, Event::Sent { .. }));
    assert_eq!(world.broadcast(luke, "after").0, MessageNumber(2));
    assert_eq!(world.hears(yoda, "after").0, MessageNumber(2));
}

/// What ends the session on a connection; the password that is right afterwards.
type Ending = fn(&mut dyn World, RawId) -> String;

/// The secret of a session is good on its device only, and for nothing after a logout, a new password, a later login or
/// the end of the account.
pub fn the_secret_ends_with_the_session(world: &mut dyn World) {
    start_resumable(world, &["luke"], LONG);
    let over = ReplyBody::LoginFailed(LoginRefusal::SessionOver);
    let password = password_of("luke");
    let endings: [(&str, Ending); 3] = [
        ("OUT", |world, raw| {
            assert_eq!(world.ask_more_raw(raw, &request(3, RequestBody::Logout), 1), [ReplyBody::Bye]);
            password_of("luke")
        }),
        ("a new password", |world, raw| {
            world.append(Fact::PasswordChanged { name: user("luke"), hash: hash_of("another") });
            world.close_raw(raw);
            "another".to_owned()
        }),
        ("a later login", |world, raw| {
            world.close_raw(raw);
            let later = granted(world, "laptop", "another").1;
            world.close_raw(later);
            "another".to_owned()
        }),
    ];
    let mut password = password;
    for (ending, end) in endings {
        let (secret, first) = granted(world, "laptop", &password);
        assert_eq!(resume(world, "telephone", secret.clone()).1, over, "another device");
        assert_eq!(resume(world, "laptop", ResumeSecret([7; 32])).1, over, "another secret");
        let (second, resumed) = resume(world, "laptop", secret.clone());
        assert_eq!(resumed, ReplyBody::Resumed { missed: 0 });
        // The session goes on there.
        world.closed_raw(first);
        password = end(world, second);
        world.until(&format!("the secret is worth nothing after {ending}"), |world| {
            // The server may not know of it yet.
            let (raw, answer) = resume(world, "laptop", secret.clone());
            world.close_raw(raw);
            answer == over
        });
    }
    let (secret, _) = granted(world, "laptop", &password);
    world.append(Fact::AccountRemoved { name: user("luke") });
    world.until("the account is gone", |world| {
        let (raw, answer) = resume(world, "laptop", secret.clone());
        world.close_raw(raw);
        answer == over
    });
}

/// A file goes on moving between two people while neither reaches the server.
pub fn a_transfer_goes_on_without_the_server(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], LONG);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in_with(world, name, AcceptPolicy::All));
    for client in [yoda, luke] {
        world.broadcast(client, "before");
    }
    let file = world.put_file("large.bin", world.large(), 7);
    world.command(yoda, Command::SendFiles { to: "luke".into(), paths: vec![file.path.clone()] });
    is_at(world, luke, "bytes that move", |state| matches!(state, TransferState::Moving));
    for client in [yoda, luke] {
        world.cut_off(client);
        is_away(world, client);
    }
    for client in [yoda, luke] {
        let blake3 = file.content.blake3;
        is_at(
            world,
            client,
            "the end of the file",
            |state| matches!(state, TransferState::Done { blake3: arrived, .. } if *arrived == blake3),
        );
        world.absent(client, "that the server is back", |event| matches!(event, Event::Resumed { .. }));
    }
    for client in [yoda, luke] {
        world.let_back(client);
        assert_eq!(is_back(world, client), 0);
    }
    assert_eq!(world.downloads(luke), [("yoda_large.bin".to_owned(), file.content)].into());
}

/// Who stays away for too long has left, and comes back to the same session nevertheless.
pub fn who_stays_away_has_left_and_comes_back(world: &mut dyn World) {
    start_resumable(world, &["yoda", "luke"], Duration::from_secs(1));
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    world.broadcast(luke, "before");
    world.cut_off(luke);
    is_away(world, luke);
    world.wait(yoda, "luke's going", |event| *event == Event::Left { user: user("luke") });
    assert_eq!(active_users(world, yoda), []);
    world.broadcast(yoda, "meanwhile");
    world.let_back(luke);
    assert_eq!(is_back(world, luke), 1);
    world.wait(yoda, "luke's coming", |event| *event == Event::Joined { user: user("luke") });
    world.hears(luke, "meanwhile");
    assert_eq!(world.broadcast(luke, "after").0, MessageNumber(3));
    world.hears(yoda, "after");
}

/// Waits until a client says that its connection is lost.
fn is_away(world: &mut dyn World, client: ClientId) {
    world.wait(client, "the loss of the connection", |event| matches!(event, Event::Reconnecting { .. }));
}

/// Waits until a client says that its session goes on; how many messages it missed.
fn is_back(world: &mut dyn World, client: ClientId) -> u64 {
    world.pick(client, "the return to the session", |event| match event {
        Event::Resumed { missed } => Some(*missed),
        _ => None,
    })
}

/// Waits until a transfer is at a stage.
fn is_at(world: &mut dyn World, client: ClientId, what: &str, is_it: impl Fn(&TransferState) -> bool) {
    world.wait(client, what, |event| matches!(event, Event::Transfer(transfer) if is_it(&transfer.state)));
}

/// The next message of somebody else, of whatever kind.
fn heard(world: &mut dyn World, client: ClientId) -> (usize, u64, String) {
    world.pick(client, "a message", kind_of)
}

/// A message of somebody else: which kind, its number and its text.
fn kind_of(event: &Event) -> Option<(usize, u64, String)> {
    match event {
        Event::Broadcast { number, text, .. } => Some((0, number.0, text.clone())),
        Event::RoomMessage { number, text, room: RoomId(1), .. } => Some((1, number.0, text.clone())),
        Event::DirectMessage { number, text, .. } => Some((2, number.0, text.clone())),
        _ => None,
    }
}

/// Logs in as `luke` without a client on this device, and waits for the secret of the session. The server may not have
/// noticed yet that the connection before is gone.
fn granted(world: &mut dyn World, device: &str, password: &str) -> (ResumeSecret, RawId) {
    let mut raw = log_in_raw(world, device, password);
    world.until("luke is let in", |world| {
        let welcome =
            matches!(world.message_raw(raw), Some(ServerMessage::Reply(Reply { body: ReplyBody::Welcome { .. }, .. })));
        if !welcome {
            world.close_raw(raw);
            raw = log_in_raw(world, device, password);
        }
        welcome
    });
    loop {
        match world.message_raw(raw) {
            Some(ServerMessage::Event(Told::Granted { secret, .. })) => return (secret, raw),
            Some(_) => {}
            None => panic!("the server closed a connection that waited for its secret"),
        }
    }
}

fn log_in_raw(world: &mut dyn World, device: &str, password: &str) -> RawId {
    let raw = world.connect_raw(None);
    world.greet_raw_on(raw, device);
    world.write_raw(raw, &login_request(1, "luke", password));
    raw
}

/// Comes with a secret on a new connection from this device; the connection and the answer.
fn resume(world: &mut dyn World, device: &str, secret: ResumeSecret) -> (RawId, ReplyBody) {
    let raw = world.connect_raw(None);
    world.greet_raw_on(raw, device);
    let positions = Positions::default();
    let body = RequestBody::Resume { user: user("luke"), secret, udp_port: 9, positions };
    let mut replies = world.ask_more_raw(raw, &request(2, body), 1);
    (raw, replies.remove(0))
}
