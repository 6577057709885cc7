//! What sealing and opening a connection costs, beside what the cipher alone costs: frames of 100 bytes on one core,
//! pushed into an outbox as a server does it and opened as a client does it, in rounds that take turns with the same
//! work without a cipher and with the cipher alone.
//!
//! `cargo bench -p toom-core --bench records`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Clock;

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use toom_core::link::{Arrived, Identity, Input, Link, Output};
use toom_core::machine::Machine;
use toom_core::secure::{MAX_RECORD_PAYLOAD, SecretKey, Suite};
use toom_core::time::Instant;
use toom_core::wire::codec::{LENGTH_BYTES, decode, decode_length, encode};
use toom_core::wire::limits::MAX_OUTBOX_BYTES;

/// Bytes of a frame, its length included.
const FRAME: usize = 100;
/// Frames of one batch: what an empty outbox keeps room for, so that the allocator is not measured.
const FRAMES: usize = 160;
const ROUNDS: usize = 2_000;

fn main() {
    println!(
        "frames of {FRAME} bytes, ns a frame (median of {ROUNDS} rounds): encoded once, pushed, sealed, opened, decoded"
    );
    for suite in Suite::ALL {
        let (mut sealed, mut bare, mut clear) = (Sealed::new(suite), Bare::new(suite), Clear::new());
        let (mut with, mut without, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            with.push(timed(|| sealed.batch()));
            without.push(timed(|| clear.batch()));
            alone.push(timed(|| bare.batch()));
        }
        let (with, without, alone) = (median(with), median(without), median(alone));
        let share = (with - without) / alone;
        println!(
            "{suite:?}: sealed {with:.1}, in clear {without:.1}, the cipher alone {alone:.1}; sealing adds {share:.3} of that"
        );
    }
}

fn frame() -> Vec<u8> {
    // A text with the length of its own header makes it 100 bytes.
    let frame = encode(&"x".repeat(FRAME - LENGTH_BYTES - 2));
    assert_eq!(frame.len(), FRAME);
    frame.to_vec()
}

/// Nanoseconds for one frame.
fn timed(batch: impl FnOnce()) -> f64 {
    let began = Clock::now();
    batch();
    began.elapsed().as_nanos() as f64 / FRAMES as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Both ends of a connection.
struct Sealed {
    server: Link<String>,
    client: Link<String>,
    frame: Vec<u8>,
    wire: Vec<u8>,
    out: Vec<Output<String>>,
}

impl Sealed {
    fn new(suite: Suite) -> Sealed {
        let identity = |byte| Arc::new(Identity { secret: SecretKey::new([byte; 32]), best: suite });
        let key = identity(2).secret.public();
        let mut client = Link::client(Instant::ZERO, identity(1), [3; 32], Some(key));
        let mut server = Link::server(Instant::ZERO, identity(2), [4; 32]);
        for _ in 0..2 {
            carry(&mut client, &mut server);
            carry(&mut server, &mut client);
        }
        Sealed { server, client, frame: frame(), wire: Vec::new(), out: Vec::new() }
    }

    fn batch(&mut self) {
        for _ in 0..FRAMES {
            self.server.outbound.push(black_box(&self.frame)).expect("room");
        }
        self.server.outbound.seal(Instant::ZERO);
        // The copy stands for the kernel's.
        self.wire.clear();
        self.wire.extend_from_slice(self.server.outbound.pending());
        self.server.outbound.written(self.wire.len());
        self.client.inbound.handle(Instant::ZERO, Input::Bytes(&mut self.wire), &mut self.out);
        assert_eq!(black_box(&self.out).len(), FRAMES);
        self.out.clear();
    }
}

fn carry(from: &mut Link<String>, to: &mut Link<String>) {
    let mut bytes = from.outbound.pending().to_vec();
    from.outbound.written(bytes.len());
    let closed = to.handle(Instant::ZERO, Input::Bytes(&mut bytes));
    assert!(!closed.iter().any(|it| matches!(it, Arrived::Closed(_))));
}

/// The same without a cipher: frames gathered in an outbox that gives its memory back, copied, taken apart and decoded.
struct Clear {
    frame: Vec<u8>,
    outbox: Vec<u8>,
    wire: Vec<u8>,
    out: Vec<Output<String>>,
}

impl Clear {
    fn new() -> Clear {
        Clear { frame: frame(), outbox: Vec::new(), wire: Vec::new(), out: Vec::new() }
    }

    fn batch(&mut self) {
        for _ in 0..FRAMES {
            let frame = black_box(&self.frame);
            assert!(self.outbox.len() + frame.len() <= MAX_OUTBOX_BYTES, "room");
            self.outbox.extend_from_slice(frame);
        }
        self.wire.clear();
        self.wire.extend_from_slice(black_box(&self.outbox));
        // As an outbox does that is empty.
        self.outbox.clear();
        self.outbox.shrink_to(16 * 1024);
        let mut rest = self.wire.as_slice();
        while let Some((length, body)) = rest.split_first_chunk::<LENGTH_BYTES>() {
            let (body, later) = body.split_at(decode_length(*length).expect("a length"));
            self.out.push(Output::Message(decode(body).expect("a message")));
            rest = later;
        }
        assert_eq!(black_box(&self.out).len(), FRAMES);
        self.out.clear();
    }
}

/// The cipher alone: as many bytes, in records as large.
struct Bare {
    key: LessSafeKey,
    buffer: Vec<u8>,
    whole: Vec<u8>,
    number: u64,
}

impl Bare {
    fn new(suite: Suite) -> Bare {
        let algorithm = match suite {
            Suite::AesGcm => &AES_256_GCM,
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &[1; 32]).expect("32 bytes"));
        Bare { key, buffer: vec![7; FRAMES * FRAME], whole: Vec::new(), number: 0 }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn batch(&mut self) {
        let mut buffer = core::mem::take(&mut self.buffer);
        for record in buffer.chunks_mut(MAX_RECORD_PAYLOAD) {
            self.number += 1;
            let nonce = self.nonce();
            let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(&[0, 0]), record).expect("sealed");
            self.whole.clear();
            self.whole.extend_from_slice(record);
            self.whole.extend_from_slice(sealed.as_ref());
            black_box(self.key.open_in_place(self.nonce(), Aad::from(&[0, 0]), &mut self.whole).expect("opened"));
        }
        self.buffer = black_box(buffer);
    }
}
