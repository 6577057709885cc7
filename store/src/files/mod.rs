//! Files being sent and received.
//!
//! Both ends hash while the bytes are at hand anyway, so that a large file is not read a second time at its
//! end. [`Source`] reads at offsets; [`Sink`] writes at offsets into a private partial file beside its final
//! place, and gives it its name only when asked to, replacing nothing. What arrived of a file whose transfer ended
//! halfway stays there, with a journal, and the next transfer of the same file goes on with it. A `stream` has no
//! file: neither end of it can go back, so that both keep in memory what they may need.
//!
//! A [`tree`] is a folder, or several files: to the machines one run of bytes, which begins with a listing.
//!
//! [`Disk`] does so for all transfers of an endpoint, as the transfer machine says; [`Sources`] keeps the files
//! that a client has opened until they are sent.

mod content;
mod disk;
mod job;
mod journal;
mod naming;
mod part;
mod running_hash;
mod sink;
mod source;
mod sources;
mod stream;
pub mod tree;
mod written;

pub use content::ContentSource;
pub use disk::Disk;
pub use job::{Finished, Job};
pub use sink::Sink;
pub use source::Source;
pub use sources::Sources;
