//! Names that people can take for one another, such as one with a Cyrillic letter for a Latin one.

use std::collections::BTreeMap;

use unicode_security::skeleton;

use super::UserName;

/// The names that there are, to be asked whether a new one can be mistaken for one of them.
///
/// Two names are confusable if they have the same skeleton (UTS 39, section 4). Two that are both plain ASCII are
/// exempt: `user1` and `userl` are confusable too, but names made by counting are common, and whoever has to tell
/// them apart can.
#[derive(Debug, Default)]
pub struct Lookalikes {
    /// By their skeletons.
    ascii: BTreeMap<String, UserName>,
    others: BTreeMap<String, UserName>,
}

impl Lookalikes {
    /// Takes the name of an account.
    pub fn add(&mut self, name: UserName) {
        let names = if name.as_str().is_ascii() { &mut self.ascii } else { &mut self.others };
        names.insert(skeleton(name.as_str()).collect(), name);
    }

    /// Another account's name, for which `name` can be mistaken.
    pub fn find(&self, name: &UserName) -> Option<&UserName> {
        let skeleton: String = skeleton(name.as_str()).collect();
        let another = |found: &&UserName| *found != name;
        let among_ascii = self.ascii.get(&skeleton).filter(|_| !name.as_str().is_ascii());
        self.others.get(&skeleton).filter(another).or(among_ascii)
    }
}

impl FromIterator<UserName> for Lookalikes {
    fn from_iter<I: IntoIterator<Item = UserName>>(names: I) -> Lookalikes {
        let mut lookalikes = Lookalikes::default();
        names.into_iter().for_each(|name| lookalikes.add(name));
        lookalikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::read(text).unwrap()
    }

    fn resembles(new: &str, old: &str) -> bool {
        let found = Lookalikes::from_iter([name("somebody"), name(old), name("Łukasz")]).find(&name(new)).cloned();
        assert!(found.is_none() || found == Some(name(old)));
        found.is_some()
    }

    #[test]
    fn what_looks_the_same_is_found_in_both_directions() {
        for (one, other) in [
            ("yoda", "yod\u{430}"),
            ("admin", "\u{430}dmin"),
            ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}"),
            ("rn", "ｍ"),
            ("Zoë", "Zoe\u{308}"),
            ("yoda", "yo\u{200b}da"),
            ("\u{3bd}ader", "\u{475}ader"),
        ] {
            assert!(resembles(one, other) && resembles(other, one), "{one} {other}");
        }
    }

    #[test]
    fn what_can_be_told_apart_is_not_found() {
        for (one, other) in [
            ("Zoë", "Zoe"),
            ("yoda", "Yoda"),
            ("김철수", "김철호"),
            ("Jose", "José"),
            // Plain ASCII.
            ("user1", "userl"),
            ("O0", "00"),
            ("rn", "m"),
            // The name itself.
            ("Zoë", "Zoë"),
            ("yoda", "yoda"),
        ] {
            assert!(!resembles(one, other) && !resembles(other, one), "{one} {other}");
        }
    }
}
