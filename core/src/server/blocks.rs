//! Failed logins, and the blocks that they lead to.
//!
//! Failures are counted for each name as typed, whether it has an account or not, so that the two look the
//! same. Names with an account are as many as the accounts; of the others only the latest are remembered, so
//! that guessing names costs no memory.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::machine::Usage;
use crate::time::Instant;
use crate::wire::limits::{MAX_ACCOUNTS, MAX_UNKNOWN_NAMES};

/// Consecutive failures and blocks of all names.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    names: BTreeMap<String, Guard>,
    /// Names without an account, by the `turn` of their latest failure.
    unknown: BTreeMap<u64, String>,
    next_turn: u64,
}

/// What is remembered of one name.
#[derive(Debug, Default)]
struct Guard {
    failures: u32,
    until: Option<Instant>,
    /// Its place in `unknown`; `None` if it has an account.
    turn: Option<u64>,
}

impl Blocks {
    /// How long the block of `name` still lasts, if it is blocked.
    pub(super) fn remaining(&self, name: &str, now: Instant) -> Option<Duration> {
        let until = self.names.get(name)?.until?;
        (now < until).then(|| until.saturating_since(now))
    }

    /// The names that are blocked, and how long that still lasts.
    pub(super) fn active(&self, now: Instant) -> impl Iterator<Item = (&str, Duration)> {
        self.names.keys().filter_map(move |name| Some((name.as_str(), self.remaining(name, now)?)))
    }

    /// A login of a name that is not blocked failed: the number of consecutive failures.
    pub(super) fn fail(&mut self, name: &str, has_account: bool) -> u32 {
        let guard = self.touch(name, has_account);
        guard.until = None;
        guard.failures = guard.failures.saturating_add(1);
        guard.failures
    }

    /// A login succeeded: the count starts anew.
    pub(super) fn succeed(&mut self, name: &str) {
        self.forget(name);
    }

    /// `name` is blocked until `until`; after that the count starts anew.
    pub(super) fn block(&mut self, name: &str, has_account: bool, until: Instant) {
        let guard = self.touch(name, has_account);
        guard.failures = 0;
        guard.until = Some(until);
    }

    /// An account was added or removed: what is remembered of its name stays.
    pub(super) fn account_changed(&mut self, name: &str, has_account: bool) {
        if self.names.contains_key(name) {
            self.touch(name, has_account);
        }
    }

    /// How many names are remembered.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        let known = self.names.len().saturating_sub(self.unknown.len());
        each(Usage::new("failed logins of names with an account", known, MAX_ACCOUNTS));
        each(Usage::new("failed logins of names without an account", self.unknown.len(), MAX_UNKNOWN_NAMES));
    }

    fn touch(&mut self, name: &str, has_account: bool) -> &mut Guard {
        if let Some(turn) = self.names.get(name).and_then(|guard| guard.turn) {
            self.unknown.remove(&turn);
        }
        if !has_account
            && self.unknown.len() >= MAX_UNKNOWN_NAMES
            && let Some((_, oldest)) = self.unknown.pop_first()
        {
            self.names.remove(&oldest);
        }
        let guard = self.names.entry(name.to_owned()).or_default();
        guard.turn = None;
        if !has_account {
            self.next_turn += 1;
            self.unknown.insert(self.next_turn, name.to_owned());
            guard.turn = Some(self.next_turn);
        }
        guard
    }

    fn forget(&mut self, name: &str) {
        if let Some(turn) = self.names.remove(name).and_then(|guard| guard.turn) {
            self.unknown.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    #[test]
    fn failures_count_up_and_a_success_resets_them() {
        let mut blocks = Blocks::default();
        assert_eq!((blocks.fail("yoda", true), blocks.fail("yoda", true), blocks.fail("luke", true)), (1, 2, 1));
        blocks.succeed("yoda");
        assert_eq!((blocks.fail("yoda", true), blocks.fail("luke", true)), (1, 2));
    }

    #[test]
    fn a_block_ends_by_itself_and_the_count_starts_anew() {
        let mut blocks = Blocks::default();
        blocks.fail("yoda", true);
        blocks.block("yoda", true, at(10));
        assert_eq!(blocks.remaining("yoda", at(3)), Some(Duration::from_secs(7)));
        assert_eq!(blocks.remaining("yoda", at(10)), None);
        assert_eq!(blocks.fail("yoda", true), 1);
    }

    #[test]
    fn only_the_latest_names_without_an_account_are_remembered_and_names_with_one_always() {
        let mut blocks = Blocks::default();
        blocks.fail("yoda", true);
        blocks.fail("first", false);
        blocks.fail("second", false);
        for number in 0..MAX_UNKNOWN_NAMES - 2 {
            blocks.fail(&format!("guess {number}"), false);
        }
        assert_eq!(blocks.fail("first", false), 2, "the table was just full");
        blocks.fail("one more", false);
        assert_eq!((blocks.unknown.len(), blocks.names.len()), (MAX_UNKNOWN_NAMES, MAX_UNKNOWN_NAMES + 1));
        assert_eq!(blocks.fail("first", false), 3, "it failed later than others");
        assert_eq!(blocks.fail("second", false), 1, "it was the oldest");
        assert_eq!(blocks.fail("yoda", true), 2);
    }

    #[test]
    fn a_name_that_gets_an_account_keeps_its_block_and_its_memory_cannot_be_pushed_out() {
        let mut blocks = Blocks::default();
        blocks.block("yoda", false, at(10));
        blocks.account_changed("yoda", true);
        for number in 0..=MAX_UNKNOWN_NAMES {
            blocks.fail(&format!("guess {number}"), false);
        }
        assert!(blocks.remaining("yoda", at(9)).is_some());
        blocks.account_changed("yoda", false);
        assert_eq!((blocks.unknown.len(), blocks.names.len()), (MAX_UNKNOWN_NAMES, MAX_UNKNOWN_NAMES));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Fail,
        Succeed,
        Block { seconds: u64 },
        AccountChanged,
        Wait { seconds: u64 },
    }

    fn op() -> impl Strategy<Value = (usize, Op)> {
        let op = prop_oneof![
            5 => Just(Op::Fail),
            1 => Just(Op::Succeed),
            2 => (1u64..20).prop_map(|seconds| Op::Block { seconds }),
            1 => Just(Op::AccountChanged),
            2 => (0u64..15).prop_map(|seconds| Op::Wait { seconds }),
        ];
        (0usize..4, op)
    }

    proptest! {
        /// The model has one counter and one end of a block for each of a few names.
        #[test]
        fn it_is_a_counter_and_an_end_for_each_name(ops in prop::collection::vec(op(), 0..100)) {
            const NAMES: [&str; 4] = ["yoda", "luke", "", "nobody"];
            let (mut blocks, mut now) = (Blocks::default(), 0);
            let (mut failures, mut until, mut has_account) = ([0; 4], [0; 4], [true, true, false, false]);
            for (who, op) in ops {
                let name = NAMES[who];
                match op {
                    Op::Fail => {
                        failures[who] += 1;
                        until[who] = 0;
                        prop_assert_eq!(blocks.fail(name, has_account[who]), failures[who]);
                    }
                    Op::Succeed => {
                        (failures[who], until[who]) = (0, 0);
                        blocks.succeed(name);
                    }
                    Op::Block { seconds } => {
                        (failures[who], until[who]) = (0, now + seconds);
                        blocks.block(name, has_account[who], at(now + seconds));
                    }
                    Op::AccountChanged => {
                        has_account[who] = !has_account[who];
                        blocks.account_changed(name, has_account[who]);
                    }
                    Op::Wait { seconds } => now += seconds,
                }
                for (name, until) in NAMES.iter().zip(until) {
                    let expected = (until > now).then(|| Duration::from_secs(until - now));
                    prop_assert_eq!(blocks.remaining(name, at(now)), expected);
                }
                let unknown = blocks.names.iter().filter(|(name, _)| {
                    NAMES.iter().position(|known| known == name).is_some_and(|who| !has_account[who])
                });
                prop_assert_eq!(blocks.unknown.len(), unknown.count());
            }
        }
    }
}
