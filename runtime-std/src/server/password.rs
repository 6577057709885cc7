//! Checks passwords away from the conference: each takes some 20 ms of a processor, on purpose.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use toom_core::id::CheckId;
use toom_core::secure::{CheckMemory, Password, PasswordHash};
use toom_core::server::io::Input;
use toom_store::wall;

use super::conference::Mail;
use crate::mailbox::Posts;
use crate::{join, spawn_thread};

/// Threads that check: logins must not take every processor from those who are logged in.
const WORKERS: usize = 2;

/// A pool of threads that check passwords; ends when dropped.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Without a bound of its own: the machine has at most `MAX_PASSWORD_CHECKS` under way.
    checks: Option<Sender<Check>>,
    waiting: Arc<Mutex<Receiver<Check>>>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Check {
    id: CheckId,
    password: Password,
    hash: PasswordHash,
}

impl Passwords {
    /// Starts the threads; they post `PasswordChecked`.
    pub(super) fn start(posts: &Posts<Mail>) -> io::Result<Passwords> {
        let (checks, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut passwords = Passwords { checks: Some(checks), waiting, workers: Vec::new() };
        for number in 0..WORKERS {
            let (waiting, posts) = (Arc::clone(&passwords.waiting), posts.clone());
            let worker = spawn_thread(&format!("toom-password-{number}"), move || work(&waiting, &posts))?;
            passwords.workers.push(worker);
        }
        Ok(passwords)
    }

    /// Has a password checked.
    pub(super) fn check(&self, id: CheckId, password: Password, hash: PasswordHash) {
        if let Some(checks) = &self.checks {
            // Fails only if the workers are gone.
            let _ = checks.send(Check { id, password, hash });
        }
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.checks = None;
        // What has not begun need not be done any more. A worker that waits holds the lock, and has nothing left.
        if let Ok(waiting) = self.waiting.try_lock() {
            waiting.try_iter().for_each(drop);
        }
        self.workers.drain(..).for_each(join);
    }
}

fn work(waiting: &Mutex<Receiver<Check>>, posts: &Posts<Mail>) {
    let mut memory = CheckMemory::default();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Check { id, password, hash }) = next else { return };
        let matches = hash.matches_in(&password, &mut memory);
        posts.post(Mail::Input(Input::PasswordChecked { check: id, matches, wall: wall::now() }));
    }
}
