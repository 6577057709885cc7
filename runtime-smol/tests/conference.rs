//! People in conversation, over real sockets and a real database.

mod world;

use std::collections::BTreeSet;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, PostKind};
use toom_core::config::ServerConfig;
use toom_core::id::RoomId;
use toom_core::server::activity::Activity;
use toom_core::time::Timestamp;
use toom_core::wire::message::{HistoryKind, LoginRefusal};
use world::{PASSWORD, World, user};

#[test]
fn a_broadcast_reaches_the_others_and_is_confirmed_to_its_author() {
    let world = World::new(&["yoda", "luke", "leia"]);
    let (yoda, luke, leia) = (world.person("yoda"), world.person("luke"), world.person("leia"));
    yoda.broadcast("do or do not, there is no try");
    let confirmed = yoda.wait_for("a confirmation", |event| match event {
        Event::Sent { kind: PostKind::Broadcast, number, .. } => Some(number.0),
        _ => None,
    });
    assert_eq!(confirmed, 1);
    for other in [&luke, &leia] {
        assert_eq!(other.next_broadcast(), (1, "do or do not, there is no try".to_owned()));
    }
}

#[test]
fn a_room_is_for_its_members() {
    let world = World::new(&["yoda", "luke", "leia"]);
    let (yoda, luke, leia) = (world.person("yoda"), world.person("luke"), world.person("leia"));
    yoda.client.command(Command::BuildRoom { users: vec!["luke".into()] });
    for member in [&yoda, &luke] {
        let room = member.wait_for("a room", |event| match event {
            Event::RoomCreated(room) => Some(room),
            _ => None,
        });
        assert_eq!((room.room, room.members), (RoomId(1), vec![user("luke"), user("yoda")]));
    }
    luke.client.command(Command::RoomMessage { room: RoomId(1), text: "I am ready".into() });
    yoda.wait_for("a room message", |event| match event {
        Event::RoomMessage { room: RoomId(1), text, .. } if text == "I am ready" => Some(()),
        _ => None,
    });
    leia.client.command(Command::RoomMessage { room: RoomId(1), text: "let me in".into() });
    let failure = leia.wait_for("a refusal", |event| match event {
        Event::Error(failure) => Some(failure),
        _ => None,
    });
    assert_eq!(failure, Failure::NotAMember);
}

#[test]
fn a_direct_message_waits_for_its_receiver_and_history_survives_a_restart() {
    let mut world = World::new(&["yoda", "luke"]);
    let yoda = world.person("yoda");
    yoda.client.command(Command::DirectMessage { to: "luke".into(), text: "come to Dagobah".into() });
    yoda.broadcast("hello");
    yoda.wait_for("the broadcast's confirmation", |event| {
        matches!(event, Event::Sent { kind: PostKind::Broadcast, .. }).then_some(())
    });
    world.restart();
    yoda.wait_for("the end of the connection", |event| matches!(event, Event::ConnectionLost { .. }).then_some(()));

    let luke = world.person("luke");
    let text = luke.wait_for("the direct message", |event| match event {
        Event::DirectMessage { text, .. } => Some(text),
        _ => None,
    });
    assert_eq!(text, "come to Dagobah");
    luke.client.command(Command::History { kind: HistoryKind::Broadcast, since: Timestamp::from_millis(0) });
    let messages = luke.wait_for("history", |event| match event {
        Event::History { messages, .. } => Some(messages),
        _ => None,
    });
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].number.0, messages[0].text.as_str()), (1, "hello"));
}

#[test]
fn wrong_passwords_block_and_the_right_one_does_not_help() {
    let world = World::new(&["yoda"]);
    let guesser = world.connect();
    let refusal = |password| {
        guesser.log_in("yoda", password);
        guesser.wait_for("a refusal", |event| match event {
            Event::LoginFailed(refusal) => Some(refusal),
            _ => None,
        })
    };
    assert_eq!(refusal("wrong"), LoginRefusal::InvalidCredentials);
    assert_eq!(refusal("wrong"), LoginRefusal::InvalidCredentials);
    assert!(matches!(refusal("wrong"), LoginRefusal::Blocked { .. }));
    let yoda = world.connect();
    yoda.log_in("yoda", PASSWORD);
    yoda.wait_for("a block", |event| matches!(event, Event::LoginFailed(LoginRefusal::Blocked { .. })).then_some(()));
}

#[test]
fn logging_out_ends_the_client_and_frees_the_name() {
    let world = World::new(&["yoda"]);
    let yoda = world.person("yoda");
    yoda.client.command(Command::Logout);
    yoda.wait_for("a goodbye", |event| matches!(event, Event::Bye { .. }).then_some(()));
    yoda.client.join();
    world.person("yoda");
}

#[test]
fn fifty_clients_see_every_broadcast_of_the_others_once_and_in_one_order() {
    const EACH: usize = 5;
    let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new(&names);
    let people: Vec<_> = names.iter().map(|name| world.person(name)).collect();
    for n in 0..EACH {
        for (person, name) in people.iter().zip(&names) {
            person.broadcast(&format!("{name} says {n}"));
        }
    }
    let total = EACH * names.len();
    let mut everything = BTreeSet::new();
    for (person, name) in people.iter().zip(&names) {
        let seen: Vec<_> = (0..total - EACH).map(|_| person.next_broadcast()).collect();
        assert!(seen.is_sorted_by(|a, b| a.0 < b.0), "{name} saw {seen:?}");
        assert!(seen.iter().all(|(_, text)| !text.starts_with(&format!("{name} "))), "{name} saw its own");
        everything.extend(seen);
    }
    // The same number is the same message for everyone, and none is missing.
    let numbers: Vec<u64> = everything.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=total as u64).collect::<Vec<_>>());
}

#[test]
fn a_server_that_cannot_start_says_why_and_leaves_the_data_to_the_next() {
    let mut world = World::new(&["yoda"]);
    let second = toom_smol::server::start(world.config(), |_| {}).unwrap_err();
    assert!(second.to_string().contains("data"), "{second}");

    let address = world.server().address();
    world.server.take().unwrap().stop();
    let taken = std::net::TcpListener::bind(address).unwrap();
    let config = ServerConfig { listen: address, ..world.config() };
    let error = toom_smol::server::start(config.clone(), |_| {}).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(taken);
    let server = toom_smol::server::start(config, |_| {}).unwrap();
    assert_eq!(server.address(), address);
}

#[test]
fn what_happens_is_told_in_order_also_that_everyone_leaves_at_a_stop() {
    let mut world = World::new(&["yoda", "luke"]);
    world.server.take().unwrap().stop();
    let (sender, activities) = std::sync::mpsc::channel();
    world.server = Some(toom_smol::server::start(world.config(), move |activity| drop(sender.send(activity))).unwrap());
    let (yoda, luke) = (world.person("yoda"), world.person("luke"));
    yoda.broadcast("hello");
    luke.next_broadcast();
    world.server.take().unwrap().stop();
    let told: Vec<String> = activities
        .iter()
        .map(|activity| match activity {
            Activity::LoggedIn(presence) => format!("{} in", presence.name),
            Activity::LoggedOut { user, asked: false, .. } => format!("{user} lost"),
            Activity::Broadcast { user, text, .. } => format!("{user}: {text}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told[..3], ["yoda in", "luke in", "yoda: hello"]);
    assert_eq!(BTreeSet::from_iter(told[3..].iter().map(String::as_str)), BTreeSet::from(["luke lost", "yoda lost"]));
}
