//! The driver of Toom on smol.
//!
//! The machines of `toom-core` decide; this crate does: it owns the sockets, files, timers and threads, feeds
//! the machines what has happened, and carries out what they say.
//!
//! | module | threads and tasks |
//! |---|---|
//! | [`server`] | one thread for the task that owns the machine, two shards for the tasks that accept, read and write connections, two check passwords |
//! | [`client`] | one thread for the tasks that read, write, and own the machine |
//! | [`endpoint`] | one thread for the task that owns the UDP socket and all transfers; slow work on files in smol's pool |
//!
//! Tasks talk through a `mailbox`: a queue with a bound for those who can wait, and none for answers that the
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
