//! The thread that follows the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use toom_core::id::{LogIndex, MessageNumber, RoomId};
use toom_core::name::UserName;
use toom_core::server::fact::{Conversation, Message};
use toom_core::server::io::Presence;

use super::directory::{Directory, Start};
use super::rows::{UserLog, file_name, message_row};

/// Between two writes; well under the 100 ms within which the files must follow.
const PAUSE: Duration = Duration::from_millis(50);

/// Rows that may wait for the pause to end.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Events that are taken along with one write: a flood must not put it off.
const MAX_TAKEN: usize = 4_096;

/// What the files have to follow.
#[derive(Debug)]
pub(super) enum Event {
    Message(Message),
    LoggedIn(Presence),
    Resumed(Presence),
    LoggedOut(UserName),
    /// This room's file has to exist.
    Room(RoomId),
    /// The messages up to this one are gone.
    Forgotten(Conversation, MessageNumber),
}

/// Follows until the handle is gone.
pub(super) fn run(directory: Directory, start: Start, events: &Receiver<Event>) {
    let mut follower = Follower::new(directory, start);
    let mut next_write = Instant::now();
    follower.write();
    loop {
        let event = if follower.is_waiting() {
            events.recv_timeout(next_write.saturating_duration_since(Instant::now()))
        } else {
            events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match event {
            Ok(event) => follower.note(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= next_write || follower.waiting_bytes >= MAX_WAITING_BYTES {
            // What is queued already comes along.
            events.try_iter().take(MAX_TAKEN).for_each(|event| follower.note(event));
            follower.write();
            next_write = Instant::now() + PAUSE;
        }
    }
    follower.write();
}

/// What the files should say, and what of it they do not say yet.
struct Follower {
    directory: Directory,
    users: UserLog,
    users_changed: bool,
    /// The newest message that was noted.
    noted: LogIndex,
    /// Rows to append; by file, since each is opened once for all of its rows. An empty text makes the file.
    waiting: BTreeMap<String, String>,
    waiting_bytes: usize,
    /// Files that are left alone because they could not be written.
    given_up: BTreeSet<String>,
    users_reported: bool,
}

impl Follower {
    fn new(directory: Directory, start: Start) -> Follower {
        Follower {
            directory,
            users: UserLog::default(),
            // Nobody is active when the server starts, whatever the file says.
            users_changed: true,
            noted: start.newest,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            given_up: start.given_up,
            users_reported: false,
        }
    }

    fn is_waiting(&self) -> bool {
        self.users_changed || !self.waiting.is_empty()
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::LoggedIn(presence) => {
                self.users.login(presence);
                self.users_changed = true;
            }
            Event::Resumed(presence) => {
                self.users.resumed(presence);
                self.users_changed = true;
            }
            Event::LoggedOut(name) => {
                self.users.logout(&name);
                self.users_changed = true;
            }
            Event::Forgotten(conversation, through) => self.forget(&conversation, through),
            Event::Room(room) => self.append(&Conversation::Room(room), ""),
            // A message that comes again is in its file already.
            Event::Message(message) if message.index > self.noted => {
                self.noted = message.index;
                self.append(&message.conversation, &message_row(&message));
            }
            Event::Message(_) => {}
        }
    }

    fn append(&mut self, conversation: &Conversation, row: &str) {
        let Some(file) = file_name(conversation) else { return };
        if !self.given_up.contains(&file) {
            self.waiting_bytes += row.len();
            self.waiting.entry(file).or_default().push_str(row);
        }
    }

    /// Rows that wait are not in the file yet, so they are written first.
    fn forget(&mut self, conversation: &Conversation, through: MessageNumber) {
        self.write();
        let Some(file) = file_name(conversation).filter(|file| !self.given_up.contains(file)) else { return };
        if let Err(error) = self.directory.forget(&file, through) {
            tracing::warn!("{error}; it is left alone, and written anew at the next start");
            self.given_up.insert(file);
        }
    }

    fn write(&mut self) {
        if std::mem::take(&mut self.users_changed)
            && let Err(error) = self.directory.replace("userlog.txt", &self.users.render())
            && !std::mem::replace(&mut self.users_reported, true)
        {
            tracing::warn!("{error}; userlog.txt is out of date");
        }
        self.waiting_bytes = 0;
        for (file, rows) in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.directory.append(&file, &rows) {
                tracing::warn!("{error}; it is left alone, and written anew at the next start");
                self.given_up.insert(file);
            }
        }
    }
}
