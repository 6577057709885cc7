//! Two ends and the links between them, in virtual time.

use core::time::Duration;
use std::net::SocketAddr;

use super::end::{End, TRANSFER, hash};
use super::link::{Datagram, Link, Quality};
use crate::client::event::TransferFailure;
use crate::client::io::{Destination, Progress, Side, SourceId, Start};
use crate::config::TransferConfig;
use crate::id::PeerIndex;
use crate::machine::{Machine, earlier};
use crate::name::UserName;
use crate::secure::{PeerAgreement, PeerSecret, SecretKey, Suite};
use crate::text::FileLabel;
use crate::time::Instant;
use crate::transfer::io::Counters;

const PORT: u16 = 4_000;

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sender: End,
    pub(super) receiver: End,
    /// From the sender, and back.
    pub(super) there: Link,
    pub(super) back: Link,
    /// A digest of every datagram that was sent, in order.
    pub(super) trace: [u8; 32],
    /// The most bytes that the sender sent at one moment; and what it sent at this one.
    pub(super) most_at_once: usize,
    at_once: (Instant, usize),
    /// Every datagram to the receiver comes again at once, from somewhere else.
    pub(super) replay_from_elsewhere: bool,
    /// Where the receiver is told that the sender is.
    pub(super) receiver_expects_port: u16,
    /// The size of the file, if both ends are told.
    pub(super) bytes: Option<u64>,
    /// So many bytes of it are the listing of several files.
    pub(super) listing: Option<u64>,
    /// Where the receiver puts it.
    pub(super) into: Destination,
    pub(super) suite: Suite,
    pub(super) context: [u8; 32],
}

/// Bytes that do not repeat.
pub(super) fn file(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// The key of an end.
fn device(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

impl World {
    /// A transfer that both ends have been told to start.
    pub(super) fn new(file: Vec<u8>, payload: impl Into<Option<usize>>, quality: Quality, seed: u64) -> World {
        let mut world = World::not_started(file, payload, quality, seed);
        world.start_receiver();
        world.start_sender();
        world
    }

    pub(super) fn not_started(file: Vec<u8>, payload: impl Into<Option<usize>>, quality: Quality, seed: u64) -> World {
        World::configured(file, TransferConfig { payload: payload.into(), ..TransferConfig::default() }, quality, seed)
    }

    /// A transfer that nobody was told to start.
    pub(super) fn configured(file: Vec<u8>, config: TransferConfig, quality: Quality, seed: u64) -> World {
        let (there, back) = (Link::new(quality, seed), Link::new(quality, !seed));
        let address = |last| SocketAddr::from(([10, 0, 0, last], PORT));
        let (empty, bytes) = (vec![0; file.len()], Some(file.len() as u64));
        let sender = End::new(address(1), device(1), config, seed as u8, file);
        let receiver = End::new(address(2), device(2), config, !seed as u8, empty);
        World {
            now: Instant::from_nanos(5_000_000_000),
            sender,
            receiver,
            there,
            back,
            trace: [0; 32],
            most_at_once: 0,
            at_once: (Instant::ZERO, 0),
            replay_from_elsewhere: false,
            receiver_expects_port: PORT,
            bytes,
            listing: None,
            into: Destination::File,
            context: [7; 32],
            suite: if seed.is_multiple_of(2) { Suite::AesGcm } else { Suite::ChaChaPoly },
        }
    }

    pub(super) fn start_sender(&mut self) {
        let start = self.agreed(self.receiver.address, (1, 2), Side::Send { source: SourceId(3) });
        self.sender.start(self.now, start);
    }

    pub(super) fn start_receiver(&mut self) {
        let side =
            Side::Receive { from: UserName::new("yoda").unwrap(), label: FileLabel::new("film.mp4"), into: self.into };
        let expected = SocketAddr::new(self.sender.address.ip(), self.receiver_expects_port);
        let start = self.agreed(expected, (2, 1), side);
        self.receiver.start(self.now, start);
    }

    fn agreed(&self, remote: SocketAddr, (local, other): (u32, u32), side: Side) -> Start {
        Start {
            transfer: TRANSFER,
            remote,
            local_index: PeerIndex(local),
            remote_index: PeerIndex(other),
            agreement: PeerAgreement {
                remote: device(other as u8).public(),
                shared: PeerSecret([9; 32]),
                context: self.context,
                suite: self.suite,
            },
            bytes: self.bytes,
            listing: self.listing,
            side,
        }
    }

    /// Does everything that is to be done now, then goes to the next moment at which something happens.
    /// Answers whether there is one.
    pub(super) fn step(&mut self) -> bool {
        self.step_until(Instant::from_nanos(u64::MAX))
    }

    /// Likewise, but not beyond `limit`: then it is that, and the answer is no.
    fn step_until(&mut self, limit: Instant) -> bool {
        self.settle();
        let wakes = earlier(self.sender.machine.deadline(), self.receiver.machine.deadline());
        let arrivals = earlier(self.there.next_arrival(), self.back.next_arrival());
        let disks = earlier(self.sender.disk_at(), self.receiver.disk_at());
        let Some(next) = earlier(disks, earlier(wakes, arrivals)) else { return false };
        assert!(next > self.now, "everything of this moment is done");
        self.now = next.min(limit);
        next <= limit
    }

    /// Until both ends have closed, or `limit` is over; answers whether they have.
    pub(super) fn run(&mut self, limit: Duration) -> bool {
        let end = self.now + limit;
        while self.now <= end && self.step() {}
        self.sender.is_closed() && self.receiver.is_closed()
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && self.step_until(end) {}
    }

    fn settle(&mut self) {
        let now = self.now;
        let mut idle_wakes = 0;
        loop {
            let mut arrived = false;
            while let Some(datagram) = self.there.arrived(now) {
                arrived = true;
                if datagram.to != self.receiver.address {
                    continue;
                }
                self.receiver.receive(now, datagram.from, datagram.ecn, datagram.bytes.clone());
                if self.replay_from_elsewhere {
                    self.receiver.receive(now, SocketAddr::from(([6, 6, 6, 6], 666)), datagram.ecn, datagram.bytes);
                }
            }
            while let Some(datagram) = self.back.arrived(now) {
                arrived = true;
                if datagram.to == self.sender.address {
                    self.sender.receive(now, datagram.from, datagram.ecn, datagram.bytes);
                }
            }
            let stored = self.sender.disk(now) | self.receiver.disk(now);
            let woke = self.sender.wake(now) | self.receiver.wake(now);
            let sent = self.carry();
            idle_wakes = if arrived || stored || sent { 0 } else { idle_wakes + 1 };
            assert!(idle_wakes < 4, "a deadline that comes to nothing");
            if !(arrived || stored || woke) {
                return;
            }
        }
    }

    fn carry(&mut self) -> bool {
        let mut sent = false;
        let before = if self.at_once.0 == self.now { self.at_once.1 } else { 0 };
        self.at_once = (self.now, before + self.sender.waiting_bytes());
        self.most_at_once = self.most_at_once.max(self.at_once.1);
        for (end, link) in [(&mut self.sender, &mut self.there), (&mut self.receiver, &mut self.back)] {
            for datagram in end.take_outbox() {
                sent = true;
                let Datagram { bytes, .. } = &datagram;
                self.trace = hash(&[self.trace.as_slice(), &hash(bytes), &self.now.as_nanos().to_be_bytes()].concat());
                link.send(self.now, datagram);
            }
        }
        sent
    }

    pub(super) fn sender_counters(&self) -> Counters {
        self.sender.machine.counters(TRANSFER).unwrap()
    }

    pub(super) fn receiver_counters(&self) -> Counters {
        self.receiver.machine.counters(TRANSFER).unwrap()
    }

    /// Both ends said that it is done, and the file is what it was, each byte written once.
    pub(super) fn assert_done(&self) {
        let blake3 = hash(&self.sender.file);
        assert_eq!(self.sender.outcome(), Some(&Progress::Done { blake3, saved_as: None }));
        let saved_as = Some("yoda_film.mp4".to_owned());
        assert_eq!(self.receiver.outcome(), Some(&Progress::Done { blake3, saved_as }));
        assert!(self.receiver.published && self.sender.file == self.receiver.file);
        assert_eq!(self.receiver.bytes_written, self.sender.file.len() as u64);
    }

    pub(super) fn assert_failed(&self, sender: TransferFailure, receiver: TransferFailure) {
        assert_eq!(self.sender.outcome(), Some(&Progress::Failed(sender)));
        assert_eq!(self.receiver.outcome(), Some(&Progress::Failed(receiver)));
        assert!(!self.receiver.published);
    }
}
