//! How long a store with a million messages takes for what people wait for: the last page of a large room, a search,
//! and the start of a server. `cargo run --release -p toom-tests --bin million [-- MESSAGES]`

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use toom_core::config::ServerConfig;
use toom_core::id::{LogIndex, MessageNumber, QueryId, RoomId};
use toom_core::machine::Machine;
use toom_core::name::UserName;
use toom_core::secure::PasswordHash;
use toom_core::server::fact::{Committed, Conversation, Fact};
use toom_core::server::io::{Input, Page, Query, Select, Span};
use toom_core::server::search::Search;
use toom_core::server::{PostRates, Server, Settings};
use toom_core::time::Timestamp;
use toom_core::wire::limits::{DEFAULT_GRACE, MAX_FOUND_MESSAGES, MAX_PAGE_BYTES, MAX_PAGE_MESSAGES};
use toom_store::log::append;
use toom_store::server::{Data, Opened};

/// The room with all the messages; the other one has few.
const LARGE: RoomId = RoomId(1);
const SMALL: RoomId = RoomId(2);
/// In the small room and among the broadcasts there is one message for so many in the large room.
const BETWEEN: u64 = 1_000;
const USERS: usize = 100;
/// Words are drawn from so many, the first ones far more often, as people do.
const VOCABULARY: u64 = 20_000;
const TIMES: usize = 21;
/// A search that the index is not ready for is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let messages = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().expect("a number of messages"));
    let data = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    fill(data.path(), messages);
    println!("made a log of {messages} messages in {:.1?}", began.elapsed());
    let began = Instant::now();
    let running = Running::start(data.path());
    println!("first start, which makes the index of messages: {:.2?}", began.elapsed());
    let began = Instant::now();
    while running.ask(search("nothing", None)).is_none() {
        assert!(began.elapsed() < PATIENCE, "the search index is never ready");
    }
    println!("the search index was made in {:.1?}", began.elapsed());
    running.stop();

    let starts = (0..5).map(|_| {
        let began = Instant::now();
        let running = Running::start(data.path());
        let took = began.elapsed();
        running.stop();
        took
    });
    println!("start of the data, until a server listens: {:.2?}", median(starts.collect()));

    let running = Running::start(data.path());
    // The file is checked by the thread that searches before it answers.
    while running.ask(search("nothing", None)).is_none() {}
    running.measure("last page of the large room", last_page(LARGE, messages).into());
    let first =
        Span { conversation: Conversation::Room(LARGE), first: MessageNumber(1), last: MessageNumber(messages) };
    running.measure(
        "last second of the large room",
        Select { spans: vec![first], not_before: time(messages), ..last_page(LARGE, messages) }.into(),
    );
    for (what, words) in [
        ("a rare word", "word19996"),
        ("the most frequent word", "word0"),
        ("two frequent words", "word0 word1"),
        ("a frequent and a rare word", "word0 word19996"),
        ("a beginning of very many words", "wor*"),
        ("a beginning of many words", "word1*"),
        ("a word that is nowhere", "nowhere"),
    ] {
        running.measure(&format!("search for {what}"), search(words, None));
    }
    running.measure("search for the most frequent word, in the small room only", search("word0", Some(SMALL)));
    running.stop();
    snapshots();
}

/// How long the conference's thread is kept by a snapshot where 10,000 people have 1,000 rooms of ten, and each writes to
/// two others.
fn snapshots() {
    const PEOPLE: usize = 10_000;
    let account = |number| Fact::AccountAdded { name: name(number), hash: PasswordHash::decoy([0; 32], [1; 16]) };
    let room = |number: usize| {
        let mut members: Vec<_> = (0..10).map(|member| name(number * 10 + member)).collect();
        members.sort();
        Fact::RoomBuilt { by: name(number * 10), members, at: time(0) }
    };
    let direct = |number: usize| {
        let (from, to) = (name(number % PEOPLE), name((number * 7 + 1) % PEOPLE));
        Fact::DirectMessage { from, to, text: "x".to_owned(), at: time(0), id: None }
    };
    let facts = (0..PEOPLE).map(account).chain((0..PEOPLE / 10).map(room)).chain((0..2 * PEOPLE).map(direct));
    let (mut server, mut out) = (empty(), Vec::new());
    for (index, fact) in (1..).zip(facts) {
        let committed = Committed { index: LogIndex(index), ticket: None, fact };
        server.handle(
            toom_core::time::Instant::ZERO,
            Input::Recovered { committed: &committed, wall: time(0) },
            &mut out,
        );
        out.clear();
    }
    let mut snapshot = Vec::new();
    let taken = (0..TIMES).map(|_| {
        let began = Instant::now();
        snapshot = server.snapshot();
        began.elapsed()
    });
    let taken = median(taken.collect());
    let restored = (0..TIMES).map(|_| {
        let (mut server, began) = (empty(), Instant::now());
        server.restore(&snapshot, toom_core::time::Instant::ZERO, time(0), &mut out).expect("readable");
        began.elapsed()
    });
    let restored = median(restored.collect());
    println!(
        "snapshot of 10,000 users and 1,000 rooms: {taken:.2?}, {} bytes, restored in {restored:.2?}",
        snapshot.len()
    );
}

fn empty() -> Server {
    Server::new(Settings::default(), PasswordHash::decoy([0; 32], [0; 16]), [0; 32])
}

fn name(number: usize) -> UserName {
    UserName::new(&format!("user{number}")).expect("a name")
}

fn time(number: u64) -> Timestamp {
    Timestamp::from_millis(1_654_063_500_000 + number.cast_signed() * 100)
}

/// A log as `toom user` and a server that was killed would leave it.
fn fill(data: &Path, messages: u64) {
    let account = |number| Fact::AccountAdded { name: name(number), hash: PasswordHash::decoy([0; 32], [1; 16]) };
    let room = |members: usize| {
        let mut members: Vec<_> = (0..members).map(name).collect();
        members.sort();
        Fact::RoomBuilt { by: name(0), members, at: time(0) }
    };
    let before: Vec<_> = (0..USERS).map(account).chain([room(USERS), room(2)]).collect();
    append(data, &before).expect("appended");
    let mut draw = 1_u64;
    let mut facts = Vec::new();
    for number in 1..=messages {
        let from = name(usize::try_from(number % 2).expect("small"));
        let text = text(&mut draw);
        if number % BETWEEN == 0 {
            let (from, text) = (from.clone(), text.clone());
            facts.push(Fact::RoomMessage {
                room: SMALL,
                from: from.clone(),
                text: text.clone(),
                at: time(number),
                id: None,
            });
            facts.push(Fact::Broadcast { from, text, at: time(number), id: None });
        }
        facts.push(Fact::RoomMessage { room: LARGE, from, text, at: time(number), id: None });
        if facts.len() > 50_000 || number == messages {
            append(data, &facts).expect("appended");
            facts.clear();
        }
    }
}

/// Ten words.
fn text(draw: &mut u64) -> String {
    let word = |_| {
        // A generator of Marsaglia's (xorshift64): the same messages in every run.
        *draw ^= *draw << 13;
        *draw ^= *draw >> 7;
        *draw ^= *draw << 17;
        // Squared, so that the first words come most often.
        let share = *draw % 10_000;
        format!("word{}", share * share * VOCABULARY / 100_000_000)
    };
    (0..10).map(word).collect::<Vec<_>>().join(" ")
}

fn last_page(room: RoomId, last: u64) -> Select {
    let first = MessageNumber(last.saturating_sub(MAX_PAGE_MESSAGES as u64) + 1);
    let spans = vec![Span { conversation: Conversation::Room(room), first, last: MessageNumber(last) }];
    Select { spans, not_before: time(0), max_messages: MAX_PAGE_MESSAGES, max_bytes: MAX_PAGE_BYTES }
}

/// As a member of both rooms asks, or somebody who is in one of them.
fn search(words: &str, only: Option<RoomId>) -> Query {
    let all = |conversation| Span { conversation, first: MessageNumber(1), last: MessageNumber(u64::MAX) };
    let rooms = [LARGE, SMALL].into_iter().filter(|room| only.is_none_or(|only| only == *room));
    let conversations = only.is_none().then_some(Conversation::Broadcast).into_iter();
    let search = Search {
        reader: name(0),
        direct_after: LogIndex(1),
        spans: conversations.chain(rooms.map(Conversation::Room)).map(all).collect(),
        words: Search::words(words).expect("words"),
        up_to: LogIndex(u64::MAX),
        before: None,
        max_messages: MAX_FOUND_MESSAGES,
        max_bytes: MAX_PAGE_BYTES,
    };
    search.into()
}

/// The data of a server that runs.
struct Running {
    machine: Server,
    data: Data,
    heard: Receiver<Input<'static>>,
}

impl Running {
    fn start(data: &Path) -> Running {
        let config = ServerConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            data: data.to_owned(),
            attempts: 3,
            block: Duration::from_secs(10),
            keep: None,
            grace: DEFAULT_GRACE,
            post_rates: PostRates::default(),
        };
        let (hear, heard) = mpsc::channel();
        let opened = Opened::open(&config, || toom_core::time::Instant::ZERO).expect("opened");
        let (machine, data) = opened.start(move |input| drop(hear.send(input)));
        Running { machine, data, heard }
    }

    /// As a server stops that nobody has used.
    fn stop(mut self) {
        self.data.save(&self.machine);
    }

    fn ask(&self, query: Query) -> Option<Page> {
        self.data.query(QueryId(1), query);
        match self.heard.recv_timeout(PATIENCE).expect("an answer") {
            Input::Found { page, .. } => page,
            other => panic!("{other:?} in the place of a page"),
        }
    }

    fn measure(&self, what: &str, query: Query) {
        let mut found = 0;
        let times = (0..TIMES).map(|_| {
            let began = Instant::now();
            let page = self.ask(query.clone()).expect("readable");
            found = page.messages.len();
            began.elapsed()
        });
        let median = median(times.collect());
        println!("{what}: {median:.2?} ({found} messages)");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
