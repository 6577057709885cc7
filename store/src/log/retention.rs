//! Forgetting what is older than an operator wants to keep.
//!
//! The log keeps its facts, for numbers, rooms and accounts follow from all of them: of a message that is forgotten,
//! the place, the author and the time stay, and the text goes. Its row in the table of messages goes as well, so that
//! nothing that is read or searched finds it. Times rise with the facts, so that what is forgotten is always the
//! oldest part of each conversation.
//!
//! The file does not get smaller; what is freed in it is used again, and may be readable there until then.
//!
//! It goes in small transactions between those of the writer, which nobody waits for long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use toom_core::id::{LogIndex, MessageNumber};
use toom_core::server::fact::{Conversation, Fact};
use toom_core::time::Timestamp;

use super::facts::{self, ReadError};
use super::messages;
use crate::wall;

/// Messages of one transaction: some milliseconds of work.
const BATCH: usize = 500;
/// Time between two looks for messages that have become too old, at most; of a short time to keep them, a tenth.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);
/// ... and at least, so that looking is not what the writer does.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// When to forget.
#[derive(Debug)]
pub(super) struct Retention {
    /// For how long messages are kept.
    keep: Duration,
    /// When to look next.
    due: Instant,
}

/// What one transaction forgot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// Up to which message of each conversation.
    pub(super) through: BTreeMap<Conversation, MessageNumber>,
    /// How many bytes of the log were written for it.
    pub(super) bytes: usize,
    /// Whether there is more to forget now.
    pub(super) more: bool,
}

impl Retention {
    /// Of messages that are kept so long; the first look is due now.
    pub(super) fn new(keep: Duration) -> Retention {
        Retention { keep, due: Instant::now() }
    }

    /// When to look next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Forgets some of what has become too old.
    pub(super) fn forget(&mut self, connection: &mut Connection) -> Result<Forgotten, ReadError> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(wall::now().as_millis().saturating_sub(keep));
        let interval = (self.keep / 10).clamp(MIN_INTERVAL, MAX_INTERVAL);
        self.due = Instant::now() + interval;
        let forgotten = forget_before(connection, before, BATCH)?;
        if forgotten.more {
            self.due = Instant::now();
        }
        Ok(forgotten)
    }
}

/// Forgets the messages before a moment, the oldest first, at most `limit`.
fn forget_before(connection: &mut Connection, before: Timestamp, limit: usize) -> Result<Forgotten, ReadError> {
    let old = messages::oldest(connection, before, limit)?;
    let mut forgotten = Forgotten { more: old.len() == limit, ..Forgotten::default() };
    if old.is_empty() {
        return Ok(forgotten);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (index, conversation, number) in old {
        let fact = facts::read(&transaction, index)?;
        forgotten.bytes += facts::replace(&transaction, index, &without_text(fact))?;
        messages::delete(&transaction, &conversation, number)?;
        forgotten.through.insert(conversation, number);
    }
    transaction.commit()?;
    Ok(forgotten)
}

/// No message that is posted has an empty text.
fn without_text(mut fact: Fact) -> Fact {
    if let Fact::Broadcast { text, .. } | Fact::RoomMessage { text, .. } | Fact::DirectMessage { text, .. } = &mut fact
    {
        text.clear();
    }
    fact
}

/// The fact of a message, and which one it is.
pub(super) type Place = (LogIndex, Conversation, MessageNumber);
