use super::*;

const DATA_BLOCKED: Passage = Passage { data: false, acknowledgements: true };
const ACKNOWLEDGEMENTS_BLOCKED: Passage = Passage { data: true, acknowledgements: false };

fn seconds(number: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(number)
}

/// A stream with a window of 1,000 bytes that keeps writes whole.
fn stream() -> Stream {
    let options = StreamOptions { jitter: Duration::ZERO, largest_piece: 1, window: 1_000, ..StreamOptions::default() };
    Stream::new(options, Dice::new(1, "stream"))
}

fn tell(stream: &mut Stream, now: Instant, input: Input<'_>) -> Vec<Output> {
    let mut out = Vec::new();
    stream.handle(now, input, &mut out);
    assert!(stream.deadline().is_none_or(|at| at >= now), "a deadline in the past");
    out
}

/// Wakes the stream whenever it wants, until `until`; what comes when.
fn run(stream: &mut Stream, until: Instant) -> Vec<(Instant, Output)> {
    let mut all = Vec::new();
    while let Some(at) = stream.deadline().filter(|at| *at <= until) {
        all.extend(tell(stream, at, Input::Woke).into_iter().map(|output| (at, output)));
    }
    all
}

fn byte(byte: u8) -> Output {
    Output::Arrived(Item::Bytes(vec![byte]))
}

fn outputs(all: Vec<(Instant, Output)>) -> Vec<Output> {
    all.into_iter().map(|(_, output)| output).collect()
}

#[test]
fn bytes_come_out_in_order_in_pieces_and_then_the_end() {
    let options = StreamOptions {
        delay: Duration::from_millis(1),
        jitter: Duration::from_millis(50),
        largest_piece: 7,
        window: 1_000,
        ..StreamOptions::default()
    };
    let mut stream = Stream::new(options, Dice::new(1, "stream"));
    let sent: Vec<u8> = (0..250).collect();
    assert_eq!(tell(&mut stream, Instant::ZERO, Input::Opened), []);
    let splits = tell(&mut stream, Instant::ZERO, Input::Wrote(&sent));
    assert!(splits.iter().all(|output| *output == Output::Fault(FaultKind::Split)));
    assert_eq!(stream.room(), 750);
    assert_eq!(tell(&mut stream, Instant::ZERO, Input::Ended), []);
    let mut out = outputs(run(&mut stream, seconds(10)));
    let (opened, ended) = (Output::Arrived(Item::Opened), Output::Arrived(Item::Ended));
    assert_eq!((out.remove(0), out.pop()), (opened, Some(ended)));
    assert_eq!(out.len(), splits.len() + 1);
    let mut arrived = Vec::new();
    for output in out {
        match output {
            Output::Arrived(Item::Bytes(bytes)) => arrived.extend_from_slice(&bytes),
            other => panic!("{other:?} among the bytes"),
        }
    }
    assert_eq!((arrived, stream.room()), (sent, 1_000));
}

#[test]
fn a_partition_holds_what_was_written_and_the_window_fills() {
    let mut stream = stream();
    tell(&mut stream, Instant::ZERO, Input::Passage(DATA_BLOCKED));
    assert_eq!(stream.deadline(), None);
    tell(&mut stream, Instant::ZERO, Input::Wrote(&[1, 2]));
    assert_eq!(outputs(run(&mut stream, seconds(59))), [Output::Held]);
    assert_eq!(stream.room(), 998);
    let mended = tell(&mut stream, seconds(59), Input::Passage(Passage::FREE));
    assert_eq!((mended, stream.room(), stream.deadline()), (vec![byte(1), byte(2)], 1_000, None));
}

#[test]
fn without_acknowledgements_bytes_arrive_and_the_window_fills() {
    let mut stream = stream();
    tell(&mut stream, Instant::ZERO, Input::Passage(ACKNOWLEDGEMENTS_BLOCKED));
    tell(&mut stream, Instant::ZERO, Input::Wrote(&[1]));
    assert_eq!(outputs(run(&mut stream, seconds(59))), [byte(1), Output::Held]);
    assert_eq!(stream.room(), 999);
    let mended = tell(&mut stream, seconds(59), Input::Healed);
    assert_eq!((mended, stream.room(), stream.deadline()), (vec![Output::Acknowledged], 1_000, None));
}

#[test]
fn a_connection_opens_only_if_both_ends_hear_each_other() {
    for passage in [DATA_BLOCKED, ACKNOWLEDGEMENTS_BLOCKED] {
        let mut stream = stream();
        tell(&mut stream, Instant::ZERO, Input::Passage(passage));
        tell(&mut stream, Instant::ZERO, Input::Opened);
        assert_eq!(outputs(run(&mut stream, seconds(30))), [Output::Held]);
        let mended = tell(&mut stream, seconds(30), Input::Passage(Passage::FREE));
        assert_eq!(mended, [Output::Arrived(Item::Opened)]);
    }
}

#[test]
fn who_waits_too_long_for_an_acknowledgement_gives_up() {
    for (passage, before) in [(DATA_BLOCKED, vec![]), (ACKNOWLEDGEMENTS_BLOCKED, vec![byte(1)])] {
        let mut stream = stream();
        tell(&mut stream, Instant::ZERO, Input::Passage(passage));
        // Silence may last.
        assert_eq!(run(&mut stream, seconds(3_600)), []);
        tell(&mut stream, seconds(3_600), Input::Wrote(&[1]));
        let all = run(&mut stream, seconds(7_200));
        let delay = StreamOptions::default().delay;
        assert_eq!(all.last(), Some(&(seconds(3_660) + delay, Output::TimedOut)));
        assert_eq!(outputs(all), [before, vec![Output::Held, Output::TimedOut]].concat());
        assert_eq!(tell(&mut stream, seconds(7_200), Input::Healed), []);
    }
}

#[test]
fn what_was_acknowledged_in_time_is_not_waited_for() {
    let mut stream = stream();
    tell(&mut stream, Instant::ZERO, Input::Passage(ACKNOWLEDGEMENTS_BLOCKED));
    tell(&mut stream, Instant::ZERO, Input::Wrote(&[1]));
    run(&mut stream, seconds(50));
    assert_eq!(tell(&mut stream, seconds(50), Input::Passage(DATA_BLOCKED)), [Output::Acknowledged]);
    assert_eq!(run(&mut stream, seconds(1_000)), []);
}

#[test]
fn a_stall_delays_what_falls_into_it_and_counts_only_then() {
    let mut stream = stream();
    tell(&mut stream, Instant::ZERO, Input::Stalled(Duration::from_secs(100)));
    tell(&mut stream, seconds(1), Input::Wrote(&[1, 2]));
    let all = run(&mut stream, seconds(1_000));
    assert!(all.iter().all(|(at, _)| *at == seconds(100)), "{all:?}");
    assert_eq!(outputs(all), [Output::Fault(FaultKind::Stall), byte(1), byte(2)]);

    tell(&mut stream, seconds(1_000), Input::Stalled(Duration::from_secs(100)));
    tell(&mut stream, seconds(2_000), Input::Wrote(&[3]));
    assert_eq!(outputs(run(&mut stream, seconds(2_001))), [byte(3)]);

    tell(&mut stream, seconds(3_000), Input::Stalled(Duration::from_secs(100)));
    tell(&mut stream, seconds(3_000), Input::Wrote(&[4]));
    assert_eq!(run(&mut stream, seconds(3_050)), []);
    let healed = tell(&mut stream, seconds(3_050), Input::Healed);
    assert_eq!(healed, [Output::Fault(FaultKind::Stall), byte(4)]);
}

#[test]
fn a_trickle_gives_few_bytes_at_a_time_at_its_rate() {
    let options = StreamOptions { largest_piece: 4_000, ..StreamOptions::default() };
    let mut stream = Stream::new(options, Dice::new(1, "stream"));
    let sent: Vec<u8> = (0..200).collect();
    tell(&mut stream, Instant::ZERO, Input::Trickles(10));
    tell(&mut stream, Instant::ZERO, Input::Wrote(&sent));
    let mut arrived = Vec::new();
    let mut faults = 0;
    for (at, output) in run(&mut stream, seconds(10)) {
        match output {
            Output::Arrived(Item::Bytes(bytes)) => {
                assert!(bytes.len() as u64 <= LARGEST_DROP);
                arrived.extend_from_slice(&bytes);
                let allowed = 10 * at.saturating_since(Instant::ZERO).as_secs() + 10 + LARGEST_DROP;
                assert!(arrived.len() as u64 <= allowed, "{} bytes at {at:?}", arrived.len());
            }
            other => {
                assert_eq!(other, Output::Fault(FaultKind::Trickle));
                faults += 1;
            }
        }
    }
    assert!((95..=103).contains(&arrived.len()) && faults == 1, "{} bytes", arrived.len());
    for output in tell(&mut stream, seconds(10), Input::Healed) {
        match output {
            Output::Arrived(Item::Bytes(bytes)) => arrived.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((arrived, stream.deadline()), (sent, None));
}
