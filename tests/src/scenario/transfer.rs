//! `UPD` and what belongs to it: files between two people.

use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::{Direction, Event, Failure, Transfer, TransferFailure, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::client::standing::Waiting;
use toom_core::id::OfferId;

use super::steps::{log_in, log_in_with, start, users};
use super::world::{ClientId, Downloaded, TestFile, World};

/// A file arrives whole, under the sender's name and its own, and both ends are told.
pub fn a_file_arrives_whole(world: &mut dyn World) {
    let (yoda, luke) = two(world);
    let file = world.put_file("film.mp4", 1_000_003, 1);
    let id = send(world, yoda, "luke", &file);
    let (offer, from, name, bytes) = offered(world, luke);
    assert_eq!((offer, from.as_str(), name.as_str(), bytes), (id, "yoda", "film.mp4", 1_000_003));
    world.command(luke, Command::Accept { offer });
    world.wait(luke, "the acceptance", |event| *event == Event::OfferAnswered { id, accepted: true });
    assert_eq!(arrives(world, yoda, luke, id, &file), "yoda_film.mp4");
    assert_eq!(world.downloads(luke), [("yoda_film.mp4".to_owned(), file.content)].into());
}

/// Files of no bytes, of one, and of sizes around those of packets and buffers.
pub fn files_of_every_size_arrive(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    for (bytes, seed) in [0, 1, 1_170, 1_171, 1_172, 65_535, 65_536, 65_537, 262_144].into_iter().zip(1..) {
        let file = world.put_file(&format!("{bytes}.bin"), bytes, seed);
        let id = send(world, yoda, "luke", &file);
        assert_eq!(arrives(world, yoda, luke, id, &file), format!("yoda_{bytes}.bin"));
    }
    assert_eq!(world.downloads(luke).len(), 9);
}

/// A large file arrives bit by bit as it was sent.
pub fn a_large_file_arrives_whole(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let file = world.put_file("large.bin", world.large(), 7);
    let id = send(world, yoda, "luke", &file);
    assert_eq!(arrives(world, yoda, luke, id, &file), "yoda_large.bin");
    assert_eq!(world.downloads(luke), [("yoda_large.bin".to_owned(), file.content)].into());
}

/// A name that is taken by other content is numbered before the extension; nothing is ever replaced.
pub fn a_name_that_is_taken_is_numbered(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let names = ["yoda_film.tar.gz", "yoda_film.tar (2).gz", "yoda_film.tar (3).gz"];
    let mut expected = std::collections::BTreeMap::new();
    for (name, seed) in names.into_iter().zip(1..) {
        let file = world.put_file(&format!("{seed}/film.tar.gz"), 5_000, seed);
        let id = send(world, yoda, "luke", &file);
        assert_eq!(arrives(world, yoda, luke, id, &file), name);
        expected.insert(name.to_owned(), file.content);
    }
    assert_eq!(world.downloads(luke), expected);
}

/// What is there already with the same content is not written again.
pub fn the_same_content_is_not_written_again(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let file = world.put_file("film.mp4", 100_000, 1);
    for _ in 0..2 {
        let id = send(world, yoda, "luke", &file);
        assert_eq!(arrives(world, yoda, luke, id, &file), "yoda_film.mp4");
    }
    assert_eq!(world.downloads(luke), [("yoda_film.mp4".to_owned(), file.content)].into());
}

/// What cannot be sent: a file that is not there, and to someone who is not.
pub fn a_file_needs_to_exist_and_somebody_to_receive_it(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    let file = world.put_file("film.mp4", 10, 1);
    let to = |user: &str| Command::SendFiles { to: user.into(), paths: vec![file.path.clone()] };
    assert_eq!(world.fails(yoda, to("leia")), Failure::UserOffline(users(&["leia"])));
    assert_eq!(world.fails(yoda, to("nobody")), Failure::NoSuchUser(vec!["nobody".into()]));
    assert_eq!(world.fails(yoda, to("yoda")), Failure::Oneself);
    let missing = file.path.with_file_name("there is none");
    let failure = world.fails(yoda, Command::SendFiles { to: "luke".into(), paths: vec![missing.clone()] });
    assert_eq!(failure, Failure::NoSuchFile(missing.to_string_lossy().into_owned()));
    world.broadcast(yoda, "that was all");
    world.hears(luke, "that was all");
    world.absent(luke, "an offer", |event| matches!(event, Event::Offer { .. }));
}

/// The receiver says no, in person or by setting: the sender is told, and nothing is written.
pub fn an_offer_can_be_rejected(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    let leia = log_in_with(world, "leia", AcceptPolicy::None);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, yoda, "luke", &file);
    assert_eq!(offered(world, luke).0, id);
    world.command(luke, Command::Reject { offer: id });
    world.wait(luke, "the rejection", |event| *event == Event::OfferAnswered { id, accepted: false });
    assert_eq!(failed(world, yoda, id), TransferFailure::Rejected);
    assert_eq!(world.fails(luke, Command::Accept { offer: id }), Failure::NoSuchOffer);

    let id = send(world, yoda, "leia", &file);
    assert_eq!(failed(world, yoda, id), TransferFailure::Rejected);
    for client in [luke, leia] {
        nothing_is_left(world, client);
    }
}

/// The sender takes an offer back before it is answered.
pub fn an_offer_can_be_taken_back(world: &mut dyn World) {
    let (yoda, luke) = two(world);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, yoda, "luke", &file);
    assert_eq!(offered(world, luke).0, id);
    world.command(yoda, Command::Cancel { transfer: id });
    assert_eq!(failed(world, yoda, id), TransferFailure::Cancelled);
    assert_eq!(failed(world, luke, id), TransferFailure::Withdrawn);
    assert_eq!(world.fails(luke, Command::Accept { offer: id }), Failure::NoSuchOffer);
    assert_eq!(world.fails(yoda, Command::Cancel { transfer: id }), Failure::NoSuchOffer);
}

/// The sender cancels in the middle: both ends are told, and nothing is left of the file.
pub fn a_sender_can_cancel(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    cancelled_in_the_middle(world, yoda, luke, yoda);
}

/// The receiver cancels in the middle: both ends are told, and nothing is left of the file.
pub fn a_receiver_can_cancel(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    cancelled_in_the_middle(world, yoda, luke, luke);
}

/// A person who logs out in the middle ends their transfers; the other end is told.
pub fn logging_out_ends_transfers(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let id = send_for_long(world, yoda, "luke");
    moves(world, luke, id);
    world.log_out(yoda);
    let failure = failed(world, luke, id);
    // What has arrived may stay: it can go on later.
    assert!(matches!(failure, TransferFailure::CancelledByPeer | TransferFailure::PeerLeft), "{failure:?}");
}

/// When there is nothing more to ask, what was asked is finished first: the answers and the file.
pub fn the_end_of_input_waits_for_transfers(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let file = world.put_file("film.mp4", 5_000_000, 1);
    world.command(yoda, Command::SendFiles { to: "luke".into(), paths: vec![file.path.clone()] });
    world.command(yoda, Command::Broadcast { text: "goodbye".into() });
    world.command(yoda, Command::Finish);
    world.hears(luke, "goodbye");
    world.wait(yoda, "goodbye", |event| matches!(event, Event::Bye { .. }));
    world.sent(yoda);
    let id = world.pick(luke, "the offer", |event| match event {
        Event::Offer { id, .. } => Some(*id),
        _ => None,
    });
    assert_eq!(arrives(world, yoda, luke, id, &file), "yoda_film.mp4");
}

/// An offer to someone who logs out comes to nothing, and so does one of someone who does.
pub fn an_offer_ends_when_either_person_leaves(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let file = world.put_file("film.mp4", 10_000, 1);
    let luke = log_in(world, "luke");
    let id = send(world, yoda, "luke", &file);
    offered(world, luke);
    world.log_out(luke);
    assert_eq!(failed(world, yoda, id), TransferFailure::PeerLeft);
    let luke = log_in(world, "luke");
    let id = send(world, yoda, "luke", &file);
    offered(world, luke);
    world.log_out(yoda);
    // Whoever logs out takes their offers back first.
    assert_eq!(failed(world, luke, id), TransferFailure::Withdrawn);
}

/// Several files at once, both ways, all arrive; meanwhile messages go on, and the list shows them.
pub fn several_files_cross_at_once(world: &mut dyn World) {
    let (yoda, luke) = two_accepting(world);
    let mut under_way = Vec::new();
    for seed in 1..=3 {
        for (from, to, name) in [(yoda, luke, "luke"), (luke, yoda, "yoda")] {
            let file = world.put_file(&format!("{seed} for {name}.bin"), 2_000_000, seed);
            under_way.push((from, to, send(world, from, name, &file), file));
        }
    }
    world.broadcast(yoda, "six files on their way");
    world.hears(luke, "six files on their way");
    for (from, to, id, file) in under_way {
        arrives(world, from, to, id, &file);
    }
    for client in [yoda, luke] {
        assert_eq!(world.downloads(client).len(), 3);
        world.command(client, Command::Transfers);
        world.wait(client, "no more transfers", |event| *event == Event::Transfers(Vec::new()));
    }
}

/// An offer is on the list of both until it is answered.
pub fn the_list_shows_what_waits(world: &mut dyn World) {
    let (yoda, luke) = two(world);
    let file = world.put_file("film.mp4", 10_000, 1);
    let id = send(world, yoda, "luke", &file);
    offered(world, luke);
    for (client, expected) in [(yoda, TransferState::Waiting(Waiting::Acceptance)), (luke, TransferState::Starting)] {
        world.command(client, Command::Transfers);
        let listed = world.pick(client, "the list of transfers", |event| match event {
            Event::Transfers(list) => Some(list.clone()),
            _ => None,
        });
        let [Transfer { id: listed, state, total: Some(10_000), .. }] = &listed[..] else {
            panic!("{listed:?}");
        };
        assert_eq!((*listed, state), (id, &expected));
    }
}

/// Two people, who answer offers in person.
pub fn two(world: &mut dyn World) -> (ClientId, ClientId) {
    start(world, &["yoda", "luke"]);
    (log_in(world, "yoda"), log_in(world, "luke"))
}

/// Two people who accept every offer.
pub fn two_accepting(world: &mut dyn World) -> (ClientId, ClientId) {
    start(world, &["yoda", "luke"]);
    (log_in_with(world, "yoda", AcceptPolicy::All), log_in_with(world, "luke", AcceptPolicy::All))
}

/// Offers a file, and waits until the offer is made.
pub fn send(world: &mut dyn World, client: ClientId, to: &str, file: &TestFile) -> OfferId {
    send_path(world, client, to, file.path.clone())
}

/// A file that takes long enough to be stopped in the middle.
fn send_for_long(world: &mut dyn World, client: ClientId, to: &str) -> OfferId {
    let path = world.put_zeros("zeros.bin", 10 * world.large());
    send_path(world, client, to, path)
}

fn send_path(world: &mut dyn World, client: ClientId, to: &str, path: PathBuf) -> OfferId {
    world.command(client, Command::SendFiles { to: to.into(), paths: vec![path] });
    world.pick(client, "the offer of one's own", |event| match event {
        Event::Transfer(Transfer { id, direction: Direction::Out, state: TransferState::Starting, .. }) => Some(*id),
        _ => None,
    })
}

/// Waits until a file is done at both ends and is what was sent; the name that it was given.
pub fn arrives(world: &mut dyn World, from: ClientId, to: ClientId, id: OfferId, file: &TestFile) -> String {
    let (received, name) = done(world, to, id);
    let (sent, _) = done(world, from, id);
    assert_eq!([sent, received], [file.content.blake3; 2]);
    let name = name.expect("the receiver is told a name");
    let found: Option<Downloaded> = world.downloads(to).get(&name).copied();
    assert_eq!(found, Some(file.content), "{name}");
    name
}

/// Waits until bytes of a transfer are moving.
fn moves(world: &mut dyn World, client: ClientId, id: OfferId) {
    world.wait(client, "moving bytes", |event| {
        matches!(event, Event::Transfer(Transfer { id: this, state: TransferState::Moving, .. }) if *this == id)
    });
}

/// Not even a partial file.
fn nothing_is_left(world: &mut dyn World, client: ClientId) {
    world.until("nothing is left of the file", |world| world.downloads(client).is_empty());
}

pub(super) fn offered(world: &mut dyn World, client: ClientId) -> (OfferId, String, String, u64) {
    world.pick(client, "an offer", |event| match event {
        Event::Offer { id, from, name, bytes: Some(bytes), .. } => {
            Some((*id, from.to_string(), name.to_string(), *bytes))
        }
        _ => None,
    })
}

fn done(world: &mut dyn World, client: ClientId, id: OfferId) -> ([u8; 32], Option<String>) {
    match ended(world, client, id) {
        TransferState::Done { blake3, saved_as } => (blake3, saved_as),
        other => panic!("the transfer ended with {other:?}\n{}", world.report()),
    }
}

pub(super) fn failed(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferFailure {
    match ended(world, client, id) {
        TransferState::Failed(failure) => failure,
        other => panic!("the transfer ended with {other:?}\n{}", world.report()),
    }
}

fn ended(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferState {
    world.pick(client, "the end of the transfer", |event| match event {
        Event::Transfer(Transfer { id: this, state, .. }) if *this == id => match state {
            TransferState::Done { .. } | TransferState::Failed(_) => Some(state.clone()),
            TransferState::Starting | TransferState::Resumed { .. } | TransferState::Moving => None,
            TransferState::Waiting(_) | TransferState::Paused { .. } => None,
        },
        _ => None,
    })
}

fn cancelled_in_the_middle(world: &mut dyn World, yoda: ClientId, luke: ClientId, who: ClientId) {
    let other = if who == yoda { luke } else { yoda };
    let id = send_for_long(world, yoda, "luke");
    moves(world, who, id);
    world.command(who, Command::Cancel { transfer: id });
    assert_eq!(failed(world, who, id), TransferFailure::Cancelled);
    assert_eq!(failed(world, other, id), TransferFailure::CancelledByPeer);
    nothing_is_left(world, luke);
    // The next file is none the worse for it.
    let small = world.put_file("small.bin", 10_000, 8);
    let id = send(world, yoda, "luke", &small);
    arrives(world, yoda, luke, id, &small);
}
