//! How fast packets arrive at the other end: delivery rate samples (draft-ietf-ccwg-bbr-03, section 4.1).
//!
//! Each packet remembers how much had been delivered when it left, and when. When it is acknowledged, what was
//! delivered since, over the time that took, is one sample of the rate of the path. The time is the longer of how long
//! sending and how long acknowledging took, since either may be compressed.

use core::time::Duration;

use crate::time::Instant;

/// What a packet remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes that were delivered before it left.
    pub(super) delivered: u64,
    /// When the last of them were.
    delivered_at: Instant,
    /// When the first packet of its flight left.
    first_sent_at: Instant,
    /// Bytes in flight with it.
    pub(super) in_flight: u64,
    /// There was too little to send.
    is_app_limited: bool,
}

/// What one acknowledgement tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateSample {
    /// Bytes a second.
    pub(super) rate: u64,
    /// There was too little to send, so the path may be faster.
    pub(super) is_app_limited: bool,
    /// What the newest packet that it acknowledges remembers.
    pub(super) stamp: Stamp,
}

/// What was delivered and lost of all that was sent.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// There was too little to send until so much is delivered.
    app_limited_until: u64,
    /// Of the newest packet of the acknowledgement at hand: when it left, and what it remembers.
    newest: Option<(Instant, Stamp)>,
}

impl Delivery {
    /// A packet leaves, while so many bytes are in flight without it.
    pub(super) fn on_sent(&mut self, now: Instant, in_flight: u64, bytes: u64) -> Stamp {
        if in_flight == 0 {
            (self.first_sent_at, self.delivered_at) = (now, now);
        }
        Stamp {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            in_flight: in_flight + bytes,
            is_app_limited: self.delivered < self.app_limited_until,
        }
    }

    /// There is too little to send, with so many bytes in flight.
    pub(super) fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = self.delivered + in_flight.max(1);
    }

    /// A packet of the acknowledgement at hand.
    pub(super) fn on_acked(&mut self, now: Instant, sent_at: Instant, stamp: Stamp, bytes: u64) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        if self.newest.is_none_or(|(at, newest)| (stamp.delivered, sent_at) > (newest.delivered, at)) {
            self.newest = Some((sent_at, stamp));
        }
    }

    /// All packets of the acknowledgement at hand have been told.
    pub(super) fn sample(&mut self, now: Instant) -> Option<RateSample> {
        let (sent_at, stamp) = self.newest.take()?;
        self.first_sent_at = sent_at;
        let sending = sent_at.saturating_since(stamp.first_sent_at);
        let interval = sending.max(now.saturating_since(stamp.delivered_at)).max(Duration::from_micros(1));
        let bytes = u128::from(self.delivered - stamp.delivered);
        let rate = u64::try_from(bytes * 1_000_000_000 / interval.as_nanos()).unwrap_or(u64::MAX);
        Some(RateSample { rate, is_app_limited: stamp.is_app_limited, stamp })
    }

    /// Bytes that were delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }
}
