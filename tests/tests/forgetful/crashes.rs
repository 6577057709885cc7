//! No crash takes a fact that was said to be committed, and the tests would see if one did.

use toom_store::log::{Log, Synchronous};
use toom_tests::sim::dice::Dice;

use crate::disk::Disk;
use crate::life::{Crash, Plan, live};
use crate::mount::Mount;
use crate::recovery::{Breach, Recovered, check};

/// How many crashes are tried: so many that they take some seconds, or what `TOOM_CRASHES` says.
fn wanted() -> usize {
    std::env::var("TOOM_CRASHES").map_or(400, |count| count.parse().expect("TOOM_CRASHES is a number"))
}

fn plan(seed: u64, synchronous: Synchronous) -> Plan {
    let large = seed % 4 == 3;
    Plan { seed, synchronous, facts: 60, large, chance: if large { 0.004 } else { 0.02 } }
}

/// Lives of stores from an empty disk, each third one with three generations: the next begins with what a crash of
/// the one before left (if that can be relied on at all). Calls `each` with each crash, until it has enough.
fn for_each_crash(synchronous: Synchronous, mut each: impl FnMut(&Crash, &mut Dice) -> bool) {
    for seed in 0.. {
        let mut dice = Dice::new(seed, "crashes");
        let mut disk = Disk::default();
        let generations = if synchronous == Synchronous::Full && seed % 3 == 2 { 3 } else { 1 };
        for generation in 0..generations {
            let crashes = live(disk, plan(seed + (generation << 32), synchronous));
            if !crashes.iter().all(|crash| each(crash, &mut dice)) {
                return;
            }
            let Some(crash) = crashes.into_iter().max_by_key(|crash| crash.told.len()) else { break };
            disk = Disk::holding(&crash.disk.after_crash(&mut dice));
        }
    }
}

#[test]
fn nothing_that_was_committed_is_lost_in_a_crash() {
    let (mut tried, mut in_checkpoint, mut early, mut more) = (0, 0, 0, 0);
    for_each_crash(Synchronous::Full, |crash, dice| {
        for _ in 0..2 {
            match check(&crash.disk.after_crash(dice), &crash.told, dice) {
                Ok(Recovered { facts }) => more += usize::from(facts.len() > crash.told.len()),
                Err(breach) => panic!("crash {tried}, before {}: {breach}", crash.moment),
            }
            tried += 1;
        }
        in_checkpoint += usize::from(crash.in_checkpoint);
        early += usize::from(crash.told.is_empty());
        tried < wanted()
    });
    println!(
        "{tried} crashes; {in_checkpoint} in a checkpoint, {early} before the first fact, {more} kept more than was told"
    );
    assert!(in_checkpoint > 0 && early > 0 && more > 0, "{in_checkpoint}, {early}, {more}: a kind of crash is missing");
}

/// Which of the first hundred crashes is the first that lost a fact that was said to be committed.
fn first_loss(synchronous: Synchronous) -> Option<usize> {
    let (mut tried, mut loss) = (0, None);
    for_each_crash(synchronous, |crash, dice| {
        tried += 1;
        if let Err(Breach::Lost { .. }) = check(&crash.disk.after_crash(dice), &crash.told, dice) {
            loss = Some(tried);
        }
        loss.is_none() && tried < 100
    });
    loss
}

#[test]
fn a_store_that_never_waits_for_the_disk_is_caught() {
    assert!(first_loss(Synchronous::Off).is_some());
}

#[test]
fn a_store_that_waits_for_the_disk_at_checkpoints_only_is_caught() {
    assert!(first_loss(Synchronous::Normal).is_some());
}

#[test]
fn what_a_store_read_at_its_start_is_durable_although_the_one_before_was_killed_in_a_commit() {
    let mut told_more = 0;
    let mut tried = 0;
    for_each_crash(Synchronous::Full, |crash, dice| {
        // The process dies, the page cache stays.
        let mount = Mount::new(crash.disk.clone());
        let mut log = Log::open(mount.path()).expect("opened");
        let mut read = Vec::new();
        log.replay(|committed| read.push(committed.fact)).expect("replayed");
        let handle = log.start(|_| {});
        // From here on clients may see it.
        let left = mount.directory().disk.after_crash(dice);
        handle.stop();
        if let Err(breach) = check(&left, &read, dice) {
            panic!("killed before {}: {breach}", crash.moment);
        }
        told_more += usize::from(read.len() > crash.told.len());
        tried += 1;
        tried < wanted() / 4
    });
    assert!(told_more > 0, "no killed store had written what it had not confirmed");
}
