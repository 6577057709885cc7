//! Random bytes in the place of requests: the server lives, and nobody else notices. (Each kind of misbehaviour
//! by itself is among the scenarios, which run in every world.)

use proptest::prelude::*;
use toom_tests::real::{RealWorld, Runtimes, raise_file_limit};
use toom_tests::scenario::misbehaviour::random_bytes_harm_nobody;
use toom_tests::sim::{Options, SimulatedWorld};

#[test]
fn random_bytes_harm_nobody_on_std() {
    raise_file_limit();
    random_bytes_harm_nobody(&mut RealWorld::new(Runtimes::STD), 300, 1);
}

#[test]
fn random_bytes_harm_nobody_on_smol() {
    raise_file_limit();
    random_bytes_harm_nobody(&mut RealWorld::new(Runtimes::SMOL), 300, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_harm_nobody_in_virtual_time(seed: u64, rough: bool) {
        let options = if rough { Options::rough(seed) } else { Options::calm(seed) };
        random_bytes_harm_nobody(&mut SimulatedWorld::new(options), 60, seed);
    }
}
