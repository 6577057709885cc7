//! The one thread that owns the transfer machine: datagrams, timers and commands in, outputs out.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use toom_core::client::io::{Report, Start};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::machine::Machine;
use toom_core::peer::build_burst;
use toom_core::secure::{OpeningKey, SealingKey};
use toom_core::time::Instant;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Burst, Dropped, Input, Output};
use toom_core::wire::packet::Header;
use toom_store::files::Source;

use super::disk::Disk;
use super::socket::{Received, Socket, canonical};
use super::{Command, Counted};
use crate::clock::Clock;
use crate::mailbox::{Mailbox, poll};

/// Receiving calls before the driver looks at its commands and its timers again.
const RECEIVES_PER_ROUND: usize = 4;

/// How long a stop waits for what the machine still has to say to the other ends.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How late the kernel may wake us, in nanoseconds: far less than the pause between two bursts at full speed.
/// By default it is 50,000.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

/// The owner of the machine.
pub(super) struct Driver<R> {
    machine: Transfers,
    clock: Clock,
    socket: Socket,
    mailbox: Mailbox<Command>,
    disk: Disk,
    counted: Counted,
    on_report: R,
    opening: BTreeMap<PeerIndex, OpeningKey>,
    sealing: BTreeMap<OfferId, SealingKey>,
    /// Transfers whose files are open.
    open: Vec<OfferId>,
    /// What the machine said, and has not been carried out.
    out: Vec<Output>,
    /// The burst at hand, sealed.
    burst: Vec<u8>,
}

impl<R: FnMut(Report)> Driver<R> {
    pub(super) fn new(
        machine: Transfers,
        socket: Socket,
        mailbox: Mailbox<Command>,
        disk: Disk,
        counted: Counted,
        on_report: R,
    ) -> Driver<R> {
        Driver {
            machine,
            clock: Clock::start(),
            socket,
            mailbox,
            disk,
            counted,
            on_report,
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            open: Vec::new(),
            out: Vec::new(),
            burst: Vec::new(),
        }
    }

    /// Runs until it is told to stop; then ends all transfers, and gives the machine a moment to tell the other
    /// ends.
    pub(super) fn run(mut self) {
        // Without it pacing is less even, and all else the same.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
        let mut received = Received::new();
        while !self.round(&mut received, None) {}
        for transfer in self.open.clone() {
            self.handle(Input::Cancel { transfer });
        }
        let give_up = self.clock.now() + STOP_DEADLINE;
        while self.machine.deadline().is_some() && self.clock.now() < give_up {
            self.round(&mut received, Some(give_up));
        }
    }

    /// Waits for something to do, until `give_up` at most, and does a little of everything, so that nothing
    /// that floods keeps the rest waiting; whether the word to stop came.
    fn round(&mut self, received: &mut Received, give_up: Option<Instant>) -> bool {
        let deadline = [self.machine.deadline(), give_up].into_iter().flatten().min();
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.mailbox, PollFlags::IN)];
        poll(&mut fds, self.clock.until(deadline));
        let [has_datagrams, has_commands] = fds.map(|fd| !fd.revents().is_empty());
        let stop = has_commands && self.take_commands();
        if has_datagrams {
            self.receive(received);
        }
        if self.machine.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.handle(Input::Woke);
        }
        stop
    }

    fn take_commands(&mut self) -> bool {
        let (mut commands, mut stop) = (Vec::new(), false);
        self.mailbox.take(&mut commands);
        for command in commands {
            match command {
                Command::Start(start, source) => self.start(start, source),
                Command::Cancel(transfer) => self.handle(Input::Cancel { transfer }),
                Command::Finished(work) => {
                    let input = self.disk.finished(work);
                    input.into_iter().for_each(|input| self.handle(input));
                }
                Command::Stop => stop = true,
            }
        }
        stop
    }

    fn start(&mut self, start: Start, source: Option<Source>) {
        let start = Start { remote: canonical(start.remote), ..start };
        let transfer = start.transfer;
        let failed = self.disk.open(&start, source);
        self.open.push(transfer);
        self.handle(Input::Start(start));
        failed.into_iter().for_each(|failed| self.handle(failed));
        self.counted.update(transfer, self.machine.counters(transfer));
    }

    /// Takes what has arrived, as much as belongs to one round.
    fn receive(&mut self, received: &mut Received) {
        for _ in 0..RECEIVES_PER_ROUND {
            let more = self.socket.receive(received);
            let now = self.clock.now();
            for (from, datagram) in received.datagrams() {
                let Some((header, payload)) = self.unseal(datagram) else { continue };
                self.machine.handle(now, Input::Datagram { from, header, payload }, &mut self.out);
                self.carry_out(payload);
            }
            let written = self.disk.write_gathered();
            written.into_iter().for_each(|written| self.handle(written));
            if !more {
                return;
            }
        }
    }

    /// The header and the opened payload of a datagram of one of our transfers; all else is counted.
    fn unseal<'a>(&self, datagram: &'a mut [u8]) -> Option<(Header, &'a [u8])> {
        let count = |add: fn(&mut Dropped)| self.counted.with(|counts| add(&mut counts.dropped));
        let Ok(header) = Header::decode(datagram) else {
            count(|dropped| dropped.not_ours += 1);
            return None;
        };
        let Some(key) = self.opening.get(&header.index) else {
            count(|dropped| dropped.unknown_index += 1);
            return None;
        };
        let Some(payload) = key.open(header.number, datagram) else {
            count(|dropped| dropped.forged += 1);
            return None;
        };
        Some((header, payload))
    }

    fn handle(&mut self, input: Input<'static>) {
        self.follow([input]);
        self.carry_out(&[]);
    }

    /// Tells the machine what carrying out an output came to; what it says to that comes after what it has
    /// said already.
    fn follow(&mut self, inputs: impl IntoIterator<Item = Input<'static>>) {
        for input in inputs {
            self.machine.handle(self.clock.now(), input, &mut self.out);
        }
    }

    /// Carries out what the machine said about `payload`, and what follows from that.
    fn carry_out(&mut self, payload: &[u8]) {
        while !self.out.is_empty() {
            let mut out = std::mem::take(&mut self.out);
            for output in out.drain(..) {
                self.carry_out_one(output, payload);
            }
            // Goes back for its memory.
            out.append(&mut self.out);
            self.out = out;
        }
    }

    fn carry_out_one(&mut self, output: Output, payload: &[u8]) {
        match output {
            Output::Listen { index, secret, role, transfer } => {
                self.opening.insert(index, OpeningKey::new(&secret, role));
                self.sealing.insert(transfer, SealingKey::new(&secret, role));
            }
            Output::Forget { index, transfer } => {
                self.opening.remove(&index);
                self.sealing.remove(&transfer);
            }
            Output::Read { transfer, offset, length, slot } => {
                let (read, hashed) = self.disk.read(transfer, offset, length, slot);
                self.follow([read].into_iter().chain(hashed));
            }
            Output::Burst(burst) => self.send(&burst),
            Output::Write { transfer, offset, range } => {
                let bytes = payload.get(range).unwrap_or_default();
                let written = self.disk.write(transfer, offset, bytes);
                self.follow(written);
            }
            Output::Verify { transfer } => {
                // All of it must be in the file before it is hashed.
                let written = self.disk.write_gathered();
                let failed = self.disk.verify(transfer);
                self.follow(written.into_iter().chain(failed));
            }
            Output::Publish { transfer } => {
                let failed = self.disk.publish(transfer);
                self.follow(failed);
            }
            Output::Close { transfer } => {
                self.disk.close(transfer);
                self.open.retain(|&open| open != transfer);
                self.counted.ended(transfer);
            }
            Output::Report(report) => {
                self.counted.update(report.transfer, self.machine.counters(report.transfer));
                (self.on_report)(report);
            }
        }
    }

    fn send(&mut self, burst: &Burst) {
        let Some(key) = self.sealing.get(&burst.transfer) else { return };
        self.burst.clear();
        let slot = |slot| self.disk.slot(burst.transfer, slot);
        build_burst(burst.index, &burst.packets, key, slot, &mut self.burst);
        self.socket.send(burst.to, &self.burst, burst.segment_size);
    }
}
