//! A file of 1 GiB crosses loopback bit by bit as it was sent: on each runtime, and from each to the other.

use std::sync::{Mutex, PoisonError};

use toom_tests::real::{RealWorld, Runtime, Runtimes};
use toom_tests::scenario::World;
use toom_tests::scenario::transfer::{arrives, send, two_accepting};

const BYTES: u64 = 1 << 30;

/// One at a time: each needs room for the file twice, and both processors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn cross(from: Runtime, to: Runtime) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut world = RealWorld::new(Runtimes { server: to, clients: [from, to] });
    let world: &mut dyn World = &mut world;
    let (sender, receiver) = two_accepting(world);
    let file = world.put_file("large.bin", BYTES, 1);
    let id = send(world, sender, "luke", &file);
    assert_eq!(arrives(world, sender, receiver, id, &file), "yoda_large.bin");
}

#[test]
fn from_smol_to_smol() {
    cross(Runtime::Smol, Runtime::Smol);
}

#[test]
fn from_std_to_std() {
    cross(Runtime::Std, Runtime::Std);
}

#[test]
fn from_smol_to_std() {
    cross(Runtime::Smol, Runtime::Std);
}

#[test]
fn from_std_to_smol() {
    cross(Runtime::Std, Runtime::Smol);
}
