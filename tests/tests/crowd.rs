//! Two hundred people at once, each broadcasting, in every world: every client sees every message of the
//! others once, and all see one order.

use toom_tests::real::{RealWorld, Runtimes, raise_file_limit};
use toom_tests::scenario::crowd::everyone_hears_everyone;
use toom_tests::sim::{Options, SimulatedWorld};

const PEOPLE: usize = 200;
const POSTS_EACH: usize = 5;

#[test]
fn two_hundred_hear_each_other_in_virtual_time() {
    everyone_hears_everyone(&mut SimulatedWorld::new(Options::calm(200)), PEOPLE, POSTS_EACH);
}

#[test]
fn two_hundred_hear_each_other_on_std() {
    raise_file_limit();
    everyone_hears_everyone(&mut RealWorld::new(Runtimes::STD), PEOPLE, POSTS_EACH);
}

#[test]
fn two_hundred_hear_each_other_on_smol() {
    raise_file_limit();
    everyone_hears_everyone(&mut RealWorld::new(Runtimes::SMOL), PEOPLE, POSTS_EACH);
}

#[test]
fn two_hundred_hear_each_other_on_both() {
    raise_file_limit();
    everyone_hears_everyone(&mut RealWorld::new(Runtimes::MIXED_AROUND_SMOL), PEOPLE, POSTS_EACH);
}
