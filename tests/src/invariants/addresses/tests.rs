use toom_core::wire::peer_frame::{put_path_challenge, put_path_response, put_ping};

use super::super::made_up::{RECEIVER, SENDER, Story, address, data_packet, packet, stream_header};
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

/// The sender has proven where the receiver is.
fn proven() -> Story {
    let mut story = story();
    story.sends(SENDER, address(RECEIVER), packet(0, challenge(1)));
    story.opens(SENDER, address(RECEIVER), 0, &response(1));
    story
}

#[test]
fn whoever_is_proven_gets_everything() {
    let mut story = proven();
    for number in 1..100 {
        story.sends(SENDER, address(RECEIVER), data_packet(number, stream_header(0, 12), 0, 12));
    }
    assert_eq!(story.broken(), None);
    story.sends(SENDER, address(RECEIVER), packet(100, frame(put_ping)));
    assert_eq!(story.broken(), None);
}

#[test]
fn whoever_is_not_gets_three_times_what_came() {
    let mut story = story();
    story.opens(RECEIVER, address(SENDER), 0, &frame(put_ping));
    // 30 bytes came; so many leave with each.
    for number in 0..3 {
        story.sends(RECEIVER, address(SENDER), packet(number, frame(put_ping)));
    }
    assert_eq!(story.broken(), None);
    story.sends(RECEIVER, address(SENDER), packet(3, frame(put_ping)));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn padding_counts() {
    let mut story = story();
    story.opens(RECEIVER, address(SENDER), 0, &frame(put_ping));
    story.sends(RECEIVER, address(SENDER), Packet { padding: 61, ..packet(0, frame(put_ping)) });
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn probes_are_few_and_only_for_the_address_that_was_told() {
    let mut probing = story();
    for number in 0..u64::from(MOST_PROBES) {
        probing.sends(SENDER, address(RECEIVER), Packet { padding: 1_000, ..packet(number, challenge(1)) });
    }
    assert_eq!(probing.broken(), None);
    probing.sends(SENDER, address(RECEIVER), packet(99, challenge(1)));
    assert_eq!(probing.broken(), Some(UNPROVEN_GETS_LITTLE));
    let mut following = story();
    following.opens(SENDER, elsewhere(), 0, &frame(put_ping));
    following.sends(SENDER, elsewhere(), Packet { padding: 1_000, ..packet(0, challenge(1)) });
    assert_eq!(following.broken(), Some(UNPROVEN_GETS_LITTLE));
}

#[test]
fn a_response_proves_the_address_that_was_challenged_and_no_other() {
    let mut story = story();
    story.sends(SENDER, address(RECEIVER), packet(0, challenge(1)));
    story.opens(SENDER, elsewhere(), 0, &response(2));
    story.opens(SENDER, elsewhere(), 1, &response(1));
    story.sends(SENDER, elsewhere(), data_packet(1, stream_header(0, 12), 0, 12));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_NO_FILE));
}

#[test]
fn file_bytes_wait_for_the_proof() {
    let mut story = story();
    story.opens(SENDER, address(RECEIVER), 0, &[0; 1_000]);
    story.sends(SENDER, address(RECEIVER), data_packet(0, stream_header(0, 12), 0, 12));
    assert_eq!(story.broken(), Some(UNPROVEN_GETS_NO_FILE));
}

#[test]
fn nobody_else_is_involved() {
    let mut story = story();
    story.sends(SENDER, elsewhere(), packet(0, challenge(1)));
    assert_eq!(story.broken(), Some(GOES_TO_THE_OTHER_END));
}

#[test]
fn a_proven_address_is_kept() {
    let mut story = proven();
    story.sends(SENDER, address(RECEIVER), packet(1, frame(put_ping)));
    story.opens(SENDER, elsewhere(), 1, &[0; 1_000]);
    story.sends(SENDER, elsewhere(), packet(2, frame(put_ping)));
    assert_eq!(story.broken(), Some(PROVEN_IS_KEPT));
}
