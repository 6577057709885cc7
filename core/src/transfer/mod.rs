//! Files over peer connections: all the transfers of one UDP socket.
//!
//! # Theory of operation
//!
//! [`io`] has what the machine hears and says. The machine exchanges descriptors with its driver, not bytes:
//! it asks for a range of a file to be read into one of a few numbered slots, and then says which packets to
//! build from the slots' bytes; on the other side it says where in the file a range of a datagram belongs.
//! Building, sealing and opening packets are pure functions that the driver calls at the edge
//! ([`crate::peer`]). A retransmission is a new packet with old data, read from the file again.
//!
//! The sender hashes the file as it first reads it, and sends length and hash when it has read all; the
//! receiver, once every byte is written, compares them, gives the file its final name, and says `VERIFIED`.
//! Only then is the sender done.
//!
//! A stream has no length before its end, and neither end can go back in it. The driver of its sender says how much of it
//! has come, and keeps that until it is told that it has arrived; the machine reads it as it reads a file. A receiver
//! that passes it on opens a smaller window, moved by what was taken from it. The manifest tells where it ends.
//!
//! [`Transfers`] has all transfers and wakes them. A fact only changes what a transfer knows; what follows
//! from it leaves with the next `Woke`, so that a batch of datagrams has one acknowledgement and makes one
//! burst. A connection has two flows, both from the sender: the manifest and the file; and a third one when it goes on
//! where an earlier one ended.
//!
//! Before a connection begins, the ends agree on its keys ([`crate::peer::Handshake`]). Handshake datagrams are the
//! only ones whose bytes the machine sees and makes: there are two of them.
//!
//! | file | what it decides |
//! |---|---|
//! | `machine` | which transfer a fact is about, and whose turn it is |
//! | `active` | the life of one transfer: its end, its reports |
//! | `sender` | what to read into which slot |
//! | `receiver` | what to write where, and when to verify |
//! | `resume` | what is sent if a part of the file is there already |
//! | `progress` | how far it is, and how fast |
//! | `watchdog` | why it does not move |
//!
//! Beside the machine, for its driver: [`Keys`] opens and seals datagrams, [`Counts`] keeps what was counted.

mod active;
mod counts;
pub mod io;
mod keys;
pub mod listing;
mod machine;
mod manifest;
pub mod parts;
mod progress;
mod receiver;
mod resume;
mod sender;
#[cfg(test)]
mod tests;
mod watchdog;

pub use counts::Counts;
pub use keys::{Keys, Opened, Unopened};
pub use machine::{MAX_TRANSFERS, Transfers};
pub use resume::Have;
