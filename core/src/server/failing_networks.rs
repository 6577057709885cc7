//! Networks from which many names fail to log in: somebody tries a few passwords for each of many names
//! ("password spraying"), and so never meets the block of any one name.
//!
//! A network is refused while more than [`MAX_FAILED_NAMES_PER_ADDRESS`] names have failed from it within
//! [`FAILED_NAMES_WINDOW`]. For that it is enough to remember one name more than that, those that failed last.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::address::Network;
use crate::machine::Usage;
use crate::time::Instant;
use crate::wire::limits::{FAILED_NAMES_WINDOW, MAX_FAILED_NAMES_PER_ADDRESS, MAX_FAILING_NETWORKS};

const MAX_REMEMBERED: usize = MAX_FAILED_NAMES_PER_ADDRESS + 1;

/// The names that failed lately, of the networks that failed lately.
#[derive(Debug, Default)]
pub(super) struct FailingNetworks {
    networks: BTreeMap<Network, FailedNames>,
    /// The networks by the turn of their latest failure.
    by_turn: BTreeMap<u64, Network>,
    next_turn: u64,
}

/// The names that failed lately from one network.
#[derive(Debug)]
struct FailedNames {
    /// By name as typed: the turn of its latest failure.
    turns: BTreeMap<String, u64>,
    /// By turn: the name, and when it was.
    names: BTreeMap<u64, (String, Instant)>,
    /// The latest of them.
    turn: u64,
    at: Instant,
}

impl FailingNetworks {
    /// How long logins from `network` are still refused, if they are.
    pub(super) fn remaining(&self, network: Network, now: Instant) -> Option<Duration> {
        let failed = self.networks.get(&network).filter(|it| it.names.len() > MAX_FAILED_NAMES_PER_ADDRESS)?;
        let (_, (_, oldest)) = failed.names.first_key_value()?;
        let until = *oldest + FAILED_NAMES_WINDOW;
        (now < until).then(|| until - now)
    }

    /// A login of `name` failed.
    pub(super) fn fail(&mut self, network: Network, name: &str, now: Instant) {
        self.forget_old(network, now);
        self.next_turn += 1;
        let turn = self.next_turn;
        let new = FailedNames { turns: BTreeMap::new(), names: BTreeMap::new(), turn, at: now };
        let failed = self.networks.entry(network).or_insert(new);
        self.by_turn.remove(&failed.turn);
        self.by_turn.insert(turn, network);
        (failed.turn, failed.at) = (turn, now);
        failed.add(name, turn, now);
    }

    /// A login of `name` succeeded.
    pub(super) fn succeed(&mut self, network: Network, name: &str) {
        let Some(failed) = self.networks.get_mut(&network) else { return };
        failed.remove(name);
        if failed.names.is_empty() {
            self.by_turn.remove(&failed.turn);
            self.networks.remove(&network);
        }
    }

    /// How many networks are remembered.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("networks with failed logins", self.networks.len(), MAX_FAILING_NETWORKS));
    }

    /// How many names of each.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for failed in self.networks.values() {
            each(Usage::new("names that failed from one network", failed.turns.len(), MAX_REMEMBERED));
        }
    }

    /// Forgets networks whose failures are all over, and the oldest if there is no place for `network`.
    fn forget_old(&mut self, network: Network, now: Instant) {
        while let Some(oldest) = self.by_turn.first_entry() {
            let over = self.networks.get(oldest.get()).is_none_or(|it| it.at + FAILED_NAMES_WINDOW <= now);
            let full = self.networks.len() >= MAX_FAILING_NETWORKS && !self.networks.contains_key(&network);
            if !over && !full {
                return;
            }
            self.networks.remove(&oldest.remove());
        }
    }
}

impl FailedNames {
    fn add(&mut self, name: &str, turn: u64, now: Instant) {
        self.remove(name);
        if self.names.len() >= MAX_REMEMBERED
            && let Some((_, (oldest, _))) = self.names.pop_first()
        {
            self.turns.remove(&oldest);
        }
        self.turns.insert(name.to_owned(), turn);
        self.names.insert(turn, (name.to_owned(), now));
    }

    fn remove(&mut self, name: &str) {
        if let Some(turn) = self.turns.remove(name) {
            self.names.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn network(number: usize) -> Network {
        Network::of(Ipv4Addr::from_bits(number as u32).into())
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_network_that_failed_longest_ago_is_forgotten_first() {
        let mut failing = FailingNetworks::default();
        for name in 0..MAX_REMEMBERED {
            failing.fail(network(0), &name.to_string(), at(0));
            failing.fail(network(1), &name.to_string(), at(1));
        }
        for other in 2..MAX_FAILING_NETWORKS {
            failing.fail(network(other), "x", at(2));
        }
        failing.fail(network(0), "again", at(2));
        assert!(failing.remaining(network(1), at(2)).is_some(), "the table was just full");
        failing.fail(network(MAX_FAILING_NETWORKS), "x", at(2));
        assert_eq!(failing.remaining(network(1), at(2)), None);
        assert!(failing.remaining(network(0), at(2)).is_some());
        assert_eq!((failing.networks.len(), failing.by_turn.len()), (MAX_FAILING_NETWORKS, MAX_FAILING_NETWORKS));
    }

    #[test]
    fn nothing_is_kept_of_failures_that_are_over() {
        let mut failing = FailingNetworks::default();
        for number in 0..100 {
            failing.fail(network(number), "x", at(0));
        }
        failing.fail(network(100), "x", at(60_000));
        assert_eq!((failing.networks.len(), failing.by_turn.len()), (1, 1));
        failing.succeed(network(100), "x");
        assert!(failing.networks.is_empty() && failing.by_turn.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Fail { name: usize },
        FailMany,
        Succeed { name: usize },
        Wait { millis: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        let name = 0..MAX_REMEMBERED + 20;
        prop_oneof![
            4 => name.clone().prop_map(|name| Op::Fail { name }),
            1 => Just(Op::FailMany),
            2 => name.prop_map(|name| Op::Succeed { name }),
            3 => prop_oneof![Just(0), Just(60_000), 0u64..40_000].prop_map(|millis| Op::Wait { millis }),
        ]
    }

    proptest! {
        /// The model is the list of all failures: the distinct names within the window are counted, and it is looked
        /// for the first moment at which there are few enough. What succeeds, or is older than the latest hundred and
        /// one, has no part in it.
        #[test]
        fn it_is_a_count_of_names_within_a_window(ops in prop::collection::vec((0usize..2, op()), 0..60)) {
            let (mut failing, mut now) = (FailingNetworks::default(), 0);
            let mut model: [Vec<(String, u64)>; 2] = [Vec::new(), Vec::new()];
            for (of, op) in ops {
                let mut fail = |model: &mut Vec<(String, u64)>, name: usize| {
                    let name = name.to_string();
                    failing.fail(network(of), &name, at(now));
                    model.retain(|(known, _)| *known != name);
                    model.push((name, now));
                };
                match op {
                    Op::Fail { name } => fail(&mut model[of], name),
                    Op::FailMany => (0..MAX_FAILED_NAMES_PER_ADDRESS).for_each(|name| fail(&mut model[of], name)),
                    Op::Succeed { name } => {
                        let name = name.to_string();
                        let latest = model[of].len().saturating_sub(MAX_REMEMBERED);
                        model[of].drain(..latest);
                        model[of].retain(|(known, _)| *known != name);
                        failing.succeed(network(of), &name);
                    }
                    Op::Wait { millis } => now += millis,
                }
                for (of, model) in model.iter().enumerate() {
                    let within = |moment: u64| model.iter().filter(|(_, failed)| failed + 60_000 > moment).count();
                    let ends = model.iter().map(|(_, failed)| failed + 60_000).chain([now]);
                    let free = ends.filter(|end| *end >= now && within(*end) <= MAX_FAILED_NAMES_PER_ADDRESS).min();
                    let expected = free.filter(|free| *free > now).map(|free| Duration::from_millis(free - now));
                    prop_assert_eq!(failing.remaining(network(of), at(now)), expected);
                }
            }
        }
    }
}
