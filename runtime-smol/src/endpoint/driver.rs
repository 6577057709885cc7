//! The one task that owns the transfer machine: datagrams, timers and commands in, outputs out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_lite::future;
use smol::Timer;
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
use crate::clock::{Alarm, Clock};
use crate::in_words;
use crate::mailbox::Mailbox;

/// Commands carried out before looking at the socket again.
const MAX_COMMANDS_AT_ONCE: usize = 32;
/// How long a stop waits for what the machine still has to say to the other ends.
const STOP_DEADLINE: Duration = Duration::from_secs(1);
/// How long to wait when receiving fails, so that failing does not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// The owner of the machine.
pub(super) struct Driver<R> {
    machine: Transfers,
    clock: Clock,
    alarm: Alarm,
    socket: Socket,
    mailbox: Mailbox<Command>,
    disk: Disk,
    counted: Counted,
    on_report: R,
    opening: BTreeMap<PeerIndex, OpeningKey>,
    sealing: BTreeMap<OfferId, SealingKey>,
    /// Transfers whose files are open.
    open: Vec<OfferId>,
    /// What carrying out outputs came to, and the machine has not heard yet.
    followed: VecDeque<Input<'static>>,
    /// What the machine said, while it is carried out.
    out: Vec<Output>,
    /// The burst at hand, sealed.
    burst: Vec<u8>,
    received: Received,
    stopping: bool,
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
        let clock = Clock::start();
        Driver {
            machine,
            clock,
            alarm: Alarm::new(clock),
            socket,
            mailbox,
            disk,
            counted,
            on_report,
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            open: Vec::new(),
            followed: VecDeque::new(),
            out: Vec::new(),
            burst: Vec::new(),
            received: Received::new(),
            stopping: false,
        }
    }

    /// Runs until it is told to stop; then ends all transfers, and gives the machine a moment to tell the other
    /// ends.
    pub(super) async fn run(mut self) {
        while !self.stopping {
            self.round(None).await;
        }
        for transfer in self.open.clone() {
            self.handle(Input::Cancel { transfer }).await;
        }
        let give_up = self.clock.now() + STOP_DEADLINE;
        while self.machine.deadline().is_some() && self.clock.now() < give_up {
            self.round(Some(give_up)).await;
        }
    }

    /// Does a little of everything, so that nothing that floods keeps the rest waiting; waits, until `give_up`
    /// at most, only when there was nothing to do.
    async fn round(&mut self, give_up: Option<Instant>) {
        let commands = self.take_commands().await;
        let datagrams = self.receive().await;
        let followed = self.follow_up().await;
        let woke = self.wake().await;
        if !(commands || datagrams || followed || woke) {
            self.wait(give_up).await;
        }
    }

    async fn take_commands(&mut self) -> bool {
        for count in 0..MAX_COMMANDS_AT_ONCE {
            match self.mailbox.try_next() {
                Some(command) => self.command(command).await,
                None => return count > 0,
            }
        }
        true
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Start(start, source) => self.start(start, source).await,
            Command::Cancel(transfer) => self.handle(Input::Cancel { transfer }).await,
            Command::Finished(work) => self.followed.extend(self.disk.finished(work)),
            Command::Stop => self.stopping = true,
        }
    }

    async fn start(&mut self, start: Start, source: Option<Source>) {
        let start = Start { remote: canonical(start.remote), ..start };
        let transfer = start.transfer;
        let failed = self.disk.open(&start, source);
        self.open.push(transfer);
        self.handle(Input::Start(start)).await;
        self.followed.extend(failed);
        self.counted.update(transfer, self.machine.counters(transfer));
    }

    /// Takes what has arrived; whether something had.
    async fn receive(&mut self) -> bool {
        let mut received = std::mem::take(&mut self.received);
        if let Err(error) = self.socket.receive(&mut received) {
            tracing::debug!("receiving failed: {}", in_words(&error));
            Timer::after(PAUSE_AFTER_FAILURE).await;
        }
        let mut some = false;
        let now = self.clock.now();
        for (from, datagram) in received.datagrams() {
            some = true;
            let Some((header, payload)) = self.unseal(datagram) else { continue };
            self.machine.handle(now, Input::Datagram { from, header, payload }, &mut self.out);
            self.carry_out(payload).await;
        }
        self.received = received;
        self.followed.extend(self.disk.write_gathered());
        some
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

    /// Tells the machine what carrying out its outputs came to; what follows from that waits for the next
    /// round.
    async fn follow_up(&mut self) -> bool {
        let count = self.followed.len();
        for _ in 0..count {
            if let Some(input) = self.followed.pop_front() {
                self.handle(input).await;
            }
        }
        count > 0
    }

    async fn wake(&mut self) -> bool {
        let due = self.machine.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        if due {
            self.handle(Input::Woke).await;
        }
        due
    }

    /// Waits for a datagram, a command or the deadline.
    async fn wait(&mut self, give_up: Option<Instant>) {
        let deadline = [self.machine.deadline(), give_up].into_iter().flatten().min();
        let readable = async { drop(self.socket.readable().await) };
        let command = async { Some(self.mailbox.next().await.unwrap_or(Command::Stop)) };
        let passed = async {
            future::or(readable, self.alarm.passed(deadline)).await;
            None
        };
        if let Some(command) = future::or(command, passed).await {
            self.command(command).await;
        }
    }

    async fn handle(&mut self, input: Input<'static>) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out(&[]).await;
    }

    /// Carries out what the machine said about `payload`.
    async fn carry_out(&mut self, payload: &[u8]) {
        let mut out = std::mem::take(&mut self.out);
        for output in out.drain(..) {
            self.carry_out_one(output, payload).await;
        }
        self.out = out;
    }

    async fn carry_out_one(&mut self, output: Output, payload: &[u8]) {
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
                self.followed.push_back(read);
                self.followed.extend(hashed);
            }
            Output::Burst(burst) => self.send(&burst).await,
            Output::Write { transfer, offset, range } => {
                let bytes = payload.get(range).unwrap_or_default();
                self.followed.extend(self.disk.write(transfer, offset, bytes));
            }
            Output::Verify { transfer } => {
                // All of it must be in the file before it is hashed.
                self.followed.extend(self.disk.write_gathered());
                self.followed.extend(self.disk.verify(transfer));
            }
            Output::Publish { transfer } => self.followed.extend(self.disk.publish(transfer)),
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

    async fn send(&mut self, burst: &Burst) {
        let Some(key) = self.sealing.get(&burst.transfer) else { return };
        self.burst.clear();
        let slot = |slot| self.disk.slot(burst.transfer, slot);
        build_burst(burst.index, &burst.packets, key, slot, &mut self.burst);
        self.socket.send(burst.to, &self.burst, burst.segment_size).await;
    }
}
