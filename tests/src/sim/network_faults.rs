//! Faults of the network, put into effect.

use super::fault::Fault;
use super::world::Simulation;

impl Simulation {
    /// A fault of the network; others do nothing here.
    pub(super) fn inject_network(&mut self, fault: &Fault) {
        let _ = fault;
    }

    /// The network is well again.
    pub(super) fn heal_network(&mut self) {}
}
