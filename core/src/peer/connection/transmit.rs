//! What a connection sends, and when.

use std::collections::VecDeque;

use super::{Chunk, Connection, Flight, State};
use crate::config::TransferConfig;
use crate::peer::build::{Packet, StreamData};
use crate::peer::delivery::Stamp;
use crate::peer::send_flow::SendFlow;
use crate::peer::sent::{Content, Control, Sent};
use crate::peer::{MAX_BURST_BYTES, MAX_BURST_PACKETS};
use crate::time::Instant;
use crate::wire::packet::{PACKET_OVERHEAD, PacketNumber};
use crate::wire::peer_frame::{
    CloseReason, MAX_STREAM_HEADER_BYTES, put_close, put_max_data, put_path_challenge, put_path_response, put_ping,
    put_stream_header, put_verified, stream_header_bytes,
};

/// What an ACK leaves free in its packet for other frames.
const ROOM_BESIDE_ACK: usize = 256;

/// A packet with nothing but a challenge: type 1, token 8. No other packet that must be acknowledged is smaller, so
/// that each brings enough for a challenge of the address from which it came.
const CHALLENGE_BYTES: usize = PACKET_OVERHEAD + 9;

/// The longest run of acknowledgements without a packet that is acknowledged itself: then their ranges need
/// not be repeated any more (RFC 9000, section 13.2.4).
const ACKS_BEFORE_PING: u32 = 32;

/// A packet of our own frames, before it has a number.
#[derive(Debug, Default)]
struct Draft {
    frames: Vec<u8>,
    /// What is sent again if it is lost.
    carried: Vec<Control>,
    acknowledged: Option<PacketNumber>,
}

impl Connection {
    /// The next packets that may leave together now: frames of our own first, then what is in `chunks`, from
    /// which it is taken. `None` when nothing more may leave.
    pub fn transmit(&mut self, now: Instant, chunks: &mut VecDeque<Chunk>) -> Option<Flight> {
        self.timers.paced_until = None;
        let (next, acknowledged) = (self.sent.next_number(), self.sent.largest_acknowledged());
        let mut flight = match self.state {
            _ if self.epoch.is_none() => None,
            State::Over => None,
            State::Closing { .. } => self.challenge_packet(now).or_else(|| self.close_packet(now)),
            State::Draining { reason, .. } => self.last_packet(now, reason),
            State::Open => {
                let control = self.challenge_packet(now).or_else(|| self.control_packet(now));
                control.or_else(|| self.mtu_probe(now)).or_else(|| self.data_packets(now, chunks))
            }
        };
        if let (Some(flight), Some(epoch)) = (&mut flight, &mut self.epoch) {
            flight.epoch = epoch.of_burst(now, next, acknowledged);
        }
        self.timers.wake = flight.as_ref().map(|_| now);
        flight
    }

    /// Whether a packet other than a challenge may leave.
    pub(super) fn may_send(&self) -> bool {
        self.epoch.is_some() && self.sent.has_room() && self.path.is_proven()
    }

    /// When an address from which the newest packet came is to be challenged.
    pub(super) fn challenge_at(&self) -> Option<Instant> {
        self.path.challenge_at(CHALLENGE_BYTES).filter(|_| self.epoch.is_some() && self.sent.has_room())
    }

    /// A challenge has its packet for itself, which is not waited for: if it goes to an address where nobody is,
    /// that says nothing of the way to the other end.
    fn challenge_packet(&mut self, now: Instant) -> Option<Flight> {
        self.challenge_at()?;
        let challenge = self.path.take_challenge(now, CHALLENGE_BYTES)?;
        let mut draft = Draft::default();
        put_path_challenge(&mut draft.frames, challenge.token);
        let flight = self.finish(now, draft, challenge.bytes - CHALLENGE_BYTES);
        Some(Flight { to: challenge.to, ..flight })
    }

    fn close_packet(&mut self, now: Instant) -> Option<Flight> {
        let (allowed, interval) = (self.may_send(), self.close_interval());
        let State::Closing { reason, copies, next_copy, until, .. } = &mut self.state else { return None };
        if *copies == 0 || *next_copy > now || !allowed {
            return None;
        }
        (*copies, *next_copy) = (*copies - 1, now + interval);
        *until = (*until).max(now + interval);
        let reason = *reason;
        Some(self.close_flight(now, reason))
    }

    fn last_packet(&mut self, now: Instant, reason: CloseReason) -> Option<Flight> {
        self.state = State::Over;
        self.may_send().then(|| self.close_flight(now, reason))
    }

    fn close_flight(&mut self, now: Instant, reason: CloseReason) -> Flight {
        let mut draft = Draft::default();
        put_close(&mut draft.frames, reason);
        self.put_ack(now, &mut draft, TransferConfig::MIN_PAYLOAD - PACKET_OVERHEAD);
        self.finish(now, draft, 0)
    }

    fn control_packet(&mut self, now: Instant) -> Option<Flight> {
        if !self.may_send() || !self.has_frames(now) {
            return None;
        }
        // Every path carries so much, whatever larger packets come to.
        let room = TransferConfig::MIN_PAYLOAD - PACKET_OVERHEAD;
        let (mut draft, mut padded) = (Draft::default(), false);
        self.put_ack(now, &mut draft, room);
        if let Some(token) = self.due.response.take() {
            put_path_response(&mut draft.frames, token);
            draft.carried.push(Control::Response(token));
            padded = true;
        }
        self.put_news(&mut draft, room);
        self.put_ping(&mut draft);
        // So that it proves the least size too (RFC 9000, section 8.2.2).
        let least = match draft.carried[..] {
            _ if padded => room,
            [] => 0,
            _ => CHALLENGE_BYTES - PACKET_OVERHEAD,
        };
        let padding = least.saturating_sub(draft.frames.len());
        Some(self.finish(now, draft, padding))
    }

    /// Appends a PING if one is due, or if nothing else has asked for an acknowledgement for long.
    fn put_ping(&mut self, draft: &mut Draft) {
        self.timers.acks_in_a_row = if draft.carried.is_empty() { self.timers.acks_in_a_row + 1 } else { 0 };
        if self.due.ping || self.timers.acks_in_a_row >= ACKS_BEFORE_PING {
            (self.due.ping, self.timers.acks_in_a_row) = (false, 0);
            put_ping(&mut draft.frames);
            draft.carried.push(Control::Ping);
        }
    }

    /// Whether there are frames to send.
    fn has_frames(&self, now: Instant) -> bool {
        self.due.ping
            || self.due.response.is_some()
            || self.due.verified
            || self.received.deadline().is_some_and(|at| at <= now)
            || self.receiving.values().any(|flow| flow.has_news())
            || self.sending.values().any(|flow| flow.inline_bytes().is_some() && flow.has_more())
    }

    fn put_ack(&mut self, now: Instant, draft: &mut Draft, room: usize) {
        draft.acknowledged = self.received.put_ack(now, &mut draft.frames, room - ROOM_BESIDE_ACK);
        self.counters.acks_sent += u64::from(draft.acknowledged.is_some());
    }

    /// Verdict, credit, and bytes of flows that the connection has itself; within [`ROOM_BESIDE_ACK`], except
    /// that such bytes may fill the packet.
    fn put_news(&mut self, draft: &mut Draft, room: usize) {
        if let Some((flow, blake3)) = self.due.verdict.filter(|_| self.due.verified) {
            self.due.verified = false;
            put_verified(&mut draft.frames, flow, blake3);
            draft.carried.push(Control::Verified);
        }
        for (flow, receiving) in &mut self.receiving {
            if let Some(credit) = receiving.take_news() {
                put_max_data(&mut draft.frames, *flow, credit);
                draft.carried.push(Control::MaxData(*flow));
            }
        }
        for (flow, sending) in &mut self.sending {
            if sending.inline_bytes().is_none() {
                continue;
            }
            let most = room.saturating_sub(draft.frames.len() + MAX_STREAM_HEADER_BYTES + 1);
            let Some((range, _)) = sending.claim(most as u64) else { continue };
            let (start, end) = (range.start as usize, range.end as usize);
            let fin = sending.ends_at(range.end);
            put_stream_header(&mut draft.frames, *flow, range.start, end - start, fin);
            draft.frames.extend_from_slice(sending.inline_bytes().and_then(|b| b.get(start..end)).unwrap_or_default());
            let length = u32::try_from(end - start).unwrap_or(u32::MAX);
            draft.carried.push(Control::Inline { flow: *flow, offset: range.start, length });
        }
    }

    fn finish(&mut self, now: Instant, draft: Draft, padding: usize) -> Flight {
        let size = PACKET_OVERHEAD + draft.frames.len() + padding;
        let sent = Sent {
            at: now,
            bytes: u32::try_from(size).unwrap_or(u32::MAX),
            eliciting: !draft.carried.is_empty(),
            acknowledged: draft.acknowledged,
            content: Content::Control(draft.carried),
            stamp: Stamp::default(),
        };
        let packet = Packet { number: self.record(sent), frames: draft.frames, data: None, padding };
        Flight { to: self.path.remote(), segment_size: size, epoch: 0, ecn_capable: false, packets: vec![packet] }
    }

    /// A packet of nothing, of a size that the path may not carry; only while there is something that would need it.
    fn mtu_probe(&mut self, now: Instant) -> Option<Flight> {
        self.mtu.raise(now);
        let size = self.mtu.due()?;
        let is_file = |flow: &SendFlow| flow.inline_bytes().is_none() && flow.has_more();
        if !self.may_send() || !self.sending.values().any(is_file) {
            return None;
        }
        self.mtu.on_probe_sent();
        let mut frames = Vec::new();
        put_ping(&mut frames);
        let content = Content::MtuProbe { bytes: u32::try_from(size).unwrap_or(u32::MAX) };
        // It does not count as being in flight: nothing waits for it (RFC 9000, section 14.4).
        let number = self.record(Sent {
            at: now,
            bytes: 0,
            eliciting: true,
            acknowledged: None,
            content,
            stamp: Stamp::default(),
        });
        let padding = size.saturating_sub(PACKET_OVERHEAD + frames.len());
        let packet = Packet { number, frames, data: None, padding };
        Some(Flight { to: self.path.remote(), segment_size: size, epoch: 0, ecn_capable: false, packets: vec![packet] })
    }

    /// Packets of file, all full but the last.
    fn data_packets(&mut self, now: Instant, chunks: &mut VecDeque<Chunk>) -> Option<Flight> {
        let (mut packets, mut bytes, mut segment_size) = (Vec::new(), 0, 0);
        self.timers.window_limited = false;
        let rate = self.controller.pacing_rate(self.rtt.smoothed());
        if chunks.is_empty() && self.pacer.is_idle(now, rate) {
            self.delivery.on_app_limited(self.sent.bytes_in_flight());
        }
        while let Some(chunk) = chunks.front_mut() {
            let most = self.data_at(chunk.offset);
            let length = most.min(chunk.length);
            let size = data_packet_bytes(chunk.offset, length);
            let fits = packets.len() < MAX_BURST_PACKETS && bytes + size <= MAX_BURST_BYTES;
            if !fits || !self.may_send_data(now, rate, size as u64) {
                break;
            }
            if packets.is_empty() {
                // Memory for all that fit, with one allocation.
                packets.reserve(MAX_BURST_PACKETS.min(MAX_BURST_BYTES / size));
            }
            packets.push(self.data_packet(now, chunk, length));
            bytes += size;
            segment_size = segment_size.max(size);
            if chunk.length == 0 {
                chunks.pop_front();
            }
            if length < most {
                break;
            }
        }
        if packets.is_empty() {
            return None;
        }
        // Only these fill queues; and what the other end must hear gets through whatever the path does with marks.
        let ecn_capable = self.marking.mark(self.sent.next_number().0);
        Some(Flight { to: self.path.remote(), segment_size, epoch: 0, ecn_capable, packets })
    }

    fn may_send_data(&mut self, now: Instant, rate: u64, size: u64) -> bool {
        if !self.may_send() {
            return false;
        }
        if self.timers.probe_packets > 0 {
            self.timers.probe_packets -= 1;
            return true;
        }
        if self.sent.bytes_in_flight() + size > self.controller.window() {
            self.timers.window_limited = true;
            self.pacer.give_way();
            return false;
        }
        if let Some(limit) = self.limit.as_ref().filter(|limit| !limit.allows(now)) {
            // What the path carries does not show.
            self.delivery.on_app_limited(self.sent.bytes_in_flight());
            self.timers.paced_until = Some(limit.opens_at());
            return false;
        }
        let allowed = self.pacer.allows(now, rate, size);
        if !allowed {
            self.timers.window_limited = true;
            self.timers.paced_until = self.pacer.opens_at();
        }
        allowed
    }

    /// The next `length` bytes of `chunk` as a packet.
    fn data_packet(&mut self, now: Instant, chunk: &mut Chunk, length: usize) -> Packet {
        let Chunk { flow, offset, slot, start, .. } = *chunk;
        let end = offset + length as u64;
        let fin = self.sending.get(&flow).is_some_and(|flow| flow.ends_at(end));
        let bytes = data_packet_bytes(offset, length) as u32;
        self.pacer.spend(u64::from(bytes));
        let content = Content::Data { flow, offset, length: length as u32 };
        let number =
            self.record(Sent { at: now, bytes, eliciting: true, acknowledged: None, content, stamp: Stamp::default() });
        (chunk.offset, chunk.start, chunk.length) = (end, start + length, chunk.length - length);
        let data = StreamData { flow, offset, fin, slot, start, length };
        Packet { number, frames: Vec::new(), data: Some(data), padding: 0 }
    }

    fn record(&mut self, mut sent: Sent) -> PacketNumber {
        let number = self.sent.next_number();
        if sent.eliciting {
            sent.stamp = self.delivery.on_sent(sent.at, self.sent.bytes_in_flight(), u64::from(sent.bytes));
            self.timers.elicited_at = sent.at;
        }
        if let Some(limit) = &mut self.limit {
            limit.spend(sent.at, sent.size() as u64);
        }
        self.counters.packets_sent += 1;
        self.sent.push(sent);
        number
    }
}

/// How large a packet with nothing but bytes of a flow is.
fn data_packet_bytes(offset: u64, length: usize) -> usize {
    PACKET_OVERHEAD + stream_header_bytes(offset, length) + length
}
