//! Random operations on machines beside a reference of them, shrunk when they differ: operations are made from bytes
//! by the generator that the fuzz targets use.

mod pair;
mod server;

use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

// A library there, a module of this test here: what is public there is not reachable from anywhere.
#[allow(unreachable_pub, dead_code)]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

/// The most bytes that one operation is made of.
const OPERATION_BYTES: usize = 24;

/// An operation as the fuzz targets make it.
fn operation<T: for<'a> Arbitrary<'a> + Clone + core::fmt::Debug>() -> BoxedStrategy<T> {
    let from_bytes = |bytes: Vec<u8>| Unstructured::new(&bytes).arbitrary().ok();
    vec(any::<u8>(), OPERATION_BYTES).prop_filter_map("bytes that are no operation", from_bytes).boxed()
}

/// The same cases in every run.
fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(3);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}
