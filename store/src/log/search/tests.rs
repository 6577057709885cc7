//! Searches on real files, compared with what reading everything would find.

use std::fs;

use proptest::prelude::*;
use toom_core::id::{LogIndex, MessageNumber, RoomId, Ticket};
use toom_core::name::UserName;
use toom_core::server::fact::{Conversation, Fact, Message};
use toom_core::server::io::Span;
use toom_core::time::Timestamp;

use super::super::{Log, LogHandle};
use super::*;

const READER: &str = "yoda";
const WORDS: [&str; 6] = ["ab", "abc", "abcd", "b", "Zo\u{eb}", "e-mail"];

fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

fn conversation(which: u8) -> Conversation {
    match which {
        0 => Conversation::Broadcast,
        1 => Conversation::Room(RoomId(1)),
        2 => Conversation::Room(RoomId(12)),
        3 => Conversation::direct(&name("luke"), &name(READER)),
        _ => Conversation::direct(&name("luke"), &name("leia")),
    }
}

fn fact(message: &Message) -> Fact {
    let (from, text, at) = (message.from.clone(), message.text.clone(), message.at);
    match &message.conversation {
        Conversation::Broadcast => Fact::Broadcast { from, text, at, id: None },
        Conversation::Room(room) => Fact::RoomMessage { room: *room, from, text, at, id: None },
        Conversation::Direct(_, to) => Fact::DirectMessage { from, to: to.clone(), text, at, id: None },
    }
}

/// Messages of five conversations, with these texts.
fn messages(list: Vec<(u8, String)>) -> Vec<Message> {
    let mut numbers = [0_u64; 5];
    let message = |(index, (which, text)): (u64, (u8, String))| {
        let number = &mut numbers[usize::from(which)];
        *number += 1;
        Message {
            conversation: conversation(which),
            number: MessageNumber(*number),
            at: Timestamp::from_millis(index.cast_signed()),
            from: name("luke"),
            text,
            index: LogIndex(index),
        }
    };
    (1..).zip(list).map(message).collect()
}

fn search(words: &str) -> Search {
    let all = |conversation| Span { conversation, first: MessageNumber(1), last: MessageNumber(u64::MAX) };
    Search {
        reader: name(READER),
        direct_after: LogIndex(0),
        spans: (0..3).map(conversation).map(all).collect(),
        words: Search::words(words).expect("words"),
        up_to: LogIndex(1_000_000),
        before: None,
        max_messages: 1_000,
        max_bytes: usize::MAX,
    }
}

/// A log in memory with these messages, and an index in a directory that knows them.
fn indexed(messages: &[Message]) -> (tempfile::TempDir, Connection, Index) {
    let log = schema::in_memory();
    for message in messages {
        super::super::facts::insert(&log, message.index, &fact(message)).expect("inserted");
        super::super::messages::insert(&log, message).expect("inserted");
    }
    let data = tempfile::tempdir().expect("a directory");
    let mut index = Index::open(data.path(), &log).expect("made").expect("new");
    while index.advance(&log, 7).expect("advanced") {}
    (data, log, index)
}

fn typed() -> impl Strategy<Value = String> {
    let word = prop_oneof![4 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => Just("AB*".to_owned())];
    prop::collection::vec(word, 1..3).prop_map(|words| words.join(" "))
}

fn said() -> impl Strategy<Value = Vec<(u8, String)>> {
    let text = prop::collection::vec(prop::sample::select(&WORDS[..]), 1..4).prop_map(|words| words.join(", "));
    prop::collection::vec((0..5_u8, text), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the intervals, the limits and the cursor are.
    #[test]
    fn a_search_finds_what_reading_everything_would(
        said in said(),
        words in typed(),
        firsts in prop::array::uniform3(0..4_u64),
        lengths in prop::array::uniform3(0..9_u64),
        up_to in 0..40_u64,
        direct_after in 0..20_u64,
        before in prop::option::of((0..5_u8, 0..6_u64)),
        max_messages in 1..8_usize,
        max_bytes in 0..60_usize,
    ) {
        let messages = messages(said);
        let (_data, log, index) = indexed(&messages);
        let span = |which: usize| Span {
            conversation: conversation(which as u8),
            first: MessageNumber(firsts[which]),
            last: MessageNumber(firsts[which] + lengths[which]),
        };
        let search = Search {
            spans: (0..3).map(span).collect(),
            direct_after: LogIndex(direct_after),
            up_to: LogIndex(up_to),
            before: before.map(|(which, number)| (conversation(which), MessageNumber(number))),
            max_messages,
            max_bytes,
            ..search(&words)
        };
        let expected = search.page(messages.iter().rev());
        prop_assert_eq!(index.find(&log, &search).expect("found"), expected);
    }

    /// Whatever is typed and whatever is there, there is an answer.
    #[test]
    fn nothing_that_is_typed_is_an_error(typed in any::<String>(), said in "\\PC{0,40}") {
        let (_data, log, index) = indexed(&messages(vec![(0, said.clone()), (0, typed.clone())]));
        for text in [typed, said] {
            if let Ok(words) = Search::words(&text) {
                index.find(&log, &Search { words, ..search("x") }).expect("found");
            }
        }
    }
}

#[test]
fn words_of_the_index_s_own_language_are_words() {
    let texts = ["a OR b", "NEAR(x y)", "text : z", "broadcast", "p\"q", "with79 *", "^begin", "-minus", "a AND"];
    let messages = messages(texts.map(|text| (1, text.to_owned())).to_vec());
    let (_data, log, index) = indexed(&messages);
    for (text, message) in texts.iter().zip(&messages) {
        let found = index.find(&log, &search(text)).expect("found").messages;
        assert_eq!(found, std::slice::from_ref(message), "{text}");
    }
    // Where it was said is not what was said.
    for place in ["room1", "with*", "place"] {
        let found = index.find(&log, &search(place)).expect("found").messages;
        assert_eq!(found.len(), usize::from(place == "with*"), "{place}");
    }
}

#[test]
fn accents_and_case_do_not_matter() {
    let (_data, log, index) = indexed(&messages(vec![(0, "ZO\u{cb} Stra\u{df}e".to_owned())]));
    for typed in ["zo\u{eb}", "zoe", "zoe\u{308}", "Zo*", "stra\u{df}e"] {
        assert_eq!(index.find(&log, &search(typed)).expect("found").messages.len(), 1, "{typed}");
    }
}

/// A log that runs in `data`, and what it finds.
struct Running {
    handle: LogHandle,
    heard: Receiver<Completion>,
}

impl Running {
    fn open(data: &Path) -> Running {
        let mut log = Log::open(data).expect("opened");
        log.replay(|_| {}).expect("replayed");
        let (hear, heard) = mpsc::channel();
        Running { handle: log.start(move |completion| drop(hear.send(completion))), heard }
    }

    /// Commits and records.
    fn say(&self, message: &Message) {
        self.handle.propose(Ticket(1), fact(message));
        let committed = self.heard.recv_timeout(Duration::from_secs(60)).expect("an answer");
        assert!(matches!(committed, Completion::Committed(_)), "{committed:?}");
        self.handle.record(message);
    }

    fn find(&self, words: &str) -> Option<Vec<u64>> {
        self.handle.query(QueryId(5), search(words));
        match self.heard.recv_timeout(Duration::from_secs(60)).expect("an answer") {
            Completion::Found { page, .. } => {
                page.map(|page| page.messages.iter().map(|message| message.index.0).collect())
            }
            other => panic!("Found expected, not {other:?}"),
        }
    }
}

#[test]
fn one_finds_what_one_has_just_said_and_finds_it_after_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let messages = messages(vec![(0, "ab one".to_owned()), (1, "ab two".to_owned()), (3, "ab three".to_owned())]);
    for (count, message) in (1_u64..).zip(&messages) {
        let running = Running::open(data.path());
        running.say(message);
        assert_eq!(running.find("ab"), Some((1..=count).rev().collect()));
    }
}

#[test]
fn an_index_that_is_missing_damaged_or_of_another_log_is_built_anew() {
    let data = tempfile::tempdir().expect("a directory");
    let messages = messages((0..200).map(|number| (0, format!("ab number{number}"))).collect());
    let running = Running::open(data.path());
    messages.iter().for_each(|message| running.say(message));
    assert_eq!(running.find("number7"), Some(vec![8]));
    drop(running);
    let file = path(data.path());
    let content = fs::read(&file).expect("read");
    let damaged = |from: usize| {
        let mut damaged = content.clone();
        damaged[from..].fill(0xa5);
        damaged
    };
    for content in [damaged(0), damaged(4096), damaged(content.len() / 2), b"no database".to_vec(), Vec::new()] {
        fs::write(&file, content).expect("written");
        assert_eq!(Running::open(data.path()).find("number7"), Some(vec![8]));
    }
    fs::remove_file(&file).expect("removed");
    assert_eq!(Running::open(data.path()).find("number7"), Some(vec![8]));

    // The log was replaced by another one, as long.
    let other = tempfile::tempdir().expect("a directory");
    let running = Running::open(other.path());
    for message in &messages {
        running.say(&Message { text: format!("{} other", message.text), ..message.clone() });
    }
    drop(running);
    fs::copy(&file, path(other.path())).expect("copied");
    assert_eq!(Running::open(other.path()).find("number7 other"), Some(vec![8]));
}

/// What is not all there was to find is no answer.
#[test]
fn an_index_that_cannot_be_written_answers_nothing_until_it_can_be() {
    let data = tempfile::tempdir().expect("a directory");
    let messages = messages(vec![(0, "ab one".to_owned()), (0, "ab two".to_owned())]);
    let running = Running::open(data.path());
    messages.iter().for_each(|message| running.say(message));
    assert_eq!(running.find("ab"), Some(vec![2, 1]));
    drop(running);
    index::remove(data.path()).expect("removed");
    let mut searcher = Searcher::new(schema::path(data.path()), Arc::new(|_| {}), Arc::default());
    searcher.open(false);
    let keep_from_writing = |searcher: &Searcher, yes| {
        searcher.open.as_ref().expect("opened").1.keep_from_writing(yes);
    };
    keep_from_writing(&searcher, true);
    assert_eq!([(); 2].map(|()| searcher.answer(&search("ab"))), [None, None]);
    keep_from_writing(&searcher, false);
    assert_eq!(searcher.answer(&search("ab")).map(|page| page.messages.len()), Some(2));
}
