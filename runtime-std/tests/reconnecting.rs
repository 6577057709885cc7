//! A client whose server is gone for a while comes back by itself.

mod common;

use std::fs::File;
use std::sync::mpsc;

use tempfile::TempDir;
use toom_core::client::command::Command;
use toom_core::client::event::{Event, TransferState};

use common::{PATIENCE, Person, World};

/// Logged in, with a session that outlives its connection: that was committed before the post.
fn granted(world: &World, name: &str) -> Person {
    let mut person = Person::login(world, name);
    person.broadcast("hello");
    person.find(|event| matches!(event, Event::Sent { .. }).then_some(()));
    person
}

fn loses(person: &mut Person) {
    person.find(|event| matches!(event, Event::Reconnecting { .. }).then_some(()));
}

fn resumes(person: &mut Person) {
    person.find(|event| matches!(event, Event::Resumed { .. }).then_some(()));
}

#[test]
fn a_session_goes_on_at_a_server_that_was_started_again_and_nothing_is_lost_or_said_twice() {
    let mut world = World::resumable(&["yoda", "luke"]);
    let (mut yoda, mut luke) = (granted(&world, "yoda"), granted(&world, "luke"));
    for round in 0..3 {
        world.stop();
        loses(&mut yoda);
        loses(&mut luke);
        // It waits until somebody is there.
        yoda.broadcast(&format!("while nobody listened {round}"));
        world.start_again(None);
        resumes(&mut yoda);
        resumes(&mut luke);
        let number = yoda.find(|event| match event {
            Event::Sent { number, .. } => Some(number.0),
            _ => None,
        });
        assert_eq!(number, 3 + round, "after two greetings");
        let seen = luke.find(|event| match event {
            Event::Broadcast { number, text, .. } if number.0 >= 3 => Some((number.0, text.clone())),
            _ => None,
        });
        assert_eq!(seen, (number, format!("while nobody listened {round}")));
    }
    for person in [yoda, luke] {
        let rest = person.leave();
        let again = |event: &Event| matches!(event, Event::Broadcast { number, .. } if number.0 >= 3);
        assert!(!rest.iter().any(again), "{rest:?}");
        assert!(!rest.iter().any(|event| matches!(event, Event::Sent { .. } | Event::Error(_))), "{rest:?}");
    }
}

#[test]
fn nothing_is_said_to_another_server_at_the_same_place() {
    let mut world = World::resumable(&["yoda"]);
    let mut yoda = granted(&world, "yoda");
    world.stop();
    loses(&mut yoda);
    let other = TempDir::new().unwrap();
    world.start_again(Some(other.path()));
    let (reason, changed) = yoda.find(|event| match event {
        Event::ConnectionLost { reason, server_key_changed, .. } => Some((reason.clone(), *server_key_changed)),
        _ => None,
    });
    assert!(changed && reason.starts_with("the server's key has changed"), "{reason}");
    yoda.client.join();
}

#[test]
fn a_file_goes_on_while_the_server_is_gone() {
    const BYTES: u64 = 128 * 1024 * 1024;
    let mut world = World::resumable(&["yoda", "luke"]);
    let (mut yoda, mut luke) = (granted(&world, "yoda"), granted(&world, "luke"));
    let path = world.data.path().join("film");
    File::create(&path).unwrap().set_len(BYTES).unwrap();
    yoda.give(Command::SendFiles { to: "luke".into(), paths: vec![path] });
    let state = |event: &Event| match event {
        Event::Transfer(transfer) => Some(transfer.state.clone()),
        _ => None,
    };
    luke.find(|event| (state(event)? == TransferState::Moving).then_some(()));
    world.stop();
    for person in [&mut yoda, &mut luke] {
        loses(person);
        let end = person
            .find(|event| state(event).filter(|it| !matches!(it, TransferState::Moving | TransferState::Starting)));
        assert!(matches!(end, TransferState::Done { .. }), "{end:?}");
    }
    world.start_again(None);
    for mut person in [yoda, luke] {
        resumes(&mut person);
        person.leave();
    }
}

#[test]
fn a_client_that_is_coming_back_can_be_dropped() {
    let mut world = World::resumable(&["yoda"]);
    let mut yoda = granted(&world, "yoda");
    world.stop();
    loses(&mut yoda);
    let (done, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        let last = yoda.stop();
        drop(done.send(last));
    });
    let last = dropped.recv_timeout(PATIENCE).expect("it ends");
    assert!(matches!(last, Some(Event::ConnectionLost { server_key_changed: false, .. })), "{last:?}");
}
