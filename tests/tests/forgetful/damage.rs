//! A byte of the database that changed by itself is noticed before anything is done with it.

use toom_core::server::fact::Fact;
use toom_store::log::{Log, OpenError, Synchronous};
use toom_tests::sim::dice::Dice;

use crate::disk::{Disk, Image};
use crate::life::{DATABASE, Plan, live};
use crate::mount::Mount;
use crate::recovery::check;

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
    let mut image = mount.directory().disk.cached();
    image.retain(|name, _| !name.starts_with("search.db"));
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
    // The header, and places all over the pages.
    let places: Vec<_> = (0..100).chain((0..500).map(|_| dice.within(100..=length as u64 - 1) as usize)).collect();
    let mut refused = [0, 0];
    for place in places {
        let mut damaged = image.clone();
        damaged.get_mut(DATABASE).expect("there")[place] ^= 1 << dice.within(0..=7);
        let mount = Mount::holding(&damaged);
        match read(&mount) {
            Ok(read) => assert!(read == facts, "byte {place} changed what is read, and nothing was said"),
            Err(error) => {
                refused[usize::from(place >= 100)] += 1;
                assert!(error.0.contains("/toom.db "), "{error}");
                let now = std::fs::read(mount.path().join(DATABASE)).expect("there");
                assert!(now == damaged[DATABASE], "byte {place}: the file was touched, and {error}");
            }
        }
    }
    assert!(refused[0] > 20 && refused[1] > 250, "only {refused:?} of 100 and 500 were refused");
}
