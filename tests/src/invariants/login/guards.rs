//! The model of failed logins and blocks: a few numbers for each name.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use toom_core::time::Instant;
use toom_core::wire::limits::MAX_UNKNOWN_NAMES;

/// Failures and blocks of all names.
#[derive(Debug, Default)]
pub(super) struct Guards {
    names: BTreeMap<String, Guard>,
    /// Names without an account, the one that failed longest ago first: only so many are remembered.
    unknown: VecDeque<String>,
}

/// What is known of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// Consecutive ones.
    pub(super) failures: u32,
    /// The end of its latest block, unless a login was checked since.
    pub(super) until: Option<Instant>,
    /// Whether that block began before the server was started.
    pub(super) from_before: bool,
    /// Whether somebody tried during that block. For the name of what is broken.
    pub(super) tried: bool,
    /// Whether a success has reset the count since the latest block. Likewise.
    pub(super) reset: bool,
}

impl Guards {
    /// What is known of `name`.
    pub(super) fn get(&self, name: &str) -> Guard {
        self.names.get(name).cloned().unwrap_or_default()
    }

    /// How long its block still lasts, if it is blocked.
    pub(super) fn rest(&self, name: &str, now: Instant) -> Option<Duration> {
        self.get(name).until.filter(|until| now < *until).map(|until| until - now)
    }

    /// A login that counts failed: the number of consecutive failures.
    pub(super) fn fail(&mut self, name: &str, has_account: bool) -> u32 {
        let guard = self.remember(name, has_account);
        guard.failures += 1;
        guard.failures
    }

    /// The right password of an account.
    pub(super) fn succeed(&mut self, name: &str) {
        let reset = self.get(name).reset || self.get(name).failures > 0;
        self.names.insert(name.to_owned(), Guard { reset, ..Guard::default() });
    }

    /// A block begins, unless there is one.
    pub(super) fn block(&mut self, name: &str, has_account: bool, now: Instant, time: Duration, from_before: bool) {
        let over = from_before && time == Duration::ZERO;
        if !over && self.rest(name, now).is_none() {
            let until = Some(now + time);
            *self.remember(name, has_account) = Guard { until, from_before, ..Guard::default() };
        }
    }

    /// Somebody tried and was refused unchecked.
    pub(super) fn tried(&mut self, name: &str) {
        if let Some(guard) = self.names.get_mut(name) {
            guard.tried = true;
        }
    }

    /// An account was made or removed: what is known of its name stays.
    pub(super) fn account_changed(&mut self, name: &str, has_account: bool) {
        let known = |guard: &Guard| guard.failures > 0 || guard.until.is_some();
        if self.names.get(name).is_some_and(known) {
            self.remember(name, has_account);
        }
    }

    fn remember(&mut self, name: &str, has_account: bool) -> &mut Guard {
        if self.names.contains_key(name) {
            self.unknown.retain(|unknown| unknown != name);
        }
        if !has_account {
            self.unknown.push_back(name.to_owned());
        }
        if self.unknown.len() > MAX_UNKNOWN_NAMES
            && let Some(oldest) = self.unknown.pop_front()
        {
            self.names.remove(&oldest);
        }
        self.names.entry(name.to_owned()).or_default()
    }
}
