//! Faults of a plan name people; what goes wrong happens to the clients that these have now.

use crate::sim::fault::{Fault, Host};

/// The same fault, of these people's clients; nothing if one of them never had any.
pub fn aimed(fault: &Fault, client_of: &impl Fn(usize) -> Option<usize>) -> Option<Fault> {
    let mut fault = fault.clone();
    for client in clients(&mut fault) {
        *client = client_of(*client)?;
    }
    Some(fault)
}

/// The clients that a fault is about.
pub fn clients(fault: &mut Fault) -> Vec<&mut usize> {
    match fault {
        Fault::Partition { from, to, .. } => [from, to].into_iter().filter_map(client).collect(),
        Fault::Link { from, to, .. } => vec![from, to],
        Fault::Stall { client, .. }
        | Fault::Trickle { client, .. }
        | Fault::Reset { client }
        | Fault::Rebind { client }
        | Fault::Replay { client, .. }
        | Fault::CrashClient { client, .. }
        | Fault::ClientDisk { client, .. } => vec![client],
        Fault::SlowCommits { .. }
        | Fault::DiskFull
        | Fault::SyncFails
        | Fault::ReadsFail { .. }
        | Fault::CrashServer { .. }
        | Fault::StartServer
        | Fault::JumpClock { .. } => Vec::new(),
    }
}

fn client(host: &mut Host) -> Option<&mut usize> {
    match host {
        Host::Server => None,
        Host::Client(client) => Some(client),
    }
}
