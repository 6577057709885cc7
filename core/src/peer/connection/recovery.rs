//! Acknowledgements, losses and probes (RFC 9002).

use core::time::Duration;

use super::Connection;
use crate::peer::controller::{Acked, Lost, Marked};
use crate::peer::sent::{Content, Control, Sent};
use crate::time::Instant;
use crate::wire::peer_frame::{Ack, FlowId};

/// The backoff of probes ends here: one small packet a second harms nobody, the end of an interruption is
/// noticed within this time, and a link that loses every other packet does not look like a dead one.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// After so many probe timeouts in a row, about half a minute, they are further apart: the other end may sleep for long.
const PATIENT_PROBES: u32 = 40;

/// How far then: its end is noticed within this time.
const PATIENT_PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// After so many probe timeouts in a row it may be that only small packets arrive.
const SILENT_PROBES: u32 = 2;

/// Data packets for one probe timeout (RFC 9002, section 6.2.4).
const PROBE_PACKETS: u32 = 2;

/// So many consecutive packets have not overtaken others by chance: what their round trip was is true of the path.
const SEQUENCE: u64 = 3;

/// What the packets of one acknowledgement came to.
#[derive(Debug, Default)]
struct NewlyAcked {
    bytes: u64,
    /// The newest: its number, and when it was sent.
    newest: Option<(u64, Instant)>,
    /// The newest that did not arrive alone, before those around it.
    in_sequence: Option<(u64, Instant)>,
    eliciting: bool,
}

/// A run of consecutive packets that were all lost.
#[derive(Clone, Copy, Debug)]
struct LostRun {
    first_at: Instant,
    last: u64,
}

impl Connection {
    /// When a packet is lost by time, or else a probe is due.
    pub(super) fn recovery_at(&self) -> Option<Instant> {
        if !self.sent.awaits_acknowledgement() {
            return None;
        }
        let base = self.timers.elicited_at.max(self.timers.probed_at);
        self.timers.lost_at.or(Some(base + self.probe_interval()))
    }

    /// What [`recovery_at`](Connection::recovery_at) announced.
    pub(super) fn recover(&mut self, now: Instant) {
        if self.timers.lost_at.is_some() {
            self.detect_losses(now);
            self.wake(now);
            return;
        }
        self.timers.probed_at = now;
        self.timers.probes_in_a_row = self.timers.probes_in_a_row.saturating_add(1);
        self.timers.probe_packets = PROBE_PACKETS;
        self.marking.on_silence();
        if self.timers.probes_in_a_row >= SILENT_PROBES && self.mtu.on_silence(self.sent.next_number().0) {
            self.on_packet_size();
        }
        // A ping needs no bytes of a file, and its acknowledgement tells what else was lost. What is oldest
        // goes along, if its bytes can be had.
        self.due.ping = true;
        if let Some(content) = self.sent.oldest_eliciting().map(|sent| sent.content.clone()) {
            self.send_again(&content);
        }
        self.wake(now);
    }

    /// An ACK has arrived, of packets that were sent.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Ack<'_>) {
        let newly = self.tick_off(now, ack);
        let Some((_, sent_at)) = newly.newest else { return };
        let mut round_trip = None;
        if newly.eliciting
            && let Some((number, at)) = newly.in_sequence.or(newly.newest)
        {
            // Only of the largest is it told how long the other end waited.
            let delay = if number == ack.largest.0 { Duration::from_micros(ack.delay_micros) } else { Duration::ZERO };
            let mut latest = now.saturating_since(at);
            if newly.in_sequence.is_none() && has_overtaken(ack) {
                // It is acknowledged at once, as a gap: many samples would be of such, though few packets are.
                latest = latest.max(self.rtt.smoothed());
            }
            self.rtt.sample(latest, delay);
            round_trip = Some(latest);
        }
        // As it was before this acknowledgement: a window that was half used is worth growing.
        let used = self.sent.bytes_in_flight() + newly.bytes;
        let window_limited = self.timers.window_limited || used * 2 >= self.controller.window();
        self.detect_losses(now);
        if self.marking.on_told(ack.largest.0, ack.ecn) > 0 {
            self.controller.on_marked(now, Marked { sent_at, in_flight: used });
        }
        if let Some(latest_rtt) = round_trip {
            let acked = Acked {
                bytes: newly.bytes,
                sent_at,
                latest_rtt,
                smoothed_rtt: self.rtt.smoothed(),
                window_limited,
                in_flight: self.sent.bytes_in_flight(),
                delivered: self.delivery.delivered(),
                rate: self.delivery.sample(now),
            };
            self.controller.on_acked(now, acked);
            self.pacer.set_crowded(self.controller.is_crowded());
            (self.timers.probes_in_a_row, self.timers.probe_packets) = (0, 0);
        }
        self.wake(now);
    }

    fn tick_off(&mut self, now: Instant, ack: &Ack<'_>) -> NewlyAcked {
        let mut newly = NewlyAcked::default();
        let mut arrived = core::mem::take(&mut self.arrived);
        for range in ack.ranges() {
            let is_sequence = range.end - range.start >= SEQUENCE;
            while let Some((number, packet)) = self.reordering.take_arrived(range.clone()) {
                self.on_arrived_late(now, number, &packet);
                arrived.push((number, packet));
            }
            self.sent.acknowledge(range, |number, packet| {
                if is_sequence {
                    newly.in_sequence = newly.in_sequence.max(Some((number, packet.at)));
                }
                arrived.push((number, packet));
            });
        }
        let before = self.mtu.current();
        for (number, packet) in arrived.drain(..) {
            if matches!(packet.content, Content::Data { .. }) {
                self.marking.on_acknowledged(number);
            }
            self.on_packet_arrived(now, number, packet, &mut newly);
        }
        self.arrived = arrived;
        if self.mtu.current() != before {
            self.on_packet_size();
        }
        newly
    }

    fn on_packet_arrived(&mut self, now: Instant, number: u64, packet: Sent, newly: &mut NewlyAcked) {
        newly.newest = newly.newest.max(Some((number, packet.at)));
        self.mtu.on_arrived(number, packet.size());
        if packet.eliciting {
            newly.bytes += u64::from(packet.bytes);
            newly.eliciting = true;
            self.delivery.on_acked(now, packet.at, packet.stamp, u64::from(packet.bytes));
        }
        if let Some(largest) = packet.acknowledged {
            self.received.acknowledgement_arrived(largest);
        }
        match packet.content {
            Content::MtuProbe { .. } => {}
            Content::Data { flow, offset, length } => self.on_data_arrived(flow, offset, length),
            Content::Control(frames) => {
                for frame in frames {
                    match frame {
                        Control::Inline { flow, offset, length } => self.on_data_arrived(flow, offset, length),
                        Control::Verified => self.due.verified_arrived = true,
                        Control::Ping | Control::Response(_) | Control::MaxData(_) => {}
                    }
                }
            }
        }
    }

    fn on_data_arrived(&mut self, flow: FlowId, offset: u64, length: u32) {
        if let Some(flow) = self.sending.get_mut(&flow) {
            flow.on_acknowledged(offset..offset + u64::from(length));
        }
    }

    /// A packet that was taken for lost was only overtaken.
    fn on_arrived_late(&mut self, now: Instant, number: u64, packet: &Sent) {
        let newest = self.sent.largest_acknowledged().map_or(number, |largest| largest.0);
        let late = now.saturating_since(packet.at).saturating_sub(self.rtt.loss_delay());
        self.reordering.on_arrived_late(now, newest.saturating_sub(number), late, self.rtt.smoothed());
        self.controller.on_spurious_loss(u64::from(packet.bytes));
        self.counters.packets_lost = self.counters.packets_lost.saturating_sub(u64::from(packet.eliciting));
    }

    /// Another size is in use.
    fn on_packet_size(&mut self) {
        let bytes = self.mtu.current() as u64;
        self.controller.on_packet_size(bytes);
        self.pacer.set_packet(bytes);
    }

    fn detect_losses(&mut self, now: Instant) {
        let mut lost: Vec<(u64, Sent)> = Vec::new();
        self.reordering.forget(now, self.rtt.smoothed());
        let bounds = (self.reordering.threshold(), self.rtt.loss_delay() + self.reordering.delay());
        self.timers.lost_at = self.sent.take_lost(now, bounds, |number, packet| lost.push((number, packet)));
        let before = self.mtu.current();
        let (mut bytes, mut newest) = (0, None);
        let mut run: Option<LostRun> = None;
        let mut longest = Duration::ZERO;
        for (number, packet) in lost {
            let is_probe = matches!(packet.content, Content::MtuProbe { .. });
            self.mtu.on_lost(number, packet.size(), is_probe);
            // What is lost of them says nothing about congestion (RFC 8899, section 3).
            if packet.eliciting && !is_probe {
                let first_at = run.filter(|run| run.last + 1 == number).map_or(packet.at, |run| run.first_at);
                run = Some(LostRun { first_at, last: number });
                longest = longest.max(packet.at.saturating_since(first_at));
                self.send_again(&packet.content);
                self.counters.packets_lost += 1;
                if !self.marking.is_blamed_for(number) {
                    bytes += u64::from(packet.bytes);
                    newest = Some((packet.at, packet.stamp.in_flight));
                }
            }
            self.reordering.on_lost(number, packet);
        }
        if self.mtu.current() != before {
            self.on_packet_size();
        }
        let Some((sent_at, in_flight)) = newest else { return };
        self.controller.on_lost(now, Lost { bytes, sent_at, in_flight });
        // RFC 9002, section 7.6.2.
        if longest > self.rtt.persistent_congestion() {
            self.controller.on_persistent_congestion();
        }
    }

    /// Gives back what a packet carried to where it came from.
    pub(super) fn send_again(&mut self, content: &Content) {
        match content {
            Content::MtuProbe { .. } => {}
            Content::Data { flow, offset, length } => {
                if let Some(flow) = self.sending.get_mut(flow) {
                    flow.on_lost(*offset..*offset + u64::from(*length));
                }
            }
            Content::Control(frames) => frames.iter().for_each(|frame| self.send_frame_again(*frame)),
        }
    }

    fn send_frame_again(&mut self, frame: Control) {
        match frame {
            Control::Ping => {}
            // Unless another one is due, which is newer.
            Control::Response(token) => self.due.response = self.due.response.or(Some(token)),
            Control::Verified => self.due.verified = !self.due.verified_arrived,
            Control::MaxData(flow) => {
                if let Some(flow) = self.receiving.get_mut(&flow) {
                    flow.tell_again();
                }
            }
            Control::Inline { flow, offset, length } => {
                if let Some(flow) = self.sending.get_mut(&flow) {
                    flow.on_lost(offset..offset + u64::from(length));
                }
            }
        }
    }

    /// RFC 9002, section 6.2.1.
    fn probe_interval(&self) -> Duration {
        let timeout = self.rtt.probe_timeout();
        let backoff = 2u32.saturating_pow(self.timers.probes_in_a_row);
        let is_patient = self.timers.probes_in_a_row >= PATIENT_PROBES;
        let most = if is_patient { PATIENT_PROBE_INTERVAL } else { MAX_PROBE_INTERVAL };
        timeout.saturating_mul(backoff).min(most.max(timeout))
    }
}

/// Whether the newest packet has arrived before those that were sent right before it, or they are lost.
fn has_overtaken(ack: &Ack<'_>) -> bool {
    let mut ranges = ack.ranges();
    ranges.next().is_some_and(|newest| newest.end - newest.start < SEQUENCE) && ranges.next().is_some()
}
