//! What sealing and opening datagrams costs through `Keys`, beside what the cipher alone costs: packets of 1,400 bytes
//! on one core, in rounds that take turns, so that whatever else the computer does hits both alike.
//!
//! `cargo bench -p toom-core`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::peer::{Packet, StreamData};
use toom_core::secure::{self, PacketKeys, Suite};
use toom_core::transfer::io::{Burst, SlotId};
use toom_core::transfer::{Keys, Opened};
use toom_core::wire::packet::{HEADER_BYTES, PACKET_OVERHEAD, PacketNumber, Role};
use toom_core::wire::peer_frame::{FlowId, stream_header_bytes};

const DATAGRAM: usize = 1_400;
const PACKETS: u64 = 46;
const DATA: usize = DATAGRAM - PACKET_OVERHEAD - stream_header_bytes(0, DATAGRAM);
const ROUNDS: usize = 400;
/// Bursts for one measurement.
const BURSTS: u64 = 20;

fn main() {
    println!("{DATAGRAM} bytes, ns a datagram (median of {ROUNDS} rounds): seal and open");
    for suite in Suite::ALL {
        let (mut ours, mut bare) = (Ours::new(suite), Bare::new(suite));
        let (mut with_keys, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            with_keys.push(timed(|| ours.burst()));
            alone.push(timed(|| bare.burst()));
        }
        let (with_keys, alone) = (median(with_keys), median(alone));
        println!("{suite:?}: through Keys {with_keys:.0}, the cipher alone {alone:.0}: {:.3}", with_keys / alone);
    }
}

/// Nanoseconds for one packet.
fn timed(mut burst: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..BURSTS).for_each(|_| burst());
    let took: Duration = began.elapsed();
    took.as_nanos() as f64 / (BURSTS * PACKETS) as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// As a driver does it: packets are built of a slot, sealed, and opened where they are.
struct Ours {
    sender: Keys,
    receiver: Keys,
    burst: Burst,
    slot: Vec<u8>,
    out: Vec<u8>,
}

impl Ours {
    fn new(suite: Suite) -> Ours {
        let agreed = secure::Keys { of_initiator: [1; 32].into(), of_responder: [2; 32].into() };
        let keys = |role| {
            let mut keys = Keys::default();
            keys.listen(PeerIndex(1), OfferId(1), &PacketKeys::new(suite, role, &agreed));
            keys
        };
        let packet = |number: u64| {
            let (flow, start) = (FlowId(1), number as usize * DATA);
            let (offset, slot) = (start as u64, SlotId(0));
            let data = Some(StreamData { flow, offset, fin: false, slot, start, length: DATA });
            Packet { number: PacketNumber(number), frames: Vec::new(), data, padding: 0 }
        };
        let (to, packets) = (([127, 0, 0, 1], 1).into(), (0..PACKETS).map(packet).collect());
        Ours {
            sender: keys(Role::Initiator),
            receiver: keys(Role::Responder),
            burst: Burst {
                transfer: OfferId(1),
                to,
                index: PeerIndex(1),
                segment_size: DATAGRAM,
                epoch: 0,
                ecn_capable: true,
                packets,
            },
            slot: vec![7; PACKETS as usize * DATA],
            out: Vec::new(),
        }
    }

    fn burst(&mut self) {
        self.burst.packets.iter_mut().for_each(|packet| packet.number.0 += PACKETS);
        self.sender.seal(&self.burst, |_| &self.slot, &mut self.out);
        for datagram in self.out.chunks_mut(DATAGRAM) {
            assert!(matches!(black_box(self.receiver.open(datagram)), Ok(Opened::Packet(..))));
        }
    }
}

/// The same bytes, and nothing but the cipher.
struct Bare {
    key: LessSafeKey,
    buffer: Vec<u8>,
    number: u64,
}

impl Bare {
    fn new(suite: Suite) -> Bare {
        let algorithm = match suite {
            Suite::AesGcm => &AES_256_GCM,
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &[1; 32]).expect("32 bytes"));
        Bare { key, buffer: vec![7; PACKETS as usize * DATAGRAM], number: 0 }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn burst(&mut self) {
        let mut buffer = core::mem::take(&mut self.buffer);
        let first = self.number;
        for packet in buffer.chunks_mut(DATAGRAM) {
            self.number += 1;
            let (header, rest) = packet.split_at_mut(HEADER_BYTES);
            let (payload, tag) = rest.split_at_mut(DATAGRAM - PACKET_OVERHEAD);
            let sealed = self.key.seal_in_place_separate_tag(self.nonce(), Aad::from(&*header), payload);
            tag.copy_from_slice(sealed.expect("sealed").as_ref());
        }
        self.number = first;
        for packet in buffer.chunks_mut(DATAGRAM) {
            self.number += 1;
            let (header, sealed) = packet.split_at_mut(HEADER_BYTES);
            black_box(self.key.open_in_place(self.nonce(), Aad::from(&*header), sealed)).expect("opened");
        }
        self.buffer = buffer;
    }
}
