//! The thread that does slow work on files.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use toom_store::files::{Finished, Job};

use crate::{join, spawn_thread};

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    /// Without a bound of its own: each transfer has at most one job.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `finished` is called from the thread, and must not wait.
    pub(super) fn start(finished: impl Fn(Finished) + Send + 'static) -> io::Result<Worker> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let thread = spawn_thread("toom-disk", move || waiting.iter().for_each(|job| finished(job())))?;
        Ok(Worker { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has `job` done.
    pub(super) fn work(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // Fails only if the thread has panicked, which is said when it is joined.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.take().into_iter().for_each(join);
    }
}
