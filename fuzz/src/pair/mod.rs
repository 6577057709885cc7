//! Two ends of a transfer, and the link between them, to which operations do what they like.

mod expectation;
mod world;

use arbitrary::Unstructured;

use super::operations::pair::PairOperation;
pub use expectation::Expectation;
pub use world::World;

/// Whatever happens on the way: the content is exact, or both ends fail with a reason, and both end in bounded time
/// once the link is well.
pub fn pair(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let transfer = bytes.arbitrary().unwrap_or_default();
    let (mut expectation, mut world) = (Expectation::new(transfer), World::new(transfer));
    for operation in PairOperation::all(&mut bytes) {
        expectation.apply(&operation);
        world.apply(&operation);
    }
    world.finish(&expectation);
}
