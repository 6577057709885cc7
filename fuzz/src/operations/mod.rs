//! What happens to machines, made from bytes with `arbitrary`: the fuzzers and the tests with proptest share these.

pub mod frames;
pub mod messages;
pub mod pair;
pub mod server;

use arbitrary::{Arbitrary, Unstructured};

/// Operations for one run; more would only make each run slower.
pub const MAX_OPERATIONS: usize = 250;

/// As many operations as the bytes give.
pub fn all<'a, T: Arbitrary<'a>>(bytes: &mut Unstructured<'a>) -> Vec<T> {
    let mut operations = Vec::new();
    while !bytes.is_empty() && operations.len() < MAX_OPERATIONS {
        let Ok(operation) = bytes.arbitrary() else { break };
        operations.push(operation);
    }
    operations
}

/// One of a list, or `None` if the list is empty.
pub fn pick(choice: u8, length: usize) -> Option<usize> {
    usize::from(choice).checked_rem(length)
}
