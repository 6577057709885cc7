//! Folders and several files: only what the receiver lacks is sent.

use core::time::Duration;

use super::end::hash;
use super::link::Quality;
use super::tree::Tree;
use super::world::{World, file};
use crate::client::event::TransferFailure;
use crate::client::io::Progress;
use crate::client::standing::Waiting;

const LISTING: usize = 3_000;
const LOSSY: Quality = Quality { loss: 100, jitter: Duration::from_millis(30), ..Quality::PERFECT };

/// A world whose receiver has so much of each file: those are files, and what it has.
fn world(files: &[(usize, usize)], quality: Quality, seed: u64) -> World {
    let (sizes, has): (Vec<_>, Vec<_>) = files.iter().copied().unzip();
    let whole = file(LISTING + sizes.iter().sum::<usize>());
    let ours = Tree { listing: LISTING, has: vec![0; sizes.len()], sizes, whole, sent: None };
    let mut theirs = Tree { has, whole: vec![0; ours.whole.len()], ..ours.clone() };
    for (entry, has) in theirs.has.clone().into_iter().enumerate() {
        let place = ours.place(entry).start..ours.place(entry).start + has;
        theirs.whole[place.clone()].copy_from_slice(&ours.whole[place]);
    }
    let mut world = World::not_started(ours.flow(), 1_200, quality, seed);
    (world.bytes, world.listing) = (Some((ours.whole.len() - LISTING) as u64), Some(LISTING as u64));
    (world.sender.tree, world.receiver.tree) = (Some(ours), Some(theirs));
    world
}

fn run(world: &mut World) {
    world.start_receiver();
    world.start_sender();
    assert!(world.run(Duration::from_secs(400)), "it does not end");
}

fn assert_done(world: &World, written: usize) {
    let [ours, theirs] = [&world.sender, &world.receiver].map(|end| &end.tree.as_ref().unwrap().whole);
    assert!(world.receiver.published && ours == theirs);
    let blake3 = hash(ours);
    assert_eq!(world.sender.outcome(), Some(&Progress::Done { blake3, saved_as: None }));
    assert!(matches!(world.receiver.outcome(), Some(Progress::Done { .. })));
    assert_eq!(world.receiver.bytes_written, (LISTING + written) as u64);
}

#[test]
fn all_of_it_is_sent_to_who_has_nothing() {
    for quality in [Quality::PERFECT, LOSSY] {
        for seed in 0..8 {
            let mut world = world(&[(0, 0), (70_000, 0), (1, 0), (200_000, 0), (0, 0)], quality, seed);
            run(&mut world);
            assert_done(&world, 270_001);
        }
    }
}

#[test]
fn what_the_receiver_has_is_left_out() {
    let files = [(5_000, 5_000), (70_000, 0), (9, 9), (300_000, 100_000), (40_000, 40_000)];
    for quality in [Quality::PERFECT, LOSSY] {
        for seed in 0..8 {
            let mut world = world(&files, quality, seed);
            run(&mut world);
            assert_done(&world, 270_000);
            for end in [&world.sender, &world.receiver] {
                let resumed = Progress::Resumed { bytes: 145_009, of: 145_009 };
                assert!(end.reports.iter().any(|(_, progress)| *progress == resumed), "{:?}", end.reports);
                let counts = end.reports.iter().filter_map(|(_, progress)| match progress {
                    Progress::Moving { bytes, .. } => Some(*bytes),
                    _ => None,
                });
                let counts: Vec<_> = counts.collect();
                assert_eq!(counts.last(), Some(&415_009), "what is told is of the contents: {counts:?}");
            }
        }
    }
}

#[test]
fn nothing_but_the_listing_is_sent_to_who_has_everything() {
    for files in [&[(5_000, 5_000), (70_000, 70_000)][..], &[(0, 0)], &[]] {
        for seed in 0..8 {
            let mut world = world(files, LOSSY, seed);
            run(&mut world);
            assert_done(&world, 0);
        }
    }
}

#[test]
fn what_is_not_the_same_is_sent() {
    let files = [(5_000, 5_000), (70_000, 70_000), (9_000, 3_000)];
    let mut world = world(&files, LOSSY, 3);
    for entry in [1, 2] {
        let tree = world.receiver.tree.as_mut().unwrap();
        let at = tree.place(entry).start;
        tree.whole[at] ^= 1;
    }
    run(&mut world);
    assert_done(&world, 79_000);
}

#[test]
fn who_looks_or_compares_for_long_is_waited_for() {
    for slow_sender in [false, true] {
        let mut world = world(&[(70_000, 70_000), (50_000, 0)], Quality::PERFECT, 3);
        let slow = if slow_sender { &mut world.sender } else { &mut world.receiver };
        slow.slow_hash = Some(Duration::from_secs(20));
        run(&mut world);
        assert_done(&world, 50_000);
        let waits = |end: &super::end::End, why| end.reports.iter().any(|(_, it)| *it == Progress::Waiting(why));
        let (slow, other) = match slow_sender {
            true => (&world.sender, &world.receiver),
            false => (&world.receiver, &world.sender),
        };
        assert!(waits(slow, Waiting::OwnHash) && waits(other, Waiting::PeerHash));
    }
}

#[test]
fn bytes_that_were_there_and_changed_since_fail_the_whole() {
    let mut world = world(&[(70_000, 70_000), (50_000, 0)], Quality::PERFECT, 3);
    world.receiver.slow_hash = Some(Duration::from_secs(1));
    world.start_receiver();
    world.start_sender();
    while world.receiver.tree.as_ref().unwrap().sent.is_none() {
        assert!(world.step());
    }
    world.receiver.tree.as_mut().unwrap().whole[LISTING + 7] ^= 1;
    assert!(world.run(Duration::from_secs(200)), "it does not end");
    world.assert_failed(TransferFailure::Integrity, TransferFailure::Integrity);
}

#[test]
fn a_sender_that_goes_on_before_both_agree_breaks_the_protocol() {
    let mut world = world(&[(70_000, 70_000), (50_000, 0)], Quality::PERFECT, 3);
    // It takes a part of the contents for the listing.
    world.start_receiver();
    world.listing = Some(LISTING as u64 + 20_000);
    let tree = world.sender.tree.as_mut().unwrap();
    tree.listing += 20_000;
    tree.sizes[0] -= 20_000;
    world.sender.file = world.sender.tree.as_ref().unwrap().flow();
    world.bytes = world.bytes.map(|bytes| bytes - 20_000);
    world.start_sender();
    assert!(world.run(Duration::from_secs(200)), "it does not end");
    world.assert_failed(TransferFailure::Protocol, TransferFailure::Protocol);
}
