//! Attacks on a real server, while two people talk over it: whether anybody is disturbed.
//!
//! The processes are those that people run. The attackers are made of the core's own handshake and codec, or write
//! bytes by hand. `cargo run --release -p toom-tests --bin hostile` runs everything and prints a table.

mod arena;
mod bystanders;
mod datagrams;
mod files;
mod floods;
mod frames;
mod gauge;
mod handshakes;
mod logins;
mod low_order;
mod processes;
mod report;
mod requests;
mod silence;
pub(crate) mod stranger;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use toom_core::wire::limits::{
    MAX_FRAME_BYTES, MAX_OUTBOX_BYTES, MAX_PASSWORD_BYTES, MAX_PASSWORD_CHECKS, MAX_STRANGERS, MAX_TEXT_BYTES,
};

pub use report::{Row, table};

use arena::{Arena, eventually};
use bystanders::Bystanders;
use gauge::{Gauge, Use};
use processes::ServerProcess;
use report::Outcome;
use stranger::loopback;

/// Both drivers.
pub const RUNTIMES: [&str; 2] = ["smol", "std"];

/// How to attack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub toom: PathBuf,
    /// Only attacks whose name has this in it.
    pub only: Option<String>,
    /// Guesses for one name, and for many.
    pub logins: u64,
    /// Less of everything, and nothing that waits for a long deadline.
    pub short: bool,
    /// Decides what is random.
    pub seed: u64,
}

/// What a server may use at most, from its limits:
/// * a server with a few hundred users and nothing else to do, its database's caches, and what the allocator keeps;
/// * of each stranger a frame and a record that are not complete, and a thread's stack as far as it is used;
/// * two passwords being checked, and those that wait;
/// * the names that failed, with and without an account (see their limits);
/// * the outboxes of a few who do not read, before and after what is written is moved away;
/// * the requests and deliveries that wait in the drivers' mailboxes.
const MEMORY_CAP: u64 = {
    let idle = 96 << 20;
    let strangers = MAX_STRANGERS * (MAX_FRAME_BYTES + (16 << 10) + (64 << 10));
    let passwords = 2 * (19 << 20) + MAX_PASSWORD_CHECKS * (MAX_PASSWORD_BYTES + 512);
    let names = (4 << 20) + (16 << 20);
    let outboxes = 4 * 2 * MAX_OUTBOX_BYTES;
    let mailboxes = (1_024 + 2 * 4_096) * MAX_TEXT_BYTES;
    (idle + strangers + passwords + names + outboxes + mailboxes) as u64
};

/// One way to attack.
struct Attack {
    name: &'static str,
    what: &'static str,
    run: fn(&Arena, &mut Outcome) -> io::Result<()>,
    /// Left out of a short run.
    long: bool,
}

const fn attack(name: &'static str, what: &'static str, run: fn(&Arena, &mut Outcome) -> io::Result<()>) -> Attack {
    Attack { name, what, run, long: false }
}

const fn long(attack: Attack) -> Attack {
    Attack { long: true, ..attack }
}

const ATTACKS: &[Attack] = &[
    attack("silent", "connections that say nothing, from the newcomer's address", silence::silent),
    long(attack(
        "silent-many-addresses",
        "connections that say nothing, from six addresses",
        silence::silent_from_many_addresses,
    )),
    attack("connection-flood", "connections as fast as they are taken, from one address", silence::connection_flood),
    long(attack("slow-handshakes", "handshakes at a byte a second", silence::slow_handshakes)),
    long(attack("slow-records", "records and frames at a byte a second, after the handshake", silence::slow_records)),
    attack("random-bytes", "random bytes before, during and after the handshake", handshakes::random_bytes),
    attack("low-order-keys", "ephemeral keys of low order", handshakes::low_order_keys),
    attack("replays", "a recorded session, and a repeated record", handshakes::replays),
    attack("oversized", "frames and records of impossible lengths", frames::oversized),
    attack("malformed", "deep, truncated and wrong MessagePack, sealed properly", frames::malformed),
    attack("unfinished", "frames of 256 KiB without their last byte, held", frames::unfinished),
    attack("one-name", "guesses for one name, whose owner is logged in", logins::one_name),
    attack("many-names", "guesses for a new name each time, from one address", logins::many_names),
    attack("all-at-once", "logins of different names at once, from many addresses", logins::all_at_once),
    attack("posts", "broadcasts of 1 byte and of 16 KiB, as fast as they are taken", floods::posts),
    attack("in-flight", "eight times as many requests under way as allowed", floods::requests_in_flight),
    attack("no-reader", "users who never read what others broadcast", floods::no_reader),
    attack("rooms", "rooms of 256 members, 1,024 rooms of one user, and more", requests::rooms),
    attack("offers", "64 offers that nobody answers, and more", requests::offers),
    attack("file-names", "files whose names would do harm, to a client that accepts all", files::names),
    attack("links", "links planted where a file is received, also while it is", files::links),
    attack("datagrams", "datagrams of strangers while files of 50 MB move", datagrams::strangers),
    attack("strange-values", "requests of all kinds with values at the limits and over them", requests::strange_values),
];

/// Starts a server on this runtime, and attacks it. `tell` hears of each attack.
pub fn run(runtime: &'static str, options: &Options, mut tell: impl FnMut(&Row)) -> io::Result<Vec<Row>> {
    toom_store::system::raise_file_limit();
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    toom_store::log::append(&data, &arena::accounts()).map_err(io::Error::other)?;
    let mut server = ServerProcess::start(&options.toom, runtime, &data)?;
    let text = |key: &str| server.listening[key].as_str().unwrap_or_default().to_owned();
    let (address, key) = (text("address"), text("key"));
    let mut arena = Arena {
        options,
        runtime,
        dir: dir.path(),
        server: address.parse().map_err(io::Error::other)?,
        key: key.parse().map_err(io::Error::other)?,
        made_room: Arc::clone(&server.made_room),
        udp_ports: [0; 2],
    };
    let (yoda, luke) = (arena.client("yoda", &[])?, arena.client("luke", &[])?);
    arena.udp_ports = [yoda.udp_port, luke.udp_port];
    let bystanders = Bystanders::start(yoda, luke);
    let mut rows = Vec::new();
    for attack in ATTACKS {
        let chosen = options.only.as_ref().is_none_or(|only| attack.name.contains(only.as_str()));
        if !chosen || (options.short && attack.long) {
            continue;
        }
        let row = watch(attack, &arena, &mut server, &bystanders);
        tell(&row);
        rows.push(row);
    }
    Ok(rows)
}

fn watch(attack: &Attack, arena: &Arena, server: &mut ServerProcess, bystanders: &Bystanders) -> Row {
    let id = server.id();
    let before = Use::of(id);
    let (gauge, begun) = (Gauge::start(id), Instant::now());
    bystanders.begin();
    let mut outcome = Outcome::default();
    let result = (attack.run)(arena, &mut outcome);
    outcome.must("the attack can be made", result);
    let took = begun.elapsed();
    let newcomer = arena.newcomer(loopback(1));
    outcome.must("a newcomer logs in afterwards", newcomer);
    let met = bystanders.end();
    outcome.check(met.messages > 0, "the bystanders could not talk");
    if let Some(fault) = met.fault {
        outcome.fault(format!("the bystanders were disturbed: {fault}"));
    }
    // What was closed is given back, within the time that the last bytes may take to be read.
    let back = eventually(|| Use::of(id).descriptors <= before.descriptors);
    let (most, after) = (gauge.most(), Use::of(id));
    outcome.check(back, format!("{} descriptors are still open, {} before", after.descriptors, before.descriptors));
    let (used, cap) = (most.memory >> 20, MEMORY_CAP >> 20);
    outcome.check(most.memory <= MEMORY_CAP, format!("the server used {used} MiB, over the cap of {cap} MiB"));
    let same_process = server.is_running();
    outcome.check(same_process, "the server has ended");
    if let Some(panic) = server.said().panic() {
        outcome.fault(format!("the server panicked: {panic}"));
    }
    let (messages, longest) = (met.messages, met.longest);
    let what = attack.what.to_owned();
    Row { name: attack.name, what, outcome, took, messages, longest, uses: [before, most, after], same_process }
}
