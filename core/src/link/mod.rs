//! One TCP connection: bytes to typed messages and back, without the socket.
//!
//! A link has two halves, so that the thread that reads and the shard that writes share nothing:
//! [`Inbound`] does the handshake, opens and decodes what arrives, and closes a connection whose other end misbehaves
//! or falls silent in the middle of a frame; [`Outbound`] gathers frames that are ready to go, seals each batch once,
//! and refuses more when a slow reader has [`MAX_OUTBOX_BYTES`](crate::wire::limits::MAX_OUTBOX_BYTES)
//! waiting. What the handshake agrees on passes from one to the other as [`Established`].

mod both;
mod handshake;
mod inbound;
mod outbound;

#[cfg(test)]
mod testing;

pub use both::{Arrived, Link};
pub use handshake::{Established, Identity};
pub use inbound::{Inbound, Input, Output, Violation};
pub use outbound::{Full, Outbound};
