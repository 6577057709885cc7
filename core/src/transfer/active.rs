//! One transfer, from its start to its end.

use std::net::SocketAddr;

use super::io::{Burst, Counters, Output, SLOTS, SlotId};
use super::manifest::FILE;
use super::parts::{PARTS, Part};
use super::progress::{Beside, Count, Meter, Reading};
use super::receiver::{Disagreement, Receiver};
use super::resume::{Have, Resumed, Told};
use super::sender::Sender;
use super::watchdog::{Facts, News, Watchdog};
use crate::client::event::TransferFailure;
use crate::client::io::{Progress, Report, Side, Start};
use crate::client::standing::{Path, PathKind, Waiting};
use crate::config::TransferConfig;
use crate::id::{OfferId, PeerIndex};
use crate::machine::{Usage, earlier};
use crate::peer::{Connection, ConnectionConfig, Event, Handshake, HandshakeSetup, Heard};
use crate::secure::{PublicKey, SecretKey};
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use crate::wire::packet::{HANDSHAKE_TOLD_BYTES, PacketNumber, Role};
use crate::wire::peer_frame::CloseReason;

/// Who this device is.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) secret: SecretKey,
    pub(super) public: PublicKey,
}

/// What a transfer draws from the machine when it begins.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    pub(super) device: &'a Device,
    pub(super) config: TransferConfig,
    /// Two times random bytes, never used twice.
    pub(super) seeds: [[u8; 32]; 2],
}

#[derive(Debug)]
pub(super) struct ActiveTransfer {
    id: OfferId,
    local_index: PeerIndex,
    remote_index: PeerIndex,
    /// Until each end knows that the other one has the keys.
    handshake: Option<Handshake>,
    handshakes_refused: u64,
    connection: Connection,
    work: Work,
    meter: Meter,
    watchdog: Watchdog,
    /// How many reads the disk has done.
    reads: u64,
    /// `Done` or `Failed` was reported: from now on it only takes its leave.
    ended: bool,
    /// `Close` was said.
    closed: bool,
    /// The receiver is done, and the sender knows: late packets are awaited until then.
    leave_at: Option<Instant>,
}

#[derive(Debug)]
enum Work {
    Send(Sender),
    Receive(Receiver),
}

impl ActiveTransfer {
    pub(super) fn new(now: Instant, start: Start, beginning: Beginning<'_>) -> Self {
        let Beginning { device, config: TransferConfig { payload, congestion, limit }, seeds: [seed, handshake_seed] } =
            beginning;
        let config = ConnectionConfig { remote: start.remote, payload, congestion, limit, seed };
        let connection = Connection::new(now, config);
        let (role, work) = match start.side {
            Side::Send { .. } => (Role::Initiator, Work::Send(Sender::new(start.bytes, start.listing))),
            Side::Receive { into, .. } => {
                (Role::Responder, Work::Receive(Receiver::new(start.bytes, start.listing, into)))
            }
        };
        let (id, local_index, remote_index) = (start.transfer, start.local_index, start.remote_index);
        let setup = HandshakeSetup {
            role,
            local: &device.secret,
            public: &device.public,
            agreement: &start.agreement,
            local_index,
            remote_index,
            remote: start.remote,
            seed: handshake_seed,
        };
        ActiveTransfer {
            id,
            local_index,
            remote_index,
            handshake: Some(Handshake::new(now, &setup)),
            handshakes_refused: 0,
            connection,
            work,
            meter: Meter::new(now),
            watchdog: Watchdog::new(now),
            reads: 0,
            ended: false,
            closed: false,
            leave_at: None,
        }
    }

    pub(super) fn local_index(&self) -> PeerIndex {
        self.local_index
    }

    pub(super) fn counters(&self) -> Counters {
        Counters { handshakes_refused: self.handshakes_refused, ..self.connection.counters() }
    }

    /// Whether only `Forget` and, if it was not said, `Close` are left to say.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_over()
    }

    /// Whether its end was reported.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Has its file closed, if it is not; whether what was received of it may be of use later.
    pub(super) fn close_file(&mut self, keep: bool, out: &mut Vec<Output>) {
        if !core::mem::replace(&mut self.closed, true) {
            out.push(Output::Close { transfer: self.id, keep });
        }
    }

    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        self.connection.usage(each);
        if let Work::Send(sender) = &self.work {
            each(Usage::new("slots with bytes that have not left", sender.ready.len(), usize::from(SLOTS)));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let report = earlier(self.meter.deadline(), self.watchdog.deadline()).filter(|_| !self.ended);
        let handshake = self.handshake.as_ref().and_then(Handshake::deadline);
        earlier(earlier(self.connection.deadline(), handshake), earlier(report, self.leave_at))
    }

    /// A handshake datagram, perhaps of the other end.
    pub(super) fn on_handshake(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Vec<Output>) {
        let heard = self.handshake.as_mut().map_or(Heard::Refused, |it| it.receive(now, from, datagram));
        match heard {
            Heard::Refused => self.handshakes_refused += 1,
            Heard::NotReady => {}
            Heard::Repeated => self.connection.answer(now, from),
            Heard::Agreed { keys, round_trip, told } => {
                out.push(Output::Listen { index: self.local_index, transfer: self.id, keys });
                match &mut self.work {
                    // The answer proves both that the other end has the keys and where it is.
                    Work::Send(sender) => {
                        self.connection.begin(now, round_trip);
                        self.handshake = None;
                        if !self.ended {
                            let told = Told::decode(&told.unwrap_or([0; HANDSHAKE_TOLD_BYTES]));
                            sender.on_agreed(now, &mut self.connection, self.id, told, out);
                        }
                    }
                    Work::Receive(_) => self.connection.answer(now, from),
                }
            }
        }
    }

    /// What is there of the file that is to be received.
    pub(super) fn on_prepared(&mut self, have: Have) {
        let Work::Receive(receiver) = &mut self.work else { return };
        if let Some(told) = receiver.on_prepared(&mut self.connection, have)
            && let Some(handshake) = &mut self.handshake
        {
            handshake.tell(told.encode());
        }
    }

    /// The hash of as much of the source as the receiver has.
    pub(super) fn on_compared(&mut self, now: Instant, blake3: [u8; 32], out: &mut Vec<Output>) {
        let Work::Send(sender) = &mut self.work else { return };
        if !self.ended
            && let Some(resumed) = sender.on_compared(now, &mut self.connection, blake3)
        {
            self.on_resumed(now, resumed, out);
        }
    }

    /// What is there of the files that are to be received.
    pub(super) fn on_surveyed(&mut self, now: Instant, parts: Vec<Part>, out: &mut Vec<Output>) {
        let Work::Receive(receiver) = &mut self.work else { return };
        if !self.ended && receiver.on_surveyed(now, &mut self.connection, self.id, parts, out).is_err() {
            self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out);
        }
        // There may be nothing to send.
        self.verify_if_whole(now, out);
    }

    /// Which of the parts that the receiver has are the same here.
    pub(super) fn on_parts_compared(&mut self, now: Instant, same: &[bool], out: &mut Vec<Output>) {
        let Work::Send(sender) = &mut self.work else { return };
        if self.ended {
            return;
        }
        match sender.on_parts_compared(now, &mut self.connection, same) {
            Ok(0) => {}
            Ok(bytes) => self.on_resumed(now, Resumed { bytes, of: bytes }, out),
            Err(Disagreement) => self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out),
        }
    }

    /// A packet of the other end. `events` is empty, and only lent so that it need not be made each time.
    pub(super) fn on_datagram(
        &mut self,
        now: Instant,
        (from, number, ecn): (SocketAddr, PacketNumber, Ecn),
        payload: &[u8],
        events: &mut Vec<Event>,
        out: &mut Vec<Output>,
    ) {
        self.connection.receive(now, from, (number, ecn), payload, events);
        if self.connection.is_proven() {
            self.handshake = None;
        }
        for event in events.drain(..) {
            if !self.ended {
                self.on_event(now, event, payload, out);
            }
        }
        self.resume_if_told(now, out);
        self.negotiate(now, out);
        self.verify_if_whole(now, out);
    }

    fn negotiate(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Work::Send(sender) = &mut self.work else { return };
        if !self.ended && sender.negotiate(now, &mut self.connection, self.id, out).is_err() {
            self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out);
        }
    }

    fn resume_if_told(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Work::Receive(receiver) = &mut self.work else { return };
        match receiver.resumed(now, &mut self.connection, self.id, out) {
            _ if self.ended => {}
            Some(Ok(Resumed { of: 0, .. })) => {}
            Some(Ok(resumed)) => self.on_resumed(now, resumed, out),
            Some(Err(Disagreement)) => self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out),
            None => {}
        }
    }

    fn on_resumed(&mut self, now: Instant, Resumed { bytes, of }: Resumed, out: &mut Vec<Output>) {
        self.meter = Meter::resumed(now, Count { bytes, ..self.count() });
        self.report(Progress::Resumed { bytes, of }, out);
    }

    fn on_event(&mut self, now: Instant, event: Event, payload: &[u8], out: &mut Vec<Output>) {
        match (event, &mut self.work) {
            (Event::Data { flow, offset, range }, Work::Receive(receiver)) => {
                if receiver.on_data(self.id, (flow, offset), range, payload, out).is_err() {
                    self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out);
                }
            }
            (Event::Data { flow: PARTS, offset, range }, Work::Send(sender)) => {
                sender.on_data(offset, payload.get(range).unwrap_or_default());
            }
            (Event::Verified { flow: FILE, blake3 }, Work::Send(sender)) => match sender.blake3() {
                Some(ours) if ours == blake3 => self.finish(now, blake3, out),
                Some(_) => self.fail(now, TransferFailure::Integrity, CloseReason::Integrity, out),
                None => self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out),
            },
            (Event::Closed(reason), _) => {
                let failure = match reason {
                    CloseReason::Cancelled | CloseReason::Leaving => TransferFailure::CancelledByPeer,
                    CloseReason::Integrity => TransferFailure::Integrity,
                    CloseReason::Storage => TransferFailure::PeerStorage,
                    CloseReason::Silent => TransferFailure::PeerSilent,
                    CloseReason::Done | CloseReason::Protocol | CloseReason::Other => TransferFailure::Protocol,
                };
                self.fail(now, failure, reason, out);
            }
            (Event::TimedOut, _) => {
                let heard = self.connection.counters().packets_received > 0;
                let failure = if heard { TransferFailure::PeerSilent } else { TransferFailure::TimedOut };
                self.fail(now, failure, CloseReason::Silent, out);
            }
            (Event::Violation | Event::Data { .. } | Event::Verified { .. }, _) => {
                self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out);
            }
        }
    }

    /// A slot has its bytes.
    pub(super) fn on_read(&mut self, now: Instant, slot: SlotId) {
        if let Work::Send(sender) = &mut self.work {
            self.reads += 1;
            sender.on_read(now, &mut self.connection, slot);
        }
    }

    /// So much of a stream has come.
    pub(super) fn on_available(&mut self, now: Instant, bytes: u64) {
        if let Work::Send(sender) = &mut self.work {
            sender.on_available(now, &mut self.connection, bytes);
        }
    }

    /// The whole source was read once.
    pub(super) fn on_source_hashed(&mut self, now: Instant, blake3: [u8; 32]) {
        if let Work::Send(sender) = &mut self.work {
            sender.on_hashed(now, &mut self.connection, blake3);
        }
    }

    /// Bytes are with the file.
    pub(super) fn on_written(&mut self, now: Instant, bytes: u64, out: &mut Vec<Output>) {
        if let Work::Receive(receiver) = &mut self.work {
            receiver.on_written(now, &mut self.connection, bytes);
            if !self.ended {
                receiver.survey_if_listed(self.id, out);
            }
        }
        self.verify_if_whole(now, out);
    }

    /// The hash of the partial file is known.
    pub(super) fn on_verified(&mut self, now: Instant, blake3: [u8; 32], out: &mut Vec<Output>) {
        let Work::Receive(receiver) = &mut self.work else { return };
        if !self.ended && receiver.on_verified(self.id, blake3, out).is_err() {
            self.fail(now, TransferFailure::Integrity, CloseReason::Integrity, out);
        }
    }

    /// The file has its name.
    pub(super) fn on_published(&mut self, now: Instant, saved_as: String, out: &mut Vec<Output>) {
        if self.ended {
            return;
        }
        let Work::Receive(receiver) = &mut self.work else { return };
        let Some(blake3) = receiver.on_published() else { return };
        self.succeed(now, blake3, Some(saved_as), out);
        // As long as a sender that is away waits for it, or a file that has its name at one end would have failed at the
        // other.
        self.connection.send_verified(now, FILE, blake3);
    }

    /// The file here cannot be used.
    pub(super) fn on_storage_failed(&mut self, now: Instant, reason: String, out: &mut Vec<Output>) {
        let failure = match self.work {
            Work::Send(_) => TransferFailure::Read(reason),
            Work::Receive(_) => TransferFailure::Write(reason),
        };
        self.fail(now, failure, CloseReason::Storage, out);
    }

    /// The person does not want it any more, or not now.
    pub(super) fn on_cancelled(&mut self, now: Instant, keep: bool, out: &mut Vec<Output>) {
        let reason = if keep { CloseReason::Leaving } else { CloseReason::Cancelled };
        self.fail(now, TransferFailure::Cancelled, reason, out);
    }

    /// Does what is due, and sends what may be sent, in at most `bursts` bursts. Answers how many it took.
    pub(super) fn serve(&mut self, now: Instant, bursts: usize, out: &mut Vec<Output>) -> usize {
        match self.connection.expire(now) {
            true if self.ended => self.connection.abandon(),
            true => self.on_event(now, Event::TimedOut, &[], out),
            false => {}
        }
        self.leave_if_told(now);
        let mut taken = 0;
        while taken < bursts
            && let Some((to, datagram)) = self.handshake.as_mut().and_then(|it| it.transmit(now))
        {
            out.push(Output::Handshake { transfer: self.id, to, datagram });
            taken += 1;
        }
        while taken < bursts {
            let mut none = Default::default();
            let ready = match &mut self.work {
                Work::Send(sender) if !self.ended => &mut sender.ready,
                _ => &mut none,
            };
            let Some(flight) = self.connection.transmit(now, ready) else { break };
            out.push(Output::Burst(Burst {
                transfer: self.id,
                to: flight.to,
                index: self.remote_index,
                segment_size: flight.segment_size,
                epoch: flight.epoch,
                ecn_capable: flight.ecn_capable,
                packets: flight.packets,
            }));
            taken += 1;
        }
        if !self.ended {
            self.move_on(now, out);
        }
        taken
    }

    fn verify_if_whole(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Work::Receive(receiver) = &mut self.work else { return };
        if !self.ended && receiver.verify_if_whole(&mut self.connection, self.id, out).is_err() {
            self.fail(now, TransferFailure::Protocol, CloseReason::Protocol, out);
        }
    }

    /// Reads ahead, and tells how far it is, or why it is no further.
    fn move_on(&mut self, now: Instant, out: &mut Vec<Output>) {
        let count = self.count();
        match &mut self.work {
            Work::Send(sender) => {
                sender.read_ahead(&mut self.connection, self.id, out);
                sender.release(&self.connection, self.id, out);
            }
            // What arrived early does not count yet.
            Work::Receive(receiver) if receiver.is_agreeing() => {
                return self.watch(now, Count { bytes: 0, ..count }, out);
            }
            Work::Receive(_) => {}
        }
        if let Some(reading) = self.meter.update(now, count) {
            self.report_moving(reading, out);
        }
        self.watch(now, count, out);
    }

    fn watch(&mut self, now: Instant, count: Count, out: &mut Vec<Output>) {
        let (disk, work) = match &self.work {
            Work::Send(sender) => {
                (sender.is_reading().then_some((Waiting::OwnDisk, self.reads)), sender.waits_for(&self.connection))
            }
            // However much it has done of them: nothing else was to be done meanwhile.
            Work::Receive(receiver) => {
                (receiver.is_writing(&self.connection).then(|| (receiver.taker(), 0)), receiver.waits_for())
            }
        };
        let was_heard = self.connection.counters().packets_received > 0;
        let heard_at = was_heard.then(|| self.connection.heard_at());
        // A listing moves, too.
        let bytes = count.bytes.saturating_add(self.moved().min(self.beside_contents().listing));
        match self.watchdog.update(now, Facts { bytes, heard_at, disk, work }) {
            Some(News::Waits(waiting)) => self.report(Progress::Waiting(waiting), out),
            Some(News::Paused(silent)) => self.report(Progress::Paused { silent }, out),
            Some(News::GoesOn) => {
                // The rate is that from now on.
                self.meter = Meter::resumed(now, count);
                self.report_moving(Reading { bytes: count.bytes, rate_bps: 0, loss_ppm: None }, out);
            }
            None => {}
        }
    }

    /// What has moved, and what was lost of it: of its own packets a sender knows what was lost, and a receiver which
    /// numbers of the other end's are missing.
    fn count(&self) -> Count {
        let counters = self.connection.counters();
        match self.work {
            Work::Send(_) => Count {
                bytes: self.beside_contents().contents(self.moved()),
                packets: counters.packets_sent,
                lost: counters.packets_lost,
            },
            Work::Receive(_) => {
                let arrived = counters.packets_received.saturating_sub(counters.duplicates);
                let packets = if arrived > 0 { counters.largest_received.0 + 1 } else { 0 };
                let bytes = self.beside_contents().contents(self.moved());
                Count { bytes, packets, lost: packets.saturating_sub(arrived) }
            }
        }
    }

    /// How much of the file's flow has moved, whatever it is about.
    fn moved(&self) -> u64 {
        match self.work {
            Work::Send(_) => self.connection.acknowledged(FILE),
            Work::Receive(_) => self.connection.arrived(FILE),
        }
    }

    fn beside_contents(&self) -> Beside {
        match &self.work {
            Work::Send(sender) => sender.beside_contents(),
            Work::Receive(receiver) => receiver.beside_contents(),
        }
    }

    /// A receiver that is done leaves when the sender knows and its late packets are over; the sender's CLOSE
    /// usually comes first.
    fn leave_if_told(&mut self, now: Instant) {
        let done = self.ended && matches!(self.work, Work::Receive(_)) && self.connection.verified_arrived();
        if !done {
            return;
        }
        let leave_at = *self.leave_at.get_or_insert(now + self.connection.settling_time());
        if leave_at <= now {
            self.connection.abandon();
        }
    }

    fn finish(&mut self, now: Instant, blake3: [u8; 32], out: &mut Vec<Output>) {
        self.succeed(now, blake3, None, out);
        self.connection.close(now, CloseReason::Done);
    }

    fn succeed(&mut self, now: Instant, blake3: [u8; 32], saved_as: Option<String>, out: &mut Vec<Output>) {
        self.ended = true;
        let bytes = match &self.work {
            Work::Send(sender) => sender.length(),
            Work::Receive(receiver) => receiver.length(),
        };
        let count = Count { bytes: self.beside_contents().contents(bytes), ..self.count() };
        if let Some(reading) = self.meter.finish(now, count) {
            self.report_moving(reading, out);
        }
        self.report(Progress::Done { blake3, saved_as }, out);
    }

    fn fail(&mut self, now: Instant, failure: TransferFailure, reason: CloseReason, out: &mut Vec<Output>) {
        if !self.ended {
            self.ended = true;
            // What nobody wants, is not what was sent, or has no room is of no use. Whoever hears of the failure and tries
            // again must find the rest, or the space free.
            let is_of_use = !matches!(reason, CloseReason::Cancelled | CloseReason::Integrity);
            let keep = is_of_use && !matches!(failure, TransferFailure::Write(_));
            self.close_file(keep, out);
            // Who asks must be told.
            if let (Work::Receive(receiver), Some(handshake)) = (&mut self.work, &mut self.handshake)
                && let Some(told) = receiver.on_prepared(&mut self.connection, Have::default())
            {
                handshake.tell(told.encode());
            }
            self.report(Progress::Failed(failure), out);
            self.connection.close(now, reason);
        }
    }

    fn report_moving(&self, Reading { bytes, rate_bps, loss_ppm }: Reading, out: &mut Vec<Output>) {
        let kind = PathKind::to(self.connection.remote());
        let path = Path { kind, round_trip: self.connection.round_trip(), loss_ppm };
        self.report(Progress::Moving { bytes, rate_bps, path }, out);
    }

    fn report(&self, progress: Progress, out: &mut Vec<Output>) {
        out.push(Output::Report(Report { transfer: self.id, progress }));
    }
}
