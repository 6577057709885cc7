//! What can go wrong in a world, as data: drawn from a seed, printed, deleted one by one, and kept.

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::Toward;
use super::options::LinkOptions;
use super::world::Simulation;

/// A machine in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// The server's.
    Server,
    /// That of the client with this number, taken modulo how many there are.
    Client(usize),
}

/// Something that goes wrong now. Clients are meant modulo how many there are, and who is dead means the next one that
/// lives; what makes no sense at the moment (a crash of what is down) does nothing, so that any list of faults can be
/// carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// From now on nothing gets from one host to another, datagrams and TCP; in both directions or in one.
    Partition {
        /// From here.
        from: Host,
        /// To there.
        to: Host,
        /// And back.
        both: bool,
    },
    /// From now on datagrams between two clients, in this direction, fare like this.
    Link {
        /// From here.
        from: usize,
        /// To there.
        to: usize,
        /// How they fare.
        options: LinkOptions,
    },
    /// A client's TCP connection gives nothing in one direction for a while; what was written comes afterwards.
    Stall {
        /// Whose.
        client: usize,
        /// Which direction.
        toward: Toward,
        /// How long.
        time: Duration,
    },
    /// A client's TCP connection gives so few bytes a second in one direction.
    Trickle {
        /// Whose.
        client: usize,
        /// Which direction.
        toward: Toward,
        /// Bytes a second.
        rate: u64,
    },
    /// A client's TCP connection is reset: both ends lose what is under way.
    Reset {
        /// Whose.
        client: usize,
    },
    /// A client's datagrams come from another address from now on, and what is sent to the old one is lost.
    Rebind {
        /// Whose.
        client: usize,
    },
    /// Someone sends a client datagrams again that it received before.
    Replay {
        /// To whom.
        client: usize,
        /// How many of the latest.
        count: usize,
        /// From a stranger's address, as opposed to the address from which they came.
        foreign: bool,
        /// With one bit of each changed.
        changed: bool,
    },
    /// The server's disk takes so long for each commit from now on.
    SlowCommits {
        /// At most, by chance.
        time: Duration,
    },
    /// The server's disk is full from now on: proposals fail.
    DiskFull,
    /// The next sync fails: nobody knows what is on the disk, and nothing is written until the server is restarted.
    SyncFails,
    /// The server's disk cannot be read: so many pages of history fail.
    ReadsFail {
        /// How many.
        count: u32,
    },
    /// The server's process dies once it has carried out so many more effects. It may lose all that was not
    /// synced, or only the tail of it.
    CrashServer {
        /// So many.
        after_effects: u32,
        /// So many proposals under way reach the disk nevertheless, in order.
        survive: u32,
    },
    /// The server's process starts, if it is down.
    StartServer,
    /// A client's process dies once it has carried out so many more effects.
    CrashClient {
        /// Which.
        client: usize,
        /// So many.
        after_effects: u32,
    },
    /// The wall clock of the server jumps.
    JumpClock {
        /// By so many milliseconds, forward or back.
        milliseconds: i64,
    },
    /// A client's disk goes wrong from now on.
    ClientDisk {
        /// Whose.
        client: usize,
        /// How.
        trouble: DiskTrouble,
    },
}

/// How a client's disk goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskTrouble {
    /// Everything takes up to two seconds.
    Slow,
    /// Reading fails.
    ReadsFail,
    /// Writing fails.
    WritesFail,
    /// A file changes while it is sent.
    SourcesChange,
}

/// A kind of fault, for counting what really happened to somebody: not what was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A datagram was lost by itself.
    Loss,
    /// A datagram was lost in a burst of losses.
    BurstLoss,
    /// A datagram was lost since the queue in front of the link was full.
    QueueFull,
    /// A datagram was made late, behind others.
    Reorder,
    /// A datagram arrived twice.
    Duplicate,
    /// One bit of a datagram changed.
    BitFlip,
    /// A datagram was cut short.
    Truncation,
    /// Something did not get through a partition in one direction.
    OneWayPartition,
    /// Something did not get through a partition in both directions.
    Partition,
    /// A peer's address changed while a transfer was under way.
    AddressChange,
    /// A datagram was sent again by a stranger, as it was.
    Replay,
    /// A datagram was sent again from a foreign address.
    ForeignReplay,
    /// A datagram was changed and sent again.
    Forgery,
    /// A TCP stream gave nothing for a while though there was something.
    Stall,
    /// A TCP stream gave few bytes at a time, slowly.
    Trickle,
    /// A TCP stream was cut within a frame.
    Split,
    /// A TCP connection was reset.
    Reset,
    /// A commit took longer than usual.
    SlowCommit,
    /// A fact that was proposed was lost in a crash.
    LostUnsynced,
    /// Some of the facts under way survived a crash, and the rest did not.
    TornTail,
    /// A proposal failed because the disk was full.
    DiskFull,
    /// A proposal failed because the sync failed, or had failed before.
    FailedSync,
    /// A page of history could not be read.
    ReadError,
    /// The server's process died.
    ServerCrash,
    /// The server's process died between two effects of one input.
    ServerCrashMidway,
    /// A client's process died.
    ClientCrash,
    /// The wall clock jumped.
    ClockJump,
    /// A client's disk was slow.
    SlowDisk,
    /// A client could not read a file.
    ClientReadError,
    /// A client could not write a file.
    ClientWriteError,
    /// A file changed while it was sent.
    SourceChange,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &[FaultKind] = &[
        FaultKind::Loss,
        FaultKind::BurstLoss,
        FaultKind::QueueFull,
        FaultKind::Reorder,
        FaultKind::Duplicate,
        FaultKind::BitFlip,
        FaultKind::Truncation,
        FaultKind::OneWayPartition,
        FaultKind::Partition,
        FaultKind::AddressChange,
        FaultKind::Replay,
        FaultKind::ForeignReplay,
        FaultKind::Forgery,
        FaultKind::Stall,
        FaultKind::Trickle,
        FaultKind::Split,
        FaultKind::Reset,
        FaultKind::SlowCommit,
        FaultKind::LostUnsynced,
        FaultKind::TornTail,
        FaultKind::DiskFull,
        FaultKind::FailedSync,
        FaultKind::ReadError,
        FaultKind::ServerCrash,
        FaultKind::ServerCrashMidway,
        FaultKind::ClientCrash,
        FaultKind::ClockJump,
        FaultKind::SlowDisk,
        FaultKind::ClientReadError,
        FaultKind::ClientWriteError,
        FaultKind::SourceChange,
    ];
}

/// How often what happened.
pub type FaultCounts = BTreeMap<FaultKind, u64>;

impl Simulation {
    /// Something goes wrong now.
    pub fn inject(&mut self, fault: &Fault) {
        self.note(format_args!("fault: {fault:?}"));
        match fault {
            Fault::Partition { .. }
            | Fault::Link { .. }
            | Fault::Stall { .. }
            | Fault::Trickle { .. }
            | Fault::Reset { .. }
            | Fault::Rebind { .. }
            | Fault::Replay { .. } => self.inject_network(fault),
            Fault::SlowCommits { .. }
            | Fault::DiskFull
            | Fault::SyncFails
            | Fault::ReadsFail { .. }
            | Fault::CrashServer { .. }
            | Fault::StartServer
            | Fault::CrashClient { .. }
            | Fault::JumpClock { .. }
            | Fault::ClientDisk { .. } => self.inject_process(fault),
        }
    }

    /// Everything that lasts is mended: links, partitions, disks, streams. A server that stopped writing is
    /// restarted, one that is down is started. Dead clients stay dead.
    pub fn heal(&mut self) {
        self.note(format_args!("everything is healed"));
        self.heal_network();
        self.heal_processes();
    }

    /// What really happened so far, by kind.
    pub fn faults(&mut self) -> &FaultCounts {
        &self.network().faults
    }
}
