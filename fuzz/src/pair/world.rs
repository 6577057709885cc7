//! The two ends, and what is under way between them.

use core::time::Duration;
use std::collections::VecDeque;

use toom_core::client::io::Progress;
use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::super::operations::pair::{PairOperation, Side, Transfer};
use super::super::operations::pick;
use super::super::transfer::end::{Datagram, End, PORT, address, file};
use super::Expectation;

/// Old datagrams that are kept to come again.
const MAX_HISTORY: usize = 64;

/// Both ends end within this time once the link is well: a pause and a farewell of an hour each, and what follows.
const LIMIT: Duration = Duration::from_secs(3 * 3_600);

/// Two ends and a link.
pub struct World {
    now: Instant,
    sender: End,
    receiver: End,
    to_sender: VecDeque<Datagram>,
    to_receiver: VecDeque<Datagram>,
    history: VecDeque<Datagram>,
    receiver_is_lost: bool,
}

impl World {
    /// Both ends have started.
    pub fn new(transfer: Transfer) -> World {
        let file = file(transfer.bytes());
        World {
            now: Instant::ZERO,
            sender: End::start(Side::Sender.role(), &file, transfer.payload()),
            receiver: End::start(Side::Receiver.role(), &file, transfer.payload()),
            to_sender: VecDeque::new(),
            to_receiver: VecDeque::new(),
            history: VecDeque::new(),
            receiver_is_lost: false,
        }
    }

    /// Something happens.
    pub fn apply(&mut self, operation: &PairOperation) {
        match operation {
            PairOperation::Deliver { to, which } => {
                self.take(*to, *which).into_iter().for_each(|it| self.arrive(*to, it));
            }
            PairOperation::DeliverSome { to, count } => (0..*count).for_each(|_| self.deliver_first(*to)),
            PairOperation::Flow { milliseconds } => self.flow(Duration::from_millis(u64::from(*milliseconds))),
            PairOperation::Drop { to, which } => drop(self.take(*to, *which)),
            PairOperation::DropAll { to } => self.travelling(*to).clear(),
            PairOperation::Duplicate { to, which } => self.copy(*to, *which, |_| {}),
            PairOperation::Replay { to, which } => {
                let old = pick(*which, self.history.len()).map(|at| self.history[at].clone());
                old.into_iter().for_each(|it| self.hand_over(*to, it));
            }
            PairOperation::Flip { to, which, bit } => self.copy(*to, *which, |it| {
                let at = usize::from(*bit) % (it.bytes.len() * 8);
                it.bytes[at / 8] ^= 1 << (at % 8);
            }),
            PairOperation::Truncate { to, which, bytes } => self.copy(*to, *which, |it| {
                it.bytes.truncate(it.bytes.len().saturating_sub(1 + usize::from(*bytes)));
            }),
            PairOperation::Elsewhere { to, which, port } => {
                self.copy(*to, *which, |it| it.from.set_port(PORT + 1 + u16::from(port % 4)));
            }
            PairOperation::Stranger { to, bytes } => {
                let (from, bytes) = (([6, 6, 6, 6], 6).into(), bytes.clone());
                assert!(!self.end(*to).receive_at(from, bytes), "a stranger's datagram is opened");
            }
            PairOperation::Reflect { to, which } => {
                let other = if *to == Side::Sender { Side::Receiver } else { Side::Sender };
                let own = pick(*which, self.travelling(other).len()).map(|at| self.travelling(other)[at].clone());
                own.into_iter().for_each(|it| self.hand_over(*to, it));
            }
            PairOperation::Wait { milliseconds } => self.wait(Duration::from_millis(u64::from(*milliseconds))),
            PairOperation::Disk { side, which, .. } => self.disk(*side, *which, operation.fails().is_none()),
            PairOperation::DiskAll { side } => {
                (0..self.end(*side).asked()).for_each(|_| self.disk(*side, 0, true));
            }
            PairOperation::Cancel { .. } | PairOperation::Move { .. } => self.end_or_move(operation),
        }
        self.carry();
    }

    /// The link and the disks are well from now on: both ends end in bounded time, and what they say is true.
    pub fn finish(mut self, expectation: &Expectation) {
        let mut expectation = expectation.clone();
        if self.receiver_is_lost {
            expectation.receiver_is_lost();
        }
        let end = self.now + LIMIT;
        while !(self.sender.is_over() && self.receiver.is_over()) {
            assert!(self.now <= end, "no end: {:?} {:?}", self.sender.outcome, self.receiver.outcome);
            self.flow(Duration::from_millis(1));
            let next = [&self.sender, &self.receiver].into_iter().filter_map(|it| it.machine.deadline()).min();
            self.now = next.map_or(self.now, |at| at.max(self.now));
        }
        let outcome = |end: &End| end.outcome.clone().expect("an end has an outcome");
        let (sender, receiver) = (outcome(&self.sender), outcome(&self.receiver));
        expectation.check(Side::Sender, &sender);
        expectation.check(Side::Receiver, &receiver);
        let done = |outcome: &Progress| matches!(outcome, Progress::Done { .. });
        if self.receiver.published {
            assert!(self.receiver.file == self.sender.file, "another content has the final name");
        }
        assert!(!done(&sender) || self.receiver.published, "the sender is done, and the receiver has nothing");
        if expectation.must_arrive() {
            assert!(done(&sender) && done(&receiver), "nothing was wrong: {sender:?} {receiver:?}");
        }
    }

    fn end(&mut self, side: Side) -> At<'_> {
        let now = self.now;
        At { now, end: if side == Side::Sender { &mut self.sender } else { &mut self.receiver } }
    }

    fn travelling(&mut self, to: Side) -> &mut VecDeque<Datagram> {
        if to == Side::Sender { &mut self.to_sender } else { &mut self.to_receiver }
    }

    fn take(&mut self, to: Side, which: u8) -> Option<Datagram> {
        let travelling = self.travelling(to);
        let at = pick(which, travelling.len())?;
        travelling.remove(at)
    }

    /// A copy arrives, changed; the datagram itself is still under way.
    fn copy(&mut self, to: Side, which: u8, change: impl FnOnce(&mut Datagram)) {
        let Some(at) = pick(which, self.travelling(to).len()) else { return };
        let original = self.travelling(to)[at].clone();
        let mut copy = original.clone();
        change(&mut copy);
        let changed = copy.bytes != original.bytes;
        let opened = self.end(to).receive_at(copy.from, copy.bytes);
        assert!(!(changed && opened), "a datagram that was changed is opened");
    }

    fn deliver_first(&mut self, to: Side) {
        self.travelling(to).pop_front().into_iter().for_each(|it| self.arrive(to, it));
    }

    /// A datagram arrives where it was sent, if that is where the end is.
    fn arrive(&mut self, to: Side, datagram: Datagram) {
        if self.history.len() == MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(datagram.clone());
        if self.end(to).end.address == datagram.to {
            self.hand_over(to, datagram);
        }
    }

    fn hand_over(&mut self, to: Side, datagram: Datagram) {
        self.end(to).receive_at(datagram.from, datagram.bytes);
        self.carry();
    }

    fn disk(&mut self, side: Side, which: u8, works: bool) {
        let At { now, end } = self.end(side);
        if let Some(which) = pick(which, end.asked()) {
            end.disk(now, which, works);
        }
    }

    fn end_or_move(&mut self, operation: &PairOperation) {
        if let Some(side) = operation.cancels() {
            let At { now, end } = self.end(side);
            end.cancel(now);
        }
        if let Some((side, port)) = operation.moves() {
            // It speaks only once it has heard the sender.
            self.receiver_is_lost |= side == Side::Receiver && self.receiver.packets == 0;
            self.end(side).end.address = address(side.role(), PORT + port);
        }
    }

    /// Time passes; whoever is due is woken at its time.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = [&self.sender, &self.receiver].into_iter().filter_map(|it| it.machine.deadline()).min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            self.now = at.max(self.now);
            self.wake();
        }
        self.now = end;
        self.wake();
    }

    fn wake(&mut self) {
        self.sender.wake(self.now);
        self.receiver.wake(self.now);
        self.carry();
    }

    /// A link that is well, with a delay of a millisecond, and disks that answer at once.
    fn flow(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            if self.now >= end {
                return;
            }
            self.now = end.min(self.now + Duration::from_millis(1));
        }
    }

    /// All that is under way arrives, and all that follows from it is done.
    fn settle(&mut self) {
        for side in [Side::Receiver, Side::Sender] {
            (0..self.travelling(side).len()).for_each(|_| self.deliver_first(side));
        }
        for _ in 0..10_000 {
            self.wake();
            if self.sender.asked() + self.receiver.asked() == 0 {
                return;
            }
            for side in [Side::Receiver, Side::Sender] {
                (0..self.end(side).end.asked()).for_each(|_| self.disk(side, 0, true));
            }
        }
        panic!("the disks are never done");
    }

    fn carry(&mut self) {
        self.to_receiver.extend(self.sender.outbox.drain(..));
        self.to_sender.extend(self.receiver.outbox.drain(..));
    }
}

/// One end, and now.
struct At<'a> {
    now: Instant,
    end: &'a mut End,
}

impl core::ops::Deref for At<'_> {
    type Target = End;

    fn deref(&self) -> &End {
        self.end
    }
}

impl At<'_> {
    fn receive_at(self, from: std::net::SocketAddr, bytes: Vec<u8>) -> bool {
        self.end.receive(self.now, from, bytes)
    }
}
