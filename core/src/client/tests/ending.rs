//! How sessions end.

use super::sending::{offering, opened_for_luke};
use super::*;
use crate::client::ending::{ANSWERS_PATIENCE, BYE_PATIENCE, TRANSFERS_PATIENCE};
use crate::client::event::{Failure, TransferFailure, TransferState};
use crate::client::io::SourceId;
use crate::wire::message::{HistoryKind, LoginRefusal, OfferEnd};

const LOST: Event = Event::Error(Failure::ConnectionLost);

fn bye() -> Event {
    Event::Bye { user: name("yoda") }
}

fn disconnected() -> Input {
    Input::Disconnected { reason: "gone".into() }
}

fn connection_lost(was_logged_in: bool) -> Event {
    Event::ConnectionLost { reason: "gone".into(), was_logged_in, server_key_changed: false }
}

/// A world in which file 1 comes from luke.
fn receiving() -> World {
    let mut world = World::logged_in(AcceptPolicy::All);
    world.server(offer(1));
    world.answer(ReplyBody::Done);
    world.events();
    world.orders();
    world
}

/// Whoever finishes waits for what was missed.
fn catches_up_and_says_bye(world: &mut World) {
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::CatchUp);
    says_bye(world);
}

fn says_bye(world: &mut World) {
    assert_eq!(world.answer(ReplyBody::Bye), RequestBody::Logout);
    assert_eq!(world.events(), [bye()]);
    assert_eq!(world.orders(), [Output::Disconnect]);
    assert_eq!(world.client.deadline(), None);
    world.input(disconnected());
    world.command(broadcast("after the end"));
    assert_eq!((world.events(), world.requests(), world.orders()), (vec![], vec![], vec![]));
}

#[test]
fn a_logout_waits_for_the_answers_before_it_and_refuses_what_comes_after() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(broadcast("hi"));
    world.command(Command::Logout);
    world.command(Command::Rooms);
    let [post] = world.requests().try_into().unwrap();
    assert_eq!(world.events(), []);
    world.reply(post.id, sent(1));
    assert!(matches!(&world.events()[..], [Event::Sent { .. }, Event::Error(Failure::NotLoggedIn)]));
    world.command(Command::Logout);
    assert_eq!(world.events(), [Event::Error(Failure::NotLoggedIn)]);
    says_bye(&mut world);
}

#[test]
fn a_silent_server_keeps_nobody_from_leaving() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(broadcast("hi"));
    world.command(Command::Logout);
    world.requests();
    world.wait(ANSWERS_PATIENCE - Duration::from_nanos(1));
    // It is slow, but not silent.
    world.server(wire::Event::Joined { user: name("luke") });
    world.wait(ANSWERS_PATIENCE - Duration::from_nanos(1));
    assert_eq!(world.client.deadline(), Some(world.now + Duration::from_nanos(1)));
    assert_eq!(world.requests(), []);
    world.wait(Duration::from_nanos(1));
    world.wait(TRANSFERS_PATIENCE);
    assert_eq!(world.bodies(), [RequestBody::Logout]);
    world.events();
    world.wait(BYE_PATIENCE);
    assert_eq!(world.events(), [LOST, bye()]);
    assert_eq!(world.orders(), [Output::Disconnect]);
}

#[test]
fn a_logout_ends_transfers_before_it_is_asked() {
    let mut world = receiving();
    world.command(Command::Logout);
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    assert_eq!(world.requests(), []);
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::Cancelled));
    says_bye(&mut world);
}

#[test]
fn a_logout_does_not_wait_forever_for_transfers() {
    let mut world = receiving();
    world.command(Command::Logout);
    world.orders();
    assert_eq!(world.client.deadline(), Some(world.now + TRANSFERS_PATIENCE));
    world.wait(TRANSFERS_PATIENCE);
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::Cancelled));
    says_bye(&mut world);
}

#[test]
fn a_logout_withdraws_one_s_own_offers_and_drops_those_of_others() {
    let (mut world, _) = offering();
    world.server(offer(2));
    world.events();
    world.command(Command::Logout);
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::WithdrawOffer { offer: OfferId(1) });
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::Cancelled));
    assert!(matches!(&world.orders()[..], [Output::CloseSource { .. }]));
    says_bye(&mut world);
}

#[test]
fn a_connection_that_is_lost_during_the_logout_is_a_goodbye() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::Logout);
    world.input(disconnected());
    assert_eq!(world.events(), [bye()]);
}

#[test]
fn finishing_waits_for_answers_and_transfers_and_then_logs_out() {
    let (mut world, _) = offering();
    world.command(broadcast("hi"));
    world.command(Command::Rooms);
    world.command(Command::Finish);
    world.answer(sent(1));
    world.answer(ReplyBody::Rooms(vec![]));
    assert_eq!(world.events().len(), 2);
    assert_eq!((world.requests(), world.client.deadline()), (vec![], None));
    world.server(wire::Event::OfferAccepted {
        offer: OfferId(1),
        address: ([192, 0, 2, 2], 7000).into(),
        index: PeerIndex(9),
        device: other_device(),
    });
    world.report(1, Progress::Moving { bytes: 1, rate_bps: 1, path: Default::default() });
    assert_eq!(world.requests(), []);
    world.report(1, Progress::Done { blake3: [0; 32], saved_as: None });
    assert_eq!(world.events().len(), 2);
    world.orders();
    catches_up_and_says_bye(&mut world);
}

#[test]
fn finishing_gives_up_no_offer_of_one_s_own_but_refuses_those_that_nobody_will_answer() {
    let (mut world, _) = offering();
    world.server(offer(2));
    world.command(Command::Finish);
    let refusal = |id| RequestBody::AnswerOffer { offer: OfferId(id), index: None };
    assert_eq!(world.answer(ReplyBody::Done), refusal(2));
    world.server(offer(3));
    assert_eq!(world.answer(ReplyBody::Done), refusal(3));
    world.events();
    world.server(wire::Event::OfferEnded { offer: OfferId(1), reason: OfferEnd::Rejected });
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::Rejected));
    world.orders();
    catches_up_and_says_bye(&mut world);
}

#[test]
fn who_is_finishing_can_still_log_out_at_once() {
    let mut world = receiving();
    world.command(Command::Finish);
    assert_eq!(world.orders(), []);
    world.command(Command::Logout);
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    world.events();
    says_bye(&mut world);
}

#[test]
fn finishing_without_a_login_ends_too() {
    let mut world = World::new(AcceptPolicy::Ask);
    world.input(connected());
    world.command(login());
    world.command(broadcast("hi"));
    world.command(Command::Finish);
    let refusal = LoginRefusal::InvalidCredentials;
    world.answer(ReplyBody::LoginFailed(refusal));
    assert!(matches!(
        &world.events()[..],
        [Event::LoginFailed(_), Event::Error(Failure::NotLoggedIn), Event::ConnectionLost { was_logged_in: false, .. },]
    ));
    assert_eq!(world.orders(), [Output::Disconnect]);
}

#[test]
fn a_lost_connection_answers_everything_and_is_the_last_event() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(broadcast("asked"));
    world.command(Command::Rooms);
    world.command(Command::Logout);
    world.input(disconnected());
    assert_eq!(world.events(), [LOST, LOST, LOST, connection_lost(true)]);
    assert_eq!(world.orders(), []);
    assert_eq!(world.client.deadline(), None);

    let kind = HistoryKind::Broadcast;
    for command in [
        Command::ActiveUsers,
        Command::Rooms,
        Command::Leave { room: RoomId(1) },
        Command::History { kind, since: Timestamp::default() },
        Command::Latest { room: None, count: 1 },
        Command::Find { text: "x".into() },
        Command::Verify { user: "luke".into(), confirm: false },
    ] {
        let mut world = World::logged_in(AcceptPolicy::Ask);
        world.command(command);
        world.input(disconnected());
        assert_eq!(world.events(), [LOST, connection_lost(true)]);
    }

    let mut world = World::new(AcceptPolicy::Ask);
    world.command(login());
    world.input(disconnected());
    assert_eq!(world.events(), [LOST, connection_lost(false)]);
}

#[test]
fn a_lost_connection_fails_offers_and_cancels_transfers() {
    let lost = TransferState::Failed(TransferFailure::ServerLost);
    let (mut world, _) = offering();
    world.input(disconnected());
    let [Event::Transfer(transfer), last] = &world.events()[..] else { panic!() };
    assert_eq!((&transfer.state, last), (&lost, &connection_lost(true)));
    assert!(matches!(&world.orders()[..], [Output::CloseSource { .. }]));

    let mut world = receiving();
    world.input(disconnected());
    let [Event::Transfer(transfer), last] = &world.events()[..] else { panic!() };
    assert_eq!((&transfer.state, last), (&lost, &connection_lost(true)));
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.events(), []);
}

#[test]
fn a_file_that_is_opened_too_late_is_closed() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.orders();
    world.input(disconnected());
    assert_eq!(world.events(), [LOST, connection_lost(true)]);
    assert_eq!(world.orders(), []);
    let source = SourceId(1);
    world.input(Input::SourceOpened { source, label: FileLabel::new("a"), bytes: 1, listing: None });
    assert_eq!(world.orders(), [Output::CloseSource { source }]);
}

#[test]
fn an_offer_that_is_made_while_one_leaves_is_taken_back() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    opened_for_luke(&mut world, 1);
    world.command(Command::Logout);
    let [offering] = world.requests().try_into().unwrap();
    world.wait(ANSWERS_PATIENCE);
    world.reply(offering.id, ReplyBody::Offered { offer: OfferId(1) });
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::WithdrawOffer { offer: OfferId(1) });
    world.events();
    world.orders();
    says_bye(&mut world);
}

#[test]
fn an_offer_that_is_not_made_yet_when_one_leaves_is_not_made() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.orders();
    world.input(Input::SourceOpened { source: SourceId(1), label: FileLabel::new("a"), bytes: 1, listing: None });
    world.command(Command::Logout);
    let [asking] = world.requests().try_into().unwrap();
    world.wait(ANSWERS_PATIENCE);
    world.reply(asking.id, devices("luke", other_device()));
    assert_eq!(world.events(), [Event::Error(Failure::NotLoggedIn)]);
    assert_eq!(world.orders(), [Output::CloseSource { source: SourceId(1) }]);
    says_bye(&mut world);
}

#[test]
fn who_leaves_is_offered_nothing() {
    let mut world = receiving();
    world.command(Command::Logout);
    world.orders();
    world.server(offer(2));
    assert_eq!((world.events(), world.requests(), world.orders()), (vec![], vec![], vec![]));
}

#[test]
fn receipts_are_confirmed_before_the_logout() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    let (number, from) = (MessageNumber(1), name("luke"));
    world.server(wire::Event::DirectMessage { number, at: AT, from, text: "hi".into() });
    world.command(Command::Logout);
    world.events();
    assert!(matches!(world.answer(ReplyBody::Done), RequestBody::DirectReceived { .. }));
    says_bye(&mut world);
}

#[test]
fn finishing_accepts_nothing_new_by_policy() {
    let mut world = receiving();
    world.command(Command::Finish);
    world.server(offer(2));
    assert_eq!(world.bodies(), [RequestBody::AnswerOffer { offer: OfferId(2), index: None }]);
    assert_eq!(world.orders(), []);
}

#[test]
fn finishing_waits_for_a_login_and_for_a_file_that_is_being_opened() {
    let mut world = World::new(AcceptPolicy::Ask);
    world.input(connected());
    world.command(login());
    world.command(Command::Finish);
    assert_eq!((world.events(), world.orders()), (vec![], vec![]));
    world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
    world.events();
    catches_up_and_says_bye(&mut world);

    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.command(Command::Finish);
    assert_eq!((world.requests(), world.client.deadline()), (vec![], None));
    opened_for_luke(&mut world, 1);
    assert!(matches!(world.answer(ReplyBody::Offered { offer: OfferId(1) }), RequestBody::Offer { .. }));
    assert_eq!(world.requests(), []);
}

fn direct(number: u64) -> wire::Event {
    wire::Event::DirectMessage { number: MessageNumber(number), at: AT, from: name("luke"), text: "hi".into() }
}

fn receipt(through: u64) -> RequestBody {
    RequestBody::DirectReceived { from: name("luke"), through: MessageNumber(through) }
}

#[test]
fn finishing_shows_what_was_missed_and_confirms_it() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.command(Command::Finish);
    let [catch_up] = world.requests().try_into().unwrap();
    assert_eq!(catch_up.body, RequestBody::CatchUp);
    world.server(direct(1));
    assert!(matches!(&world.events()[..], [Event::DirectMessage { .. }]));
    let [shown] = world.requests().try_into().unwrap();
    world.reply(catch_up.id, ReplyBody::Done);
    assert_eq!((shown.body, world.requests()), (receipt(1), vec![]));
    world.reply(shown.id, ReplyBody::Done);
    says_bye(&mut world);
}

#[test]
fn everything_that_was_shown_is_confirmed_before_the_logout_and_nothing_is_shown_after_it() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    for number in 1..=3 {
        world.server(direct(number));
    }
    assert_eq!(world.events().len(), 3);
    // The server is silent: the second receipt has waited for the reply to the first one.
    assert_eq!(world.bodies(), [receipt(1)]);
    world.command(Command::Logout);
    world.wait(TRANSFERS_PATIENCE);
    let [shown, logout] = world.requests().try_into().unwrap();
    assert_eq!((shown.body, logout.body), (receipt(3), RequestBody::Logout));
    world.server(direct(4));
    assert_eq!((world.events(), world.requests()), (vec![], vec![]));
    world.reply(logout.id, ReplyBody::Bye);
    assert_eq!(world.events(), [bye()]);
}
