//! What the log says, and nothing else: the same facts always give the same conference.

use serde::{Deserialize, Serialize};

use super::accounts::Accounts;
use super::direct::Direct;
use super::fact::{Conversation, Message};
use super::rooms::Rooms;
use crate::id::{LogIndex, MessageNumber, OfferId, RoomId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::message::Refusal;

/// Everything that outlives the process.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conference {
    pub(super) accounts: Accounts,
    pub(super) rooms: Rooms,
    pub(super) direct: Direct,
    /// The newest broadcast's number.
    pub(super) broadcasts: MessageNumber,
    /// Offers up to this id may have been made.
    pub(super) offers: OfferId,
    /// The newest message's time.
    last_at: Timestamp,
    /// The newest fact.
    pub(super) applied: LogIndex,
}

/// A post as its author made it.
#[derive(Debug)]
pub(super) struct Post {
    /// Who.
    pub(super) from: UserName,
    /// What.
    pub(super) text: String,
    /// When, by the clock of whoever proposed it.
    pub(super) at: Timestamp,
}

impl Conference {
    /// A message to everyone gets its number and time.
    pub(super) fn broadcast(&mut self, post: Post) -> Result<Message, Refusal> {
        self.must_exist(&post.from)?;
        self.broadcasts.0 += 1;
        Ok(self.stamp(Conversation::Broadcast, self.broadcasts, post))
    }

    /// A message to a room gets its number and time.
    pub(super) fn room_message(&mut self, room: RoomId, post: Post) -> Result<Message, Refusal> {
        self.must_exist(&post.from)?;
        let number = self.rooms.post(room, &post.from)?;
        Ok(self.stamp(Conversation::Room(room), number, post))
    }

    /// A message to one person gets its number and time.
    pub(super) fn direct_message(&mut self, to: &UserName, post: Post) -> Result<Message, Refusal> {
        self.must_exist(&post.from)?;
        self.must_exist(to)?;
        if post.from == *to {
            return Err(Refusal::Oneself);
        }
        let number = self.direct.post(&post.from, to)?;
        Ok(self.stamp(Conversation::direct(&post.from, to), number, post))
    }

    /// Refuses for a name without an account.
    pub(super) fn must_exist(&self, name: &UserName) -> Result<(), Refusal> {
        match self.accounts.find(name.as_str()) {
            Some(_) => Ok(()),
            None => Err(Refusal::NoSuchUser(vec![name.to_string()])),
        }
    }

    fn stamp(&mut self, conversation: Conversation, number: MessageNumber, post: Post) -> Message {
        // A clock that was set back must not put a message before the ones that it follows.
        self.last_at = self.last_at.max(post.at);
        Message { conversation, number, at: self.last_at, from: post.from, text: post.text, index: self.applied }
    }
}
