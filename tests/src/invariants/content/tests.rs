use super::super::made_up::{CONTENT, ID, RECEIVER, SENDER, STREAM_HEADER, Story, address, data_packet, stream};
use super::*;

const SLOT: SlotId = SlotId(0);
const SIZE: u64 = CONTENT.len() as u64;

/// The sender has read its file.
fn read() -> Story {
    let mut story = Story::new(Content::default());
    story.reads(CONTENT);
    story
}

/// And the receiver has written it.
fn written() -> Story {
    let mut story = read();
    writes(&mut story, 0, CONTENT);
    story.hears(RECEIVER, Input::Written { transfer: ID, bytes: SIZE });
    story
}

/// And hashed it.
fn hashed() -> Story {
    let mut story = written();
    story.says(RECEIVER, Output::Verify { transfer: ID });
    story.hears(RECEIVER, Input::Verified { transfer: ID, blake3: blake3::hash(CONTENT).into() });
    story
}

fn asks(story: &mut Story, offset: u64, length: usize, slot: SlotId) {
    story.says(SENDER, Output::Read { transfer: ID, offset, length, slot });
}

/// A datagram with these bytes arrives, and they are written.
fn writes(story: &mut Story, offset: u64, bytes: &[u8]) {
    story.opens(RECEIVER, address(SENDER), 0, &stream(offset, bytes));
    story.says(RECEIVER, Output::Write { transfer: ID, offset, range: STREAM_HEADER..STREAM_HEADER + bytes.len() });
}

fn sends(story: &mut Story, offset: u64, start: usize, length: usize) {
    story.sends(SENDER, address(RECEIVER), data_packet(0, offset, start, length));
}

#[test]
fn a_whole_transfer_breaks_nothing() {
    let mut story = read();
    sends(&mut story, 0, 0, 5);
    sends(&mut story, 5, 5, 7);
    asks(&mut story, 0, 5, SLOT);
    assert_eq!(story.broken(), None);
    let mut story = hashed();
    story.says(RECEIVER, Output::Publish { transfer: ID });
    story.published("any name", CONTENT);
    assert_eq!(story.broken(), None);
}

#[test]
fn reads_are_in_bounds_in_order_and_into_free_slots() {
    for (offset, length, slot) in [(0, 13, 1), (1, 2, 1), (0, 5, SLOTS), (0, SLOT_BYTES + 1, 1)] {
        let mut story = Story::new(Content::default());
        asks(&mut story, offset, length, SlotId(slot));
        assert_eq!(story.broken(), Some(READ_IN_BOUNDS), "{length} at {offset} into {slot}");
    }
    let mut busy = read();
    asks(&mut busy, 0, 5, SLOT);
    assert_eq!(busy.broken(), Some(READ_IN_BOUNDS));
}

#[test]
fn packets_name_what_they_carry() {
    for (offset, start, length) in [(1, 0, 5), (5, 5, 5), (0, 0, 13)] {
        let mut story = read();
        sends(&mut story, offset, start, length);
        assert_eq!(story.broken(), Some(SENT_IS_READ), "{offset}, {start}, {length}");
    }
    let mut early = Story::new(Content::default());
    asks(&mut early, 0, 12, SLOT);
    sends(&mut early, 0, 0, 12);
    assert_eq!(early.broken(), Some(SENT_IS_READ));
}

#[test]
fn only_file_bytes_of_the_datagram_are_written_and_each_once() {
    let (start, end) = (STREAM_HEADER, STREAM_HEADER + CONTENT.len());
    for (offset, range) in [(0, start - 1..end), (0, start..end + 1), (1, start..end), (0, start + 6..end)] {
        let mut story = read();
        story.opens(RECEIVER, address(SENDER), 0, &stream(0, CONTENT));
        story.says(RECEIVER, Output::Write { transfer: ID, offset, range: range.clone() });
        assert_eq!(story.broken(), Some(WRITTEN_IN_BOUNDS), "{range:?} at {offset}");
    }
    let mut again = written();
    writes(&mut again, 3, &CONTENT[3..5]);
    assert_eq!(again.broken(), Some(WRITTEN_IN_BOUNDS));
    let mut beyond = read();
    writes(&mut beyond, 11, b"ex");
    assert_eq!(beyond.broken(), Some(WRITTEN_IN_BOUNDS));
    let mut from_nowhere = read();
    from_nowhere.says(RECEIVER, Output::Write { transfer: ID, offset: 0, range: STREAM_HEADER..STREAM_HEADER + 1 });
    assert_eq!(from_nowhere.broken(), Some(WRITTEN_IN_BOUNDS));
}

#[test]
fn other_bytes_than_those_that_were_read_are_found() {
    let mut story = read();
    writes(&mut story, 2, b"lxrge");
    assert_eq!(story.broken(), Some(WRITTEN_IS_READ));
    let mut changed = read();
    changed.was_read(2, b"lxrge");
    writes(&mut changed, 2, b"lxrge");
    assert_eq!(changed.broken(), None, "the hash will tell");
}

#[test]
fn a_file_is_hashed_when_it_is_whole() {
    let mut part = read();
    writes(&mut part, 0, &CONTENT[..11]);
    part.hears(RECEIVER, Input::Written { transfer: ID, bytes: SIZE });
    part.says(RECEIVER, Output::Verify { transfer: ID });
    assert_eq!(part.broken(), Some(HASHED_WHEN_WHOLE));
    let mut on_its_way = read();
    writes(&mut on_its_way, 0, CONTENT);
    on_its_way.hears(RECEIVER, Input::Written { transfer: ID, bytes: SIZE - 1 });
    on_its_way.says(RECEIVER, Output::Verify { transfer: ID });
    assert_eq!(on_its_way.broken(), Some(HASHED_WHEN_WHOLE));
    let mut twice = hashed();
    twice.says(RECEIVER, Output::Verify { transfer: ID });
    assert_eq!(twice.broken(), Some(HASHED_WHEN_WHOLE));
}

#[test]
fn a_name_is_asked_for_when_the_hash_is_right() {
    let mut unasked = written();
    unasked.says(RECEIVER, Output::Publish { transfer: ID });
    assert_eq!(unasked.broken(), Some(NAMED_WHEN_RIGHT));
    let mut wrong = written();
    wrong.hears(RECEIVER, Input::Verified { transfer: ID, blake3: [0; 32] });
    wrong.says(RECEIVER, Output::Publish { transfer: ID });
    assert_eq!(wrong.broken(), Some(NAMED_WHEN_RIGHT));
}

#[test]
fn only_the_whole_content_is_published() {
    for content in [&CONTENT[..11], b"a smxll file", b""] {
        let mut story = hashed();
        story.published("any name", content);
        assert_eq!(story.broken(), Some(PUBLISHED_IS_READ));
    }
    let mut half_read = Story::new(Content::default());
    half_read.was_read(0, &CONTENT[..5]);
    half_read.published("any name", CONTENT);
    assert_eq!(half_read.broken(), Some(PUBLISHED_IS_READ));
}

#[test]
fn integrity_is_not_said_for_nothing() {
    let mut story = read();
    story.fails(RECEIVER, TransferFailure::Integrity);
    assert_eq!(story.broken(), Some(INTEGRITY_HAS_A_REASON));
    let mut changed = read();
    changed.was_read(2, b"lxrge");
    changed.fails(RECEIVER, TransferFailure::Integrity);
    assert_eq!(changed.broken(), None);
}
