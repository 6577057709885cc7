//! One end: a machine, and what a driver is to it, with a file in memory.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use ring::digest;

use super::link::Datagram;
use super::stream::{Reader, Source};
use super::tree::Tree;
use crate::client::io::{Progress, Side, Start};
use crate::config::TransferConfig;
use crate::id::OfferId;
use crate::machine::Machine;
use crate::peer::{MAX_BURST_BYTES, MAX_BURST_PACKETS};
use crate::secure::SecretKey;
use crate::time::Instant;
use crate::transfer::io::{Burst, Input, Output, SLOT_BYTES, SLOTS, SlotId};
use crate::transfer::parts::Part;
use crate::transfer::{Have, Keys, Opened, Transfers};
use crate::wire::ecn::Ecn;

pub(super) const TRANSFER: OfferId = OfferId(7);

/// What stands for BLAKE3 here: the machine only compares it.
pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap()
}

/// The answer of a disk to what it was asked.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Prepared(Have),
    Available(u64),
    Compared([u8; 32]),
    Surveyed(Vec<Part>),
    PartsCompared(Vec<bool>),
    Read(SlotId),
    SourceHashed([u8; 32]),
    Written(u64),
    Verified([u8; 32]),
    Published,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) address: SocketAddr,
    pub(super) machine: Transfers,
    /// The source, or the partial file.
    pub(super) file: Vec<u8>,
    /// What is read a second time is not what it was.
    pub(super) source_changes: bool,
    /// How much an earlier transfer left.
    pub(super) has: usize,
    /// The files, if there are several: then the file is what is sent of them.
    pub(super) tree: Option<Tree>,
    /// What the source is, if it is a stream.
    pub(super) source: Option<Source>,
    /// Who takes what arrives, if it goes into a stream.
    pub(super) reader: Option<Reader>,
    /// How long the hash of the partial file takes.
    pub(super) slow_hash: Option<Duration>,
    /// How long each read or write takes; it does them all at the same time, so that each waits as long.
    pub(super) slow_disk: Duration,
    pub(super) reports: Vec<(Instant, Progress)>,
    /// Datagrams that could not be opened.
    pub(super) dropped: u64,
    pub(super) bytes_written: u64,
    /// Packets that left so that they may be marked.
    pub(super) marked: u64,
    verifying: bool,
    pub(super) published: bool,
    pub(super) closed_at: Option<Instant>,
    pub(super) ending: Vec<&'static str>,
    keys: Keys,
    listens: bool,
    /// Of the last burst.
    pub(super) epoch: u32,
    slots: Vec<Vec<u8>>,
    hashed_to: u64,
    answers: VecDeque<(Instant, Answer)>,
    next_number: u64,
    outbox: Vec<Datagram>,
}

impl End {
    pub(super) fn new(address: SocketAddr, device: SecretKey, config: TransferConfig, seed: u8, file: Vec<u8>) -> End {
        End {
            address,
            machine: Transfers::new(config, device, [seed; 32]),
            file,
            source_changes: false,
            has: 0,
            tree: None,
            source: None,
            reader: None,
            slow_hash: None,
            slow_disk: Duration::ZERO,
            reports: Vec::new(),
            dropped: 0,
            bytes_written: 0,
            marked: 0,
            verifying: false,
            published: false,
            closed_at: None,
            ending: Vec::new(),
            keys: Keys::default(),
            listens: false,
            epoch: 0,
            slots: vec![Vec::new(); usize::from(SLOTS)],
            hashed_to: 0,
            answers: VecDeque::new(),
            next_number: 0,
            outbox: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, now: Instant, start: Start) {
        let receives = matches!(start.side, Side::Receive { .. });
        self.handle(now, Input::Start(start), &[]);
        self.take_from_source(now);
        if receives {
            let have = match self.has {
                0 => Have::default(),
                has => Have { bytes: has as u64, blake3: hash(&self.file[..has]) },
            };
            self.answers.push_back((now + self.slow_hash.unwrap_or_default(), Answer::Prepared(have)));
        }
    }

    pub(super) fn cancel(&mut self, now: Instant) {
        self.handle(now, Input::Cancel { transfer: TRANSFER, keep: false }, &[]);
    }

    pub(super) fn storage_fails(&mut self, now: Instant) {
        let reason = "the disk is full".to_owned();
        self.handle(now, Input::StorageFailed { transfer: TRANSFER, reason }, &[]);
    }

    /// What a driver does with a datagram: finds the key, opens it, and passes it in.
    pub(super) fn receive(&mut self, now: Instant, from: SocketAddr, ecn: Ecn, mut datagram: Vec<u8>) {
        match self.keys.open(&mut datagram) {
            Ok(Opened::Packet(header, payload)) => {
                let payload = payload.to_vec();
                self.handle(now, Input::Datagram { from, header, payload: &payload, ecn }, &payload);
            }
            Ok(Opened::Handshake(datagram)) => {
                let datagram = datagram.to_vec();
                self.handle(now, Input::Handshake { from, datagram: &datagram }, &[]);
            }
            Err(_) => self.dropped += 1,
        }
    }

    /// Wakes the machine if it is time; answers whether it was.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        let is_due = self.machine.deadline().is_some_and(|at| at <= now);
        if is_due {
            self.handle(now, Input::Woke, &[]);
        }
        is_due
    }

    /// The disk is done with the oldest thing that it was asked; answers whether there was any.
    pub(super) fn disk(&mut self, now: Instant) -> bool {
        let Some((_, answer)) = self.answers.pop_front_if(|(at, _)| *at <= now) else { return false };
        let transfer = TRANSFER;
        let input = match answer.clone() {
            Answer::Prepared(have) => Input::Prepared { transfer, have },
            Answer::Available(bytes) => Input::Available { transfer, bytes },
            Answer::Compared(blake3) => Input::Compared { transfer, blake3 },
            Answer::Surveyed(parts) => Input::Surveyed { transfer, parts },
            Answer::PartsCompared(same) => Input::PartsCompared { transfer, same },
            Answer::Read(slot) => Input::Read { transfer, slot },
            Answer::SourceHashed(blake3) => Input::SourceHashed { transfer, blake3 },
            Answer::Written(bytes) => Input::Written { transfer, bytes },
            Answer::Verified(blake3) => Input::Verified { transfer, blake3 },
            Answer::Published => Input::Published { transfer, saved_as: "yoda_film.mp4".to_owned() },
        };
        self.handle(now, input, &[]);
        if matches!(answer, Answer::Available(_)) {
            self.take_from_source(now);
        }
        true
    }

    /// The stream that is the source is over.
    pub(super) fn ends(&mut self, now: Instant) {
        self.answers.push_back((now, Answer::SourceHashed(hash(&self.file))));
    }

    /// The source gives what it has, if there is room.
    fn take_from_source(&mut self, now: Instant) {
        let length = self.file.len() as u64;
        let Some((at, available)) = self.source.as_mut().and_then(|source| source.take(now, length)) else { return };
        self.answers.push_back((at, Answer::Available(available)));
        if available == length {
            self.answers.push_back((at, Answer::SourceHashed(hash(&self.file))));
        }
        self.answers.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    /// When the disk is done with the next thing.
    pub(super) fn disk_at(&self) -> Option<Instant> {
        self.answers.front().map(|(at, _)| *at)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.outbox.iter().map(|datagram| datagram.bytes.len()).sum()
    }

    pub(super) fn take_outbox(&mut self) -> Vec<Datagram> {
        core::mem::take(&mut self.outbox)
    }

    /// How it ended, if it did.
    pub(super) fn outcome(&self) -> Option<&Progress> {
        let ends = |progress: &&Progress| matches!(progress, Progress::Done { .. } | Progress::Failed(_));
        let outcomes: Vec<_> = self.reports.iter().map(|(_, progress)| progress).filter(ends).collect();
        assert!(outcomes.len() <= 1, "more than one end: {outcomes:?}");
        outcomes.first().copied()
    }

    pub(super) fn has_read_all(&self) -> bool {
        self.hashed_to == self.file.len() as u64
    }

    pub(super) fn is_closed(&self) -> bool {
        let failed = matches!(self.outcome(), Some(Progress::Failed(_)));
        self.ending == if failed { ["close", "forget"] } else { ["forget", "close"] }
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, payload: &[u8]) {
        let mut out = Vec::new();
        self.machine.handle(now, input, &mut out);
        assert!(self.machine.deadline().is_none_or(|at| at >= now));
        for output in out {
            self.carry_out(now, output, payload);
        }
    }

    fn carry_out(&mut self, now: Instant, output: Output, payload: &[u8]) {
        assert!(self.ending.len() < 2, "after the end: {output:?}");
        match output {
            Output::Handshake { transfer, to, datagram } => {
                assert_eq!(transfer, TRANSFER);
                self.outbox.push(Datagram { from: self.address, to, ecn: Ecn::NotCapable, bytes: datagram });
            }
            Output::Listen { index, transfer, keys } => {
                assert_eq!((transfer, self.listens), (TRANSFER, false));
                self.listens = true;
                self.keys.listen(index, transfer, &keys);
            }
            Output::Forget { index, transfer } => {
                self.keys.forget(index, transfer);
                self.ending.push("forget");
            }
            Output::Close { .. } => {
                self.ending.push("close");
                self.closed_at = Some(now);
                self.slots.clear();
            }
            Output::Burst(burst) => self.send(&burst),
            Output::Read { offset, length, slot, .. } => self.read(now, offset, length, slot),
            Output::Compare { bytes, .. } => {
                assert_eq!(self.hashed_to, 0, "before anything is read");
                self.hashed_to = bytes;
                self.answers.push_back((now, Answer::Compared(hash(&self.file[..bytes as usize]))));
                if self.has_read_all() {
                    self.answers.push_back((now, Answer::SourceHashed(hash(&self.file))));
                }
            }
            Output::Restart { .. } => self.has = 0,
            Output::Survey { .. } => {
                assert_eq!(self.bytes_written, self.tree.as_ref().expect("several files").listing as u64);
                let at = now + self.slow_hash.unwrap_or_default();
                self.answers.push_back((at, Answer::Surveyed(self.tree.as_ref().expect("several files").parts())));
            }
            Output::CompareParts { parts, .. } => self.compare_parts(now, &parts),
            Output::LeaveOut { same, .. } => {
                let tree = self.tree.as_mut().expect("several files");
                let parts = tree.parts();
                tree.leave_out(&parts[..same.len()], &same);
                self.file.resize(tree.flow().len(), 0);
            }
            Output::Release { offset, .. } => {
                self.source.as_mut().expect("a stream").release(offset);
                self.take_from_source(now);
            }
            Output::Write { offset, range, .. } => {
                let bytes = &payload[range];
                self.file[offset as usize..][..bytes.len()].copy_from_slice(bytes);
                self.bytes_written += bytes.len() as u64;
                let written = (now + self.slow_disk, bytes.len() as u64);
                let taken = self.reader.as_mut().map_or(Some(written), |it| it.take(now, offset, written.1));
                self.answers.extend(taken.map(|(at, bytes)| (at, Answer::Written(bytes))));
            }
            Output::Verify { .. } => {
                let writes = self.answers.iter().any(|(_, answer)| matches!(answer, Answer::Written(_)));
                assert!(!writes && !self.verifying, "once, when everything is written");
                self.verifying = true;
                let at = now + self.slow_hash.unwrap_or_default();
                if let Some(tree) = &mut self.tree {
                    tree.complete(&self.file);
                }
                self.answers.push_back((at, Answer::Verified(self.hash_of_all())));
            }
            Output::Publish { .. } => {
                self.published = true;
                self.answers.push_back((now, Answer::Published));
            }
            Output::Report(report) => {
                assert_eq!(report.transfer, TRANSFER);
                let failed = matches!(report.progress, Progress::Failed(_));
                assert_eq!(self.closed_at.is_some(), failed, "a file is closed before its failure is told");
                self.reports.push((now, report.progress));
            }
        }
    }

    fn read(&mut self, now: Instant, offset: u64, length: usize, slot: SlotId) {
        assert!(length <= SLOT_BYTES);
        let end = offset + length as u64;
        let mut bytes = self.file[offset as usize..end as usize].to_vec();
        if let Some(source) = &self.source {
            assert!(source.has(offset..end), "read {offset}..{end} of {source:?}");
            self.slots[usize::from(slot.0)] = bytes;
            self.answers.push_front((now, Answer::Read(slot)));
            return;
        }
        if end <= self.hashed_to {
            bytes.iter_mut().filter(|_| self.source_changes).for_each(|byte| *byte ^= 1);
        } else {
            assert!(offset <= self.hashed_to, "what was never read must come in order");
            self.hashed_to = end;
        }
        self.slots[usize::from(slot.0)] = bytes;
        let at = now + self.slow_disk;
        self.answers.push_back((at, Answer::Read(slot)));
        let is_agreed = self.tree.as_ref().is_none_or(|tree| tree.sent.is_some());
        if is_agreed && end == self.file.len() as u64 && offset + length as u64 == self.hashed_to {
            self.answers.push_back((at, Answer::SourceHashed(self.hash_of_all())));
        }
    }

    fn compare_parts(&mut self, now: Instant, parts: &[Part]) {
        assert_eq!(self.hashed_to, self.file.len() as u64, "all of the listing was read");
        let tree = self.tree.as_mut().expect("several files");
        let same = tree.compare(parts);
        tree.leave_out(parts, &same);
        self.file = tree.flow();
        let at = now + self.slow_hash.unwrap_or_default();
        self.answers.push_back((at, Answer::PartsCompared(same)));
        if self.has_read_all() {
            self.answers.push_back((at, Answer::SourceHashed(self.hash_of_all())));
        }
    }

    fn hash_of_all(&self) -> [u8; 32] {
        hash(self.tree.as_ref().map_or(&self.file, |tree| &tree.whole))
    }

    fn send(&mut self, burst: &Burst) {
        assert!((1..=MAX_BURST_PACKETS).contains(&burst.packets.len()));
        for packet in &burst.packets {
            assert_eq!(packet.number.0, self.next_number, "numbers are used once, and none is left out");
            self.next_number += 1;
        }
        let mut bytes = Vec::new();
        let slots = &self.slots;
        assert!(burst.epoch == self.epoch || burst.epoch == self.epoch + 1);
        self.epoch = burst.epoch;
        self.keys.seal(burst, |slot| &slots[usize::from(slot.0)], &mut bytes);
        assert!(bytes.len() <= MAX_BURST_BYTES);
        let datagrams: Vec<_> = bytes.chunks(burst.segment_size).collect();
        assert_eq!(datagrams.len(), burst.packets.len(), "all of one size but the last");
        for datagram in datagrams {
            let ecn = if burst.ecn_capable { Ecn::Ect0 } else { Ecn::NotCapable };
            self.marked += u64::from(burst.ecn_capable);
            self.outbox.push(Datagram { from: self.address, to: burst.to, ecn, bytes: datagram.to_vec() });
        }
    }
}
