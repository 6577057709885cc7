//! What the log promises, shown on real files.

mod damage;
mod failure;
mod feed;
mod paging;
mod retention;

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use toom_core::id::MessageNumber;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::fact::Conversation;
use toom_core::server::io::{Select, Span};
use toom_core::time::Timestamp;

use super::*;
use toom_core::name::UserName;

/// Far longer than anything here takes; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

fn account(user: &str) -> Fact {
    let hash = PasswordHash::new(&Password("x".into()), [1; 16], HashCost::Trivial);
    Fact::AccountAdded { name: name(user), hash }
}

fn broadcast(text: &str) -> Fact {
    Fact::Broadcast { from: name("yoda"), text: text.into(), at: Timestamp::from_millis(7), id: None }
}

/// The message that `broadcast(text)` at `index` is.
fn message(index: u64, number: u64, text: &str) -> Message {
    Message {
        conversation: Conversation::Broadcast,
        number: MessageNumber(number),
        at: Timestamp::from_millis(number.cast_signed() * 1000),
        from: name("yoda"),
        text: text.into(),
        index: LogIndex(index),
    }
}

fn all_broadcasts() -> Select {
    let conversation = Conversation::Broadcast;
    Select {
        spans: vec![Span { conversation, first: MessageNumber(1), last: MessageNumber(u64::MAX) }],
        not_before: Timestamp::from_millis(i64::MIN),
        max_messages: 100_000,
        max_bytes: usize::MAX,
    }
}

/// A log that runs, and what it reports.
struct Running {
    handle: LogHandle,
    completions: Receiver<Completion>,
}

impl Running {
    fn open(data: &Path) -> Running {
        let mut log = Log::open(data).expect("opened");
        log.replay(|_| {}).expect("replayed");
        Running::start(log)
    }

    fn start(log: Log) -> Running {
        let (report, completions) = mpsc::channel();
        Running { handle: log.start(move |completion| drop(report.send(completion))), completions }
    }

    fn next(&self) -> Completion {
        self.completions.recv_timeout(DEADLINE).expect("a completion in time")
    }

    fn next_committed(&self) -> Committed {
        match self.next() {
            Completion::Committed(committed) => committed,
            other => panic!("Committed expected, not {other:?}"),
        }
    }

    fn commit(&self, fact: Fact) -> Committed {
        self.handle.propose(Ticket(0), fact);
        self.next_committed()
    }

    fn page(&self, select: Select) -> Option<Page> {
        self.handle.query(QueryId(3), select);
        match self.next() {
            Completion::Found { query: QueryId(3), page } => page,
            other => panic!("Found expected, not {other:?}"),
        }
    }

    fn broadcasts(&self) -> Vec<Message> {
        self.page(all_broadcasts()).expect("readable").messages
    }

    /// Everything that was reported until the end.
    fn stop(self) -> Vec<Completion> {
        self.handle.stop();
        self.completions.try_iter().collect()
    }
}

fn replayed(data: &Path) -> Vec<Committed> {
    let mut facts = Vec::new();
    Log::open(data).expect("opened").replay(|committed| facts.push(committed)).expect("replayed");
    facts
}

fn refusal(data: &Path) -> String {
    Log::open(data).expect_err("refused").to_string()
}
