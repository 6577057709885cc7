//! A sender and a receiver, and a link that loses, repeats, reorders and bends what they send.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::targets::operations::pair::{PairOperation, Transfer};
use super::targets::pair::{Expectation, World};

/// What must have come of the transfer.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Expectation;
    type Transition = PairOperation;

    fn init_state() -> BoxedStrategy<Expectation> {
        super::operation::<Transfer>().prop_map(Expectation::new).boxed()
    }

    fn transitions(_: &Expectation) -> BoxedStrategy<PairOperation> {
        // A link that is well now and then, or else hardly anything would be sent.
        let flow = any::<u8>().prop_map(|milliseconds| PairOperation::Flow { milliseconds: milliseconds / 8 });
        prop_oneof![3 => super::operation(), 1 => flow].boxed()
    }

    fn apply(mut state: Expectation, operation: &PairOperation) -> Expectation {
        state.apply(operation);
        state
    }
}

struct Pair;

impl StateMachineTest for Pair {
    type SystemUnderTest = World;
    type Reference = Reference;

    fn init_test(expectation: &Expectation) -> World {
        World::new(expectation.transfer)
    }

    fn apply(mut world: World, _: &Expectation, operation: PairOperation) -> World {
        world.apply(&operation);
        world
    }

    fn teardown(world: World, expectation: Expectation) {
        world.finish(&expectation);
    }
}

/// Some seconds.
const CASES: u32 = 400;

prop_state_machine! {
    #![proptest_config(super::config(CASES))]

    #[test]
    fn whatever_happens_the_content_is_exact_or_both_ends_fail_with_a_reason(sequential 1..60 => Pair);
}
