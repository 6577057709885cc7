//! Streams: what comes from standard input, and what goes to standard output.
//!
//! Both may have to wait for another process for as long as it likes, so each has a thread of its own, which shares with
//! the driver's a ring of bounded size. The thread tells the driver that there is news, and not again before that
//! has looked.

mod ring;
mod sink;
mod source;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) use sink::{SinkNews, StreamSink};
pub(super) use source::{SourceNews, StreamSource};

/// What is read or written with one call, and hashed at once.
const BLOCK: usize = 256 * 1024;

/// Where a stream comes from.
pub(super) type Input = Box<dyn Read + Send>;
/// Where one goes to.
pub(super) type Output = Box<dyn Write + Send>;

/// Standard input, without a buffer.
pub(super) fn standard_input() -> io::Result<Input> {
    Ok(Box::new(File::from(io::stdin().as_fd().try_clone_to_owned()?)))
}

/// Standard output, without a buffer.
pub(super) fn standard_output() -> io::Result<Output> {
    Ok(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

/// What two threads share, one of which waits for the other.
#[derive(Debug)]
struct Shared<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Shared<T> {
    fn new(state: T) -> Shared<T> {
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as `wait` says so.
    fn wait_while(&self, wait: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        self.changed.wait_while(self.lock(), wait).unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something for which the other one may wait.
    fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

#[cfg(test)]
mod tests;
