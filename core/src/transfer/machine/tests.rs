use super::*;
use crate::client::io::{Destination, SourceId};
use crate::name::UserName;
use crate::peer::{Handshake, HandshakeSetup};
use crate::secure::{PeerAgreement, PeerSecret, PublicKey, Suite};
use crate::text::FileLabel;
use crate::transfer::Have;
use crate::transfer::io::SlotId;
use crate::transfer::manifest::FILE_WINDOW;
use crate::transfer::parts::Part;
use crate::transfer::resume::Told;
use crate::wire::ecn::Ecn;
use crate::wire::packet::{Header, PacketNumber, Role};
use proptest::prelude::*;
use std::net::SocketAddr;

const BEGIN: Instant = Instant::from_nanos(1_000_000_000);

/// The device of the machine.
fn device() -> SecretKey {
    SecretKey::new([1; 32])
}

fn other_device() -> SecretKey {
    SecretKey::new([2; 32])
}

fn machine() -> Transfers {
    Transfers::new(TransferConfig::default(), device(), [0; 32])
}

fn agreement(remote: PublicKey) -> PeerAgreement {
    PeerAgreement { remote, shared: PeerSecret([9; 32]), context: [7; 32], suite: Suite::AesGcm }
}

/// The handshake datagram of the other end of a transfer: of its own accord, or as an answer.
fn handshake_of_other_end(id: u64, question: Option<&[u8]>) -> Vec<u8> {
    let device = other_device();
    let mut handshake = Handshake::new(
        BEGIN,
        &HandshakeSetup {
            role: if question.is_some() { Role::Responder } else { Role::Initiator },
            local: &device,
            public: &device.public(),
            agreement: &agreement(self::device().public()),
            local_index: PeerIndex(id as u32 + 200),
            remote_index: PeerIndex(id as u32 + 100),
            remote: SocketAddr::from(([127, 0, 0, 1], 4_000)),
            seed: [3; 32],
        },
    );
    if let Some(question) = question {
        // One of them has something.
        let have = Have { bytes: if id == 2 { 70_000 } else { 0 }, blake3: [1; 32] };
        handshake.tell(Told { have, window: FILE_WINDOW }.encode());
        handshake.receive(BEGIN, SocketAddr::from(([127, 0, 0, 1], 4_001)), question);
    }
    handshake.transmit(BEGIN).map(|(_, datagram)| datagram).unwrap_or_default()
}

/// What a sending machine asks first.
fn question_in(out: &[Output]) -> Option<Vec<u8>> {
    out.iter().find_map(|output| match output {
        Output::Handshake { datagram, .. } => Some(datagram.clone()),
        _ => None,
    })
}

/// A size for which there is a stream.
const STREAM: u64 = 3;

/// A size for which there are several files.
const TREE: u64 = 2;

fn start(id: u64, sends: bool, bytes: u64) -> Start {
    let into = if bytes.is_multiple_of(2) { Destination::File } else { Destination::Stream };
    let receive = Side::Receive { from: UserName::new("yoda").unwrap(), label: FileLabel::new("film.mp4"), into };
    Start {
        transfer: OfferId(id),
        remote: SocketAddr::from(([127, 0, 0, 1], 4_000)),
        local_index: PeerIndex(id as u32 + 100),
        remote_index: PeerIndex(id as u32 + 200),
        agreement: agreement(other_device().public()),
        bytes: Some(bytes).filter(|bytes| *bytes != STREAM),
        listing: (bytes == TREE).then_some(TREE),
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
    let mut machine = machine();
    for id in 0..MAX_TRANSFERS as u64 {
        let out = handle(&mut machine, BEGIN, Input::Start(start(id, true, 5)));
        assert_eq!(out, []);
    }
    assert_eq!(handle(&mut machine, BEGIN, Input::Start(start(0, true, 5))), []);
    let out = handle(&mut machine, BEGIN, Input::Start(start(1_000, false, 5)));
    assert!(matches!(out[..], [Output::Close { transfer: OfferId(1_000), .. }, Output::Report(_)]), "{out:?}");
}

#[test]
fn every_transfer_has_its_turn_within_bounded_calls() {
    let mut machine = machine();
    for id in 0..10 {
        handle(&mut machine, BEGIN, Input::Start(start(id, true, 5)));
    }
    let mut served = Vec::new();
    while machine.deadline() == Some(BEGIN) {
        let out = handle(&mut machine, BEGIN, Input::Woke);
        let bursts = out.iter().filter_map(|output| match output {
            Output::Handshake { transfer, .. } => Some(transfer.0),
            _ => None,
        });
        let before = served.len();
        served.extend(bursts);
        assert!(served.len() <= before + MAX_BURSTS_PER_CALL);
    }
    assert_eq!(served, (0..10).collect::<Vec<_>>(), "one handshake each");
}

#[test]
fn what_is_due_does_not_wait_for_ever_for_a_wake() {
    let mut machine = machine();
    handle(&mut machine, BEGIN, Input::Start(start(1, true, 5)));
    let other = || Input::Cancel { transfer: OfferId(99), keep: true };
    assert_eq!(handle(&mut machine, BEGIN, other()), []);
    assert_eq!(handle(&mut machine, BEGIN + PATIENCE / 2, other()), []);
    assert!(!handle(&mut machine, BEGIN + PATIENCE, other()).is_empty());
}

#[test]
fn a_verdict_is_believed_only_if_it_is_about_the_bytes_that_were_read() {
    use crate::wire::peer_frame::{FlowId, put_verified};
    for (flow, hashed, verdict, ref outcome) in [
        (1, true, [1; 32], Progress::Done { blake3: [1; 32], saved_as: None }),
        (1, true, [2; 32], Progress::Failed(TransferFailure::Integrity)),
        (1, false, [1; 32], Progress::Failed(TransferFailure::Protocol)),
        (0, true, [1; 32], Progress::Failed(TransferFailure::Protocol)),
    ] {
        let mut machine = machine();
        handle(&mut machine, BEGIN, Input::Start(start(1, true, 5)));
        let question = question_in(&handle(&mut machine, BEGIN, Input::Woke));
        let answer = handshake_of_other_end(1, question.as_deref());
        let out = apply(&mut machine, BEGIN, &Op::Handshake(answer));
        assert!(matches!(out[..], [Output::Listen { .. }]), "{out:?}");
        if hashed {
            apply(&mut machine, BEGIN, &Op::SourceHashed(1));
        }
        let mut payload = Vec::new();
        put_verified(&mut payload, FlowId(flow), verdict);
        let mut out = apply(&mut machine, BEGIN, &Op::Datagram { id: 1, number: 0, payload });
        let before = out.remove(0);
        match outcome {
            Progress::Failed(failure) => {
                let keep = *failure != TransferFailure::Integrity;
                assert_eq!(before, Output::Close { transfer: OfferId(1), keep });
            }
            _ => assert!(matches!(before, Output::Report(Report { progress: Progress::Moving { .. }, .. }))),
        }
        assert_eq!(out, [Output::Report(Report { transfer: OfferId(1), progress: outcome.clone() })]);
    }
}

/// Anything that a driver or a peer could say, in an order that makes no sense.
#[derive(Clone, Debug)]
enum Op {
    Start {
        id: u64,
        sends: bool,
        bytes: u64,
    },
    /// The other end's handshake, if the machine does not wait for an answer to its own.
    Agree(u64),
    /// A handshake datagram.
    Handshake(Vec<u8>),
    Datagram {
        id: u64,
        number: u64,
        payload: Vec<u8>,
    },
    Prepared(u64, u64),
    Compared(u64),
    Surveyed(u64, u64),
    PartsCompared(u64, Vec<bool>),
    Read(u64, u8),
    Available(u64, u64),
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
        2 => (id(), any::<bool>(), prop_oneof![0u64..3, Just(100_000), Just(STREAM), any::<u64>()])
            .prop_map(|(id, sends, bytes)| Op::Start { id, sends, bytes }),
        8 => (id(), prop_oneof![0u64..40, any::<u64>()], payload())
            .prop_map(|(id, number, payload)| Op::Datagram { id, number, payload }),
        3 => id().prop_map(Op::Agree),
        1 => prop::collection::vec(any::<u8>(), 1_200).prop_map(Op::Handshake),
        3 => (id(), prop_oneof![0u64..3, Just(70_000), any::<u64>()]).prop_map(|(id, bytes)| Op::Prepared(id, bytes)),
        2 => id().prop_map(Op::Compared),
        2 => (id(), 0u64..4).prop_map(|(id, bytes)| Op::Surveyed(id, bytes)),
        2 => (id(), prop::collection::vec(any::<bool>(), 0..3)).prop_map(|(id, same)| Op::PartsCompared(id, same)),
        4 => (id(), 0u8..12).prop_map(|(id, slot)| Op::Read(id, slot)),
        2 => (id(), prop_oneof![0u64..3, Just(70_000), any::<u64>()]).prop_map(|(id, bytes)| Op::Available(id, bytes)),
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
            header: Header { epoch: 0, index: PeerIndex(*id as u32 + 100), number: PacketNumber(*number) },
            payload,
            ecn: [Ecn::NotCapable, Ecn::Ect0, Ecn::Ect1, Ecn::Congestion][*number as usize % 4],
        },
        Op::Agree(_) => Input::Woke,
        Op::Handshake(datagram) => Input::Handshake { from: SocketAddr::from(([127, 0, 0, 1], 4_000)), datagram },
        Op::Prepared(id, bytes) => {
            Input::Prepared { transfer: transfer(*id), have: Have { bytes: *bytes, blake3: [1; 32] } }
        }
        Op::Surveyed(id, bytes) => {
            let part = |entry| Part { entry, bytes: *bytes, blake3: [1; 32] };
            Input::Surveyed { transfer: transfer(*id), parts: (0..*bytes as u32).map(part).collect() }
        }
        Op::PartsCompared(id, same) => Input::PartsCompared { transfer: transfer(*id), same: same.clone() },
        Op::Compared(id) => Input::Compared { transfer: transfer(*id), blake3: [1; 32] },
        Op::Read(id, slot) => Input::Read { transfer: transfer(*id), slot: SlotId(*slot) },
        Op::Available(id, bytes) => Input::Available { transfer: transfer(*id), bytes: *bytes },
        Op::SourceHashed(id) => Input::SourceHashed { transfer: transfer(*id), blake3: [1; 32] },
        Op::Written(id, bytes) => Input::Written { transfer: transfer(*id), bytes: *bytes },
        Op::Verified(id) => Input::Verified { transfer: transfer(*id), blake3: [1; 32] },
        Op::Published(id) => Input::Published { transfer: transfer(*id), saved_as: "x".into() },
        Op::StorageFailed(id) => Input::StorageFailed { transfer: transfer(*id), reason: "x".into() },
        Op::Cancel(id) => Input::Cancel { transfer: transfer(*id), keep: id % 2 == 0 },
        Op::Woke | Op::Sleep(_) => Input::Woke,
    };
    handle(machine, now, input)
}

proptest! {
    #[test]
    fn no_order_of_facts_breaks_it(ops in prop::collection::vec(op(), 0..120)) {
        let mut machine = machine();
        let mut now = BEGIN;
        // Those that are not over, that have keys, whose file is needed, and that have said how they ended.
        let (mut alive, mut keys) = (Vec::new(), Vec::new());
        let (mut files, mut ended) = (Vec::new(), Vec::new());
        // What machines that send have asked.
        let mut questions: [Option<Vec<u8>>; 3] = Default::default();
        // Then silence: everything ends by itself, after a pause and a farewell of an hour each at most.
        let silence = (0..3_000).map(|_| Op::Sleep(100_000_000)).chain((0..3_000).map(|_| Op::Sleep(3_000_000_000)));
        for mut op in ops.into_iter().chain(silence) {
            if let Op::Sleep(nanos) = op {
                now = now + Duration::from_nanos(nanos);
            }
            if let Op::Agree(id) = op {
                op = Op::Handshake(handshake_of_other_end(id, questions[id as usize].as_deref()));
            }
            if let Op::Start { id, .. } = op && !alive.contains(&OfferId(id)) {
                alive.push(OfferId(id));
                files.push(OfferId(id));
                ended.retain(|ended| *ended != OfferId(id));
                questions[id as usize] = None;
            }
            for output in apply(&mut machine, now, &op) {
                match output {
                    Output::Handshake { transfer, datagram, .. } => {
                        prop_assert!(alive.contains(&transfer));
                        questions[transfer.0 as usize] = Some(datagram);
                    }
                    Output::Listen { transfer, .. } => {
                        prop_assert!(alive.contains(&transfer) && !keys.contains(&transfer));
                        keys.push(transfer);
                    }
                    Output::Report(Report { transfer, progress }) => {
                        prop_assert!(alive.contains(&transfer) && !ended.contains(&transfer));
                        let failed = matches!(progress, Progress::Failed(_));
                        prop_assert_eq!(files.contains(&transfer), !failed, "the file is closed if it failed");
                        if matches!(progress, Progress::Done { .. } | Progress::Failed(_)) {
                            ended.push(transfer);
                        }
                    }
                    Output::Close { transfer, .. } => {
                        prop_assert!(files.contains(&transfer), "closed twice");
                        files.retain(|id| *id != transfer);
                    }
                    Output::Forget { transfer, .. } => {
                        prop_assert!(alive.contains(&transfer) && ended.contains(&transfer), "over without a word");
                        alive.retain(|id| *id != transfer);
                        keys.retain(|id| *id != transfer);
                    }
                    Output::Burst(burst) => prop_assert!(keys.contains(&burst.transfer)),
                    Output::Write { transfer, offset, range } => {
                        prop_assert!(files.contains(&transfer));
                        prop_assert!(offset.checked_add(range.len() as u64).is_some());
                    }
                    Output::Read { transfer, .. }
                    | Output::Compare { transfer, .. }
                    | Output::Survey { transfer }
                    | Output::CompareParts { transfer, .. }
                    | Output::LeaveOut { transfer, .. }
                    | Output::Restart { transfer }
                    | Output::Release { transfer, .. }
                    | Output::Verify { transfer }
                    | Output::Publish { transfer } => prop_assert!(files.contains(&transfer)),
                }
            }
        }
        prop_assert!(alive.is_empty() && files.is_empty() && machine.deadline().is_none());
    }
}
