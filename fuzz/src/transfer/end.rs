//! One end of a transfer: the machine, and what a driver is to it, with a file in memory and a disk that answers when
//! it is told to. Whatever the machine says is checked as it is carried out.

use std::collections::VecDeque;
use std::net::SocketAddr;

use toom_core::client::io::{Destination, Progress, Side, SourceId, Start};
use toom_core::config::TransferConfig;
use toom_core::id::{OfferId, PeerIndex};
use toom_core::machine::Machine;
use toom_core::name::UserName;
use toom_core::peer::{Handshake, HandshakeSetup, Heard};
use toom_core::peer::{MAX_BURST_BYTES, MAX_BURST_PACKETS};
use toom_core::secure::{PeerAgreement, PeerSecret, SecretKey, Suite};
use toom_core::text::FileLabel;
use toom_core::time::Instant;
use toom_core::transfer::io::{Burst, Counters, Input, Output, SLOT_BYTES, SLOTS, SlotId};
use toom_core::transfer::{Have, Keys, Opened, Transfers};
use toom_core::wire::ecn::Ecn;
use toom_core::wire::packet::{HANDSHAKE_BYTES, HANDSHAKE_TOLD_BYTES, HandshakeHeader, Header, Role};

/// The only transfer.
pub const TRANSFER: OfferId = OfferId(7);

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// From where.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
    /// Sealed.
    pub bytes: Vec<u8>,
}

/// What the disk was asked.
#[derive(Clone, Debug)]
enum Asked {
    Compare(u64),
    Read(SlotId),
    Hash,
    Write(u64),
    Verify,
    Publish,
}

/// One end.
pub struct End {
    /// Which end.
    pub role: Role,
    /// Where it is.
    pub address: SocketAddr,
    /// The machine.
    pub machine: Transfers,
    /// The source, or the partial file.
    pub file: Vec<u8>,
    /// How it ended.
    pub outcome: Option<Progress>,
    /// The file has its final name.
    pub published: bool,
    /// What was sent and not taken yet.
    pub outbox: VecDeque<Datagram>,
    /// How many packets were sent.
    pub packets: u64,
    /// The last challenge that was sent.
    pub challenge: [u8; 8],
    now: Instant,
    /// Which bytes of the partial file were written.
    written: Vec<bool>,
    asked: VecDeque<Asked>,
    slots: Vec<Vec<u8>>,
    hashed_to: u64,
    keys: Keys,
    epoch: u32,
    listens: bool,
    forgotten: bool,
    closed: bool,
}

/// What stands for BLAKE3 here: the machine only compares it.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut lanes = [0x9e37_79b9_7f4a_7c15_u64 ^ bytes.len() as u64; 4];
    for (at, byte) in bytes.iter().enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
    }
    let mut hash = [0; 32];
    hash.chunks_exact_mut(8).zip(lanes).for_each(|(place, lane)| place.copy_from_slice(&lane.to_be_bytes()));
    hash
}

/// Bytes that do not repeat.
pub fn file(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// The address of an end.
pub fn address(role: Role, port: u16) -> SocketAddr {
    let last = if role == Role::Initiator { 1 } else { 2 };
    SocketAddr::from(([10, 0, 0, last], port))
}

/// The device of an end.
pub fn device(role: Role) -> SecretKey {
    SecretKey::new([if role == Role::Initiator { 1 } else { 2 }; 32])
}

/// What an end knows of the other one.
pub fn agreement(role: Role) -> PeerAgreement {
    let (remote, shared) = (device(role.other()).public(), PeerSecret([9; 32]));
    PeerAgreement { remote, shared, context: [7; 32], suite: Suite::AesGcm }
}

/// Under which an end hears, and the other one.
pub fn indices(role: Role) -> (PeerIndex, PeerIndex) {
    if role == Role::Initiator { (PeerIndex(1), PeerIndex(2)) } else { (PeerIndex(2), PeerIndex(1)) }
}

/// The handshake of an end, without a machine around it.
pub fn handshake(now: Instant, role: Role) -> Handshake {
    let (device, (local_index, remote_index)) = (device(role), indices(role));
    let setup = HandshakeSetup {
        role,
        local: &device,
        public: &device.public(),
        agreement: &agreement(role),
        local_index,
        remote_index,
        remote: address(role.other(), PORT),
        seed: [11; 32],
    };
    let mut handshake = Handshake::new(now, &setup);
    handshake.tell([0; HANDSHAKE_TOLD_BYTES]);
    handshake
}

/// The port of both ends at first.
pub const PORT: u16 = 4_000;

impl End {
    /// An end that was told to start. The receiver knows nothing of `file` but its size.
    pub fn start(role: Role, file: &[u8], payload: usize) -> End {
        let (local_index, remote_index) = indices(role);
        let mut end = End {
            role,
            address: address(role, PORT),
            machine: Transfers::new(
                TransferConfig { payload: Some(payload), ..TransferConfig::default() },
                device(role),
                [local_index.0 as u8; 32],
            ),
            file: if role == Role::Initiator { file.to_vec() } else { vec![0; file.len()] },
            outcome: None,
            published: false,
            outbox: VecDeque::new(),
            packets: 0,
            challenge: [0; 8],
            now: Instant::ZERO,
            written: vec![false; file.len()],
            asked: VecDeque::new(),
            slots: vec![Vec::new(); usize::from(SLOTS)],
            hashed_to: 0,
            keys: Keys::default(),
            epoch: 0,
            listens: false,
            forgotten: false,
            closed: false,
        };
        let side = match role {
            Role::Initiator => Side::Send { source: SourceId(3) },
            Role::Responder => Side::Receive {
                from: UserName::new("yoda").expect("a name"),
                label: FileLabel::new("film"),
                into: Destination::File,
            },
        };
        let start = Start {
            transfer: TRANSFER,
            remote: address(role.other(), PORT),
            local_index,
            remote_index,
            agreement: agreement(role),
            bytes: Some(file.len() as u64),
            listing: None,
            side,
        };
        end.handle(Instant::ZERO, Input::Start(start), &[]);
        if role == Role::Responder {
            end.handle(Instant::ZERO, Input::Prepared { transfer: TRANSFER, have: Have::default() }, &[]);
        }
        end
    }

    /// Whether all is over, keys and file included.
    pub fn is_over(&self) -> bool {
        self.forgotten && self.closed
    }

    /// How much the disk was asked and has not answered.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.machine.counters(TRANSFER).expect("a transfer that was started")
    }

    /// A sealed datagram arrives; answers whether it could be opened.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, mut bytes: Vec<u8>) -> bool {
        match self.keys.open(&mut bytes) {
            Ok(Opened::Packet(header, payload)) => {
                let payload = payload.to_vec();
                self.receive_opened(now, from, header, &payload);
                true
            }
            Ok(Opened::Handshake(datagram)) => {
                let datagram = datagram.to_vec();
                self.receive_handshake(now, from, &datagram)
            }
            Err(_) => false,
        }
    }

    /// A handshake datagram arrives; answers whether it was taken for one of the other end.
    pub fn receive_handshake(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        let refused = |end: &End| end.machine.counters(TRANSFER).map(|counters| counters.handshakes_refused);
        let (before, over) = (refused(self), self.forgotten);
        let ours = HandshakeHeader::decode(datagram).is_ok_and(|header| header.receiver == indices(self.role).0);
        self.handle(now, Input::Handshake { from, datagram }, &[]);
        ours && !over && refused(self) == before
    }

    /// Both ends agree on keys, as if the other end were there. Packets are passed in opened from now on.
    pub fn agree(&mut self) {
        let (mut outbox, other) = (core::mem::take(&mut self.outbox), self.role.other());
        let mut handshake = handshake(self.now, other);
        if self.role == Role::Initiator {
            self.wake(self.now);
            let question = self.outbox.pop_front().expect("an initiator asks").bytes;
            assert!(matches!(handshake.receive(self.now, self.address, &question), Heard::Agreed { .. }));
        }
        let (_, datagram) = handshake.transmit(self.now).expect("the other end says something");
        assert!(self.receive_handshake(self.now, address(other, PORT), &datagram));
        assert!(self.listens);
        outbox.append(&mut self.outbox);
        self.outbox = outbox;
    }

    /// A datagram that was opened.
    pub fn receive_opened(&mut self, now: Instant, from: SocketAddr, header: Header, payload: &[u8]) {
        self.handle(now, Input::Datagram { from, header, payload, ecn: Ecn::NotCapable }, payload);
    }

    /// Wakes the machine as often as it is due; otherwise early, which must come to nothing.
    pub fn wake(&mut self, now: Instant) {
        for _ in 0..1_000 {
            if self.machine.deadline().is_none_or(|at| at > now) {
                return self.wake_early(now);
            }
            self.handle(now, Input::Woke, &[]);
        }
        panic!("a machine that is always due");
    }

    fn wake_early(&mut self, now: Instant) {
        let mut out = Vec::new();
        let due = self.machine.deadline();
        self.machine.handle(now, Input::Woke, &mut out);
        assert_eq!(out, [], "woken early, and said something");
        assert_eq!(self.machine.deadline(), due, "woken early, and another deadline");
    }

    /// The disk answers one thing that it was asked.
    pub fn disk(&mut self, now: Instant, which: usize, works: bool) {
        let Some(asked) = self.asked.remove(which) else { return };
        let transfer = TRANSFER;
        let input = match asked {
            _ if !works => Input::StorageFailed { transfer, reason: "the disk is full".to_owned() },
            Asked::Compare(bytes) => Input::Compared { transfer, blake3: digest(&self.file[..bytes as usize]) },
            Asked::Read(slot) => Input::Read { transfer, slot },
            Asked::Hash => Input::SourceHashed { transfer, blake3: digest(&self.file) },
            Asked::Write(bytes) => Input::Written { transfer, bytes },
            Asked::Verify => Input::Verified { transfer, blake3: digest(&self.file) },
            Asked::Publish => {
                self.published = true;
                Input::Published { transfer, saved_as: "yoda_film".to_owned() }
            }
        };
        self.handle(now, input, &[]);
    }

    /// The person cancels.
    pub fn cancel(&mut self, now: Instant) {
        self.handle(now, Input::Cancel { transfer: TRANSFER, keep: false }, &[]);
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, payload: &[u8]) {
        self.now = now;
        let mut out = Vec::new();
        self.machine.handle(now, input, &mut out);
        assert!(self.machine.deadline().is_none_or(|at| at >= now), "a deadline in the past");
        for output in out {
            assert!(!self.is_over(), "after the end: {output:?}");
            self.carry_out(output, payload);
        }
        if self.is_over() {
            assert!(self.outcome.is_some(), "over without a report");
            assert_eq!(self.machine.deadline(), None, "a machine without transfers waits for nothing");
        }
    }

    fn carry_out(&mut self, output: Output, payload: &[u8]) {
        match output {
            Output::Handshake { transfer, to, datagram } => {
                assert!(transfer == TRANSFER && datagram.len() == HANDSHAKE_BYTES);
                self.outbox.push_back(Datagram { from: self.address, to, bytes: datagram });
            }
            Output::Listen { index, transfer, keys } => {
                assert!(!self.listens && transfer == TRANSFER);
                self.listens = true;
                self.keys.listen(index, transfer, &keys);
            }
            Output::Forget { index, transfer } => {
                assert!(!self.forgotten, "forgotten twice");
                self.forgotten = true;
                self.keys.forget(index, transfer);
            }
            Output::Close { .. } => {
                assert!(!self.closed, "closed twice");
                self.closed = true;
            }
            Output::Compare { bytes, .. } => {
                assert!(self.hashed_to == 0 && bytes <= self.file.len() as u64, "before anything is read");
                self.hashed_to = bytes;
                self.asked.push_back(Asked::Compare(bytes));
                if bytes == self.file.len() as u64 {
                    self.asked.push_back(Asked::Hash);
                }
            }
            Output::Restart { .. } => panic!("nothing was there"),
            Output::Release { .. } => panic!("nobody sends a stream"),
            Output::Survey { .. } | Output::CompareParts { .. } | Output::LeaveOut { .. } => {
                panic!("nobody sends several files")
            }
            Output::Burst(burst) => self.send(&burst),
            Output::Read { offset, length, slot, .. } => self.read(offset, length, slot),
            Output::Write { offset, range, .. } => self.write(offset, &payload[range]),
            Output::Verify { .. } => {
                assert!(self.written.iter().all(|written| *written), "verified before all was written");
                assert!(!self.asked.iter().any(|it| matches!(it, Asked::Write(_))), "verified before it is written");
                self.asked.push_back(Asked::Verify);
            }
            Output::Publish { .. } => {
                assert!(!self.published && !self.asked.iter().any(|it| matches!(it, Asked::Publish)), "once");
                assert!(!self.closed, "named after it was closed");
                self.asked.push_back(Asked::Publish);
            }
            Output::Report(report) => self.report(report.progress),
        }
    }

    fn report(&mut self, progress: Progress) {
        assert_eq!(self.outcome, None, "a report after the last one");
        match &progress {
            Progress::Resumed { bytes, .. } | Progress::Moving { bytes, .. } => {
                assert!(*bytes <= self.file.len() as u64, "more than there is")
            }
            Progress::Waiting(_) | Progress::Paused { .. } => {}
            Progress::Done { blake3, saved_as } => {
                assert_eq!(*blake3, digest(&self.file), "done, with another hash");
                assert_eq!(saved_as.is_some(), self.role == Role::Responder);
                assert!(self.role == Role::Initiator || self.published, "done without a name");
                self.outcome = Some(progress);
            }
            Progress::Failed(_) => {
                assert!(self.closed, "a file is closed before its failure is told");
                self.outcome = Some(progress);
            }
        }
    }

    fn read(&mut self, offset: u64, length: usize, slot: SlotId) {
        assert!(self.role == Role::Initiator && !self.closed && length <= SLOT_BYTES);
        assert!(
            !self.asked.iter().any(|it| matches!(it, Asked::Read(other) if *other == slot)),
            "a slot that is in use"
        );
        let end = offset + length as u64;
        self.slots[usize::from(slot.0)] = self.file[offset as usize..end as usize].to_vec();
        self.asked.push_back(Asked::Read(slot));
        if offset >= self.hashed_to {
            assert_eq!(offset, self.hashed_to, "what was never read must come in order");
            let finished = self.hashed_to < self.file.len() as u64 || self.file.is_empty();
            self.hashed_to = end;
            if finished && end == self.file.len() as u64 {
                self.asked.push_back(Asked::Hash);
            }
        } else {
            assert!(end <= self.hashed_to, "what was never read must come in order");
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        assert!(self.role == Role::Responder && !self.closed && !self.published, "written after the end");
        let start = usize::try_from(offset).expect("an offset");
        let place = self.file.get_mut(start..start + bytes.len()).expect("a write outside the file");
        place.copy_from_slice(bytes);
        let written = &mut self.written[start..start + bytes.len()];
        assert!(!written.iter().any(|written| *written), "a byte that is written twice");
        written.fill(true);
        self.asked.push_back(Asked::Write(bytes.len() as u64));
    }

    fn send(&mut self, burst: &Burst) {
        assert!((1..=MAX_BURST_PACKETS).contains(&burst.packets.len()), "a burst of {}", burst.packets.len());
        for packet in &burst.packets {
            assert_eq!(packet.number.0, self.packets, "numbers are used once, and none is left out");
            self.packets += 1;
            self.note_challenge(&packet.frames);
            let in_use = |slot| self.asked.iter().any(|it| matches!(it, Asked::Read(reading) if *reading == slot));
            assert!(!packet.data.is_some_and(|data| in_use(data.slot)), "sent from a slot that is being read");
        }
        assert!(burst.epoch == self.epoch || burst.epoch == self.epoch + 1, "an epoch that is left out");
        self.epoch = burst.epoch;
        let mut bytes = Vec::new();
        self.keys.seal(burst, |slot| &self.slots[usize::from(slot.0)], &mut bytes);
        assert!(bytes.len() <= MAX_BURST_BYTES && burst.segment_size <= TransferConfig::MAX_PAYLOAD);
        let datagrams: Vec<_> = bytes.chunks(burst.segment_size).collect();
        assert_eq!(datagrams.len(), burst.packets.len(), "all of one size but the last");
        for datagram in datagrams {
            self.outbox.push_back(Datagram { from: self.address, to: burst.to, bytes: datagram.to_vec() });
        }
    }

    fn note_challenge(&mut self, frames: &[u8]) {
        use toom_core::wire::peer_frame::{Frame, Frames};
        for frame in Frames::new(frames).flatten() {
            if let Frame::PathChallenge(token) = frame {
                self.challenge = token;
            }
        }
    }
}
