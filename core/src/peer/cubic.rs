//! CUBIC (RFC 9438), with slow start as HyStart++ ends it.

use core::time::Duration;

use super::controller::{Acked, Controller, Lost, Marked};
use super::slow_start::{Growth, SlowStart};
use crate::time::Instant;

/// How fast the window grows, in segments and seconds (section 5.1).
const C: f64 = 0.4;
/// What is left of the window after a loss (section 4.6).
const BETA: f64 = 0.7;
/// Likewise after the network has marked a packet: its queue is shorter then than one that is full (RFC 8511).
const BETA_MARKED: f64 = 0.85;
/// How fast a Reno flow that backs off like this one would have to grow to be as aggressive (section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// RFC 9002, section 7.2.
const INITIAL_WINDOW_PACKETS: u64 = 10;
const INITIAL_WINDOW_BYTES: u64 = 14_720;
const MIN_WINDOW_PACKETS: u64 = 2;

/// What the table of sent packets could ever use, so that arithmetic never overflows.
const MAX_WINDOW: u64 = 8 << 30;

#[derive(Debug)]
pub(super) struct Cubic {
    segment: f64,
    min_window: u64,
    window: u64,
    /// Bytes acknowledged that have not made a whole byte of growth yet.
    fraction: f64,
    /// Below it, the window grows exponentially.
    threshold: u64,
    slow_start: SlowStart,
    /// Losses of packets sent before belong to the same event (RFC 9002, section 7.3.2).
    recovery_began: Option<Instant>,
    /// The window before the last loss, in segments.
    w_max: f64,
    epoch: Option<Epoch>,
    before_loss: Option<BeforeLoss>,
    last_acked_at: Instant,
}

/// One climb, from a loss to the next. Sizes in segments.
#[derive(Debug)]
struct Epoch {
    began: Instant,
    /// When the window is back at `origin`, in seconds.
    k: f64,
    /// Where the climb is flat.
    origin: f64,
    /// Where a Reno flow would be.
    w_est: f64,
    /// What the window was before the loss: from there on Reno grows by one.
    w_prior: f64,
}

/// What a loss has changed, in case that nothing was lost after all.
#[derive(Debug)]
struct BeforeLoss {
    /// What was taken for lost since, in bytes.
    lost: u64,
    window: u64,
    threshold: u64,
    w_max: f64,
}

impl Cubic {
    /// For packets of `segment` bytes.
    pub(super) fn new(segment: u64) -> Self {
        let segment = segment.max(1);
        let min_window = MIN_WINDOW_PACKETS * segment;
        Cubic {
            segment: segment as f64,
            min_window,
            window: (INITIAL_WINDOW_PACKETS * segment).min(INITIAL_WINDOW_BYTES.max(min_window)),
            fraction: 0.0,
            threshold: u64::MAX,
            slow_start: SlowStart::default(),
            recovery_began: None,
            w_max: 0.0,
            epoch: None,
            before_loss: None,
            last_acked_at: Instant::ZERO,
        }
    }

    /// For packets of `segment` bytes, with this window and no slow start.
    pub(super) fn resume(segment: u64, window: u64) -> Self {
        let mut cubic = Cubic::new(segment);
        cubic.window = window.clamp(cubic.min_window, MAX_WINDOW);
        (cubic.threshold, cubic.w_max) = (cubic.window, cubic.segments());
        cubic
    }

    fn segments(&self) -> f64 {
        self.window as f64 / self.segment
    }

    fn grow(&mut self, bytes: f64) {
        self.fraction += bytes.max(0.0);
        self.window = (self.window + self.fraction as u64).min(MAX_WINDOW);
        self.fraction = self.fraction.fract();
    }

    /// Leaves so much of the window.
    fn back_off(&mut self, now: Instant, beta: f64) {
        (self.recovery_began, self.epoch) = (Some(now), None);
        let window = self.segments();
        // Fast convergence, section 4.7: leave room for a flow that has come.
        self.w_max = if window < self.w_max { window * (1.0 + beta) / 2.0 } else { window };
        self.window = ((self.window as f64 * beta) as u64).max(self.min_window);
        self.threshold = self.window;
    }

    /// Sections 4.2 to 4.5.
    fn avoid_congestion(&mut self, now: Instant, acked: Acked) {
        let (window, w_max) = (self.segments(), self.w_max);
        let epoch = self.epoch.get_or_insert_with(|| {
            let k = if w_max > window { ((w_max - window) / C).cbrt() } else { 0.0 };
            Epoch { began: now, k, origin: w_max.max(window), w_est: window, w_prior: w_max }
        });
        if !acked.window_limited {
            // Section 5.8: time in which the window was not used does not count.
            epoch.began = epoch.began + now.saturating_since(self.last_acked_at);
            return;
        }
        let cubic = |t: f64| C * (t - epoch.k).powi(3) + epoch.origin;
        let t = now.saturating_since(epoch.began).as_secs_f64();
        let acked_segments = acked.bytes as f64 / self.segment;
        let alpha = if epoch.w_est < epoch.w_prior { ALPHA } else { 1.0 };
        epoch.w_est += alpha * acked_segments / window;
        let target = if cubic(t) < epoch.w_est {
            epoch.w_est
        } else {
            let target = cubic(t + acked.smoothed_rtt.as_secs_f64()).clamp(window, window * 1.5);
            window + (target - window) / window * acked_segments
        };
        self.grow((target - window) * self.segment);
    }
}

impl Controller for Cubic {
    fn on_packet_size(&mut self, bytes: u64) {
        // Sizes in segments keep what they were in bytes.
        let before = core::mem::replace(&mut self.segment, bytes.max(1) as f64);
        self.w_max *= before / self.segment;
        self.before_loss = None;
        self.epoch = None;
        self.min_window = MIN_WINDOW_PACKETS * bytes.max(1);
        self.window = self.window.max(self.min_window);
    }

    fn on_acked(&mut self, now: Instant, acked: Acked) {
        let in_recovery = self.recovery_began.is_some_and(|began| acked.sent_at <= began);
        if in_recovery {
            // No growth until something that was sent after the loss arrives.
        } else if self.window >= self.threshold {
            self.avoid_congestion(now, acked);
        } else if acked.window_limited {
            match self.slow_start.on_acked(now, acked.sent_at, acked.latest_rtt, acked.bytes) {
                Growth::Bytes(bytes) => self.grow(bytes as f64),
                Growth::Over => {
                    self.threshold = self.window;
                    self.w_max = self.segments();
                }
            }
        }
        self.last_acked_at = now;
    }

    fn on_lost(&mut self, now: Instant, lost: Lost) {
        let sent_at = lost.sent_at;
        if self.recovery_began.is_some_and(|began| sent_at <= began) {
            if let Some(before) = &mut self.before_loss {
                before.lost = before.lost.saturating_add(lost.bytes);
            }
            return;
        }
        let (window, threshold, w_max) = (self.window, self.threshold, self.w_max);
        self.before_loss = Some(BeforeLoss { lost: lost.bytes, window, threshold, w_max });
        self.back_off(now, BETA);
    }

    fn on_marked(&mut self, now: Instant, marked: Marked) {
        if self.recovery_began.is_none_or(|began| marked.sent_at > began) {
            self.before_loss = None;
            self.back_off(now, BETA_MARKED);
        }
    }

    /// If nothing was lost at all, the window is what it was (RFC 9438, section 4.9.2).
    fn on_spurious_loss(&mut self, bytes: u64) {
        let Some(before) = &mut self.before_loss else { return };
        before.lost = before.lost.saturating_sub(bytes);
        if before.lost == 0 {
            self.window = self.window.max(before.window);
            (self.threshold, self.w_max) = (before.threshold, before.w_max);
            (self.before_loss, self.recovery_began, self.epoch) = (None, None, None);
        }
    }

    fn on_persistent_congestion(&mut self) {
        self.window = self.min_window;
        self.before_loss = None;
        self.slow_start = SlowStart::default();
        self.epoch = None;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> u64 {
        // A quarter faster than the window allows (RFC 9002, section 7.7); twice in slow start, which grows
        // while it sends.
        let (factor, divisor) = if self.window < self.threshold { (2, 1) } else { (5, 4) };
        let nanos = smoothed_rtt.as_nanos().max(1);
        let rate = u128::from(self.window) * 1_000_000_000 * factor / (nanos * divisor);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    /// Acknowledges whole windows for so many round trips.
    fn lost(sent_at: Instant) -> Lost {
        Lost { bytes: 1, sent_at, in_flight: 1 }
    }

    fn round_trips(cubic: &mut Cubic, now: &mut Instant, count: u32, window_limited: bool) {
        for _ in 0..count {
            let sent_at = *now;
            *now = *now + RTT;
            let bytes = cubic.window() / 20;
            for _ in 0..20 {
                let (latest_rtt, smoothed_rtt) = (RTT, RTT);
                let (in_flight, delivered, rate) = (0, 0, None);
                let acked =
                    Acked { bytes, sent_at, latest_rtt, smoothed_rtt, window_limited, in_flight, delivered, rate };
                cubic.on_acked(*now, acked);
            }
        }
    }

    fn at_100_packets_after_a_loss() -> (Cubic, Instant) {
        let mut cubic = Cubic::new(1_000);
        let now = Instant::from_nanos(1_000_000_000);
        cubic.window = 100_000;
        cubic.on_lost(now, lost(now));
        (cubic, now)
    }

    #[test]
    fn the_window_doubles_each_round_trip_until_the_first_loss() {
        let (mut cubic, mut now) = (Cubic::new(1_000), Instant::from_nanos(1_000_000_000));
        assert_eq!(cubic.window(), 10_000);
        round_trips(&mut cubic, &mut now, 3, true);
        assert_eq!(cubic.window(), 80_000);
        cubic.on_lost(now, lost(now));
        assert_eq!(cubic.window(), 56_000);
    }

    #[test]
    fn large_packets_start_with_two() {
        assert_eq!(Cubic::new(65_000).window(), 130_000);
    }

    #[test]
    fn losses_of_one_round_trip_are_one_event() {
        let (mut cubic, now) = at_100_packets_after_a_loss();
        cubic.on_lost(now + RTT, lost(now));
        assert_eq!(cubic.window(), 70_000);
        cubic.on_lost(now + RTT, lost(now + RTT / 2));
        assert_eq!(cubic.window(), 49_000);
    }

    #[test]
    fn the_climb_is_flat_where_the_loss_was_and_steep_before_and_after() {
        let (mut cubic, mut now) = (Cubic::new(1_000), Instant::from_nanos(1_000_000_000));
        cubic.window = 1_000_000;
        cubic.on_lost(now, lost(now));
        // K = cbrt(300 / 0.4) = 9.1 s.
        let mut seconds = |count: u32| {
            let before = cubic.window();
            round_trips(&mut cubic, &mut now, count * 20, true);
            cubic.window() - before
        };
        let (steep, flat, steep_again) = (
            seconds(4),
            {
                seconds(4);
                seconds(3)
            },
            {
                seconds(4);
                seconds(4)
            },
        );
        assert!(steep > 200_000 && flat < 20_000 && steep_again > 200_000, "{steep} {flat} {steep_again}");
        assert!(cubic.window() > 1_300_000);
    }

    #[test]
    fn on_a_short_path_it_grows_as_reno_would() {
        let (mut cubic, mut now) = at_100_packets_after_a_loss();
        round_trips(&mut cubic, &mut now, 20, true);
        // 70 + 20 * 0.53 segments; CUBIC alone would be slower at first, then at 83.
        assert!((79_000..=90_000).contains(&cubic.window()), "{}", cubic.window());
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let (mut cubic, mut now) = at_100_packets_after_a_loss();
        round_trips(&mut cubic, &mut now, 200, false);
        assert_eq!(cubic.window(), 70_000);
        round_trips(&mut cubic, &mut now, 2, true);
        assert!(cubic.window() < 80_000, "and the pause does not count as time: {}", cubic.window());
    }

    #[test]
    fn it_never_falls_under_two_packets_and_recovers_from_there() {
        let (mut cubic, mut now) = at_100_packets_after_a_loss();
        cubic.on_persistent_congestion();
        assert_eq!(cubic.window(), 2_000);
        round_trips(&mut cubic, &mut now, 6, true);
        assert!(cubic.window() >= 64_000, "exponentially: {}", cubic.window());
        for _ in 0..100 {
            now = now + RTT;
            cubic.on_lost(now, lost(now));
        }
        assert_eq!(cubic.window(), 2_000);
    }

    #[test]
    fn the_window_is_bounded() {
        let (mut cubic, mut now) = (Cubic::new(65_000), Instant::ZERO);
        round_trips(&mut cubic, &mut now, 100, true);
        assert_eq!(cubic.window(), MAX_WINDOW);
        assert!(cubic.pacing_rate(Duration::ZERO) > 0);
    }

    #[test]
    fn below_the_last_loss_it_grows_as_a_reno_flow_that_backs_off_less_and_then_as_reno() {
        // At 1 ms a round trip the cubic curve hardly moves.
        let (mut cubic, now) = at_100_packets_after_a_loss();
        let mut window_after = |millis: u64| {
            let rtt = Duration::from_millis(1);
            let sent_at = now + Duration::from_millis(millis);
            let bytes = cubic.window();
            let acked = Acked {
                bytes,
                sent_at,
                latest_rtt: rtt,
                smoothed_rtt: rtt,
                window_limited: true,
                in_flight: 0,
                delivered: 0,
                rate: None,
            };
            cubic.on_acked(sent_at + rtt, acked);
            cubic.window()
        };
        let grown: Vec<u64> = (1..=100).map(&mut window_after).collect();
        // 70 + 0.53 a round trip is 100 after 57.
        assert!((85_000..87_000).contains(&grown[29]), "{}", grown[29]);
        assert!((138_000..145_000).contains(&grown[99]), "{}", grown[99]);
    }

    #[test]
    fn the_way_to_the_cubic_curve_is_spread_over_a_round_trip() {
        let mut cubic = Cubic::new(1_000);
        let now = Instant::from_nanos(1_000_000_000);
        cubic.window = 1_000_000;
        cubic.on_lost(now, lost(now));
        let acked = |bytes| Acked {
            bytes,
            sent_at: now + RTT,
            latest_rtt: RTT,
            smoothed_rtt: RTT,
            window_limited: true,
            in_flight: 0,
            delivered: 0,
            rate: None,
        };
        cubic.on_acked(now + 2 * RTT, acked(1_000));
        cubic.on_acked(now + 2 * RTT + RTT / 2, acked(1_000));
        let after_one_packet = cubic.window();
        // From there K = 9.1 s: 0.4 * (9.1^3 - 9.05^3) = 5 segments in a round trip, a 700th of it for each.
        assert!((700_001..700_020).contains(&after_one_packet), "{after_one_packet}");
    }

    #[test]
    fn a_loss_below_the_last_one_leaves_room_for_others() {
        let (mut cubic, now) = at_100_packets_after_a_loss();
        assert_eq!(cubic.w_max, 100.0);
        cubic.window = 100_000;
        cubic.on_lost(now + RTT, lost(now + RTT));
        assert_eq!(cubic.w_max, 100.0, "not below");
        cubic.window = 80_000;
        cubic.on_lost(now + 2 * RTT, lost(now + 2 * RTT));
        assert_eq!(cubic.w_max, 80.0 * (1.0 + BETA) / 2.0);
    }
}
