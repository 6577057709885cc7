//! A transfer whose other end has the keys, and sends whatever frames it likes.

use core::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use toom_core::client::io::Progress;
use toom_core::config::TransferConfig;
use toom_core::id::PeerIndex;
use toom_core::machine::Machine;
use toom_core::time::Instant;
use toom_core::wire::packet::{Header, PacketNumber, Role};

use super::super::operations::frames::{AnyPayload, AnyPlace, Context};
use super::super::operations::{all, pick};
use super::end::{End, PORT, address, digest, file};

/// What happens to an end whose peer is hostile.
#[derive(Clone, Debug, Arbitrary)]
enum Step {
    /// A datagram with the next number.
    Datagram(AnyPayload),
    /// A datagram with any number, from somewhere.
    Odd { payload: AnyPayload, number: AnyPlace, port: u8 },
    /// A handshake datagram: its own, or bytes of any kind.
    Handshake { own: bool, bytes: Vec<u8>, port: u8 },
    /// Time passes.
    Wait { milliseconds: u16 },
    /// The disk answers.
    Disk { which: u8 },
    /// The disk answers everything that it was asked until now.
    DiskAll,
    /// The disk fails.
    DiskFails { which: u8 },
    /// The person cancels.
    Cancel,
}

/// A receiving transfer fed with arbitrary frames: never writes outside the file or twice, publishes only what has
/// the hash that was said, ends once, and in bounded time when it hears no more.
pub fn receiver(data: &[u8]) {
    run(Role::Responder, data);
}

/// A sending transfer fed with arbitrary frames, of which acknowledgements of what was and was not sent: reads only
/// what there is, is done only for its own hash, ends once, and in bounded time when it hears no more.
pub fn sender(data: &[u8]) {
    run(Role::Initiator, data);
}

fn run(role: Role, data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    // Some kilobytes: of a sender, so many that it has to send several bursts.
    let length = usize::from(bytes.arbitrary::<u8>().unwrap_or(0)) * if role == Role::Initiator { 1_000 } else { 40 };
    let file = file(length);
    let mut peer = Hostile {
        now: Instant::ZERO,
        end: End::start(role, &file, TransferConfig::MIN_PAYLOAD),
        hash: digest(&file),
        file: &file,
        next_number: 0,
        next_offset: 0,
    };
    peer.end.agree();
    for step in all::<Step>(&mut bytes) {
        peer.step(&step);
    }
    peer.finish();
}

struct Hostile<'a> {
    now: Instant,
    end: End,
    file: &'a [u8],
    hash: [u8; 32],
    next_number: u64,
    next_offset: u64,
}

impl Hostile<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Datagram(payload) => {
                let number = self.next_number;
                self.datagram(payload, number, PORT);
            }
            Step::Odd { payload, number, port } => {
                let number = number.number(self.next_number);
                self.datagram(payload, number, PORT + u16::from(port % 4));
            }
            Step::Handshake { own, bytes, port } => {
                let other = self.end.role.other();
                let own = own.then(|| super::end::handshake(self.now, other).transmit(self.now)).flatten();
                let datagram = own.map_or_else(|| bytes.clone(), |(_, datagram)| datagram);
                let from = address(other, PORT + u16::from(port % 4));
                self.end.receive_handshake(self.now, from, &datagram);
            }
            Step::Wait { milliseconds } => self.wait(Duration::from_millis(u64::from(*milliseconds))),
            Step::Disk { which } => self.disk(*which, true),
            Step::DiskAll => (0..self.end.asked()).for_each(|_| self.disk(0, true)),
            Step::DiskFails { which } => self.disk(*which, false),
            Step::Cancel => self.end.cancel(self.now),
        }
        self.end.outbox.clear();
    }

    fn datagram(&mut self, payload: &AnyPayload, number: u64, port: u16) {
        let mut context = Context {
            file: self.file,
            hash: self.hash,
            next_packet: self.end.packets,
            next_offset: self.next_offset,
            challenge: self.end.challenge,
        };
        let payload = payload.bytes(&mut context);
        self.next_offset = context.next_offset;
        self.next_number = self.next_number.max(number.saturating_add(1));
        let index = PeerIndex(if self.end.role == Role::Initiator { 1 } else { 2 });
        let header = Header { epoch: 0, index, number: PacketNumber(number) };
        let from = address(self.end.role.other(), port);
        self.end.receive_opened(self.now, from, header, &payload);
    }

    fn disk(&mut self, which: u8, works: bool) {
        if let Some(which) = pick(which, self.end.asked()) {
            self.end.disk(self.now, which, works);
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.end.machine.deadline().filter(|at| *at <= end) {
            self.now = at;
            self.end.wake(at);
            self.end.outbox.clear();
        }
        self.now = end;
        self.end.wake(end);
    }

    /// The disk does what it was asked, and nothing is heard any more.
    fn finish(mut self) {
        for _ in 0..200 {
            while self.end.asked() > 0 {
                self.disk(0, true);
            }
            if self.end.is_over() {
                break;
            }
            self.wait(Duration::from_secs(1));
        }
        assert!(self.end.is_over(), "it does not end though nothing is heard");
        let done = matches!(self.end.outcome, Some(Progress::Done { .. }));
        if self.end.role == Role::Responder {
            assert!(!done || self.end.published, "done without a name");
            assert!(!self.end.published || self.end.file.len() == self.file.len());
        }
    }
}
