use super::*;
use proptest::prelude::*;

fn decode(payload: &[u8]) -> Result<Vec<Frame<'_>>, Malformed> {
    Frames::new(payload).collect()
}

#[test]
fn the_header_of_a_stream_frame_is_as_long_as_it_says_and_comes_back() {
    let offsets = [0, (1 << 30) - 1, 1 << 30, u64::from(u32::MAX), MAX_VARINT - 70_000];
    for (offset, length) in offsets.into_iter().flat_map(|offset| [0, 16_383, 16_384, 65_000].map(|it| (offset, it))) {
        let mut out = Vec::new();
        put_stream_header(&mut out, FlowId(9), offset, length, false);
        let header = out.len();
        assert_eq!(header, stream_header_bytes(offset, length));
        assert!(header <= MAX_STREAM_HEADER_BYTES);
        out.resize(header + length, 7);
        let expected = Frame::Stream { flow: FlowId(9), offset, range: header..header + length, fin: false };
        assert_eq!(decode(&out), Ok(vec![expected]));
    }
    assert_eq!((stream_header_bytes(0, 1_400), stream_header_bytes(1 << 30, 60_000)), (8, MAX_STREAM_HEADER_BYTES));
}

#[test]
fn every_frame_comes_back() {
    let mut out = Vec::new();
    put_ping(&mut out);
    put_max_data(&mut out, FlowId(1), 1 << 40);
    put_path_challenge(&mut out, [1; 8]);
    put_path_response(&mut out, [2; 8]);
    put_verified(&mut out, FlowId(3), [4; 32]);
    put_close(&mut out, CloseReason::Integrity);
    let start = out.len() + stream_header_bytes(77, 5);
    put_stream_header(&mut out, FlowId(1), 77, 5, true);
    out.extend_from_slice(b"hello\0\0\0");
    let expected = vec![
        Frame::Ping,
        Frame::MaxData { flow: FlowId(1), credit: 1 << 40 },
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([2; 8]),
        Frame::Verified { flow: FlowId(3), blake3: [4; 32] },
        Frame::Close(CloseReason::Integrity),
        Frame::Stream { flow: FlowId(1), offset: 77, range: start..start + 5, fin: true },
    ];
    assert_eq!(decode(&out), Ok(expected));
}

#[test]
fn frames_of_later_versions_are_skipped() {
    let mut out = vec![0x3f, 3, 9, 9, 9];
    put_ping(&mut out);
    assert_eq!(decode(&out), Ok(vec![Frame::Unknown, Frame::Ping]));
    assert_eq!(decode(&[0x3f, 3, 9, 9]), Err(Malformed));
}

#[test]
fn nonsense_is_refused() {
    for bad in [
        // An ACK whose first range goes below 0, one whose second does, one with too many ranges.
        [ACK as u8, 3, 0, 4, 0, 0].as_slice(),
        &[ACK as u8, 9, 0, 4, 1, 3, 1, 0],
        &[ACK as u8, 9, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        // A STREAM whose bytes are missing, one of an impossible flow, one that ends after everything.
        &[STREAM as u8, 1, 0, 5, 1, 2, 3, 4],
        &[STREAM as u8, 0x40, 0x40, 0, 0],
        &[STREAM as u8, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7],
        &[PATH_CHALLENGE as u8, 1, 2, 3],
        // PADDING in two bytes.
        &[0x40, 0x00],
    ] {
        assert_eq!(decode(bad), Err(Malformed), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn acks_come_back_with_the_newest_ranges_that_fit(
        steps in prop::collection::vec((1u64..5_000, 1u64..5_000), 1..200),
        delay in 0..=MAX_VARINT,
        room in 52usize..1_200,
        seen in prop::option::of(prop::array::uniform3(1..=MAX_VARINT)),
    ) {
        let (mut ranges, mut at) = (Vec::new(), 0);
        for (gap, length) in steps {
            ranges.push(at + gap..at + gap + length);
            at += gap + length;
        }
        ranges.reverse();
        let ecn = seen.map(|[ect0, ect1, congestion]| EcnCounts { ect0, ect1, congestion });
        let mut out = vec![0; 3];
        prop_assert!(put_ack(&mut out, delay, ranges.iter().cloned(), ecn.unwrap_or_default(), room));
        prop_assert!(out.len() <= 3 + room);
        let frames = decode(&out).unwrap();
        let [Frame::Ack(ack)] = frames.as_slice() else { panic!("{frames:?}") };
        let came_back: Vec<_> = ack.ranges().collect();
        prop_assert_eq!(&came_back[..], &ranges[..came_back.len()]);
        prop_assert!(came_back.len() == ranges.len() || room < 52 + 16 * ranges.len());
        prop_assert_eq!((ack.largest.0, ack.delay_micros, ack.ecn), (ranges[0].end - 1, delay, ecn));
    }

    #[test]
    fn any_bytes_decode_or_are_refused(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        for frame in Frames::new(&payload).flatten() {
            match frame {
                Frame::Ack(ack) => ack.ranges().take(1_000).for_each(|range| assert!(range.start < range.end)),
                Frame::Stream { range, .. } => assert!(payload.get(range).is_some()),
                _ => {}
            }
        }
    }

    #[test]
    fn bent_frames_do_no_harm(at in 0usize..60, to in any::<u8>()) {
        let mut out = Vec::new();
        put_ack(&mut out, 5, [100..120, 50..60, 3..4].into_iter(), EcnCounts::default(), 100);
        put_stream_header(&mut out, FlowId(1), 77, 5, false);
        out.extend_from_slice(b"hello");
        put_close(&mut out, CloseReason::Done);
        let length = out.len();
        out[at % length] = to;
        for frame in Frames::new(&out).flatten() {
            if let Frame::Ack(ack) = frame {
                prop_assert!(ack.ranges().all(|range| range.start < range.end));
            }
        }
    }
}
