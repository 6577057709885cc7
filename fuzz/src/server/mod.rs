//! The server machine beside a model of it: after each operation, what the server said to whom, what it proposed and
//! asked, and when it wants to be woken, is what the model says.

mod driver;
mod model;

use arbitrary::Unstructured;

use super::operations::server::ServerOperation;
pub use driver::Driver;
pub use model::Model;

/// Operations on the server and on the model.
pub fn server(data: &[u8]) {
    let (mut model, mut driver) = (Model::default(), Driver::new());
    driver.compare(&model);
    for operation in ServerOperation::all(&mut Unstructured::new(data)) {
        model.apply(&operation);
        driver.apply(&operation);
        driver.compare(&model);
    }
    // In the end the store and the password checks answer everything, and every request has its reply.
    while model.is_waiting() {
        for operation in [
            ServerOperation::Check { which: 0 },
            ServerOperation::Commit { which: 0, count: u8::MAX },
            ServerOperation::Find { which: 0, most: u8::MAX, works: true },
        ] {
            model.apply(&operation);
            driver.apply(&operation);
            driver.compare(&model);
        }
    }
    driver.finish();
}
