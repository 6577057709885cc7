//! The thread that does slow work on files, and those that wait for streams.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use toom_store::files::{Finished, Job};

use crate::{join, spawn_thread};

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    /// Without a bound of its own: each transfer has at most one job.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    finished: Arc<dyn Fn(Finished) + Send + Sync>,
}

impl Worker {
    /// `finished` is called from the thread, and must not wait.
    pub(super) fn start(finished: impl Fn(Finished) + Send + Sync + 'static) -> io::Result<Worker> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let finished: Arc<dyn Fn(Finished) + Send + Sync> = Arc::new(finished);
        let tell = Arc::clone(&finished);
        let thread = spawn_thread("toom-disk", move || waiting.iter().for_each(|job| job.run(&*tell)))?;
        Ok(Worker { jobs: Some(jobs), thread: Some(thread), finished })
    }

    /// Has `job` done.
    pub(super) fn work(&self, job: Job) {
        if job.waits() {
            return self.work_apart(job);
        }
        if let Some(jobs) = &self.jobs {
            // Fails only if the thread has panicked, which is said when it is joined.
            let _ = jobs.send(job);
        }
    }
}

impl Worker {
    /// Has a job done that may never end: in a thread that nobody waits for.
    fn work_apart(&self, job: Job) {
        let finished = Arc::clone(&self.finished);
        if let Err(error) = spawn_thread("toom-stream", move || job.run(&*finished)) {
            tracing::error!("there is no thread for a stream: {error}");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.take().into_iter().for_each(join);
    }
}
