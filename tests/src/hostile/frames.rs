//! Frames and records that are none, sealed as they should be.

use std::io::{self, Write};

use rand_chacha::rand_core::Rng;
use toom_core::id::RequestId;
use toom_core::wire::codec::{self, LENGTH_BYTES};
use toom_core::wire::limits::{MAX_FRAME_BYTES, MAX_STRANGERS_PER_ADDRESS};
use toom_core::wire::message::{Request, RequestBody};

use super::arena::Arena;
use super::handshakes::some_bytes;
use super::report::Outcome;
use super::stranger::{Stranger, frame, is_closed, login, loopback, read_to_end};

/// Lengths that no frame and no record has.
pub(super) fn oversized(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let over = u32::try_from(MAX_FRAME_BYTES + 1).unwrap_or(u32::MAX);
    for _ in 0..arena.scaled(50) {
        for length in [0, over, 0x00ff_ffff, 0x7fff_ffff, u32::MAX] {
            let mut stranger = arena.stranger(loopback(34))?;
            let bytes = [&length.to_be_bytes()[..], &[0x91; 1_000]].concat();
            expect_closed(outcome, "frames, closed", &mut stranger, |it| it.write(&bytes));
        }
        // Bytes behind the header, without and with the mark of a last record: too few, one too many, the most.
        for length in [0u16, 1, 16, 16_401, 0x7fff, 0x8000, 0x8010, 0xffff] {
            let mut stranger = arena.stranger(loopback(34))?;
            let bytes = [&length.to_be_bytes()[..], &[0; 32_767]].concat();
            expect_closed(outcome, "records, closed", &mut stranger, |it| it.stream.write_all(&bytes));
        }
    }
    Ok(())
}

/// MessagePack that nests, ends too early, or announces what does not come; from a stranger and from a user.
pub(super) fn malformed(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut random = arena.random(2);
    for body in bodies() {
        let mut stranger = arena.stranger(loopback(35))?;
        expect_closed(outcome, "of strangers, closed", &mut stranger, |it| it.write(&frame(&body)));
    }
    for body in bodies().into_iter().step_by(arena.step(8)) {
        let mut user = arena.session("mallory", loopback(35))?;
        expect_closed(outcome, "of a user, closed", &mut user, |it| it.write(&frame(&body)));
    }
    // Bits flipped in what is well-formed may leave it so: then it is answered, and ends with the connection.
    let good = codec::encode(&Request { id: RequestId(1), body: login("nobody", "wrong") });
    for _ in 0..arena.scaled(500) {
        let mut stranger = arena.stranger(loopback(36))?;
        let mut body = good[LENGTH_BYTES..].to_vec();
        let bit = random.next_u64() as usize % (body.len() * 8);
        body[bit / 8] ^= 1 << (bit % 8);
        body.extend(some_bytes(&mut random, 8).split_off(1));
        stranger.write(&frame(&body))?;
        let _ = stranger.stream.shutdown(std::net::Shutdown::Write);
        match read_to_end(&stranger.stream) {
            Ok(0) => outcome.count("flipped, closed"),
            Ok(_) => outcome.count("flipped, answered"),
            Err(error) => outcome.fault(format!("a flipped bit: {error}")),
        }
    }
    Ok(())
}

/// Frames that are complete but for their last byte, from as many connections as one address may have.
pub(super) fn unfinished(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let almost = &frame(&vec![0xc0; MAX_FRAME_BYTES])[..MAX_FRAME_BYTES];
    let mut held = Vec::new();
    for _ in 0..arena.scaled(MAX_STRANGERS_PER_ADDRESS - 2) {
        let mut stranger = arena.stranger(loopback(37))?;
        stranger.write(almost)?;
        held.push(stranger);
        outcome.count("sent");
    }
    let newcomer = arena.newcomer(loopback(1));
    outcome.must("a newcomer logs in meanwhile", newcomer);
    outcome.add("held meanwhile", held.iter().filter(|it| !is_closed(&it.stream)).count() as u64);
    Ok(())
}

fn bodies() -> Vec<Vec<u8>> {
    let login = codec::encode(&Request { id: RequestId(1), body: login("nobody", "wrong") });
    let build = RequestBody::BuildRoom { users: vec!["luke".into(); 20] };
    let build = codec::encode(&Request { id: RequestId(1), body: build });
    let (login, build) = (&login[LENGTH_BYTES..], &build[LENGTH_BYTES..]);
    let whole = [login, build];
    let mut bodies: Vec<Vec<u8>> =
        whole.iter().flat_map(|body| (1..body.len()).map(|cut| body[..cut].to_vec())).collect();
    // Arrays and maps in themselves, as deep as a frame is long.
    bodies.extend([0x91, 0x81, 0xc1, 0x92, 0x8f].map(|byte| vec![byte; MAX_FRAME_BYTES]));
    // The same inside of a well-formed request, where text belongs.
    bodies.push([&login[..login.len() / 2], &[0x91; 10_000]].concat());
    // Arrays, maps, strings, bytes and extensions of 2^32 - 1 elements.
    bodies.extend([0xdd, 0xdf, 0xdb, 0xc6, 0xc9].map(|kind| vec![kind, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    bodies.push([login, &[0xc0]].concat());
    // A string that is no UTF-8, and a number where a name belongs.
    bodies.extend([vec![0x92, 0x01, 0xa3, 0xff, 0xfe, 0xfd], vec![0x92, 0x01, 0x81, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1]]);
    bodies
}

fn expect_closed(
    outcome: &mut Outcome,
    what: &str,
    stranger: &mut Stranger,
    write: impl FnOnce(&mut Stranger) -> io::Result<()>,
) {
    // It may be closed before all is written.
    let _ = write(stranger);
    match read_to_end(&stranger.stream) {
        Ok(_) => outcome.count(what),
        Err(error) => outcome.fault(format!("not {what}: {error}")),
    }
}
