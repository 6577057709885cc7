//! What people did, for the server's terminal and for the assignment's text logs.

use std::net::IpAddr;

use super::io::Presence;
use crate::id::{MessageNumber, OfferId, RoomId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::message::{LoginRefusal, OfferEnd, Refusal, RoomInfo};

/// Something that happened, at the wall-clock time beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A user became active: a row is added to `userlog.txt`.
    LoggedIn(Presence),
    /// A user is not active any more: the row is removed and the rest renumbered.
    LoggedOut {
        /// Who.
        user: UserName,
        /// When.
        at: Timestamp,
        /// Whether they asked for it (`OUT`), or their connection was lost.
        asked: bool,
    },
    /// The connection of somebody active was lost; they stay active for a while.
    ConnectionLost {
        /// Who.
        user: UserName,
        /// When.
        at: Timestamp,
    },
    /// Somebody whose connection was lost is connected again, maybe from elsewhere: their row is changed.
    Resumed(Presence),
    /// A login failed. The name is what was typed, unchecked.
    LoginFailed {
        /// The name as typed; to be sanitised.
        name: String,
        /// From where.
        address: IpAddr,
        /// Why.
        refusal: LoginRefusal,
    },
    /// A broadcast was committed.
    Broadcast {
        /// Who.
        user: UserName,
        /// Its number.
        number: MessageNumber,
        /// What.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// A room message was committed.
    RoomMessage {
        /// Who.
        user: UserName,
        /// Which room.
        room: RoomId,
        /// Its number.
        number: MessageNumber,
        /// What.
        text: String,
        /// When.
        at: Timestamp,
    },
    /// A direct message was committed. Its text is nobody else's business.
    DirectMessage {
        /// Who.
        user: UserName,
        /// To whom.
        to: UserName,
        /// Its number.
        number: MessageNumber,
        /// When.
        at: Timestamp,
    },
    /// A room was built: `SR_<id>_messagelog.txt` is made.
    RoomBuilt {
        /// Who built it.
        user: UserName,
        /// Its id and members.
        room: RoomInfo,
    },
    /// A room was found in the log at start: its text log must exist too.
    RoomKnown {
        /// Which.
        room: RoomId,
    },
    /// The members asked for have a room already.
    RoomExists {
        /// Who asked.
        user: UserName,
        /// Which room.
        room: RoomInfo,
    },
    /// Someone was put in a room.
    Invited {
        /// Who invited.
        user: UserName,
        /// Whom.
        invited: UserName,
        /// Which room.
        room: RoomId,
    },
    /// Someone left a room.
    LeftRoom {
        /// Who.
        user: UserName,
        /// Which room.
        room: RoomId,
    },
    /// Someone issued `ATU`.
    ListedActive {
        /// Who.
        user: UserName,
        /// What they were shown.
        shown: Vec<Presence>,
    },
    /// Someone issued `ROOMS`.
    ListedRooms {
        /// Who.
        user: UserName,
        /// How many they are in.
        rooms: usize,
    },
    /// Someone issued `VERIFY`.
    ListedDevices {
        /// Who.
        user: UserName,
        /// About whom.
        of: UserName,
        /// How many devices were told.
        devices: usize,
    },
    /// Someone issued `RDM`.
    ReadHistory {
        /// Who.
        user: UserName,
        /// `b` or `s`.
        kind: crate::wire::message::HistoryKind,
        /// Since when they asked, as sent.
        not_before: Timestamp,
        /// How many messages the first page had.
        messages: usize,
        /// Whether there are more pages.
        more: bool,
    },
    /// Someone issued `LAST`.
    ReadLatest {
        /// Who.
        user: UserName,
        /// How many messages they were shown.
        messages: usize,
    },
    /// Someone issued `FIND`. What they looked for is nobody's business.
    Searched {
        /// Who.
        user: UserName,
        /// How many messages the first page had.
        messages: usize,
        /// Whether there are more pages.
        more: bool,
    },
    /// Someone offered a file. What it is is sealed for its receiver.
    Offered {
        /// The offer.
        offer: OfferId,
        /// Who.
        user: UserName,
        /// To whom.
        to: UserName,
    },
    /// An offer was accepted: the transfer goes on between the two of them.
    OfferAccepted {
        /// Which.
        offer: OfferId,
        /// Who accepted.
        user: UserName,
    },
    /// An offer came to nothing.
    OfferEnded {
        /// Which.
        offer: OfferId,
        /// Why.
        reason: OfferEnd,
    },
    /// A command was refused.
    Refused {
        /// Whose.
        user: UserName,
        /// The command as people type it, for instance `SRM`.
        command: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// A connection was closed for breaking the rules, or timed out.
    Closed {
        /// From where.
        address: IpAddr,
        /// Why.
        reason: super::io::CloseReason,
    },
}
