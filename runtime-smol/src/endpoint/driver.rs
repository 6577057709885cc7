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
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Burst, Dropped, Input, Output};
use toom_core::wire::packet::Header;
use toom_store::files::Source;

use super::disk::Disk;
use super::socket::{Received, Socket};
use super::{Command, Counted};
use crate::clock::{Alarm, Clock};
use crate::in_words;
use crate::mailbox::Mailbox;

/// Commands carried out before looking at the socket again.
const MAX_COMMANDS_AT_ONCE: usize = 32;
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
    dropped: Dropped,
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
            dropped: Dropped::default(),
            stopping: false,
        }
    }

    /// Runs until it is told to stop. Each round does a little of everything, so that nothing that floods
    /// keeps the rest waiting; it waits only when there was nothing to do.
    pub(super) async fn run(mut self) {
        while !self.stopping {
            let commands = self.take_commands().await;
            let datagrams = self.receive().await;
            let followed = self.follow_up().await;
            let woke = self.wake().await;
            if !(commands || datagrams || followed || woke) {
                self.wait().await;
            }
        }
        for transfer in self.open.clone() {
            self.handle(Input::Cancel { transfer }).await;
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
        let transfer = start.transfer;
        let failed = self.disk.open(&start, source);
        self.open.push(transfer);
        self.handle(Input::Start(start)).await;
        self.followed.extend(failed);
        self.counted.update(transfer, self.machine.counters(transfer));
    }

    /// Takes what has arrived; whether something had.
    async fn receive(&mut self) -> bool {
        let filled = match self.socket.receive() {
            Ok(filled) => filled,
            Err(error) => {
                tracing::debug!("receiving failed: {}", in_words(&error));
                Timer::after(PAUSE_AFTER_FAILURE).await;
                0
            }
        };
        for place in 0..filled {
            let mut received = self.socket.take(place);
            self.received(&mut received).await;
            self.socket.put_back(received);
        }
        filled > 0
    }

    async fn received(&mut self, received: &mut Received) {
        let from = received.from;
        for datagram in received.datagrams() {
            let header = match Header::decode(datagram) {
                Ok(header) => header,
                Err(_) => {
                    self.dropped.not_ours += 1;
                    continue;
                }
            };
            let Some(key) = self.opening.get(&header.index) else {
                self.dropped.unknown_index += 1;
                continue;
            };
            let Some(payload) = key.open(header.number, datagram) else {
                self.dropped.forged += 1;
                continue;
            };
            let payload = &*payload;
            self.machine.handle(self.clock.now(), Input::Datagram { from, header, payload }, &mut self.out);
            self.carry_out(payload).await;
        }
        self.followed.extend(self.disk.write_gathered());
        self.counted.with(|counts| counts.dropped = self.dropped);
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
    async fn wait(&mut self) {
        let readable = async { drop(self.socket.readable().await) };
        let command = async { Some(self.mailbox.next().await.unwrap_or(Command::Stop)) };
        let passed = async {
            future::or(readable, self.alarm.passed(self.machine.deadline())).await;
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
        if let Err(error) = self.socket.send(burst, &self.burst).await {
            // As good as lost on the way: the machine finds out, and slows down.
            tracing::debug!("sending to {} failed: {}", burst.to, in_words(&error));
        }
    }
}
