//! All the transfers of one UDP socket: which one a fact is about, and whose turn it is.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::active::ActiveTransfer;
use super::io::{Counters, Input, Output};
use crate::client::event::TransferFailure;
use crate::client::io::{Progress, Report, Side, Start};
use crate::config::TransferConfig;
use crate::id::{OfferId, PeerIndex};
use crate::machine::Machine;
use crate::peer::Event;
use crate::time::Instant;

/// Transfers at the same time. Each has up to 64 MB on its way to the disk, and some megabytes of its own.
pub const MAX_TRANSFERS: usize = 128;

/// Transfers that have ended whose counters are kept.
const MAX_ENDED: usize = 64;

/// Bursts for one call, over all transfers: a quarter of a megabyte, a few hundred microseconds of sealing.
const MAX_BURSTS_PER_CALL: usize = 4;

/// What is due waits for `Woke`, so that what follows from a batch of datagrams is done once. If facts keep
/// coming without one, it waits no longer than this.
const PATIENCE: Duration = Duration::from_millis(1);

/// All the transfers of one UDP socket. [`super`] has the theory.
#[derive(Debug)]
pub struct Transfers {
    payload: usize,
    random: ChaCha20Rng,
    transfers: BTreeMap<OfferId, Entry>,
    by_index: BTreeMap<PeerIndex, OfferId>,
    /// Who is due when; among those that are due at the same time, who was served longest ago.
    agenda: BTreeMap<Turn, OfferId>,
    turns: u64,
    ended: VecDeque<(OfferId, Counters)>,
    /// Of the last call.
    now: Instant,
    /// Empty between calls.
    events: Vec<Event>,
}

/// A place in the agenda.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Entry {
    transfer: ActiveTransfer,
    turn: Option<Turn>,
}

impl Transfers {
    /// No transfers yet. `seed` is random and never used twice. A payload out of bounds is brought within.
    pub fn new(config: TransferConfig, seed: [u8; 32]) -> Self {
        Transfers {
            payload: config.payload.clamp(TransferConfig::MIN_PAYLOAD, TransferConfig::MAX_PAYLOAD),
            random: ChaCha20Rng::from_seed(seed),
            transfers: BTreeMap::new(),
            by_index: BTreeMap::new(),
            agenda: BTreeMap::new(),
            turns: 0,
            ended: VecDeque::new(),
            now: Instant::ZERO,
            events: Vec::new(),
        }
    }

    /// What was counted for a transfer that is under way or has just ended.
    pub fn counters(&self, transfer: OfferId) -> Option<Counters> {
        let ended = || self.ended.iter().rev().find(|(id, _)| *id == transfer).map(|(_, counters)| *counters);
        self.transfers.get(&transfer).map(|entry| entry.transfer.counters()).or_else(ended)
    }

    fn start(&mut self, now: Instant, start: Start, out: &mut Vec<Output>) {
        let id = start.transfer;
        if self.transfers.contains_key(&id) {
            return;
        }
        if self.transfers.len() >= MAX_TRANSFERS || self.by_index.contains_key(&start.local_index) {
            let reason = "too many transfers are under way".to_owned();
            let failure = match start.side {
                Side::Send { .. } => TransferFailure::Read(reason),
                Side::Receive { .. } => TransferFailure::Write(reason),
            };
            out.push(Output::Close { transfer: id });
            out.push(Output::Report(Report { transfer: id, progress: Progress::Failed(failure) }));
            return;
        }
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        self.by_index.insert(start.local_index, id);
        let transfer = ActiveTransfer::new(now, start, self.payload, seed, out);
        self.transfers.insert(id, Entry { transfer, turn: None });
        self.settle(now, id, out);
    }

    /// Tells a transfer a fact, if it is there.
    fn tell(
        &mut self,
        now: Instant,
        id: OfferId,
        out: &mut Vec<Output>,
        fact: impl FnOnce(&mut ActiveTransfer, &mut Vec<Event>, &mut Vec<Output>),
    ) {
        if let Some(entry) = self.transfers.get_mut(&id) {
            fact(&mut entry.transfer, &mut self.events, out);
            self.settle(now, id, out);
        }
    }

    /// Serves those whose deadline is not after `due`, each once, while there are bursts left.
    fn serve(&mut self, now: Instant, due: Instant, out: &mut Vec<Output>) {
        let last_turn = self.turns;
        let mut bursts = MAX_BURSTS_PER_CALL;
        while bursts > 0 {
            let Some((&(at, turn), &id)) = self.agenda.first_key_value() else { return };
            if at > due || turn > last_turn {
                return;
            }
            let Some(entry) = self.transfers.get_mut(&id) else { return };
            bursts -= entry.transfer.serve(now, bursts, out).min(bursts);
            self.agenda.remove(&(at, turn));
            entry.turn = None;
            self.settle(now, id, out);
        }
    }

    /// Brings the agenda up to date, or ends the transfer if it is over.
    fn settle(&mut self, now: Instant, id: OfferId, out: &mut Vec<Output>) {
        let Some(entry) = self.transfers.get_mut(&id) else { return };
        if entry.transfer.is_over() {
            let index = entry.transfer.local_index();
            self.end(id, index, out);
            return;
        }
        let at = entry.transfer.deadline().map(|at| at.max(now));
        let unchanged = match (at, entry.turn) {
            (Some(at), Some((before, _))) => before == at || (before <= now && at <= now),
            (at, turn) => at.is_none() && turn.is_none(),
        };
        if unchanged {
            return;
        }
        if let Some(turn) = entry.turn.take() {
            self.agenda.remove(&turn);
        }
        if let Some(at) = at {
            self.turns += 1;
            entry.turn = Some((at, self.turns));
            self.agenda.insert((at, self.turns), id);
        }
    }

    fn end(&mut self, id: OfferId, index: PeerIndex, out: &mut Vec<Output>) {
        let Some(Entry { mut transfer, turn }) = self.transfers.remove(&id) else { return };
        self.by_index.remove(&index);
        if let Some(turn) = turn {
            self.agenda.remove(&turn);
        }
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, transfer.counters()));
        out.push(Output::Forget { index, transfer: id });
        transfer.close_file(out);
    }
}

impl Machine for Transfers {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.now = now;
        let due = match input {
            Input::Woke => now,
            _ => Instant::from_nanos(now.as_nanos().saturating_sub(PATIENCE.as_nanos() as u64)),
        };
        self.serve(now, due, out);
        match input {
            Input::Woke => {}
            Input::Start(start) => self.start(now, start, out),
            Input::Datagram { from, header, payload } => {
                if let Some(id) = self.by_index.get(&header.index).copied() {
                    let packet = (from, header.number);
                    self.tell(now, id, out, |t, events, out| t.on_datagram(now, packet, payload, events, out));
                }
            }
            Input::Read { transfer, slot } => self.tell(now, transfer, out, |t, _, _| t.on_read(now, slot)),
            Input::SourceHashed { transfer, blake3 } => {
                self.tell(now, transfer, out, |t, _, _| t.on_source_hashed(now, blake3));
            }
            Input::Written { transfer, bytes } => {
                self.tell(now, transfer, out, |t, _, out| t.on_written(now, bytes, out));
            }
            Input::Verified { transfer, blake3 } => {
                self.tell(now, transfer, out, |t, _, out| t.on_verified(now, blake3, out));
            }
            Input::Published { transfer, saved_as } => {
                self.tell(now, transfer, out, |t, _, out| t.on_published(now, saved_as, out));
            }
            Input::StorageFailed { transfer, reason } => {
                self.tell(now, transfer, out, |t, _, out| t.on_storage_failed(now, reason, out));
            }
            Input::Cancel { transfer } => self.tell(now, transfer, out, |t, _, out| t.on_cancelled(now, out)),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // The first of at most `MAX_TRANSFERS`.
        self.agenda.first_key_value().map(|((at, _), _)| (*at).max(self.now))
    }
}

#[cfg(test)]
mod tests {
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
}
