//! What moving a file allocates at each end, between a quarter and three quarters of 256 MiB: once everything has the
//! size that it needs.
//!
//! `cargo bench -p toom-store --bench allocations`

#[path = "../tests/allocations/ends.rs"]
mod ends;

use std::path::Path;

use ends::Allocated;

const BYTES: u64 = 256 << 20;

fn main() {
    let mut place = tempfile::Builder::new();
    place.prefix("toom-bench-");
    // A directory in memory, on Linux.
    let directory = place.tempdir_in(Path::new("/dev/shm")).or_else(|_| place.tempdir()).expect("a directory");
    let outcome = ends::transfer(directory.path(), BYTES);
    println!("{} MiB, {} packets in the middle half of it:", BYTES >> 20, outcome.packets);
    for (end, Allocated { times, bytes }) in [("sender", outcome.sender), ("receiver", outcome.receiver)] {
        let each = |count: u64| count as f64 / outcome.packets as f64;
        println!("{end}: {times} allocations, {:.4} a packet, {:.1} bytes a packet", each(times), each(bytes));
    }
}
