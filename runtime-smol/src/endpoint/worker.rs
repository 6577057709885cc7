//! The pool of threads that does slow work on files.

use std::sync::Arc;

use toom_store::files::{Finished, Job};

/// The pool, which is smol's.
pub(super) struct Worker(Arc<dyn Fn(Finished) + Send + Sync>);

impl Worker {
    /// `finished` is called from a thread of the pool, and must not wait.
    pub(super) fn new(finished: impl Fn(Finished) + Send + Sync + 'static) -> Worker {
        Worker(Arc::new(finished))
    }

    /// Has `job` done.
    pub(super) fn work(&self, job: Job) {
        let finished = Arc::clone(&self.0);
        smol::unblock(move || job.run(&*finished)).detach();
    }
}
