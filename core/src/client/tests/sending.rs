//! Files that one offers.

use super::*;
use crate::client::event::{Direction, Failure, TransferFailure, TransferState};
use crate::client::io::{Side, SourceId, Start};
use crate::client::transfers::MAX_OUTGOING;
use crate::wire::message::{OfferEnd, Refusal};

pub(super) fn send_file() -> Command {
    Command::SendFiles { to: "luke".into(), paths: vec!["/tmp/film.mp4".into()] }
}

fn entry(id: u64, state: TransferState) -> Event {
    Event::Transfer(Transfer {
        id: OfferId(id),
        peer: name("luke"),
        name: FileLabel::new("film.mp4"),
        direction: Direction::Out,
        state,
        bytes: 0,
        total: Some(1_000),
        rate_bps: 0,
        path: Default::default(),
    })
}

pub(super) fn opened(source: u64) -> Input {
    Input::SourceOpened { source: SourceId(source), label: FileLabel::new("film.mp4"), bytes: 1_000, listing: None }
}

fn close(source: u64) -> Output {
    Output::CloseSource { source: SourceId(source) }
}

fn cancelled() -> TransferState {
    TransferState::Failed(TransferFailure::Cancelled)
}

pub(super) fn accepted(id: u64) -> wire::Event {
    let address = ([192, 0, 2, 2], 7000).into();
    wire::Event::OfferAccepted { offer: OfferId(id), address, index: PeerIndex(99), device: other_device() }
}

/// The index and the sealed part of an offer to luke.
fn offered(body: RequestBody) -> (PeerIndex, SealedOffer) {
    let RequestBody::Offer { to, device, index, sealed } = body else { panic!("{body:?}") };
    assert_eq!((to.as_str(), device), ("luke", other_device()));
    (index, sealed)
}

/// The file is open, and the server knows luke's device.
pub(super) fn opened_for_luke(world: &mut World, source: u64) {
    world.input(opened(source));
    assert_eq!(world.answer(devices("luke", other_device())), asks_devices("luke", true));
}

/// A world in which the file is open and offered as 1, not answered; and the offer.
pub(super) fn offering() -> (World, (PeerIndex, SealedOffer)) {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(send_file());
    let path = "/tmp/film.mp4".into();
    assert_eq!(world.orders(), [Output::OpenSource { source: SourceId(1), paths: vec![path] }]);
    opened_for_luke(&mut world, 1);
    let offer = offered(world.answer(ReplyBody::Offered { offer: OfferId(1) }));
    assert_eq!(world.events(), [entry(1, TransferState::Starting)]);
    (world, offer)
}

#[test]
fn a_file_is_opened_offered_accepted_and_started() {
    let (mut world, (index, sealed)) = offering();
    let contents = opened_by_luke(&sealed);
    assert_eq!(contents, film(contents.secret.clone()));
    world.server(accepted(1));
    assert_eq!(
        world.orders(),
        [Output::Start(Start {
            listing: None,
            transfer: OfferId(1),
            remote: ([192, 0, 2, 2], 7000).into(),
            local_index: index,
            remote_index: PeerIndex(99),
            agreement: agreed(1, "yoda", "luke", contents.secret, &sealed),
            bytes: Some(1_000),
            side: Side::Send { source: SourceId(1) },
        })]
    );
    assert_eq!(world.events(), []);
    world.report(1, Progress::Done { blake3: [3; 32], saved_as: None });
    assert!(matches!(world.transfer().state, TransferState::Done { .. }));
    // Its file is the transfer machine's to close.
    assert_eq!(world.orders(), []);
}

#[test]
fn secrets_and_indices_are_fresh_for_every_offer() {
    let (mut world, first) = offering();
    world.command(send_file());
    opened_for_luke(&mut world, 2);
    let second = offered(world.answer(ReplyBody::Offered { offer: OfferId(2) }));
    assert!(first.0 != second.0 && opened_by_luke(&first.1).secret != opened_by_luke(&second.1).secret);
    // That the ephemeral keys differ is what makes the sealing safe.
    assert_ne!(first.1.as_bytes()[..32], second.1.as_bytes()[..32]);
}

#[test]
fn files_that_cannot_be_opened_are_told() {
    for (missing, failure) in [
        (Some("/tmp/film.mp4".into()), Failure::NoSuchFile("/tmp/film.mp4".into())),
        (None, Failure::UnreadableFile("a directory".into())),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(send_file());
        world.input(Input::SourceFailed { source: SourceId(1), missing, reason: "a directory".into() });
        assert_eq!(world.events(), [Event::Error(failure)]);
        assert_eq!(world.requests(), []);
        world.command(send_file());
        assert!(matches!(&world.orders()[..], [_, Output::OpenSource { source: SourceId(2), .. }]));
    }
}

#[test]
fn a_file_that_nobody_waits_for_is_closed() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.orders();
    world.input(opened(9));
    assert_eq!(world.orders(), [Output::CloseSource { source: SourceId(9) }]);
    assert_eq!(world.requests(), []);
}

#[test]
fn a_refused_offer_closes_its_file() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(send_file());
    world.orders();
    opened_for_luke(&mut world, 1);
    world.answer(ReplyBody::Refused(Refusal::UserOffline(vec![name("luke")])));
    assert_eq!(world.events(), [Event::Error(Failure::UserOffline(vec![name("luke")]))]);
    assert_eq!(world.orders(), [close(1)]);
}

#[test]
fn an_offer_that_ends_fails_and_closes_its_file() {
    for (reason, failure) in [
        (OfferEnd::Rejected, TransferFailure::Rejected),
        (OfferEnd::Expired, TransferFailure::Expired),
        (OfferEnd::UserLeft, TransferFailure::PeerLeft),
    ] {
        let (mut world, _) = offering();
        world.server(wire::Event::OfferEnded { offer: OfferId(1), reason });
        assert_eq!(world.events(), [entry(1, TransferState::Failed(failure))]);
        assert_eq!(world.orders(), [close(1)]);
        world.server(accepted(1));
        assert_eq!((world.orders(), world.events()), (vec![], vec![]));
    }
}

#[test]
fn an_offer_is_taken_back() {
    let (mut world, _) = offering();
    world.command(Command::Cancel { transfer: OfferId(1) });
    assert_eq!(world.events(), []);
    world.command(Command::Cancel { transfer: OfferId(1) });
    assert_eq!(world.events(), [Event::Error(Failure::NoSuchOffer)]);
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::WithdrawOffer { offer: OfferId(1) });
    assert_eq!(world.events(), [entry(1, cancelled())]);
    assert_eq!(world.orders(), [close(1)]);
}

#[test]
fn an_acceptance_that_crosses_a_cancel_starts_and_cancels_so_that_the_receiver_hears_of_it() {
    let (mut world, _) = offering();
    world.command(Command::Cancel { transfer: OfferId(1) });
    world.server(accepted(1));
    assert!(matches!(&world.orders()[..], [Output::Start(_), Output::Cancel { transfer: OfferId(1), keep: true }]));
    world.answer(ReplyBody::Refused(Refusal::NoSuchOffer));
    assert_eq!((world.events(), world.orders()), (vec![], vec![]));
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.events(), [entry(1, cancelled())]);
}

#[test]
fn a_rejection_that_crosses_a_cancel_is_a_cancelled_transfer() {
    let (mut world, _) = offering();
    world.command(Command::Cancel { transfer: OfferId(1) });
    world.server(wire::Event::OfferEnded { offer: OfferId(1), reason: OfferEnd::Rejected });
    world.answer(ReplyBody::Refused(Refusal::NoSuchOffer));
    assert_eq!(world.events(), [entry(1, cancelled())]);
    assert_eq!(world.orders(), [close(1)]);
}

#[test]
fn one_s_own_offers_are_bounded() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for id in 1..=MAX_OUTGOING as u64 {
        world.command(send_file());
        opened_for_luke(&mut world, id);
        world.answer(ReplyBody::Offered { offer: OfferId(id) });
    }
    world.events();
    world.orders();
    world.command(send_file());
    assert!(matches!(&world.events()[..], [Event::Error(Failure::LimitReached(words))] if words.contains("64 files")));
    assert_eq!(world.orders(), []);
    // One that is under way counts like one that waits.
    world.server(accepted(1));
    world.orders();
    world.command(send_file());
    assert!(matches!(&world.events()[..], [Event::Error(Failure::LimitReached(_))]));
    world.report(1, Progress::Done { blake3: [3; 32], saved_as: None });
    world.command(send_file());
    assert!(matches!(&world.orders()[..], [Output::OpenSource { .. }]));
}

#[test]
fn the_same_offer_number_twice_is_a_broken_server_and_leaves_no_file_open() {
    let (mut world, _) = offering();
    world.command(send_file());
    world.orders();
    opened_for_luke(&mut world, 2);
    world.answer(ReplyBody::Offered { offer: OfferId(1) });
    let events = world.events();
    assert_eq!(events[0], Event::Error(Failure::ConnectionLost));
    assert_eq!(events[1], entry(1, TransferState::Failed(TransferFailure::ServerLost)));
    assert!(matches!(events[2], Event::ConnectionLost { .. }));
    assert_eq!(world.orders(), [close(2), close(1), Output::Disconnect]);
}

#[test]
fn a_stream_is_offered_without_a_file_and_its_length_is_known_when_it_is_done() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendStream { to: "luke".into(), name: "a/film.mp4".into() });
    assert_eq!(world.orders(), [], "there is nothing to open");
    assert_eq!(world.answer(devices("luke", other_device())), asks_devices("luke", true));
    let (_, sealed) = offered(world.answer(ReplyBody::Offered { offer: OfferId(1) }));
    let contents = opened_by_luke(&sealed);
    assert_eq!((contents.label.as_str(), contents.bytes), ("film.mp4", None));
    assert_eq!(world.transfer().total, None);
    world.server(accepted(1));
    let orders = world.orders();
    assert!(matches!(&orders[..], [Output::Start(Start { bytes: None, side: Side::Send { .. }, .. })]), "{orders:?}");
    world.report(1, Progress::Moving { bytes: 70, rate_bps: 0, path: Default::default() });
    let moving = world.transfer();
    assert_eq!((moving.bytes, moving.total), (70, None));
    world.report(1, Progress::Done { blake3: [3; 32], saved_as: None });
    let done = world.transfer();
    assert_eq!((done.bytes, done.total), (70, Some(70)));
}

#[test]
fn a_stream_that_cannot_be_offered_is_an_error() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendStream { to: "no/name".into(), name: "x".into() });
    assert_eq!(world.events(), [Event::Error(Failure::NoSuchUser(vec!["no/name".into()]))]);
}
