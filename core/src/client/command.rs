//! What a person asks of their client.

use std::path::PathBuf;

use crate::id::{OfferId, RoomId};
use crate::secure::Password;
use crate::time::Timestamp;
use crate::wire::message::HistoryKind;

/// A command, parsed. In the comments: what line mode calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Name and password, at the start; again after a refusal.
    Login {
        /// As typed.
        name: String,
        /// As typed.
        password: Password,
    },
    /// `BCM text`
    Broadcast {
        /// What.
        text: String,
    },
    /// `ATU`
    ActiveUsers,
    /// `SRB user...`
    BuildRoom {
        /// As typed.
        users: Vec<String>,
    },
    /// `SRM id text`
    RoomMessage {
        /// Which room.
        room: RoomId,
        /// What.
        text: String,
    },
    /// `RDM b|s time`
    History {
        /// Which messages.
        kind: HistoryKind,
        /// As typed, in whole seconds: only messages in strictly later seconds are wanted.
        since: Timestamp,
    },
    /// `LAST b|id [count]`
    Latest {
        /// Which room; `None` for the broadcasts.
        room: Option<RoomId>,
        /// How many messages at most.
        count: u32,
    },
    /// `FIND text`
    Find {
        /// As typed.
        text: String,
    },
    /// `UPD user file`: a file, or else a folder or several files and folders, which are one transfer.
    SendFiles {
        /// As typed.
        to: String,
        /// Opened by the driver; at least one.
        paths: Vec<PathBuf>,
    },
    /// Sends the driver's standard input, whose length is known at its end.
    SendStream {
        /// As typed.
        to: String,
        /// What it is called.
        name: String,
    },
    /// `MSG user text`
    DirectMessage {
        /// As typed.
        to: String,
        /// What.
        text: String,
    },
    /// `ROOMS`
    Rooms,
    /// `INVITE id user`
    Invite {
        /// Which room.
        room: RoomId,
        /// As typed.
        user: String,
    },
    /// `LEAVE id`
    Leave {
        /// Which room.
        room: RoomId,
    },
    /// `ACCEPT n`
    Accept {
        /// Which offer.
        offer: OfferId,
    },
    /// The same, but the bytes go to the driver's standard output.
    AcceptStream {
        /// Which offer.
        offer: OfferId,
    },
    /// `REJECT n`
    Reject {
        /// Which offer.
        offer: OfferId,
    },
    /// `TRANSFERS`
    Transfers,
    /// `CANCEL n`
    Cancel {
        /// Which transfer or offer of one's own.
        transfer: OfferId,
    },
    /// `VERIFY user [yes]`
    Verify {
        /// As typed.
        user: String,
        /// Whether the safety number is right, so that their keys are to be pinned.
        confirm: bool,
    },
    /// `OUT`: ends transfers, then the session.
    Logout,
    /// Standard input has ended: finish what was asked (answers, transfers under way), then log out.
    Finish,
}
