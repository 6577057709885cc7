//! What the log keeps: everything that must outlive the process, as facts in one order.
//!
//! The machine proposes a fact; the store orders it, makes it durable and gives it back; only then does the
//! machine apply it. Applying is where a fact may still be refused (the account was removed meanwhile, the
//! room was left), and where room ids, message numbers and times are given, so that the same log always gives
//! the same conference. A fact that changes nothing when it is applied stays in the log, harmlessly.

use serde::{Deserialize, Serialize};

use crate::id::{LogIndex, MessageNumber, OfferId, RequestId, RoomId, SessionId, Ticket};
use crate::name::UserName;
use crate::secure::{PasswordHash, PublicKey, ResumeHash};
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
        /// By which it is recognised if it is posted again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PostId>,
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
        /// By which it is recognised if it is posted again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PostId>,
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
        /// By which it is recognised if it is posted again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<PostId>,
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
    /// A user logged in, and the session can be resumed from now on; none of theirs before it can.
    SessionStarted {
        /// Whose.
        name: UserName,
        /// The session.
        session: SessionId,
        /// The key of the device on which it can be resumed.
        device: PublicKey,
        /// Of the secret with which it can be resumed.
        secret: ResumeHash,
        /// When.
        at: Timestamp,
    },
    /// A user is not active any more. Changes nothing if a later session of theirs has started.
    SessionEnded {
        /// Whose.
        name: UserName,
        /// The session.
        session: SessionId,
        /// Until when they were connected.
        at: Timestamp,
        /// Whether it can still be resumed: they did not log out.
        resumable: bool,
    },
    /// Ids of offers up to this one may have been given: none of them is given by a later run of the server, because
    /// transfers outlive it.
    OffersNumbered {
        /// The last one.
        through: OfferId,
    },
}

/// By which a post is recognised if its answer was lost and it is posted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(SessionId, RequestId)", into = "(SessionId, RequestId)")]
pub struct PostId {
    /// In which session.
    pub session: SessionId,
    /// As its author numbered it there.
    pub request: RequestId,
}

impl From<(SessionId, RequestId)> for PostId {
    fn from((session, request): (SessionId, RequestId)) -> PostId {
        PostId { session, request }
    }
}

impl From<PostId> for (SessionId, RequestId) {
    fn from(id: PostId) -> (SessionId, RequestId) {
        (id.session, id.request)
    }
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
