use std::collections::BTreeMap;

use toom_core::id::RoomId;
use toom_core::server::search::Search;

use super::*;
use crate::wall;

const KEEP: Duration = Duration::from_secs(3_600);
const OLD_TEXT: &str = "jabberwocky";

fn conversations() -> [Conversation; 3] {
    [Conversation::Broadcast, Conversation::Room(RoomId(1)), Conversation::direct(&name("luke"), &name("yoda"))]
}

fn fact(conversation: &Conversation, text: &str, at: Timestamp) -> Fact {
    let (from, text) = (name("yoda"), text.to_owned());
    match conversation {
        Conversation::Broadcast => Fact::Broadcast { from, text, at, id: None },
        Conversation::Room(room) => Fact::RoomMessage { room: *room, from, text, at, id: None },
        Conversation::Direct(to, _) => Fact::DirectMessage { from, to: to.clone(), text, at, id: None },
    }
}

/// A log in which each conversation has so many messages, said at these times; what was recorded of it.
fn filled(data: &Path, times: &[Timestamp]) -> Vec<Message> {
    let log = Running::open(data);
    let mut messages = Vec::new();
    for (number, at) in (1..).zip(times) {
        for conversation in conversations() {
            let text = format!("{OLD_TEXT} {number}");
            let index = log.commit(fact(&conversation, &text, *at)).index;
            let (number, from, at) = (MessageNumber(number), name("yoda"), *at);
            let message = Message { conversation, number, at, from, text, index };
            log.handle.record(&message);
            messages.push(message);
        }
    }
    log.stop();
    messages
}

/// A log that forgets.
fn forgetting(data: &Path) -> Running {
    let mut log = Log::open(data).expect("opened").keep(Some(KEEP));
    log.replay(|_| {}).expect("replayed");
    Running::start(log)
}

impl Running {
    /// Waits until everything up to a number is gone from all conversations.
    fn wait_until_forgotten(&self, through: u64) {
        let mut gone = BTreeMap::new();
        while gone.len() < 3 || gone.values().any(|number| *number < MessageNumber(through)) {
            match self.next() {
                Completion::Forgotten { conversation, through } => gone.insert(conversation, through),
                other => panic!("{other:?}"),
            };
        }
        assert!(gone.values().all(|number| *number == MessageNumber(through)), "{gone:?}");
    }

    fn all(&self) -> Vec<Message> {
        let (first, last) = (MessageNumber(1), MessageNumber(u64::MAX));
        let spans = conversations().map(|conversation| Span { conversation, first, last });
        self.page(Select { spans: spans.to_vec(), ..all_broadcasts() }).expect("readable").messages
    }

    fn found(&self) -> Vec<Message> {
        let (first, last) = (MessageNumber(1), MessageNumber(u64::MAX));
        self.handle.query(
            QueryId(9),
            Search {
                reader: name("yoda"),
                direct_after: LogIndex(0),
                spans: conversations()[..2].iter().cloned().map(|it| Span { conversation: it, first, last }).collect(),
                words: Search::words(OLD_TEXT).expect("words"),
                up_to: LogIndex(1_000_000),
                before: None,
                max_messages: 100_000,
                max_bytes: usize::MAX,
            },
        );
        match self.next() {
            Completion::Found { query: QueryId(9), page } => page.expect("readable").messages,
            other => panic!("{other:?}"),
        }
    }
}

/// More than one transaction forgets, so that its end is met, too.
#[test]
fn what_is_older_than_is_kept_is_gone_from_history_and_search() {
    let data = directory();
    let now = wall::now();
    let old = Timestamp::from_millis(now.as_millis() - 3_600_000);
    let messages = filled(data.path(), &[vec![old; 200], vec![now; 2]].concat());
    let left: Vec<Message> = messages.iter().filter(|message| message.at == now).cloned().collect();

    let log = forgetting(data.path());
    log.wait_until_forgotten(200);
    let mut all = log.all();
    all.sort_by_key(|message| message.index);
    assert_eq!(all, left);
    let mut found = log.found();
    found.reverse();
    assert_eq!(found, left);
    // Its numbers go on.
    let next = log.commit(broadcast("next"));
    assert_eq!(next.index, LogIndex(messages.len() as u64 + 1));
    assert!(log.stop().is_empty(), "nothing more is forgotten, and nothing went wrong");
}

#[test]
fn the_facts_stay_without_their_texts_and_a_table_that_is_made_anew_does_not_have_them() {
    let data = directory();
    let old = Timestamp::from_millis(5);
    let messages = filled(data.path(), &[old, wall::now()]);
    let log = forgetting(data.path());
    log.wait_until_forgotten(1);
    log.stop();

    let expected = messages
        .iter()
        .map(|message| fact(&message.conversation, if message.at == old { "" } else { &message.text }, message.at));
    let facts: Vec<Fact> = replayed(data.path()).into_iter().map(|committed| committed.fact).collect();
    assert_eq!(facts, expected.collect::<Vec<_>>());

    let connection = Connection::open(path(data.path())).expect("opened");
    connection.execute("UPDATE messages SET at = at + 1", []).expect("damaged");
    drop(connection);
    let mut log = Log::open(data.path()).expect("opened");
    assert!(log.damage.is_some());
    let mut all = messages.iter().cloned();
    let with_text = |message: Message, fact: &Fact| match fact {
        Fact::Broadcast { text, .. } | Fact::RoomMessage { text, .. } | Fact::DirectMessage { text, .. } => {
            Message { text: text.clone(), ..message }
        }
        _ => message,
    };
    log.replay_messages(LogIndex(0), |committed| Some(with_text(all.next()?, &committed.fact))).expect("replayed");
    let log = Running::start(log);
    assert_eq!(log.all().len(), 3);
    assert!(log.all().iter().all(|message| message.at != old));
}

#[test]
fn a_fact_that_cannot_be_read_is_not_touched_and_stops_nobody_from_writing() {
    let data = directory();
    filled(data.path(), &[Timestamp::from_millis(5)]);
    let connection = Connection::open(path(data.path())).expect("opened");
    connection.execute("UPDATE log SET body = x'00' WHERE idx = 2", []).expect("damaged");
    drop(connection);
    let mut log = Log::open(data.path()).expect("opened").keep(Some(KEEP));
    // A snapshot spares a start from reading what is old.
    log.last = LogIndex(3);
    let log = Running::start(log);
    assert_eq!(log.commit(broadcast("new")).index, LogIndex(4));
    assert!(log.stop().is_empty());
    let connection = Connection::open(path(data.path())).expect("opened");
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted");
    assert_eq!(count("SELECT count(*) FROM log WHERE body = x'00'"), 1);
    assert_eq!(count("SELECT count(*) FROM messages"), 3, "all or none of a transaction");
}
