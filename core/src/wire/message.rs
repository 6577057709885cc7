//! The messages of the control protocol: what a client asks, what the server answers and announces.
//!
//! Every [`Request`] gets exactly one [`Reply`] with its id. What others do arrives as an [`Event`]. The
//! order of events and of the reply to one's own post is the order of the log.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{MessageNumber, OfferId, PeerIndex, RequestId, RoomId};
use crate::name::UserName;
use crate::secure::{Password, PublicKey, ResumeSecret, SealedOffer};
use crate::time::Timestamp;

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; the reply echoes it.
    pub id: RequestId,
    /// What is asked.
    pub body: RequestBody,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Must come first; after a refusal it may come again on the same connection.
    Login {
        /// As typed: what is no valid name fails like an unknown one. At most `MAX_NAME_BYTES`.
        name: String,
        /// At most `MAX_PASSWORD_BYTES`.
        password: Password,
        /// Where this client receives datagrams, at the address from which it is connected.
        udp_port: u16,
    },
    /// Instead of `Login`: goes on with a session that was granted ([`Event::Granted`]) and whose connection was lost.
    /// Answered with `Resumed`, or with `LoginFailed`. What was asked before and not answered may be asked again with
    /// the same request id: a post that was stored is not stored twice.
    Resume {
        /// Whose session.
        user: UserName,
        /// What was granted; only the device that it was granted to can use it.
        secret: ResumeSecret,
        /// As in `Login`.
        udp_port: u16,
        /// Up to where this client has seen what others said.
        positions: Positions,
    },
    /// After `Resumed`: the next page of what was missed. Until the last page has come, nothing newer of the same
    /// conversations does.
    Missed,
    /// Answered with `Done`: says that this client is there, or asks whether the server is.
    Ping,
    /// Ends the session; the server closes the connection after its reply.
    Logout,
    /// To everyone active.
    Broadcast {
        /// 1 to `MAX_TEXT_BYTES`.
        text: String,
    },
    /// To the members of a room.
    RoomMessage {
        /// Which room.
        room: RoomId,
        /// 1 to `MAX_TEXT_BYTES`.
        text: String,
    },
    /// To one user, who may be offline.
    DirectMessage {
        /// Any text; what is no user's name is an unknown user.
        to: String,
        /// 1 to `MAX_TEXT_BYTES`.
        text: String,
    },
    /// This client showed a direct message: those of `from` up to `through` need not be delivered again.
    DirectReceived {
        /// The other end of the conversation.
        from: UserName,
        /// The number of the newest one shown.
        through: MessageNumber,
    },
    /// Who is active, except oneself.
    ActiveUsers,
    /// Builds a separate room of oneself and these users.
    BuildRoom {
        /// At most `MAX_ROOM_MEMBERS`; oneself and repetitions are ignored.
        users: Vec<String>,
    },
    /// The rooms one is in.
    Rooms,
    /// Adds a user to a room.
    Invite {
        /// Which room.
        room: RoomId,
        /// Whom; must be active.
        user: String,
    },
    /// Leaves a room.
    Leave {
        /// Which room.
        room: RoomId,
    },
    /// One page of what one may read since a time.
    History {
        /// Broadcasts or rooms.
        kind: HistoryKind,
        /// Only messages at this moment or later (already rounded up to the next second by the client).
        not_before: Timestamp,
        /// Where the page before this one ended.
        after: Option<Cursor>,
    },
    /// The newest messages of a conversation that one may read, oldest first. Answered with `History`, whose `next` is
    /// the oldest message of the page if there are older ones.
    Latest {
        /// Which room; `None` for the broadcasts.
        room: Option<RoomId>,
        /// How many at most; a page has at most `MAX_PAGE_MESSAGES`.
        count: u32,
        /// Only messages with a smaller number.
        before: Option<MessageNumber>,
    },
    /// One page of what one may read and that has certain words, the newest first. Changes nothing.
    Find {
        /// Words, 1 to `MAX_SEARCH_WORDS` of them; a `*` at the end of the last one stands for any ending.
        text: String,
        /// Where the page before this one ended.
        before: Option<FoundCursor>,
    },
    /// Offers a file to an active user.
    Offer {
        /// To whom.
        to: String,
        /// The receiver's device, for which it is sealed.
        device: PublicKey,
        /// The index that datagrams to the sender must carry.
        index: PeerIndex,
        /// What it is about; the server cannot open it.
        sealed: SealedOffer,
    },
    /// Answers an offer: with where datagrams should go, or with a refusal.
    AnswerOffer {
        /// Which offer.
        offer: OfferId,
        /// `None` refuses.
        index: Option<PeerIndex>,
    },
    /// Takes back an offer of one's own that has not been answered.
    WithdrawOffer {
        /// Which offer.
        offer: OfferId,
    },
    /// Answered with `Done` once the direct messages that the server is fetching for this user were sent, so that
    /// a client with nothing else to do knows when it may leave.
    CatchUp,
    /// The keys of a user's devices; of one's own, too.
    Devices {
        /// Any text; what is no user's name is an unknown user.
        user: String,
        /// Whether a file is to be offered: then they must be active, and somebody else.
        offering: bool,
    },
}

/// Which messages `RDM` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HistoryKind {
    /// `RDM b`.
    Broadcast,
    /// `RDM s`.
    Rooms,
}

/// The last message of a page; the next page begins after it. Pages are ordered by conversation, then number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// `None` for broadcasts.
    pub room: Option<RoomId>,
    /// Of the last message.
    pub number: MessageNumber,
}

/// The last message of a page of a search; the next page has what is older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundCursor {
    /// Where the last message is.
    pub place: FoundIn,
    /// Its number there.
    pub number: MessageNumber,
}

/// Where a message was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundIn {
    /// Among the broadcasts.
    Broadcast,
    /// In a room.
    Room(RoomId),
    /// Between oneself and this user.
    Direct(UserName),
}

/// A message as a search has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundMessage {
    /// Where.
    pub place: FoundIn,
    /// Its place in its conversation.
    pub number: MessageNumber,
    /// Its time.
    pub at: Timestamp,
    /// Who wrote it.
    pub from: UserName,
    /// What.
    pub text: String,
}

/// From the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerMessage {
    /// The answer to a request of this connection.
    Reply(Reply),
    /// Something that others did.
    Event(Event),
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: RequestId,
    /// The answer.
    pub body: ReplyBody,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplyBody {
    /// The login succeeded.
    Welcome {
        /// The name of the account.
        user: UserName,
        /// How many logins of it failed since it last logged in, whoever tried; as far as this run of the server
        /// knows.
        failed_logins: u32,
    },
    /// The session goes on.
    Resumed {
        /// How many messages of others were missed, as far as that is known without reading them.
        missed: u64,
    },
    /// The next page of what was missed, one's own messages included: oldest first within each conversation.
    Missed {
        /// At most `MAX_PAGE_MESSAGES`; broadcasts and messages in rooms.
        messages: Vec<PastMessage>,
        /// Whether there is more to ask for.
        more: bool,
    },
    /// The login failed; see [`LoginRefusal`].
    LoginFailed(LoginRefusal),
    /// `Logout` is done.
    Bye,
    /// A post is committed.
    Sent {
        /// Its place in its conversation.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
    },
    /// Done, and there is nothing to say (`DirectReceived`, `WithdrawOffer`, `AnswerOffer`, `CatchUp`, `Ping`).
    Done,
    /// Who is active.
    ActiveUsers(Vec<ActiveUser>),
    /// A room was built.
    RoomCreated(RoomInfo),
    /// These members have a room already.
    RoomExists(RoomInfo),
    /// The rooms one is in, by id.
    Rooms(Vec<RoomInfo>),
    /// The user was added; the room as it is now.
    Invited(RoomInfo),
    /// One has left the room.
    Left {
        /// Which room.
        room: RoomId,
    },
    /// One page of messages, oldest first within each conversation.
    History {
        /// At most `MAX_PAGE_MESSAGES`.
        messages: Vec<PastMessage>,
        /// Where to go on; `None` if this was the last page.
        next: Option<Cursor>,
    },
    /// One page of what was searched for, the newest first.
    Found {
        /// At most `MAX_FOUND_MESSAGES`.
        messages: Vec<FoundMessage>,
        /// Where to go on; `None` if this was the last page.
        next: Option<FoundCursor>,
    },
    /// The offer has been shown to the other user, who may answer it.
    Offered {
        /// Its id, the same at both ends.
        offer: OfferId,
    },
    /// The request was refused.
    Refused(Refusal),
    /// The keys of a user's devices.
    Devices(Devices),
}

/// The keys of a user's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// Whose.
    pub user: UserName,
    /// All that the account has used and the server remembers, in order, each once: at most `MAX_DEVICES_PER_USER`, and
    /// the one of their session.
    pub keys: Vec<PublicKey>,
    /// The one on which they are active.
    pub active: Option<PublicKey>,
}

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LoginRefusal {
    /// Unknown name or wrong password.
    InvalidCredentials,
    /// Too many consecutive failures; said for the right password too.
    Blocked {
        /// How long the block still lasts, in milliseconds.
        retry_after_ms: u64,
    },
    /// The right password, but this user is active already.
    AlreadyActive,
    /// The server has too much to do.
    Busy {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The session cannot be resumed: it was ended, replaced by a later login, or is too old; or it never was.
    SessionOver,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// These users do not exist.
    NoSuchUser(Vec<String>),
    /// These users exist, but are not active.
    UserOffline(Vec<UserName>),
    /// The room does not exist.
    NoSuchRoom,
    /// The room exists, but one is not in it.
    NotAMember,
    /// A room needs somebody else.
    NobodyElse,
    /// The user is in the room already.
    AlreadyAMember,
    /// A message or file for oneself.
    Oneself,
    /// No such offer, or it is not waiting any more.
    NoSuchOffer,
    /// Empty or over `MAX_TEXT_BYTES`.
    BadText,
    /// One of the limits in `wire::limits` is reached; which one, in words.
    LimitReached(String),
    /// The server cannot write to its disk, so nothing that must last is accepted.
    StorageFailed,
    /// This user asks for more than the server allows in this time.
    RateLimited {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Not logged in, or logged in already.
    OutOfOrder,
    /// The receiver of a file is active on another device than the offer was sealed for.
    DeviceChanged,
    /// The server's search index is being built, or cannot be read.
    SearchNotReady,
}

/// One active user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveUser {
    /// Who.
    pub name: UserName,
    /// From where, as the server sees it.
    pub address: std::net::IpAddr,
    /// Where datagrams reach them.
    pub udp_port: u16,
    /// Since when.
    pub since: Timestamp,
}

/// A room and who is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// Its id.
    pub room: RoomId,
    /// By name; oneself included.
    pub members: Vec<UserName>,
}

/// A message as history has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMessage {
    /// `None` for a broadcast.
    pub room: Option<RoomId>,
    /// Its place in its conversation.
    pub number: MessageNumber,
    /// Its time.
    pub at: Timestamp,
    /// Who wrote it.
    pub from: UserName,
    /// What.
    pub text: String,
}

/// Up to where somebody has seen what was said: the newest message of each conversation, one's own included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// Among the broadcasts.
    pub broadcasts: MessageNumber,
    /// In each room that one knows to be in, by id, each once: at most `MAX_ROOMS_PER_USER`.
    pub rooms: Vec<(RoomId, MessageNumber)>,
}

/// What was said in conversations of more than two while somebody was not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// When they left.
    pub since: Timestamp,
    /// How many broadcasts.
    pub broadcasts: u64,
    /// How many messages in which rooms, by id, none without any: at most `MAX_ROOMS_PER_USER` and those that were left.
    pub rooms: Vec<(RoomId, u64)>,
    /// How many of them have the name of the user among their words, up to `MAX_FOUND_MESSAGES`; `None` if that could
    /// not be looked up in time.
    pub mentions: Option<u64>,
    /// There are more rooms with something new than these.
    pub more: bool,
}

/// Something that others did, or that the server says on its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Someone broadcast.
    Broadcast {
        /// Its place among the broadcasts.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// Someone wrote in a room one is in.
    RoomMessage {
        /// Which room.
        room: RoomId,
        /// Its place in the room.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// Someone wrote to oneself, maybe while one was offline.
    DirectMessage {
        /// Its place between these two people.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// From now on this session can be resumed if its connection is lost. Comes once, soon after `Welcome`; not from
    /// a server that cannot write.
    Granted {
        /// What [`RequestBody::Resume`] needs.
        secret: ResumeSecret,
        /// Where everything stands at this moment.
        positions: Positions,
    },
    /// What was said since the last session of this user ended. Comes after `Welcome`, if anything was.
    NewSince(News),
    /// Is this client still there? It is to answer with [`RequestBody::Ping`], or with any other request, at once.
    Ping,
    /// Someone became active.
    Joined {
        /// Who.
        user: UserName,
    },
    /// Someone is not active any more.
    Left {
        /// Who.
        user: UserName,
    },
    /// Someone put oneself in a room.
    RoomCreated(RoomInfo),
    /// The members of a room one is in have changed.
    RoomChanged(RoomInfo),
    /// Someone offers a file.
    Offer {
        /// Its id, the same at both ends.
        offer: OfferId,
        /// Who.
        from: UserName,
        /// The key of the sender's device.
        device: PublicKey,
        /// The keys of all devices of the sender, as in [`Devices`].
        keys: Vec<PublicKey>,
        /// Where the sender is reached.
        address: SocketAddr,
        /// The index that datagrams to the sender must carry.
        index: PeerIndex,
        /// What it is about.
        sealed: SealedOffer,
    },
    /// One's offer was accepted.
    OfferAccepted {
        /// Which.
        offer: OfferId,
        /// Where the receiver is reached.
        address: SocketAddr,
        /// How the receiver is addressed there.
        index: PeerIndex,
        /// The key of the receiver's device.
        device: PublicKey,
    },
    /// One's offer was refused, or can no longer be answered.
    OfferEnded {
        /// Which.
        offer: OfferId,
        /// Why.
        reason: OfferEnd,
    },
}

/// Why an offer ended before a transfer began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OfferEnd {
    /// The receiver said no.
    Rejected,
    /// The sender took it back.
    Withdrawn,
    /// The other user is not active any more.
    UserLeft,
    /// Nobody answered in time.
    Expired,
}
