//! The simulator's store answers as the real one does.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use toom_core::id::{LogIndex, MessageNumber, QueryId, RoomId, Ticket};
use toom_core::server::fact::{Conversation, Fact, Message};
use toom_core::server::io::{Page, Select, Span};
use toom_core::time::Timestamp;
use toom_store::log::{Completion, Log, LogHandle};
use toom_tests::scenario::steps::user;
use toom_tests::sim::store::Durable;

/// A real store that answers nothing for so long answers nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Three conversations: by number.
fn conversation(number: usize) -> Conversation {
    match number % 3 {
        0 => Conversation::Broadcast,
        1 => Conversation::Room(RoomId(1)),
        _ => Conversation::Room(RoomId(2)),
    }
}

fn fact(conversation: &Conversation, text: &str) -> Fact {
    let (from, text, at) = (user("yoda"), text.to_owned(), Timestamp::default());
    match conversation {
        Conversation::Room(room) => Fact::RoomMessage { room: *room, from, text, at, id: None },
        _ => Fact::Broadcast { from, text, at, id: None },
    }
}

/// Puts the same messages into both stores: conversation, size, and how much later each is.
fn fill(posts: &[(usize, usize, i64)], durable: &mut Durable, real: &LogHandle, heard: &Receiver<Completion>) {
    let (mut numbers, mut at) = ([0; 3], 0);
    for (place, (which, bytes, later)) in posts.iter().enumerate() {
        let conversation = conversation(*which);
        let text = format!("{place} {}", "x".repeat(*bytes));
        let fact = fact(&conversation, &text);
        real.propose(Ticket(place as u64), fact.clone());
        let index = match heard.recv_timeout(PATIENCE) {
            Ok(Completion::Committed(committed)) => committed.index,
            other => panic!("{other:?} in the place of a commit"),
        };
        assert_eq!(durable.append(None, fact).index, index);
        numbers[which % 3] += 1;
        at += later;
        let number = MessageNumber(numbers[which % 3]);
        let message = Message {
            conversation,
            number,
            at: Timestamp::from_millis(at),
            from: user("yoda"),
            text,
            index: LogIndex(index.0),
        };
        durable.record(&message);
        real.record(&message);
    }
}

fn ask(real: &LogHandle, heard: &Receiver<Completion>, select: Select) -> Page {
    real.query(QueryId(1), select);
    match heard.recv_timeout(PATIENCE) {
        Ok(Completion::Found { page: Some(page), .. }) => page,
        other => panic!("{other:?} in the place of a page"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_simulators_store_pages_like_the_real_one(
        posts in vec((0usize..3, 0usize..200, 0i64..3), 0..40),
        asked in vec((0u64..12, 0u64..30, 0i64..60, 1usize..20, 1usize..2_000), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (said, heard) = channel();
        let real = Log::open(folder.path()).unwrap().start(move |completion| said.send(completion).unwrap_or_default());
        let mut durable = Durable::default();
        fill(&posts, &mut durable, &real, &heard);
        for (first, last, not_before, max_messages, max_bytes) in asked {
            let span = |which| Span {
                conversation: conversation(which),
                first: MessageNumber(first),
                last: MessageNumber(last),
            };
            let select = Select {
                spans: (0..3).map(span).collect(),
                not_before: Timestamp::from_millis(not_before),
                max_messages,
                max_bytes,
            };
            prop_assert_eq!(durable.read(&select), ask(&real, &heard, select));
        }
        real.stop();
    }
}
