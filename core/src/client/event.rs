//! What a person or a script is told. The names follow the JSON events of the same meaning.

use core::time::Duration;

use super::standing::{Path, Waiting};
use crate::id::{MessageNumber, OfferId, RoomId};
use crate::name::UserName;
use crate::secure::{PublicKey, SafetyNumber};
use crate::text::FileLabel;
use crate::time::Timestamp;
use crate::wire::message::{ActiveUser, FoundMessage, HistoryKind, LoginRefusal, News, PastMessage, RoomInfo};

/// One thing to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Logged in.
    Welcome {
        /// As whom.
        user: UserName,
        /// The key of the server.
        server_key: PublicKey,
        /// The UDP port that this client really has.
        udp_port: u16,
        /// How many logins of this user failed since the last one that succeeded.
        failed_logins: u32,
    },
    /// Not logged in; `Login` may be given again, except after `Blocked`.
    LoginFailed(LoginRefusal),
    /// Somebody's broadcast.
    Broadcast {
        /// Its number.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// Somebody's message in a room.
    RoomMessage {
        /// Which room.
        room: RoomId,
        /// Its number.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// Somebody's message to oneself.
    DirectMessage {
        /// Its number.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
        /// Who.
        from: UserName,
        /// What.
        text: String,
    },
    /// Answer: one's own post is committed.
    Sent {
        /// What kind of post.
        kind: PostKind,
        /// Its number.
        number: MessageNumber,
        /// Its time.
        at: Timestamp,
    },
    /// Answer: who is active, except oneself.
    ActiveUsers(Vec<ActiveUser>),
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
    /// Answer, or someone put oneself there.
    RoomCreated(RoomInfo),
    /// Answer: these members have a room already.
    RoomExists(RoomInfo),
    /// The members of a room have changed; also the answer to `Invite`.
    RoomChanged(RoomInfo),
    /// Answer: one has left a room.
    LeftRoom {
        /// Which.
        room: RoomId,
    },
    /// Answer: the rooms one is in.
    Rooms(Vec<RoomInfo>),
    /// Answer: everything that was asked for, oldest first within each conversation.
    History {
        /// Broadcasts or rooms.
        kind: HistoryKind,
        /// Maybe none.
        messages: Vec<PastMessage>,
    },
    /// Answer: the newest messages of a conversation, oldest first.
    Latest {
        /// Which room; `None` for the broadcasts.
        room: Option<RoomId>,
        /// Maybe none.
        messages: Vec<PastMessage>,
        /// Whether there are older ones.
        more: bool,
    },
    /// What was said since the last time; after the welcome, if anything was.
    NewSince(News),
    /// Answer: the newest messages with all the words that were looked for, the newest first.
    Found {
        /// Maybe none.
        messages: Vec<FoundMessage>,
        /// Whether there are older ones.
        more: bool,
    },
    /// Somebody offers a file; to be answered with `Accept` or `Reject` if the client does not do so itself.
    Offer {
        /// Its id and its transfer's.
        id: OfferId,
        /// Who.
        from: UserName,
        /// What they call it.
        name: FileLabel,
        /// Its size; of a stream it is known at its end.
        bytes: Option<u64>,
        /// If it is a folder or several files: how many files and folders.
        entries: Option<u32>,
        /// Whether only `Accept` accepts it, whatever the policy is: the sender's key has changed.
        held: bool,
    },
    /// Answer to `SendFile` and `SendStream` (state `Starting`), and then how every transfer goes.
    Transfer(Transfer),
    /// Answer: all transfers that have not ended.
    Transfers(Vec<Transfer>),
    /// Answer to `Accept` without a transfer yet, `Reject` and `Cancel`: done.
    OfferAnswered {
        /// Which.
        id: OfferId,
        /// Whether it was accepted.
        accepted: bool,
    },
    /// Answer: what to compare with that person.
    SafetyNumber {
        /// Who.
        user: UserName,
        /// The number.
        number: SafetyNumber,
        /// How many devices they have.
        devices: usize,
        /// How many one has oneself.
        own_devices: usize,
        /// Whether these very keys of theirs are pinned.
        verified: bool,
    },
    /// Somebody has another key than those that were known of them.
    PeerKeyChanged {
        /// Who, as they say.
        user: UserName,
        /// The key.
        key: PublicKey,
        /// Whether they were verified, so that their offer was refused; otherwise the key is used from now on, and
        /// their offers are not accepted automatically.
        verified: bool,
    },
    /// What is known of somebody's keys could not be kept for the next session.
    NotRemembered {
        /// Of whom.
        user: UserName,
        /// In words.
        reason: String,
    },
    /// Answer: the command was refused or failed.
    Error(Failure),
    /// Logged out, the last event.
    Bye {
        /// Who.
        user: UserName,
    },
    /// The connection is lost, and the client is coming back by itself. Said once for each loss; `Resumed` follows, or
    /// the last event.
    Reconnecting {
        /// In words.
        reason: String,
        /// How many commands wait for that, because they are not answered yet.
        unanswered: usize,
    },
    /// The session goes on. What was missed follows as the events that it is, before anything newer.
    Resumed {
        /// How many messages of others were missed, as far as the server knows.
        missed: u64,
    },
    /// The connection is lost for good, or was never made: the last event.
    ConnectionLost {
        /// In words.
        reason: String,
        /// Whether the login had succeeded.
        was_logged_in: bool,
        /// Whether whoever is there now has another key than the server had, so that nothing was said to them.
        server_key_changed: bool,
    },
}

/// What kind of post was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostKind {
    /// `BCM`
    Broadcast,
    /// `SRM`
    Room(RoomId),
    /// `MSG`
    Direct(String),
}

/// One transfer, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The same at both ends.
    pub id: OfferId,
    /// The other end.
    pub peer: UserName,
    /// What the sender calls it.
    pub name: FileLabel,
    /// Which way the bytes go.
    pub direction: Direction,
    /// How far it has come.
    pub state: TransferState,
    /// Bytes that have arrived (or are known to have arrived).
    pub bytes: u64,
    /// The size of the file; of a stream it is known at its end.
    pub total: Option<u64>,
    /// Bits a second, lately.
    pub rate_bps: u64,
    /// The path, lately.
    pub path: Path,
}

impl Transfer {
    /// How long it takes to the end, as it goes now.
    pub fn time_left(&self) -> Option<Duration> {
        let bits = u128::from(self.total?.saturating_sub(self.bytes)) * 8;
        let millis = (bits * 1_000).checked_div(u128::from(self.rate_bps))?;
        (self.state == TransferState::Moving).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// How far a transfer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// Waiting for the other person or for the first packet.
    Starting,
    /// It goes on where an earlier transfer of the same file ended; said once, and then it is moving.
    Resumed {
        /// What the receiver had of it. If the transfer does not begin there, the file has changed since, and all of
        /// it is sent.
        had: u64,
    },
    /// Bytes are moving.
    Moving,
    /// It stands still, for this reason; said once for each reason, and then how it goes on.
    Waiting(Waiting),
    /// The other end's computer sleeps, or there is no way there. It goes on by itself when that is heard again.
    Paused {
        /// For how long nothing has been heard.
        silent: Duration,
    },
    /// Verified, and under its final name.
    Done {
        /// Of the whole file.
        blake3: [u8; 32],
        /// At the receiver: the name it was given (or that held the same content already); `-` if it went to standard
        /// output.
        saved_as: Option<String>,
    },
    /// It will not go on.
    Failed(TransferFailure),
}

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferFailure {
    /// The receiver said no.
    #[error("the other person rejected the file")]
    Rejected,
    /// Nobody answered the offer in time.
    #[error("nobody answered the offer in time")]
    Expired,
    /// The other person took the offer back.
    #[error("the other person took the offer back")]
    Withdrawn,
    /// The other person left.
    #[error("the other person left")]
    PeerLeft,
    /// One of the two cancelled it.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// The other person's client cancelled it.
    #[error("the other person cancelled the transfer")]
    CancelledByPeer,
    /// No packet of the other end ever came through.
    #[error("nothing was heard from the other person's computer by UDP; a firewall may be in the way")]
    TimedOut,
    /// Packets came, and then none for too long.
    #[error("the two computers have not heard each other for too long")]
    PeerSilent,
    /// The file does not have the hash or size that its sender told.
    #[error("the file that arrived is not the file that was sent; it may have changed while it was read")]
    Integrity,
    /// Reading the file failed here.
    #[error("the file could not be read: {0}")]
    Read(String),
    /// Writing the file failed here.
    #[error("the file could not be written: {0}")]
    Write(String),
    /// The same at the other end.
    #[error("the other person's computer could not read or write the file")]
    PeerStorage,
    /// The other end broke the protocol.
    #[error("the other end broke the transfer protocol")]
    Protocol,
    /// The offer was accepted by another device than it was sealed for.
    #[error("another device accepted the file than the one it was offered to; somebody may be posing as the receiver")]
    KeyChanged,
    /// The connection to the server was lost before the transfer began.
    #[error("the connection to the server was lost")]
    ServerLost,
}

/// Why a command has no better answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// As the server said.
    NoSuchUser(Vec<String>),
    /// As the server said.
    UserOffline(Vec<UserName>),
    /// As the server said.
    NoSuchRoom,
    /// As the server said.
    NotAMember,
    /// As the server said.
    NobodyElse,
    /// As the server said.
    AlreadyAMember,
    /// As the server said.
    Oneself,
    /// No such offer or transfer, or it cannot be answered (any more).
    NoSuchOffer,
    /// The text is empty or too long.
    BadText,
    /// A search without a letter or a digit.
    NoWords,
    /// A limit of the server, in words.
    LimitReached(String),
    /// The server cannot write to its disk.
    StorageFailed,
    /// This user asks for more than the server allows in this time.
    RateLimited {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The file to be sent does not exist.
    NoSuchFile(String),
    /// The file to be sent cannot be read, in words.
    UnreadableFile(String),
    /// A folder or several files cannot be passed on as one stream.
    NoStream(FileLabel),
    /// The receiver of a file was verified with other keys than the one they have now.
    PeerKeyChanged {
        /// Who.
        user: UserName,
        /// The key they have now.
        key: PublicKey,
    },
    /// The receiver of a file changes devices.
    DeviceChanged,
    /// As the server said.
    SearchNotReady,
    /// Nobody has ever logged in as this user, so that there is no key to compare.
    NoDevices(UserName),
    /// The server does not tell others this device's key.
    OwnKeyMissing,
    /// The safety number is not the one that was shown.
    SafetyNumberChanged(UserName),
    /// Too many commands are waiting for their answers.
    Busy,
    /// Not logged in (any more).
    NotLoggedIn,
    /// The connection was lost before the answer came; a post may or may not have been stored.
    ConnectionLost,
}
