//! What the text logs promise, shown on real files.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use toom_core::id::{MessageNumber, RoomId};
use toom_core::name::UserName;
use toom_core::server::fact::Fact;
use toom_core::server::io::Presence;
use toom_core::time::Timestamp;
use toom_core::wire::message::RoomInfo;

use super::*;
use crate::log::{Log, append};
use crate::wall;

/// Far longer than anything here takes; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory, and the messages that its log has.
struct Server {
    data: tempfile::TempDir,
    messages: Vec<Message>,
}

impl Server {
    fn new() -> Server {
        Server { data: tempfile::tempdir().expect("a directory"), messages: Vec::new() }
    }

    /// With messages in the database, and text logs that were never written.
    fn with(texts: &[(Conversation, &str)]) -> Server {
        let mut server = Server::new();
        texts.iter().for_each(|(conversation, text)| drop(server.post(conversation.clone(), text)));
        server.index();
        server
    }

    /// Commits a message, which is not indexed yet.
    fn post(&mut self, conversation: Conversation, text: &str) -> Message {
        let before = self.messages.iter().filter(|message| message.conversation == conversation).count();
        let index = self.messages.len() as u64 + 1;
        let at = Timestamp::from_millis(1_654_063_500_000 + 61_000 * index.cast_signed());
        let (from, text) = (name("yoda"), text.to_owned());
        let fact = match &conversation {
            Conversation::Broadcast => Fact::Broadcast { from: from.clone(), text: text.clone(), at, id: None },
            Conversation::Room(room) => {
                Fact::RoomMessage { room: *room, from: from.clone(), text: text.clone(), at, id: None }
            }
            Conversation::Direct(to, _) => {
                Fact::DirectMessage { from: from.clone(), to: to.clone(), text: text.clone(), at, id: None }
            }
        };
        append(self.data.path(), &[fact]).expect("appended");
        let number = MessageNumber(before as u64 + 1);
        let message = Message { conversation, number, at, from, text, index: LogIndex(index) };
        self.messages.push(message.clone());
        message
    }

    /// Indexes all messages, as a server does.
    fn index(&self) {
        let mut log = Log::open(self.data.path()).expect("opened");
        log.replay(|_| {}).expect("replayed");
        let log = log.start(|_| {});
        self.messages.iter().for_each(|message| log.record(message));
        log.stop();
    }

    fn logs(&self) -> TextLogs {
        TextLogs::start(self.data.path()).expect("started")
    }

    /// Runs once, as a server that records everything again.
    fn restart(&self) {
        let logs = self.logs();
        self.messages.iter().for_each(|message| logs.record(message));
        logs.stop();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join("logs").join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| format!("{name}: {error}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data.path().join("logs")).expect("listed");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().expect("UTF-8")).collect()
    }

    /// What a conversation's file should say.
    fn expected(&self, conversation: &Conversation) -> String {
        let of_conversation = self.messages.iter().filter(|message| message.conversation == *conversation);
        of_conversation.map(rows::message_row).collect()
    }

    fn wait_for(&self, file: &str, text: &str) {
        let give_up = Instant::now() + DEADLINE;
        while self.text(file) != text {
            assert!(Instant::now() < give_up, "{file} says {:?}, not {text:?}", self.text(file));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

const BROADCAST: Conversation = Conversation::Broadcast;

fn room(number: u32) -> Conversation {
    Conversation::Room(RoomId(number))
}

fn direct() -> Conversation {
    Conversation::direct(&name("luke"), &name("yoda"))
}

fn login(user: &str, port: u16) -> Activity {
    let since = Timestamp::from_millis(1_654_063_500_000);
    Activity::LoggedIn(Presence { name: name(user), address: [127, 0, 0, 1].into(), udp_port: port, since })
}

fn logout(user: &str) -> Activity {
    Activity::LoggedOut { user: name(user), at: Timestamp::from_millis(0), asked: true }
}

#[test]
fn messages_are_followed_while_the_server_runs() {
    let mut server = Server::new();
    let logs = server.logs();
    for (conversation, text) in [(BROADCAST, "hello"), (room(1), "secret"), (direct(), "psst"), (BROADCAST, "a; b\\")] {
        logs.record(&server.post(conversation, text));
    }
    let (first, second) = (wall::written(server.messages[0].at), wall::written(server.messages[3].at));
    server.wait_for("messagelog.txt", &format!("1; {first}; yoda; hello\n2; {second}; yoda; a\\; b\\\\\n"));
    server.wait_for("SR_1_messagelog.txt", &server.expected(&room(1)));
    logs.stop();
    assert_eq!(server.names(), ["SR_1_messagelog.txt", "messagelog.txt", "userlog.txt"]);
    assert!(!server.names().iter().any(|file| server.text(file).contains("psst")));
}

#[test]
fn nobody_can_forge_a_row() {
    let mut server = Server::new();
    let logs = server.logs();
    logs.record(&server.post(BROADCAST, "hi\n2; 1 Jun 2022 21:39:04; luke; I resign\r\n"));
    logs.stop();
    let text = server.text("messagelog.txt");
    assert_eq!(text.lines().count(), 1);
    assert!(text.ends_with("; yoda; hi\\n2\\; 1 Jun 2022 21:39:04\\; luke\\; I resign\\r\\n\n"), "{text}");
}

#[test]
fn the_user_log_starts_empty_and_is_renumbered_at_logout() {
    let server = Server::new();
    fs::create_dir(server.data.path().join("logs")).expect("made");
    fs::write(server.file("userlog.txt"), "1; of the last run\n").expect("written");
    let logs = server.logs();
    server.wait_for("userlog.txt", "");
    let since = wall::written(Timestamp::from_millis(1_654_063_500_000));
    for (user, port) in [("yoda", 6666), ("luke", 7777), ("leia", 0)] {
        logs.activity(&login(user, port));
    }
    let row = |number, user, port| format!("{number}; {since}; {user}; 127.0.0.1; {port}\n");
    let all = [row(1, "yoda", 6666), row(2, "luke", 7777), row(3, "leia", 0)].concat();
    server.wait_for("userlog.txt", &all);
    logs.activity(&logout("yoda"));
    server.wait_for("userlog.txt", &[row(1, "luke", 7777), row(2, "leia", 0)].concat());
    logs.activity(&logout("leia"));
    logs.stop();
    assert_eq!(server.text("userlog.txt"), row(1, "luke", 7777));
}

#[test]
fn a_rooms_file_exists_from_the_beginning() {
    let server = Server::new();
    let logs = server.logs();
    logs.activity(&Activity::RoomKnown { room: RoomId(1) });
    let info = RoomInfo { room: RoomId(2), members: vec![name("luke"), name("yoda")] };
    logs.activity(&Activity::RoomBuilt { user: name("yoda"), room: info });
    logs.stop();
    assert_eq!(server.text("SR_1_messagelog.txt"), "");
    assert_eq!(server.text("SR_2_messagelog.txt"), "");
}

#[test]
fn a_room_known_at_start_keeps_its_messages() {
    let server = Server::with(&[(room(1), "one"), (room(1), "two")]);
    let logs = server.logs();
    logs.activity(&Activity::RoomKnown { room: RoomId(1) });
    logs.stop();
    assert_eq!(server.text("SR_1_messagelog.txt"), server.expected(&room(1)));
}

#[test]
fn deleted_logs_are_written_anew_at_the_next_start() {
    let server = Server::with(&[
        (BROADCAST, "one"),
        (room(3), "in three"),
        (direct(), "psst"),
        (BROADCAST, "t\nw;o"),
        (room(12), "x"),
    ]);
    for _ in 0..2 {
        server.restart();
        assert_eq!(server.text("messagelog.txt"), server.expected(&BROADCAST));
        assert_eq!(server.text("SR_3_messagelog.txt"), server.expected(&room(3)));
        assert_eq!(server.text("SR_12_messagelog.txt"), server.expected(&room(12)));
        assert_eq!(server.names().len(), 4);
        fs::remove_dir_all(server.data.path().join("logs")).expect("removed");
    }
}

#[test]
fn logs_with_too_few_too_many_or_torn_rows_are_written_anew() {
    let server = Server::with(&[(BROADCAST, "one"), (BROADCAST, "two"), (room(1), "x")]);
    let right = server.expected(&BROADCAST);
    let first_row = right.lines().next().map(|row| format!("{row}\n")).expect("a row");
    server.restart();
    for wrong in ["", first_row.as_str(), &format!("{right}{first_row}"), right.trim_end()] {
        fs::write(server.file("messagelog.txt"), wrong).expect("written");
        server.restart();
        assert_eq!(server.text("messagelog.txt"), right);
    }
    // Of a room that this database does not know.
    fs::write(server.file("SR_9_messagelog.txt"), "1; of another database\n").expect("written");
    server.restart();
    assert_eq!(server.text("SR_9_messagelog.txt"), "");
}

#[test]
fn logs_with_the_right_number_of_rows_are_kept() {
    let server = Server::with(&[(BROADCAST, "one"), (BROADCAST, "two")]);
    server.restart();
    fs::write(server.file("messagelog.txt"), "1; kept\n2; as it is\n").expect("written");
    server.restart();
    assert_eq!(server.text("messagelog.txt"), "1; kept\n2; as it is\n");
}

#[test]
fn numbers_go_on_after_a_restart_and_nothing_is_written_twice() {
    let mut server = Server::with(&[(BROADCAST, "one"), (room(1), "in one")]);
    server.restart();
    // Committed, but the server died before it was indexed: the machine says it again at the next start.
    server.post(BROADCAST, "two");
    let logs = server.logs();
    for _ in 0..2 {
        server.messages.iter().for_each(|message| logs.record(message));
    }
    logs.record(&server.post(room(1), "more"));
    logs.stop();
    assert_eq!(server.text("messagelog.txt"), server.expected(&BROADCAST));
    assert_eq!(server.text("SR_1_messagelog.txt"), server.expected(&room(1)));
    // It died after the row was written, but before the message was indexed.
    server.restart();
    assert_eq!(server.text("messagelog.txt"), server.expected(&BROADCAST));
}

#[test]
fn a_file_that_cannot_be_written_stops_nothing_else_and_is_mended_at_the_next_start() {
    let mut server = Server::with(&[(BROADCAST, "one")]);
    server.restart();
    let file = server.file("messagelog.txt");
    fs::remove_file(&file).expect("removed");
    fs::create_dir_all(file.join("in the way")).expect("made");
    let logs = server.logs();
    logs.record(&server.post(BROADCAST, "two"));
    logs.record(&server.post(room(1), "in one"));
    server.wait_for("SR_1_messagelog.txt", &server.expected(&room(1)));
    logs.record(&server.post(BROADCAST, "three"));
    logs.stop();
    server.index();
    fs::remove_dir_all(&file).expect("removed");
    server.restart();
    assert_eq!(server.text("messagelog.txt"), server.expected(&BROADCAST));
}

#[test]
fn a_flood_is_followed_completely_and_in_order() {
    let mut server = Server::new();
    let logs = server.logs();
    let messages: Vec<_> = (1..=20_000)
        .map(|index| {
            let conversation = if index % 3 == 0 { room(1) } else { BROADCAST };
            let (number, at) = (MessageNumber(index), Timestamp::from_millis(0));
            let text = "x".repeat(100);
            Message { conversation, number, at, from: name("yoda"), text, index: LogIndex(index) }
        })
        .collect();
    messages.iter().for_each(|message| logs.record(message));
    logs.stop();
    server.messages = messages;
    assert!(server.text("messagelog.txt") == server.expected(&BROADCAST));
    assert!(server.text("SR_1_messagelog.txt") == server.expected(&room(1)));
}

/// What comes next in the queue is written behind what was taken out.
#[test]
fn rows_of_forgotten_messages_go_and_a_long_file_is_put_aside() {
    let mut server = Server::new();
    let logs = TextLogs::start_with(server.data.path(), 740).expect("started");
    let forget = logs.forgetter();
    for number in 1..=8 {
        logs.record(&server.post(BROADCAST, &format!("{number}{}", "x".repeat(60))));
    }
    let expected = server.expected(&BROADCAST);
    let rows: Vec<&str> = expected.split_inclusive('\n').collect();
    server.wait_for("messagelog.txt", &rows.concat());
    logs.record(&server.post(BROADCAST, "nine"));
    let nine = server.expected(&BROADCAST).split_off(expected.len());
    server.wait_for("messagelog.txt", &nine);
    assert_eq!(server.text("messagelog.txt.1"), expected);
    forget(BROADCAST, MessageNumber(6));
    server.wait_for("messagelog.txt.1", &rows[6..].concat());
    assert_eq!(server.text("messagelog.txt"), nine);
    forget(BROADCAST, MessageNumber(8));
    forget(direct(), MessageNumber(8));
    drop(forget);
    logs.stop();
    assert_eq!(server.names(), ["messagelog.txt", "userlog.txt"]);
    assert_eq!(server.text("messagelog.txt"), nine);
}
