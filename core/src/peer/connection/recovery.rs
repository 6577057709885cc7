//! Acknowledgements, losses and probes (RFC 9002).

use core::time::Duration;

use super::Connection;
use crate::peer::controller::{Acked, Lost};
use crate::peer::sent::{Content, Control, Sent};
use crate::time::Instant;
use crate::wire::peer_frame::Ack;

/// The backoff of probes ends here: one small packet a second harms nobody, the end of an interruption is
/// noticed within this time, and a link that loses every other packet does not look like a dead one.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// After so many probe timeouts in a row it may be that only small packets arrive.
const SILENT_PROBES: u32 = 2;

/// Data packets for one probe timeout (RFC 9002, section 6.2.4).
const PROBE_PACKETS: u32 = 2;

/// What the packets of one acknowledgement came to.
#[derive(Debug, Default)]
struct NewlyAcked {
    bytes: u64,
    /// The newest: its number, and when it was sent.
    newest: Option<(u64, Instant)>,
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
        let Some((newest, sent_at)) = newly.newest else { return };
        if newest == ack.largest.0 && newly.eliciting {
            let delay = Duration::from_micros(ack.delay_micros);
            self.rtt.sample(now.saturating_since(sent_at), delay);
        }
        // As it was before this acknowledgement: a window that was half used is worth growing.
        let used = self.sent.bytes_in_flight() + newly.bytes;
        let window_limited = self.timers.window_limited || used * 2 >= self.controller.window();
        self.detect_losses(now);
        if newly.eliciting {
            let latest_rtt = self.rtt.latest();
            let smoothed_rtt = self.rtt.smoothed();
            let acked = Acked {
                bytes: newly.bytes,
                sent_at,
                latest_rtt,
                smoothed_rtt,
                window_limited,
                in_flight: self.sent.bytes_in_flight(),
                delivered: self.delivery.delivered(),
                rate: self.delivery.sample(now),
            };
            self.controller.on_acked(now, acked);
            (self.timers.probes_in_a_row, self.timers.probe_packets) = (0, 0);
        }
        self.wake(now);
    }

    fn tick_off(&mut self, now: Instant, ack: &Ack<'_>) -> NewlyAcked {
        let mut newly = NewlyAcked::default();
        let mut resized = false;
        let Connection { sent, sending, received, due, mtu, delivery, .. } = self;
        for range in ack.ranges() {
            if range.end <= sent.oldest() {
                break;
            }
            sent.acknowledge(range, |number, packet| {
                newly.newest = newly.newest.max(Some((number, packet.at)));
                resized |= mtu.on_arrived(number, packet.size());
                if packet.eliciting {
                    newly.bytes += u64::from(packet.bytes);
                    newly.eliciting = true;
                    delivery.on_acked(now, packet.at, packet.stamp, u64::from(packet.bytes));
                }
                if let Some(largest) = packet.acknowledged {
                    received.acknowledgement_arrived(largest);
                }
                match packet.content {
                    Content::MtuProbe { .. } => {}
                    Content::Data { flow, offset, length } => {
                        if let Some(flow) = sending.get_mut(&flow) {
                            flow.on_acknowledged(offset..offset + u64::from(length));
                        }
                    }
                    Content::Control(frames) => {
                        for frame in frames {
                            match frame {
                                Control::Inline { flow, offset, length } => {
                                    if let Some(flow) = sending.get_mut(&flow) {
                                        flow.on_acknowledged(offset..offset + u64::from(length));
                                    }
                                }
                                Control::Verified => due.verified_arrived = true,
                                Control::Ping | Control::Response(_) | Control::MaxData(_) => {}
                            }
                        }
                    }
                }
            });
        }
        if resized {
            self.on_packet_size();
        }
        newly
    }

    /// Another size is in use.
    fn on_packet_size(&mut self) {
        let bytes = self.mtu.current() as u64;
        self.controller.on_packet_size(bytes);
        self.pacer.set_packet(bytes);
    }

    fn detect_losses(&mut self, now: Instant) {
        let mut lost: Vec<(u64, Sent)> = Vec::new();
        let delay = self.rtt.loss_delay();
        let (mtu, mut resized) = (&mut self.mtu, false);
        self.timers.lost_at = self.sent.take_lost(now, delay, |number, packet| {
            let is_probe = matches!(packet.content, Content::MtuProbe { .. });
            resized |= mtu.on_lost(number, packet.size(), is_probe);
            // What is lost of them says nothing about congestion (RFC 8899, section 3).
            if packet.eliciting && !is_probe {
                lost.push((number, packet));
            }
        });
        if resized {
            self.on_packet_size();
        }
        let Some((_, newest)) = lost.last() else { return };
        let bytes = lost.iter().map(|(_, packet)| u64::from(packet.bytes)).sum();
        self.controller.on_lost(now, Lost { bytes, sent_at: newest.at, in_flight: newest.stamp.in_flight });
        let mut run: Option<LostRun> = None;
        let mut longest = Duration::ZERO;
        for (number, packet) in &lost {
            let first_at = run.filter(|run| run.last + 1 == *number).map_or(packet.at, |run| run.first_at);
            run = Some(LostRun { first_at, last: *number });
            longest = longest.max(packet.at.saturating_since(first_at));
            self.send_again(&packet.content);
        }
        self.counters.packets_lost += lost.len() as u64;
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
        timeout.saturating_mul(backoff).min(MAX_PROBE_INTERVAL.max(timeout))
    }
}
