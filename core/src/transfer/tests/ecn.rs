//! What the network writes on packets: a queue that says so is kept short, and a path that cannot carry the marks does no
//! harm.

use core::time::Duration;

use super::link::{Marks, Quality};
use super::world::{World, file};
use crate::config::{Congestion, TransferConfig};

/// 100 Mbit/s.
const RATE: u64 = 12_500_000;
const DELAY: Duration = Duration::from_millis(20);
/// What the link holds.
const PRODUCT: u64 = RATE * 40 / 1_000;

fn quality(queue: u64, marks: Marks) -> Quality {
    Quality { delay: DELAY, rate: Some((RATE, queue)), marks, ..Quality::PERFECT }
}

/// A transfer over such a link, and the time that it took.
fn run(congestion: Congestion, bytes: usize, quality: Quality) -> (World, Duration) {
    let config = TransferConfig { payload: Some(1_452), congestion, ..TransferConfig::default() };
    let mut world = World::configured(file(bytes), config, quality, 3);
    world.back.quality = Quality { delay: DELAY, marks: quality.marks, ..Quality::PERFECT };
    world.start_receiver();
    world.start_sender();
    let began = world.now;
    while world.sender.outcome().is_none() {
        assert!(world.step(), "it does not end");
    }
    let time = world.now.saturating_since(began);
    assert!(world.run(Duration::from_secs(60)), "it does not end");
    world.assert_done();
    (world, time)
}

#[test]
fn a_queue_that_marks_stays_short_and_drops_nothing() {
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        let mark_at = PRODUCT / 2;
        let (world, time) = run(congestion, 30_000_000, quality(8 * PRODUCT, Marks::Beyond(mark_at)));
        assert_eq!((world.there.dropped, world.sender_counters().retransmitted_bytes), (0, 0));
        assert!(world.there.marked > 0, "{congestion:?}: the queue was never long");
        // Start-up may double what is in flight before it hears of the first mark.
        let most = Duration::from_nanos(4 * PRODUCT * 1_000_000_000 / RATE);
        assert!(world.there.longest_wait < most, "{congestion:?}: {:?}", world.there.longest_wait);
        let ideal = Duration::from_nanos(30_000_000 * 1_000_000_000 / RATE);
        assert!(time < ideal * 5 / 4, "{congestion:?}: {time:?} for {ideal:?}");
    }
}

#[test]
fn without_marks_the_same_queue_is_filled_by_cubic() {
    let (world, _) = run(Congestion::Cubic, 30_000_000, quality(8 * PRODUCT, Marks::Carried));
    let (marked, _) = run(Congestion::Cubic, 30_000_000, quality(8 * PRODUCT, Marks::Beyond(PRODUCT / 2)));
    assert!(world.there.longest_wait > marked.there.longest_wait * 2, "{:?}", world.there.longest_wait);
}

#[test]
fn a_path_that_clears_the_marks_gets_no_more_of_them() {
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        let (world, _) = run(congestion, 3_000_000, quality(2 * PRODUCT, Marks::Cleared));
        let (marked, all) = (world.sender.marked, world.there.offered());
        assert!(marked > 0 && marked * 10 < all, "{marked} of {all}");
    }
}

#[test]
fn a_path_that_loses_what_may_be_marked_costs_a_moment() {
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        let (_, time) = run(congestion, 3_000_000, quality(2 * PRODUCT, Marks::Lost));
        assert!(time < Duration::from_secs(2), "{congestion:?}: {time:?}");
    }
}

#[test]
fn start_up_ends_earlier_where_the_network_says_that_there_is_a_queue() {
    let wait = |marks| run(Congestion::Bbr, 10_000_000, quality(8 * PRODUCT, marks)).0.there.longest_wait;
    let (with, without) = (wait(Marks::Beyond(PRODUCT / 10)), wait(Marks::Carried));
    assert!(with < without * 9 / 10, "{with:?} {without:?}");
}
