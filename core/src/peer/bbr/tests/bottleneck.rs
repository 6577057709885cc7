//! Several senders at one bottleneck, packet by packet.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::config::Congestion;
use crate::peer::controller::{self, Acked, Controller, Lost};
use crate::peer::delivery::{Delivery, Stamp};
use crate::time::Instant;

const PACKET: u64 = 1_200;

/// A sender that has always something to send.
struct Flow {
    controller: Box<dyn Controller>,
    delivery: Delivery,
    smoothed_rtt: Duration,
    next_at: Instant,
    in_flight: u64,
    /// What was dropped is noticed with the next acknowledgement of what left later.
    dropped: VecDeque<(u64, Instant, Stamp)>,
    sent: u64,
}

/// What happens when a packet comes back.
struct Packet {
    flow: usize,
    number: u64,
    sent_at: Instant,
    stamp: Stamp,
}

struct Bottleneck {
    rate: u64,
    delay: Duration,
    queue: u64,
    free_at: Instant,
    /// Acknowledgements on their way.
    flying: BTreeMap<(Instant, u64), Packet>,
    count: u64,
    flows: Vec<Flow>,
    now: Instant,
}

impl Bottleneck {
    fn new(rate: u64, round_trip: Duration, queue: u64) -> Bottleneck {
        let now = Instant::from_nanos(1_000_000_000);
        Bottleneck {
            rate,
            delay: round_trip,
            queue,
            free_at: now,
            flying: BTreeMap::new(),
            count: 0,
            flows: Vec::new(),
            now,
        }
    }

    fn add(&mut self, congestion: Congestion, seed: u64) {
        let controller = controller::new(congestion, PACKET, seed);
        let (delivery, smoothed_rtt) = (Delivery::default(), self.delay);
        let (next_at, in_flight, dropped, sent) = (self.now, 0, VecDeque::new(), 0);
        self.flows.push(Flow { controller, delivery, smoothed_rtt, next_at, in_flight, dropped, sent });
    }

    /// Goes on for a while; what each of them got, in bytes a second.
    fn run(&mut self, time: Duration) -> Vec<u64> {
        let end = self.now + time;
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.delivery.delivered()).collect();
        while self.now < end {
            let sends = (0..self.flows.len()).filter(|n| {
                let flow = &self.flows[*n];
                flow.in_flight + PACKET <= flow.controller.window()
            });
            let next = sends.map(|n| (self.flows[n].next_at.max(self.now), n)).min();
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            match (next, arrival) {
                (Some((at, n)), arrival) if arrival.is_none_or(|arrival| at < arrival) => self.send(at, n),
                (_, Some(_)) => self.acknowledge(),
                _ => unreachable!("somebody may send, or waits for an acknowledgement"),
            }
        }
        let nanos = time.as_nanos();
        let rate = |bytes: u64| u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap();
        self.flows.iter().zip(before).map(|(flow, before)| rate(flow.delivery.delivered() - before)).collect()
    }

    fn send(&mut self, at: Instant, n: usize) {
        self.now = at;
        let flow = &mut self.flows[n];
        let stamp = flow.delivery.on_sent(at, flow.in_flight, PACKET);
        flow.in_flight += PACKET;
        flow.sent += 1;
        let time = |rate: u64| Duration::from_nanos(PACKET * 1_000_000_000 / rate.max(1));
        flow.next_at = at + time(flow.controller.pacing_rate(flow.smoothed_rtt));
        let waiting = self.free_at.saturating_since(at).as_nanos() as u64 * self.rate / 1_000_000_000;
        if waiting + PACKET > self.queue {
            flow.dropped.push_back((flow.sent, at, stamp));
            // So that a window that was dropped altogether is noticed.
            self.count += 1;
            return;
        }
        self.free_at = self.free_at.max(at) + time(self.rate);
        self.count += 1;
        let packet = Packet { flow: n, number: flow.sent, sent_at: at, stamp };
        self.flying.insert((self.free_at + self.delay, self.count), packet);
    }

    fn acknowledge(&mut self) {
        let ((at, _), packet) = self.flying.pop_first().expect("something flies");
        self.now = at;
        let flow = &mut self.flows[packet.flow];
        flow.in_flight -= PACKET;
        let rtt = at.saturating_since(packet.sent_at);
        flow.smoothed_rtt = (flow.smoothed_rtt * 7 + rtt) / 8;
        while let Some((number, sent_at, stamp)) = flow.dropped.front().copied()
            && number < packet.number
        {
            flow.dropped.pop_front();
            flow.in_flight -= PACKET;
            flow.controller.on_lost(at, Lost { bytes: PACKET, sent_at, in_flight: stamp.in_flight });
        }
        flow.delivery.on_acked(at, packet.sent_at, packet.stamp, PACKET);
        let acked = Acked {
            bytes: PACKET,
            sent_at: packet.sent_at,
            latest_rtt: rtt,
            smoothed_rtt: flow.smoothed_rtt,
            window_limited: true,
            in_flight: flow.in_flight,
            delivered: flow.delivery.delivered(),
            rate: flow.delivery.sample(at),
        };
        flow.controller.on_acked(at, acked);
    }
}

/// Two senders for a minute, the second a second later: what each of them got.
fn share(round_trip: Duration, kinds: [Congestion; 2]) -> [u64; 2] {
    let rate = 6_250_000;
    let product = rate * round_trip.as_millis() as u64 / 1_000;
    let mut path = Bottleneck::new(rate, round_trip, product);
    path.add(kinds[0], 1);
    path.run(Duration::from_secs(1));
    path.add(kinds[1], 2);
    path.run(Duration::from_secs(1));
    let got = path.run(Duration::from_secs(60));
    [got[0], got[1]]
}

#[test]
fn two_senders_share_a_path_within_a_factor_of_two() {
    for round_trip in [10, 40].map(Duration::from_millis) {
        for kinds in [
            [Congestion::Bbr, Congestion::Bbr],
            [Congestion::Bbr, Congestion::Cubic],
            [Congestion::Cubic, Congestion::Bbr],
        ] {
            let got = share(round_trip, kinds);
            assert!(got[0] < got[1] * 2 && got[1] < got[0] * 2, "{round_trip:?} {kinds:?}: {got:?}");
        }
    }
}
