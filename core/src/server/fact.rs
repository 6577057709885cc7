//! What the log keeps: everything that must outlive the process, as facts in one order.
//!
//! The machine proposes a fact; the store orders it, makes it durable and gives it back; only then does the
//! machine apply it. Applying is where a fact may still be refused (the account was removed meanwhile, the
//! room was left), and where room ids, message numbers and times are given, so that the same log always gives
//! the same conference. A fact that changes nothing when it is applied stays in the log, harmlessly.

use serde::{Deserialize, Serialize};

use crate::id::{LogIndex, MessageNumber, RoomId, Ticket};
use crate::name::UserName;
use crate::secure::{PasswordHash, PublicKey};
use crate::time::Timestamp;

/// One thing that happened. `at` is when it was proposed; the time that people see is given when it is
/// applied, and never goes backwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// An account was made; changes nothing if the name is taken.
    AccountAdded {
        /// Its name.
        name: UserName,
        /// Of its password.
        hash: PasswordHash,
    },
    /// An account's password was changed.
    PasswordChanged {
        /// Whose.
        name: UserName,
        /// Of the new password.
        hash: PasswordHash,
    },
    /// An account was removed: its sessions end, its rooms and messages to it are gone for a later namesake.
    AccountRemoved {
        /// Whose.
        name: UserName,
    },
    /// Too many consecutive logins of this name failed, whether it has an account or not.
    Blocked {
        /// The name as typed, at most `MAX_NAME_BYTES`.
        name: String,
        /// Since when.
        at: Timestamp,
    },
    /// To everyone.
    Broadcast {
        /// Who.
        from: UserName,
        /// What.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// A room was built.
    RoomBuilt {
        /// Who built it; a member.
        by: UserName,
        /// All members, `by` included, in order, each once.
        members: Vec<UserName>,
        /// When.
        at: Timestamp,
    },
    /// A member put someone into a room.
    RoomJoined {
        /// Which room.
        room: RoomId,
        /// Who invited.
        by: UserName,
        /// Who joined.
        user: UserName,
        /// When.
        at: Timestamp,
    },
    /// A member left a room.
    RoomLeft {
        /// Which room.
        room: RoomId,
        /// Who.
        user: UserName,
        /// When.
        at: Timestamp,
    },
    /// To a room.
    RoomMessage {
        /// Which room.
        room: RoomId,
        /// Who.
        from: UserName,
        /// What.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// To one user.
    DirectMessage {
        /// Who.
        from: UserName,
        /// To whom.
        to: UserName,
        /// What.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// `user` was shown the direct messages of this conversation up to `through`.
    DirectReceived {
        /// Who was shown them.
        user: UserName,
        /// The other end.
        peer: UserName,
        /// The newest one shown.
        through: MessageNumber,
    },
    /// A user logged in from a device for the first time. Of too many devices the oldest is forgotten.
    DeviceAdded {
        /// Whose.
        name: UserName,
        /// Its key.
        device: PublicKey,
        /// When.
        at: Timestamp,
    },
}

/// A fact that is durable, in its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place; each is one more than the one before.
    pub index: LogIndex,
    /// The machine's proposal that it answers; `None` if someone else proposed it (another process on the
    /// same data) or if it is read back at start.
    pub ticket: Option<Ticket>,
    /// The fact.
    pub fact: Fact,
}

/// A conversation: its messages are numbered from 1 without gaps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conversation {
    /// Everyone.
    Broadcast,
    /// A room's members.
    Room(RoomId),
    /// Two people; the smaller name first.
    Direct(UserName, UserName),
}

impl Conversation {
    /// The conversation of two people, whoever is named first.
    pub fn direct(a: &UserName, b: &UserName) -> Conversation {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        Conversation::Direct(first.clone(), second.clone())
    }
}

/// A message with the number and time that it was given; its text is in the fact at `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub conversation: Conversation,
    /// Its place there.
    pub number: MessageNumber,
    /// When; never earlier than any message before it in the log.
    pub at: Timestamp,
    /// Who.
    pub from: UserName,
    /// What.
    pub text: String,
    /// The fact it came from.
    pub index: LogIndex,
}
