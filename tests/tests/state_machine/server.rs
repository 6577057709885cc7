//! The server: after each operation it said, proposed and asked what the model says.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::targets::operations::messages::AnyName;
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
        // Without people who are active, most operations come to nothing.
        let log_in = (any::<u8>(), super::operation::<AnyName>());
        let log_in = log_in.prop_map(|(slot, name)| ServerOperation::LogIn { slot, name });
        let check = any::<u8>().prop_map(|which| ServerOperation::Check { which });
        let commit = (any::<u8>(), 0..4_u8).prop_map(|(which, count)| ServerOperation::Commit { which, count });
        prop_oneof![8 => super::operation(), 2 => log_in, 2 => check, 2 => commit].boxed()
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

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_says_what_the_model_says(sequential 1..150 => Server);
}
