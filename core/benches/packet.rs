//! What building and parsing packets costs, and sealing and opening bursts of them. (`seal` compares the latter with
//! what the cipher alone costs, in one run.)
//!
//! `cargo bench -p toom-core --bench packet`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::peer::{Packet, StreamData};
use toom_core::secure::{Keys as Agreed, PacketKeys, Suite};
use toom_core::transfer::Keys;
use toom_core::transfer::io::{Burst, SlotId};
use toom_core::wire::ecn::EcnCounts;
use toom_core::wire::packet::{Header, PACKET_OVERHEAD, PacketNumber, Role};
use toom_core::wire::peer_frame::{FlowId, Frame, Frames, put_ack, stream_header_bytes};

const DATAGRAM: usize = 1_200;
const PACKETS: usize = 54;
const DATA: usize = DATAGRAM - PACKET_OVERHEAD - stream_header_bytes(0, DATAGRAM);
const BURST_BYTES: u64 = (PACKETS * DATAGRAM) as u64;
const TRANSFER: OfferId = OfferId(1);
const INDEX: PeerIndex = PeerIndex(1);

fn burst() -> Burst {
    let packet = |number: usize| {
        let (start, length) = (number * DATA, DATA);
        let (flow, slot, offset) = (FlowId(1), SlotId(0), start as u64);
        let data = Some(StreamData { flow, offset, fin: false, slot, start, length });
        Packet { number: PacketNumber(number as u64), frames: Vec::new(), data, padding: 0 }
    };
    let (to, packets) = (([127, 0, 0, 1], 1).into(), (0..PACKETS).map(packet).collect());
    Burst { transfer: TRANSFER, to, index: INDEX, segment_size: DATAGRAM, epoch: 0, ecn_capable: true, packets }
}

fn keys(suite: Suite, role: Role) -> Keys {
    let agreed = Agreed { of_initiator: [1; 32].into(), of_responder: [2; 32].into() };
    let mut keys = Keys::default();
    keys.listen(INDEX, TRANSFER, &PacketKeys::new(suite, role, &agreed));
    keys
}

fn build(criterion: &mut Criterion) {
    let (burst, slot, mut out) = (burst(), vec![7; PACKETS * DATA], Vec::new());
    let mut group = criterion.benchmark_group("packet: build, a burst");
    group.throughput(Throughput::Bytes(BURST_BYTES));
    group.bench_function("frames", |bencher| {
        bencher.iter(|| {
            out.clear();
            burst.packets.iter().for_each(|packet| packet.put_payload(|_| &slot, black_box(&mut out)));
        });
    });
}

fn parse(criterion: &mut Criterion) {
    let (mut data, mut ack) = (Vec::new(), Vec::new());
    burst().packets[0].put_payload(|_| &[7; DATA], &mut data);
    let ranges = (0..500).rev().map(|number| number * 3..number * 3 + 2);
    assert!(put_ack(&mut ack, 100, ranges, EcnCounts::default(), DATAGRAM - PACKET_OVERHEAD));
    let header = Header { epoch: 0, index: INDEX, number: PacketNumber(1 << 40) }.encode();
    let mut group = criterion.benchmark_group("packet: parse, one");
    group.bench_function("header", |bencher| {
        let datagram = [&header[..], &[0; DATA]].concat();
        bencher.iter(|| Header::decode(black_box(&datagram)));
    });
    group.bench_function("frames of file", |bencher| bencher.iter(|| Frames::new(black_box(&data)).flatten().count()));
    group.bench_function("acknowledgement of 500 ranges", |bencher| {
        bencher.iter(|| match Frames::new(black_box(&ack)).next() {
            Some(Ok(Frame::Ack(ack))) => assert_eq!(ack.ranges().count(), 500),
            other => panic!("no acknowledgement: {other:?}"),
        });
    });
}

fn seal_and_open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet: a burst");
    group.throughput(Throughput::Bytes(BURST_BYTES));
    for suite in Suite::ALL {
        let (burst, slot, mut sealed) = (burst(), vec![7; PACKETS * DATA], Vec::new());
        let mut sender = keys(suite, Role::Initiator);
        group.bench_function(format!("seal, {suite:?}"), |bencher| {
            bencher.iter(|| sender.seal(&burst, |_| &slot, black_box(&mut sealed)));
        });
        sender.seal(&burst, |_| &slot, &mut sealed);
        let mut receiver = keys(suite, Role::Responder);
        group.bench_function(format!("open, {suite:?}"), |bencher| {
            let open = |mut datagrams: Vec<u8>| {
                let opened = datagrams.chunks_mut(DATAGRAM).filter_map(|datagram| receiver.open(datagram).ok()).count();
                assert_eq!(opened, PACKETS);
                datagrams
            };
            bencher.iter_batched(|| sealed.clone(), open, BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, build, parse, seal_and_open);
criterion_main!(benches);
