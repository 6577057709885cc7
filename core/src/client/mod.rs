//! One user's side of the conference: commands in, requests out; replies and events in, what a person or a
//! script should see out.
//!
//! # Theory of operation
//!
//! Every [`Command`](command::Command) gets exactly one answer among the [`Event`](event::Event)s (a
//! `History` is one answer however many pages it took). Answers come in the order of their commands, and a
//! command sees the effects of those before it; only those that manage transfers may overtake. The machine
//! owns the list of transfers: an offer's id is its transfer's, at both ends. It asks the driver to open files
//! and to start transfers, and hears how they go.
//!
//! A command goes through these places, each with its own file:
//!
//! | place | what happens there |
//! |---|---|
//! | `session` | it waits its turn: for the login, for room among the requests in flight |
//! | `commands` | it starts: checked here, then asked from the server |
//! | `requests` | its request waits for the reply with its id |
//! | `replies` | the reply becomes its answer |
//! | `answers` | answers to posts, of which many are in flight, are kept in the order of their commands |
//! | `history` | the pages of one `RDM` become one answer |
//! | `find` | what `FIND` asks, and its page |
//! | `offering`, `offers`, `transfers` | files offered by and to this user, and how they go |
//! | `people`, `verify` | whose keys are known, and `VERIFY` |
//! | `reconnecting`, `liveness`, `positions` | the session outlives its connection |
//! | `receipts` | direct messages are shown once and confirmed |
//! | `ending` | the session ends: logged out, finished, or lost |
//!
//! `Finish` is no request of a person, so that it has no answer of its own: the last event is. Commands that
//! come after the last event are not answered.

mod agreement;
mod answers;
pub mod command;
mod commands;
mod ending;
pub mod event;
mod find;
mod history;
pub mod io;
mod liveness;
mod offering;
mod offers;
pub mod people;
mod positions;
mod receipts;
mod reconnecting;
mod replies;
mod requests;
mod session;
pub mod standing;
mod transfers;
mod usage;
mod verify;

#[cfg(test)]
mod tests;

pub use session::Client;
