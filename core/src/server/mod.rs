//! The conference: login and blocking, presence, rooms, messages, and the rendezvous of people who exchange
//! files.
//!
//! # Theory of operation
//!
//! [`Server`] is one machine over an ordered log of [`Fact`](fact::Fact)s. A request that must last becomes a
//! proposal; when the store gives it back committed, the machine applies it, gives it its number and time,
//! answers its author, and fans it out, all in the order of the log. Requests that change nothing are
//! answered at once from what has been applied.
//!
//! Who may read what is an interval of numbers in a conversation, set by joining and leaving.
//! Presence (who is active) lives as long as one run of the server; it is not in the log.

pub mod activity;
pub mod fact;
pub mod io;
