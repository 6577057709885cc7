//! Work on files that takes long, and what it came to.

use std::io;

use toom_core::id::OfferId;
use toom_core::transfer::Have;
use toom_core::transfer::parts::Part;

use super::content::ContentSink;
use super::tree::{TreeSink, TreeSource};
use super::{Sink, Source};

/// Calls what it is given each time that it has come further.
type Body = dyn FnOnce(&dyn Fn(Finished)) + Send;

/// Slow work on a file, for a thread that may take its time.
pub struct Job {
    work: Box<Body>,
    waits: bool,
}

/// Slow work that is done, or that has come further.
#[derive(Debug)]
pub struct Finished {
    pub(super) transfer: OfferId,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    Prepared(Box<Sink>, Have),
    Compared(Source, io::Result<[u8; 32]>),
    Surveyed(Box<TreeSink>, io::Result<Vec<Part>>),
    PartsCompared(Box<TreeSource>, io::Result<Vec<bool>>),
    Hashed(ContentSink, io::Result<[u8; 32]>),
    Published(io::Result<String>),
    /// There is news of a stream.
    Streamed,
}

impl Job {
    /// Work that ends.
    pub(super) fn once(work: impl FnOnce() -> Finished + Send + 'static) -> Job {
        Job { work: Box::new(|finished| finished(work())), waits: false }
    }

    /// Work that waits for others, and comes further each time.
    pub(super) fn waiting(work: impl FnOnce(&dyn Fn(Finished)) + Send + 'static) -> Job {
        Job { work: Box::new(work), waits: true }
    }

    /// Whether it waits for somebody outside of this process, maybe for ever: it needs a thread of its own, for which
    /// nobody waits.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Does it; `finished` must be given on to [`Disk::finished`](super::Disk::finished) each time that it is called.
    pub fn run(self, finished: &dyn Fn(Finished)) {
        (self.work)(finished);
    }
}
