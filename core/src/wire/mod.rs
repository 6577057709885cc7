//! What bytes mean: frames and messages over TCP, packets and their frames over UDP, and the limits of both.

pub mod codec;
pub mod ecn;
pub mod limits;
pub mod message;
pub mod packet;
pub mod peer_frame;
pub mod preamble;
pub mod varint;
