//! How many system calls were made, counted where they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count that clones share. One thread adds to it, nearly always, and others look at it now and then, so counting
/// costs next to nothing beside a system call.
#[derive(Clone, Debug, Default)]
pub struct SystemCalls(Arc<AtomicU64>);

impl SystemCalls {
    /// One more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
