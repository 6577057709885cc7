//! Streams: nobody knows how long they are before they end, and neither end keeps more than it can.

use core::time::Duration;

use proptest::prelude::*;

use super::link::Quality;
use super::stream::{Reader, Source};
use super::world::{World, file};
use crate::client::event::TransferFailure;
use crate::client::io::{Destination, Progress};
use crate::transfer::io::STREAM_BYTES;

const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// 5 % loss, reordering and duplication.
const BAD: Quality = Quality {
    marks: super::link::Marks::Carried,
    mtu: 65_535,
    delay: Duration::from_millis(10),
    jitter: Duration::from_millis(3),
    loss: 50,
    duplication: 20,
    bending: 0,
    replay: 0,
    hurry: 20,
    bursts: None,
    rate: None,
};

/// A stream of these bytes, from `source`.
fn streaming(bytes: Vec<u8>, source: Source, reader: Option<Reader>, quality: Quality, seed: u64) -> World {
    let mut world = World::not_started(bytes, 1_200, quality, seed);
    world.bytes = None;
    world.into = if reader.is_some() { Destination::Stream } else { Destination::File };
    (world.sender.source, world.receiver.reader) = (Some(source), reader);
    world.start_receiver();
    world.start_sender();
    world
}

/// One that gives all that there is room for, at once.
fn fast(capacity: u64) -> Source {
    Source::new(u64::MAX >> 1, Duration::ZERO, capacity)
}

#[test]
fn a_stream_crosses_loss_and_reordering_and_both_ends_keep_little_of_it() {
    for reader in [None, Some(Reader::new(MILLISECOND))] {
        let mut world = streaming(file(5_000_000), fast(300_000), reader, BAD, 1);
        assert!(world.run(10 * MINUTE));
        world.assert_done();
        assert!(world.sender_counters().retransmitted_bytes > 0);
        let kept = world.sender.source.as_ref().expect("a stream").most_kept;
        assert_eq!(kept, 300_000, "it was full at times");
    }
}

#[test]
fn an_empty_stream_is_done_too() {
    for reader in [None, Some(Reader::new(MILLISECOND))] {
        let mut world = streaming(Vec::new(), Source::new(1, MILLISECOND, 1), reader, BAD, 2);
        // Nothing comes, and then the end.
        world.sender.ends(world.now);
        assert!(world.run(MINUTE));
        world.assert_done();
    }
}

#[test]
fn what_there_is_of_a_slow_stream_arrives_before_more_comes() {
    let slow = Source::new(10, Duration::from_secs(100), 1_000);
    let mut world = streaming(file(40), slow, Some(Reader::new(Duration::ZERO)), Quality::PERFECT, 3);
    for pieces in 1..=3 {
        world.run_for(Duration::from_secs(99));
        let reader = world.receiver.reader.as_ref().expect("a stream");
        assert_eq!(reader.taken, 10 * pieces);
        assert_eq!((world.sender.outcome(), world.receiver.outcome()), (None, None), "it waits as long as it takes");
        world.run_for(Duration::from_secs(1));
    }
    assert!(world.run(10 * MINUTE));
    world.assert_done();
}

#[test]
fn a_reader_that_takes_nothing_stops_the_sender_and_nothing_is_lost() {
    let mut world = streaming(
        file(3 * STREAM_BYTES),
        fast(STREAM_BYTES as u64),
        Some(Reader::new(MILLISECOND)),
        Quality::PERFECT,
        4,
    );
    world.receiver.reader.as_mut().expect("a reader").free_at = world.now + 60 * MINUTE;
    world.run_for(30 * MINUTE);
    assert_eq!((world.sender.outcome(), world.receiver.outcome()), (None, None));
    let arrived = world.receiver.bytes_written;
    assert!(arrived <= STREAM_BYTES as u64 && arrived > STREAM_BYTES as u64 / 2, "{arrived}");
    assert!(world.run(60 * MINUTE));
    world.assert_done();
    let (reader, source) = (world.receiver.reader.expect("a reader"), world.sender.source.expect("a source"));
    assert!(reader.most_kept <= STREAM_BYTES as u64 && source.most_kept <= STREAM_BYTES as u64);
}

#[test]
fn a_file_goes_to_a_stream_within_its_window() {
    let mut world = World::not_started(file(20_000_000), 1_200, BAD, 5);
    world.into = Destination::Stream;
    // For longer than the file would take.
    let mut reader = Reader::new(MILLISECOND);
    reader.free_at = world.now + MINUTE;
    world.receiver.reader = Some(reader);
    world.start_receiver();
    world.start_sender();
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    let kept = world.receiver.reader.expect("a reader").most_kept;
    assert!(kept <= STREAM_BYTES as u64 && kept > STREAM_BYTES as u64 / 2, "{kept}");
}

#[test]
fn a_stream_that_breaks_fails_at_both_ends() {
    let slow = || Source::new(100_000, 100 * MILLISECOND, 1_000_000);
    let mut world = streaming(file(5_000_000), slow(), None, BAD, 6);
    world.run_for(Duration::from_secs(1));
    world.sender.storage_fails(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::Read("the disk is full".into()), TransferFailure::PeerStorage);

    let mut world = streaming(file(5_000_000), slow(), Some(Reader::new(MILLISECOND)), BAD, 7);
    world.run_for(Duration::from_secs(1));
    world.receiver.storage_fails(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::PeerStorage, TransferFailure::Write("the disk is full".into()));
}

#[test]
fn the_last_report_of_a_stream_has_all_of_it() {
    let mut world = streaming(file(700_000), fast(300_000), None, BAD, 8);
    assert!(world.run(MINUTE));
    for end in [&world.sender, &world.receiver] {
        let last = end.reports.iter().rev().find_map(|(_, progress)| match progress {
            Progress::Moving { bytes, .. } => Some(*bytes),
            _ => None,
        });
        assert_eq!(last, Some(700_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_stream_crosses_any_link(
        length in 1usize..300_000,
        piece in prop_oneof![500u64..2_000, 60_000u64..200_000],
        capacity in 1_000u64..100_000,
        (pause, reader) in (0u32..20, prop::option::of(0u32..20)),
        (loss, jitter, duplication) in (0u64..200, 0u32..10, 0u64..100),
        seed: u64,
    ) {
        let quality = Quality { loss, duplication, jitter: jitter * MILLISECOND, ..BAD };
        let source = Source::new(piece, pause * MILLISECOND / 10, capacity);
        let reader = reader.map(|pause| Reader::new(pause * MILLISECOND / 10));
        let mut world = streaming(file(length), source, reader, quality, seed);
        prop_assert!(world.run(60 * MINUTE), "{:?} {:?}", world.sender.reports.last(), world.receiver.reports.last());
        world.assert_done();
        prop_assert!(world.sender.source.is_some_and(|source| source.most_kept <= capacity));
    }
}
