//! Connections that say nothing, or say it very slowly.

use std::io::{self, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use toom_core::wire::limits::{MAX_CONNECTIONS, MAX_STRANGERS, MAX_STRANGERS_PER_ADDRESS};

use super::arena::{Arena, eventually};
use super::handshakes::hello;
use super::report::Outcome;
use super::stranger::{Stranger, frame, is_closed, loopback};

/// A byte of each connection comes so often.
const DRIP: Duration = Duration::from_secs(1);

/// From one address, the newcomer's own.
pub(super) fn silent(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    // More than the limit in a short run, too.
    let count = arena.scaled(1_000).max(MAX_STRANGERS_PER_ADDRESS + 50);
    hold(arena, outcome, &[loopback(1)], count, MAX_STRANGERS_PER_ADDRESS)
}

/// From six addresses, so that the limit of all strangers is met too.
pub(super) fn silent_from_many_addresses(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let addresses: Vec<_> = (11..17).map(loopback).collect();
    hold(arena, outcome, &addresses, 3_000, MAX_STRANGERS)
}

fn hold(arena: &Arena, outcome: &mut Outcome, from: &[IpAddr], count: usize, most: usize) -> io::Result<()> {
    let before = arena.made_room.load(Relaxed);
    let mut open: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        open.push(arena.connect(from[number % from.len()])?);
    }
    outcome.tried += count as u64;
    let newcomer = arena.newcomer(loopback(1));
    if let Some(took) = outcome.must("a newcomer logs in while they are held", newcomer) {
        outcome.note(format!("a newcomer logged in meanwhile within {} ms", took.as_millis()));
    }
    // As the server says: that they are closed at a deadline later must not count.
    let enough = (count - most) as u64;
    let within = eventually(|| arena.made_room.load(Relaxed) - before >= enough);
    outcome.check(within, format!("over the limit of {most}, fewer than {enough} were closed"));
    open.retain(|stream| !is_closed(stream));
    outcome.add("closed, the oldest first", (count - open.len()) as u64);
    if arena.options.short {
        return Ok(());
    }
    outcome.add("closed at the handshake's deadline", open.len() as u64);
    let all = eventually(|| {
        open.retain(|stream| !is_closed(stream));
        open.is_empty()
    });
    outcome.check(all, format!("{} are still open after the deadline", open.len()));
    Ok(())
}

/// As many connections as there may be at all, as fast as they are taken, from one address, never closed from here.
pub(super) fn connection_flood(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    // Two servers of one test would be too much for one process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut open: Vec<TcpStream> = Vec::new();
    let flooded = Instant::now();
    for _ in 0..MAX_CONNECTIONS + 1_000 {
        match arena.connect(loopback(24)) {
            Ok(stream) => open.push(stream),
            Err(error) => {
                outcome.note(format!("no more than {}: {error}", open.len()));
                break;
            }
        }
    }
    outcome.count_many("connected", open.len() as u64);
    outcome.note(format!("in {:.1} s", flooded.elapsed().as_secs_f64()));
    let newcomer = arena.newcomer(loopback(1));
    if let Some(took) = outcome.must("a newcomer logs in meanwhile", newcomer) {
        outcome.note(format!("a newcomer logged in meanwhile within {} ms", took.as_millis()));
    }
    let within = eventually(|| {
        open.retain(|stream| !is_closed(stream));
        open.len() <= MAX_STRANGERS_PER_ADDRESS
    });
    outcome.check(within, format!("{} are held, over the limit", open.len()));
    Ok(())
}

/// A connection and what it has not said yet.
struct Dripping {
    what: &'static str,
    stream: TcpStream,
    rest: Vec<u8>,
}

/// Handshakes only.
pub(super) fn slow_handshakes(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut dripping = Vec::new();
    for _ in 0..arena.scaled(500) {
        let stream = arena.connect(loopback(21))?;
        dripping.push(Dripping { what: "handshakes", stream, rest: hello([9; 32]).to_vec() });
    }
    drip(arena, outcome, dripping)
}

/// After the handshake: inside of a record, and a record for each byte of a frame.
pub(super) fn slow_records(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut dripping = Vec::new();
    for _ in 0..arena.scaled(250) {
        let mut stranger = arena.stranger(loopback(22))?;
        let rest = stranger.seal(&frame(&[0x93; 200]))?;
        dripping.push(Dripping { what: "records", stream: stranger.stream, rest });
    }
    let mut frames: Vec<Stranger> = Vec::new();
    for _ in 0..arena.scaled(250) {
        frames.push(arena.stranger(loopback(23))?);
    }
    let slow_frames = thread::spawn(move || drip_frames(frames, &frame(&[0x93; 200])));
    drip(arena, outcome, dripping)?;
    match slow_frames.join() {
        Ok((closed, left)) => {
            outcome.count_many("frames closed at the deadline", closed);
            outcome.check(left == 0, format!("{left} slow frames were never closed"));
        }
        Err(_) => outcome.fault("the attack itself failed"),
    }
    Ok(())
}

/// A byte of each every second, until all are closed.
fn drip(arena: &Arena, outcome: &mut Outcome, mut dripping: Vec<Dripping>) -> io::Result<()> {
    outcome.tried += dripping.len() as u64;
    let begun = Instant::now();
    let mut sent = 0;
    let mut newcomers = 0;
    while !dripping.is_empty() && sent < 90 {
        dripping.retain_mut(|it| {
            let byte = it.rest.get(sent..=sent).unwrap_or(&[0]);
            let open = it.stream.write_all(byte).is_ok() && !is_closed(&it.stream);
            if !open {
                outcome.add(&format!("{} closed at the deadline", it.what), 1);
            }
            open
        });
        sent += 1;
        let newcomer = arena.newcomer(loopback(1));
        newcomers += u64::from(outcome.must("a newcomer logs in meanwhile", newcomer).is_some());
        thread::sleep((DRIP * u32::try_from(sent).unwrap_or(u32::MAX)).saturating_sub(begun.elapsed()));
    }
    outcome.add("newcomers who logged in meanwhile", newcomers);
    outcome.note(format!("after {sent} bytes"));
    outcome.check(dripping.is_empty(), format!("{} were never closed", dripping.len()));
    Ok(())
}

/// The same, each byte sealed by itself; how many were closed, and how many were not.
fn drip_frames(mut strangers: Vec<Stranger>, frame: &[u8]) -> (u64, u64) {
    let all = strangers.len();
    for byte in frame.iter().take(90) {
        strangers.retain_mut(|it| it.write(&[*byte]).is_ok() && !is_closed(&it.stream));
        if strangers.is_empty() {
            break;
        }
        thread::sleep(DRIP);
    }
    ((all - strangers.len()) as u64, strangers.len() as u64)
}
