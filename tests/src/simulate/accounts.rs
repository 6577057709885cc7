//! What the durable log says about accounts and messages, read in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::name::UserName;
use toom_core::secure::PasswordHash;
use toom_core::server::fact::{Committed, Fact};

/// The accounts after a log.
#[derive(Clone, Debug, Default)]
pub struct Accounts(BTreeMap<UserName, PasswordHash>);

impl Accounts {
    /// After the whole of this log.
    pub fn after(log: &[Committed]) -> Accounts {
        let mut accounts = Accounts::default();
        log.iter().for_each(|committed| accounts.apply(&committed.fact));
        accounts
    }

    /// After one more fact.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::AccountAdded { name, hash } => {
                self.0.entry(name.clone()).or_insert_with(|| hash.clone());
            }
            Fact::PasswordChanged { name, hash } => {
                if let Some(known) = self.0.get_mut(name) {
                    *known = hash.clone();
                }
            }
            Fact::AccountRemoved { name } => {
                self.0.remove(name);
            }
            _ => {}
        }
    }

    /// The hash of this account's password.
    pub fn hash(&self, name: &str) -> Option<&PasswordHash> {
        self.0.get(name)
    }

    /// Whether there is such an account.
    pub fn has(&self, name: &UserName) -> bool {
        self.0.contains_key(name)
    }
}

/// The texts of all broadcasts, in order: those whose author had an account. One that was posted again is one message.
pub fn broadcasts(log: &[Committed]) -> Vec<&str> {
    let (mut accounts, mut texts) = (Accounts::default(), Vec::new());
    let mut known = BTreeSet::new();
    for Committed { fact, .. } in log {
        accounts.apply(fact);
        if let Fact::Broadcast { from, text, id, .. } = fact
            && accounts.has(from)
            && id.is_none_or(|id| known.insert(id))
        {
            texts.push(text.as_str());
        }
    }
    texts
}

/// The direct messages that `receiver`, in their newest account, must be shown.
pub fn direct_messages<'a>(log: &'a [Committed], receiver: &str) -> Vec<&'a str> {
    let (mut accounts, mut texts) = (Accounts::default(), Vec::new());
    for Committed { fact, .. } in log {
        accounts.apply(fact);
        match fact {
            Fact::AccountRemoved { name } if name.as_str() == receiver => texts.clear(),
            Fact::DirectMessage { from, to, text, .. }
                if to.as_str() == receiver && from != to && accounts.has(from) && accounts.has(to) =>
            {
                texts.push(text.as_str());
            }
            _ => {}
        }
    }
    texts
}
