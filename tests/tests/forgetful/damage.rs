//! A byte of the database that changed by itself is noticed before anything is done with it.

use toom_core::server::fact::Fact;
use toom_store::log::{Log, OpenError};
use toom_tests::sim::dice::Dice;

use crate::disk::{Disk, Image};
use crate::life::{DATABASE, Plan, live};
use crate::mount::Mount;
use crate::recovery::check;
use toom_store::log::Synchronous;

/// A log that was closed, so that all of it is in the database, and its facts.
fn closed() -> (Image, Vec<Fact>) {
    let plan = Plan { seed: 1, synchronous: Synchronous::Full, facts: 200, large: false, chance: 0.02 };
    let crash = live(Disk::default(), plan).pop().expect("a crash");
    let image = crash.disk.cached();
    let mut dice = Dice::new(1, "closed");
    let facts = check(&image, &crash.told, &mut dice).expect("all is well").facts;
    let mount = Mount::holding(&image);
    let mut log = Log::open(mount.path()).expect("opened");
    log.replay(|_| {}).expect("replayed");
    log.start(|_| {}).stop();
    let image = mount.directory().disk.cached();
    assert_eq!(image.keys().collect::<Vec<_>>(), [DATABASE], "nothing but the database is left");
    (image, facts)
}

fn read(mount: &Mount) -> Result<Vec<Fact>, OpenError> {
    let mut facts = Vec::new();
    Log::open(mount.path())?.replay(|committed| facts.push(committed.fact))?;
    Ok(facts)
}

#[test]
fn a_byte_that_changed_is_named_or_changes_nothing() {
    let (image, facts) = closed();
    let length = image[DATABASE].len();
    let mut dice = Dice::new(7, "flips");
    let mut places: Vec<_> = (0..100).collect();
    places.extend((0..900).map(|_| dice.within(100..=length as u64 - 1) as usize));
    let mut refused = 0;
    for place in places {
        let mut damaged = image.clone();
        let byte = 1 << dice.within(0..=7);
        damaged.get_mut(DATABASE).expect("there")[place] ^= byte;
        let mount = Mount::holding(&damaged);
        match read(&mount) {
            Ok(read) => {
                let differ = read.iter().zip(&facts).filter(|(a, b)| a != b).count() + read.len().abs_diff(facts.len());
                if differ > 0 {
                    println!("byte {place} of {length} ^ {byte}: {differ} facts differ, {} read", read.len());
                }
            }
            Err(error) => {
                refused += 1;
                assert!(error.0.contains("/toom.db "), "{error}");
                let now = std::fs::read(mount.path().join(DATABASE)).expect("there");
                if now != damaged[DATABASE] {
                    println!("byte {place} ^ {byte}: touched: {error}");
                }
                if place < 100 {
                    println!("{place} {error}");
                }
            }
        }
    }
    println!("{refused}");
    assert!(refused > 100, "only {refused} of 1,000 were refused");
}
