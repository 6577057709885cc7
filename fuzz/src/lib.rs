//! The bodies of the fuzz targets: each takes any bytes, and panics only if the code under test is wrong.
//!
//! They are apart from the targets so that tests on stable can replay the corpora (`tests/tests/corpora.rs`), and
//! can make operations from the same generator (`tests/tests/state_machine`).
//!
//! | file | what is driven |
//! |---|---|
//! | `text` | what people and peers write: labels, terminal, rows of logs, times |
//! | `link` | both halves of a connection |
//! | `datagram` | headers, frames and seals of datagrams |
//! | `listing` | what there is of several files |
//! | `transfer` | one transfer, against a hostile other end |
//! | `pair` | two ends of a transfer, and the link between them |
//! | `server` | the server beside a model of it |
//! | `operations` | what happens to them, made from bytes |

pub mod datagram;
pub mod link;
pub mod listing;
pub mod operations;
pub mod pair;
pub mod server;
pub mod text;
pub mod transfer;

pub use datagram::{datagram, header, peer_frames};
pub use link::{inbound, link, message};
pub use listing::listing;
pub use pair::pair;
pub use server::server;
pub use text::{file_label, log_field, printable_text, time};
pub use transfer::{receiver, sender};

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its corpus.
pub const TARGETS: &[Target] = &[
    ("datagram", datagram),
    ("file_label", file_label),
    ("header", header),
    ("inbound", inbound),
    ("link", link),
    ("listing", listing),
    ("log_field", log_field),
    ("message", message),
    ("pair", pair),
    ("peer_frames", peer_frames),
    ("printable", printable_text),
    ("receiver", receiver),
    ("sender", sender),
    ("server", server),
    ("time", time),
];
