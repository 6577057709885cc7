//! One seed gives one run, to the byte; another seed gives another.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_tests::scenario::{World, broadcast, crowd, transfer};
use toom_tests::sim::fault::{Fault, Host};
use toom_tests::sim::network::Toward;
use toom_tests::sim::options::LinkOptions;
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

#[test]
fn faults_of_the_network_repeat_from_their_seed() {
    assert_repeats(|world| {
        let (yoda, luke) = transfer::two_accepting(world);
        let file = world.put_file("film.mp4", 20_000_000, 1);
        transfer::send(world, yoda, "luke", &file);
        let link = LinkOptions { bit_flip: 0.1, truncation: 0.1, ..LinkOptions::default() };
        let toward = Toward::Client;
        for fault in [
            Fault::Link { from: 0, to: 1, options: link },
            Fault::Replay { client: 1, count: 20, foreign: false, changed: true },
            Fault::Rebind { client: 1 },
            Fault::Trickle { client: 0, toward, rate: 5 },
            Fault::Stall { client: 1, toward, time: Duration::from_secs(3) },
            Fault::Partition { from: Host::Server, to: Host::Client(1), both: true },
        ] {
            world.pause(Duration::from_millis(20));
            world.simulation.inject(&fault);
            world.command(luke, Command::Broadcast { text: "what is going on here".into() });
        }
        world.pause(Duration::from_secs(10));
        assert!(world.simulation.faults().len() >= 4, "{:?}", world.simulation.faults());
        world.simulation.heal();
        world.pause(Duration::from_secs(100));
    });
}
