//! What acknowledgements cost a sender: ticking off, finding losses, and a step of congestion control, all through
//! [`Connection`] and made-up acknowledgements.
//!
//! `cargo bench -p toom-core --bench recovery`

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use toom_core::config::Congestion;
use toom_core::peer::{Chunk, Connection, ConnectionConfig, Flight};
use toom_core::time::Instant;
use toom_core::transfer::io::SlotId;
use toom_core::wire::ecn::{Ecn, EcnCounts};
use toom_core::wire::packet::{PACKET_OVERHEAD, PacketNumber};
use toom_core::wire::peer_frame::{FlowId, put_ack};

const PAYLOAD: usize = 1_200;
const FLOW: FlowId = FlowId(1);
/// Of the path; constant, so that nothing looks like a queue.
const ROUND_TRIP: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_micros(100);
/// Packets that one acknowledgement is about on a path without loss: what a receiver waits for.
const TOGETHER: u64 = 16;
/// As many ranges as fit into one packet.
const RANGES: u64 = 500;

/// A sender with packets under way, and the other end's part made up.
struct Sender {
    now: Instant,
    connection: Connection,
    chunks: VecDeque<Chunk>,
    /// When each packet left, from the oldest that is not acknowledged.
    under_way: VecDeque<Instant>,
    most: usize,
    /// The number of the first of them.
    oldest: u64,
    acks: u64,
}

impl Sender {
    /// One that has grown until `most` packets are under way, which there will never be more of: it has no more to
    /// send.
    fn new(most: usize) -> Sender {
        let now = Instant::ZERO;
        let config = ConnectionConfig {
            remote: remote(),
            payload: Some(PAYLOAD),
            congestion: Congestion::Bbr,
            limit: None,
            seed: [1; 32],
        };
        let mut connection = Connection::new(now, config);
        connection.begin(now, Some(ROUND_TRIP));
        connection.open_sending(FLOW, 1 << 50, 1 << 50);
        let (chunks, under_way) = (VecDeque::new(), VecDeque::new());
        let mut sender = Sender { now, connection, chunks, under_way, most, oldest: 0, acks: 0 };
        for _ in 0..1_000_000 {
            if sender.under_way.len() == most {
                return sender;
            }
            sender.tick();
        }
        panic!("it never had {most} packets under way");
    }

    /// A little later: sends what may be sent, and hears of what has been under way for a round trip.
    fn tick(&mut self) {
        self.now = self.now + TICK;
        self.send();
        let arrived = self.under_way.iter().take_while(|at| **at + ROUND_TRIP <= self.now).count() as u64;
        if arrived > 0 {
            self.acknowledge(arrived);
        }
    }

    fn send(&mut self) {
        self.connection.expire(self.now);
        loop {
            let room = self.most - self.under_way.len();
            let bytes = (room * self.connection.data_per_packet(FLOW)).min(self.connection.data_per_burst(FLOW));
            if self.chunks.is_empty()
                && let Some(range) = self.connection.claim(FLOW, bytes)
            {
                let length = (range.end - range.start) as usize;
                self.chunks.push_back(Chunk { flow: FLOW, offset: range.start, slot: SlotId(0), start: 0, length });
            }
            let Some(Flight { packets, .. }) = self.connection.transmit(self.now, &mut self.chunks) else { return };
            self.under_way.extend(packets.iter().map(|_| self.now));
        }
    }

    /// The oldest `count` packets have arrived.
    fn acknowledge(&mut self, count: u64) {
        let arrived = self.oldest..self.oldest + count;
        self.hear(&ack(std::iter::once(arrived)));
        self.oldest += count;
        self.under_way.drain(..count as usize);
    }

    fn hear(&mut self, payload: &[u8]) {
        let mut events = Vec::new();
        self.connection.receive(self.now, remote(), (PacketNumber(self.acks), Ecn::NotCapable), payload, &mut events);
        assert!(events.is_empty(), "{events:?}");
        self.acks += 1;
    }

    /// An acknowledgement of every third packet under way.
    fn holes(&self) -> Vec<u8> {
        let oldest = self.oldest;
        ack((0..RANGES).rev().map(|number| oldest + number * 3..oldest + number * 3 + 1))
    }
}

fn ack(ranges: impl Iterator<Item = Range<u64>>) -> Vec<u8> {
    let mut payload = Vec::new();
    assert!(put_ack(&mut payload, 0, ranges, EcnCounts::default(), PAYLOAD - PACKET_OVERHEAD));
    payload
}

fn remote() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// What a step of congestion control takes with all that belongs to it: an acknowledgement of packets in order, and
/// sending as many anew.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery: an acknowledgement of packets in order, and as many sent");
    group.throughput(Throughput::Elements(TOGETHER));
    for under_way in [200, 2_000] {
        let mut sender = Sender::new(under_way);
        group.bench_function(format!("{under_way} under way"), |bencher| {
            bencher.iter(|| {
                // Until they have been under way for a round trip.
                while sender.under_way.get(TOGETHER as usize - 1).is_none_or(|at| *at + ROUND_TRIP > sender.now) {
                    sender.now = sender.now + TICK;
                    sender.send();
                }
                sender.acknowledge(TOGETHER);
                sender.send();
            });
        });
    }
}

fn holes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery: an acknowledgement of 500 ranges");
    group.throughput(Throughput::Elements(RANGES));
    let sender = || {
        let sender = Sender::new(RANGES as usize * 3);
        let payload = sender.holes();
        (sender, payload)
    };
    group.bench_function("new, with 1,000 losses", |bencher| {
        let hear = |(mut sender, payload): (Sender, Vec<u8>)| {
            sender.hear(black_box(&payload));
            assert!(sender.connection.counters().packets_lost > RANGES);
            sender
        };
        bencher.iter_batched(sender, hear, BatchSize::LargeInput);
    });
    group.bench_function("that says nothing new", |bencher| {
        let (mut sender, payload) = sender();
        sender.hear(&payload);
        bencher.iter(|| sender.hear(black_box(&payload)));
    });
}

criterion_group!(benches, steps, holes);
criterion_main!(benches);
