//! What may go wrong, drawn: one function for each kind.

use super::draw::Draw;
use super::draw_options::draw_link;
use crate::sim::fault::{DiskTrouble, Fault, Host};
use crate::sim::network::Toward;

/// Draws a fault of one kind.
pub type FaultDrawer = fn(&mut Draw) -> Fault;

/// Every kind, and how often it comes if all kinds are on.
pub const FAULTS: &[(u64, FaultDrawer)] = &[
    (3, |draw| Fault::Partition { from: host(draw), to: host(draw), both: draw.chance(0.5) }),
    (4, |draw| Fault::Link { from: draw.someone(), to: draw.someone(), options: draw_link(draw) }),
    (3, |draw| Fault::Stall { client: draw.someone(), toward: toward(draw), time: draw.time(100, 120_000) }),
    (2, |draw| Fault::Trickle { client: draw.someone(), toward: toward(draw), rate: draw.small_or_large(1..=10_000) }),
    (4, |draw| Fault::Reset { client: draw.someone() }),
    (5, |draw| Fault::Rebind { client: draw.someone() }),
    (6, replay),
    (1, |draw| Fault::SlowCommits { time: draw.time(10, 5_000) }),
    (1, |_| Fault::DiskFull),
    (1, |_| Fault::SyncFails),
    (1, |draw| Fault::ReadsFail { count: draw.small_or_large(1..=10) as u32 }),
    (6, crash_server),
    (2, |_| Fault::StartServer),
    (2, |draw| Fault::CrashClient { client: draw.someone(), after_effects: draw.small_or_large(0..=60) as u32 }),
    (1, |draw| Fault::JumpClock { milliseconds: jump(draw) }),
    (1, |draw| Fault::ClientDisk { client: draw.someone(), trouble: DiskTrouble::Slow }),
    (3, |draw| Fault::ClientDisk { client: draw.someone(), trouble: DiskTrouble::ReadsFail }),
    (3, |draw| Fault::ClientDisk { client: draw.taker(), trouble: DiskTrouble::WritesFail }),
    (6, |draw| Fault::ClientDisk { client: draw.someone(), trouble: DiskTrouble::SourcesChange }),
];

fn host(draw: &mut Draw) -> Host {
    if draw.chance(0.4) { Host::Server } else { Host::Client(draw.someone()) }
}

fn toward(draw: &mut Draw) -> Toward {
    draw.pick(&[Toward::Server, Toward::Client])
}

fn replay(draw: &mut Draw) -> Fault {
    Fault::Replay {
        client: draw.someone(),
        count: draw.small_or_large(1..=50) as usize,
        foreign: draw.chance(0.5),
        changed: draw.chance(0.5),
    }
}

fn crash_server(draw: &mut Draw) -> Fault {
    let most = draw.pick(&[12, 100]);
    let after_effects = draw.small_or_large(0..=most) as u32;
    Fault::CrashServer { after_effects, survive: draw.within(0..=4) as u32 }
}

fn jump(draw: &mut Draw) -> i64 {
    let far = draw.small_or_large(1..=7_200_000) as i64;
    if draw.chance(0.5) { far } else { -far }
}
