//! Messages that wait for their rows in the index.
//!
//! A row that is committed by itself costs a sync of its own, and with one person who posts there would be one for
//! each message beside that of its fact. Nobody misses a row before somebody reads, and a start makes those anew that
//! a crash took: so they wait for company, but not for long.

use std::time::{Duration, Instant};

use toom_core::server::fact::Message;

/// How long the first one waits at most.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many may wait; then the next commit takes them along, before they make it long.
const MANY: usize = 256;

/// In the order of the log.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    messages: Vec<Message>,
    /// When the first one has waited long enough.
    due: Option<Instant>,
}

impl Unrecorded {
    /// More of them.
    pub(super) fn extend(&mut self, now: Instant, messages: impl Iterator<Item = Message>) {
        self.messages.extend(messages);
        if !self.messages.is_empty() {
            self.due.get_or_insert(now + PATIENCE);
        }
    }

    /// When they must be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether they must be written now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.messages.len() >= MANY || self.due.is_some_and(|due| due <= now)
    }

    /// All of them, which do not wait any more.
    pub(super) fn take(&mut self) -> Vec<Message> {
        self.due = None;
        std::mem::take(&mut self.messages)
    }
}
