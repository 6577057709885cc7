//! The one thread that owns the transfer machine: datagrams, timers and commands in, outputs out.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
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
use crate::clock::Clock;
use crate::mailbox::{Mailbox, poll};

/// Receiving calls before the driver looks at its commands and its timers again.
const RECEIVES_PER_ROUND: usize = 4;

/// How long a stop waits for what the machine still has to say to the other ends.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How long to wait when receiving fails, so that failing does not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

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
    pub(super) fn run(mut self) {
        // Without it pacing is less even, and all else the same.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
        let mut received = Received::default();
        while !self.stopping {
            self.round(&mut received, None);
        }
        for transfer in self.disk.transfers() {
            self.handle(Input::Cancel { transfer, keep: true });
        }
        let give_up = self.clock.now() + STOP_DEADLINE;
        while self.machine.deadline().is_some() && self.clock.now() < give_up {
            self.round(&mut received, Some(give_up));
        }
    }

    /// Waits for something to do, until `give_up` at most, and does a little of everything, so that nothing
    /// that floods keeps the rest waiting.
    fn round(&mut self, received: &mut Received, give_up: Option<Instant>) {
        let deadline = [self.machine.deadline(), give_up].into_iter().flatten().min();
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.mailbox, PollFlags::IN)];
        poll(&mut fds, self.clock.until(deadline));
        let [has_datagrams, has_commands] = fds.map(|fd| !fd.revents().is_empty());
        if has_commands {
            self.take_commands();
        }
        if has_datagrams {
            self.receive(received);
        }
        if self.machine.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.handle(Input::Woke);
        }
    }

    fn take_commands(&mut self) {
        let mut commands = Vec::new();
        self.mailbox.take(&mut commands);
        commands.into_iter().for_each(|command| self.command(command));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Start(start, source) => self.start(start, source),
            Command::Cancel(transfer, keep) => self.handle(Input::Cancel { transfer, keep }),
            Command::Finished(work) => {
                self.disk.finished(work);
                self.carry_out(&[]);
            }
            Command::Stop => self.stopping = true,
        }
    }

    fn start(&mut self, start: Start, source: Option<ContentSource>) {
        let start = Start { remote: canonical(start.remote), ..start };
        let transfer = start.transfer;
        self.disk.open(&start, source);
        self.handle(Input::Start(start));
        self.counted.with(|counts| counts.update(transfer, self.machine.counters(transfer)));
    }

    /// Takes what has arrived, as much as belongs to one round.
    fn receive(&mut self, received: &mut Received) {
        for _ in 0..RECEIVES_PER_ROUND {
            let more = self.socket.receive(received).unwrap_or_else(|error| {
                tracing::debug!("receiving failed: {}", in_words(&error));
                std::thread::sleep(PAUSE_AFTER_FAILURE);
                false
            });
            let now = self.clock.now();
            for (from, ecn, datagram) in received.datagrams() {
                match self.keys.open(datagram) {
                    Ok(Opened::Packet(header, payload)) => {
                        self.machine.handle(now, Input::Datagram { from, header, payload, ecn }, &mut self.out);
                        self.carry_out(payload);
                    }
                    Ok(Opened::Handshake(datagram)) => {
                        self.machine.handle(now, Input::Handshake { from, datagram }, &mut self.out);
                        self.carry_out(&[]);
                    }
                    Err(why) => self.counted.with(|counts| counts.drop_datagram(why)),
                }
            }
            self.disk.flush();
            self.carry_out(&[]);
            if !more {
                return;
            }
        }
    }

    fn handle(&mut self, input: Input<'static>) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out(&[]);
    }

    /// Carries out what the machine said about `payload`, and what follows from that: little, since a path takes
    /// only so much at once.
    fn carry_out(&mut self, payload: &[u8]) {
        loop {
            let mut out = std::mem::take(&mut self.out);
            for output in out.drain(..) {
                self.carry_out_one(output, payload);
            }
            // Goes back for its memory.
            self.out = out;
            let Some(input) = self.disk.next_input() else { return };
            self.machine.handle(self.clock.now(), input, &mut self.out);
        }
    }

    fn carry_out_one(&mut self, output: Output, payload: &[u8]) {
        match output {
            Output::Handshake { to, datagram, .. } => {
                let way = Way { to, segment_size: datagram.len(), ecn_capable: false };
                send(&self.socket, way, &datagram);
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
            Output::Burst(burst) => self.send(&burst),
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

    fn send(&mut self, burst: &Burst) {
        self.keys.seal(burst, |slot| self.disk.slot(burst.transfer, slot), &mut self.burst);
        let Burst { to, segment_size, ecn_capable, .. } = *burst;
        send(&self.socket, Way { to, segment_size, ecn_capable }, &self.burst);
    }
}
