//! One seed gives one run, to the byte; another seed gives another.

use toom_tests::scenario::{broadcast, crowd, transfer};
use toom_tests::sim::{Options, SimulatedWorld};

/// Plays a scenario, and gives how much happened and a hash of all of it, times and bytes included.
fn digest(options: Options, scenario: impl Fn(&mut SimulatedWorld)) -> (u64, [u8; 32]) {
    let mut world = SimulatedWorld::new(options);
    scenario(&mut world);
    world.simulation.trace().digest()
}

fn assert_repeats(scenario: impl Fn(&mut SimulatedWorld)) {
    for options in [Options::calm, Options::rough] {
        let first = digest(options(1), &scenario);
        assert!(first.0 > 20, "hardly anything happened");
        assert_eq!(digest(options(1), &scenario), first, "the same seed gave another run");
        assert_ne!(digest(options(2), &scenario), first, "another seed gave the same run");
    }
}

#[test]
fn a_conversation_repeats_from_its_seed() {
    assert_repeats(|world| broadcast::a_broadcast_reaches_all_others_once(world));
}

#[test]
fn a_crowd_repeats_from_its_seed() {
    assert_repeats(|world| crowd::everyone_hears_everyone(world, 20, 5));
}

#[test]
fn transfers_repeat_from_their_seed() {
    assert_repeats(|world| transfer::several_files_cross_at_once(world));
}
