use super::*;
use crate::client::io::SourceId;
use crate::name::UserName;
use crate::secure::PeerSecret;
use crate::text::FileLabel;
use crate::transfer::io::SlotId;
use crate::wire::packet::{Header, PacketNumber};
use proptest::prelude::*;
use std::net::SocketAddr;

const BEGIN: Instant = Instant::from_nanos(1_000_000_000);

fn start(id: u64, sends: bool, bytes: u64) -> Start {
    let receive = Side::Receive { from: UserName::new("yoda").unwrap(), label: FileLabel::new("film.mp4") };
    Start {
        transfer: OfferId(id),
        remote: SocketAddr::from(([127, 0, 0, 1], 4_000)),
        local_index: PeerIndex(id as u32 + 100),
        remote_index: PeerIndex(id as u32 + 200),
        secret: PeerSecret([9; 32]),
        bytes,
        side: if sends { Side::Send { source: SourceId(id) } } else { receive },
    }
}

fn handle(machine: &mut Transfers, now: Instant, input: Input<'_>) -> Vec<Output> {
    let mut out = Vec::new();
    machine.handle(now, input, &mut out);
    assert!(machine.deadline().is_none_or(|at| at >= now));
    out
}

#[test]
fn one_transfer_too_many_is_refused_and_a_second_start_ignored() {
    let mut machine = Transfers::new(TransferConfig::default(), [0; 32]);
    for id in 0..MAX_TRANSFERS as u64 {
        let out = handle(&mut machine, BEGIN, Input::Start(start(id, true, 5)));
        assert!(matches!(out[..], [Output::Listen { .. }]));
    }
    assert_eq!(handle(&mut machine, BEGIN, Input::Start(start(0, true, 5))), []);
    let out = handle(&mut machine, BEGIN, Input::Start(start(1_000, false, 5)));
    assert!(matches!(out[..], [Output::Close { transfer: OfferId(1_000) }, Output::Report(_)]), "{out:?}");
}

#[test]
fn every_transfer_has_its_turn_within_bounded_calls() {
    let mut machine = Transfers::new(TransferConfig::default(), [0; 32]);
    for id in 0..10 {
        handle(&mut machine, BEGIN, Input::Start(start(id, true, 5)));
    }
    let mut served = Vec::new();
    while machine.deadline() == Some(BEGIN) {
        let out = handle(&mut machine, BEGIN, Input::Woke);
        let bursts = out.iter().filter_map(|output| match output {
            Output::Burst(burst) => Some(burst.transfer.0),
            _ => None,
        });
        let before = served.len();
        served.extend(bursts);
        assert!(served.len() <= before + MAX_BURSTS_PER_CALL);
    }
    assert_eq!(served, (0..10).collect::<Vec<_>>(), "one challenge each");
}

#[test]
fn what_is_due_does_not_wait_for_ever_for_a_wake() {
    let mut machine = Transfers::new(TransferConfig::default(), [0; 32]);
    handle(&mut machine, BEGIN, Input::Start(start(1, true, 5)));
    let other = || Input::Cancel { transfer: OfferId(99) };
    assert_eq!(handle(&mut machine, BEGIN, other()), []);
    assert_eq!(handle(&mut machine, BEGIN + PATIENCE / 2, other()), []);
    assert!(!handle(&mut machine, BEGIN + PATIENCE, other()).is_empty());
}

#[test]
fn a_verdict_is_believed_only_if_it_is_about_the_bytes_that_were_read() {
    use crate::wire::peer_frame::{FlowId, put_verified};
    for (flow, hashed, verdict, outcome) in [
        (1, true, [1; 32], Progress::Done { blake3: [1; 32], saved_as: None }),
        (1, true, [2; 32], Progress::Failed(TransferFailure::Integrity)),
        (1, false, [1; 32], Progress::Failed(TransferFailure::Protocol)),
        (0, true, [1; 32], Progress::Failed(TransferFailure::Protocol)),
    ] {
        let mut machine = Transfers::new(TransferConfig::default(), [0; 32]);
        handle(&mut machine, BEGIN, Input::Start(start(1, true, 5)));
        if hashed {
            apply(&mut machine, BEGIN, &Op::SourceHashed(1));
        }
        let mut payload = Vec::new();
        put_verified(&mut payload, FlowId(flow), verdict);
        let mut out = apply(&mut machine, BEGIN, &Op::Datagram { id: 1, number: 0, payload });
        let before = out.remove(0);
        match outcome {
            Progress::Failed(_) => assert_eq!(before, Output::Close { transfer: OfferId(1) }),
            _ => assert!(matches!(before, Output::Report(Report { progress: Progress::Moving { .. }, .. }))),
        }
        assert_eq!(out, [Output::Report(Report { transfer: OfferId(1), progress: outcome })]);
    }
}

/// Anything that a driver or a peer could say, in an order that makes no sense.
#[derive(Clone, Debug)]
enum Op {
    Start { id: u64, sends: bool, bytes: u64 },
    Datagram { id: u64, number: u64, payload: Vec<u8> },
    Read(u64, u8),
    SourceHashed(u64),
    Written(u64, u64),
    Verified(u64),
    Published(u64),
    StorageFailed(u64),
    Cancel(u64),
    Woke,
    Sleep(u64),
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // Frames that are mostly right: a type, and small numbers.
    let frame =
        (prop::sample::select(vec![0u8, 1, 2, 8, 9, 16, 26, 27, 28, 32, 50]), prop::collection::vec(0u8..8, 0..12));
    let frames = prop::collection::vec(frame, 0..4)
        .prop_map(|frames| frames.into_iter().flat_map(|(kind, rest)| [vec![kind], rest].concat()).collect());
    prop_oneof![frames, prop::collection::vec(any::<u8>(), 0..60)]
}

fn op() -> impl Strategy<Value = Op> {
    let id = || 0u64..3;
    prop_oneof![
        2 => (id(), any::<bool>(), prop_oneof![0u64..3, Just(100_000), any::<u64>()])
            .prop_map(|(id, sends, bytes)| Op::Start { id, sends, bytes }),
        8 => (id(), prop_oneof![0u64..40, any::<u64>()], payload())
            .prop_map(|(id, number, payload)| Op::Datagram { id, number, payload }),
        4 => (id(), 0u8..12).prop_map(|(id, slot)| Op::Read(id, slot)),
        1 => id().prop_map(Op::SourceHashed),
        2 => (id(), any::<u64>()).prop_map(|(id, bytes)| Op::Written(id, bytes)),
        1 => id().prop_map(Op::Verified),
        1 => id().prop_map(Op::Published),
        1 => id().prop_map(Op::StorageFailed),
        1 => id().prop_map(Op::Cancel),
        8 => Just(Op::Woke),
        4 => (0u64..4_000_000_000).prop_map(Op::Sleep),
    ]
}

fn apply(machine: &mut Transfers, now: Instant, op: &Op) -> Vec<Output> {
    let transfer = OfferId;
    let input = match op {
        Op::Start { id, sends, bytes } => Input::Start(start(*id, *sends, *bytes)),
        Op::Datagram { id, number, payload } => Input::Datagram {
            from: SocketAddr::from(([127, 0, 0, 1], 4_000)),
            header: Header { index: PeerIndex(*id as u32 + 100), number: PacketNumber(*number) },
            payload,
        },
        Op::Read(id, slot) => Input::Read { transfer: transfer(*id), slot: SlotId(*slot) },
        Op::SourceHashed(id) => Input::SourceHashed { transfer: transfer(*id), blake3: [1; 32] },
        Op::Written(id, bytes) => Input::Written { transfer: transfer(*id), bytes: *bytes },
        Op::Verified(id) => Input::Verified { transfer: transfer(*id), blake3: [1; 32] },
        Op::Published(id) => Input::Published { transfer: transfer(*id), saved_as: "x".into() },
        Op::StorageFailed(id) => Input::StorageFailed { transfer: transfer(*id), reason: "x".into() },
        Op::Cancel(id) => Input::Cancel { transfer: transfer(*id) },
        Op::Woke | Op::Sleep(_) => Input::Woke,
    };
    handle(machine, now, input)
}

proptest! {
    #[test]
    fn no_order_of_facts_breaks_it(ops in prop::collection::vec(op(), 0..120)) {
        let mut machine = Transfers::new(TransferConfig::default(), [0; 32]);
        let mut now = BEGIN;
        // Those whose keys, whose file are needed, and those that have said how they ended.
        let (mut keys, mut files, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        // Then silence: everything ends by itself.
        let silence = (0..3_000).map(|_| Op::Sleep(100_000_000));
        for op in ops.into_iter().chain(silence) {
            if let Op::Sleep(nanos) = op {
                now = now + Duration::from_nanos(nanos);
            }
            for output in apply(&mut machine, now, &op) {
                match output {
                    Output::Listen { transfer, .. } => {
                        prop_assert!(!keys.contains(&transfer) && !files.contains(&transfer));
                        keys.push(transfer);
                        files.push(transfer);
                        ended.retain(|id| *id != transfer);
                    }
                    Output::Report(Report { transfer, progress }) => {
                        prop_assert!(keys.contains(&transfer) && !ended.contains(&transfer));
                        let failed = matches!(progress, Progress::Failed(_));
                        prop_assert_eq!(files.contains(&transfer), !failed, "the file is closed if it failed");
                        if !matches!(progress, Progress::Moving { .. }) {
                            ended.push(transfer);
                        }
                    }
                    Output::Close { transfer } => {
                        prop_assert!(files.contains(&transfer), "closed twice");
                        files.retain(|id| *id != transfer);
                    }
                    Output::Forget { transfer, .. } => {
                        prop_assert!(keys.contains(&transfer) && ended.contains(&transfer), "over without a word");
                        keys.retain(|id| *id != transfer);
                    }
                    Output::Burst(burst) => prop_assert!(keys.contains(&burst.transfer)),
                    Output::Write { transfer, offset, range } => {
                        prop_assert!(files.contains(&transfer));
                        prop_assert!(offset.checked_add(range.len() as u64).is_some());
                    }
                    Output::Read { transfer, .. } | Output::Verify { transfer } | Output::Publish { transfer } => {
                        prop_assert!(files.contains(&transfer));
                    }
                }
            }
        }
        prop_assert!(keys.is_empty() && files.is_empty() && machine.deadline().is_none());
    }
}
