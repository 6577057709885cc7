//! Who has an account.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::machine::Usage;
use crate::name::{UserName, normalised};
use crate::secure::PasswordHash;
use crate::wire::limits::MAX_ACCOUNTS;

/// All accounts, with the hashes of their passwords.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    hashes: BTreeMap<UserName, PasswordHash>,
}

impl Accounts {
    /// The account's name if `text`, as somebody typed it, is one, be its letters composed or not.
    pub(super) fn find(&self, text: &str) -> Option<&UserName> {
        // As it is first: accounts of earlier versions may have names that are not normalised.
        let found = self.hashes.get_key_value(text).or_else(|| self.hashes.get_key_value(&*normalised(text)));
        found.map(|(name, _)| name)
    }

    /// The one spelling under which logins of what somebody typed are counted and blocked.
    pub(super) fn spelling<'a>(&'a self, text: &'a str) -> Cow<'a, str> {
        match self.find(text) {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => normalised(text),
        }
    }

    /// The hash of the account's password.
    pub(super) fn hash(&self, name: &str) -> Option<&PasswordHash> {
        self.hashes.get(name)
    }

    /// Whether it was added: not if it is there already, or if there are too many.
    pub(super) fn add(&mut self, name: UserName, hash: PasswordHash) -> bool {
        if self.hashes.contains_key(&name) || self.hashes.len() >= MAX_ACCOUNTS {
            return false;
        }
        self.hashes.insert(name, hash);
        true
    }

    /// Changes nothing for a name without an account.
    pub(super) fn change_password(&mut self, name: &UserName, hash: PasswordHash) {
        if let Some(old) = self.hashes.get_mut(name) {
            *old = hash;
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("accounts", self.hashes.len(), MAX_ACCOUNTS));
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, name: &UserName) -> bool {
        self.hashes.remove(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hash;
    use super::*;

    const COMPOSED: &str = "Zo\u{eb}";
    const DECOMPOSED: &str = "Zoe\u{308}";

    fn accounts(names: &[&str]) -> Accounts {
        let mut accounts = Accounts::default();
        for name in names {
            assert!(accounts.add(UserName::read(name).unwrap(), hash("x")));
        }
        accounts
    }

    #[test]
    fn a_name_is_found_and_counted_in_one_spelling() {
        let some = accounts(&[COMPOSED]);
        for typed in [COMPOSED, DECOMPOSED] {
            assert_eq!(some.find(typed).map(UserName::as_str), Some(COMPOSED));
            assert_eq!(some.spelling(typed), COMPOSED);
            assert_eq!(accounts(&[]).spelling(typed), COMPOSED, "without an account too");
        }
    }

    #[test]
    fn an_account_of_an_earlier_version_keeps_its_spelling_and_is_not_mixed_up() {
        for old in [DECOMPOSED, "yo\u{200b}da"] {
            assert_eq!(accounts(&[old]).find(old).map(UserName::as_str), Some(old));
            assert_eq!(accounts(&[old]).spelling(old), old);
        }
        let both = accounts(&[COMPOSED, DECOMPOSED]);
        for typed in [COMPOSED, DECOMPOSED] {
            assert_eq!((both.find(typed).map(UserName::as_str), &*both.spelling(typed)), (Some(typed), typed));
        }
    }
}
