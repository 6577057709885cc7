use toom_core::client::io::Progress;
use toom_core::config::TransferConfig;
use toom_core::wire::ecn::{Ecn, EcnCounts};
use toom_core::wire::packet::PacketNumber;
use toom_core::wire::peer_frame::{put_ack, put_ping};

use super::super::made_up::{
    ID, RECEIVER, SENDER, STREAM_HEADER, Story, address, datagram, index, listen, packet, start, stream,
};
use super::*;

fn story() -> Story {
    let mut story = Story::new(Datagrams::default());
    [SENDER, RECEIVER].into_iter().for_each(|client| story.listens(client));
    story
}

fn ping() -> Vec<u8> {
    let mut frame = Vec::new();
    put_ping(&mut frame);
    frame
}

fn ack(ranges: &[core::ops::Range<u64>]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_ack(&mut frame, 0, ranges.iter().cloned(), EcnCounts::default(), 100);
    frame
}

/// The sender has sent so many packets, and the receiver has heard of all but the last.
fn sent(count: u64) -> Story {
    let mut story = story();
    for number in 0..count {
        story.sends(SENDER, address(RECEIVER), packet(number, ping()));
        if number + 1 < count {
            story.opens(RECEIVER, address(SENDER), number, &ping());
        }
    }
    assert_eq!(story.broken(), None);
    story
}

#[test]
fn what_was_sent_is_opened() {
    let mut story = sent(3);
    story.opens(RECEIVER, address(SENDER), 2, &ping());
    assert_eq!(story.broken(), None);
    let noise = [200; 50];
    let from = address(SENDER);
    story.tell(Observation::DatagramArrives { client: RECEIVER, from, datagram: &noise, opened: false });
    assert_eq!(story.broken(), None);
}

#[test]
fn what_nobody_sent_is_not() {
    let mut never_sent = sent(3);
    never_sent.opens(RECEIVER, address(SENDER), 3, &ping());
    assert_eq!(never_sent.broken(), Some(OPENED_WAS_SEALED));
    let mut changed = sent(3);
    let (from, datagram) = (address(SENDER), datagram(SENDER, 2, b"changed"));
    changed.tell(Observation::DatagramArrives { client: RECEIVER, from, datagram: &datagram, opened: true });
    assert_eq!(changed.broken(), Some(OPENED_WAS_SEALED));
    let mut reflected = sent(1);
    reflected.opens(SENDER, address(RECEIVER), 0, &ping());
    assert_eq!(reflected.broken(), Some(OPENED_WAS_SEALED));
}

#[test]
fn what_is_not_opened_is_not_heard_of() {
    let mut story = sent(2);
    let (from, bytes) = (address(SENDER), datagram(SENDER, 1, b"sealed"));
    story.tell(Observation::DatagramArrives { client: RECEIVER, from, datagram: &bytes, opened: false });
    let header = Header { epoch: 0, index: index(RECEIVER), number: PacketNumber(1) };
    story.hears(RECEIVER, Input::Datagram { from, header, payload: &ping(), ecn: Ecn::NotCapable });
    assert_eq!(story.broken(), Some(HEARD_WAS_OPENED));
}

#[test]
fn a_replay_that_has_an_effect_is_found() {
    for output in [
        Output::Write { transfer: ID, offset: 0, range: STREAM_HEADER..STREAM_HEADER + 1 },
        Output::Report(toom_core::client::io::Report {
            transfer: ID,
            progress: Progress::Moving { bytes: 1, rate_bps: 1, path: Default::default() },
        }),
        Output::Close { transfer: ID, keep: false },
    ] {
        let mut story = sent(2);
        story.opens(RECEIVER, address(SENDER), 0, &ping());
        assert_eq!(story.broken(), None);
        story.says(RECEIVER, output);
        assert_eq!(story.broken(), Some(REPLAY_CHANGES_NOTHING));
    }
}

#[test]
fn a_replay_that_sets_a_deadline_is_found() {
    let mut story = sent(2);
    story.opens(RECEIVER, address(SENDER), 0, &ping());
    let mut transfers = Transfers::new(TransferConfig::default(), toom_core::secure::SecretKey::new([1; 32]), [1; 32]);
    story.tell(Observation::TransfersHandled(RECEIVER, &transfers));
    assert_eq!(story.broken(), None);
    transfers.handle(Instant::ZERO, Input::Start(start(RECEIVER)), &mut Vec::new());
    story.tell(Observation::TransfersHandled(RECEIVER, &transfers));
    assert_eq!(story.broken(), Some(REPLAY_CHANGES_NOTHING));
}

#[test]
fn what_was_not_taken_may_be_taken_when_it_comes_again() {
    let mut story = sent(1);
    let payload = stream(0, b"a");
    story.opens(RECEIVER, address(SENDER), 0, &payload);
    story.opens(RECEIVER, address(SENDER), 0, &payload);
    story.says(RECEIVER, Output::Write { transfer: ID, offset: 0, range: STREAM_HEADER..STREAM_HEADER + 1 });
    assert_eq!(story.broken(), None);
}

#[test]
fn a_number_that_is_used_again_is_found() {
    let mut story = sent(5);
    story.sends(SENDER, address(RECEIVER), packet(3, ping()));
    assert_eq!(story.broken(), Some(NUMBERS_ARE_USED_ONCE));
}

#[test]
fn one_secret_for_two_transfers_is_nobody_elses_business() {
    let mut story = sent(2);
    let (transfer, local_index) = (OfferId(8), PeerIndex(200));
    story.hears(SENDER, Input::Start(Start { transfer, local_index, ..start(SENDER) }));
    let Output::Listen { keys, .. } = listen(SENDER) else { unreachable!() };
    story.says(SENDER, Output::Listen { index: local_index, transfer, keys });
    let (to, packets) = (address(RECEIVER), vec![packet(0, ping())]);
    story.says(
        SENDER,
        Output::Burst(Burst {
            transfer,
            to,
            index: PeerIndex(201),
            segment_size: 100,
            epoch: 0,
            ecn_capable: false,
            packets,
        }),
    );
    story.tell(Observation::DatagramSent { client: SENDER, to, datagram: &datagram(SENDER, 0, b"other") });
    assert_eq!(story.broken(), None);
}

#[test]
fn the_other_end_has_numbers_of_its_own() {
    let mut story = sent(5);
    story.sends(RECEIVER, address(SENDER), packet(3, ping()));
    assert_eq!(story.broken(), None);
}

#[test]
fn an_acknowledgement_of_what_has_not_arrived_is_found() {
    let mut honest = sent(5);
    honest.sends(RECEIVER, address(SENDER), packet(0, ack(&[2..4, 0..1])));
    assert_eq!(honest.broken(), None);
    let mut early = sent(5);
    early.sends(RECEIVER, address(SENDER), packet(0, ack(&[4..5, 2..3])));
    assert_eq!(early.broken(), Some(ONLY_ARRIVED_IS_ACKNOWLEDGED));
}

#[test]
fn what_an_end_sent_before_it_was_gone_may_arrive_when_the_other_one_has_come() {
    let mut story = Story::new(Datagrams::default());
    story.listens(RECEIVER);
    story.sends(RECEIVER, address(SENDER), packet(0, ping()));
    story.says(RECEIVER, Output::Forget { index: index(RECEIVER), transfer: ID });
    story.listens(SENDER);
    story.opens(SENDER, address(RECEIVER), 0, &ping());
    assert_eq!(story.broken(), None);
}

#[test]
fn nothing_is_remembered_once_both_ends_are_gone() {
    let mut datagrams = Datagrams::default();
    let at = Moment { now: Instant::ZERO, wall: toom_core::time::Timestamp::from_millis(0) };
    for client in [SENDER, RECEIVER] {
        let start = Input::Start(start(client));
        datagrams.observe(at, &Observation::TransfersHear(client, &start)).expect("nothing broken");
        datagrams.observe(at, &Observation::TransfersSay(client, &listen(client))).expect("nothing broken");
    }
    datagrams.sending = Some((SENDER, ID));
    let (client, to, datagram) = (SENDER, address(RECEIVER), &datagram(SENDER, 0, b"sealed")[..]);
    datagrams.observe(at, &Observation::DatagramSent { client, to, datagram }).expect("nothing broken");
    let forget = Output::Forget { index: index(SENDER), transfer: ID };
    datagrams.observe(at, &Observation::TransfersSay(SENDER, &forget)).expect("nothing broken");
    assert_eq!(datagrams.pairs.len(), 1, "the receiver may still hear it");
    datagrams.observe(at, &Observation::ClientEnds(RECEIVER)).expect("nothing broken");
    assert!(datagrams.pairs.is_empty() && datagrams.ends.is_empty() && datagrams.listening.is_empty());
}
