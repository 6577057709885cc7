//! The one task that owns the transfer machine: datagrams, timers and commands in, outputs out.

use std::time::Duration;

use futures_lite::future;
use smol::{Async, Timer};
use toom_core::address::canonical;
use toom_core::client::io::{Report, Start};
use toom_core::machine::Machine;
use toom_core::time::Instant;
use toom_core::transfer::io::{Burst, Input, Output};
use toom_core::transfer::{Keys, Opened, Transfers};
use toom_store::files::{ContentSource, Disk};
use toom_store::system::in_words;
use toom_store::system::udp::{Received, Socket, Way};

use super::socket::send;
use super::{Command, Counted};
use crate::clock::{Alarm, Clock};
use crate::mailbox::Mailbox;

/// Commands carried out before the driver looks at its socket and its timers again.
const COMMANDS_PER_ROUND: usize = 32;

/// How long a stop waits for what the machine still has to say to the other ends.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How long to wait when receiving fails, so that failing does not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// The owner of the machine.
pub(super) struct Driver<R> {
    machine: Transfers,
    clock: Clock,
    alarm: Alarm,
    socket: Async<Socket>,
    mailbox: Mailbox<Command>,
    disk: Disk,
    keys: Keys,
    counted: Counted,
    on_report: R,
    /// What the machine said, and has not been carried out.
    out: Vec<Output>,
    /// The burst at hand, sealed.
    burst: Vec<u8>,
    stopping: bool,
}

impl<R: FnMut(Report)> Driver<R> {
    pub(super) fn new(
        machine: Transfers,
        socket: Async<Socket>,
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
            keys: Keys::default(),
            counted,
            on_report,
            out: Vec::new(),
            burst: Vec::new(),
            stopping: false,
        }
    }

    /// Runs until it is told to stop; then ends all transfers, and gives the machine a moment to tell the other
    /// ends.
    pub(super) async fn run(mut self) {
        let mut received = Received::default();
        while !self.stopping {
            self.round(&mut received, None).await;
        }
        for transfer in self.disk.transfers() {
            self.handle(Input::Cancel { transfer, keep: true }).await;
        }
        let give_up = self.clock.now() + STOP_DEADLINE;
        while self.machine.deadline().is_some() && self.clock.now() < give_up {
            self.round(&mut received, Some(give_up)).await;
        }
    }

    /// Does a little of everything, so that nothing that floods keeps the rest waiting; waits, until `give_up`
    /// at most, only when there was nothing to do.
    async fn round(&mut self, received: &mut Received, give_up: Option<Instant>) {
        let commands = self.take_commands().await;
        let datagrams = self.receive(received).await;
        let due = self.machine.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        if due {
            self.handle(Input::Woke).await;
        }
        if !(commands || datagrams || due) {
            self.wait(give_up).await;
        }
    }

    async fn take_commands(&mut self) -> bool {
        for count in 0..COMMANDS_PER_ROUND {
            match self.mailbox.try_next() {
                Some(command) => self.command(command).await,
                None => return count > 0,
            }
        }
        true
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

    async fn command(&mut self, command: Command) {
        match command {
            Command::Start(start, source) => self.start(start, source).await,
            Command::Cancel(transfer, keep) => self.handle(Input::Cancel { transfer, keep }).await,
            Command::Finished(work) => {
                self.disk.finished(work);
                self.carry_out(&[]).await;
            }
            Command::Stop => self.stopping = true,
        }
    }

    async fn start(&mut self, start: Start, source: Option<ContentSource>) {
        let start = Start { remote: canonical(start.remote), ..start };
        let transfer = start.transfer;
        self.disk.open(&start, source);
        self.handle(Input::Start(start)).await;
        self.counted.with(|counts| counts.update(transfer, self.machine.counters(transfer)));
    }

    /// Takes what has arrived; whether something had.
    async fn receive(&mut self, received: &mut Received) -> bool {
        if let Err(error) = self.socket.get_ref().receive(received) {
            tracing::debug!("receiving failed: {}", in_words(&error));
            Timer::after(PAUSE_AFTER_FAILURE).await;
        }
        let (now, mut some) = (self.clock.now(), false);
        for (from, ecn, datagram) in received.datagrams() {
            some = true;
            match self.keys.open(datagram) {
                Ok(Opened::Packet(header, payload)) => {
                    self.machine.handle(now, Input::Datagram { from, header, payload, ecn }, &mut self.out);
                    self.carry_out(payload).await;
                }
                Ok(Opened::Handshake(datagram)) => {
                    self.machine.handle(now, Input::Handshake { from, datagram }, &mut self.out);
                    self.carry_out(&[]).await;
                }
                Err(why) => self.counted.with(|counts| counts.drop_datagram(why)),
            }
        }
        self.disk.flush();
        self.carry_out(&[]).await;
        some
    }

    async fn handle(&mut self, input: Input<'static>) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out(&[]).await;
    }

    /// Carries out what the machine said about `payload`, and what follows from that: little, since a path takes
    /// only so much at once.
    async fn carry_out(&mut self, payload: &[u8]) {
        loop {
            let mut out = std::mem::take(&mut self.out);
            for output in out.drain(..) {
                self.carry_out_one(output, payload).await;
            }
            // Goes back for its memory.
            self.out = out;
            let Some(input) = self.disk.next_input() else { return };
            self.machine.handle(self.clock.now(), input, &mut self.out);
        }
    }

    async fn carry_out_one(&mut self, output: Output, payload: &[u8]) {
        match output {
            Output::Handshake { to, datagram, .. } => {
                let way = Way { to, segment_size: datagram.len(), ecn_capable: false };
                send(&self.socket, way, &datagram).await;
            }
            Output::Listen { index, transfer, keys } => self.keys.listen(index, transfer, &keys),
            Output::Forget { index, transfer } => self.keys.forget(index, transfer),
            Output::Compare { transfer, bytes } => self.disk.compare(transfer, bytes),
            Output::Restart { transfer } => self.disk.restart(transfer),
            Output::Survey { transfer } => self.disk.survey(transfer),
            Output::CompareParts { transfer, parts } => self.disk.compare_parts(transfer, parts),
            Output::LeaveOut { transfer, same } => self.disk.leave_out(transfer, &same),
            Output::Release { transfer, offset } => self.disk.release(transfer, offset),
            Output::Read { transfer, offset, length, slot } => self.disk.read(transfer, offset, length, slot),
            Output::Burst(burst) => self.send(&burst).await,
            Output::Write { transfer, offset, range } => {
                self.disk.write(transfer, offset, payload.get(range).unwrap_or_default());
            }
            Output::Verify { transfer } => self.disk.verify(transfer),
            Output::Publish { transfer } => self.disk.publish(transfer),
            Output::Close { transfer, keep } => {
                self.disk.close(transfer, keep);
                self.counted.with(|counts| counts.ended(transfer));
            }
            Output::Report(report) => {
                let counters = self.machine.counters(report.transfer);
                self.counted.with(|counts| counts.update(report.transfer, counters));
                (self.on_report)(report);
            }
        }
    }

    async fn send(&mut self, burst: &Burst) {
        self.keys.seal(burst, |slot| self.disk.slot(burst.transfer, slot), &mut self.burst);
        let Burst { to, segment_size, ecn_capable, .. } = *burst;
        send(&self.socket, Way { to, segment_size, ecn_capable }, &self.burst).await;
    }
}
