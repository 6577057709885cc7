//! What a driver needs beside its sockets and threads, and what does not depend on how it waits: the disk, the wall
//! clock, and the operating system.
//!
//! | module | what |
//! |---|---|
//! | [`log`] | the ordered log of facts, and the index of messages derived from it, in SQLite |
//! | [`text_log`] | the assignment's text logs, derived from the same facts |
//! | [`server`] | the start of a server from these, and what it counts |
//! | [`maintenance`] | looking whether a server's data is whole, copying it, counting what is in it |
//! | [`client`] | why a client could not start |
//! | [`files`] | files being sent and received |
//! | [`key_file`] | the long-lived secrets of servers and devices |
//! | [`known_people`] | what a client knows of the keys of people |
//! | [`wall`] | the wall clock, and times as people write them |
//! | [`system`] | seeds, limits, sockets, and errors in words |
#![forbid(unsafe_code)]

pub mod client;
pub mod files;
pub mod key_file;
pub mod known_people;
pub mod log;
pub mod maintenance;
pub mod server;
pub mod system;
pub mod text_log;
pub mod wall;

use std::io;
use std::path::Path;

use system::in_words;

/// `error` with the file that it is about: `PATH WHAT: why`.
pub(crate) fn about(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} {what}: {}", path.display(), in_words(error)))
}
