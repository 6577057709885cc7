//! The server: after each operation it said, proposed and asked what the model says.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::targets::operations::server::ServerOperation;
use super::targets::server::{Driver, Model};

/// The model.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = ServerOperation;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<ServerOperation> {
        super::operation()
    }

    fn apply(mut model: Model, operation: &ServerOperation) -> Model {
        model.apply(operation);
        model
    }
}

struct Server;

impl StateMachineTest for Server {
    type SystemUnderTest = Driver;
    type Reference = Reference;

    fn init_test(_: &Model) -> Driver {
        Driver::new()
    }

    fn apply(mut driver: Driver, model: &Model, operation: ServerOperation) -> Driver {
        driver.apply(&operation);
        driver.compare(model);
        driver
    }
}

/// Some seconds.
const CASES: u32 = 4_000;

prop_state_machine! {
    #![proptest_config(super::config(CASES))]

    #[test]
    fn the_server_says_what_the_model_says(sequential 1..150 => Server);
}
