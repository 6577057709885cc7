//! Files being sent and received.
//!
//! Both ends hash while the bytes are at hand anyway, so that a large file is not read a second time at its
//! end. [`Source`] reads at offsets; [`Sink`] writes at offsets into a private partial file beside its final
//! place, and gives it its name only when asked to, replacing nothing.

mod sink;
mod source;
mod written;

pub use sink::Sink;
pub use source::Source;
