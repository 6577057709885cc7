//! The one thread that owns the transfer machine: datagrams, commands and time in, outputs out.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use toom_core::client::io::{Progress, Report, Side, Start};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::machine::Machine;
use toom_core::peer::build_burst;
use toom_core::secure::{OpeningKey, SealingKey};
use toom_core::time::Instant;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Burst, Dropped, Input, Output};
use toom_core::wire::packet::Header;
use toom_store::files::Source;

use super::Counted;
use super::disk::{Disk, Finished, Outcome};
use super::socket::{Received, Socket, canonical};
use crate::clock::Clock;
use crate::mailbox::{Mailbox, poll};

/// Receiving calls before the driver looks at its mailbox and its timers again.
const RECEIVES_PER_TURN: usize = 4;

/// How much is gathered before it is written to a file: what a few receiving buffers hold.
const WRITE_BYTES: usize = 256 * 1024;

/// How long a stop waits for what the machine still has to say to the other ends.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How late the kernel may wake us, in nanoseconds: far less than the pause between two bursts at full speed.
/// By default it is 50,000.
const TIMER_SLACK_NANOS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// Start a transfer, with the file to be sent if it is a sending one.
    Start(Start, Option<Source>),
    /// End a transfer.
    Cancel(OfferId),
    /// Slow work on a file is done.
    Finished(Finished),
    /// End.
    Stop,
}

/// The owner of the machine.
pub(super) struct Driver<R> {
    machine: Transfers,
    clock: Clock,
    socket: Socket,
    mailbox: Mailbox<Mail>,
    disk: Disk,
    opening: BTreeMap<PeerIndex, OpeningKey>,
    sealing: BTreeMap<OfferId, SealingKey>,
    /// Transfers that have been started and have not ended.
    under_way: Vec<OfferId>,
    /// What arrived and belongs together in a file, to be written with one call.
    gathered: Gathered,
    /// Where bursts are built.
    burst: Vec<u8>,
    out: Vec<Output>,
    counted: Arc<Counted>,
    on_report: R,
}

/// Neighbouring ranges of one file.
#[derive(Default)]
struct Gathered {
    transfer: OfferId,
    offset: u64,
    bytes: Vec<u8>,
}

impl<R: FnMut(Report)> Driver<R> {
    pub(super) fn new(
        machine: Transfers,
        clock: Clock,
        socket: Socket,
        mailbox: Mailbox<Mail>,
        disk: Disk,
        counted: Arc<Counted>,
        on_report: R,
    ) -> Driver<R> {
        Driver {
            machine,
            clock,
            socket,
            mailbox,
            disk,
            opening: BTreeMap::new(),
            sealing: BTreeMap::new(),
            under_way: Vec::new(),
            gathered: Gathered::default(),
            burst: Vec::new(),
            out: Vec::new(),
            counted,
            on_report,
        }
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        // Without it pacing is less even, and all else the same.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NANOS));
        let mut received = Received::new();
        let mut give_up = None;
        loop {
            let is_quiet = self.machine.deadline().is_none();
            if give_up.is_some_and(|give_up| is_quiet || give_up <= self.clock.now()) {
                return;
            }
            let stop = self.turn(&mut received, give_up);
            if stop && give_up.is_none() {
                give_up = Some(self.clock.now() + STOP_DEADLINE);
                for transfer in std::mem::take(&mut self.under_way) {
                    self.handle(Input::Cancel { transfer });
                }
            }
        }
    }

    /// Waits for something to do until `give_up`, and does some of each; whether the word to stop came.
    fn turn(&mut self, received: &mut Received, give_up: Option<Instant>) -> bool {
        let deadline = [self.machine.deadline(), give_up].into_iter().flatten().min();
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.mailbox, PollFlags::IN)];
        poll(&mut fds, self.clock.until(deadline));
        let [has_datagrams, has_mail] = fds.map(|fd| !fd.revents().is_empty());

        let mut stop = false;
        if has_mail {
            let mut mail = Vec::new();
            self.mailbox.take(&mut mail);
            for mail in mail {
                match mail {
                    Mail::Start(start, source) => self.start(start, source),
                    Mail::Cancel(transfer) => self.handle(Input::Cancel { transfer }),
                    Mail::Finished(finished) => self.finished(finished),
                    Mail::Stop => stop = true,
                }
            }
        }
        if has_datagrams {
            self.receive(received);
        }
        if self.machine.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.handle(Input::Woke);
        }
        stop
    }

    fn start(&mut self, start: Start, source: Option<Source>) {
        let start = Start { remote: canonical(start.remote), ..start };
        let transfer = start.transfer;
        let opened = match (&start.side, source) {
            (Side::Send { .. }, Some(source)) => {
                self.disk.send(transfer, source);
                Ok(())
            }
            (Side::Send { .. }, None) => Err("the file is not open".to_owned()),
            (Side::Receive { from, label }, _) => self.disk.receive(transfer, from, label, start.bytes),
        };
        self.under_way.push(transfer);
        self.handle(Input::Start(start));
        if let Err(reason) = opened {
            self.handle(Input::StorageFailed { transfer, reason });
        }
    }

    fn receive(&mut self, received: &mut Received) {
        for _ in 0..RECEIVES_PER_TURN {
            let more = self.socket.receive(received);
            let now = self.clock.now();
            for (from, datagram) in received.datagrams() {
                let Some((header, payload)) = self.open(datagram) else { continue };
                self.machine.handle(now, Input::Datagram { from, header, payload }, &mut self.out);
                self.carry_out(payload);
            }
            self.write_gathered();
            self.carry_out(&[]);
            if !more {
                return;
            }
        }
    }

    /// The header and the opened payload of a datagram for one of our transfers; anything else is counted.
    fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<(Header, &'a [u8])> {
        let count = |add: fn(&mut Dropped)| add(&mut self.counted.dropped());
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

    fn finished(&mut self, mut finished: Finished) {
        self.disk.take_back(&mut finished);
        let transfer = finished.transfer;
        self.handle(match finished.result {
            Ok(Outcome::Hashed(blake3)) => Input::Verified { transfer, blake3 },
            Ok(Outcome::Published(saved_as)) => Input::Published { transfer, saved_as },
            Err(reason) => Input::StorageFailed { transfer, reason },
        });
    }

    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out(&[]);
    }

    /// Carries out what the machine said, and what follows from that; `payload` is the one of the datagram at
    /// hand.
    fn carry_out(&mut self, payload: &[u8]) {
        while !self.out.is_empty() {
            let mut out = std::mem::take(&mut self.out);
            for output in out.drain(..) {
                match output {
                    Output::Listen { index, secret, role, transfer } => {
                        self.opening.insert(index, OpeningKey::new(&secret, role));
                        self.sealing.insert(transfer, SealingKey::new(&secret, role));
                    }
                    Output::Forget { index, transfer } => {
                        self.opening.remove(&index);
                        self.sealing.remove(&transfer);
                        self.keep_counters(transfer);
                    }
                    Output::Read { transfer, offset, length, slot } => {
                        match self.disk.read(transfer, offset, length, slot) {
                            Ok(hash) => {
                                self.follow(Input::Read { transfer, slot });
                                if let Some(blake3) = hash {
                                    self.follow(Input::SourceHashed { transfer, blake3 });
                                }
                            }
                            Err(reason) => self.follow(Input::StorageFailed { transfer, reason }),
                        }
                    }
                    Output::Burst(burst) => self.send(&burst),
                    Output::Write { transfer, offset, range } => {
                        let bytes = payload.get(range).unwrap_or_default();
                        self.gather(transfer, offset, bytes);
                    }
                    Output::Verify { transfer } => {
                        let begun = self.disk.verify(transfer);
                        self.unless_failed(transfer, begun);
                    }
                    Output::Publish { transfer } => {
                        let begun = self.disk.publish(transfer);
                        self.unless_failed(transfer, begun);
                    }
                    Output::Close { transfer } => {
                        if self.gathered.transfer == transfer {
                            self.gathered.bytes.clear();
                        }
                        self.disk.close(transfer);
                    }
                    Output::Report(report) => self.report(report),
                }
            }
            // What followed is behind what was there; the empty list goes back for its memory.
            out.append(&mut self.out);
            self.out = out;
        }
    }

    fn follow(&mut self, input: Input<'_>) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
    }

    fn unless_failed(&mut self, transfer: OfferId, result: Result<(), String>) {
        if let Err(reason) = result {
            self.follow(Input::StorageFailed { transfer, reason });
        }
    }

    fn send(&mut self, burst: &Burst) {
        let Some(key) = self.sealing.get(&burst.transfer) else { return };
        self.burst.clear();
        let slot = |slot| self.disk.slot(burst.transfer, slot);
        build_burst(burst.index, &burst.packets, key, slot, &mut self.burst);
        self.socket.send(burst.to, &self.burst, burst.segment_size);
    }

    /// Adds to what is gathered, which is written first if this does not belong behind it.
    fn gather(&mut self, transfer: OfferId, offset: u64, bytes: &[u8]) {
        let gathered = &self.gathered;
        let follows = gathered.transfer == transfer && gathered.offset + gathered.bytes.len() as u64 == offset;
        if !follows || gathered.bytes.len() + bytes.len() > WRITE_BYTES {
            self.write_gathered();
            self.gathered.transfer = transfer;
            self.gathered.offset = offset;
        }
        self.gathered.bytes.extend_from_slice(bytes);
    }

    fn write_gathered(&mut self) {
        if self.gathered.bytes.is_empty() {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let (transfer, bytes) = (gathered.transfer, gathered.bytes.len() as u64);
        let input = match self.disk.write(transfer, gathered.offset, &gathered.bytes) {
            Ok(()) => Input::Written { transfer, bytes },
            Err(reason) => Input::StorageFailed { transfer, reason },
        };
        gathered.bytes.clear();
        self.gathered.bytes = gathered.bytes;
        self.follow(input);
    }

    fn report(&mut self, report: Report) {
        if matches!(report.progress, Progress::Done { .. } | Progress::Failed(_)) {
            self.under_way.retain(|transfer| *transfer != report.transfer);
        }
        self.keep_counters(report.transfer);
        (self.on_report)(report);
    }

    fn keep_counters(&self, transfer: OfferId) {
        if let Some(counters) = self.machine.counters(transfer) {
            self.counted.keep(transfer, counters);
        }
    }
}
