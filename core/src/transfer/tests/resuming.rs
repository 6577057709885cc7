//! A receiver that has the beginning of the file.

use core::time::Duration;

use super::link::Quality;
use super::world::{World, file};
use crate::client::event::TransferFailure;
use crate::client::io::Progress;
use crate::config::Congestion;
use crate::peer::{Connection, ConnectionConfig};

const PAYLOAD: usize = 1_200;
const HAS: usize = 300_000;
const BYTES: usize = 500_000;

/// A world whose receiver has `has` bytes of the file.
fn world(has: usize, quality: Quality, seed: u64) -> World {
    let mut world = World::not_started(file(BYTES), PAYLOAD, quality, seed);
    let kept = world.sender.file[..has].to_vec();
    world.receiver.file[..has].copy_from_slice(&kept);
    world.receiver.has = has;
    world
}

fn run(world: &mut World) {
    world.start_receiver();
    world.start_sender();
    assert!(world.run(Duration::from_secs(200)), "it does not end");
}

/// What both ends were told first.
fn resumed(world: &World) -> [Option<Progress>; 2] {
    [&world.sender, &world.receiver].map(|end| end.reports.first().map(|(_, progress)| progress.clone()))
}

fn assert_same_file(world: &World) {
    assert!(world.receiver.published && world.sender.file == world.receiver.file);
    assert!(matches!(world.sender.outcome(), Some(Progress::Done { .. })));
    assert!(matches!(world.receiver.outcome(), Some(Progress::Done { .. })));
}

const LOSSY: Quality = Quality { loss: 100, jitter: Duration::from_millis(30), ..Quality::PERFECT };

#[test]
fn only_what_is_missing_is_sent() {
    for (has, quality) in [(HAS, Quality::PERFECT), (HAS, LOSSY), (1, LOSSY), (BYTES - 1, LOSSY), (BYTES, LOSSY)] {
        for seed in 0..8 {
            let mut world = world(has, quality, seed);
            run(&mut world);
            assert_same_file(&world);
            assert_eq!(world.receiver.bytes_written, (BYTES - has) as u64);
            let expected = Progress::Resumed { bytes: has as u64, of: has as u64 };
            assert_eq!(resumed(&world), [Some(expected.clone()), Some(expected)]);
        }
    }
}

#[test]
fn progress_goes_on_where_it_was_and_its_rate_is_of_what_is_sent() {
    let slow = Quality { rate: Some((100_000, 50_000)), ..Quality::PERFECT };
    let mut world = world(HAS, slow, 1);
    run(&mut world);
    for end in [&world.sender, &world.receiver] {
        let moving = end.reports.iter().filter_map(|(_, progress)| match progress {
            Progress::Moving { bytes, rate_bps, .. } => Some((*bytes, *rate_bps)),
            _ => None,
        });
        let moving: Vec<_> = moving.collect();
        assert!(moving.len() > 2, "{moving:?}");
        // What fits the link's queue is there at once.
        assert!(moving.iter().all(|(bytes, rate)| *bytes >= HAS as u64 && *rate < 8 * 200_000), "{moving:?}");
    }
}

#[test]
fn a_file_that_has_changed_since_is_sent_from_the_beginning_and_that_is_told() {
    for quality in [Quality::PERFECT, LOSSY] {
        for seed in 0..8 {
            let mut world = world(HAS, quality, seed);
            world.sender.file[7] ^= 1;
            run(&mut world);
            assert_same_file(&world);
            assert_eq!(world.receiver.bytes_written, BYTES as u64);
            let expected = Progress::Resumed { bytes: 0, of: HAS as u64 };
            assert_eq!(resumed(&world), [Some(expected.clone()), Some(expected)]);
            assert_eq!(world.receiver.has, 0, "what is not of this file is forgotten");
        }
    }
}

#[test]
fn a_receiver_that_looks_at_what_it_has_for_long_is_waited_for() {
    let mut world = world(HAS, Quality::PERFECT, 3);
    world.receiver.slow_hash = Some(Duration::from_secs(20));
    run(&mut world);
    assert_same_file(&world);
}

#[test]
fn bytes_that_were_there_and_changed_since_fail_the_whole() {
    let mut world = world(HAS, Quality::PERFECT, 3);
    world.start_receiver();
    world.receiver.file[7] ^= 1;
    world.start_sender();
    assert!(world.run(Duration::from_secs(200)), "it does not end");
    world.assert_failed(TransferFailure::Integrity, TransferFailure::Integrity);
}

#[test]
fn credit_is_counted_from_what_is_there() {
    use crate::time::Instant;
    use crate::wire::peer_frame::FlowId;
    let remote = "10.0.0.2:1".parse().unwrap();
    let config = ConnectionConfig { remote, payload: None, congestion: Congestion::Bbr, limit: None, seed: [1; 32] };
    let mut connection = Connection::new(Instant::ZERO, config);
    let flow = FlowId(1);
    connection.open_sending(flow, 10_000, 1_000 + 4_000);
    connection.skip_sending(flow, 4_000);
    assert_eq!((connection.acknowledged(flow), connection.claim(flow, 9_000)), (4_000, Some(4_000..5_000)));
    connection.open_receiving(flow, 10_000, 1_000);
    connection.allow_receiving(flow, 1_000 + 4_000);
    connection.skip_receiving(Instant::ZERO, flow, 4_000);
    assert_eq!((connection.arrived(flow), connection.is_complete(flow)), (4_000, false));
}
