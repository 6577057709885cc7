//! `MSG`.

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, PostKind};
use toom_core::id::MessageNumber;

use super::steps::{log_in, start};
use super::world::{ClientId, World};

/// A message comes at once to whom it is for, and to nobody else; each pair has its own numbers.
pub fn a_message_comes_live_and_to_one_only(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    assert_eq!(message(world, yoda, "luke", "do or  do not"), MessageNumber(1));
    assert_eq!(message(world, luke, "yoda", "I will try"), MessageNumber(2));
    assert_eq!(message(world, leia, "luke", "help"), MessageNumber(1));
    assert_eq!(receives(world, luke), (MessageNumber(1), "yoda".into(), "do or  do not".into()));
    assert_eq!(receives(world, yoda), (MessageNumber(2), "luke".into(), "I will try".into()));
    assert_eq!(receives(world, luke), (MessageNumber(1), "leia".into(), "help".into()));
    world.broadcast(luke, "that was all");
    for client in [yoda, leia] {
        world.hears(client, "that was all");
        world.absent(client, "somebody else's message", |event| matches!(event, Event::DirectMessage { .. }));
    }
}

/// To someone offline a message is confirmed at once and delivered at the next login: in order, and once.
pub fn a_message_waits_for_who_is_offline(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    for (text, number) in ["one", "two", "three"].into_iter().zip(1..) {
        assert_eq!(message(world, yoda, "luke", text), MessageNumber(number));
    }
    let luke = log_in(world, "luke");
    for (text, number) in ["one", "two", "three"].into_iter().zip(1..) {
        assert_eq!(receives(world, luke), (MessageNumber(number), "yoda".into(), text.into()));
    }
    world.log_out(luke);
    let luke = log_in(world, "luke");
    assert_eq!(message(world, yoda, "luke", "four"), MessageNumber(4));
    assert_eq!(receives(world, luke), (MessageNumber(4), "yoda".into(), "four".into()));
    world.absent(luke, "a message again", |event| matches!(event, Event::DirectMessage { .. }));
}

/// What was delivered live is not delivered again at the next login.
pub fn a_message_that_was_shown_does_not_come_again(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    message(world, yoda, "luke", "live");
    receives(world, luke);
    world.log_out(luke);
    let luke = log_in(world, "luke");
    message(world, yoda, "luke", "later");
    assert_eq!(receives(world, luke), (MessageNumber(2), "yoda".into(), "later".into()));
    world.absent(luke, "a message again", |event| matches!(event, Event::DirectMessage { .. }));
}

/// Nobody writes to someone who does not exist, or to themselves.
pub fn a_message_needs_somebody_else(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    let write = |to: &str| Command::DirectMessage { to: to.into(), text: "hello".into() };
    assert_eq!(world.fails(yoda, write("nobody")), Failure::NoSuchUser(vec!["nobody".into()]));
    assert_eq!(world.fails(yoda, write("no body")), Failure::NoSuchUser(vec!["no body".into()]));
    assert_eq!(world.fails(yoda, write("yoda")), Failure::Oneself);
}

/// Writes, and waits for the confirmation.
pub fn message(world: &mut dyn World, client: ClientId, to: &str, text: &str) -> MessageNumber {
    world.command(client, Command::DirectMessage { to: to.into(), text: text.into() });
    let (kind, number, _) = world.sent(client);
    assert_eq!(kind, PostKind::Direct(to.into()));
    number
}

/// Waits for the next direct message: number, author and text.
pub fn receives(world: &mut dyn World, client: ClientId) -> (MessageNumber, String, String) {
    world.pick(client, "a direct message", |event| match event {
        Event::DirectMessage { number, from, text, .. } => Some((*number, from.to_string(), text.clone())),
        _ => None,
    })
}
