//! One TCP connection: bytes to typed messages and back, without the socket.
//!
//! A link has two halves, so that the thread that reads and the shard that writes share nothing:
//! [`Inbound`] opens and decodes what arrives and closes a connection whose other end misbehaves or falls
//! silent in the middle of a frame; [`Outbound`] gathers frames that are ready to go, seals each batch once,
//! and refuses more when a slow reader has [`MAX_OUTBOX_BYTES`](crate::wire::limits::MAX_OUTBOX_BYTES)
//! waiting.

mod inbound;
mod outbound;

pub use inbound::{Inbound, Input, Output, Violation};
pub use outbound::{Full, Outbound};
