//! `VERIFY`, and what becomes of keys that are others than before.

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure, TransferFailure};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::OfferId;
use toom_core::secure::{PublicKey, SafetyNumber};

use super::steps::{password_of, start};
use super::transfer::{arrives, failed, offered, send};
use super::world::{ClientId, World};

/// Both see the same number, confirm it, and files go both ways.
pub fn both_see_the_same_number_and_confirm_it(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    let luke = on(world, "luke", "luke's", AcceptPolicy::All);
    let (number, devices, own, verified) = verify(world, yoda, "luke", false);
    assert_eq!((devices, own, verified), (1, 1, false));
    assert_eq!(verify(world, luke, "yoda", false), (number, 1, 1, false));
    assert_eq!(verify(world, yoda, "luke", true), (number, 1, 1, true));
    assert_eq!(verify(world, luke, "yoda", true), (number, 1, 1, true));
    let file = world.put_file("film.mp4", 100_000, 1);
    let id = send(world, yoda, "luke", &file);
    assert_eq!(arrives(world, yoda, luke, id, &file), "yoda_film.mp4");
    let id = send(world, luke, "yoda", &file);
    assert_eq!(arrives(world, luke, yoda, id, &file), "luke_film.mp4");
    // It is remembered for the next session, and by the device alone.
    world.log_out(yoda);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    assert_eq!(verify(world, yoda, "luke", false), (number, 1, 1, true));
    assert_eq!(world.fails(yoda, Command::Verify { user: "yoda".into(), confirm: false }), Failure::Oneself);
    let unknown = Command::Verify { user: "leia".into(), confirm: true };
    assert_eq!(world.fails(yoda, unknown), Failure::NoSuchUser(vec!["leia".into()]));
}

/// Somebody who was met, or verified, with two laptops uses now the one and now the other.
pub fn two_laptops_are_no_alarm(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let desk = on(world, "luke", "luke's desk", AcceptPolicy::All);
    world.log_out(desk);
    let bag = on(world, "luke", "luke's bag", AcceptPolicy::All);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, bag, "yoda", &file);
    arrives(world, bag, yoda, id, &file);
    world.log_out(bag);
    let desk = on(world, "luke", "luke's desk", AcceptPolicy::All);
    for confirm in [false, true] {
        let id = send(world, desk, "yoda", &file);
        arrives(world, desk, yoda, id, &file);
        let id = send(world, yoda, "luke", &file);
        arrives(world, yoda, desk, id, &file);
        let (_, devices, own, verified) = verify(world, yoda, "luke", confirm);
        assert_eq!((devices, own, verified), (2, 1, confirm));
    }
    world.log_out(desk);
    let bag = on(world, "luke", "luke's bag", AcceptPolicy::All);
    let id = send(world, bag, "yoda", &file);
    arrives(world, bag, yoda, id, &file);
    world.absent(yoda, "a changed key", |event| matches!(event, Event::PeerKeyChanged { .. }));
}

/// A new device of somebody who was verified gets nothing, and nothing of it is taken, until it is verified too.
pub fn a_new_device_of_who_was_verified_is_refused_both_ways(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    let luke = on(world, "luke", "luke's", AcceptPolicy::All);
    let (number, ..) = verify(world, yoda, "luke", true);
    world.log_out(luke);
    let luke = on(world, "luke", "another one", AcceptPolicy::All);
    let file = world.put_file("film.mp4", 10_000, 1);
    let sending = Command::SendFiles { to: "luke".into(), paths: vec![file.path.clone()] };
    let Failure::PeerKeyChanged { user, key } = world.fails(yoda, sending.clone()) else { panic!("it is offered") };
    assert_eq!(user.as_str(), "luke");
    let id = send(world, luke, "yoda", &file);
    assert_eq!(failed(world, luke, id), TransferFailure::Rejected);
    assert_eq!(changed(world, yoda), (key, true));
    world.absent(yoda, "an offer", |event| matches!(event, Event::Offer { .. }));
    assert!(world.downloads(yoda).is_empty() && world.downloads(luke).is_empty());
    // It lasts beyond the session.
    world.log_out(yoda);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    assert!(matches!(world.fails(yoda, sending), Failure::PeerKeyChanged { .. }));
    let (another, devices, _, verified) = verify(world, yoda, "luke", false);
    assert!(another != number && devices == 2 && !verified);
    verify(world, yoda, "luke", true);
    let id = send(world, luke, "yoda", &file);
    arrives(world, luke, yoda, id, &file);
    let id = send(world, yoda, "luke", &file);
    arrives(world, yoda, luke, id, &file);
}

/// A new device of somebody who was only met is told loudly, and waits for the person.
pub fn a_new_device_of_who_was_met_is_told_and_not_accepted_automatically(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    let luke = on(world, "luke", "luke's", AcceptPolicy::All);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, luke, "yoda", &file);
    arrives(world, luke, yoda, id, &file);
    world.log_out(luke);
    let luke = on(world, "luke", "another one", AcceptPolicy::All);
    let id = send(world, luke, "yoda", &file);
    let (_, verified) = changed(world, yoda);
    assert!(!verified && held(world, yoda, id));
    // In the next session too, where the key is known by now.
    world.log_out(yoda);
    assert_eq!(failed(world, luke, id), TransferFailure::PeerLeft);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::All);
    let id = send(world, luke, "yoda", &file);
    assert!(held(world, yoda, id));
    // Sending may go on.
    let back = send(world, yoda, "luke", &file);
    arrives(world, yoda, luke, back, &file);
    world.absent(yoda, "a transfer", |event| matches!(event, Event::Transfer(it) if it.id == id));
    world.command(yoda, Command::Accept { offer: id });
    arrives(world, luke, yoda, id, &file);
    let id = send(world, luke, "yoda", &file);
    arrives(world, luke, yoda, id, &file);
}

/// What a file is called is between the two of them.
pub fn the_server_is_not_told_what_a_file_is_called(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = on(world, "yoda", "yoda's", AcceptPolicy::Ask);
    let luke = on(world, "luke", "luke's", AcceptPolicy::Ask);
    let file = world.put_file("plans-of-the-death-star", 10_000, 1);
    let id = send(world, yoda, "luke", &file);
    assert_eq!(offered(world, luke).2, "plans-of-the-death-star");
    world.command(luke, Command::Accept { offer: id });
    arrives(world, yoda, luke, id, &file);
    let report = world.activities();
    assert!(report.contains("Offered") && !report.contains("death-star"), "{report}");
}

fn on(world: &mut dyn World, name: &str, device: &str, accept: AcceptPolicy) -> ClientId {
    let client = world.connect_on(device, accept);
    assert!(world.try_login(client, name, &password_of(name)).is_ok(), "{name} could not log in");
    // What is confirmed is in the log, and so is the device, which came before it.
    world.broadcast(client, "here");
    client
}

/// The safety number, the numbers of devices of both, and whether theirs are pinned.
fn verify(world: &mut dyn World, client: ClientId, user: &str, confirm: bool) -> (SafetyNumber, usize, usize, bool) {
    world.command(client, Command::Verify { user: user.into(), confirm });
    world.pick(client, "a safety number", |event| match event {
        Event::SafetyNumber { user: whose, number, devices, own_devices, verified } if whose.as_str() == user => {
            Some((*number, *devices, *own_devices, *verified))
        }
        _ => None,
    })
}

fn changed(world: &mut dyn World, client: ClientId) -> (PublicKey, bool) {
    world.pick(client, "a changed key", |event| match event {
        Event::PeerKeyChanged { user, key, verified } if user.as_str() == "luke" => Some((*key, *verified)),
        _ => None,
    })
}

fn held(world: &mut dyn World, client: ClientId, offer: OfferId) -> bool {
    world.pick(client, "an offer", |event| match event {
        Event::Offer { id, held, .. } if *id == offer => Some(*held),
        _ => None,
    })
}
