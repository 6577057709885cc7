//! Faults of processes, disks and clocks, put into effect.

use super::fault::{Fault, FaultKind};
use super::server::ServerNode;
use super::store::Trouble;
use super::world::Simulation;

impl Simulation {
    /// A fault of a process, a disk or a clock; others do nothing here.
    pub(super) fn inject_process(&mut self, fault: &Fault) {
        match *fault {
            Fault::SlowCommits { time } => self.spoil(|trouble| trouble.commit = Some(time)),
            Fault::DiskFull => self.spoil(|trouble| trouble.full = true),
            Fault::SyncFails => self.spoil(|trouble| trouble.sync_fails = true),
            Fault::ReadsFail { count } => self.spoil(|trouble| trouble.reads_fail = count),
            Fault::CrashServer { after_effects, survive } => {
                self.with_server(|server, _| server.crash_after(after_effects, survive));
            }
            Fault::StartServer => self.restart_if_down(),
            Fault::CrashClient { client, after_effects } => {
                if let Some(number) = self.number_of(client) {
                    self.with_client(number, |client, _, _| client.crash_after(after_effects));
                }
            }
            Fault::JumpClock { milliseconds } if milliseconds != 0 => {
                self.jump_clock(milliseconds);
                self.network().count(FaultKind::ClockJump);
            }
            Fault::ClientDisk { client, trouble } => {
                if let Some(number) = self.number_of(client) {
                    self.with_client(number, |client, _, _| client.spoil_disk(trouble));
                }
            }
            _ => {}
        }
        self.settle();
    }

    /// Processes, disks and clients are well again, and the server runs. The clock stays where it jumped to.
    pub(super) fn heal_processes(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            client.cancel_crash();
            client.mend_disk();
        }
        self.spoil(|trouble| *trouble = Trouble::default());
        self.with_server(|server, _| server.cancel_crash());
        if self.server().is_some_and(ServerNode::has_stopped_writing) {
            self.stop_server();
        }
        self.restart_if_down();
    }

    fn spoil(&mut self, how: impl FnOnce(&mut Trouble)) {
        self.with_server(|server, _| how(server.disk_trouble()));
    }

    fn restart_if_down(&mut self) {
        if let (false, Some(settings)) = (self.server_is_up(), self.settings) {
            self.start_server(settings);
        }
    }

    /// The client that is meant by a number in a fault: the next one that lives.
    fn number_of(&self, client: usize) -> Option<usize> {
        self.living(client)
    }
}

#[cfg(test)]
mod tests;
