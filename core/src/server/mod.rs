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
//! What the log says and nothing else is in `conference`: the same facts always give the same conference, so
//! that a server which reads its log back at start is where it was. What lives as long as one run is beside
//! it: connections, sessions (who is active), failed logins, offers, and what is on its way to the store.
//!
//! Who may read what is an interval of numbers in a conversation, set by joining and leaving.
//!
//! | file | its idea |
//! |---|---|
//! | `machine` | the fields of [`Server`], and one input at a time |
//! | `connections`, `timeouts`, `turn` | connections, what ends after a while, what one input leads to |
//! | `requests`, `pending` | requests and their answers; what waits for the store |
//! | `login`, `attempts`, `blocks` | logging in; logins under way for each name; failures and blocks |
//! | `strangers`, `failing_networks` | limits on who has not logged in, and on where many names fail |
//! | `failed_logins` | what a user is told of failed logins |
//! | `presence` | who is active |
//! | `resuming`, `missed`, `resumable` | sessions that outlive their connection; what they missed; what the log has of them |
//! | `fencing` | a login from a device whose connection may be dead |
//! | `rates`, `token_bucket` | how much one user may ask for |
//! | `apply`, `conference` | facts, and what they have led to |
//! | `accounts`, `rooms`, `readable`, `direct` | the parts of the conference |
//! | `history`, `delivery` | reading messages; direct messages for those who were offline |
//! | `find`, `search` | searching messages; what a search finds |
//! | `snapshot` | the conference as bytes |
//! | `offers` | files offered |
//! | `usage` | how much of each limit is used |

mod accounts;
pub mod activity;
mod apply;
mod attempts;
mod blocks;
mod conference;
mod connections;
mod delivery;
mod devices;
mod direct;
pub mod fact;
mod failed_logins;
mod failing_networks;
mod fencing;
mod find;
mod history;
pub mod io;
mod login;
mod machine;
mod missed;
mod news;
mod offers;
mod pending;
mod presence;
mod rates;
mod readable;
mod requests;
mod resumable;
mod resuming;
mod rooms;
pub mod search;
mod select;
mod snapshot;
mod strangers;
mod timeouts;
mod token_bucket;
mod turn;
mod usage;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod testing;

pub use machine::{Server, Settings};
pub use rates::PostRates;
pub use snapshot::UnreadableSnapshot;
