use toom_core::wire::peer_frame::{put_path_challenge, put_path_response, put_ping};

use super::super::made_up::{RECEIVER, SENDER, Story, address, data_packet, packet};
use super::*;

fn story() -> Story {
    Story::new(Addresses::default())
}

fn elsewhere() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 9))
}

fn frame(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    put(&mut frame);
    frame
}

fn challenge(token: u8) -> Vec<u8> {
    frame(|out| put_path_challenge(out, [token; 8]))
}

fn response(token: u8) -> Vec<u8> {
    frame(|out| put_path_response(out, [token; 8]))
}

/// The sender has the receiver's answer.
fn proven() -> Story {
    let mut story = story();
    story.asks(SENDER, address(RECEIVER));
    story.listens(SENDER);
    story
}

#[test]
fn whoever_is_proven_gets_everything() {
    let mut story = proven();
    for number in 1..100 {
        story.sends(SENDER, address(RECEIVER), data_packet(number, 0, 0, 12));
    }
    assert_eq!(story.broken(), None);
    story.sends(SENDER, address(RECEIVER), packet(100, frame(put_ping)));
    assert_eq!(story.broken(), None);
}

#[test]
fn the_first_packet_proves_where_a_handshake_was_answered_and_nothing_else() {
    for (from, broken) in [(elsewhere(), None), (address(SENDER), Some(MOVES_WITH_A_PROOF))] {
        let mut story = story();
        story.is_asked(RECEIVER, elsewhere());
        story.asks(RECEIVER, elsewhere());
        story.listens(RECEIVER);
        story.opens(RECEIVER, from, 0, &frame(put_ping));
        for number in 0..3 {
            story.sends(RECEIVER, from, packet(number, frame(put_ping)));
        }
        assert_eq!(story.broken(), broken);
    }
}

#[test]
fn whoever_is_not_proven_gets_what_came() {
    let mut story = story();
    story.opens(RECEIVER, address(SENDER), 0, &frame(|out| out.resize(9, 0)));
    story.sends(RECEIVER, address(SENDER), packet(0, challenge(1)));
    assert_eq!(story.broken(), None);
    story.sends(RECEIVER, address(SENDER), packet(1, challenge(1)));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn padding_counts() {
    let mut story = story();
    story.opens(RECEIVER, address(SENDER), 0, &frame(|out| out.resize(9, 0)));
    story.sends(RECEIVER, address(SENDER), Packet { padding: 1, ..packet(0, challenge(1)) });
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn handshakes_are_few_and_only_for_the_address_that_was_told() {
    let mut asking = story();
    for _ in 0..MOST_HANDSHAKES {
        asking.asks(SENDER, address(RECEIVER));
    }
    assert_eq!(asking.broken(), None);
    asking.asks(SENDER, address(RECEIVER));
    assert_eq!(asking.broken(), Some(UNPROVEN_GETS_LITTLE));
    let mut elsewhere_too = story();
    elsewhere_too.asks(SENDER, elsewhere());
    assert_eq!(elsewhere_too.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn a_handshake_is_answered_with_no_more_than_it_had() {
    let mut story = story();
    story.is_asked(RECEIVER, elsewhere());
    story.asks(RECEIVER, elsewhere());
    assert_eq!(story.broken(), None);
    story.asks(RECEIVER, elsewhere());
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn a_response_proves_the_address_that_was_challenged_and_no_other() {
    let mut story = proven();
    for (from, port) in [(elsewhere(), 1), (SocketAddr::from(([192, 0, 2, 1], 10)), 2)] {
        story.opens(SENDER, from, u64::from(port), &[0; 1_000]);
        story.sends(SENDER, from, packet(u64::from(port), challenge(port)));
    }
    story.opens(SENDER, elsewhere(), 3, &response(2));
    assert_eq!(story.broken(), None);
    story.sends(SENDER, elsewhere(), data_packet(4, 0, 0, 12));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_NO_FILE));
}

#[test]
fn file_bytes_wait_for_the_proof() {
    let mut story = story();
    story.opens(SENDER, address(RECEIVER), 0, &[0; 1_000]);
    story.sends(SENDER, address(RECEIVER), data_packet(0, 0, 0, 12));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_NO_FILE));
}

#[test]
fn nobody_else_is_involved() {
    let mut story = story();
    story.sends(SENDER, elsewhere(), packet(0, challenge(1)));
    assert_eq!(story.broken(), Some(GOES_TO_THE_OTHER_END));
}

#[test]
fn an_end_is_followed_after_its_response_and_not_before() {
    let mut followed = proven();
    followed.sends(SENDER, address(RECEIVER), packet(1, frame(put_ping)));
    followed.opens(SENDER, elsewhere(), 1, &[0; 1_000]);
    followed.sends(SENDER, elsewhere(), packet(2, challenge(1)));
    followed.opens(SENDER, elsewhere(), 2, &response(1));
    followed.sends(SENDER, elsewhere(), packet(3, frame(put_ping)));
    assert_eq!(followed.broken(), None);
    followed.sends(SENDER, address(RECEIVER), packet(4, frame(put_ping)));
    assert_eq!(followed.broken(), Some(MOVES_WITH_A_PROOF), "back without another proof");
    let mut early = proven();
    early.opens(SENDER, elsewhere(), 1, &[0; 1_000]);
    early.sends(SENDER, elsewhere(), packet(2, frame(put_ping)));
    assert_eq!(early.broken(), Some(MOVES_WITH_A_PROOF));
}
