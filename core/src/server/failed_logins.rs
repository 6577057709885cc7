//! How many logins of each account failed since its user last logged in, so that they can be told.

use std::collections::BTreeMap;

use crate::machine::Usage;
use crate::name::UserName;
use crate::wire::limits::MAX_ACCOUNTS;

/// Failed logins of accounts, attempts during a block included. It lives as long as one run of the server.
#[derive(Debug, Default)]
pub(super) struct FailedLogins {
    counts: BTreeMap<UserName, u32>,
}

impl FailedLogins {
    /// A login of an account failed.
    pub(super) fn add(&mut self, user: &UserName) {
        let count = self.counts.entry(user.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// The user logs in, and is told; or the account is gone.
    pub(super) fn take(&mut self, user: &UserName) -> u32 {
        self.counts.remove(user).unwrap_or(0)
    }

    /// How many users have something to be told.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("users to be told of failed logins", self.counts.len(), MAX_ACCOUNTS));
    }
}
