//! A world of real sockets, files and threads.
//!
//! Everything is of this process and on the loopback device: the server's data and the clients' downloads are
//! in a temporary directory, ports are whatever is free. The server runs on one runtime; clients run on one,
//! or on both in turn.

mod files;
mod raw;
mod relay;
mod runtime;
mod world;

pub use files::{digest, raise_file_limit, write_random};
pub use runtime::{Runtime, Runtimes};
pub use world::RealWorld;
