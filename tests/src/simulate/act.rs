//! What people can do, as data.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use toom_core::wire::message::HistoryKind;

/// Something that a person does. People, rooms, files and offers that are not there may be named too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Logs in, on the client that they have or on a new one.
    LogIn {
        /// Under which name.
        name: Whom,
        /// With which password.
        password: Typed,
    },
    /// Others try to log in under a name, all at once, and leave after a while. One whose password is right is
    /// logged in until then.
    Guess {
        /// Under which name.
        name: Whom,
        /// With which password.
        password: Typed,
        /// How many.
        times: u16,
        /// When they leave.
        lasting: Duration,
    },
    /// A message to everyone.
    Broadcast(Text),
    /// A message to one person.
    Direct {
        /// To whom.
        to: Whom,
        /// What.
        text: Text,
    },
    /// Builds a room.
    BuildRoom {
        /// With whom.
        users: Vec<Whom>,
    },
    /// A message in a room.
    RoomMessage {
        /// Which room.
        room: u32,
        /// What.
        text: Text,
    },
    /// Puts someone into a room.
    Invite {
        /// Which room.
        room: u32,
        /// Whom.
        user: Whom,
    },
    /// Leaves a room.
    Leave {
        /// Which room.
        room: u32,
    },
    /// Reads messages.
    History {
        /// Which.
        kind: HistoryKind,
        /// Since when.
        since: Since,
    },
    /// Searches messages.
    Find {
        /// For those with this mark.
        mark: u64,
    },
    /// Reads the newest messages of a conversation.
    Latest {
        /// Which room; 0 is for the broadcasts.
        room: u32,
        /// How many at most.
        count: u32,
    },
    /// Who is active?
    ActiveUsers,
    /// Which rooms is one in?
    Rooms,
    /// Sends a file.
    SendFile {
        /// To whom.
        to: Whom,
        /// Which of the plan's files; one that is not among them does not exist.
        file: usize,
    },
    /// Accepts an offer.
    Accept {
        /// Which of those that wait, or none of them.
        which: usize,
    },
    /// Rejects an offer.
    Reject {
        /// Which of those that wait, or none of them.
        which: usize,
    },
    /// Cancels a transfer or takes back an offer.
    Cancel {
        /// Which of those that are known, or none of them.
        which: usize,
    },
    /// Shows a safety number, or confirms it.
    Verify {
        /// Of whom.
        user: Whom,
        /// Whether it is right.
        confirm: bool,
    },
    /// Which transfers are there?
    Transfers,
    /// Logs out.
    LogOut,
    /// Finishes what was asked, then logs out.
    Finish,
    /// Their client's process is killed.
    HangUp,
    /// Starts a client, if none is left, and logs in.
    ComeBack,
    /// Somebody connects and does what no client does.
    Raw {
        /// How it begins.
        beginning: Beginning,
        /// What follows.
        then: Odd,
        /// When the connection is ended.
        lasting: Duration,
    },
    /// Somebody at this person's computer logs in under their name, too: their client may be there, or seem to be.
    LogInBeside {
        /// When they leave.
        lasting: Duration,
    },
    /// Somebody at this person's computer wants to go on with a session, and reads what was missed.
    Claim {
        /// Whose session.
        whose: Whom,
        /// With which secret.
        secret: Claimed,
        /// What they say that they have seen.
        seen: Seen,
        /// When they leave.
        lasting: Duration,
    },
    /// An operator makes an account for this person, from another process.
    AddAccount,
    /// An operator removes this person's account.
    RemoveAccount,
    /// An operator gives this person another password.
    ChangePassword,
}

/// A user, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom {
    /// This person.
    Person(usize),
    /// A name without an account.
    Stranger,
    /// What is no name.
    Nonsense,
}

/// A password, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Typed {
    /// The right one.
    Right,
    /// Another one.
    Wrong,
    /// Nothing.
    Empty,
    /// One that is longer than any.
    Endless,
}

/// A secret of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claimed {
    /// The one that was granted last.
    Newest,
    /// The one before it.
    Earlier,
    /// One that was never granted.
    MadeUp,
}

/// Up to where somebody says that they have seen what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// Nothing of it.
    Nothing,
    /// More than there is, also of rooms that there are not.
    Everything,
}

/// A text that no other act of the plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What it begins with, unless it is empty.
    pub mark: u64,
    /// How long it is.
    pub bytes: usize,
}

/// What follows the mark: what terminals, logs and frames might stumble over.
const FILLING: &str = " may the force; be\\with you\r\n\u{1b}[31m#1\u{202e}é 🚀";

impl Text {
    /// In full.
    pub fn words(self) -> String {
        if self.bytes == 0 {
            return String::new();
        }
        let mut text = format!("{}:", self.mark);
        for character in FILLING.chars().cycle() {
            if text.len() + character.len_utf8() > self.bytes {
                return text;
            }
            text.push(character);
        }
        text
    }
}

/// A time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Since {
    /// The beginning of all.
    Ever,
    /// So long ago.
    Ago(Duration),
    /// The end of all.
    Never,
}

/// How a connection without a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beginning {
    /// With nothing.
    Silence,
    /// With a proper greeting.
    Greeting,
    /// With a greeting and the right name and password.
    Login,
}

/// What no client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Odd {
    /// Nothing at all.
    Silence,
    /// Random bytes.
    Garbage {
        /// How many.
        bytes: usize,
    },
    /// A frame that breaks off.
    HalfFrame {
        /// After so many bytes.
        bytes: usize,
    },
    /// A whole frame, byte by byte.
    Trickle {
        /// With so much time between two of them.
        pause: Duration,
    },
    /// A frame that says it is longer than any.
    EndlessFrame,
    /// A frame without content.
    EmptyFrame,
    /// A request, in turn or out of it.
    Request(Requested),
    /// Many requests at once.
    Flood {
        /// How many.
        count: u16,
        /// Of which kind.
        of: Flooded,
    },
}

/// A request that comes many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flooded {
    /// One that is answered at once.
    ActiveUsers,
    /// One that waits for the log: broadcasts whose texts begin with this.
    Broadcast {
        /// What they begin with.
        mark: u64,
    },
    /// One that the server remembers.
    Offer {
        /// What their secrets are made of.
        mark: u64,
        /// To whom.
        to: Whom,
    },
}

/// A request that a client would not make, or not then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requested {
    /// Another login.
    Login,
    /// A logout.
    LogOut,
    /// A broadcast that is too long.
    EndlessBroadcast,
    /// A broadcast like any other.
    Broadcast(Text),
    /// A history that begins after what does not exist.
    StrangeCursor,
    /// An answer to an offer that was not made.
    AnswerOffer,
    /// An offer that was not made is taken back.
    WithdrawOffer,
    /// A receipt for what was never sent.
    Receipt,
    /// Whether all was sent.
    CatchUp,
    /// A room with too many members.
    CrowdedRoom,
}
