//! Making accounts: hashing passwords on both cores, and appending what is missing to the log.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use toom_core::name::{Lookalikes, UserName, normalised};
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::fact::Fact;
use toom_store::log;

use crate::exit::Failure;
use crate::random;

/// A hash takes 19 MiB and a core; more threads than this would make a small machine suffer.
const HASHING_THREADS: usize = 2;
/// A server looks for what others appended several times a second. Who logs in right after `toom user add`
/// should find the account there.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_millis(500);
/// From this many accounts on, people want to see how far it is.
const SHOW_PROGRESS_FROM: usize = 20;

/// Adds those of `accounts` that `data` does not have yet, and says how many that were. All or none: none if one of
/// them can be mistaken for another.
pub(crate) fn add_missing(
    data: &Path,
    accounts: Vec<(UserName, Password)>,
    show_progress: bool,
) -> Result<usize, Failure> {
    let known: BTreeSet<UserName> = existing(data)?.into_iter().collect();
    let missing: Vec<_> = accounts.into_iter().filter(|(name, _)| !known.contains(name)).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    refuse_lookalikes(known, missing.iter().map(|(name, _)| name))?;
    let bar = match show_progress && missing.len() >= SHOW_PROGRESS_FROM {
        true => ProgressBar::new(missing.len() as u64).with_style(style()),
        false => ProgressBar::hidden(),
    };
    let facts = hash_all(missing, || bar.inc(1))?;
    bar.finish_and_clear();
    log::append(data, &facts).map_err(Failure::failed)?;
    Ok(facts.len())
}

/// Fails if one of the `new` names can be mistaken for one that is `known`, or for another new one.
pub(crate) fn refuse_lookalikes<'a>(
    known: impl IntoIterator<Item = UserName>,
    new: impl IntoIterator<Item = &'a UserName>,
) -> Result<(), Failure> {
    let mut names = Lookalikes::from_iter(known);
    for name in new {
        if let Some(other) = names.find(name) {
            return Err(Failure::failed(format!(
                "The name {name} looks like that of the account {other}, so it was not added; choose another name."
            )));
        }
        names.add(name.clone());
    }
    Ok(())
}

/// The account that somebody typed the name of, be its letters composed or not.
pub(crate) fn find(data: &Path, typed: &UserName) -> Result<Option<UserName>, Failure> {
    let existing = existing(data)?;
    let is = |text: &str| existing.iter().find(|name| name.as_str() == text).cloned();
    Ok(is(typed.as_str()).or_else(|| is(&normalised(typed.as_str()))))
}

/// The names that have an account, in order.
pub(crate) fn existing(data: &Path) -> Result<Vec<UserName>, Failure> {
    log::accounts(data).map_err(Failure::failed)
}

/// Appends to the log, also while a server runs, and gives that server time to hear of it.
pub(crate) fn append_and_tell(data: &Path, facts: &[Fact]) -> Result<(), Failure> {
    log::append(data, facts).map_err(Failure::failed)?;
    thread::sleep(HEARD_WITHIN);
    Ok(())
}

/// The hash of one password, with a salt of its own.
pub(crate) fn hash(password: &Password) -> Result<PasswordHash, Failure> {
    Ok(PasswordHash::new(password, random::bytes()?, HashCost::Standard))
}

/// One `AccountAdded` for each account, in their order.
fn hash_all(accounts: Vec<(UserName, Password)>, mut on_each: impl FnMut()) -> Result<Vec<Fact>, Failure> {
    let accounts = &accounts;
    thread::scope(|scope| {
        let (done, results) = mpsc::channel();
        for first in 0..HASHING_THREADS.min(accounts.len()) {
            let done = done.clone();
            scope.spawn(move || {
                for index in (first..accounts.len()).step_by(HASHING_THREADS) {
                    let (name, password) = &accounts[index];
                    let fact = hash(password).map(|hash| Fact::AccountAdded { name: name.clone(), hash });
                    if done.send((index, fact)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut facts = Vec::with_capacity(accounts.len());
        for (index, fact) in results {
            on_each();
            facts.push((index, fact?));
        }
        facts.sort_by_key(|(index, _)| *index);
        Ok(facts.into_iter().map(|(_, fact)| fact).collect())
    })
}

fn style() -> ProgressStyle {
    let template = "Hashing passwords {wide_bar} {pos}/{len}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_hashed_in_their_order_with_salts_of_their_own() {
        let account = |n: usize| (UserName::new(&format!("user{n}")).unwrap(), Password("same".into()));
        let mut seen = 0;
        let facts = hash_all((0..5).map(account).collect(), || seen += 1).unwrap();
        assert_eq!(seen, 5);
        let mut hashes = Vec::new();
        for (fact, n) in facts.iter().zip(0..) {
            let Fact::AccountAdded { name, hash } = fact else { panic!("{fact:?}") };
            assert_eq!(name.as_str(), format!("user{n}"));
            assert!(hash.matches(&Password("same".into())));
            assert!(!hashes.contains(hash));
            hashes.push(hash.clone());
        }
        assert_eq!(hashes.len(), 5);
    }

    #[test]
    fn a_name_that_looks_like_another_is_refused_by_name() {
        let name = |text: &str| UserName::new(text).unwrap();
        let refused = |known: &[&str], new: &[&str]| {
            let new: Vec<_> = new.iter().map(|text| name(text)).collect();
            refuse_lookalikes(known.iter().map(|text| name(text)), &new).map_err(|failure| failure.message)
        };
        let why = "The name yod\u{430} looks like that of the account yoda, so it was not added; choose another name.";
        assert_eq!(refused(&["luke", "yoda"], &["leia", "yod\u{430}"]), Err(why.into()));
        // Within what is added too.
        assert_eq!(refused(&["luke"], &["yoda", "yod\u{430}"]), Err(why.into()));
        assert_eq!(refused(&["user1", "m", "Zoe"], &["userl", "rn", "Zo\u{eb}"]), Ok(()));
    }
}
