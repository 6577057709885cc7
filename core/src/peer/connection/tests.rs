//! A connection alone, or two that hand each other their payloads.

use std::collections::VecDeque;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::wire::packet::PacketNumber;
use crate::wire::peer_frame::{Frame, Frames, put_ack, put_max_data, put_path_challenge, put_ping, put_stream_header};

const FLOW: FlowId = FlowId(1);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn connection(remote: u16) -> Connection {
    Connection::new(at(0), ConnectionConfig { remote: address(remote), payload: 1_200, seed: [remote as u8; 32] })
}

/// The payloads of packets whose file bytes are all `7`.
fn payloads(flight: Flight) -> Vec<(PacketNumber, Vec<u8>)> {
    let payload = |packet: Packet| {
        let mut payload = packet.frames;
        payload.resize(payload.len() + packet.data.map_or(0, |data| data.length), 7);
        payload.resize(payload.len() + packet.padding, 0);
        (packet.number, payload)
    };
    flight.packets.into_iter().map(payload).collect()
}

/// Sends everything that may leave now to the other end.
fn exchange(
    now: Instant,
    from: (&mut Connection, u16),
    to: &mut Connection,
    chunks: &mut VecDeque<Chunk>,
) -> Vec<Event> {
    let mut events = Vec::new();
    from.0.expire(now);
    while let Some(flight) = from.0.transmit(now, chunks) {
        for (number, payload) in payloads(flight) {
            to.receive(now, address(from.1), number, &payload, &mut events);
        }
    }
    events
}

/// Two ends that have proven each other's address. The first is at port 1.
fn pair() -> (Connection, Connection) {
    let (mut a, mut b) = (connection(2), connection(1));
    for millis in 0..4 {
        exchange(at(millis), (&mut a, 1), &mut b, &mut VecDeque::new());
        exchange(at(millis), (&mut b, 2), &mut a, &mut VecDeque::new());
    }
    assert!(a.path.is_proven() && b.path.is_proven());
    (a, b)
}

/// What a proven connection says to one more payload of its peer.
fn events_of(payload: &[u8]) -> (Vec<Event>, Connection) {
    let (mut a, _) = pair();
    a.open_receiving(FLOW, 1_000, 500);
    let mut events = Vec::new();
    a.receive(at(10), address(2), PacketNumber(1_000), payload, &mut events);
    (events, a)
}

fn stream(flow: FlowId, offset: u64, length: usize, fin: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    put_stream_header(&mut payload, flow, offset, length, fin);
    payload.resize(payload.len() + length, 7);
    payload
}

#[test]
fn nonsense_of_the_peer_is_a_violation_and_is_counted() {
    let mut ack_of_unsent = Vec::new();
    put_ack(&mut ack_of_unsent, 0, core::iter::once(0..1_000), 100);
    let mut credit_of_nothing = Vec::new();
    put_max_data(&mut credit_of_nothing, FlowId(5), 1_000);
    for (payload, why) in [
        (Vec::new(), "no frame at all"),
        (vec![0x1a, 1], "half a frame"),
        (ack_of_unsent, "an acknowledgement of what was not sent"),
        (credit_of_nothing, "credit for a flow that is not there"),
        (stream(FlowId(2), 0, 5, false), "bytes of a flow that is not there"),
        (stream(FLOW, 499, 2, false), "bytes beyond the credit"),
        (stream(FLOW, 0, 5, true), "an end that is not the end"),
    ] {
        let (events, connection) = events_of(&payload);
        assert_eq!((events, connection.counters().malformed), (vec![Event::Violation], 1), "{why}");
    }
}

#[test]
fn padding_and_frames_of_later_versions_are_accepted() {
    for payload in [vec![0; 30], vec![0x3f, 2, 9, 9]] {
        let (events, connection) = events_of(&payload);
        assert_eq!((events, connection.counters().malformed), (vec![], 0));
    }
}

#[test]
fn data_waits_for_the_proof_of_the_path() {
    let mut a = connection(2);
    a.open_sending(FLOW, 1_000, 1_000);
    let range = a.claim(FLOW, 1_000).unwrap();
    let mut chunks =
        VecDeque::from([Chunk { flow: FLOW, offset: range.start, slot: SlotId(0), start: 0, length: 1_000 }]);
    let first = payloads(a.transmit(at(0), &mut chunks).unwrap());
    assert!(matches!(Frames::new(&first[0].1).next(), Some(Ok(Frame::PathChallenge(_)))));
    assert_eq!(first[0].1.len() + PACKET_OVERHEAD, 1_200, "padded, so that the size is proven too");
    assert_eq!((a.transmit(at(0), &mut chunks), chunks.len()), (None, 1));
}

#[test]
fn a_challenge_is_answered_at_once_but_with_no_more_than_it_brought() {
    let mut a = connection(2);
    while a.transmit(at(0), &mut VecDeque::new()).is_some() {}
    let mut challenge = Vec::new();
    put_path_challenge(&mut challenge, [5; 8]);
    for (padding, answered) in [(0, false), (1_200, true)] {
        challenge.resize(9 + padding, 0);
        a.receive(at(1), address(2), PacketNumber(padding as u64), &challenge, &mut Vec::new());
        let mut answers = Vec::new();
        while let Some(flight) = a.transmit(at(1), &mut VecDeque::new()) {
            answers.extend(payloads(flight).into_iter().filter(|(_, payload)| {
                !Frames::new(payload).flatten().any(|frame| matches!(frame, Frame::PathChallenge(_)))
            }));
        }
        let bytes: usize = answers.iter().map(|(_, payload)| payload.len() + PACKET_OVERHEAD).sum();
        assert!(bytes <= 3 * (challenge.len() + PACKET_OVERHEAD));
        let response = answers.iter().flat_map(|(_, payload)| Frames::new(payload).flatten());
        assert_eq!(response.into_iter().any(|frame| frame == Frame::PathResponse([5; 8])), answered && bytes > 0);
    }
}

#[test]
fn the_sender_stops_at_the_credit_and_goes_on_with_more_even_if_that_is_lost() {
    let (mut a, mut b) = pair();
    a.open_sending(FLOW, 100_000, 8_000);
    b.open_receiving(FLOW, 100_000, 8_000);
    let (mut now, mut rounds, mut chunks) = (at(100), 0, VecDeque::new());
    while !b.is_complete(FLOW) {
        rounds += 1;
        assert!(rounds < 200, "it came to a stop");
        now = now + Duration::from_millis(10);
        while let Some(range) = a.claim(FLOW, 5_000) {
            let length = (range.end - range.start) as usize;
            chunks.push_back(Chunk { flow: FLOW, offset: range.start, slot: SlotId(0), start: 0, length });
        }
        let before = b.arrived(FLOW);
        exchange(now, (&mut a, 1), &mut b, &mut chunks);
        let new = b.arrived(FLOW) - before;
        assert!(new <= 8_000 && (new > 0 || rounds > 1));
        b.consumed(now, FLOW, new);
        b.expire(now);
        // Every third time, what it says is lost.
        while rounds % 3 == 0 && b.transmit(now, &mut VecDeque::new()).is_some() {}
        exchange(now, (&mut b, 2), &mut a, &mut VecDeque::new());
    }
    assert!(rounds >= 12, "{rounds}");
    assert_eq!(a.claim(FLOW, 1), None);
}

#[test]
fn a_quiet_connection_is_kept_alive_and_a_dead_one_is_not() {
    let (mut a, mut b) = pair();
    let end = at(100_000);
    loop {
        let now = earlier(a.deadline(), b.deadline()).unwrap();
        if now > end {
            break;
        }
        exchange(now, (&mut a, 1), &mut b, &mut VecDeque::new());
        exchange(now, (&mut b, 2), &mut a, &mut VecDeque::new());
    }
    assert!(!a.is_over() && !b.is_over());
    assert!(a.counters().packets_sent < 60, "{:?}", a.counters());
    while !a.is_over() {
        let now = a.deadline().unwrap();
        let timed_out = a.expire(now);
        assert_eq!(timed_out, a.is_over());
        while a.transmit(now, &mut VecDeque::new()).is_some() {}
        assert!(now <= end + IDLE_TIMEOUT);
    }
}

#[test]
fn a_closed_connection_answers_late_packets_for_a_moment_and_then_is_over() {
    let (mut a, mut b) = pair();
    a.close(at(10), CloseReason::Done);
    let events = exchange(at(10), (&mut a, 1), &mut b, &mut VecDeque::new());
    assert_eq!((events, b.is_over(), a.is_over()), (vec![Event::Closed(CloseReason::Done)], true, false));
    let mut payload = Vec::new();
    put_ping(&mut payload);
    let (mut answers, mut now) = (0, at(10));
    for _ in 1..CLOSE_COPIES {
        now = a.deadline().unwrap();
        assert!(a.transmit(now, &mut VecDeque::new()).is_some());
    }
    for number in 1_000..2_000 {
        a.receive(now, address(2), PacketNumber(number), &payload, &mut Vec::new());
        while a.transmit(now, &mut VecDeque::new()).is_some() {
            answers += 1;
        }
    }
    assert!((1..20).contains(&answers), "{answers}");
    while !a.is_over() {
        now = a.deadline().unwrap();
        a.expire(now);
        while a.transmit(now, &mut VecDeque::new()).is_some() {}
        assert!(now < at(10) + MAX_LINGER);
    }
}

#[test]
fn a_peer_that_acknowledges_nothing_costs_bounded_memory() {
    let (mut a, _) = pair();
    let mut payload = Vec::new();
    put_ping(&mut payload);
    for number in 1_000..3_000 + 2 * crate::peer::sent::MAX_SENT as u64 {
        // Each out of order, so that each has an acknowledgement of its own.
        a.receive(at(10), address(2), PacketNumber(number * 2), &payload, &mut Vec::new());
        while a.transmit(at(10), &mut VecDeque::new()).is_some() {}
    }
    assert!(!a.sent.has_room());
    assert!(a.counters().packets_sent <= crate::peer::sent::MAX_SENT as u64 + 20);
    assert!(a.deadline().is_some_and(|deadline| deadline > at(10)), "and no wake that comes to nothing");
}

proptest! {
    #[test]
    fn any_payloads_do_no_harm(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let (mut a, _) = pair();
        a.open_receiving(FLOW, 1_000, 500);
        a.open_sending(FlowId(2), 1_000, 500);
        let mut events = Vec::new();
        for (number, payload) in payloads.iter().enumerate() {
            a.receive(at(10), address(2), PacketNumber(1_000 + number as u64), payload, &mut events);
            for event in events.drain(..) {
                if let Event::Data { range, .. } = event {
                    prop_assert!(payload.get(range).is_some());
                }
            }
            a.expire(at(10));
            while a.transmit(at(10), &mut VecDeque::new()).is_some() {}
            prop_assert!(a.is_over() || a.deadline().is_some_and(|deadline| deadline > at(10)));
        }
    }
}

/// The frames of everything that leaves now, and where it goes.
fn leaves(now: Instant, a: &mut Connection) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut left = Vec::new();
    while let Some(flight) = a.transmit(now, &mut VecDeque::new()) {
        let to = flight.to;
        left.extend(payloads(flight).into_iter().map(|(_, payload)| (to, payload)));
    }
    left
}

fn challenge_in(payload: &[u8]) -> Option<[u8; 8]> {
    Frames::new(payload).flatten().find_map(|frame| match frame {
        Frame::PathChallenge(token) => Some(token),
        _ => None,
    })
}

#[test]
fn the_first_packet_and_a_newer_one_from_elsewhere_are_challenged_at_once() {
    let mut a = connection(2);
    let first = leaves(at(0), &mut a);
    assert!(leaves(at(1), &mut a).is_empty());
    let mut ping = Vec::new();
    put_ping(&mut ping);
    for (millis, from, number, challenged) in [(2, 2, 5, true), (3, 2, 6, false), (4, 3, 4, false), (5, 3, 7, true)] {
        a.receive(at(millis), address(from), PacketNumber(number), &ping, &mut Vec::new());
        let left = leaves(at(millis), &mut a);
        let token = left.iter().find_map(|(_, payload)| challenge_in(payload));
        assert_eq!(token.is_some(), challenged, "packet {number}");
        assert!(left.iter().all(|(to, _)| *to == address(if millis < 5 { 2 } else { 3 })));
        // The other address has another token.
        assert!(token.is_none_or(|token| (Some(token) == challenge_in(&first[0].1)) == (from == 2)));
    }
}

/// Whoever knows the keys can give any address as that of a packet: it must not be flooded.
#[test]
fn an_address_that_was_followed_gets_at_most_three_times_what_came_from_it() {
    let mut a = connection(2);
    leaves(at(0), &mut a);
    let mut bytes = BTreeMap::<SocketAddr, (usize, usize)>::new();
    for number in 0..200 {
        // A frame of padding, from small to large.
        let mut payload = vec![0; 1 + number * 5];
        payload[0] = 1;
        let from = address([3, 3, 4, 5][number % 4]);
        bytes.entry(from).or_default().0 += payload.len() + PACKET_OVERHEAD;
        a.receive(at(number as u64), from, PacketNumber(number as u64), &payload, &mut Vec::new());
        for (to, payload) in leaves(at(number as u64), &mut a) {
            bytes.entry(to).or_default().1 += payload.len() + PACKET_OVERHEAD;
        }
    }
    assert_eq!(bytes.len(), 3);
    for (address, (received, sent)) in bytes {
        assert!(sent > 0 && sent <= 3 * received, "{address}: {sent} for {received}");
    }
}

fn chunk(length: usize) -> Chunk {
    Chunk { flow: FLOW, offset: 0, slot: SlotId(0), start: 0, length }
}

#[test]
fn when_nothing_gets_through_data_probes_leave_and_the_window_starts_anew() {
    let (mut a, mut b) = pair();
    a.open_sending(FLOW, 60_000, 60_000);
    b.open_receiving(FLOW, 60_000, 60_000);
    a.claim(FLOW, 60_000);
    let mut chunks = VecDeque::from([chunk(60_000)]);
    // All of this is lost.
    while a.transmit(at(10), &mut chunks).is_some() {}
    let before = chunks[0].length;
    assert!(before > 40_000, "the window is full");
    let mut now = at(10);
    while now < at(1_000) {
        now = a.deadline().unwrap();
        a.expire(now);
        while a.transmit(now, &mut chunks).is_some() {}
    }
    assert!(chunks[0].length < before, "probes carry data");
    let window = a.controller.window();
    let now = now + Duration::from_secs(2);
    exchange(now, (&mut a, 1), &mut b, &mut chunks);
    exchange(now, (&mut b, 2), &mut a, &mut VecDeque::new());
    assert!(window > 10_000 && a.controller.window() <= 2 * 1_200, "{}", a.controller.window());
}

#[test]
fn acknowledgements_stay_short_once_they_are_acknowledged() {
    let (mut a, mut b) = pair();
    let (mut longest, mut gaps) = (0, 0);
    for round in 0..400u64 {
        let now = at(10 + round * 10);
        b.due.ping = true;
        // About half of what the other end says is lost, without a pattern.
        if round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 {
            gaps += leaves(now, &mut b).len();
            continue;
        }
        exchange(now, (&mut b, 2), &mut a, &mut VecDeque::new());
        a.expire(now);
        while let Some(flight) = a.transmit(now, &mut VecDeque::new()) {
            for (number, payload) in payloads(flight) {
                longest = if round < 100 { 0 } else { longest.max(payload.len()) };
                b.receive(now, address(1), number, &payload, &mut Vec::new());
            }
        }
    }
    assert!(gaps >= 150 && (20..300).contains(&longest), "{gaps} {longest}");
}

#[test]
fn a_burst_is_filled_with_whole_packets() {
    let (connection, large) = (connection(1), {
        let config = ConnectionConfig { remote: address(1), payload: 60_000, seed: [1; 32] };
        Connection::new(at(0), config)
    });
    let packets = connection.data_per_burst() / connection.data_per_packet();
    assert_eq!(connection.data_per_burst(), packets * connection.data_per_packet());
    assert!((packets + 1) * 1_200 > MAX_BURST_BYTES.min(MAX_BURST_PACKETS * 1_200), "only {packets} packets");
    assert_eq!(large.data_per_burst(), large.data_per_packet());
}

#[test]
fn the_newest_packet_that_arrived_is_counted() {
    let (mut a, _) = pair();
    let before = a.counters().largest_received;
    a.receive(at(9), address(2), PacketNumber(before.0 + 7), &[0], &mut Vec::new());
    assert_eq!(a.counters().largest_received, PacketNumber(before.0 + 7));
}
