//! People who talk through a server over real sockets.

mod common;

use common::{PATIENCE, Person, World, user};
use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, PostKind};
use toom_core::id::{MessageNumber, RoomId};
use toom_core::secure::Password;
use toom_core::server::activity::Activity;
use toom_core::time::Timestamp;
use toom_core::wire::message::{HistoryKind, LoginRefusal, RoomInfo};
use toom_std::client::ClientError;

/// Before every message.
const EVER: Timestamp = Timestamp::from_millis(0);

#[test]
fn a_wrong_password_is_refused_and_the_right_one_welcomed_on_the_same_connection() {
    let world = World::new(&["yoda"]);
    let mut yoda = Person::connect(&world);
    yoda.give(Command::Login { name: "yoda".into(), password: Password("vader".into()) });
    assert_eq!(yoda.next(), Event::LoginFailed(LoginRefusal::InvalidCredentials));
    yoda.give(Command::Login { name: "yoda".into(), password: Password("yoda".into()) });
    let key = world.server.as_ref().unwrap().key();
    assert_eq!(
        yoda.next(),
        Event::Welcome { user: user("yoda"), server_key: key, udp_port: yoda.client.udp_port(), failed_logins: 1 }
    );
    assert_ne!(yoda.client.udp_port(), 0);
}

#[test]
fn broadcasts_rooms_direct_messages_and_history_reach_whom_they_should() {
    let mut world = World::new(&["yoda", "luke", "leia"]);
    let (mut yoda, mut luke, mut leia) =
        (Person::login(&world, "yoda"), Person::login(&world, "luke"), Person::login(&world, "leia"));

    yoda.broadcast("hello  there");
    let is_confirmed =
        |event: &Event| matches!(event, Event::Sent { kind: PostKind::Broadcast, number, .. } if number.0 == 1);
    assert!(is_confirmed(&yoda.next()));
    for person in [&mut luke, &mut leia] {
        let (from, text) = person.find(|event| match event {
            Event::Broadcast { number: MessageNumber(1), from, text, .. } => Some((from.clone(), text.clone())),
            _ => None,
        });
        assert_eq!((from, text.as_str()), (user("yoda"), "hello  there"));
    }

    yoda.give(Command::BuildRoom { users: vec!["luke".into()] });
    let room = RoomInfo { room: RoomId(1), members: vec![user("luke"), user("yoda")] };
    assert_eq!(yoda.next(), Event::RoomCreated(room.clone()));
    assert_eq!(luke.next(), Event::RoomCreated(room));
    luke.give(Command::RoomMessage { room: RoomId(1), text: "just us".into() });
    yoda.find(|event| matches!(event, Event::RoomMessage { text, .. } if text == "just us").then_some(()));
    leia.give(Command::RoomMessage { room: RoomId(1), text: "let me in".into() });
    assert_eq!(leia.next(), Event::Error(Failure::NotAMember));

    assert!(leia.leave().iter().all(|event| !matches!(event, Event::RoomMessage { .. })));
    yoda.give(Command::DirectMessage { to: "leia".into(), text: "for later".into() });
    yoda.find(|event| matches!(event, Event::Sent { kind: PostKind::Direct { .. }, .. }).then_some(()));

    // All of it survives a restart.
    yoda.leave();
    luke.leave();
    world.restart();
    let mut leia = Person::login(&world, "leia");
    leia.find(|event| matches!(event, Event::DirectMessage { text, .. } if text == "for later").then_some(()));
    let mut luke = Person::login(&world, "luke");
    for (kind, texts) in [(HistoryKind::Broadcast, ["hello  there"]), (HistoryKind::Rooms, ["just us"])] {
        luke.give(Command::History { kind, since: EVER });
        let found = luke.find(|event| match event {
            Event::History { messages, .. } => Some(messages.iter().map(|m| m.text.clone()).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(found, texts);
    }
    let log = std::fs::read_to_string(world.data.path().join("logs/messagelog.txt")).unwrap();
    assert!(log.starts_with("1; ") && log.trim_end().ends_with("; yoda; hello  there"), "{log}");
}

#[test]
fn fifty_clients_that_all_broadcast_all_see_all_once_and_in_one_order() {
    const CLIENTS: usize = 50;
    let names: Vec<_> = (0..CLIENTS).map(|n| format!("user{n}")).collect();
    let world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut people: Vec<_> = names.iter().map(|name| Person::login(&world, name)).collect();
    people.iter().zip(&names).for_each(|(person, name)| person.broadcast(&format!("from {name}")));

    let mut orders = Vec::new();
    for (person, name) in people.iter_mut().zip(&names) {
        // Each sees the messages of the others, and the number of its own.
        let seen: Vec<_> = (0..CLIENTS)
            .map(|_| {
                person.find(|event| match event {
                    Event::Broadcast { number, text, .. } => Some((number.0, text.clone())),
                    Event::Sent { number, .. } => Some((number.0, format!("from {name}"))),
                    _ => None,
                })
            })
            .collect();
        orders.push(seen);
    }
    let numbers: Vec<_> = orders[0].iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=CLIENTS as u64).collect::<Vec<_>>());
    assert!(orders.iter().all(|order| *order == orders[0]));
    // Nothing comes twice.
    for person in people {
        assert!(person.leave().iter().all(|event| !matches!(event, Event::Broadcast { .. } | Event::Sent { .. })));
    }
}

#[test]
fn a_server_that_stops_says_so_to_its_clients_and_their_last_posts_are_answered() {
    let mut world = World::new(&["yoda"]);
    let mut yoda = Person::login(&world, "yoda");
    yoda.broadcast("last words");
    yoda.find(|event| matches!(event, Event::Sent { .. }).then_some(()));
    world.stop();
    let reason = yoda.find(|event| match event {
        Event::ConnectionLost { reason, was_logged_in: true, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, "the server closed the connection");
    yoda.client.join();
}

#[test]
fn a_client_that_is_dropped_is_gone_for_the_server_too() {
    let world = World::new(&["yoda"]);
    drop(Person::login(&world, "yoda"));
    world.until(|activity| matches!(activity, Activity::LoggedOut { asked: false, .. }));
    Person::login(&world, "yoda");
}

#[test]
fn a_server_that_is_not_there_is_named_in_one_sentence() {
    let mut world = World::new(&[]);
    world.stop();
    let config = toom_core::config::ClientConfig {
        server: world.address.to_string(),
        udp_port: 0,
        downloads: world.data.path().to_owned(),
        accept: toom_core::client::io::AcceptPolicy::None,
        device: toom_core::secure::SecretKey::new([1; 32]),
        server_key: None,
        known_people: None,
        seed: [1; 32],
        reconnect: false,
        transfers: toom_core::config::TransferConfig::default(),
    };
    let error = toom_std::client::start(config, |_| {}).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)));
    let expected = format!("the server at {} cannot be reached: nothing accepts connections there", world.address);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn two_servers_cannot_share_an_address_or_data() {
    let world = World::new(&[]);
    let data = tempfile::TempDir::new().unwrap();
    let config = |data: &std::path::Path, listen| toom_core::config::ServerConfig {
        listen,
        data: data.to_owned(),
        attempts: 3,
        block: PATIENCE,
        post_rates: toom_core::server::PostRates::default(),
        keep: None,
        grace: std::time::Duration::ZERO,
    };
    let same_address = toom_std::server::start(config(data.path(), world.address), |_| {}).unwrap_err();
    let other_address = "127.0.0.1:0".parse().unwrap();
    toom_std::server::start(config(data.path(), other_address), |_| {}).expect("the data is free again");
    assert_eq!(same_address.to_string(), format!("cannot listen on {}: address already in use", world.address));
    let free = "127.0.0.1:0".parse().unwrap();
    assert!(toom_std::server::start(config(world.data.path(), free), |_| {}).is_err());
}
