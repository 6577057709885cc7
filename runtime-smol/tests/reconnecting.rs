//! A client whose server is gone for a while comes back by itself.

mod world;

use std::fs::File;
use std::sync::mpsc;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, TransferState};
use toom_core::config::ServerConfig;
use toom_smol::server::{self, Server};

use world::{DEADLINE, Person, World};

/// Logged in, with a session that outlives its connection: that was committed before the post.
fn granted(world: &World, name: &str) -> Person {
    let person = world.person(name);
    person.broadcast("hello");
    person.wait_for("a confirmation", |event| matches!(event, Event::Sent { .. }).then_some(()));
    person
}

fn stop(world: &mut World) {
    world.server.take().into_iter().for_each(Server::stop);
}

fn loses(person: &Person) {
    person.wait_for("the loss", |event| matches!(event, Event::Reconnecting { .. }).then_some(()));
}

fn resumes(person: &Person) {
    person.wait_for("the return", |event| matches!(event, Event::Resumed { .. }).then_some(()));
}

/// Logs out; what came before that and nobody has looked at.
fn leave(person: Person) -> Vec<Event> {
    person.client.command(Command::Logout);
    person.client.join();
    let rest: Vec<Event> = person.events.into_iter().collect();
    assert!(matches!(rest.last(), Some(Event::Bye { .. })), "{rest:?}");
    rest
}

#[test]
fn a_session_goes_on_at_a_server_that_was_started_again_and_nothing_is_lost_or_said_twice() {
    let mut world = World::resumable(&["yoda", "luke"]);
    let (yoda, luke) = (granted(&world, "yoda"), granted(&world, "luke"));
    for round in 0..3 {
        stop(&mut world);
        loses(&yoda);
        loses(&luke);
        // It waits until somebody is there.
        yoda.broadcast(&format!("while nobody listened {round}"));
        world.restart();
        resumes(&yoda);
        resumes(&luke);
        let number = yoda.wait_for("a confirmation", |event| match event {
            Event::Sent { number, .. } => Some(number.0),
            _ => None,
        });
        assert_eq!(number, 3 + round, "after two greetings");
        assert_eq!(luke.next_broadcast(), (number, format!("while nobody listened {round}")));
    }
    for person in [yoda, luke] {
        let rest = leave(person);
        let again = |event: &Event| matches!(event, Event::Broadcast { .. } | Event::Sent { .. } | Event::Error(_));
        assert!(!rest.iter().any(again), "{rest:?}");
    }
}

#[test]
fn nothing_is_said_to_another_server_at_the_same_place() {
    let mut world = World::resumable(&["yoda"]);
    let yoda = granted(&world, "yoda");
    stop(&mut world);
    loses(&yoda);
    let other = tempfile::tempdir().unwrap();
    let config = ServerConfig { data: other.path().to_owned(), ..world.config() };
    world.server = Some(server::start(config, |_| {}).unwrap());
    let (reason, changed) = yoda.wait_for("the end", |event| match event {
        Event::ConnectionLost { reason, server_key_changed, .. } => Some((reason, server_key_changed)),
        _ => None,
    });
    assert!(changed && reason.starts_with("the server's key has changed"), "{reason}");
    yoda.client.join();
}

#[test]
fn a_file_goes_on_while_the_server_is_gone() {
    const BYTES: u64 = 128 * 1024 * 1024;
    let mut world = World::resumable(&["yoda", "luke"]);
    let (yoda, luke) = (granted(&world, "yoda"), granted(&world, "luke"));
    let path = world.directory.path().join("film");
    File::create(&path).unwrap().set_len(BYTES).unwrap();
    yoda.client.command(Command::SendFiles { to: "luke".into(), paths: vec![path] });
    let state = |event: Event| match event {
        Event::Transfer(transfer) => Some(transfer.state),
        _ => None,
    };
    luke.wait_for("the first bytes", |event| (state(event)? == TransferState::Moving).then_some(()));
    stop(&mut world);
    for person in [&yoda, &luke] {
        loses(person);
        let is_end = |it: &TransferState| !matches!(it, TransferState::Moving | TransferState::Starting);
        let end = person.wait_for("the end of the transfer", |event| state(event).filter(is_end));
        assert!(matches!(end, TransferState::Done { .. }), "{end:?}");
    }
    world.restart();
    for person in [yoda, luke] {
        resumes(&person);
        leave(person);
    }
}

#[test]
fn a_client_that_is_coming_back_can_be_dropped() {
    let mut world = World::resumable(&["yoda"]);
    let yoda = granted(&world, "yoda");
    stop(&mut world);
    loses(&yoda);
    let (done, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        let Person { client, events, .. } = yoda;
        drop(client);
        drop(done.send(events.into_iter().last()));
    });
    let last = dropped.recv_timeout(DEADLINE).expect("it ends");
    assert!(matches!(last, Some(Event::ConnectionLost { server_key_changed: false, .. })), "{last:?}");
}
