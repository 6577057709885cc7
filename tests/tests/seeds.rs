//! A fixed set of seeds of the simulator, and the small plans that once broke something.

use std::thread::available_parallelism;

use toom_tests::simulate::figures::Figures;
use toom_tests::simulate::many::{Seeds, many};
use toom_tests::simulate::{Outcome, Plan, regressions, run};

/// How many seeds are run, from 0 on.
const SEEDS: u64 = 1_500;

/// How often a fault of each kind happens at least: one that comes but once or twice finds nothing.
const FEWEST_FAULTS: u64 = 30;

/// What is not to be seen here: it takes thousands of connections or posts at once, or an end that is not this client, or
/// half a minute in which nothing gets through between two people whom the server hears (`network_faults`). Or it takes
/// a new device of somebody who was verified (`scenario::verify`), a server that lies, or a disk without room for what
/// is known of people (both: unit tests).
const ELSEWHERE: &[&str] = &[
    "too many connections",
    "too many strangers",
    "too many strangers from an address",
    "Refused, rate limited",
    // Somebody changes devices between two requests of another: some seeds do, but not always one of these.
    "Refused, device changed",
    "Failed, protocol",
    "Failed, peer silent",
    "PeerKeyChanged, verified",
    "Failed, key changed",
    "NotRemembered",
    "search not ready",
    // Nothing stays of a partial file there: core/src/transfer/tests/resuming.rs has what follows.
    "Resumed transfer",
];

fn outcomes() -> Vec<(u64, Outcome)> {
    let mut outcomes = Vec::new();
    let jobs = available_parallelism().map_or(1, usize::from);
    let seeds = Seeds { from: 0, to: SEEDS, more: &|| true };
    many(seeds, jobs, &|seed| run(&Plan::from_seed(seed)), |run| outcomes.push((run.seed, run.outcome)));
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes
}

#[test]
fn no_seed_breaks_anything_and_together_they_cover_all_messages_and_faults() {
    let mut figures = Figures::default();
    for (seed, outcome) in outcomes() {
        if let Some(broken) = &outcome.broken {
            panic!(
                "seed {seed} broke: {broken}\nrun: cargo run --release -p toom-tests --bin simulate -- --seed {seed}"
            );
        }
        figures.add(&outcome, std::time::Duration::ZERO);
    }
    assert_eq!(figures.unseen_faults(), []);
    let rare: Vec<_> = figures.faults.iter().filter(|(_, count)| **count < FEWEST_FAULTS).collect();
    assert!(rare.is_empty(), "hardly ever: {rare:?}");
    let unseen: Vec<String> = figures
        .unseen_kinds()
        .into_iter()
        .filter(|kind| !ELSEWHERE.iter().any(|elsewhere| kind.ends_with(elsewhere)))
        .collect();
    assert!(unseen.is_empty(), "no seed covers {unseen:?}");
}

#[test]
fn a_seed_gives_the_same_run_twice_and_another_seed_another() {
    for seed in [3, 17, 40] {
        let (first, second) = (run(&Plan::from_seed(seed)), run(&Plan::from_seed(seed)));
        assert!(first.events > 100, "hardly anything happened");
        assert_eq!(first, second);
        assert_ne!(first.digest, run(&Plan::from_seed(seed + 1)).digest);
    }
}

#[test]
fn what_once_broke_something_breaks_nothing_any_more() {
    for path in regressions::all().expect("the kept plans") {
        let plan = regressions::read(&path).expect("a kept plan");
        let outcome = run(&plan);
        assert_eq!(outcome.broken, None, "{}", path.display());
    }
}
