//! What the server machine hears and says.

use std::net::{IpAddr, SocketAddr};

use super::activity::Activity;
use super::fact::{Committed, Fact, Message};
use super::search::Search;
pub use super::select::{Filling, Select, Span};
use crate::id::{CheckId, ConnectionId, QueryId, Ticket};
use crate::name::UserName;
use crate::secure::{Password, PasswordHash, PublicKey};
use crate::time::Timestamp;
use crate::wire::message::{Request, ServerMessage};

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A fact read back from the log at start, in order, before any connection. `wall` is now.
    Recovered {
        /// With `ticket: None`.
        committed: &'a Committed,
        /// The wall clock.
        wall: Timestamp,
    },
    /// Someone connects; nothing has been heard from them yet. `Disconnected` follows in any case.
    Accepted {
        /// Never used before.
        connection: ConnectionId,
        /// From where.
        address: SocketAddr,
    },
    /// A connection that was accepted has done its handshake.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// From where, as it was accepted.
        address: SocketAddr,
        /// The key of the device, as the handshake proved it.
        device: PublicKey,
    },
    /// A request arrived.
    Request {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        request: Request,
        /// The wall clock.
        wall: Timestamp,
    },
    /// A connection is gone, whoever ended it (also after `Output::Close`). `wall` is now.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// The wall clock.
        wall: Timestamp,
    },
    /// The answer to `Output::CheckPassword`.
    PasswordChecked {
        /// Which check.
        check: CheckId,
        /// Whether the password matches the hash.
        matches: bool,
        /// The wall clock.
        wall: Timestamp,
    },
    /// The next fact of the log: our own proposal's or somebody else's. In the order of the log.
    Committed {
        /// The fact and its place.
        committed: Committed,
        /// The wall clock.
        wall: Timestamp,
    },
    /// A proposal is not committed: the store has stopped writing. Only a later run may find that the disk has it
    /// after all.
    ProposalFailed {
        /// Which.
        ticket: Ticket,
    },
    /// The answer to `Output::Query`.
    Found {
        /// Which query.
        query: QueryId,
        /// The page, or `None` if the store could not read.
        page: Option<Page>,
    },
    /// The deadline passed.
    Woke {
        /// The wall clock.
        wall: Timestamp,
    },
}

/// What must be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send one message to each of these connections, in this order with other sends. Ids of connections
    /// that are gone are skipped.
    Send {
        /// To whom; each at most once.
        to: Vec<ConnectionId>,
        /// What.
        message: ServerMessage,
    },
    /// Write what is waiting, then close; `Disconnected` follows.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// Compare a password with a hash off this thread; `PasswordChecked` follows.
    CheckPassword {
        /// Echoed.
        check: CheckId,
        /// What was typed.
        password: Password,
        /// What it must match.
        hash: PasswordHash,
    },
    /// Append a fact to the log; `Committed` or `ProposalFailed` follows.
    Propose {
        /// Echoed.
        ticket: Ticket,
        /// What.
        fact: Fact,
    },
    /// A message was numbered: index it for history and write it to the text logs. Derived from the log: may
    /// be repeated after a restart, and then says the same.
    Record(Message),
    /// Read one page of messages; sees every `Record` before it. `Found` follows.
    Query {
        /// Echoed.
        query: QueryId,
        /// What.
        what: Query,
    },
    /// Something that an operator may want to see, and that the text logs follow. Not emitted while
    /// recovering, except [`Activity::RoomKnown`].
    Activity(Activity),
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum CloseReason {
    /// It logged out.
    #[error("it logged out")]
    LoggedOut,
    /// It did not log in in time.
    #[error("it did not log in in time")]
    LoginTimedOut,
    /// It asked for something before it logged in.
    #[error("it sent a request before it logged in")]
    NotLoggedIn,
    /// It had more unanswered requests than allowed.
    #[error("it had too many unanswered requests")]
    TooManyRequests,
    /// A field of a request was over its limit.
    #[error("it sent a request that breaks a limit")]
    LimitBroken,
    /// There are too many connections.
    #[error("there are too many connections")]
    TooManyConnections,
    /// It was the oldest of too many connections that had not logged in.
    #[error("it had not logged in, and there are too many such connections; this was the oldest")]
    TooManyStrangers,
    /// It was the oldest of too many connections from its network that had not logged in.
    #[error("it had not logged in, and there are too many such connections from its address; this was the oldest")]
    TooManyStrangersFromAddress,
    /// Its account was removed.
    #[error("its account was removed")]
    AccountRemoved,
    /// The session goes on over another connection.
    #[error("the session goes on over another connection from the same device")]
    Superseded,
}

impl CloseReason {
    /// Whether the connection has to make room: it is cut off at once, without waiting until the other end has read
    /// what was written last and closes too. Or else those that wait would be as many as there may be connections.
    pub fn makes_room(self) -> bool {
        use CloseReason::{TooManyConnections, TooManyStrangers, TooManyStrangersFromAddress};
        matches!(self, TooManyConnections | TooManyStrangers | TooManyStrangersFromAddress)
    }
}

/// What the store is asked: each is answered with a [`Page`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The messages of some intervals, oldest first.
    Select(Select),
    /// The newest messages of some intervals, these also oldest first; `more` says that there are older ones.
    Last(Select),
    /// The first message of each of some intervals that has one.
    First(Select),
    /// The messages with some words, newest first.
    Search(Search),
}

impl From<Select> for Query {
    fn from(select: Select) -> Query {
        Query::Select(select)
    }
}

impl From<Search> for Query {
    fn from(search: Search) -> Query {
        Query::Search(search)
    }
}

/// What a [`Query`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of the spans, or the newest first.
    pub messages: Vec<Message>,
    /// Whether there are more.
    pub more: bool,
}

/// One row of the list of active users, as the server's terminal and `userlog.txt` have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub name: UserName,
    /// From where.
    pub address: IpAddr,
    /// Where datagrams reach them.
    pub udp_port: u16,
    /// Since when.
    pub since: Timestamp,
}
