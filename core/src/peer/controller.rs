//! What a congestion control is to a connection.

use core::fmt;
use core::time::Duration;

use super::bbr::Bbr;
use super::cubic::Cubic;
use super::delivery::RateSample;
use crate::config::Congestion;
use crate::time::Instant;

/// Decides how much may be in flight, and how fast it may leave.
pub(super) trait Controller: fmt::Debug + Send {
    /// An acknowledgement has arrived.
    fn on_acked(&mut self, now: Instant, acked: Acked);

    /// Packets were lost. Said before the acknowledgement by which it was noticed.
    fn on_lost(&mut self, now: Instant, lost: Lost);

    /// Packets have met a queue, as the network wrote on them. Said before the acknowledgement that told it.
    fn on_marked(&mut self, now: Instant, marked: Marked);

    /// So many bytes were taken for lost and have arrived after all.
    fn on_spurious_loss(&mut self, bytes: u64);

    /// Nothing got through for a long time (RFC 9002, section 7.6).
    fn on_persistent_congestion(&mut self);

    /// Packets have this size from now on.
    fn on_packet_size(&mut self, bytes: u64);

    /// How many bytes may be in flight.
    fn window(&self) -> u64;

    /// Whether others are taken to fill the queue at the bottleneck.
    fn is_crowded(&self) -> bool {
        false
    }

    /// How many bytes may leave in a second.
    fn pacing_rate(&self, smoothed_rtt: Duration) -> u64;
}

/// The chosen one, for packets of this size. `seed` is random.
pub(super) fn new(congestion: Congestion, packet: u64, seed: u64) -> Box<dyn Controller> {
    match congestion {
        Congestion::Bbr => Box::new(Bbr::new(packet, seed)),
        Congestion::Cubic => Box::new(Cubic::new(packet)),
    }
}

/// What one acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// In packets that it acknowledged first.
    pub(super) bytes: u64,
    /// When the newest of them was sent.
    pub(super) sent_at: Instant,
    /// How long that one took, there and back.
    pub(super) latest_rtt: Duration,
    /// The estimate, this one included.
    pub(super) smoothed_rtt: Duration,
    /// Whether the window was what held the sender back (RFC 9002, section 7.8).
    pub(super) window_limited: bool,
    /// Bytes in flight after it.
    pub(super) in_flight: u64,
    /// Bytes that were delivered so far.
    pub(super) delivered: u64,
    /// How fast they arrive.
    pub(super) rate: Option<RateSample>,
}

/// Packets that have met a queue, and were acknowledged at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    /// When the newest packet was sent that was acknowledged with them.
    pub(super) sent_at: Instant,
    /// Bytes in flight before that.
    pub(super) in_flight: u64,
}

/// Packets that were lost, and noticed to be at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// In all of them.
    pub(super) bytes: u64,
    /// When the newest of them was sent.
    pub(super) sent_at: Instant,
    /// Bytes in flight when that one left, itself included.
    pub(super) in_flight: u64,
}
