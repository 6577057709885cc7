//! A connection alone, or two that hand each other their payloads.

use std::collections::VecDeque;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::config::Congestion;
use crate::peer::controller::Lost;
use crate::wire::ecn::{Ecn, EcnCounts};
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
    Connection::new(
        at(0),
        ConnectionConfig {
            remote: address(remote),
            payload: Some(1_200),
            congestion: Congestion::Cubic,
            limit: None,
            seed: [remote as u8; 32],
        },
    )
}

/// The payloads of packets whose file bytes are all `7`.
fn payloads(flight: Flight) -> Vec<(PacketNumber, Vec<u8>)> {
    let payload = |packet: Packet| {
        let mut payload = Vec::new();
        packet.put_payload(|_| &[7; SLOT_BYTES], &mut payload);
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
            to.receive(now, address(from.1), (number, Ecn::NotCapable), &payload, &mut events);
        }
    }
    events
}

/// Two ends that have agreed on keys, and know where the other one is. The first is at port 1.
fn pair() -> (Connection, Connection) {
    let (mut a, mut b) = (connection(2), connection(1));
    a.begin(at(0), None);
    b.answer(at(0), address(1));
    for millis in 0..4 {
        exchange(at(millis), (&mut a, 1), &mut b, &mut VecDeque::new());
        exchange(at(millis), (&mut b, 2), &mut a, &mut VecDeque::new());
    }
    assert!(a.is_proven() && b.is_proven());
    (a, b)
}

/// What a proven connection says to one more payload of its peer.
fn events_of(payload: &[u8]) -> (Vec<Event>, Connection) {
    let (mut a, _) = pair();
    a.open_receiving(FLOW, 1_000, 500);
    let mut events = Vec::new();
    a.receive(at(10), address(2), (PacketNumber(1_000), Ecn::NotCapable), payload, &mut events);
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
    put_ack(&mut ack_of_unsent, 0, core::iter::once(0..1_000), EcnCounts::default(), 100);
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
fn nothing_is_sent_or_heard_before_there_are_keys() {
    let mut a = connection(2);
    a.open_sending(FLOW, 1_000, 1_000);
    let mut chunks = VecDeque::from([chunk(1_000)]);
    a.receive(at(0), address(2), (PacketNumber(0), Ecn::NotCapable), &[1], &mut Vec::new());
    assert_eq!(
        (a.transmit(at(0), &mut chunks), a.counters(), chunks.len()),
        (None, Counters { payload: 1_200, ..Counters::default() }, 1)
    );
    assert_eq!(a.deadline(), Some(at(0) + IDLE_TIMEOUT));
    a.begin(at(5), None);
    let first = payloads(a.transmit(at(5), &mut chunks).unwrap());
    assert!(matches!(Frames::new(&first[0].1).next(), Some(Ok(Frame::Ping))), "the other end hears from it at once");
    assert_eq!(a.deadline(), Some(at(5)), "and gets the file");
}

#[test]
fn whoever_answered_a_handshake_says_nothing_before_the_first_packet() {
    let mut b = connection(1);
    b.open_sending(FLOW, 1_000, 1_000);
    b.answer(at(0), address(7));
    let mut chunks = VecDeque::from([chunk(1_000)]);
    let mut challenge = Vec::new();
    put_path_challenge(&mut challenge, [5; 8]);
    challenge.resize(1_000, 0);
    assert_eq!(b.transmit(at(0), &mut chunks), None);
    // From another address than the one that was answered.
    b.receive(at(1), address(1), (PacketNumber(0), Ecn::NotCapable), &challenge, &mut Vec::new());
    let left = leaves(at(1), &mut b);
    assert!(matches!(&left[..], [(to, payload)] if *to == address(1) && challenge_in(payload).is_some()));
    assert_eq!(b.transmit(at(1), &mut chunks), None);
    b.receive(at(2), address(7), (PacketNumber(1), Ecn::NotCapable), &[1], &mut Vec::new());
    let flight = b.transmit(at(2), &mut chunks).unwrap();
    assert_eq!((flight.to, flight.segment_size, b.is_proven()), (address(7), 1_200, true));
    let frames = &payloads(flight)[0].1;
    assert!(Frames::new(frames).flatten().any(|frame| frame == Frame::PathResponse([5; 8])));
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
    // Every two seconds one of each asks, and the other answers.
    assert!(a.counters().packets_sent <= 110, "{:?}", a.counters());
    // Alone now: it asks a few times a minute, for as long as a computer may sleep.
    let before = a.counters().packets_sent;
    let now = loop {
        let now = a.deadline().unwrap();
        if a.expire(now) {
            break now;
        }
        while a.transmit(now, &mut VecDeque::new()).is_some() {}
    };
    assert!((end..=end + MAX_PAUSE).contains(&now) && now + KEEP_ALIVE * 2 >= end + MAX_PAUSE, "{now:?}");
    let sent = a.counters().packets_sent - before;
    assert!((600..2_000).contains(&sent), "{sent}");
}

#[test]
fn an_end_that_sleeps_while_it_closes_still_says_so() {
    let (mut a, mut b) = pair();
    a.close(at(10), CloseReason::Cancelled);
    // Longer than it lingers.
    let mut now = at(60_000);
    assert_eq!(a.deadline(), Some(at(10)));
    let events = exchange(now, (&mut a, 1), &mut b, &mut VecDeque::new());
    assert_eq!((events, a.is_over()), (vec![Event::Closed(CloseReason::Cancelled)], false));
    let mut copies = 1;
    while !a.is_over() {
        let next = a.deadline().expect("it is not over");
        assert!(next > now, "a deadline that comes to nothing");
        now = next;
        a.expire(now);
        copies += core::iter::from_fn(|| a.transmit(now, &mut VecDeque::new())).count();
    }
    assert_eq!(copies, CLOSE_COPIES as usize);
}

#[test]
fn both_ends_are_over_when_one_has_closed_and_the_other_has_said_that_it_knows() {
    let (mut a, mut b) = pair();
    a.close(at(10), CloseReason::Done);
    let events = exchange(at(10), (&mut a, 1), &mut b, &mut VecDeque::new());
    assert_eq!((events, b.is_over(), a.is_over()), (vec![Event::Closed(CloseReason::Done)], false, false));
    assert_eq!(b.deadline(), Some(at(10)), "at once");
    let events = exchange(at(10), (&mut b, 2), &mut a, &mut VecDeque::new());
    assert_eq!((events, b.is_over(), a.is_over()), (vec![Event::Closed(CloseReason::Done)], true, true));
    assert_eq!((a.deadline(), b.deadline()), (None, None));
}

/// Closes, and says so as often as it does unasked, to nobody.
fn closed() -> (Connection, Instant) {
    let (mut a, mut now) = (pair().0, at(10));
    a.close(now, CloseReason::Done);
    for _ in 0..CLOSE_COPIES {
        now = a.deadline().unwrap();
        assert_eq!(core::iter::from_fn(|| a.transmit(now, &mut VecDeque::new())).count(), 1);
    }
    assert_eq!(a.deadline(), Some(at(10) + LINGER));
    (a, now)
}

#[test]
fn who_has_missed_all_that_was_said_of_the_end_is_answered_for_some_seconds() {
    let (mut a, mut now) = closed();
    let mut payload = Vec::new();
    put_ping(&mut payload);
    let (mut answers, mut pause) = (0, a.close_interval());
    now = now + pause;
    for number in 1_000..1_004 {
        assert!(!a.is_over());
        a.receive(now, address(2), (PacketNumber(number), Ecn::NotCapable), &payload, &mut Vec::new());
        answers += core::iter::from_fn(|| a.transmit(now, &mut VecDeque::new())).count();
        // Each probe waits twice as long as the one before.
        (now, pause) = (now + pause, pause * 2);
        a.expire(now);
    }
    assert_eq!(answers, 4);
    a.expire(at(10) + LINGER);
    assert!(a.is_over());
}

#[test]
fn a_closed_connection_answers_a_flood_now_and_then_and_is_over_in_time() {
    let (mut a, mut now) = closed();
    let mut payload = Vec::new();
    put_ping(&mut payload);
    let (mut answers, mut number, pause) = (0, 1_000, a.close_interval());
    while !a.is_over() {
        number += 1;
        a.receive(now, address(2), (PacketNumber(number), Ecn::NotCapable), &payload, &mut Vec::new());
        answers += core::iter::from_fn(|| a.transmit(now, &mut VecDeque::new())).count();
        now = now + pause / 100;
        a.expire(now);
        assert!(now <= at(10) + LINGER + pause);
    }
    assert!((10..=(LINGER.as_micros() / pause.as_micros()) as usize).contains(&answers), "{answers}");
}

#[test]
fn a_peer_that_acknowledges_nothing_costs_bounded_memory() {
    let (mut a, _) = pair();
    let mut payload = Vec::new();
    put_ping(&mut payload);
    for number in 1_000..3_000 + 2 * crate::peer::sent::MAX_SENT as u64 {
        // Each out of order, so that each has an acknowledgement of its own.
        a.receive(at(10), address(2), (PacketNumber(number * 2), Ecn::NotCapable), &payload, &mut Vec::new());
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
            a.receive(at(10), address(2), (PacketNumber(1_000 + number as u64), Ecn::NotCapable), payload, &mut events);
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
fn a_newer_packet_from_elsewhere_is_challenged_at_once_and_all_else_goes_where_it_went() {
    let (mut a, _) = pair();
    let mut ping = Vec::new();
    put_ping(&mut ping);
    ping.resize(500, 0);
    for (millis, from, number, challenged) in
        [(10, 2, 5, false), (11, 3, 4, false), (12, 3, 7, true), (13, 3, 8, false)]
    {
        a.receive(at(millis), address(from), (PacketNumber(number), Ecn::NotCapable), &ping, &mut Vec::new());
        let left = leaves(at(millis), &mut a);
        let challenges: Vec<_> = left.iter().filter(|(_, payload)| challenge_in(payload).is_some()).collect();
        assert_eq!(challenges.len(), usize::from(challenged), "packet {number}");
        assert!(challenges.iter().all(|(to, payload)| *to == address(3) && payload.len() + PACKET_OVERHEAD <= 529));
        assert_eq!(left.iter().filter(|(to, _)| *to == address(2)).count(), left.len() - challenges.len());
    }
}

/// Moves `b` to an address, with `a` sending it a file.
fn moved(to: SocketAddr) -> (Connection, Connection, VecDeque<Chunk>) {
    let (mut a, mut b) = pair();
    a.open_sending(FLOW, 60_000, 60_000);
    b.open_receiving(FLOW, 60_000, 60_000);
    a.claim(FLOW, 60_000);
    let mut chunks = VecDeque::from([chunk(60_000)]);
    a.controller.on_lost(at(8), Lost { bytes: 1, sent_at: at(8), in_flight: 1 });
    // All of this is lost, and then b says something from elsewhere.
    while a.transmit(at(10), &mut chunks).is_some() {}
    b.due.ping = true;
    for now in [at(50), at(60)] {
        while let Some(flight) = b.transmit(now, &mut VecDeque::new()) {
            payloads(flight)
                .iter()
                .for_each(|(number, it)| a.receive(now, to, (*number, Ecn::NotCapable), it, &mut Vec::new()));
        }
        for (at_address, payload) in leaves(now, &mut a) {
            if at_address == to {
                let number = PacketNumber(a.sent.next_number().0 - 1);
                b.receive(now, address(1), (number, Ecn::NotCapable), &payload, &mut Vec::new());
            }
        }
    }
    (a, b, chunks)
}

#[test]
fn a_peer_that_answers_elsewhere_is_followed_and_what_was_lost_is_sent_again() {
    for (to, other_host) in [(address(9), false), (([192, 0, 2, 9], 2).into(), true)] {
        let (mut a, _, chunks) = moved(to);
        assert_eq!((a.path.remote(), a.is_proven()), (to, true));
        assert_eq!((a.sent.bytes_in_flight(), a.timers.lost_at), (0, None));
        assert!(a.claim(FLOW, 60_000).is_some(), "what was under way goes there now");
        assert!(chunks[0].length > 0);
        // Ten packets, as for a connection that begins; or what was left of them.
        assert_eq!(a.controller.window() == 12_000, other_host, "{}", a.controller.window());
        assert_eq!(a.rtt.smoothed() == Rtt::new().smoothed(), other_host);
    }
}

/// Whoever knows the keys can give any address as that of a packet: it must not be flooded.
#[test]
fn an_address_that_is_not_proven_gets_no_more_than_came_from_it() {
    let (mut a, _) = pair();
    let mut bytes = BTreeMap::<SocketAddr, (usize, usize)>::new();
    for number in 0..2_000 {
        // A frame of padding, from small to large.
        let mut payload = vec![0; 1 + number / 4];
        payload[0] = 1;
        let from = address([3, 3, 4, 5][number % 4]);
        bytes.entry(from).or_default().0 += payload.len() + PACKET_OVERHEAD;
        let now = at(10 + 10 * number as u64);
        a.receive(now, from, (PacketNumber(100 + number as u64), Ecn::NotCapable), &payload, &mut Vec::new());
        for (to, payload) in leaves(now, &mut a) {
            bytes.entry(to).or_default().1 += payload.len() + PACKET_OVERHEAD;
        }
    }
    bytes.remove(&address(2));
    assert_eq!(bytes.len(), 3);
    assert!(bytes.values().all(|(received, sent)| sent <= received), "{bytes:?}");
    assert!(bytes.values().any(|(_, sent)| *sent > 5_000), "{bytes:?}");
}

#[test]
fn keys_advance_with_time_once_the_other_end_has_the_last_one() {
    let (mut a, mut b) = pair();
    let mut epochs = Vec::new();
    for second in 1..200 {
        let now = at(second * 1_000);
        a.due.ping = true;
        a.expire(now);
        while let Some(flight) = a.transmit(now, &mut VecDeque::new()) {
            epochs.push((second, flight.epoch));
            for (number, payload) in payloads(flight) {
                b.receive(now, address(1), (number, Ecn::NotCapable), &payload, &mut Vec::new());
            }
        }
        exchange(now, (&mut b, 2), &mut a, &mut VecDeque::new());
    }
    let changes: Vec<_> = epochs.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1]).collect();
    assert_eq!(changes, [(60, 1), (120, 2), (180, 3)]);
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
                b.receive(now, address(1), (number, Ecn::NotCapable), &payload, &mut Vec::new());
            }
        }
    }
    assert!(gaps >= 150 && (20..300).contains(&longest), "{gaps} {longest}");
}

#[test]
fn a_burst_is_filled_with_whole_packets() {
    let (connection, large) = (connection(1), {
        let config = ConnectionConfig {
            remote: address(1),
            payload: Some(60_000),
            congestion: Congestion::Cubic,
            limit: None,
            seed: [1; 32],
        };
        Connection::new(at(0), config)
    });
    let packets = connection.data_per_burst(FLOW) / connection.data_per_packet(FLOW);
    assert_eq!(connection.data_per_burst(FLOW), packets * connection.data_per_packet(FLOW));
    assert!((packets + 1) * 1_200 > MAX_BURST_BYTES.min(MAX_BURST_PACKETS * 1_200), "only {packets} packets");
    assert_eq!(large.data_per_burst(FLOW), large.data_per_packet(FLOW));
}

#[test]
fn the_newest_packet_that_arrived_is_counted() {
    let (mut a, _) = pair();
    let before = a.counters().largest_received;
    a.receive(at(9), address(2), (PacketNumber(before.0 + 7), Ecn::NotCapable), &[0], &mut Vec::new());
    assert_eq!(a.counters().largest_received, PacketNumber(before.0 + 7));
}

#[test]
fn bytes_that_are_claimed_again_are_counted() {
    let (mut a, _) = pair();
    a.open_sending(FLOW, 1_000, 1_000);
    assert_eq!(a.claim(FLOW, 1_000), Some(0..1_000));
    a.sending.get_mut(&FLOW).unwrap().on_lost(100..400);
    assert_eq!(a.claim(FLOW, 250), Some(100..350));
    assert_eq!(a.counters().retransmitted_bytes, 250);
}

/// What grows, how much there is of it, and how much there may be. Whoever adds a table adds it here.
#[test]
fn everything_that_grows_is_told_with_its_limit() {
    let (mut a, _) = pair();
    a.open_sending(FLOW, 1_000, 1_000);
    a.open_receiving(FlowId(2), 1_000, 1_000);
    let mut told = Vec::new();
    a.usage(&mut |usage| told.push(format!("{}: {} of {}", usage.what, usage.used, usage.limit)));
    let expected = [
        "packets that may be outstanding: 1 of 65536",
        "packets that were taken for lost: 0 of 4096",
        "ranges of packets that have arrived: 0 of 4096",
        "ranges of a flow to be sent again: 0 of 65536",
        "ranges of a flow to be sent once more: 0 of 65536",
        "ranges of a flow that the other end has: 0 of 131081",
        "ranges of a flow that have arrived: 0 of 4096",
        "bytes of a flow that wait for their owner: 0 of 1000",
    ];
    assert_eq!(told, expected);
}
