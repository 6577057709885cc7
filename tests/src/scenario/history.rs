//! `RDM b` and `RDM s`.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::id::{MessageNumber, RoomId};
use toom_core::time::Timestamp;
use toom_core::wire::message::{HistoryKind, PastMessage};

use super::rooms::invite;
use super::steps::{log_in, start, user};
use super::world::{ClientId, World};

/// Since ever.
const EVER: Timestamp = Timestamp::from_millis(0);

/// Broadcasts of strictly later seconds than the one asked for, one's own included, oldest first.
pub fn broadcasts_since_a_time_are_strictly_later(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    let (_, first) = world.broadcast(yoda, "first; with spaces");
    let (_, second) = in_a_later_second(world, luke, first, "second");
    let (_, third) = in_a_later_second(world, yoda, second, "third");
    let message = |number, at, from, text: &str| PastMessage {
        room: None,
        number: MessageNumber(number),
        at,
        from: user(from),
        text: text.into(),
    };
    let all = [
        message(1, first, "yoda", "first; with spaces"),
        message(2, second, "luke", "second"),
        message(3, third, "yoda", "third"),
    ];
    for client in [yoda, luke] {
        let since = |world: &mut dyn World, at| history(world, client, HistoryKind::Broadcast, at);
        assert_eq!(since(world, EVER), all);
        assert_eq!(since(world, first), all[1..]);
        // The whole second counts, not the moment within it.
        assert_eq!(since(world, whole_second(first)), all[1..]);
        assert_eq!(since(world, second), all[2..]);
        assert_eq!(since(world, third), []);
        assert_eq!(since(world, third.saturating_add(Duration::from_secs(86_400))), []);
    }
}

/// Where nothing was ever said, there is nothing new.
pub fn there_may_be_nothing_new(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    for kind in [HistoryKind::Broadcast, HistoryKind::Rooms] {
        assert_eq!(history(world, yoda, kind, EVER), []);
    }
}

/// Of a room one reads what was sent while one was a member, one's own included, whoever one is now.
pub fn rooms_are_read_for_the_time_of_membership(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia", "han"]);
    let [yoda, luke, leia, han] = ["yoda", "luke", "leia", "han"].map(|name| log_in(world, name));
    let room = world.build_room(yoda, &["luke"]).room;
    let other = world.build_room(luke, &["han"]).room;
    world.say(yoda, room, "one");
    world.say(luke, other, "elsewhere");
    world.command(yoda, invite(room, "leia"));
    world.wait(leia, "the invitation", |event| matches!(event, Event::RoomCreated(_)));
    world.say(leia, room, "two");
    world.command(luke, Command::Leave { room });
    world.wait(luke, "the leave", |event| *event == Event::LeftRoom { room });
    world.say(yoda, room, "three");
    world.broadcast(yoda, "no room's business");
    let read = |world: &mut dyn World, client| -> Vec<(RoomId, String)> {
        let messages = history(world, client, HistoryKind::Rooms, EVER);
        messages.into_iter().map(|message| (message.room.expect("a room"), message.text)).collect()
    };
    let texts = |room: RoomId, texts: &[&str]| -> Vec<(RoomId, String)> {
        texts.iter().map(|text| (room, (*text).to_owned())).collect()
    };
    assert_eq!(read(world, yoda), texts(room, &["one", "two", "three"]));
    assert_eq!(read(world, leia), texts(room, &["two", "three"]));
    assert_eq!(read(world, han), texts(other, &["elsewhere"]));
    assert_eq!(read(world, luke), [texts(room, &["one", "two"]), texts(other, &["elsewhere"])].concat());
}

/// A time cuts each room's messages, and rooms come one after the other.
pub fn rooms_since_a_time_are_strictly_later(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, _leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let first = world.build_room(yoda, &["luke"]).room;
    let second = world.build_room(yoda, &["luke", "leia"]).room;
    world.say(yoda, first, "old");
    let (_, at) = world.say(yoda, second, "old");
    until_later_second(world, at);
    world.say(luke, second, "new");
    world.say(yoda, first, "new");
    let messages = history(world, yoda, HistoryKind::Rooms, at);
    let found: Vec<_> = messages.iter().map(|m| (m.room, m.number, m.from.as_str(), m.text.as_str())).collect();
    let number = MessageNumber(2);
    assert_eq!(found, [(Some(first), number, "yoda", "new"), (Some(second), number, "luke", "new")]);
}

/// One answer has everything, however many pages it took.
pub fn long_history_comes_in_one_answer(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    let texts: Vec<String> = (0..40).map(|n| format!("{n} {}", "x".repeat(12_000))).collect();
    for text in &texts {
        world.broadcast(yoda, text);
    }
    let found: Vec<String> =
        history(world, yoda, HistoryKind::Broadcast, EVER).into_iter().map(|message| message.text).collect();
    assert_eq!(found, texts);
}

/// `RDM`, answered.
pub fn history(world: &mut dyn World, client: ClientId, kind: HistoryKind, since: Timestamp) -> Vec<PastMessage> {
    world.command(client, Command::History { kind, since });
    world.pick(client, "the history", |event| match event {
        Event::History { kind: answered, messages } if *answered == kind => Some(messages.clone()),
        _ => None,
    })
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000)
}

/// Lets time pass until a message would be of a later second than `at`.
fn until_later_second(world: &mut dyn World, at: Timestamp) {
    let rest = at.next_second().saturating_since(at);
    world.pause(rest + Duration::from_millis(5));
}

fn in_a_later_second(
    world: &mut dyn World,
    client: ClientId,
    than: Timestamp,
    text: &str,
) -> (MessageNumber, Timestamp) {
    until_later_second(world, than);
    let (number, at) = world.broadcast(client, text);
    assert!(whole_second(at) > whole_second(than), "{at:?} is not of a later second than {than:?}");
    (number, at)
}
