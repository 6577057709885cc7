//! A driver of Toom. To be written.
#![forbid(unsafe_code)]

pub mod client;
pub mod endpoint;
pub mod server;
