//! A server's data: opened, read into the machine, and then kept up to date.

use toom_core::config::ServerConfig;
use toom_core::id::{LogIndex, QueryId, Ticket};
use toom_core::machine::Machine;
use toom_core::secure::{PasswordHash, SecretKey};
use toom_core::server::activity::Activity;
use toom_core::server::fact::{Fact, Message};
use toom_core::server::io::{Input, Output, Query};
use toom_core::server::{Server, Settings};
use toom_core::time::Instant;

use super::ServerError;
use crate::key_file;
use crate::log::{Completion, Log, LogHandle};
use crate::system::random_seed;
use crate::text_log::TextLogs;
use crate::wall;

/// A snapshot is due after this many facts, which a start applies in some tens of milliseconds.
const FACTS_BETWEEN_SNAPSHOTS: usize = 20_000;
/// ... or, where there are so many accounts and rooms that it is large, after one fact for this many of its bytes: then
/// snapshots are not more work for the disk than facts.
const SNAPSHOT_BYTES_FOR_A_FACT: usize = 64;

/// The file with the server's key, among its data.
pub(crate) const KEY_FILE: &str = "server_key";

/// Data that has been read, and that nothing has been written to.
#[derive(Debug)]
pub struct Opened {
    machine: Server,
    key: SecretKey,
    log: Log,
    text_logs: TextLogs,
    /// Messages of the log that the index lacks, since the server died before it had them: few, so their texts may
    /// be in memory.
    unindexed: Vec<Message>,
    /// Facts that no snapshot covered.
    replayed: usize,
}

/// Data that is kept up to date: the log and the text logs. Dropping it commits what is queued, and ends.
#[derive(Debug)]
pub struct Data {
    /// Dropped first: the text logs hear from it what was forgotten, and end only after it.
    log: LogHandle,
    text_logs: TextLogs,
    /// Proposals that have not come back.
    proposals: usize,
    unsaved: Unsaved,
}

/// Facts that no snapshot covers.
#[derive(Debug)]
struct Unsaved {
    facts: usize,
    /// With so many a snapshot is due.
    due: usize,
}

impl Opened {
    /// Opens (or makes) the data, and gives the log's facts to a new machine. `now` is the driver's clock.
    pub fn open(config: &ServerConfig, now: impl Fn() -> Instant) -> Result<Opened, ServerError> {
        let mut log = Log::open(&config.data)?.keep(config.keep);
        let key_file = config.data.join(KEY_FILE);
        let has_key = key_file.exists();
        let key = key_file::load_or_create(&key_file).map_err(|e| ServerError(e.to_string()))?;
        let mut machine = new_machine(config)?;
        let (mut out, mut known) = (Vec::new(), Vec::new());
        let restored = restore(&mut machine, &log, now(), &mut out)?;
        let mut gather = |out: &mut Vec<Output>| {
            let mut recorded = None;
            for output in out.drain(..) {
                match output {
                    Output::Record(message) => recorded = Some(message),
                    Output::Activity(activity) => known.push(activity),
                    _ => {}
                }
            }
            recorded
        };
        gather(&mut out);
        let mut replayed = 0;
        let unindexed = log.replay_messages(restored, |committed| {
            replayed += 1;
            let input = Input::Recovered { committed: &committed, wall: wall::now() };
            machine.handle(now(), input, &mut out);
            gather(&mut out)
        })?;
        if !has_key && machine.applied() > LogIndex(0) {
            tracing::warn!(
                "{} was missing and a new key was made: clients that know this server refuse it until they are told; to keep \
                 the old one, stop the server and put it back from a backup",
                key_file.display()
            );
        }
        // They follow the index of messages, which is complete now but for what waits.
        let text_logs = TextLogs::start(&config.data)?;
        known.iter().for_each(|activity| text_logs.activity(activity));
        Ok(Opened { machine, key, log, text_logs, unindexed, replayed })
    }

    /// The server's long-lived key, made at its first start.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Starts to write. `hear` is called from threads of the log with what the machine must hear, and must not wait.
    pub fn start(self, hear: impl Fn(Input<'static>) + Send + Sync + 'static) -> (Server, Data) {
        let forget = self.text_logs.forgetter();
        let log = self.log.start(move |completion| match completion {
            Completion::Committed(committed) => hear(Input::Committed { committed, wall: wall::now() }),
            Completion::ProposalFailed { ticket } => hear(Input::ProposalFailed { ticket }),
            Completion::Found { query, page } => hear(Input::Found { query, page }),
            Completion::Forgotten { conversation, through } => forget(conversation, through),
            Completion::StoppedWriting { reason } => tracing::error!(
                "the server cannot write to its disk any more, and accepts nothing that must last until it is started again: \
                 {reason}"
            ),
        });
        let data = Data {
            log,
            text_logs: self.text_logs,
            proposals: 0,
            unsaved: Unsaved { facts: self.replayed, due: FACTS_BETWEEN_SNAPSHOTS },
        };
        self.unindexed.iter().for_each(|message| data.record(message));
        (self.machine, data)
    }
}

impl Data {
    /// Appends a fact; `Committed` or `ProposalFailed` follows.
    pub fn propose(&mut self, ticket: Ticket, fact: Fact) {
        self.proposals += 1;
        self.log.propose(ticket, fact);
    }

    /// Takes note of what the machine is about to hear.
    pub fn note(&mut self, input: &Input<'_>) {
        let is_answer = match input {
            Input::Committed { committed, .. } => committed.ticket.is_some(),
            Input::ProposalFailed { .. } => true,
            _ => false,
        };
        if is_answer {
            self.proposals = self.proposals.saturating_sub(1);
        }
        self.unsaved.facts += usize::from(matches!(input, Input::Committed { .. }));
    }

    /// Keeps what the machine is now, if many facts have come since the last time.
    pub fn save_if_due(&mut self, machine: &Server) {
        if self.unsaved.facts >= self.unsaved.due {
            self.save(machine);
        }
    }

    /// Keeps what the machine is now, for the next start.
    pub fn save(&mut self, machine: &Server) {
        if self.unsaved.facts == 0 {
            return;
        }
        let snapshot = machine.snapshot();
        self.unsaved =
            Unsaved { facts: 0, due: FACTS_BETWEEN_SNAPSHOTS.max(snapshot.len() / SNAPSHOT_BYTES_FOR_A_FACT) };
        self.log.save_snapshot(machine.applied(), snapshot);
    }

    /// Whether every proposal has come back.
    pub fn is_settled(&self) -> bool {
        self.proposals == 0
    }

    /// Keeps a message that was numbered.
    pub fn record(&self, message: &Message) {
        self.log.record(message);
        self.text_logs.record(message);
    }

    /// Reads a page; `Found` follows.
    pub fn query(&self, query: QueryId, what: impl Into<Query>) {
        self.log.query(query, what);
    }

    /// Lets the text logs follow.
    pub fn activity(&self, activity: &Activity) {
        self.text_logs.activity(activity);
    }
}

/// Lets the machine be what the newest snapshot that can be read says; which facts it has then.
fn restore(machine: &mut Server, log: &Log, now: Instant, out: &mut Vec<Output>) -> Result<LogIndex, ServerError> {
    for (index, snapshot) in log.snapshots()? {
        match machine.restore(&snapshot, now, wall::now(), out) {
            Ok(applied) => return Ok(applied),
            Err(error) => tracing::warn!("{error}; it is of fact {index}, and the facts are read instead"),
        }
    }
    Ok(LogIndex(0))
}

fn new_machine(config: &ServerConfig) -> Result<Server, ServerError> {
    let salt = random_seed()?.first_chunk().copied().unwrap_or_default();
    let decoy = PasswordHash::decoy(random_seed()?, salt);
    let settings =
        Settings { attempts: config.attempts, block: config.block, post_rates: config.post_rates, grace: config.grace };
    Ok(Server::new(settings, decoy, random_seed()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use toom_core::id::MessageNumber;
    use toom_core::name::UserName;
    use toom_core::server::PostRates;
    use toom_core::server::fact::Conversation;
    use toom_core::server::io::{Page, Select, Span};
    use toom_core::time::Timestamp;

    use super::*;
    use crate::log::append;

    fn open(data: &Path) -> Result<Opened, ServerError> {
        let config = ServerConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            data: data.to_owned(),
            attempts: 3,
            block: Duration::from_secs(10),
            post_rates: PostRates::default(),
            keep: None,
            grace: Duration::from_secs(60),
        };
        Opened::open(&config, || Instant::ZERO)
    }

    fn start(data: &Path) -> (Server, Data, Receiver<Input<'static>>) {
        let (hear, heard) = mpsc::channel();
        let (machine, data) = open(data).expect("opened").start(move |input| drop(hear.send(input)));
        (machine, data, heard)
    }

    fn facts(texts: &[&str]) -> Vec<Fact> {
        let name = || UserName::new("yoda").expect("a name");
        let hash = PasswordHash::decoy([0; 32], [1; 16]);
        let broadcast = |text: &&str| Fact::Broadcast {
            from: name(),
            text: (*text).into(),
            at: Timestamp::from_millis(5),
            id: None,
        };
        let account = Fact::AccountAdded { name: name(), hash };
        [account].into_iter().chain(texts.iter().map(broadcast)).collect()
    }

    fn broadcasts(data: &Data, heard: &Receiver<Input<'static>>) -> Vec<String> {
        let conversation = Conversation::Broadcast;
        let span = Span { conversation, first: MessageNumber(1), last: MessageNumber(u64::MAX) };
        let not_before = Timestamp::from_millis(0);
        data.query(QueryId(1), Select { spans: vec![span], not_before, max_messages: 99, max_bytes: usize::MAX });
        match heard.recv_timeout(Duration::from_secs(60)).expect("an answer") {
            Input::Found { page: Some(Page { messages, .. }), .. } => {
                messages.into_iter().map(|message| message.text).collect()
            }
            other => panic!("a page was expected, not {other:?}"),
        }
    }

    #[test]
    fn what_the_index_lacks_is_added_and_what_it_has_is_not_kept_in_memory() {
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &facts(&["one", "two"])).expect("appended");
        let opened = open(directory.path()).expect("opened");
        assert_eq!(opened.unindexed.len(), 2);
        drop(opened);

        let (_machine, data, heard) = start(directory.path());
        assert_eq!(broadcasts(&data, &heard), ["one", "two"]);
        drop(data);
        let text = std::fs::read_to_string(directory.path().join("logs/messagelog.txt")).expect("a text log");
        assert_eq!(text.lines().count(), 2, "{text}");

        append(directory.path(), &facts(&["three"])[1..]).expect("appended");
        let opened = open(directory.path()).expect("opened");
        assert_eq!(opened.unindexed.iter().map(|message| &message.text).collect::<Vec<_>>(), ["three"]);
    }

    /// The facts of a clean run are in its snapshot: the next start neither needs nor reads them.
    #[test]
    fn a_start_goes_on_from_the_newest_snapshot_that_can_be_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let sql = |sql: &str| {
            let connection = rusqlite::Connection::open(directory.path().join("toom.db")).expect("opened");
            connection.execute_batch(sql).expect("executed");
        };
        let mut whole = None;
        for text in ["one", "two", "three"] {
            append(directory.path(), &facts(&[text])).expect("appended");
            let (machine, mut data, _heard) = start(directory.path());
            data.save(&machine);
            data.save(&machine);
            whole = Some(machine);
        }
        let whole = whole.expect("a machine");
        // Damages of the newest snapshot, then of both; at last only all facts are left to say what was.
        for (damage, replayed) in [
            ("", 0),
            ("UPDATE snapshots SET body = x'00' WHERE idx = 6", 2),
            ("UPDATE snapshots SET body = x'01' || body", 6),
            ("DELETE FROM snapshots", 6),
        ] {
            sql(damage);
            let opened = open(directory.path()).expect("opened");
            assert_eq!(opened.replayed, replayed, "{damage}");
            assert!(opened.machine.same_conference(&whole) && opened.machine.applied() == LogIndex(6), "{damage}");
        }
    }

    /// Of a directory where a server has been.
    #[test]
    fn a_database_that_is_gone_or_lost_its_end_is_named_and_not_replaced() {
        let refused = |data: &Path| {
            let logged = std::fs::read(data.join("logs/messagelog.txt")).expect("read");
            let refused = open(data).expect_err("refused").to_string();
            let appended = append(data, &facts(&["new"])).expect_err("nor does anybody else cover it up");
            assert_eq!(appended.to_string(), refused);
            assert_eq!(std::fs::read(data.join("logs/messagelog.txt")).expect("read"), logged);
            refused
        };
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &facts(&["one", "two", "three"])).expect("appended");
        let (_, data, heard) = start(directory.path());
        assert_eq!(broadcasts(&data, &heard).len(), 3);
        data.query(QueryId(2), search("one"));
        heard.recv_timeout(Duration::from_secs(60)).expect("an answer");
        drop(data);
        let database = directory.path().join("toom.db");
        let whole = std::fs::read(&database).expect("read");

        let connection = rusqlite::Connection::open(&database).expect("opened");
        connection
            .execute_batch("DELETE FROM log WHERE idx = 4; DELETE FROM messages WHERE fact = 4")
            .expect("deleted");
        drop(connection);
        let said = refused(directory.path());
        assert!(said.contains("lacks its newest messages: it ends with fact 3"), "{said}");
        for (content, what) in [(Some(&b""[..]), "empty"), (None, "missing")] {
            match content {
                Some(content) => std::fs::write(&database, content).expect("written"),
                None => std::fs::remove_file(&database).expect("removed"),
            }
            let said = refused(directory.path());
            assert!(said.contains(&format!("toom.db is {what}, and yet ")), "{said}");
            let checked = crate::maintenance::check(directory.path()).expect_err("refused").to_string();
            assert_eq!(checked, said);
        }
        std::fs::write(&database, whole).expect("written");
        assert!(open(directory.path()).is_ok());
    }

    fn search(words: &str) -> toom_core::server::search::Search {
        use toom_core::server::search::Search;
        Search {
            reader: UserName::new("yoda").expect("a name"),
            direct_after: LogIndex(0),
            spans: Vec::new(),
            words: Search::words(words).expect("words"),
            up_to: LogIndex(u64::MAX),
            before: None,
            max_messages: 9,
            max_bytes: usize::MAX,
        }
    }

    #[test]
    fn a_log_that_ends_before_its_snapshot_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &facts(&["one", "two"])).expect("appended");
        let (machine, mut data, _heard) = start(directory.path());
        data.save(&machine);
        drop(data);
        let connection = rusqlite::Connection::open(directory.path().join("toom.db")).expect("opened");
        connection.execute("DELETE FROM log WHERE idx = 3", []).expect("deleted");
        drop(connection);
        // Else what was found sooner would be that the search index has more.
        let _ = std::fs::remove_file(crate::log::search_path(directory.path()));
        let refused = open(directory.path()).expect_err("refused").to_string();
        assert!(
            refused.starts_with("fact 3 of ") && refused.ends_with("is missing; the file was not touched"),
            "{refused}"
        );
    }

    #[test]
    fn a_database_of_an_earlier_schema_is_brought_up_to_date_and_keeps_everything() {
        let columns = "conversation TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, fact INTEGER NOT NULL";
        let messages = |more: &str| {
            format!("CREATE TABLE messages ({columns}{more}, PRIMARY KEY (conversation, number)) WITHOUT ROWID;")
        };
        let by_time = "CREATE INDEX messages_by_time ON messages (conversation, at);";
        let schemas = [
            messages("")
                + by_time
                + "DROP TABLE snapshots; PRAGMA user_version = 1;
                INSERT INTO messages VALUES ('broadcast', 1, 5, 2), ('broadcast', 2, 5, 3);",
            messages(", checksum INTEGER NOT NULL")
                + by_time
                + "CREATE INDEX messages_by_fact ON messages (fact); PRAGMA user_version = 2;
                INSERT INTO messages VALUES ('broadcast', 1, 5, 2, 0), ('broadcast', 2, 5, 3, 0);",
        ];
        for schema in schemas {
            let directory = tempfile::tempdir().expect("a directory");
            append(directory.path(), &facts(&["one", "two"])).expect("appended");
            let (machine, mut data, _heard) = start(directory.path());
            // A snapshot that the new version must not begin with: it makes the rows before it anew.
            data.save(&machine);
            drop(data);
            let connection = rusqlite::Connection::open(directory.path().join("toom.db")).expect("opened");
            connection.execute_batch(&("DROP TABLE messages;".to_owned() + &schema)).expect("made");
            drop(connection);
            for _ in 0..2 {
                let (_machine, data, heard) = start(directory.path());
                assert_eq!(broadcasts(&data, &heard), ["one", "two"], "{schema}");
            }
            let connection = rusqlite::Connection::open(directory.path().join("toom.db")).expect("opened");
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
            assert_eq!(version, 3);
        }
    }

    /// A number, a time, a conversation or a fact that changed on the disk, and a row that is gone.
    #[test]
    fn a_damaged_index_of_messages_is_made_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &facts(&["one", "two", "three"])).expect("appended");
        drop(start(directory.path()));
        for damage in [
            "UPDATE messages SET number = 9 WHERE number = 3",
            "UPDATE messages SET at = at + 1 WHERE number = 1",
            "UPDATE messages SET fact = 1 WHERE number = 3",
            "UPDATE messages SET conversation = 'room/7' WHERE number = 2",
            "UPDATE messages SET checksum = checksum + 1 WHERE number = 2",
            "DELETE FROM messages WHERE number = 2",
        ] {
            let connection = rusqlite::Connection::open(directory.path().join("toom.db")).expect("opened");
            assert!(connection.execute(damage, []).expect("executed") > 0, "{damage}");
            drop(connection);
            let (machine, mut data, heard) = start(directory.path());
            assert_eq!(broadcasts(&data, &heard), ["one", "two", "three"], "{damage}");
            data.save(&machine);
        }
        let text = std::fs::read_to_string(directory.path().join("logs/messagelog.txt")).expect("a text log");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn data_that_was_only_opened_can_be_opened_again_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let opened = open(directory.path()).expect("opened");
        let refused = open(directory.path()).expect_err("in use").to_string();
        assert!(refused.contains("server"), "{refused}");
        drop(opened);
        drop(open(directory.path()).expect("opened again"));
    }

    #[test]
    fn a_proposal_is_settled_by_its_own_answer_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_machine, mut data, heard) = start(directory.path());
        assert!(data.is_settled());
        for (number, fact) in (1..).zip(facts(&["one"])) {
            data.propose(Ticket(number), fact);
        }
        for settled in [false, true] {
            data.note(&Input::Woke { wall: wall::now() });
            assert!(!data.is_settled());
            data.note(&heard.recv_timeout(Duration::from_secs(60)).expect("an answer"));
            assert_eq!(data.is_settled(), settled);
        }
    }

    #[test]
    fn dropping_commits_what_is_queued() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_machine, mut data, _heard) = start(directory.path());
        for (number, fact) in (1..).zip(facts(&["one"])) {
            data.propose(Ticket(number), fact);
        }
        drop(data);
        assert_eq!(open(directory.path()).expect("opened").unindexed.len(), 1);
    }
}
