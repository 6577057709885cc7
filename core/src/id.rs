//! Identifiers: newtypes, so that one kind of number is never taken for another.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One TCP connection of the server, for as long as the process lives. Given by the driver, never reused.
    ConnectionId(u64)
);
id!(
    /// A request of one client; its reply echoes it.
    RequestId(u64)
);
id!(
    /// A session of one user, from a login until it can be resumed no more; random.
    SessionId(u64)
);
id!(
    /// A separate room; from 1.
    RoomId(u32)
);
id!(
    /// A message's place in its conversation; from 1, without gaps.
    MessageNumber(u64)
);
id!(
    /// A file offered by one user to another, and the transfer that comes of it; from 1, unique in one run of
    /// the server.
    OfferId(u64)
);
id!(
    /// A proposal to the log that has not come back yet; chosen by the server machine.
    Ticket(u64)
);
id!(
    /// A fact's place in the log; from 1.
    LogIndex(u64)
);
id!(
    /// A password check that the server machine has asked for.
    CheckId(u64)
);
id!(
    /// A question to the store that the server machine has asked.
    QueryId(u64)
);
id!(
    /// The 32-bit number by which the receiver of a datagram finds the connection (DESIGN: receiver's index).
    PeerIndex(u32)
);
