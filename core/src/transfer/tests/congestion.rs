//! How much of a link a transfer uses.

use core::time::Duration;

use super::link::Quality;
use super::world::{World, file};
use crate::time::Instant;

const MEGABIT: u64 = 125_000;

/// A link of so many bytes a second, with a round trip, a queue in hundredths of their product, and loss each way in
/// thousandths.
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

/// Moves a file; which share of the link's rate that was, in thousandths, all handshakes included.
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

#[test]
fn shares() {
    for (name, quality, bytes) in [
        ("100 Mbit/s 50 ms 0 %", link(100 * MEGABIT, 50, 100, 0), 64 << 20),
        ("100 Mbit/s 50 ms 1 %", link(100 * MEGABIT, 50, 100, 10), 64 << 20),
        ("100 Mbit/s 200 ms 5 %", link(100 * MEGABIT, 200, 100, 50), 64 << 20),
        ("1 Gbit/s 20 ms 0.1 %", link(1_000 * MEGABIT, 20, 100, 1), 256 << 20),
        ("10 Mbit/s 30 ms, 2 s queue", link(10 * MEGABIT, 30, 6_667, 0), 16 << 20),
        ("100 Mbit/s 50 ms, quarter queue", link(100 * MEGABIT, 50, 25, 0), 64 << 20),
    ] {
        let (share, world) = share(quality, bytes, 1);
        let counters = world.sender_counters();
        std::eprintln!(
            "{name}: {share} per mille; sent {} lost {} again {} dropped {}",
            counters.packets_sent,
            counters.packets_lost,
            counters.retransmitted_bytes,
            world.there.dropped
        );
    }
}
