//! How much of a link a transfer uses.

use core::time::Duration;

use super::link::Quality;
use super::world::{World, file};
use crate::config::TransferConfig;
use crate::time::Instant;

const MEGABIT: u64 = 125_000;

/// A link of so many bytes a second, with a round trip in milliseconds, a queue in hundredths of their product, and loss
/// each way in thousandths.
fn link(rate: u64, round_trip: u64, queue: u64, loss: u64) -> Quality {
    let product = rate * round_trip / 1_000;
    Quality {
        delay: Duration::from_millis(round_trip / 2),
        mtu: 1_472,
        loss,
        rate: Some((rate, (product * queue / 100).max(10_000))),
        ..Quality::PERFECT
    }
}

/// Moves a file; which share of the link's rate that was, in thousandths, from the first handshake to the last word.
fn share(quality: Quality, bytes: usize, seed: u64) -> (u64, World) {
    let mut world = World::new(file(bytes), None, quality, seed);
    let began = world.now;
    assert!(world.run(Duration::from_secs(600)), "it does not end");
    world.assert_done();
    let done = world.sender.reports.last().map_or(Instant::ZERO, |(at, _)| *at);
    let nanos = done.saturating_since(began).as_nanos();
    let rate = u128::from(quality.rate.expect("a rate").0);
    let share = bytes as u128 * 1_000_000_000_000 / nanos / rate;
    (u64::try_from(share).expect("a share"), world)
}

/// Headers take 29 of 1,000, and what is lost is lost; the rest are the first and the last round trips.
#[test]
fn a_link_is_filled_whatever_it_loses_at_random() {
    for (name, quality, bytes, least) in [
        ("100 Mbit/s 50 ms", link(100 * MEGABIT, 50, 100, 0), 64 << 20, 930),
        ("100 Mbit/s 50 ms 1 %", link(100 * MEGABIT, 50, 100, 10), 64 << 20, 910),
        ("100 Mbit/s 200 ms 5 %", link(100 * MEGABIT, 200, 100, 50), 64 << 20, 710),
        ("1 Gbit/s 20 ms 0.1 %", link(1_000 * MEGABIT, 20, 100, 1), 128 << 20, 860),
    ] {
        for seed in 0..2 {
            let (share, world) = share(quality, bytes, seed);
            assert!(share >= least, "{name}: {share}");
            assert!(world.there.dropped < 600, "{name}: start-up overfilled the queue by {}", world.there.dropped);
            // What was lost is sent again, and hardly anything else.
            let lost = world.there.dropped + world.there.lost;
            let again = world.sender_counters().retransmitted_bytes;
            assert!(again <= lost * 1_472 * 13 / 10, "{name}: {again} bytes again, and {lost} packets lost");
        }
    }
}

/// What is overtaken is not lost, and a short way of a few is not that of all.
#[test]
fn a_link_that_reorders_or_loses_in_bursts_is_filled_nearly_as_well() {
    let even = link(100 * MEGABIT, 50, 100, 0);
    let (expected, _) = share(even, 32 << 20, 1);
    for (name, quality, percent) in [
        ("20 ms of jitter", Quality { jitter: Duration::from_millis(20), ..even }, 95),
        ("5 % without the delay", Quality { hurry: 50, ..even }, 90),
        ("bursts of losses", Quality { bursts: Some((10, 300, 300)), ..even }, 90),
    ] {
        for seed in 0..3 {
            let (share, world) = share(quality, 32 << 20, seed);
            assert!(share * 100 >= expected * percent, "{name}: {share} instead of {expected}");
            let again = world.sender_counters().retransmitted_bytes;
            let lost = (world.there.dropped + world.there.lost) * 1_472;
            // Until the first packets are known to have been overtaken, a few are taken for lost.
            assert!(again <= lost * 13 / 10 + 500_000, "{name}: {again} bytes again, and {lost} lost");
        }
    }
}

#[test]
fn a_queue_that_is_too_short_to_be_seen_is_not_flooded() {
    let (share, world) = share(link(100 * MEGABIT, 50, 5, 0), 32 << 20, 1);
    assert!(share >= 850, "{share}");
    let sent = world.sender_counters().packets_sent;
    assert!(world.there.dropped * 11 < sent, "{} of {sent}", world.there.dropped);
}

#[test]
fn a_long_queue_is_not_filled() {
    let (share, world) = share(link(10 * MEGABIT, 30, 6_667, 0), 8 << 20, 1);
    assert!(share >= 900, "{share}");
    // In start-up, three round trips are there for a moment; afterwards one.
    assert!(world.there.longest_wait < Duration::from_millis(100), "{:?}", world.there.longest_wait);
    assert_eq!(world.there.dropped, 0);
}

#[test]
fn a_short_queue_is_not_flooded() {
    let (share, world) = share(link(100 * MEGABIT, 50, 25, 0), 32 << 20, 1);
    assert!(share >= 820, "{share}");
    let sent = world.sender_counters().packets_sent;
    assert!(world.there.dropped * 10 < sent, "{} of {sent}", world.there.dropped);
}

#[test]
fn it_is_never_faster_than_somebody_wants_and_hardly_slower() {
    for (limit, quality) in [
        (2_000_000, Quality::PERFECT),
        (2_000_000, link(100 * MEGABIT, 50, 100, 10)),
        (50_000, Quality { mtu: 1_500, ..Quality::PERFECT }),
    ] {
        let config = TransferConfig { limit: Some(limit), ..TransferConfig::default() };
        let mut world = World::configured(file(limit as usize * 4), config, quality, 1);
        world.start_receiver();
        world.start_sender();
        let began = world.now;
        while world.step() {
            let time = (world.now - began + Duration::from_millis(2)).as_nanos() as u64;
            // The largest probe, and control packets, may leave beyond it, and are counted against what follows.
            let most = limit * time / 1_000_000_000 + 70_000;
            assert!(world.there.offered_bytes <= most, "{limit}: {} of {most}", world.there.offered_bytes);
        }
        world.assert_done();
        let took = world.now - began;
        assert!(took < Duration::from_millis(4_900), "{limit}: {took:?}");
    }
}

#[test]
fn a_rate_that_changes_is_followed() {
    for (before, after) in [(50 * MEGABIT, 100 * MEGABIT), (100 * MEGABIT, 50 * MEGABIT)] {
        let quality = link(before, 50, 100, 0);
        let mut world = World::new(file(96 << 20), None, quality, 1);
        world.run_for(Duration::from_secs(2));
        world.there.quality.rate = link(after, 50, 100, 0).rate;
        // Time to find out.
        world.run_for(Duration::from_secs(5));
        let count = |world: &World| world.receiver.bytes_written;
        let there = count(&world);
        world.run_for(Duration::from_millis(500));
        let rate = (count(&world) - there) * 2;
        assert!(rate * 100 >= after * 80, "{before} to {after}: {rate}");
        assert!(world.run(Duration::from_secs(60)));
        world.assert_done();
    }
}
