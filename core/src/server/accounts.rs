//! Who has an account, and which devices they have used.

use std::collections::BTreeMap;

use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::{PasswordHash, PublicKey};
use crate::wire::limits::{MAX_ACCOUNTS, MAX_DEVICES_PER_USER};

/// All accounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    accounts: BTreeMap<UserName, Account>,
}

#[derive(Debug, PartialEq, Eq)]
struct Account {
    /// Of the password.
    hash: PasswordHash,
    /// Keys of devices, the oldest first, each once.
    devices: Vec<PublicKey>,
}

impl Accounts {
    /// The account's name if `text`, as somebody typed it, is one.
    pub(super) fn find(&self, text: &str) -> Option<&UserName> {
        self.accounts.get_key_value(text).map(|(name, _)| name)
    }

    /// The hash of the account's password.
    pub(super) fn hash(&self, name: &str) -> Option<&PasswordHash> {
        self.accounts.get(name).map(|it| &it.hash)
    }

    /// Whether it was added: not if it is there already, or if there are too many.
    pub(super) fn add(&mut self, name: UserName, hash: PasswordHash) -> bool {
        if self.accounts.contains_key(&name) || self.accounts.len() >= MAX_ACCOUNTS {
            return false;
        }
        self.accounts.insert(name, Account { hash, devices: Vec::new() });
        true
    }

    /// Changes nothing for a name without an account.
    pub(super) fn change_password(&mut self, name: &UserName, hash: PasswordHash) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.hash = hash;
        }
    }

    /// The keys of the account's devices, the oldest first.
    pub(super) fn devices(&self, name: &UserName) -> &[PublicKey] {
        self.accounts.get(name).map_or(&[], |it| &it.devices)
    }

    /// Changes nothing for a name without an account, or for a device that it has.
    pub(super) fn add_device(&mut self, name: &UserName, device: PublicKey) {
        let Some(Account { devices, .. }) = self.accounts.get_mut(name) else { return };
        if devices.contains(&device) {
            return;
        }
        if devices.len() >= MAX_DEVICES_PER_USER {
            devices.remove(0);
        }
        devices.push(device);
    }

    /// How many devices each account has.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for account in self.accounts.values() {
            each(Usage::new("devices of one account", account.devices.len(), MAX_DEVICES_PER_USER));
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("accounts", self.accounts.len(), MAX_ACCOUNTS));
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, name: &UserName) -> bool {
        self.accounts.remove(name).is_some()
    }
}
