//! What takes minutes, or a moment exactly: in virtual time only.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Transfer, TransferFailure, TransferState};
use toom_core::client::io::AcceptPolicy;
use toom_core::id::OfferId;
use toom_core::link::Violation;
use toom_core::secure::Suite;
use toom_core::server::io::CloseReason;
use toom_core::wire::limits::{FRAME_DEADLINE, HANDSHAKE_DEADLINE, LOGIN_DEADLINE, OFFER_LIFETIME};
use toom_core::wire::message::LoginRefusal::{Blocked, InvalidCredentials};
use toom_core::wire::preamble::Preamble;
use toom_tests::scenario::steps::{log_in, log_in_with, login_request, password_of, start};
use toom_tests::scenario::transfer::{arrives, send, two, two_accepting};
use toom_tests::scenario::{ClientId, RawId, World};
use toom_tests::sim::options::LinkOptions;
use toom_tests::sim::{Options, SimulatedWorld};

/// More than any message takes on a calm network.
const A_MOMENT: Duration = Duration::from_millis(200);

fn calm() -> SimulatedWorld {
    SimulatedWorld::new(Options::calm(1))
}

#[test]
fn a_block_lasts_ten_seconds() {
    let world: &mut dyn World = &mut calm();
    start(world, &["yoda"]);
    for _ in 0..2 {
        assert_eq!(world.try_login_anew("yoda", "wrong"), Err(InvalidCredentials));
    }
    assert!(matches!(world.try_login_anew("yoda", "wrong"), Err(Blocked { .. })));
    let right = password_of("yoda");
    world.pause(Duration::from_millis(9_500));
    match world.try_login_anew("yoda", &right) {
        Err(Blocked { retry_after_ms }) => assert!((1..=500).contains(&retry_after_ms), "{retry_after_ms} ms"),
        other => panic!("within the block: {other:?}"),
    }
    world.pause(Duration::from_millis(500));
    assert!(world.try_login_anew("yoda", &right).is_ok());
}

/// A connection is there after `time` less a moment, and closed after `time` and a moment.
fn is_closed_after(world: &mut SimulatedWorld, raw: RawId, time: Duration) {
    world.pause(time - A_MOMENT);
    assert!(!world.simulation.raw(raw.0).ended(), "closed before {time:?}");
    world.pause(2 * A_MOMENT);
    assert!(world.simulation.raw(raw.0).ended(), "not closed after {time:?}");
}

#[test]
fn silence_before_the_greeting_is_closed() {
    let mut world = calm();
    start(&mut world, &["yoda"]);
    let raw = world.connect_raw(None);
    world.write_raw(raw, &Preamble::new(Suite::AesGcm).encode()[..3]);
    is_closed_after(&mut world, raw, HANDSHAKE_DEADLINE);
    assert_eq!(world.simulation.server().map(|s| s.violations().to_vec()), Some(vec![Violation::SilentHandshake]));
}

#[test]
fn silence_before_the_login_is_closed() {
    let mut world = calm();
    start(&mut world, &["yoda"]);
    let raw = world.connect_raw(None);
    world.greet_raw(raw);
    is_closed_after(&mut world, raw, LOGIN_DEADLINE);
    assert_eq!(world.simulation.server().map(|s| s.closes().to_vec()), Some(vec![CloseReason::LoginTimedOut]));
}

#[test]
fn half_a_frame_then_silence_is_closed_and_nobody_else_notices() {
    let mut world = calm();
    start(&mut world, &["yoda", "luke", "leia"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(&mut world, name));
    let raw = world.connect_raw(None);
    let login = login_request(1, "leia", &password_of("leia"));
    world.greet_raw(raw);
    world.write_raw(raw, &login[..login.len() / 2]);
    is_closed_after(&mut world, raw, FRAME_DEADLINE);
    assert_eq!(world.simulation.server().map(|s| s.violations().to_vec()), Some(vec![Violation::SilentFrame]));
    let world: &mut dyn World = &mut world;
    world.broadcast(yoda, "still here");
    world.hears(luke, "still here");
}

#[test]
fn who_is_logged_in_may_be_silent_for_an_hour() {
    let world: &mut dyn World = &mut calm();
    start(world, &["yoda", "luke"]);
    let [yoda, luke] = ["yoda", "luke"].map(|name| log_in(world, name));
    world.pause(Duration::from_secs(3_600));
    world.broadcast(yoda, "good morning");
    world.hears(luke, "good morning");
}

#[test]
fn an_offer_that_nobody_answers_expires() {
    let world: &mut dyn World = &mut calm();
    let (yoda, luke) = two(world);
    let file = world.put_file("film.mp4", 1_000, 1);
    let id = send(world, yoda, "luke", &file);
    world.pause(OFFER_LIFETIME - A_MOMENT);
    for client in [yoda, luke] {
        world.absent(client, "an early end of the offer", |event| has_failed(event, id).is_some());
    }
    world.pause(2 * A_MOMENT);
    for client in [yoda, luke] {
        assert_eq!(failure(world, client, id), TransferFailure::Expired);
    }
}

#[test]
fn twenty_megabytes_cross_a_link_with_loss_reordering_and_duplication() {
    // With a queue that holds whatever start-up sends, so that only chance loses any.
    let rough = Options::rough(1);
    let link = LinkOptions { queue: Duration::from_millis(200), ..rough.link };
    let mut world = SimulatedWorld::new(Options { link, ..rough });
    let (yoda, luke) = two_accepting(&mut world);
    let file = world.put_file("film.mp4", 20_000_000, 1);
    let id = send(&mut world, yoda, "luke", &file);
    arrives(&mut world, yoda, luke, id, &file);
    let fates = world.simulation.fates(yoda.0, luke.0);
    for (what, count) in [("lost", fates.lost), ("reordered", fates.reordered), ("duplicated", fates.duplicated)] {
        let percent = 100 * count / fates.sent;
        assert!((4..=6).contains(&percent), "{count} of {} were {what}", fates.sent);
    }
}

#[test]
fn a_transfer_without_any_datagram_coming_through_ends_at_both_ends() {
    let options = Options { link: LinkOptions { loss: 1.1, ..LinkOptions::default() }, ..Options::calm(1) };
    let world: &mut dyn World = &mut SimulatedWorld::new(options);
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in_with(world, "luke", AcceptPolicy::All);
    let file = world.put_file("film.mp4", 1_000, 1);
    let id = send(world, yoda, "luke", &file);
    for client in [yoda, luke] {
        assert_eq!(failure(world, client, id), TransferFailure::TimedOut);
        world.command(client, Command::Transfers);
        world.wait(client, "no transfers", |event| *event == Event::Transfers(Vec::new()));
    }
    assert!(world.downloads(luke).is_empty());
}

fn has_failed(event: &Event, id: OfferId) -> Option<TransferFailure> {
    match event {
        Event::Transfer(Transfer { id: this, state: TransferState::Failed(why), .. }) if *this == id => {
            Some(why.clone())
        }
        _ => None,
    }
}

fn failure(world: &mut dyn World, client: ClientId, id: OfferId) -> TransferFailure {
    world.pick(client, "the failure of the transfer", |event| has_failed(event, id))
}
