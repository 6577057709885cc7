//! One UDP connection between two peers.
//!
//! Symmetric, and ignorant of files: it moves byte ranges of numbered flows, so that live media, relays and
//! the server's own use of UDP can share it later.

pub mod build;

pub use build::{Packet, StreamData, build_burst};

/// Packets in one burst: what the Linux kernel takes in one GSO call (`UDP_MAX_SEGMENTS`).
pub const MAX_BURST_PACKETS: usize = 64;
