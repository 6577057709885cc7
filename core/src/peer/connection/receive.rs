//! What a connection does with a packet that has arrived.

use core::time::Duration;
use std::net::SocketAddr;

use rand_chacha::rand_core::Rng;

use super::{Connection, Event, FAREWELL_AFTER_RETURN, State, token};
use crate::peer::controller;
use crate::peer::ecn::Marking;
use crate::peer::mtu::PathMtu;
use crate::peer::pacer::Pacer;
use crate::peer::path::Moved;
use crate::peer::receive_flow::Arrival;
use crate::peer::reordering::Reordering;
use crate::peer::rtt::Rtt;
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use crate::wire::packet::{PACKET_OVERHEAD, PacketNumber};
use crate::wire::peer_frame::{CloseReason, Frame, Frames};
use crate::wire::varint::MAX_VARINT;

/// What the frames of a packet came to.
#[derive(Debug, Default)]
struct Contents {
    /// Must be acknowledged.
    eliciting: bool,
    /// At once: the end of a flow, or a challenge.
    urgent: bool,
    /// Must be forgotten, for want of room.
    no_room: bool,
    closed: Option<CloseReason>,
}

/// The other end broke the protocol.
struct Violation;

impl Connection {
    /// A packet has arrived and was opened. What it means for the owner is appended to `events`.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        (number, ecn): (PacketNumber, Ecn),
        payload: &[u8],
        events: &mut Vec<Event>,
    ) {
        if !matches!(self.state, State::Open | State::Closing { .. }) || self.epoch.is_none() {
            return;
        }
        self.counters.packets_received += 1;
        if self.received.is_duplicate(number) {
            self.counters.duplicates += 1;
            return;
        }
        self.follow(now, from, number, payload.len() + PACKET_OVERHEAD);
        if matches!(self.state, State::Closing { .. }) {
            self.receive_late(now, number, payload, events);
            return;
        }
        match self.frames(now, number, payload, events) {
            Err(Violation) => {
                self.counters.malformed += 1;
                events.push(Event::Violation);
            }
            Ok(Contents { closed: Some(reason), .. }) => {
                self.state = State::Draining { reason, since: now };
                self.wake(now);
                events.push(Event::Closed(reason));
            }
            Ok(contents) if contents.no_room => {}
            Ok(contents) => {
                let bytes = payload.len() + PACKET_OVERHEAD;
                self.received.record(now, number, bytes, contents.eliciting, contents.urgent);
                self.received.see(now, ecn);
                self.timers.heard_at = now;
            }
        }
    }

    /// The newest packet tells where the other end may be.
    fn follow(&mut self, now: Instant, from: SocketAddr, number: PacketNumber, bytes: usize) {
        let (newest, random) = (self.received.is_newest(number), &mut self.random);
        if self.path.on_packet(now, (from, bytes), newest, || token(random)) {
            self.wake(now);
        }
        if self.path.is_proven()
            && let Some(answered_at) = self.timers.answered_at.take()
        {
            self.rtt.sample(now.saturating_since(answered_at), Duration::ZERO);
        }
    }

    /// A response to a challenge has arrived. What was known of the way to another host is of no use any more
    /// (RFC 9000, section 9.4), and what is under way to where the other end was is lost.
    fn on_response(&mut self, now: Instant, token: [u8; 8]) {
        let Some(moved) = self.path.on_response(now, token) else { return };
        if moved == Moved::Host {
            self.mtu = PathMtu::new(self.payload);
            let packet = self.mtu.current() as u64;
            self.controller = controller::new(self.congestion, packet, self.random.next_u64());
            self.pacer = Pacer::new(now, packet);
            (self.rtt, self.reordering) = (Rtt::new(), Reordering::default());
            self.marking = Marking::from(self.sent.next_number().0, self.marking.told());
        }
        let mut lost = Vec::new();
        self.sent.take_all(|packet| lost.push(packet.content));
        lost.iter().for_each(|content| self.send_again(content));
        (self.timers.lost_at, self.timers.probes_in_a_row) = (None, 0);
        self.wake(now);
    }

    /// We have closed, and the other end may not know yet.
    fn receive_late(&mut self, now: Instant, number: PacketNumber, payload: &[u8], events: &mut Vec<Event>) {
        self.received.record(now, number, payload.len(), false, false);
        let (mut close, interval) = (None, self.close_interval());
        for frame in Frames::new(payload) {
            match frame {
                Ok(Frame::Close(reason)) => close = Some(reason),
                Ok(Frame::PathResponse(token)) => self.on_response(now, token),
                _ => {}
            }
        }
        if let Some(reason) = close {
            self.state = State::Over;
            events.push(Event::Closed(reason));
        } else if let State::Closing { until, copies, .. } = &mut self.state {
            *until = (*until).min(now + FAREWELL_AFTER_RETURN);
            // One answer for all that comes between two of them (RFC 9000, section 10.2.1), and none for ever.
            if now + interval < *until {
                *copies = (*copies).max(1);
            }
        }
    }

    fn frames(
        &mut self,
        now: Instant,
        number: PacketNumber,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<Contents, Violation> {
        if payload.is_empty() || number.0 > MAX_VARINT {
            return Err(Violation);
        }
        let mut contents = Contents::default();
        for frame in Frames::new(payload) {
            let frame = frame.map_err(|_| Violation)?;
            contents.eliciting |= !matches!(frame, Frame::Ack(_) | Frame::Close(_));
            match frame {
                Frame::Ping | Frame::Unknown => {}
                Frame::Ack(ack) => {
                    if self.sent.is_unsent(ack.largest) {
                        return Err(Violation);
                    }
                    self.on_ack(now, &ack);
                }
                Frame::PathChallenge(token) => {
                    self.due.response = Some(token);
                    contents.urgent = true;
                    self.wake(now);
                }
                Frame::PathResponse(token) => self.on_response(now, token),
                Frame::MaxData { flow, credit } => {
                    self.sending.get_mut(&flow).ok_or(Violation)?.on_credit(credit);
                    self.wake(now);
                }
                Frame::Verified { flow, blake3 } => events.push(Event::Verified { flow, blake3 }),
                Frame::Close(reason) => contents.closed = Some(reason),
                Frame::Stream { flow, offset, range, fin } => {
                    let receiving = self.receiving.get_mut(&flow).ok_or(Violation)?;
                    let bytes = offset..offset + range.len() as u64;
                    let arrival = receiving.on_arrived(bytes, fin, |new| {
                        // Both are within the range, which is within the payload.
                        let start = range.start + (new.start - offset) as usize;
                        let end = range.start + (new.end - offset) as usize;
                        events.push(Event::Data { flow, offset: new.start, range: start..end });
                    });
                    match arrival {
                        Arrival::Taken => contents.urgent |= fin,
                        Arrival::NoRoom => contents.no_room = true,
                        Arrival::Violation => return Err(Violation),
                    }
                }
            }
        }
        Ok(contents)
    }
}
