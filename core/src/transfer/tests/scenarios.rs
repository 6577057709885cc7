//! What must hold for a transfer, whatever the link does.

use core::time::Duration;

use super::link::Quality;
use super::world::{World, file};

const MINUTE: Duration = Duration::from_secs(60);

const BAD: Quality = Quality {
    delay: Duration::from_millis(10),
    jitter: Duration::from_millis(2),
    loss: 50,
    duplication: 20,
    bending: 0,
    replay: 0,
    rate: None,
};

#[test]
fn a_file_crosses_a_perfect_link() {
    let mut world = World::new(file(3_000_000), 1_200, Quality::PERFECT, 1);
    assert!(world.run(MINUTE));
    world.assert_done();
    assert_eq!(world.sender_counters().retransmitted_bytes, 0);
    println!("{:?} {:?} {:?}", world.sender_counters(), world.receiver_counters(), world.now);
}

#[test]
fn twenty_megabytes_cross_loss_reordering_and_duplication_bit_exact() {
    let mut world = World::new(file(20_000_000), 1_200, BAD, 2);
    assert!(world.run(10 * MINUTE));
    world.assert_done();
    println!("{:?} {:?} {:?}", world.sender_counters(), world.receiver_counters(), world.now);
}
