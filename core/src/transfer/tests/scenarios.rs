//! What must hold for a transfer, whatever the link does.

use core::time::Duration;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::end::TRANSFER;
use super::link::{Marks, Quality};
use super::world::{World, file};
use crate::client::event::TransferFailure;
use crate::client::io::Progress;
use crate::config::TransferConfig;
use crate::peer::MAX_PAUSE;
use crate::time::Instant;
use crate::transfer::io::SLOT_BYTES;

const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// 5 % loss, reordering and duplication.
const BAD: Quality = Quality {
    marks: Marks::Carried,
    mtu: 65_535,
    delay: Duration::from_millis(10),
    jitter: Duration::from_millis(2),
    loss: 50,
    duplication: 20,
    bending: 0,
    replay: 0,
    hurry: 20,
    bursts: None,
    rate: None,
};

const DEAD: Quality = Quality { loss: 1_000, ..Quality::PERFECT };

fn small(quality: Quality) -> World {
    World::new(file(300_000), 1_200, quality, 1)
}

#[test]
fn a_file_crosses_a_perfect_link_and_nothing_is_sent_twice() {
    let mut world = World::new(file(3_000_000), 1_200, Quality::PERFECT, 1);
    assert!(world.run(MINUTE));
    world.assert_done();
    let (sender, receiver) = (world.sender_counters(), world.receiver_counters());
    assert_eq!((sender.retransmitted_bytes, sender.packets_lost), (0, 0));
    assert_eq!((receiver.duplicates, receiver.malformed), (0, 0));
    assert!(receiver.acks_sent < receiver.packets_received / 10, "acknowledged in bursts: {receiver:?}");
}

#[test]
fn twenty_megabytes_cross_loss_reordering_and_duplication_bit_exact() {
    let mut world = World::new(file(20_000_000), 1_200, BAD, 2);
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    assert!(world.sender_counters().retransmitted_bytes > 0 && world.receiver_counters().duplicates > 0);
}

#[test]
fn files_of_every_odd_size_cross_with_every_odd_payload() {
    let packet = 1_200 - 43;
    for payload in [1_200, 1_452, 9_000, 40_000, TransferConfig::MAX_PAYLOAD] {
        for size in [0, 1, packet, packet + 1, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1, 54 * packet, 1_000_000] {
            for quality in [Quality::PERFECT, BAD] {
                let mut world = World::new(file(size), payload, quality, size as u64);
                assert!(world.run(5 * MINUTE), "{size} bytes in packets of {payload}");
                world.assert_done();
            }
        }
    }
}

#[test]
fn the_last_packets_may_be_lost() {
    let mut world = small(Quality::PERFECT);
    while !world.sender.has_read_all() {
        assert!(world.step() && world.now < Instant::ZERO + MINUTE);
    }
    let lost = (0..4).map(|_| world.there.lose_what_travels() + usize::from(!world.step())).sum::<usize>();
    assert!(lost > 1 && world.receiver.bytes_written < 300_000);
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn an_interruption_of_twenty_seconds_is_survived() {
    let mut world = World::new(file(3_000_000), 1_200, BAD, 3);
    world.run_for(100 * MILLISECOND);
    (world.there.quality, world.back.quality) = (DEAD, DEAD);
    world.run_for(20_000 * MILLISECOND);
    assert_eq!((world.sender.outcome(), world.receiver.outcome()), (None, None));
    (world.there.quality, world.back.quality) = (Quality::PERFECT, Quality::PERFECT);
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn the_ends_need_not_start_together() {
    for sender_first in [true, false] {
        let mut world = World::not_started(file(300_000), 1_200, Quality::PERFECT, 4);
        if sender_first {
            world.start_sender()
        } else {
            world.start_receiver()
        }
        world.run_for(5_000 * MILLISECOND);
        if sender_first {
            world.start_receiver()
        } else {
            world.start_sender()
        }
        let started_at = world.now;
        assert!(world.run(MINUTE));
        world.assert_done();
        let took = world.sender.reports.last().unwrap().0 - started_at;
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

#[test]
fn a_disk_that_takes_minutes_to_hash_is_not_taken_for_a_dead_computer() {
    let mut world = small(Quality::PERFECT);
    world.receiver.slow_hash = Some(5 * MINUTE);
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    assert!(world.now > Instant::ZERO + 5 * MINUTE);
}

#[test]
fn a_source_that_changes_while_it_is_read_fails_at_both_ends() {
    let mut world = small(BAD);
    world.sender.source_changes = true;
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::Integrity, TransferFailure::Integrity);
}

#[test]
fn either_end_can_cancel() {
    let mut world = World::new(file(3_000_000), 1_200, BAD, 5);
    world.run_for(100 * MILLISECOND);
    world.sender.cancel(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::Cancelled, TransferFailure::CancelledByPeer);

    let mut world = World::new(file(3_000_000), 1_200, BAD, 6);
    world.run_for(100 * MILLISECOND);
    world.receiver.cancel(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::CancelledByPeer, TransferFailure::Cancelled);
}

#[test]
fn cancelling_before_the_first_packet_reaches_the_other_end_too() {
    let mut world = small(Quality::PERFECT);
    world.receiver.cancel(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::CancelledByPeer, TransferFailure::Cancelled);
}

#[test]
fn a_disk_that_fails_is_told_to_the_other_end() {
    let reason = || "the disk is full".to_owned();
    let mut world = small(BAD);
    world.run_for(50 * MILLISECOND);
    world.receiver.storage_fails(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::PeerStorage, TransferFailure::Write(reason()));

    let mut world = small(BAD);
    world.run_for(50 * MILLISECOND);
    world.sender.storage_fails(world.now);
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::Read(reason()), TransferFailure::PeerStorage);
}

#[test]
fn silence_from_the_start_ends_both_after_thirty_seconds() {
    let mut world = World::new(file(3_000_000), 1_200, DEAD, 7);
    let at = world.now;
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::TimedOut, TransferFailure::TimedOut);
    for end in [&world.sender, &world.receiver] {
        let silent = end.reports.last().unwrap().0 - at;
        assert!((29_900..=30_100).contains(&silent.as_millis()), "{silent:?}");
    }
}

#[test]
fn later_silence_is_probed_with_few_packets_and_ends_both_after_an_hour() {
    let mut world = World::new(file(3_000_000), 1_200, BAD, 7);
    world.run_for(100 * MILLISECOND);
    let at = world.now;
    (world.there.quality, world.back.quality) = (DEAD, DEAD);
    // The window that was open leaves at once.
    world.run_for(Duration::from_secs(1));
    let before = world.sender_counters().packets_sent;
    assert!(world.run(2 * MAX_PAUSE));
    world.assert_failed(TransferFailure::PeerSilent, TransferFailure::PeerSilent);
    for end in [&world.sender, &world.receiver] {
        let silent = end.reports.last().unwrap().0 - at;
        assert!(silent <= MAX_PAUSE + MILLISECOND * 100 && silent + MILLISECOND * 100 >= MAX_PAUSE, "{silent:?}");
    }
    // One second apart at first, then five: each a ping, and two packets of what is oldest.
    let sent = world.sender_counters().packets_sent - before;
    assert!((700..=3 * (40 + 720)).contains(&sent), "{sent}");
}

#[test]
fn a_receiver_that_is_done_waits_for_a_sender_that_is_gone_as_long_as_a_sender_would() {
    let mut world = small(Quality::PERFECT);
    while !world.receiver.published {
        assert!(world.step());
    }
    (world.there.quality, world.back.quality) = (DEAD, DEAD);
    let at = world.now;
    assert!(world.run(2 * MAX_PAUSE));
    assert!(matches!(world.receiver.outcome(), Some(Progress::Done { .. })));
    let took = world.receiver.closed_at.unwrap() - at;
    assert!(took <= MAX_PAUSE && took + MINUTE >= MAX_PAUSE, "{took:?}");
}

#[test]
fn an_interruption_at_the_very_end_leaves_both_ends_done() {
    let mut world = small(Quality::PERFECT);
    while !world.receiver.published {
        assert!(world.step());
    }
    (world.there.quality, world.back.quality) = (DEAD, DEAD);
    world.back.lose_what_is_under_way();
    world.run_for(10 * MINUTE);
    (world.there.quality, world.back.quality) = (Quality::PERFECT, Quality::PERFECT);
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn replayed_and_flipped_datagrams_change_nothing() {
    let mut world = small(Quality { bending: 200, replay: 300, loss: 0, duplication: 0, ..BAD });
    assert!(world.run(MINUTE));
    world.assert_done();
    let receiver = world.receiver_counters();
    assert!(receiver.duplicates > 0 && world.receiver.dropped > 0 && world.sender.dropped > 0);
    assert_eq!((receiver.malformed, world.sender_counters().malformed), (0, 0));
}

#[test]
fn replays_from_another_address_are_neither_followed_nor_answered() {
    let mut plain = small(Quality::PERFECT);
    let mut attacked = small(Quality::PERFECT);
    // A handshake is answered wherever it comes from; what follows it is not.
    attacked.run_for(2 * MILLISECOND);
    attacked.replay_from_elsewhere = true;
    assert!(plain.run(MINUTE) && attacked.run(MINUTE));
    attacked.assert_done();
    assert!(attacked.receiver_counters().duplicates > 50);
    assert_eq!(plain.trace, attacked.trace, "not a datagram of ours is another");
}

#[test]
fn copies_from_another_address_from_the_very_first_datagram_on_harm_nothing() {
    let mut world = small(Quality::PERFECT);
    world.replay_from_elsewhere = true;
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn a_sender_whose_address_is_not_the_expected_one_is_answered_where_it_is() {
    let mut world = World::not_started(file(300_000), 1_200, Quality::PERFECT, 8);
    // The receiver was told another port than the one that the datagrams come from.
    world.receiver_expects_port = 9;
    world.start_receiver();
    world.start_sender();
    assert!(world.run(MINUTE));
    world.assert_done();
}

#[test]
fn who_offered_asks_about_once_a_second_and_who_accepted_says_nothing_unasked() {
    let mut world = World::not_started(file(300_000), 1_200, Quality::PERFECT, 9);
    world.there.quality = DEAD;
    world.start_receiver();
    world.start_sender();
    world.run_for(Duration::from_secs(29));
    assert_eq!(world.back.offered(), 0);
    let asked = world.there.offered();
    assert!((25..=35).contains(&asked), "{asked}");
}

#[test]
fn any_of_the_first_datagrams_may_be_lost() {
    for lost in 0..6 {
        for back in [false, true] {
            let mut world = small(Quality::PERFECT);
            let link = if back { &mut world.back } else { &mut world.there };
            link.lose_number = Some(lost);
            assert!(world.run(MINUTE), "{lost}");
            world.assert_done();
        }
    }
}

#[test]
fn each_end_may_move_to_another_port_or_host_while_a_file_is_on_its_way() {
    for (receiver, host) in [(false, 1), (false, 77), (true, 2), (true, 77)] {
        // One megabyte a second.
        let rate = Some((1_000_000, 100_000));
        let mut world = World::new(file(5_000_000), 1_200, Quality { rate, ..BAD }, 13);
        for port in [4_001, 4_002] {
            world.run_for(1_500 * MILLISECOND);
            let moves = if receiver { &mut world.receiver } else { &mut world.sender };
            moves.address = SocketAddr::from(([10, 0, 0, host], port));
        }
        assert!(world.run(MINUTE));
        world.assert_done();
    }
}

#[test]
fn a_receiver_that_moves_while_nothing_is_said_is_found_by_its_sign_of_life() {
    let mut world = small(Quality::PERFECT);
    world.receiver.slow_hash = Some(2 * MINUTE);
    world.run_for(20_000 * MILLISECOND);
    world.receiver.address = SocketAddr::from(([10, 0, 0, 77], 7));
    assert!(world.run(5 * MINUTE));
    world.assert_done();
}

#[test]
fn keys_advance_while_a_file_is_on_its_way() {
    // 50 kilobytes a second.
    let rate = Some((50_000, 20_000));
    let mut world = World::new(file(8_000_000), 1_200, Quality { rate, ..BAD }, 14);
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    assert!(world.sender.epoch >= 2 && world.receiver.epoch >= 2, "{} {}", world.sender.epoch, world.receiver.epoch);
}

#[test]
fn ends_that_do_not_agree_never_begin() {
    let mut world = World::not_started(file(300_000), 1_200, Quality::PERFECT, 15);
    world.start_receiver();
    world.context[0] ^= 1;
    world.start_sender();
    assert!(world.run(MINUTE));
    world.assert_failed(TransferFailure::TimedOut, TransferFailure::TimedOut);
    let (sender, receiver) = (world.sender_counters(), world.receiver_counters());
    assert_eq!((sender.packets_sent, receiver.packets_sent), (0, 0));
    assert!(receiver.handshakes_refused > 20 && world.back.offered() == 0);
}

#[test]
fn the_same_seed_gives_the_same_datagrams() {
    let trace = |seed| {
        let mut world = World::new(file(500_000), 1_200, BAD, seed);
        assert!(world.run(10 * MINUTE));
        (world.trace, world.now)
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn progress_is_told_at_most_ten_times_a_second_and_the_rate_is_right() {
    // One megabyte a second.
    let rate = Some((1_000_000, 100_000));
    let mut world = World::new(file(5_000_000), 1_200, Quality { rate, ..Quality::PERFECT }, 10);
    assert!(world.run(MINUTE));
    world.assert_done();
    for end in [&world.sender, &world.receiver] {
        let moving: Vec<_> = end
            .reports
            .iter()
            .filter_map(|(at, progress)| match progress {
                Progress::Moving { bytes, rate_bps, .. } => Some((*at, *bytes, *rate_bps)),
                _ => None,
            })
            .collect();
        assert!((30..=60).contains(&moving.len()), "{}", moving.len());
        for (n, pair) in moving.windows(2).enumerate() {
            let is_last = n + 2 == moving.len();
            assert!((is_last || pair[1].0 - pair[0].0 >= 100 * MILLISECOND) && pair[1].1 > pair[0].1);
        }
        let rate_bps = moving[25].2;
        assert!((5_000_000..=8_100_000).contains(&rate_bps), "{rate_bps}");
    }
}

#[test]
fn a_short_transfer_tells_its_rate_at_both_ends_before_it_is_done() {
    // One megabyte a second.
    let rate = Some((1_000_000, 100_000));
    let mut world = World::new(file(50_000), 1_200, Quality { rate, ..Quality::PERFECT }, 10);
    assert!(world.run(MINUTE));
    world.assert_done();
    for end in [&world.sender, &world.receiver] {
        let [.., (_, Progress::Moving { bytes, rate_bps, .. }), (_, Progress::Done { .. })] = &end.reports[..] else {
            panic!("{:?}", end.reports)
        };
        assert!(*bytes == 50_000 && (1_000_000..=8_100_000).contains(rate_bps), "{bytes} {rate_bps}");
    }
}

#[test]
fn a_clean_link_is_well_used() {
    // 100 Mbit/s, a round trip of 50 ms, and a queue of one bandwidth-delay product.
    let rate = Some((12_500_000, 625_000));
    let quality = Quality { delay: 25 * MILLISECOND, rate, ..Quality::PERFECT };
    let mut world = World::new(file(50_000_000), 1_200, quality, 11);
    let began = world.now;
    assert!(world.run(MINUTE));
    world.assert_done();
    let took = world.sender.reports.last().unwrap().0 - began;
    let share = 50_000_000.0 / 12_500_000.0 / took.as_secs_f64();

    assert!(share > 0.8, "{share}");
}

#[test]
fn what_the_window_allows_does_not_leave_at_once() {
    let quality = Quality { delay: 50 * MILLISECOND, ..Quality::PERFECT };
    let mut world = World::new(file(20_000_000), 1_200, quality, 12);
    let began = world.now;
    assert!(world.run(MINUTE));
    world.assert_done();
    assert!(world.now - began < Duration::from_secs(3), "the window grew to megabytes");
    // A few milliseconds' worth of the hundred that a window takes.
    assert!(world.most_at_once < 20_000_000 / 20, "{}", world.most_at_once);
}

#[test]
fn counters_of_the_transfers_that_ended_last_are_kept() {
    let mut world = small(Quality::PERFECT);
    assert!(world.run(MINUTE));
    assert!(world.sender.is_closed() && world.sender.machine.counters(TRANSFER).is_some());
    assert_eq!(world.sender.machine.counters(crate::id::OfferId(1)), None);
}

fn nasty() -> impl Strategy<Value = Quality> {
    (0u64..30, 0u64..30, 0u64..400, 0u64..200, 0u64..100, 0u64..100, prop::bool::ANY).prop_map(
        |(delay, jitter, loss, duplication, bending, replay, narrow)| Quality {
            mtu: 65_535,
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            loss,
            duplication,
            bending,
            replay,
            hurry: 0,
            bursts: None,
            rate: narrow.then_some((200_000, 20_000)),
            marks: [Marks::Carried, Marks::Beyond(9_000), Marks::Cleared, Marks::Lost][replay as usize % 4],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_link_does_it_ends_bit_exact_unless_nothing_gets_through(
        there in nasty(), back in nasty(), size in 0usize..150_000, payload in 1_200usize..5_000, seed: u64,
    ) {
        let mut world = World::new(file(size), payload, there, seed);
        world.back.quality = back;
        // A receiver whose sender's CLOSE is lost each time waits for it as long as for one that sleeps.
        prop_assert!(world.run(30 * MINUTE + MAX_PAUSE));
        world.assert_done();
    }
}
