//! The driver of Toom on blocking threads.
//!
//! The machines of `toom-core` decide; this crate does: it owns the sockets, files, threads and clocks, feeds
//! the machines what has happened, and carries out what they say.
//!
//! | module | threads |
//! |---|---|
//! | [`server`] | one accepts, one reads each connection, two write (shards), one owns the machine, two check passwords |
//! | [`client`] | one reads the connection, one owns the machine and writes |
//! | [`endpoint`] | one owns the UDP socket and all transfers, one does the slow work on files |
//!
//! Threads talk through a `mailbox`: a queue with a bound for those who can wait, and none for answers that the
//! machine itself has asked for, and so has bounded.
#![forbid(unsafe_code)]

pub mod client;
pub mod endpoint;
pub mod server;

mod clock;
mod link;
mod mailbox;

use std::io;
use std::thread::{self, JoinHandle};

/// Starts a thread that runs `body`.
fn spawn_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Waits until `thread` has ended, unless it is the caller's own: a callback may drop the handle of what
/// called it.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() && thread.join().is_err() {
        tracing::error!("a thread of the driver has panicked");
    }
}
