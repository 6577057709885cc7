//! Whose devices this client has met on this server, and whose it was told to trust.
//!
//! The first keys of a person are believed, as ssh does with hosts. Another key later is told loudly if they were only
//! met, and refused if they were verified: then nobody but them says which keys are theirs, the server least of all.

use std::collections::BTreeMap;

use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::{PublicKey, SafetyNumber};
use crate::wire::limits::MAX_DEVICES_PER_USER;

/// People remembered for one server. Beyond that those who were never verified are forgotten, the oldest first.
pub const MAX_KNOWN_PEOPLE: usize = 4_096;
/// Keys remembered of one person: those of the account, and that of a session that is not in the log yet.
pub const MAX_KEYS_PER_PERSON: usize = MAX_DEVICES_PER_USER + 1;
/// Safety numbers that were shown and may be confirmed; the oldest is forgotten first.
const MAX_SHOWN_NUMBERS: usize = 64;

/// What is known of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub name: UserName,
    /// The keys of their devices, the oldest first, each once; at most [`MAX_KEYS_PER_PERSON`].
    pub keys: Vec<PublicKey>,
    /// How far these are trusted.
    pub trust: Trust,
}

/// How far the keys of a person are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// They were believed at the first meeting.
    Met,
    /// Another key came later, and nobody has said that it is right: nothing of theirs is accepted automatically.
    Changed,
    /// Somebody compared safety numbers: other keys are refused.
    Verified,
}

/// What comes of a key that somebody presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// It is theirs, as far as is known.
    Known,
    /// They are met for the first time, and are to be remembered.
    Met(Person),
    /// It is another one than before: to be told and remembered.
    Changed(Person),
    /// It is another one than those that were verified.
    Refused,
}

/// Everyone who is known.
#[derive(Debug, Default)]
pub(super) struct People {
    /// With the number of their coming.
    known: BTreeMap<UserName, (u64, Person)>,
    last: u64,
    /// The numbers that were shown, the oldest first.
    shown: Vec<(UserName, SafetyNumber)>,
}

impl People {
    /// Those who were remembered, the oldest first.
    pub(super) fn new(people: Vec<Person>) -> People {
        let mut all = People::default();
        for mut person in people {
            person.keys.truncate(MAX_KEYS_PER_PERSON);
            all.put(person);
        }
        all
    }

    /// Somebody presents a key; at a first meeting all that are `listed` for them are believed.
    pub(super) fn present(&mut self, name: &UserName, key: PublicKey, listed: &[PublicKey]) -> Presented {
        let Some((_, person)) = self.known.get_mut(name) else {
            let person = Person { name: name.clone(), keys: listed.to_vec(), trust: Trust::Met };
            return if self.put(person.clone()) { Presented::Met(person) } else { Presented::Known };
        };
        if person.keys.contains(&key) {
            return Presented::Known;
        }
        if person.trust == Trust::Verified {
            return Presented::Refused;
        }
        if person.keys.len() >= MAX_KEYS_PER_PERSON {
            person.keys.remove(0);
        }
        person.keys.push(key);
        person.trust = Trust::Changed;
        Presented::Changed(person.clone())
    }

    /// Whether somebody was verified with other keys than this one.
    pub(super) fn refuse(&self, name: &UserName, key: &PublicKey) -> bool {
        self.known.get(name).is_some_and(|(_, it)| it.trust == Trust::Verified && !it.keys.contains(key))
    }

    /// Whether files of theirs may be accepted without asking.
    pub(super) fn may_be_accepted(&self, name: &UserName) -> bool {
        self.known.get(name).is_none_or(|(_, it)| it.trust != Trust::Changed)
    }

    /// The person at this end accepted something of theirs: their new key is as good as their first one was. What is to
    /// be remembered, if that changes anything.
    pub(super) fn accept(&mut self, name: &UserName) -> Option<Person> {
        let (_, person) = self.known.get_mut(name).filter(|(_, it)| it.trust == Trust::Changed)?;
        person.trust = Trust::Met;
        Some(person.clone())
    }

    /// The person at this end has compared safety numbers: these keys are theirs, and no others. `None` if no more
    /// people can be remembered.
    pub(super) fn verify(&mut self, name: &UserName, keys: &[PublicKey]) -> Option<Person> {
        let person = Person { name: name.clone(), keys: keys.to_vec(), trust: Trust::Verified };
        self.put(person.clone()).then_some(person)
    }

    /// Whether all these keys were verified as theirs.
    pub(super) fn is_verified(&self, name: &UserName, keys: &[PublicKey]) -> bool {
        let all = |it: &Person| it.trust == Trust::Verified && keys.iter().all(|key| it.keys.contains(key));
        self.known.get(name).is_some_and(|(_, it)| all(it))
    }

    /// The safety number was shown.
    pub(super) fn show(&mut self, name: &UserName, number: SafetyNumber) {
        self.shown.retain(|(other, _)| other != name);
        if self.shown.len() >= MAX_SHOWN_NUMBERS {
            self.shown.remove(0);
        }
        self.shown.push((name.clone(), number));
    }

    /// The safety number that was shown last, if it was.
    pub(super) fn last_shown(&self, name: &UserName) -> Option<SafetyNumber> {
        self.shown.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("people who are known", self.known.len(), MAX_KNOWN_PEOPLE));
        each(Usage::new("safety numbers that were shown", self.shown.len(), MAX_SHOWN_NUMBERS));
    }

    /// How many keys each has.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for (_, person) in self.known.values() {
            each(Usage::new("keys of one person", person.keys.len(), MAX_KEYS_PER_PERSON));
        }
    }

    /// Whether there was room, or could be made.
    fn put(&mut self, person: Person) -> bool {
        if let Some((_, known)) = self.known.get_mut(&person.name) {
            *known = person;
            return true;
        }
        if self.known.len() >= MAX_KNOWN_PEOPLE {
            let unverified = self.known.values().filter(|(_, it)| it.trust != Trust::Verified);
            let Some(oldest) = unverified.min_by_key(|(number, _)| *number).map(|(_, it)| it.name.clone()) else {
                return false;
            };
            self.known.remove(&oldest);
        }
        self.last += 1;
        self.known.insert(person.name.clone(), (self.last, person));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }

    fn person(keys: &[u8], trust: Trust) -> Person {
        Person { name: name("luke"), keys: keys.iter().map(|byte| key(*byte)).collect(), trust }
    }

    #[test]
    fn the_first_keys_are_believed_and_another_one_is_told_until_somebody_says_it_is_right() {
        let (mut people, luke) = (People::default(), name("luke"));
        assert_eq!(people.present(&luke, key(1), &[key(1), key(2)]), Presented::Met(person(&[1, 2], Trust::Met)));
        assert_eq!(people.present(&luke, key(2), &[key(2)]), Presented::Known, "two laptops are no alarm");
        assert!(people.may_be_accepted(&luke));
        let changed = Presented::Changed(person(&[1, 2, 3], Trust::Changed));
        assert_eq!(people.present(&luke, key(3), &[key(3)]), changed);
        assert!(!people.may_be_accepted(&luke) && !people.refuse(&luke, &key(3)));
        assert_eq!(people.present(&luke, key(3), &[]), Presented::Known);
        assert!(!people.may_be_accepted(&luke));
        assert_eq!(people.accept(&luke), Some(person(&[1, 2, 3], Trust::Met)));
        assert_eq!(people.accept(&luke), None);
        assert!(people.may_be_accepted(&luke));
    }

    #[test]
    fn other_keys_of_who_was_verified_are_refused_until_they_are_verified_again() {
        let (mut people, luke) = (People::default(), name("luke"));
        people.present(&luke, key(1), &[key(1)]);
        people.present(&luke, key(2), &[key(2)]);
        assert_eq!(people.verify(&luke, &[key(2)]), Some(person(&[2], Trust::Verified)));
        assert!(people.may_be_accepted(&luke) && people.is_verified(&luke, &[key(2)]));
        assert!(people.refuse(&luke, &key(1)) && !people.refuse(&luke, &key(2)));
        assert_eq!(people.present(&luke, key(1), &[key(1), key(2)]), Presented::Refused);
        assert!(!people.is_verified(&luke, &[key(1), key(2)]));
        assert_eq!(people.accept(&luke), None, "accepting is not verifying");
        people.verify(&luke, &[key(1), key(2)]);
        assert_eq!(people.present(&luke, key(1), &[]), Presented::Known);
    }

    #[test]
    fn the_oldest_who_was_not_verified_is_forgotten_first_and_the_verified_never() {
        let first = |number: usize| name(&format!("user{number}"));
        let many = (0..MAX_KNOWN_PEOPLE).map(|number| {
            let trust = if number == 0 { Trust::Verified } else { Trust::Met };
            Person { name: first(number), keys: vec![key(1)], trust }
        });
        let mut people = People::new(many.collect());
        assert!(matches!(people.present(&name("luke"), key(1), &[key(1)]), Presented::Met(_)));
        assert!(people.refuse(&first(0), &key(2)), "verified");
        assert_eq!(people.present(&first(2), key(1), &[]), Presented::Known);
        assert!(!people.known.contains_key(&first(1)));
        // When all are verified there is no room for anybody else.
        let names: Vec<UserName> = people.known.keys().cloned().collect();
        for name in names {
            assert!(people.verify(&name, &[key(1)]).is_some());
        }
        assert_eq!(people.present(&name("leia"), key(1), &[key(1)]), Presented::Known);
        assert_eq!(people.verify(&name("leia"), &[key(1)]), None);
        assert_eq!(people.known.len(), MAX_KNOWN_PEOPLE);
    }

    #[test]
    fn the_keys_of_one_person_are_bounded() {
        let (mut people, luke) = (People::default(), name("luke"));
        for byte in 0..=MAX_KEYS_PER_PERSON as u8 {
            people.present(&luke, key(byte), &[key(byte)]);
        }
        let (_, luke) = &people.known[&luke];
        assert_eq!((luke.keys.len(), luke.keys[0]), (MAX_KEYS_PER_PERSON, key(1)));
    }
}
