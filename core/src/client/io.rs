//! What the client machine hears and says.

use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::command::Command;
use super::event::{Event, TransferFailure};
use super::people::Person;
use super::standing::{Path, Waiting};
use crate::id::{OfferId, PeerIndex};
use crate::link::Violation;
use crate::name::UserName;
use crate::secure::{ListingSize, PeerAgreement, PublicKey};
use crate::text::FileLabel;
use crate::wire::message::{Request, ServerMessage};

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// The connection is there, and the server has proved that it has this key.
    Connected {
        /// The server's.
        server_key: PublicKey,
        /// What was remembered of people on this server, the oldest first. Only those of the first time count.
        people: Vec<Person>,
    },
    /// `Output::Connect` failed.
    NotConnected {
        /// In words.
        reason: String,
        /// Whether whoever is there has another key than the server had.
        server_key_changed: bool,
    },
    /// The connection is gone; `reason` in words. Words of a connection that is gone must not come after it.
    Disconnected {
        /// In words.
        reason: String,
    },
    /// The driver is to end: the last event follows.
    Stopped,
    /// The server said something.
    Message(ServerMessage),
    /// The person asks for something.
    Command(Command),
    /// The answer to `Output::OpenSource`.
    SourceOpened {
        /// Echoed.
        source: SourceId,
        /// What the file is called.
        label: FileLabel,
        /// Its size.
        bytes: u64,
        /// If it is a folder or several files: `bytes` are those of all contents.
        listing: Option<ListingSize>,
    },
    /// The answer to `Output::OpenSource`: there is no such file, or it cannot be read.
    SourceFailed {
        /// Echoed.
        source: SourceId,
        /// The path that does not exist, if that is why; otherwise something is not readable.
        missing: Option<PathBuf>,
        /// In words.
        reason: String,
    },
    /// How a transfer goes.
    Report(Report),
    /// `Output::Remember` failed: it is known in this session only.
    NotRemembered {
        /// Of whom.
        user: UserName,
        /// In words.
        reason: String,
    },
    /// The deadline passed.
    Woke,
}

/// Why a connection to the server is gone, in words: `why` is what [`link::Output::Close`](crate::link::Output)
/// says.
pub fn disconnect_reason(why: Option<Violation>) -> String {
    match why {
        None => "the server closed the connection".to_owned(),
        Some(Violation::Truncated) => "the connection to the server broke".to_owned(),
        Some(violation) => violation.to_string(),
    }
}

/// How a transfer goes, as the transfer machine says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub transfer: OfferId,
    /// What is new.
    pub progress: Progress,
}

/// What is new about a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The receiver had the beginning of the file from an earlier transfer; said once.
    Resumed {
        /// So many bytes are not sent again.
        bytes: u64,
        /// So many it had. If those are more, the file has changed since, and all of it is sent.
        of: u64,
    },
    /// This many bytes have arrived; said at most ten times a second.
    Moving {
        /// Bytes.
        bytes: u64,
        /// Bits a second, lately.
        rate_bps: u64,
        /// The path, lately.
        path: Path,
    },
    /// No byte has moved for a second, and this is why; said once for each reason. `Moving` follows when it goes on.
    Waiting(Waiting),
    /// The other end's computer is not heard any more: it sleeps, or there is no way there. It is asked every few
    /// seconds, and `Moving` follows when it is heard again.
    Paused {
        /// For how long already.
        silent: Duration,
    },
    /// Verified, and under its final name. The transfer has ended.
    Done {
        /// Of the whole file.
        blake3: [u8; 32],
        /// At the receiver.
        saved_as: Option<String>,
    },
    /// The transfer has ended.
    Failed(TransferFailure),
}

/// A file to be sent, before it has an offer; chosen by the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub u64);

/// What must be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the server.
    Send(Request),
    /// Close the connection to the server.
    Disconnect,
    /// Connect to the server again, which must have the same key as before; `Connected` or `NotConnected` follows. The
    /// connection before this one is gone, or of no use any more.
    Connect,
    /// Show this.
    Event(Event),
    /// Open a file for reading, or else look through a folder or several files and folders; `SourceOpened` or
    /// `SourceFailed` follows.
    OpenSource {
        /// Echoed.
        source: SourceId,
        /// Which; at least one.
        paths: Vec<PathBuf>,
    },
    /// Close a file that was opened for sending and never started.
    CloseSource {
        /// Which.
        source: SourceId,
    },
    /// Start a transfer: both sides have agreed. `Report`s follow, the last one `Done` or `Failed`.
    Start(Start),
    /// Remember this of a person, in place of what was remembered before.
    Remember(Person),
    /// End a transfer now; `Report` with `Failed(Cancelled)` follows.
    Cancel {
        /// Whether it may go on later.
        keep: bool,
        /// Which.
        transfer: OfferId,
    },
}

/// An agreed transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The same at both ends.
    pub transfer: OfferId,
    /// Where the other end is expected.
    pub remote: SocketAddr,
    /// What datagrams to us carry.
    pub local_index: PeerIndex,
    /// What datagrams to them carry.
    pub remote_index: PeerIndex,
    /// What both ends know before their first datagram.
    pub agreement: PeerAgreement,
    /// The size of the file, or of all contents; of a stream it is known at its end.
    pub bytes: Option<u64>,
    /// If it is a folder or several files: how many bytes of listing go before the contents.
    pub listing: Option<u64>,
    /// Which way, and where the bytes come from or go to.
    pub side: Side,
}

/// Which side of a transfer this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The initiator.
    Send {
        /// A file that the driver has opened. A stream is the driver's standard input, which need not be opened.
        source: SourceId,
    },
    /// The responder.
    Receive {
        /// Who sends.
        from: UserName,
        /// What they call it. Stored under a name that `text::received_name` makes of both.
        label: FileLabel,
        /// Where the bytes go.
        into: Destination,
    },
}

/// Where received bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into a file among the downloads.
    File,
    /// In their order to the driver's standard output, which takes them when its reader does.
    Stream,
}

/// What to do with offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptPolicy {
    /// Wait for `Accept` or `Reject`.
    Ask,
    /// Accept all, but those of people whose key has changed.
    All,
    /// Reject all.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_told_in_words() {
        assert_eq!(disconnect_reason(None), "the server closed the connection");
        assert_eq!(disconnect_reason(Some(Violation::Truncated)), "the connection to the server broke");
        let silent = disconnect_reason(Some(Violation::SilentHandshake));
        assert_eq!(silent, Violation::SilentHandshake.to_string());
    }
}
