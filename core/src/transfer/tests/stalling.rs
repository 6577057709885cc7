//! What is told of a transfer that does not move, and that it goes on.

use core::time::Duration;

use super::end::End;
use super::link::Quality;
use super::stream::{Reader, Source};
use super::world::{World, file};
use crate::client::event::TransferFailure;
use crate::client::io::{Destination, Progress};
use crate::client::standing::{PathKind, Waiting};
use crate::peer::{AWAY_AFTER, MAX_PAUSE};
use crate::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

const DEAD: Quality = Quality { loss: 1_000, ..Quality::PERFECT };
/// Ten megabytes take ten seconds.
const NARROW: Quality =
    Quality { rate: Some((1_000_000, 100_000)), delay: Duration::from_millis(10), ..Quality::PERFECT };

/// What was told since `since`, but how far it is.
fn stalls(end: &End, since: Instant) -> Vec<&Progress> {
    let is_stall = |progress: &&Progress| matches!(progress, Progress::Waiting(_) | Progress::Paused { .. });
    end.reports.iter().filter(|(at, _)| *at >= since).map(|(_, progress)| progress).filter(is_stall).collect()
}

fn narrow() -> World {
    let mut world = World::new(file(10_000_000), 1_200, NARROW, 3);
    world.back.quality = Quality::PERFECT;
    world
}

fn interrupt(world: &mut World, time: Duration) {
    (world.there.quality, world.back.quality) = (DEAD, DEAD);
    world.run_for(time);
    (world.there.quality, world.back.quality) = (NARROW, Quality::PERFECT);
}

#[test]
fn what_moves_does_not_wait_and_its_path_is_told() {
    let mut world = narrow();
    assert!(world.run(MINUTE));
    world.assert_done();
    for end in [&world.sender, &world.receiver] {
        let path = end.reports.iter().rev().find_map(|(_, progress)| match progress {
            Progress::Moving { path, .. } => Some(*path),
            _ => None,
        });
        assert_eq!(path.expect("it moved").kind, PathKind::Lan);
        assert_eq!(stalls(end, Instant::ZERO), [] as [&Progress; 0]);
    }
    let measured = |(_, progress): &(Instant, Progress)| match progress {
        Progress::Moving { path, .. } => path.round_trip.is_some_and(|it| it >= Duration::from_millis(10)),
        _ => false,
    };
    assert!(world.sender.reports.iter().any(measured));
}

#[test]
fn a_path_that_is_gone_for_two_minutes_pauses_both_ends_and_they_go_on() {
    let mut world = narrow();
    world.run_for(3 * SECOND);
    let (gone, before) = (world.now, world.sender_counters().packets_sent);
    interrupt(&mut world, 2 * MINUTE);
    for end in [&world.sender, &world.receiver] {
        let told = stalls(end, gone);
        assert!(matches!(told.last(), Some(Progress::Paused { silent }) if *silent == AWAY_AFTER), "{told:?}");
        let pauses = told.iter().filter(|it| matches!(it, Progress::Paused { .. })).count();
        assert_eq!((pauses, end.outcome()), (1, None), "once");
    }
    let sent = world.sender_counters().packets_sent - before;
    assert!(sent < 1_500, "no flood: {sent}");
    let back = world.now;
    world.run_for(6 * SECOND);
    for end in [&world.sender, &world.receiver] {
        let next = end.reports.iter().find(|(at, _)| *at >= back).expect("it goes on");
        assert!(matches!(next, (_, Progress::Moving { .. })), "{next:?}");
    }
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn who_sleeps_almost_an_hour_goes_on_too() {
    let mut world = narrow();
    world.run_for(3 * SECOND);
    interrupt(&mut world, MAX_PAUSE - MINUTE);
    assert!(world.run(2 * MINUTE));
    world.assert_done();
}

#[test]
fn what_is_cancelled_meanwhile_is_told_to_who_comes_back() {
    for sender_cancels in [true, false] {
        let mut world = narrow();
        world.run_for(3 * SECOND);
        interrupt(&mut world, MINUTE);
        (world.there.quality, world.back.quality) = (DEAD, DEAD);
        let end = if sender_cancels { &mut world.sender } else { &mut world.receiver };
        end.cancel(world.now);
        world.run_for(10 * MINUTE);
        (world.there.quality, world.back.quality) = (NARROW, Quality::PERFECT);
        assert!(world.run(MINUTE), "and nobody waits any longer");
        match sender_cancels {
            true => world.assert_failed(TransferFailure::Cancelled, TransferFailure::CancelledByPeer),
            false => world.assert_failed(TransferFailure::CancelledByPeer, TransferFailure::Cancelled),
        }
    }
}

#[test]
fn a_slow_disk_is_named_at_both_ends_once() {
    let mut world = World::new(file(100_000_000), 60_000, Quality::PERFECT, 4);
    world.receiver.slow_disk = 20 * SECOND;
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    let own = stalls(&world.receiver, Instant::ZERO);
    assert!(
        own.iter().all(|it| **it == Progress::Waiting(Waiting::OwnDisk)) && (1..=4).contains(&own.len()),
        "{own:?}"
    );
    let peer = stalls(&world.sender, Instant::ZERO);
    assert!(peer.contains(&&Progress::Waiting(Waiting::PeerDisk)) && peer.len() <= 4, "{peer:?}");

    let mut world = World::new(file(1_000_000), 1_200, Quality::PERFECT, 4);
    world.sender.slow_disk = 3 * SECOND;
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    let own = stalls(&world.sender, Instant::ZERO);
    assert_eq!(own.first(), Some(&&Progress::Waiting(Waiting::OwnDisk)), "{own:?}");
    let peer = stalls(&world.receiver, Instant::ZERO);
    assert_eq!(peer.first(), Some(&&Progress::Waiting(Waiting::Bytes)), "{peer:?}");
}

#[test]
fn a_slow_hash_is_named_at_both_ends() {
    let mut world = World::new(file(1_000_000), 1_200, Quality::PERFECT, 5);
    world.run_for(MILLISECOND);
    world.receiver.slow_hash = Some(2 * MINUTE);
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    assert_eq!(stalls(&world.receiver, Instant::ZERO), [&Progress::Waiting(Waiting::OwnHash)]);
    assert_eq!(stalls(&world.sender, Instant::ZERO), [&Progress::Waiting(Waiting::PeerHash)]);
}

#[test]
fn nobody_there_is_waited_for_and_then_fails() {
    let mut world = World::new(file(1_000), 1_200, DEAD, 6);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::TimedOut, TransferFailure::TimedOut);
    assert_eq!(stalls(&world.sender, Instant::ZERO), [&Progress::Waiting(Waiting::Answer)]);
}

#[test]
fn of_a_stream_the_source_and_the_reader_are_named() {
    let stream = |source, reader| {
        let mut world = World::not_started(file(20_000_000), 60_000, Quality::PERFECT, 7);
        (world.bytes, world.into) = (None, Destination::Stream);
        (world.sender.source, world.receiver.reader) = (Some(source), Some(reader));
        world.start_receiver();
        world.start_sender();
        world.run_for(60 * SECOND);
        let first = |end: &End| stalls(end, Instant::ZERO).first().map(|it| (*it).clone());
        (first(&world.sender), first(&world.receiver))
    };
    // A piece, and then nothing for long.
    let slow_source = Source::new(1_000, 10 * MINUTE, 1 << 23);
    let told = stream(slow_source, Reader::new(Duration::ZERO));
    assert_eq!(told, (Some(Progress::Waiting(Waiting::Source)), Some(Progress::Waiting(Waiting::Bytes))));
    let fast_source = Source::new(1 << 23, Duration::ZERO, 1 << 24);
    let told = stream(fast_source, Reader::new(10 * MINUTE));
    assert_eq!(told, (Some(Progress::Waiting(Waiting::PeerDisk)), Some(Progress::Waiting(Waiting::Reader))));
}
