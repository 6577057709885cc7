//! One connection: its state, its timers, and what its owner can ask and tell.

mod receive;
mod recovery;
#[cfg(test)]
mod tests;
mod transmit;

use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::build::Packet;
use super::controller::{self, Controller};
use super::delivery::Delivery;
use super::ecn::Marking;
use super::epoch::SendingEpoch;
use super::limit::Limit;
use super::mtu::PathMtu;
use super::pacer::Pacer;
use super::path::Path;
use super::receive_flow::ReceiveFlow;
use super::received::Received;
use super::reordering::Reordering;
use super::rtt::Rtt;
use super::send_flow::SendFlow;
use super::sent::{Sent, SentPackets};
use super::{MAX_BURST_BYTES, MAX_BURST_PACKETS};
use crate::config::Congestion;
use crate::machine::{Usage, earlier};
use crate::time::Instant;
use crate::transfer::io::{Counters, SLOT_BYTES, SlotId};
use crate::wire::ecn::EcnCounts;
use crate::wire::packet::PACKET_OVERHEAD;
use crate::wire::peer_frame::{CloseReason, FlowId, stream_header_bytes};

/// A connection of which no packet ever arrived ends after so long: something is in the way, and waiting does not help.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection that has worked waits for an other end that is not heard any more: a computer that sleeps, or
/// a path that is gone, may come back. Keys and files are kept so long, and a packet is sent every few seconds.
pub const MAX_PAUSE: Duration = Duration::from_secs(3_600);

/// After so long without a packet that must be acknowledged, one is sent, if none is outstanding: so that a disk that is
/// slow, or a file that takes a minute to hash, is not taken for a computer that sleeps, and one that does is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How long a connection that was closed here answers late packets, unless it hears that the other end knows: that one may
/// have missed every CLOSE, and asks less and less often. Three probe timeouts are the least (RFC 9000, section 10.2).
const LINGER: Duration = Duration::from_secs(3);

/// And the most, however slow the path is.
const MAX_LINGER: Duration = Duration::from_secs(15);

/// What is closed here while the other end is not heard, it must learn when it is back: for so long its probes are
/// answered, unless it hears of the end in another way.
const MAX_FAREWELL: Duration = MAX_PAUSE;

/// The other end counts as being away when nothing was heard of it for so long: more than the time between two
/// keep-alives (2 s) and a few probes take.
pub const AWAY_AFTER: Duration = Duration::from_secs(5);

/// How long those are answered that are back: a few of their probes.
const FAREWELL_AFTER_RETURN: Duration = Duration::from_secs(15);

/// How often a CLOSE is said without being asked: it is not acknowledged.
const CLOSE_COPIES: u32 = 3;

/// With what a connection begins.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionConfig {
    /// Where the other end is expected.
    pub remote: SocketAddr,
    /// The size of UDP payloads, header and tag included; without it, path MTU discovery decides.
    pub payload: Option<usize>,
    /// Which congestion control.
    pub congestion: Congestion,
    /// At most so many bytes a second leave.
    pub limit: Option<u64>,
    /// Random bytes, never used twice.
    pub seed: [u8; 32],
}

/// What a connection tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// New bytes of a flow.
    Data {
        /// Which flow.
        flow: FlowId,
        /// Where in the flow.
        offset: u64,
        /// Where in the payload.
        range: Range<usize>,
    },
    /// The other end has verified a flow of ours.
    Verified {
        /// Which flow.
        flow: FlowId,
        /// Of all its bytes.
        blake3: [u8; 32],
    },
    /// The other end has closed the connection, which is over.
    Closed(CloseReason),
    /// The other end broke the protocol; the owner should close.
    Violation,
    /// Nothing was heard for too long; the owner should close.
    TimedOut,
}

/// Bytes of a flow that are in a slot, ready to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which flow.
    pub flow: FlowId,
    /// Where in the flow.
    pub offset: u64,
    /// Which slot.
    pub slot: SlotId,
    /// Where in the slot.
    pub start: usize,
    /// How many.
    pub length: usize,
}

/// Packets that leave together; all of one size, but the last may be shorter.
#[derive(Debug, PartialEq, Eq)]
pub struct Flight {
    /// Where to.
    pub to: SocketAddr,
    /// The size of all but the last.
    pub segment_size: usize,
    /// Which key seals them, from 0.
    pub epoch: u32,
    /// Whether the network may mark them (ECT(0), RFC 3168).
    pub ecn_capable: bool,
    /// At most [`MAX_BURST_PACKETS`], with at most [`MAX_BURST_BYTES`].
    pub packets: Vec<Packet>,
}

/// One end of a connection. [`super`] has the theory.
#[derive(Debug)]
pub struct Connection {
    /// The size of packets, if it was given.
    payload: Option<usize>,
    congestion: Congestion,
    mtu: PathMtu,
    random: ChaCha12Rng,
    state: State,
    /// Set once there are keys.
    epoch: Option<SendingEpoch>,
    path: Path,
    received: Received,
    sent: SentPackets,
    reordering: Reordering,
    /// Packets of the acknowledgement at hand; empty between calls.
    arrived: Vec<(u64, Sent)>,
    rtt: Rtt,
    controller: Box<dyn Controller>,
    delivery: Delivery,
    pacer: Pacer,
    marking: Marking,
    limit: Option<Limit>,
    sending: BTreeMap<FlowId, SendFlow>,
    receiving: BTreeMap<FlowId, ReceiveFlow>,
    due: Due,
    timers: Timers,
    counters: Counters,
}

#[derive(Debug)]
enum State {
    Open,
    /// Closed here; CLOSE is repeated and late packets are answered.
    Closing {
        reason: CloseReason,
        until: Instant,
        copies: u32,
        next_copy: Instant,
    },
    /// The other end has closed. One CLOSE tells it that it need not say so again (RFC 9000, section 10.2.2).
    Draining {
        reason: CloseReason,
        since: Instant,
    },
    Over,
}

/// Frames to be sent as soon as possible, other than acknowledgements and news of flows.
#[derive(Debug, Default)]
struct Due {
    ping: bool,
    response: Option<[u8; 8]>,
    verified: bool,
    /// What VERIFIED says, once it is known.
    verdict: Option<(FlowId, [u8; 32])>,
    /// The other end has acknowledged VERIFIED.
    verified_arrived: bool,
}

#[derive(Debug)]
struct Timers {
    /// Something may be possible now that was not before.
    wake: Option<Instant>,
    /// When the only answer to a handshake left: the first packet tells the round-trip time.
    answered_at: Option<Instant>,
    heard_at: Instant,
    /// When the last packet was sent that must be acknowledged.
    elicited_at: Instant,
    /// When the earliest outstanding packet is lost by time.
    lost_at: Option<Instant>,
    /// When the last probe timeout was over; the next one counts from there.
    probed_at: Instant,
    /// Consecutive probe timeouts.
    probes_in_a_row: u32,
    /// Data packets that may be sent although the window is full (RFC 9002, section 7.5).
    probe_packets: u32,
    /// Data is waiting, and the pacer lets it leave then.
    paced_until: Option<Instant>,
    /// Whether the window or the pacer was what ended the last burst.
    window_limited: bool,
    /// Acknowledgements since something was sent that is acknowledged itself.
    acks_in_a_row: u32,
}

impl Connection {
    /// An end that has no keys yet, and so neither sends nor hears anything.
    pub fn new(now: Instant, config: ConnectionConfig) -> Self {
        let mtu = PathMtu::new(config.payload);
        let packet = mtu.current() as u64;
        let mut random = ChaCha12Rng::from_seed(config.seed);
        Connection {
            payload: config.payload,
            congestion: config.congestion,
            mtu,
            controller: controller::new(config.congestion, packet, random.next_u64()),
            delivery: Delivery::default(),
            random,
            state: State::Open,
            epoch: None,
            path: Path::new(config.remote),
            received: Received::default(),
            sent: SentPackets::default(),
            reordering: Reordering::default(),
            arrived: Vec::new(),
            rtt: Rtt::new(),
            pacer: Pacer::new(now, packet),
            marking: Marking::from(0, EcnCounts::default()),
            limit: config.limit.map(|rate| Limit::new(now, rate)),
            sending: BTreeMap::new(),
            receiving: BTreeMap::new(),
            due: Due::default(),
            timers: Timers {
                wake: Some(now),
                answered_at: None,
                heard_at: now,
                elicited_at: now,
                lost_at: None,
                probed_at: now,
                probes_in_a_row: 0,
                probe_packets: 0,
                paced_until: None,
                window_limited: false,
                acks_in_a_row: 0,
            },
            counters: Counters::default(),
        }
    }

    /// The other end has answered this end's handshake after `round_trip`, if that is known: there are keys, and
    /// its address is proven. It hears from this end at once, which proves this end's address.
    pub fn begin(&mut self, now: Instant, round_trip: Option<Duration>) {
        if self.epoch.is_none() {
            self.path.prove();
            self.due.ping = true;
            round_trip.into_iter().for_each(|time| self.rtt.sample(time, Duration::ZERO));
            self.have_keys(now);
        }
    }

    /// A handshake of the other end is answered: there are keys, and the other end may be at `to`.
    pub fn answer(&mut self, now: Instant, to: SocketAddr) {
        self.path.answered(to);
        if self.epoch.is_none() {
            self.have_keys(now);
            self.timers.answered_at = Some(now);
        } else {
            // Nobody knows which of the answers the first packet will follow.
            self.timers.answered_at = None;
        }
    }

    /// Whether it is proven where the other end is.
    pub fn is_proven(&self) -> bool {
        self.path.is_proven()
    }

    fn have_keys(&mut self, now: Instant) {
        self.epoch = Some(SendingEpoch::new(now));
        (self.timers.heard_at, self.timers.elicited_at) = (now, now);
        self.wake(now);
    }

    /// Opens an outgoing flow of `length` bytes that the owner has; `credit` of them may be sent unasked.
    pub fn open_sending(&mut self, flow: FlowId, length: u64, credit: u64) {
        self.sending.insert(flow, SendFlow::new(length, credit));
    }

    /// Opens an outgoing flow of which there is nothing yet, and nobody knows how long it will be.
    pub fn open_sending_stream(&mut self, flow: FlowId, credit: u64) {
        self.sending.insert(flow, SendFlow::open(credit));
    }

    /// The owner has the first `length` bytes of a stream, and keeps those from
    /// [`first_unacknowledged`](Connection::first_unacknowledged) on.
    pub fn grow_sending(&mut self, now: Instant, flow: FlowId, length: u64) {
        if let Some(flow) = self.sending.get_mut(&flow) {
            flow.grow(length);
            self.wake(now);
        }
    }

    /// A stream has no more than it has.
    pub fn end_sending(&mut self, flow: FlowId) {
        if let Some(flow) = self.sending.get_mut(&flow) {
            flow.end();
        }
    }

    /// Where the first byte of an outgoing flow is that may have to be sent again.
    pub fn first_unacknowledged(&self, flow: FlowId) -> u64 {
        self.sending.get(&flow).map_or(0, SendFlow::first_unacknowledged)
    }

    /// The other end has the first `bytes` of an outgoing flow already; said before anything is claimed.
    pub fn skip_sending(&mut self, flow: FlowId, bytes: u64) {
        if let Some(flow) = self.sending.get_mut(&flow) {
            flow.skip(bytes);
        }
    }

    /// The owner has the first `bytes` of an incoming flow already.
    pub fn skip_receiving(&mut self, now: Instant, flow: FlowId, bytes: u64) {
        if let Some(flow) = self.receiving.get_mut(&flow) {
            flow.skip(bytes);
            self.wake(now);
        }
    }

    /// Sends a few bytes, which the connection keeps, as a whole flow.
    pub fn send_inline(&mut self, now: Instant, flow: FlowId, bytes: Vec<u8>) {
        self.sending.insert(flow, SendFlow::inline(bytes));
        self.wake(now);
    }

    /// Opens an incoming flow of `length` bytes, of which `window` may be on their way or unconsumed.
    pub fn open_receiving(&mut self, flow: FlowId, length: u64, window: u64) {
        self.receiving.insert(flow, ReceiveFlow::new(length, window));
    }

    /// Opens an incoming flow of which nobody knows how long it will be.
    pub fn open_receiving_stream(&mut self, flow: FlowId, window: u64) {
        self.receiving.insert(flow, ReceiveFlow::open(window));
    }

    /// An incoming stream ends at `length`; whether that can be.
    #[must_use]
    pub fn end_receiving(&mut self, flow: FlowId, length: u64) -> bool {
        self.receiving.get_mut(&flow).is_some_and(|flow| flow.end_at(length))
    }

    /// The other end begins an incoming flow with more credit than its window.
    pub fn allow_receiving(&mut self, flow: FlowId, credit: u64) {
        if let Some(flow) = self.receiving.get_mut(&flow) {
            flow.allow(credit);
        }
    }

    /// How many bytes one packet carries of what comes next of an outgoing flow.
    pub fn data_per_packet(&self, flow: FlowId) -> usize {
        self.data_at(self.sending.get(&flow).map_or(0, SendFlow::next))
    }

    /// How many bytes of that fill a burst with whole packets: the best length for a [`Chunk`].
    pub fn data_per_burst(&self, flow: FlowId) -> usize {
        let packets = (MAX_BURST_BYTES / self.mtu.current()).clamp(1, MAX_BURST_PACKETS);
        (packets * self.data_per_packet(flow)).min(SLOT_BYTES)
    }

    /// How many bytes of a flow one packet carries from `offset` on.
    fn data_at(&self, offset: u64) -> usize {
        let room = self.mtu.current();
        room.saturating_sub(PACKET_OVERHEAD + stream_header_bytes(offset, room)).max(1)
    }

    /// Takes the next range of an outgoing flow that must be read, of at most `most` bytes: what is lost
    /// first, then what is new, in order.
    pub fn claim(&mut self, flow: FlowId, most: usize) -> Option<Range<u64>> {
        let (range, again) = self.sending.get_mut(&flow)?.claim(most as u64)?;
        if again {
            self.counters.retransmitted_bytes += range.end - range.start;
        }
        Some(range)
    }

    /// Whether [`claim`](Connection::claim) would give something.
    pub fn has_more(&self, flow: FlowId) -> bool {
        self.sending.get(&flow).is_some_and(SendFlow::has_more)
    }

    /// How many bytes of an outgoing flow are known to have arrived.
    pub fn acknowledged(&self, flow: FlowId) -> u64 {
        self.sending.get(&flow).map_or(0, SendFlow::acknowledged)
    }

    /// How many bytes of an incoming flow have arrived.
    pub fn arrived(&self, flow: FlowId) -> u64 {
        self.receiving.get(&flow).map_or(0, ReceiveFlow::received)
    }

    /// Whether all bytes of an incoming flow have arrived.
    pub fn is_complete(&self, flow: FlowId) -> bool {
        self.receiving.get(&flow).is_some_and(ReceiveFlow::is_complete)
    }

    /// The owner is done with `bytes` more of an incoming flow.
    pub fn consumed(&mut self, now: Instant, flow: FlowId, bytes: u64) {
        if let Some(flow) = self.receiving.get_mut(&flow) {
            flow.on_consumed(bytes);
            if flow.has_news() {
                self.wake(now);
            }
        }
    }

    /// Tells the other end, until it acknowledges, that a flow is verified.
    pub fn send_verified(&mut self, now: Instant, flow: FlowId, blake3: [u8; 32]) {
        self.due.verdict = Some((flow, blake3));
        self.due.verified = true;
        self.wake(now);
    }

    /// Whether the other end has acknowledged VERIFIED.
    pub fn verified_arrived(&self) -> bool {
        self.due.verified_arrived
    }

    /// When the other end was heard last; before that, when there were keys, or else when this end began.
    pub fn heard_at(&self) -> Instant {
        self.timers.heard_at
    }

    /// Whether both ends have keys.
    pub fn has_begun(&self) -> bool {
        self.epoch.is_some()
    }

    /// Where the other end is, as far as that is known.
    pub fn remote(&self) -> SocketAddr {
        self.path.remote()
    }

    /// The round-trip time, smoothed, if it was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.rtt.measured()
    }

    /// Whether an outgoing flow stands still because the other end allows no more of it.
    pub fn waits_for_credit(&self, flow: FlowId) -> bool {
        self.sending.get(&flow).is_some_and(SendFlow::waits_for_credit)
    }

    /// How long packets of the other end may still be on their way.
    pub fn settling_time(&self) -> Duration {
        (self.rtt.probe_timeout() * 3).min(MAX_LINGER)
    }

    /// The least time between two CLOSE.
    fn close_interval(&self) -> Duration {
        self.settling_time() / 4
    }

    /// Ends the connection: says so a few times, and answers late packets for a while.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if !matches!(self.state, State::Open) {
            return;
        }
        // An address that is not proven may not be sent to unasked; its next packet will ask.
        let linger = match self.path.is_proven() {
            true if self.is_away(now) && must_be_told(reason) => MAX_FAREWELL,
            // It may have heard of this one, and wait for it to come back.
            true if self.was_never_heard() && reason == CloseReason::Silent => MAX_FAREWELL,
            true => self.settling_time().clamp(LINGER, MAX_LINGER),
            false => LINGER,
        };
        self.state = State::Closing { reason, until: now + linger, copies: CLOSE_COPIES, next_copy: now };
        self.wake(now);
    }

    /// Whether both ends have keys, and nothing has come since.
    fn was_never_heard(&self) -> bool {
        self.counters.packets_received == 0
    }

    /// Whether the other end, which was there, has not been heard for [`AWAY_AFTER`].
    fn is_away(&self, now: Instant) -> bool {
        self.counters.packets_received > 0 && now >= self.timers.heard_at + AWAY_AFTER
    }

    /// Ends the connection without a word.
    pub fn abandon(&mut self) {
        self.state = State::Over;
    }

    /// Whether it will neither send nor receive any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let (largest_received, payload) = (self.received.largest(), self.mtu.current());
        Counters { largest_received, payload, ..self.counters }
    }

    /// How much of its limits it uses.
    pub fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(self.sent.usage());
        each(self.reordering.usage());
        each(self.received.usage());
        self.sending.values().for_each(|flow| flow.usage(each));
        self.receiving.values().for_each(|flow| flow.usage(each));
    }

    /// Asks for a call of [`transmit`](Connection::transmit).
    pub fn wake(&mut self, now: Instant) {
        self.timers.wake = earlier(self.timers.wake, Some(now));
    }

    /// When [`expire`](Connection::expire) or [`transmit`](Connection::transmit) would do something.
    pub fn deadline(&self) -> Option<Instant> {
        let timers = &self.timers;
        match &self.state {
            State::Over => None,
            State::Draining { since, .. } => Some(*since),
            State::Closing { until, copies, next_copy, .. } => {
                let next = if *copies > 0 && self.may_send() { *next_copy } else { *until };
                earlier(Some(next), self.challenge_at())
            }
            State::Open => {
                let ack = self.received.deadline().filter(|_| self.may_send());
                let first = earlier(timers.wake, earlier(ack, timers.paced_until));
                let timer = earlier(self.idle_at(), earlier(self.keep_alive_at(), self.recovery_at()));
                earlier(earlier(first, timer), self.challenge_at())
            }
        }
    }

    /// Does what is due at `now`, except sending. Answers whether nothing was heard for too long: then its owner must
    /// [`close`](Connection::close) or [`abandon`](Connection::abandon) it.
    pub fn expire(&mut self, now: Instant) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.state {
            State::Over => {}
            // However late it is: who is not told waits for long.
            State::Closing { copies, .. } if copies > 0 && self.may_send() => {}
            State::Draining { .. } if self.may_send() => {}
            State::Draining { .. } => self.state = State::Over,
            State::Closing { until, .. } => {
                if until <= now {
                    self.state = State::Over;
                }
            }
            State::Open => {
                if is_due(self.idle_at()) {
                    return true;
                }
                if is_due(self.recovery_at()) {
                    self.recover(now);
                }
                if is_due(self.keep_alive_at()) {
                    // Counted from here on, whether or not there is room to send it.
                    self.timers.elicited_at = now;
                    self.due.ping = true;
                }
            }
        }
        false
    }

    fn idle_at(&self) -> Option<Instant> {
        let has_worked = self.counters.packets_received > 0;
        Some(self.timers.heard_at + if has_worked { MAX_PAUSE } else { IDLE_TIMEOUT })
    }

    /// What is outstanding is asked for by probes.
    fn keep_alive_at(&self) -> Option<Instant> {
        let is_idle = self.may_send() && !self.sent.awaits_acknowledgement();
        Some(self.timers.elicited_at + KEEP_ALIVE).filter(|_| is_idle)
    }
}

/// Whether nobody else tells the other end: the server does if somebody leaves.
fn must_be_told(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Cancelled | CloseReason::Protocol | CloseReason::Integrity | CloseReason::Storage => true,
        CloseReason::Done | CloseReason::Leaving | CloseReason::Silent | CloseReason::Other => false,
    }
}

/// For a challenge.
fn token(random: &mut ChaCha12Rng) -> [u8; 8] {
    random.next_u64().to_be_bytes()
}
