use toom_core::client::event::{Direction, TransferFailure};
use toom_core::name::UserName;
use toom_core::text::FileLabel;

use super::super::made_up::{CONTENT, ID, RECEIVER, SENDER, Story, address, index, start};
use super::*;

const NAME: &str = "yoda_a.tar.gz";

fn story() -> Story {
    Story::new(Life::default())
}

/// The file has its name.
fn named(name: &str) -> Story {
    let mut story = story();
    story.says(RECEIVER, Output::Publish { transfer: ID });
    story.published(name, CONTENT);
    story
}

fn done(saved_as: Option<&str>) -> Progress {
    Progress::Done { blake3: blake3::hash(CONTENT).into(), saved_as: saved_as.map(str::to_owned) }
}

/// Both ends are done, and have forgotten all.
fn over() -> Story {
    let mut story = named(NAME);
    for (client, name) in [(RECEIVER, Some(NAME)), (SENDER, None)] {
        story.reports(client, done(name));
        story.says(client, Output::Forget { index: index(client), transfer: ID });
        story.says(client, Output::Close { transfer: ID, keep: false });
    }
    story
}

fn told(state: TransferState) -> Transfer {
    Transfer {
        id: ID,
        peer: UserName::new("luke").expect("a name"),
        name: FileLabel::new("a.tar.gz"),
        direction: Direction::Out,
        state,
        bytes: 0,
        total: Some(12),
        rate_bps: 0,
        path: Default::default(),
    }
}

fn tells(story: &mut Story, state: TransferState) {
    let event = ClientOutput::Event(Event::Transfer(told(state)));
    story.tell(Observation::ClientSays(SENDER, &event));
}

#[test]
fn a_whole_life_breaks_nothing() {
    let mut story = over();
    tells(&mut story, TransferState::Starting);
    tells(&mut story, TransferState::Done { blake3: blake3::hash(CONTENT).into(), saved_as: None });
    story.finish();
    assert_eq!(story.broken(), None);
}

#[test]
fn names_are_harmless() {
    for name in [NAME, "yoda_a.tar (2).gz", "yoda_a.tar (10).gz"] {
        assert_eq!(named(name).broken(), None, "{name}");
    }
    for name in [
        "a.tar.gz",
        "../yoda_a.tar.gz",
        "yoda_a.tar.gz (2)",
        "yoda_a.tar (1).gz",
        "yoda_a.tar (02).gz",
        "yoda_a.tar (2).gz.part",
        "luke_a.tar.gz",
        "..",
        "",
    ] {
        assert_eq!(named(name).broken(), Some(NAME_IS_HARMLESS), "{name:?}");
    }
    for name in ["a/b", "a\\b", "a\0", "a\n", "a\u{202e}b", ".hidden", "..", ""] {
        assert!(!is_harmless(name), "{name:?}");
    }
}

#[test]
fn a_file_that_is_there_stays() {
    let mut story = over();
    let again = Start { transfer: OfferId(8), ..start(RECEIVER) };
    story.hears(RECEIVER, Input::Start(again));
    story.says(RECEIVER, Output::Publish { transfer: OfferId(8) });
    let (client, transfer) = (RECEIVER, OfferId(8));
    story.tell(Observation::Published { client, transfer, name: NAME, content: b"other" });
    assert_eq!(story.broken(), Some(NOTHING_IS_REPLACED));
}

#[test]
fn a_person_who_comes_back_finds_their_files() {
    let mut story = over();
    story.tell(Observation::ClientEnds(RECEIVER));
    let client = 2;
    story.tell(Observation::ClientStarts {
        client,
        address: address(RECEIVER),
        connection: toom_core::id::ConnectionId(client as u64),
    });
    story.hears(client, Input::Start(start(RECEIVER)));
    story.says(client, Output::Publish { transfer: ID });
    story.tell(Observation::Published { client, transfer: ID, name: NAME, content: b"other" });
    assert_eq!(story.broken(), Some(NOTHING_IS_REPLACED));
}

#[test]
fn a_name_comes_when_it_was_asked_for() {
    let mut unasked = story();
    unasked.published(NAME, CONTENT);
    assert_eq!(unasked.broken(), Some(NAMED_WHEN_ASKED));
    let mut twice = named(NAME);
    twice.published(NAME, CONTENT);
    assert_eq!(twice.broken(), Some(NAMED_WHEN_ASKED));
    let mut late = story();
    late.says(RECEIVER, Output::Close { transfer: ID, keep: false });
    late.fails(RECEIVER, TransferFailure::Cancelled);
    late.says(RECEIVER, Output::Publish { transfer: ID });
    assert_eq!(late.broken(), Some(NAMED_WHEN_ASKED));
}

#[test]
fn done_is_said_after_the_name_and_with_the_same_hash() {
    for (client, name) in [(SENDER, None), (RECEIVER, Some(NAME))] {
        let mut early = story();
        early.reports(client, done(name));
        assert_eq!(early.broken(), Some(DONE_AFTER_NAME));
        let mut other_hash = named(NAME);
        let saved_as = name.map(str::to_owned);
        other_hash.reports(client, Progress::Done { blake3: [0; 32], saved_as });
        assert_eq!(other_hash.broken(), Some(DONE_AFTER_NAME));
    }
    for name in [None, Some("yoda_b")] {
        let mut story = named(NAME);
        story.reports(RECEIVER, done(name));
        assert_eq!(story.broken(), Some(DONE_AFTER_NAME));
    }
}

#[test]
fn nothing_follows_an_end() {
    for progress in [
        done(None),
        Progress::Failed(TransferFailure::Cancelled),
        Progress::Moving { bytes: 12, rate_bps: 0, path: Default::default() },
    ] {
        let mut story = over();
        story.reports(SENDER, progress);
        assert_eq!(story.broken(), Some(ENDS_ONCE));
    }
    let mut again = over();
    again.hears(SENDER, Input::Start(start(SENDER)));
    assert_eq!(again.broken(), Some(ENDS_ONCE));
}

#[test]
fn progress_is_progress() {
    for [first, then] in [[5, 4], [0, 13]] {
        let mut story = story();
        for bytes in [first, then] {
            story.reports(SENDER, Progress::Moving { bytes, rate_bps: 0, path: Default::default() });
        }
        assert_eq!(story.broken(), Some(MOVES_FORWARD));
    }
}

#[test]
fn a_file_is_closed_once_and_before_a_failure() {
    let mut late = story();
    late.fails(RECEIVER, TransferFailure::Cancelled);
    assert_eq!(late.broken(), Some(CLOSED_BEFORE_FAILED));
    let mut twice = over();
    twice.says(RECEIVER, Output::Close { transfer: ID, keep: false });
    assert_eq!(twice.broken(), Some(CLOSED_BEFORE_FAILED));
}

#[test]
fn people_are_told_what_is_true_and_once() {
    let mut untrue = named(NAME);
    tells(&mut untrue, TransferState::Done { blake3: blake3::hash(CONTENT).into(), saved_as: None });
    assert_eq!(untrue.broken(), Some(PEOPLE_ARE_TOLD));
    let mut twice = story();
    tells(&mut twice, TransferState::Failed(TransferFailure::Rejected));
    tells(&mut twice, TransferState::Failed(TransferFailure::Rejected));
    assert_eq!(twice.broken(), Some(PEOPLE_ARE_TOLD));
}

#[test]
fn what_has_no_end_is_found_but_the_dead_need_none() {
    let mut running = story();
    running.finish();
    assert_eq!(running.broken(), Some(COMES_TO_AN_END));
    let mut dead = story();
    dead.tell(Observation::ClientEnds(SENDER));
    dead.tell(Observation::ClientEnds(RECEIVER));
    dead.finish();
    assert_eq!(dead.broken(), None);
    let mut listening = named(NAME);
    for (client, name) in [(RECEIVER, Some(NAME)), (SENDER, None)] {
        listening.reports(client, done(name));
        listening.says(client, Output::Close { transfer: ID, keep: false });
    }
    listening.finish();
    assert_eq!(listening.broken(), Some(COMES_TO_AN_END));
    let mut waiting = over();
    tells(&mut waiting, TransferState::Starting);
    waiting.finish();
    assert_eq!(waiting.broken(), Some(COMES_TO_AN_END));
}
