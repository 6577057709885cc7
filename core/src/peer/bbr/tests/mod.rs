mod bottleneck;

use super::*;
use crate::peer::delivery::Delivery;
use proptest::prelude::*;
use std::collections::VecDeque;

const PACKET: u64 = 1_200;

/// A path that carries so many bytes a second, over which packets go one by one, as the controller says.
struct Path {
    bbr: Bbr,
    delivery: Delivery,
    now: Instant,
    /// When each packet is acknowledged, when it was sent, and what it remembers.
    flying: VecDeque<(Instant, Instant, crate::peer::delivery::Stamp)>,
    free_at: Instant,
    next_at: Instant,
}

impl Path {
    fn new() -> Path {
        let now = Instant::from_nanos(1_000_000_000);
        let (bbr, delivery) = (Bbr::new(PACKET, 1), Delivery::default());
        Path { bbr, delivery, now, flying: VecDeque::new(), free_at: now, next_at: now }
    }

    /// Goes on for a while at this rate, with this round trip; bytes that arrived.
    fn run(&mut self, time: Duration, rate: u64, round_trip: Duration) -> u64 {
        let (end, before) = (self.now + time, self.delivery.delivered());
        while self.now < end {
            let in_flight = self.flying.len() as u64 * PACKET;
            let may_send = in_flight + PACKET <= self.bbr.window();
            let acked_at = self.flying.front().map(|(at, ..)| *at);
            if may_send && acked_at.is_none_or(|at| self.next_at <= at) {
                self.now = self.now.max(self.next_at);
                self.send(in_flight, rate, round_trip);
            } else {
                self.acknowledge(acked_at.expect("something is in flight"));
            }
        }
        self.delivery.delivered() - before
    }

    fn send(&mut self, in_flight: u64, rate: u64, round_trip: Duration) {
        let stamp = self.delivery.on_sent(self.now, in_flight, PACKET);
        let time = |rate: u64| Duration::from_nanos(PACKET * 1_000_000_000 / rate);
        self.free_at = self.free_at.max(self.now) + time(rate);
        self.flying.push_back((self.free_at + round_trip, self.now, stamp));
        self.next_at = self.now + time(self.bbr.pacing_rate(round_trip));
    }

    fn acknowledge(&mut self, at: Instant) {
        self.now = self.now.max(at);
        let (_, sent_at, stamp) = self.flying.pop_front().expect("it is in flight");
        self.delivery.on_acked(self.now, sent_at, stamp, PACKET);
        let rtt = self.now.saturating_since(sent_at);
        let acked = Acked {
            bytes: PACKET,
            sent_at,
            latest_rtt: rtt,
            smoothed_rtt: rtt,
            window_limited: true,
            in_flight: self.flying.len() as u64 * PACKET,
            delivered: self.delivery.delivered(),
            rate: self.delivery.sample(self.now),
        };
        self.bbr.on_acked(self.now, acked);
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn it_finds_the_rate_within_a_few_round_trips_and_drains_its_queue() {
    for (rate, round_trip) in [(1_000_000, 30 * MS), (12_500_000, 50 * MS), (125_000_000, 20 * MS)] {
        let mut path = Path::new();
        path.run(round_trip * 12, rate, round_trip);
        let found = path.bbr.max_rate();
        assert!(found.abs_diff(rate) * 50 < rate, "{rate}: {found}");
        // It sees that this is all there is, while a queue makes round trips longer.
        path.run(round_trip * 12, rate, round_trip);
        assert!(path.bbr.full.reached && path.bbr.phase != Phase::Startup, "{rate}: {:?}", path.bbr.phase);
        let arrived = path.run(round_trip * 100, rate, round_trip);
        let most = u128::from(rate) * (round_trip * 100).as_nanos() / 1_000_000_000;
        assert!(u128::from(arrived) * 100 >= most * 94, "{rate}: {arrived} of {most}");
        let queue = path.free_at.saturating_since(path.now);
        assert!(queue <= round_trip, "{rate}: {queue:?}");
    }
}

#[test]
fn it_follows_a_rate_that_becomes_more_and_one_that_becomes_less() {
    let mut path = Path::new();
    for rate in [5_000_000, 10_000_000, 2_500_000, 5_000_000] {
        path.run(Duration::from_secs(12), rate, 20 * MS);
        let found = path.bbr.max_rate();
        assert!(found.abs_diff(rate) * 20 < rate, "{rate}: {found}");
    }
}

#[test]
fn what_is_lost_at_random_changes_nothing_and_what_is_lost_by_a_queue_does() {
    for (queue, is_lowered) in [(Duration::ZERO, false), (30 * MS, true)] {
        let mut path = Path::new();
        path.run(Duration::from_secs(1), 5_000_000, 50 * MS);
        path.bbr.round_trips = RoundTrips::default();
        path.bbr.round_trips.add(50 * MS + queue);
        path.bbr.round.delivered = 100_000;
        path.bbr.on_lost(path.now, Lost { bytes: 10_000, sent_at: path.now, in_flight: 400_000 });
        assert_eq!(path.bbr.is_too_much(), is_lowered);
        if is_lowered {
            path.bbr.lower(path.now);
            assert!(path.bbr.inflight_longterm.is_some());
        }
    }
}

proptest! {
    /// Whatever acknowledgements and losses say, there is a window and a rate, and they have bounds.
    #[test]
    fn nothing_that_is_said_stops_it_or_lets_it_go_beyond_its_bounds(
        happenings in prop::collection::vec((0..4u8, any::<u32>(), any::<u64>(), any::<u64>()), 0..300),
    ) {
        let mut bbr = Bbr::new(PACKET, 7);
        let (mut now, mut delivered) = (Instant::from_nanos(1), 0_u64);
        for (what, time, a, b) in happenings {
            now = now + Duration::from_nanos(time.into());
            match what {
                0 => bbr.on_lost(now, Lost { bytes: a % 1_000_000, sent_at: now, in_flight: b % (1 << 40) }),
                1 => bbr.on_persistent_congestion(),
                2 => bbr.on_packet_size(1_200 + a % 64_000),
                _ => {
                    delivered = delivered.saturating_add(a % 1_000_000);
                    let mut delivery = Delivery::default();
                    let stamp = delivery.on_sent(now, b % 1_000, a % 65_000);
                    delivery.on_acked(now + Duration::from_nanos(b % 1_000_000), now, stamp, a % 100_000_000);
                    let rtt = Duration::from_nanos(b % 100_000_000_000);
                    bbr.on_acked(now, Acked {
                        bytes: a % 1_000_000,
                        sent_at: now,
                        latest_rtt: rtt,
                        smoothed_rtt: rtt,
                        window_limited: a % 2 == 0,
                        in_flight: b % (1 << 34),
                        delivered,
                        rate: delivery.sample(now),
                    });
                }
            }
            prop_assert!((MIN_PACKETS * bbr.packet..=MAX_WINDOW).contains(&bbr.window()), "{}", bbr.window());
            let rate = bbr.pacing_rate(Duration::from_nanos(b % 1_000_000_000));
            prop_assert!((1..=MAX_RATE * 4).contains(&rate), "{rate}");
        }
    }
}
