//! Files that others offer.

use super::*;
use crate::client::ending::DESERTED_PATIENCE;
use crate::client::event::{Direction, Failure, TransferFailure, TransferState};
use crate::client::io::{Destination, Side, Start};
use crate::client::transfers::{MAX_INCOMING, MAX_WAITING_OFFERS};
use crate::wire::message::{OfferEnd, Refusal};

fn shown(id: u64) -> Event {
    Event::Offer {
        entries: None,
        id: OfferId(id),
        from: name("luke"),
        name: FileLabel::new("film.mp4"),
        bytes: Some(1_000),
        held: false,
    }
}

fn answered(id: u64, accepted: bool) -> Event {
    Event::OfferAnswered { id: OfferId(id), accepted }
}

fn entry(id: u64, state: TransferState, bytes: u64) -> Event {
    Event::Transfer(Transfer {
        id: OfferId(id),
        peer: name("luke"),
        name: FileLabel::new("film.mp4"),
        direction: Direction::In,
        state,
        bytes,
        total: Some(1_000),
        rate_bps: 0,
        path: Default::default(),
    })
}

fn refusal(id: u64) -> RequestBody {
    RequestBody::AnswerOffer { offer: OfferId(id), index: None }
}

/// Takes the `Start` that must be the only order, and checks it.
fn started(world: &mut World, id: u64) -> PeerIndex {
    let orders = world.orders();
    let [Output::Start(start)] = &orders[..] else { panic!("{orders:?}") };
    let local_index = start.local_index;
    assert_eq!(
        *start,
        Start {
            listing: None,
            transfer: OfferId(id),
            remote: ([192, 0, 2, 2], 7000).into(),
            local_index,
            remote_index: PeerIndex(99),
            agreement: agreed(id, "luke", "yoda", PeerSecret([5; 32]), &sealed_by(&other_secret())),
            bytes: Some(1_000),
            side: Side::Receive { from: name("luke"), label: FileLabel::new("film.mp4"), into: Destination::File },
        }
    );
    local_index
}

/// A world in which offer 1 was accepted and runs.
pub(super) fn receiving() -> World {
    let mut world = World::logged_in(AcceptPolicy::All);
    world.server(offer(1));
    world.answer(ReplyBody::Done);
    world.events();
    world.orders();
    world
}

#[test]
fn an_offer_waits_for_the_person_and_is_accepted() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.server(offer(1));
    assert_eq!(world.events(), [shown(1)]);
    assert_eq!((world.requests(), world.orders()), (vec![], vec![]));
    world.command(Command::Accept { offer: OfferId(1) });
    assert_eq!(world.events(), [answered(1, true), entry(1, TransferState::Starting, 0)]);
    let index = started(&mut world, 1);
    let body = world.answer(ReplyBody::Done);
    assert_eq!(body, RequestBody::AnswerOffer { offer: OfferId(1), index: Some(index) });

    world.report(1, Progress::Moving { bytes: 400, rate_bps: 0, path: Default::default() });
    assert_eq!(world.events(), [entry(1, TransferState::Moving, 400)]);
    world.command(Command::Transfers);
    let [Event::Transfer(moving)] = [entry(1, TransferState::Moving, 400)] else { unreachable!() };
    assert_eq!(world.events(), [Event::Transfers(vec![moving])]);
    let saved_as = Some("luke_film.mp4".to_owned());
    world.report(1, Progress::Done { blake3: [3; 32], saved_as: saved_as.clone() });
    assert_eq!(world.events(), [entry(1, TransferState::Done { blake3: [3; 32], saved_as }, 1_000)]);
    world.command(Command::Transfers);
    assert_eq!(world.events(), [Event::Transfers(vec![])]);
    world.report(1, Progress::Failed(TransferFailure::TimedOut));
    assert_eq!(world.events(), []);
}

#[test]
fn an_offer_is_rejected_by_reject_and_by_cancel_once() {
    for command in [Command::Reject { offer: OfferId(1) }, Command::Cancel { transfer: OfferId(1) }] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.server(offer(1));
        world.events();
        world.command(command);
        assert_eq!(world.events(), [answered(1, false)]);
        assert_eq!(world.answer(ReplyBody::Refused(Refusal::NoSuchOffer)), refusal(1));
        for again in [
            Command::Reject { offer: OfferId(1) },
            Command::Accept { offer: OfferId(1) },
            Command::Cancel { transfer: OfferId(1) },
        ] {
            world.command(again);
            assert_eq!(world.events(), [Event::Error(Failure::NoSuchOffer)]);
        }
        assert_eq!(world.requests(), []);
    }
}

#[test]
fn the_policy_answers_for_the_person() {
    let mut world = World::logged_in(AcceptPolicy::All);
    world.server(offer(1));
    assert_eq!(world.events(), [shown(1), entry(1, TransferState::Starting, 0)]);
    let index = started(&mut world, 1);
    let accepted = RequestBody::AnswerOffer { offer: OfferId(1), index: Some(index) };
    assert_eq!(world.answer(ReplyBody::Done), accepted);

    let mut world = World::logged_in(AcceptPolicy::None);
    world.server(offer(1));
    assert_eq!(world.answer(ReplyBody::Done), refusal(1));
    assert_eq!(world.events(), [shown(1)]);
    world.command(Command::Transfers);
    assert_eq!(world.events(), [Event::Transfers(vec![])]);
}

#[test]
fn an_acceptance_that_comes_too_late_ends_the_transfer_once() {
    let mut world = World::logged_in(AcceptPolicy::All);
    world.server(offer(1));
    world.events();
    world.orders();
    world.server(wire::Event::OfferEnded { offer: OfferId(1), reason: OfferEnd::Withdrawn });
    world.answer(ReplyBody::Refused(Refusal::NoSuchOffer));
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    assert_eq!(world.events(), []);
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.events(), [entry(1, TransferState::Failed(TransferFailure::Withdrawn), 0)]);
}

#[test]
fn an_offer_that_ends_unanswered_is_told_and_gone() {
    for (reason, failure) in [
        (OfferEnd::Withdrawn, TransferFailure::Withdrawn),
        (OfferEnd::UserLeft, TransferFailure::PeerLeft),
        (OfferEnd::Expired, TransferFailure::Expired),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.server(offer(1));
        world.events();
        world.server(wire::Event::OfferEnded { offer: OfferId(1), reason });
        assert_eq!(world.events(), [entry(1, TransferState::Failed(failure), 0)]);
        world.command(Command::Accept { offer: OfferId(1) });
        assert_eq!(world.events(), [Event::Error(Failure::NoSuchOffer)]);
    }
}

#[test]
fn a_cancelled_transfer_is_answered_by_its_end() {
    for (progress, state) in [
        (Progress::Failed(TransferFailure::Cancelled), TransferState::Failed(TransferFailure::Cancelled)),
        // Whatever it died of in that moment, to the person it is cancelled; unless it was done before.
        (Progress::Failed(TransferFailure::TimedOut), TransferState::Failed(TransferFailure::Cancelled)),
    ] {
        let mut world = receiving();
        world.command(Command::Cancel { transfer: OfferId(1) });
        assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: false }]);
        assert_eq!(world.events(), []);
        world.command(Command::Cancel { transfer: OfferId(1) });
        assert_eq!(world.events(), [Event::Error(Failure::NoSuchOffer)]);
        assert_eq!(world.orders(), []);
        world.report(1, progress);
        assert_eq!(world.events(), [entry(1, state, 0)]);
    }
}

#[test]
fn what_the_transfer_machine_reports_is_shown() {
    let mut world = receiving();
    world.report(1, Progress::Failed(TransferFailure::Write("disk full".into())));
    let failed = TransferState::Failed(TransferFailure::Write("disk full".into()));
    assert_eq!(world.events(), [entry(1, failed, 0)]);
}

#[test]
fn offers_and_transfers_are_bounded() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for id in 1..=MAX_WAITING_OFFERS as u64 {
        world.server(offer(id));
    }
    assert_eq!(world.requests(), []);
    world.server(offer(1_000));
    assert_eq!(world.answer(ReplyBody::Done), refusal(1_000));
    world.events();
    for id in 1..=MAX_INCOMING as u64 {
        world.command(Command::Accept { offer: OfferId(id) });
        world.answer(ReplyBody::Done);
    }
    assert_eq!(world.orders().len(), MAX_INCOMING);
    world.events();
    world.server(offer(1_001));
    world.events();
    world.command(Command::Accept { offer: OfferId(1_001) });
    assert!(matches!(&world.events()[..], [Event::Error(Failure::LimitReached(_))]));
    assert_eq!((world.orders(), world.requests()), (vec![], vec![]));
}

#[test]
fn what_is_accepted_by_policy_beyond_the_limit_starts_when_something_has_ended() {
    let mut world = World::logged_in(AcceptPolicy::All);
    let limit = MAX_INCOMING as u64;
    for id in 1..=limit + 2 {
        world.server(offer(id));
        for request in world.requests() {
            world.reply(request.id, ReplyBody::Done);
        }
    }
    assert_eq!(world.orders().len(), MAX_INCOMING);
    world.events();
    world.report(1, Progress::Done { blake3: [0; 32], saved_as: None });
    let index = started(&mut world, limit + 1);
    let accepted = RequestBody::AnswerOffer { offer: OfferId(limit + 1), index: Some(index) };
    assert_eq!(world.answer(ReplyBody::Done), accepted);
    // The last one is taken back while it waits.
    world.events();
    world.server(wire::Event::OfferEnded { offer: OfferId(limit + 2), reason: OfferEnd::Withdrawn });
    assert_eq!(world.events(), [entry(limit + 2, TransferState::Failed(TransferFailure::Withdrawn), 0)]);
    world.report(2, Progress::Done { blake3: [0; 32], saved_as: None });
    assert_eq!((world.orders(), world.requests()), (vec![], vec![]));
}

#[test]
fn what_somebody_who_was_away_sends_again_is_accepted_by_policy_when_the_first_one_has_ended() {
    let mut world = World::logged_in(AcceptPolicy::All);
    world.server(offer(1));
    started(&mut world, 1);
    world.answer(ReplyBody::Done);
    world.server(wire::Event::Left { user: name("luke") });
    world.server(offer(2));
    assert_eq!((world.orders(), world.requests()), (vec![], vec![]));
    world.wait(DESERTED_PATIENCE);
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    // Its file is in use until it says that it has ended.
    assert_eq!(world.requests().len(), 0);
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    let index = started(&mut world, 2);
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::AnswerOffer { offer: OfferId(2), index: Some(index) });
}

#[test]
fn a_transfer_whose_other_end_has_left_is_given_up_after_a_while() {
    let left = || wire::Event::Left { user: name("luke") };
    let mut world = receiving();
    world.server(left());
    world.wait(DESERTED_PATIENCE / 2);
    // That they came and left again changes nothing.
    world.server(left());
    assert_eq!(world.orders(), []);
    assert_eq!(world.client.deadline(), Some(world.now + DESERTED_PATIENCE / 2));
    world.wait(DESERTED_PATIENCE / 2);
    assert_eq!(
        (world.orders(), world.client.deadline()),
        (vec![Output::Cancel { transfer: OfferId(1), keep: true }], None)
    );
    world.events();
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.events(), [entry(1, TransferState::Failed(TransferFailure::PeerLeft), 0)]);

    let mut world = receiving();
    world.server(wire::Event::Left { user: name("leia") });
    assert_eq!(world.client.deadline(), None);
    world.server(left());
    world.report(1, Progress::Done { blake3: [0; 32], saved_as: None });
    assert_eq!((world.orders(), world.client.deadline()), (vec![], None), "what ends in time ends well");
}

#[test]
fn who_accepts_a_stream_or_into_one_gets_its_bytes_there() {
    let stream = OfferContents { bytes: None, ..film(PeerSecret([5; 32])) };
    for (contents, command, into) in [
        (film(PeerSecret([5; 32])), Command::AcceptStream { offer: OfferId(1) }, Destination::Stream),
        (stream, Command::Accept { offer: OfferId(1) }, Destination::File),
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        let bytes = contents.bytes;
        let parties = OfferParties { sender: &name("luke"), receiver: &name("yoda") };
        let sealed = seal_offer(parties, &other_secret(), &device(), &contents, [8; 32]).unwrap();
        let wire::Event::Offer { offer, from, device, keys, address, index, .. } = offer(1) else { unreachable!() };
        world.server(wire::Event::Offer { offer, from, device, keys, address, index, sealed });
        let events = world.events();
        assert!(matches!(&events[..], [Event::Offer { bytes: shown, .. }] if *shown == bytes), "{events:?}");
        world.command(command);
        let orders = world.orders();
        let [Output::Start(start)] = &orders[..] else { panic!("{orders:?}") };
        assert_eq!(start.bytes, bytes);
        assert!(matches!(start.side, Side::Receive { into: there, .. } if there == into), "{start:?}");
    }
}
