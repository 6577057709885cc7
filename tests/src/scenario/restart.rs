//! The server stops and starts again on the same data.

use toom_core::client::event::Event;
use toom_core::id::{MessageNumber, RoomId};
use toom_core::time::Timestamp;
use toom_core::wire::message::HistoryKind;

use super::direct::{message, receives};
use super::history::history;
use super::rooms::rooms_of;
use super::steps::{log_in, start};
use super::world::World;

/// Accounts, messages, their numbers, rooms, and what waits for someone: all is there again.
pub fn a_restart_keeps_everything(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    world.broadcast(yoda, "before the night");
    let room = world.build_room(yoda, &["luke"]);
    world.say(luke, room.room, "in the room");
    world.log_out(luke);
    message(world, yoda, "luke", "for the morning");
    let ever = Timestamp::from_millis(0);
    let before = [HistoryKind::Broadcast, HistoryKind::Rooms].map(|kind| history(world, yoda, kind, ever));
    world.restart_server();
    world.wait(yoda, "the loss of the connection", |event| {
        matches!(event, Event::ConnectionLost { was_logged_in: true, .. })
    });

    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    assert_eq!(receives(world, luke), (MessageNumber(1), "yoda".into(), "for the morning".into()));
    assert_eq!(rooms_of(world, luke), std::slice::from_ref(&room));
    let after = [HistoryKind::Broadcast, HistoryKind::Rooms].map(|kind| history(world, yoda, kind, ever));
    assert_eq!(after, before);
    assert_eq!(world.broadcast(yoda, "a new day").0, MessageNumber(2));
    assert_eq!(world.say(yoda, room.room, "a new day").0, MessageNumber(2));
    assert_eq!(message(world, yoda, "luke", "a new day"), MessageNumber(2));
}

/// The text logs go on where they were; the list of active users begins anew.
pub fn a_restart_continues_the_text_logs(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let _luke = log_in(world, "luke");
    world.broadcast(yoda, "before");
    let room = world.build_room(yoda, &["luke"]).room;
    world.say(yoda, room, "before");
    world.restart_server();
    let luke = log_in(world, "luke");
    world.broadcast(luke, "after");
    world.say(luke, room, "after");
    let numbers_and_texts = |log: String| -> Vec<(String, String)> {
        let ends = |row: &str| {
            let (number, rest) = row.split_once("; ").unwrap_or_default();
            (number.to_owned(), rest.rsplit("; ").next().unwrap_or_default().to_owned())
        };
        log.lines().map(ends).collect()
    };
    let expected = vec![("1".to_owned(), "before".to_owned()), ("2".to_owned(), "after".to_owned())];
    for log in [None, Some(room)] {
        world.until("the log has both messages", |world| {
            numbers_and_texts(world.message_log(log).unwrap_or_default()) == expected
        });
    }
    assert_eq!(room, RoomId(1));
    world.until("only luke is in the user log", |world| {
        let log = world.user_log();
        log.lines().count() == 1 && log.starts_with("1; ") && log.contains("; luke; ")
    });
}
