//! Logins under way. For each name one password check at a time, so that fifty parallel guesses are fifty
//! guesses one after the other; the others of that name wait their turn.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::id::{CheckId, ConnectionId, RequestId};
use crate::machine::Usage;
use crate::secure::{Password, PasswordHash};
use crate::wire::limits::MAX_PASSWORD_CHECKS;

/// One try to log in.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) connection: ConnectionId,
    pub(super) request: RequestId,
    pub(super) address: IpAddr,
    pub(super) udp_port: u16,
    pub(super) password: Password,
}

/// All tries that are under way or waiting, by name as typed.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    names: BTreeMap<String, Queue>,
    checks: BTreeMap<CheckId, String>,
    last_check: CheckId,
    /// How many there are in all names, at most [`MAX_PASSWORD_CHECKS`].
    count: usize,
}

#[derive(Debug, Default)]
struct Queue {
    first: Option<First>,
    waiting: VecDeque<Attempt>,
}

/// The try whose turn it is.
#[derive(Debug)]
enum First {
    /// Its password is being compared with a hash.
    Checking { attempt: Attempt, against: PasswordHash },
    /// It failed too often; the block that follows is on its way to the log.
    Blocking { attempt: Attempt },
}

impl Attempts {
    /// Whether there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.count >= MAX_PASSWORD_CHECKS
    }

    /// A try that waits behind those of the same name.
    pub(super) fn wait(&mut self, name: &str, attempt: Attempt) {
        self.count += 1;
        self.queue(name).waiting.push_back(attempt);
    }

    /// A try that has to be checked again, before all others of its name.
    pub(super) fn wait_first(&mut self, name: &str, attempt: Attempt) {
        self.count += 1;
        self.queue(name).waiting.push_front(attempt);
    }

    /// The try of this name whose turn it is now, if there is one.
    pub(super) fn take_next(&mut self, name: &str) -> Option<Attempt> {
        let queue = self.names.get_mut(name)?;
        if queue.first.is_some() {
            return None;
        }
        let next = queue.waiting.pop_front();
        match next {
            Some(_) => self.count -= 1,
            None => drop(self.names.remove(name)),
        }
        next
    }

    /// The password of a try is going to be compared with `against`.
    pub(super) fn check(&mut self, name: &str, attempt: Attempt, against: PasswordHash) -> CheckId {
        self.last_check.0 += 1;
        self.checks.insert(self.last_check, name.to_owned());
        self.begin(name, First::Checking { attempt, against });
        self.last_check
    }

    /// The check has been made: of which name, which try, against which hash.
    pub(super) fn checked(&mut self, check: CheckId) -> Option<(String, Attempt, PasswordHash)> {
        let name = self.checks.remove(&check)?;
        match self.end(&name) {
            Some(First::Checking { attempt, against }) => Some((name, attempt, against)),
            _ => None,
        }
    }

    /// A try that failed waits for its name's block to be committed.
    pub(super) fn block(&mut self, name: &str, attempt: Attempt) {
        self.begin(name, First::Blocking { attempt });
    }

    /// The name is blocked: the try that led to it.
    pub(super) fn blocked(&mut self, name: &str) -> Option<Attempt> {
        if !matches!(self.names.get(name)?.first, Some(First::Blocking { .. })) {
            return None;
        }
        match self.end(name) {
            Some(First::Blocking { attempt } | First::Checking { attempt, .. }) => Some(attempt),
            None => None,
        }
    }

    /// The connection is gone: it waits no more. A check under way goes on and counts, or else guesses could
    /// be hidden by hanging up.
    pub(super) fn abandon(&mut self, name: &str, connection: ConnectionId) {
        if let Some(queue) = self.names.get_mut(name) {
            let before = queue.waiting.len();
            queue.waiting.retain(|attempt| attempt.connection != connection);
            self.count -= before - queue.waiting.len();
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("logins under way or waiting", self.count, MAX_PASSWORD_CHECKS));
        each(Usage::new("names with logins under way", self.names.len(), MAX_PASSWORD_CHECKS));
        each(Usage::new("password checks under way", self.checks.len(), MAX_PASSWORD_CHECKS));
    }

    /// How many there are, counted one by one.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        let all = self.names.values().map(|queue| usize::from(queue.first.is_some()) + queue.waiting.len()).sum();
        each(Usage::new("logins under way or waiting, counted", all, MAX_PASSWORD_CHECKS));
    }

    fn begin(&mut self, name: &str, first: First) {
        self.count += 1;
        self.queue(name).first = Some(first);
    }

    fn end(&mut self, name: &str) -> Option<First> {
        let first = self.names.get_mut(name)?.first.take();
        self.count -= usize::from(first.is_some());
        first
    }

    fn queue(&mut self, name: &str) -> &mut Queue {
        self.names.entry(name.to_owned()).or_default()
    }
}
