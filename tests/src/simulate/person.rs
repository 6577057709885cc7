//! The people of a run: who they are, and what they know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use toom_core::id::OfferId;
use toom_core::secure::PasswordHash;
use toom_core::wire::message::{HistoryKind, PastMessage};

use super::plan::{PersonPlan, name_of};
use super::task::Asking;
use crate::scenario::steps::{hash_of, password_of};
use crate::sim::dice::Dice;

/// A person.
#[derive(Debug)]
pub struct Person {
    /// Their name.
    pub name: &'static str,
    /// What the plan says of them.
    pub plan: PersonPlan,
    /// Their own dice.
    pub dice: Dice,
    /// The hashes of all passwords that they ever had; the last one is the newest.
    passwords: Vec<PasswordHash>,
    /// The newest client that they started; it may be gone.
    pub client: Option<usize>,
    /// Where their clients are, once there was one.
    pub home: Option<IpAddr>,
    /// What that client is about.
    pub state: State,
    /// Offers of others that wait for an answer.
    pub offers: Vec<OfferId>,
    /// Offers and transfers that they heard of.
    pub transfers: Vec<OfferId>,
    /// Whether they are about to come back by themselves.
    pub returning: bool,
    /// How often they came back by themselves since they were last logged in.
    pub returns: u32,
    /// Whether there is reason to believe that they have an account.
    pub expected: bool,
    /// What they are to do once all is healed.
    pub asking: Asking,
    /// What they read at the end.
    pub read: BTreeMap<HistoryKind, Vec<PastMessage>>,
}

/// What a person's client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none, or it has shown its last event.
    Gone,
    /// Nobody is logged in.
    LoggedOut,
    /// They are logged in.
    LoggedIn,
    /// They are logged in as somebody else.
    Disguised,
}

impl Person {
    /// Person `number` of the run with this seed.
    pub fn new(seed: u64, number: usize, plan: PersonPlan) -> Person {
        let mut person = Person {
            name: name_of(number),
            plan,
            dice: Dice::new(seed, &format!("person {number}")),
            passwords: Vec::new(),
            client: None,
            home: None,
            state: State::Gone,
            offers: Vec::new(),
            transfers: Vec::new(),
            returning: false,
            returns: 0,
            expected: true,
            asking: Asking::default(),
            read: BTreeMap::new(),
        };
        person.new_password();
        person
    }

    /// Thinks of another password; its hash.
    pub fn new_password(&mut self) -> PasswordHash {
        let hash = hash_of(&self.password_number(self.passwords.len()));
        self.passwords.push(hash.clone());
        hash
    }

    /// The newest password.
    pub fn password(&self) -> String {
        self.password_number(self.passwords.len() - 1)
    }

    /// The hash of the newest password.
    pub fn hash(&self) -> &PasswordHash {
        &self.passwords[self.passwords.len() - 1]
    }

    /// The password that has this hash.
    pub fn password_of(&self, hash: &PasswordHash) -> Option<String> {
        let number = self.passwords.iter().position(|it| it == hash)?;
        Some(self.password_number(number))
    }

    fn password_number(&self, number: usize) -> String {
        format!("{} {number}", password_of(self.name))
    }
}
