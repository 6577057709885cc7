//! One UDP connection between two peers.
//!
//! Symmetric, and ignorant of files: it moves byte ranges of numbered flows, so that live media, relays and
//! the server's own use of UDP can share it later.
//!
//! # Theory of operation
//!
//! [`Connection`] is QUIC's loss recovery (RFC 9002) around the packets of [`crate::wire::packet`] and the
//! frames of [`crate::wire::peer_frame`]. A packet number is never used twice: what is lost goes out again
//! in a new packet. So the connection remembers for every packet what it carried, and when it is taken for
//! lost, gives each piece back to where it came from: a byte range to its flow, a frame to the list of those
//! that are due.
//!
//! | file | what it decides |
//! |---|---|
//! | `connection` | puts the others together |
//! | `handshake` | how both ends agree on keys, before the connection begins |
//! | `epoch` | when the next key seals |
//! | `path` | where the other end is, whether that is proven, and how it moves |
//! | `received` | duplicates, and when to acknowledge |
//! | `sent` | what is outstanding, and what is lost |
//! | `reordering` | how long to wait before something is taken for lost |
//! | `rtt` | timeouts |
//! | `controller`, `bbr`, `cubic`, `slow_start` | how much may be in flight, and how fast it leaves |
//! | `delivery` | how fast packets arrive |
//! | `mtu` | how large packets are |
//! | `limit` | that it is no faster than somebody wants |
//! | `pacer` | when the next burst may leave |
//! | `send_flow`, `receive_flow` | which bytes to send, which are new |
//!
//! It speaks of packets and never of datagrams' bytes: [`build_burst`] makes those, at the edge.

mod bbr;
pub mod build;
mod connection;
mod controller;
mod cubic;
mod delivery;
mod ecn;
mod epoch;
mod handshake;
mod limit;
mod mtu;
mod pacer;
mod path;
mod range_set;
mod receive_flow;
mod received;
mod reordering;
mod rtt;
mod send_flow;
mod sent;
mod slow_start;

pub use build::{Packet, StreamData, build_burst};
pub use connection::{AWAY_AFTER, Chunk, Connection, ConnectionConfig, Event, Flight, IDLE_TIMEOUT, MAX_PAUSE};
pub use handshake::{ANSWERS_PER_SECOND, Handshake, HandshakeSetup, Heard};
pub use range_set::RangeSet;

/// Packets in one burst: what the Linux kernel takes in one GSO call (`UDP_MAX_SEGMENTS`).
pub const MAX_BURST_PACKETS: usize = 64;

/// Bytes in one burst: one GSO call is one IP packet to the kernel until it is cut, so it cannot hold more
/// than 65,535 with all headers.
pub const MAX_BURST_BYTES: usize = 65_000;
