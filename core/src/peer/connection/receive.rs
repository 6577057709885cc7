//! What a connection does with a packet that has arrived.

use std::net::SocketAddr;

use super::{Connection, Event, State, token};
use crate::peer::receive_flow::Arrival;
use crate::time::Instant;
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
        number: PacketNumber,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) {
        if self.is_over() {
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
                self.state = State::Over;
                events.push(Event::Closed(reason));
            }
            Ok(contents) if contents.no_room => {}
            Ok(contents) => {
                let bytes = payload.len() + PACKET_OVERHEAD;
                self.received.record(now, number, bytes, contents.eliciting, contents.urgent);
                self.timers.heard_at = now;
            }
        }
    }

    /// Until the path is proven, the newest packet tells where the other end is.
    fn follow(&mut self, now: Instant, from: SocketAddr, number: PacketNumber, bytes: usize) {
        if self.path.is_proven() {
            return;
        }
        let random = &mut self.random;
        let moved = self.received.is_newest(number) && self.path.follow(from, || token(random));
        let is_first = self.counters.packets_received == 1;
        // The other end may not have listened yet when the first challenge left.
        self.due.challenge |= moved || is_first;
        self.path.on_received(from, bytes);
        self.wake(now);
    }

    /// We have closed, and the other end may not know yet.
    fn receive_late(&mut self, now: Instant, number: PacketNumber, payload: &[u8], events: &mut Vec<Event>) {
        self.received.record(now, number, payload.len(), false, false);
        let close = Frames::new(payload).find_map(|frame| match frame {
            Ok(Frame::Close(reason)) => Some(reason),
            _ => None,
        });
        if let Some(reason) = close {
            self.state = State::Over;
            events.push(Event::Closed(reason));
        } else if let State::Closing { copies, next_copy, .. } = &mut self.state {
            // One answer for what comes together, and fewer and fewer (RFC 9000, section 10.2.1).
            if *copies == 0 && self.counters.packets_received.is_power_of_two() {
                (*copies, *next_copy) = (1, now);
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
                Frame::PathResponse(token) => {
                    self.path.on_response(token);
                    self.wake(now);
                }
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
