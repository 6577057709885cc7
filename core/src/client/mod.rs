//! One user's side of the conference: commands in, requests out; replies and events in, what a person or a
//! script should see out.
//!
//! # Theory of operation
//!
//! Every [`Command`](command::Command) gets exactly one answer among the [`Event`](event::Event)s (a
//! `History` is one answer however many pages it took), and answers come in the order of the commands of the
//! same kind. The machine owns the list of transfers: an offer's id is its transfer's, at both ends. It asks
//! the driver to open files and to start transfers, and hears how they go.

pub mod command;
pub mod event;
pub mod io;
