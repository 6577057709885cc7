//! Paths that carry packets of several sizes.

use core::time::Duration;

use super::link::Quality;
use super::world::{World, file};

const BYTES: usize = 8_000_000;

fn run(quality: Quality, seed: u64) -> World {
    let mut world = World::new(file(BYTES), None, quality, seed);
    assert!(world.run(Duration::from_secs(300)), "it does not end");
    world.assert_done();
    world
}

/// How many packets the file needs if each carries so many bytes.
fn packets(payload: usize) -> u64 {
    BYTES.div_ceil(payload - 43) as u64
}

#[test]
fn packets_are_as_large_as_the_path_carries() {
    for (mtu, found, too_large) in [
        (65_535, 65_000, 0),
        (9_000, 8_952, 3),
        (1_472, 1_472, 3),
        (1_452, 1_452, 3),
        (1_400, 1_389, 9),
        (1_200, 1_200, 15),
    ] {
        for seed in 0..4 {
            let world = run(Quality { mtu, ..Quality::PERFECT }, seed);
            let counters = world.sender_counters();
            assert_eq!(counters.payload, found, "{mtu}");
            // Smaller ones only in the first round trips.
            let most = if found > 1_200 { packets(1_200) } else { packets(found) + 40 };
            assert!(counters.packets_sent < most, "{mtu}: {}", counters.packets_sent);
            assert!(world.there.too_large <= too_large, "{mtu}: {}", world.there.too_large);
            assert_eq!((world.back.too_large, world.sender_counters().packets_lost), (0, 0), "{mtu}");
        }
    }
}

#[test]
fn a_size_is_found_in_spite_of_losses_and_file_is_never_lost_for_its_size() {
    for seed in 0..8 {
        let quality = Quality { mtu: 9_000, loss: 50, ..Quality::PERFECT };
        let world = run(quality, seed);
        assert!(world.there.too_large <= 3);
        assert!(world.sender_counters().packets_sent < packets(1_452), "{}", world.sender_counters().packets_sent);
    }
}

#[test]
fn a_path_that_begins_to_carry_less_and_says_nothing_is_found_out() {
    for (first, then) in [(65_535, 1_300), (9_000, 1_500), (1_500, 1_200), (65_535, 9_000)] {
        for seed in 0..4 {
            let slow = Quality { mtu: first, rate: Some((2_000_000, 500_000)), ..Quality::PERFECT };
            let mut world = World::new(file(BYTES), None, slow, seed);
            world.run_for(Duration::from_secs(1));
            world.there.quality.mtu = then;
            assert!(world.run(Duration::from_secs(30)), "{first} to {then}: it does not end");
            world.assert_done();
        }
    }
}
