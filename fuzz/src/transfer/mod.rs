//! One transfer, against an other end that has the keys and does what it likes.

pub mod end;
mod hostile;

pub use hostile::{receiver, sender};
