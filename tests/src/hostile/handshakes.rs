//! Handshakes that are none.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use toom_core::id::RequestId;
use toom_core::link::{Identity, Input, Link};
use toom_core::secure::{SecretKey, Suite};
use toom_core::time::Instant;
use toom_core::wire::codec;
use toom_core::wire::message::{Request, ServerMessage};
use toom_core::wire::preamble::Preamble;

use super::arena::Arena;
use super::low_order;
use super::report::Outcome;
use super::stranger::{login, loopback, read_to_end};

/// Preamble, `e, ee, s, es`: what a server says in a handshake.
const ANSWER_BYTES: usize = 8 + 96;
/// `s, se`.
const THIRD_BYTES: usize = 64;

/// What a client says first, with this as its ephemeral key.
pub(super) fn hello(ephemeral: [u8; 32]) -> [u8; 40] {
    let mut hello = [0; 40];
    hello[..8].copy_from_slice(&Preamble::new(Suite::AesGcm).encode());
    hello[8..].copy_from_slice(&ephemeral);
    hello
}

/// Random bytes before, during and after the handshake.
pub(super) fn random_bytes(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let mut random = arena.random(1);
    for _ in 0..arena.scaled(500) {
        let mut stream = arena.connect(loopback(31))?;
        let bytes = some_bytes(&mut random, 4_096);
        // The server may have closed it before all was written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        closed(outcome, "before the handshake, closed", &stream, 0);
    }
    for number in 0..arena.scaled(500) {
        let mut stream = arena.connect(loopback(31))?;
        let mut ephemeral = [0; 32];
        random.fill_bytes(&mut ephemeral);
        stream.write_all(&hello(ephemeral))?;
        if number % 2 == 0 {
            stream.read_exact(&mut [0; ANSWER_BYTES])?;
        }
        let mut third = [0; THIRD_BYTES];
        random.fill_bytes(&mut third);
        let _ = stream.write_all(&third);
        closed(outcome, "during the handshake, closed", &stream, ANSWER_BYTES);
    }
    for _ in 0..arena.scaled(500) {
        let mut stranger = arena.stranger(loopback(31))?;
        let bytes = some_bytes(&mut random, 4_096);
        let _ = stranger.stream.write_all(&bytes);
        let _ = stranger.stream.shutdown(std::net::Shutdown::Write);
        closed(outcome, "after the handshake, closed", &stranger.stream, 0);
    }
    Ok(())
}

/// Ephemeral keys of which every secret is known: points of low order, in all their encodings (RFC 7748, section 6.1,
/// and D. J. Bernstein, "Curve25519", the list under "How do I validate Curve25519 public keys?").
pub(super) fn low_order_keys(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    for times in 0..arena.scaled(20) {
        for key in low_order() {
            let mut stream = arena.connect(loopback(32))?;
            stream.write_all(&hello(key))?;
            let mut third = [0; THIRD_BYTES];
            arena.random(times as u64).fill_bytes(&mut third);
            let _ = stream.write_all(&third);
            closed(outcome, "closed", &stream, ANSWER_BYTES);
        }
        // With all secrets known to everyone the handshake could be done by anyone: such a key is nobody's.
        let mut stream = arena.connect(loopback(32))?;
        let login = codec::encode(&Request { id: RequestId(1), body: login("nobody", "wrong") });
        low_order::send(&mut stream, &login)?;
        let answer = stream.read(&mut [0; 64]);
        match answer {
            Ok(0) => outcome.count("a whole handshake with keys of zeros: closed"),
            Ok(_) => outcome.fault("a whole handshake with keys of zeros was answered"),
            // What was sent after the handshake is thrown away.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                outcome.count("a whole handshake with keys of zeros: closed");
            }
            Err(error) => outcome.fault(format!("a handshake with keys of zeros: {error}")),
        }
    }
    Ok(())
}

/// Whole handshakes with a login, again on another connection; and a record twice.
pub(super) fn replays(arena: &Arena, outcome: &mut Outcome) -> io::Result<()> {
    let recorded = record(arena)?;
    for _ in 0..arena.scaled(500) {
        let mut stream = arena.connect(loopback(33))?;
        let _ = stream.write_all(&recorded);
        closed(outcome, "a whole session: closed", &stream, ANSWER_BYTES);
    }
    for _ in 0..arena.scaled(100) {
        let mut stranger = arena.stranger(loopback(33))?;
        let sealed = stranger.seal(&codec::encode(&Request { id: RequestId(1), body: login("nobody", "wrong") }))?;
        stranger.stream.write_all(&sealed)?;
        // It may have been closed already.
        let _ = stranger.stream.write_all(&sealed);
        closed(outcome, "one record: closed", &stranger.stream, 4_096);
    }
    Ok(())
}

/// All that a client says from its first byte to its login.
fn record(arena: &Arena) -> io::Result<Vec<u8>> {
    let mut stream = arena.connect(loopback(1))?;
    let identity = Arc::new(Identity { secret: SecretKey::new([0x5b; 32]), best: Suite::AesGcm });
    let mut link: Link<ServerMessage> = Link::client(Instant::ZERO, identity, [0x5c; 32], Some(arena.key));
    let login = codec::encode(&Request { id: RequestId(1), body: login("leia", "leia") });
    link.outbound.push(&login).map_err(io::Error::other)?;
    let mut recorded = Vec::new();
    for _ in 0..2 {
        link.outbound.seal(Instant::ZERO);
        let pending = link.outbound.pending().to_vec();
        link.outbound.written(pending.len());
        stream.write_all(&pending)?;
        recorded.extend(pending);
        let mut answer = [0; ANSWER_BYTES];
        if recorded.len() == hello([0; 32]).len() {
            stream.read_exact(&mut answer)?;
            link.handle(Instant::ZERO, Input::Bytes(&mut answer));
        }
    }
    // The welcome: so that what was recorded is known to be good.
    stream.read_exact(&mut [0; 2])?;
    Ok(recorded)
}

/// Expects that the server closes, and says no more than `most` bytes before.
fn closed(outcome: &mut Outcome, what: &str, stream: &TcpStream, most: usize) {
    match read_to_end(stream) {
        Ok(said) if said <= most => outcome.count(what),
        Ok(said) => outcome.fault(format!("{what}, but the server said {said} bytes before")),
        Err(error) => outcome.fault(format!("not {what}: {error}")),
    }
}

/// 1 to `most` bytes.
pub(super) fn some_bytes(random: &mut ChaCha8Rng, most: u64) -> Vec<u8> {
    let length = 1 + random.next_u64() % most;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(1)];
    random.fill_bytes(&mut bytes);
    bytes
}

fn low_order() -> [[u8; 32]; 7] {
    let small = |first: u8| {
        let mut key = [0; 32];
        key[0] = first;
        key
    };
    // The prime is 2^255 - 19.
    let near_prime = |first: u8| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (first, 0x7f);
        key
    };
    let eighth = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    let other_eighth = [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ];
    [small(0), small(1), near_prime(0xec), near_prime(0xed), near_prime(0xee), eighth, other_eighth]
}
