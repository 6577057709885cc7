//! Who has an account, and which devices they have used.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::resumable::Resumable;
use crate::id::{LogIndex, SessionId};
use crate::machine::Usage;
use crate::name::{UserName, normalised};
use crate::secure::{PasswordHash, PublicKey};
use crate::time::Timestamp;
use crate::wire::limits::{MAX_ACCOUNTS, MAX_DEVICES_PER_USER};

/// All accounts.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accounts {
    accounts: BTreeMap<UserName, Account>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// Of the password.
    hash: PasswordHash,
    /// The fact that made it.
    added: LogIndex,
    /// Keys of devices, the oldest first, each once.
    devices: Vec<PublicKey>,
    /// The session that can be resumed.
    session: Option<Resumable>,
    /// Until when they were last active.
    left: Option<Timestamp>,
}

impl Accounts {
    /// The account's name if `text`, as somebody typed it, is one, be its letters composed or not.
    pub(super) fn find(&self, text: &str) -> Option<&UserName> {
        // As it is first: accounts of earlier versions may have names that are not normalised.
        let found = self.accounts.get_key_value(text).or_else(|| self.accounts.get_key_value(&*normalised(text)));
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
        self.accounts.get(name).map(|it| &it.hash)
    }

    /// Whether it was added: not if it is there already, or if there are too many.
    pub(super) fn add(&mut self, name: UserName, hash: PasswordHash, added: LogIndex) -> bool {
        if self.accounts.contains_key(&name) || self.accounts.len() >= MAX_ACCOUNTS {
            return false;
        }
        self.accounts.insert(name, Account { hash, added, devices: Vec::new(), session: None, left: None });
        true
    }

    /// The fact that made the account; the first one of all for a name without an account.
    pub(super) fn added(&self, name: &UserName) -> LogIndex {
        self.accounts.get(name).map(|it| it.added).unwrap_or_default()
    }

    /// Ends the session, too. Changes nothing for a name without an account.
    pub(super) fn change_password(&mut self, name: &UserName, hash: PasswordHash) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.hash = hash;
            account.session = None;
        }
    }

    /// The session of the account that can be resumed.
    pub(super) fn session(&self, name: &UserName) -> Option<&Resumable> {
        self.accounts.get(name)?.session.as_ref()
    }

    /// A session of the account, if it is the one that can be resumed.
    pub(super) fn session_mut(&mut self, name: &UserName, session: SessionId) -> Option<&mut Resumable> {
        self.accounts.get_mut(name)?.session.as_mut().filter(|it| it.session() == session)
    }

    /// From now on this session can be resumed, and no other one. Changes nothing for a name without an account.
    pub(super) fn start_session(&mut self, name: &UserName, session: Resumable) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.session = Some(session);
        }
    }

    /// When the last session of this account ended, of those that were granted.
    pub(super) fn left(&self, name: &UserName) -> Option<Timestamp> {
        self.accounts.get(name)?.left
    }

    /// A session has ended. Changes nothing if another one has started since.
    pub(super) fn end_session(&mut self, name: &UserName, session: SessionId, at: Timestamp, resumable: bool) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.session.as_ref().is_some_and(|it| it.session() == session) {
            account.left = account.left.max(Some(at));
            account.session.take_if(|_| !resumable);
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
            account.session.iter().for_each(|it| each(it.usage()));
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

#[cfg(test)]
mod tests {
    use super::super::testing::hash;
    use super::*;
    use crate::secure::ResumeHash;
    use proptest::prelude::*;

    const COMPOSED: &str = "Zo\u{eb}";
    const DECOMPOSED: &str = "Zoe\u{308}";

    fn accounts(names: &[&str]) -> Accounts {
        let mut accounts = Accounts::default();
        for name in names {
            assert!(accounts.add(UserName::read(name).unwrap(), hash("x"), LogIndex(1)));
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

    #[derive(Clone, Debug)]
    enum Op {
        Add(&'static str, u8),
        Remove(&'static str),
        ChangePassword(&'static str, u8),
        AddDevice(&'static str, u8),
        StartSession(&'static str, u64),
        EndSession(&'static str, u64, i64, bool),
    }

    const NAMES: [&str; 3] = ["a", "b", COMPOSED];

    fn op() -> impl Strategy<Value = Op> {
        let user = || (0..3usize).prop_map(|number| NAMES[number]);
        prop_oneof![
            3 => (user(), 0..3u8).prop_map(|(user, password)| Op::Add(user, password)),
            1 => user().prop_map(Op::Remove),
            1 => (user(), 0..3u8).prop_map(|(user, password)| Op::ChangePassword(user, password)),
            8 => (user(), 0..40u8).prop_map(|(user, device)| Op::AddDevice(user, device)),
            2 => (user(), 0..3u64).prop_map(|(user, session)| Op::StartSession(user, session)),
            2 => (user(), 0..3u64, -2..5i64, any::<bool>()).prop_map(|(user, session, at, resumable)| {
                Op::EndSession(user, session, at, resumable)
            }),
        ]
    }

    #[derive(Default)]
    struct Model {
        password: u8,
        /// Every device since the account was added, each where it came first.
        devices: Vec<u8>,
        session: Option<u64>,
        left: Option<i64>,
    }

    fn session(id: u64) -> Resumable {
        Resumable::new(SessionId(id), PublicKey([0; 32]), ResumeHash([0; 32]), Timestamp::default())
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_accounts(ops in prop::collection::vec(op(), 0..150)) {
            let hashes = ["0", "1", "2"].map(hash);
            let of = |password: u8| hashes[usize::from(password)].clone();
            let (mut accounts, mut model) = (Accounts::default(), BTreeMap::<&str, Model>::new());
            for op in ops {
                match op {
                    Op::Add(user, password) => {
                        let added = accounts.add(UserName::read(user).unwrap(), of(password), LogIndex(1));
                        prop_assert_eq!(added, !model.contains_key(user));
                        model.entry(user).or_insert(Model { password, ..Model::default() });
                    }
                    Op::Remove(user) => {
                        let removed = accounts.remove(&UserName::read(user).unwrap());
                        prop_assert_eq!(removed, model.remove(user).is_some());
                    }
                    Op::ChangePassword(user, password) => {
                        accounts.change_password(&UserName::read(user).unwrap(), of(password));
                        if let Some(account) = model.get_mut(user) {
                            (account.password, account.session) = (password, None);
                        }
                    }
                    Op::AddDevice(user, device) => {
                        accounts.add_device(&UserName::read(user).unwrap(), PublicKey([device; 32]));
                        if let Some(Model { devices, .. }) = model.get_mut(user) {
                            let kept = devices.len().saturating_sub(MAX_DEVICES_PER_USER);
                            if !devices[kept..].contains(&device) {
                                devices.push(device);
                            }
                        }
                    }
                    Op::StartSession(user, id) => {
                        accounts.start_session(&UserName::read(user).unwrap(), session(id));
                        if let Some(account) = model.get_mut(user) {
                            account.session = Some(id);
                        }
                    }
                    Op::EndSession(user, id, at, resumable) => {
                        let at_time = Timestamp::from_millis(at);
                        accounts.end_session(&UserName::read(user).unwrap(), SessionId(id), at_time, resumable);
                        if let Some(account) = model.get_mut(user).filter(|it| it.session == Some(id)) {
                            account.left = account.left.max(Some(at));
                            account.session.take_if(|_| !resumable);
                        }
                    }
                }
                prop_assert_eq!(accounts.accounts.len(), model.len());
                for user in NAMES {
                    let (user_name, account) = (UserName::read(user).unwrap(), model.get(user));
                    prop_assert_eq!(accounts.find(user), account.map(|_| &user_name));
                    prop_assert!(accounts.hash(user) == account.map(|it| &hashes[usize::from(it.password)]));
                    let devices = account.map_or(&[][..], |it| &it.devices);
                    let newest = &devices[devices.len().saturating_sub(MAX_DEVICES_PER_USER)..];
                    let newest: Vec<PublicKey> = newest.iter().map(|device| PublicKey([*device; 32])).collect();
                    prop_assert_eq!(accounts.devices(&user_name), newest);
                    let current = account.and_then(|it| it.session).map(SessionId);
                    prop_assert_eq!(accounts.session(&user_name).map(Resumable::session), current);
                    for id in (0..3).map(SessionId) {
                        prop_assert_eq!(accounts.session_mut(&user_name, id).is_some(), current == Some(id));
                    }
                    let left = accounts.accounts.get(user).and_then(|it| it.left);
                    prop_assert_eq!(left, account.and_then(|it| it.left).map(Timestamp::from_millis));
                }
            }
        }
    }
}
