use super::*;
use crate::link::Outbound;
use crate::link::testing::{Message, Pair, carry, client, server};
use crate::wire::codec::encode;
use proptest::prelude::*;

fn message(text: &str) -> Message {
    (text.to_owned(), 7)
}

/// What the server says to these bytes within records of the client.
fn feed(pair: &mut Pair, now: Instant, frames: &[u8]) -> Vec<Output<Message>> {
    pair.client.1.push(frames).unwrap();
    carry(now, &mut pair.client.1, (&mut pair.server.0, &mut pair.server.1))
}

fn violation(said: &[Output<Message>]) -> Option<Violation> {
    match said {
        [Output::Close(Some(violation))] => Some(*violation),
        _ => None,
    }
}

fn handle(inbound: &mut Inbound<Message>, now: Instant, input: Input<'_>) -> Vec<Output<Message>> {
    let mut out = Vec::new();
    inbound.handle(now, input, &mut out);
    out
}

#[test]
fn silence_closes_in_the_handshake_and_in_a_frame_but_not_between_frames() {
    for mut inbound in [client(Instant::ZERO).0, server(Instant::ZERO).0] {
        assert_eq!(inbound.deadline(), Some(Instant::ZERO + HANDSHAKE_DEADLINE));
        let said = handle(&mut inbound, Instant::ZERO + HANDSHAKE_DEADLINE, Input::Woke);
        assert_eq!(violation(&said), Some(Violation::SilentHandshake));
    }
    let mut pair = Pair::established();
    assert_eq!(pair.server.0.deadline(), None);
    assert!(feed(&mut pair, Instant::ZERO, &[0, 0]).is_empty());
    // More bytes of the same frame do not buy more time.
    assert!(feed(&mut pair, Instant::ZERO + FRAME_DEADLINE / 2, &[0]).is_empty());
    let said = handle(&mut pair.server.0, Instant::ZERO + FRAME_DEADLINE, Input::Woke);
    assert_eq!(violation(&said), Some(Violation::SilentFrame));
    assert_eq!(pair.server.0.deadline(), None);
}

#[test]
fn part_of_the_handshake_buys_no_time_and_part_of_a_record_no_more_than_a_frame() {
    let (mut inbound, mut outbound) = server(Instant::ZERO);
    let (_, mut hello) = client(Instant::ZERO);
    assert!(carry(Instant::ZERO, &mut hello, (&mut inbound, &mut outbound)).is_empty());
    assert!(!outbound.pending().is_empty() && inbound.deadline() == Some(Instant::ZERO + HANDSHAKE_DEADLINE));

    let mut pair = Pair::established();
    assert!(handle(&mut pair.server.0, Instant::ZERO, Input::Bytes(&mut [0])).is_empty());
    assert_eq!(pair.server.0.deadline(), Some(Instant::ZERO + FRAME_DEADLINE));
}

#[test]
fn misbehaviour_closes_with_its_reason() {
    for (bytes, why) in [
        (&[0xff; 8][..], DecodeError::TooLong),
        (&[0, 0, 0, 0], DecodeError::Empty),
        (&[0, 0, 0, 1, 0xc1], DecodeError::Malformed),
    ] {
        assert_eq!(violation(&feed(&mut Pair::established(), Instant::ZERO, bytes)), Some(why.into()));
    }
    let mut http = *b"GET / HTTP/1.1\r\n";
    let said = handle(&mut server(Instant::ZERO).0, Instant::ZERO, Input::Bytes(&mut http));
    assert_eq!(violation(&said), Some(PreambleError::NotToom.into()));
}

#[test]
fn a_record_in_clear_altered_or_too_long_closes() {
    let frame = encode(&message("hello"));
    let mut pair = Pair::established();
    let said = handle(&mut pair.server.0, Instant::ZERO, Input::Bytes(&mut frame.to_vec()));
    assert_eq!(violation(&said), Some(RecordForged.into()));

    let mut pair = Pair::established();
    pair.client.1.push(&frame).unwrap();
    pair.client.1.seal(Instant::ZERO);
    let mut record = pair.client.1.pending().to_vec();
    record[5] ^= 1;
    let said = handle(&mut pair.server.0, Instant::ZERO, Input::Bytes(&mut record));
    assert_eq!(violation(&said), Some(RecordForged.into()));

    let said = handle(&mut Pair::established().server.0, Instant::ZERO, Input::Bytes(&mut [0x7f, 0xff]));
    assert_eq!(violation(&said), Some(RecordForged.into()));
}

#[test]
fn an_end_within_a_frame_is_told_from_an_end_between_frames() {
    for (bytes, why) in [(&[][..], None), (&[0, 0, 0], Some(Violation::Truncated))] {
        let mut pair = Pair::established();
        feed(&mut pair, Instant::ZERO, bytes);
        let said = handle(&mut pair.server.0, Instant::ZERO, Input::Ended);
        assert!(matches!(said[..], [Output::Close(end)] if end == why), "{said:?}");
        assert!(feed(&mut pair, Instant::ZERO, b"more").is_empty());
    }
    for mut inbound in [client(Instant::ZERO).0, server(Instant::ZERO).0] {
        let said = handle(&mut inbound, Instant::ZERO, Input::Ended);
        assert_eq!(violation(&said), Some(Violation::Truncated));
    }
}

proptest! {
    #[test]
    fn messages_survive_any_split_and_any_batches(
        messages in prop::collection::vec((".{0,40}", 1usize..900, any::<u32>(), any::<bool>()), 0..20),
        cuts in prop::collection::vec(0usize..20_000, 1..40),
    ) {
        let (mut client, mut server) = (client(Instant::ZERO), server(Instant::ZERO));
        let mut cuts = cuts.iter().cycle();
        let mut pass = |from: &mut Outbound, to: (&mut Inbound<Message>, &mut Outbound), said: &mut Vec<Message>| {
            from.seal(Instant::ZERO);
            let mut bytes = from.pending().to_vec();
            from.written(bytes.len());
            let mut rest = bytes.as_mut_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at_mut((*cuts.next().unwrap() + 1).min(rest.len()));
                for output in handle(to.0, Instant::ZERO, Input::Bytes(now)) {
                    match output {
                        Output::Handshake(bytes) => to.1.push_handshake(&bytes),
                        Output::Established(established) => to.1.establish(*established),
                        Output::Message(message) => said.push(message),
                        Output::Close(why) => panic!("{why:?}"),
                    }
                }
                rest = later;
            }
        };
        let (mut arrived, mut none) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            pass(&mut client.1, (&mut server.0, &mut server.1), &mut none);
            pass(&mut server.1, (&mut client.0, &mut client.1), &mut none);
        }
        let mut sent = Vec::new();
        for (text, times, number, flush) in messages {
            let message = (text.repeat(times), number);
            client.1.push(&encode(&message)).unwrap();
            sent.push(message);
            if flush {
                pass(&mut client.1, (&mut server.0, &mut server.1), &mut arrived);
            }
        }
        pass(&mut client.1, (&mut server.0, &mut server.1), &mut arrived);
        prop_assert!(none.is_empty());
        prop_assert_eq!(arrived, sent);
    }

    #[test]
    fn random_bytes_never_panic_and_close_at_most_once(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        within: bool,
    ) {
        let mut pair = Pair::established();
        let mut said = Vec::new();
        for _ in 0..2 {
            match within {
                true => said.extend(feed(&mut pair, Instant::ZERO, &bytes)),
                false => said.extend(handle(&mut pair.server.0, Instant::ZERO, Input::Bytes(&mut bytes.clone()))),
            }
        }
        let (mut inbound, _) = server(Instant::ZERO);
        said.extend(handle(&mut inbound, Instant::ZERO, Input::Bytes(&mut bytes.clone())));
        prop_assert!(said.iter().filter(|output| matches!(output, Output::Close(_))).count() <= 2);
    }
}
