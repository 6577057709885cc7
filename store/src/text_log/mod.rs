//! The assignment's text logs in `DATA/logs`.
//!
//! # Theory of operation
//!
//! All of it is derived: `messagelog.txt` and `SR_<id>_messagelog.txt` from the messages in the database,
//! `userlog.txt` from who is active now. At start, a message log that is missing, or does not have the rows of the
//! messages in the database, is written anew; after that rows are only appended. One thread does all
//! writing, at most every 50 ms, so that a thousand logins at once do not rewrite `userlog.txt`
//! a thousand times, and files are open only while they are written, so that a million rooms need no handles.
//!
//! A message log that has become long is put aside as `messagelog.txt.1` and a new one is begun; what was put aside
//! before that is in the database only. What retention takes out of the database is taken out of the files, too.
//!
//! A file that cannot be written is reported once and left alone until the next start, which finds its rows
//! missing and writes it anew. It never stops the server.

mod directory;
mod rotation;
pub mod rows;
mod thread;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use toom_core::id::{LogIndex, MessageNumber};
use toom_core::server::activity::Activity;
use toom_core::server::fact::{Conversation, Message};

use crate::log::OpenError;
use directory::Directory;
use thread::Event;

/// How long a message log gets before the next one is begun: half a million lines of people, and still quick to open.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The thread that keeps the text logs. Dropping it writes what is waiting, and waits for that.
#[derive(Debug)]
pub struct TextLogs {
    /// Unbounded, since nothing may be dropped and the server must not wait for derived files. What comes in is
    /// bounded by the commits of the log, which wait for the disk, while the thread only appends to the page
    /// cache, whole batches at a time.
    queue: Option<Sender<Event>>,
    thread: Option<JoinHandle<()>>,
    written_at_start: LogIndex,
}

impl TextLogs {
    /// Writes what is missing or out of date anew from the log in `data`, and starts to follow.
    pub fn start(data: &Path) -> Result<TextLogs, OpenError> {
        TextLogs::start_with(data, MAX_BYTES)
    }

    fn start_with(data: &Path, max_bytes: u64) -> Result<TextLogs, OpenError> {
        let directory = Directory::open(data, max_bytes)?;
        let start = directory.bring_up_to_date(data)?;
        let written_at_start = start.newest;
        let (queue, events) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("toom-text-logs".into())
            .spawn(move || thread::run(directory, start, &events))
            .map_err(|error| OpenError(format!("the text logs cannot be kept: {}", crate::system::in_words(&error))))?;
        Ok(TextLogs { queue: Some(queue), thread: Some(thread), written_at_start })
    }

    /// A message was numbered. Those that the files have already are skipped.
    pub fn record(&self, message: &Message) {
        let private = matches!(message.conversation, Conversation::Direct(..));
        // After a restart the machine records the whole log again: nothing of that is copied or queued.
        if !private && message.index > self.written_at_start {
            self.send(Event::Message(message.clone()));
        }
    }

    /// Something happened.
    pub fn activity(&self, activity: &Activity) {
        match activity {
            Activity::LoggedIn(presence) => self.send(Event::LoggedIn(presence.clone())),
            Activity::Resumed(presence) => self.send(Event::Resumed(presence.clone())),
            Activity::LoggedOut { user, .. } => self.send(Event::LoggedOut(user.clone())),
            Activity::RoomBuilt { room, .. } => self.send(Event::Room(room.room)),
            Activity::RoomKnown { room } => self.send(Event::Room(*room)),
            _ => {}
        }
    }

    /// What to call when the messages of a conversation up to a number are forgotten. The text logs end only after it
    /// is dropped.
    pub fn forgetter(&self) -> impl Fn(Conversation, MessageNumber) + Send + Sync + 'static {
        let queue = self.queue.clone();
        move |conversation, through| {
            if let Some(queue) = &queue {
                let _ = queue.send(Event::Forgotten(conversation, through));
            }
        }
    }

    /// Writes what is waiting and ends.
    pub fn stop(self) {}

    fn send(&self, event: Event) {
        if let Some(queue) = &self.queue {
            // Fails only if the thread is gone, which is said when it is joined.
            let _ = queue.send(event);
        }
    }
}

impl Drop for TextLogs {
    fn drop(&mut self) {
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the text logs' thread ended early");
        }
    }
}
