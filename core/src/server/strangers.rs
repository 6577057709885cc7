//! Strangers: connections that have not sent a login, and which of them has to go when there are too many.
//!
//! Whoever belongs here logs in at once, so the oldest stranger is the one that most likely never will.

use std::collections::BTreeMap;

use crate::address::Network;
use crate::id::ConnectionId;
use crate::machine::Usage;
use crate::wire::limits::{MAX_STRANGERS, MAX_STRANGERS_PER_ADDRESS};

/// How many connections had been accepted before this one: orders connections by their age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age(u64);

/// All strangers, by age.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    all: BTreeMap<Age, ConnectionId>,
    networks: BTreeMap<Network, BTreeMap<Age, ConnectionId>>,
    next: Age,
}

/// Whose strangers are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// Those of one network.
    OfNetwork,
    /// All together.
    OfAll,
}

impl Strangers {
    /// The age of a connection that was accepted just now.
    pub(super) fn next_age(&mut self) -> Age {
        self.next.0 += 1;
        self.next
    }

    /// The stranger that has to go since one of `network` was added, if one has to.
    pub(super) fn too_many(&self, network: Network) -> Option<(ConnectionId, TooMany)> {
        let oldest = |strangers: &BTreeMap<Age, ConnectionId>| strangers.first_key_value().map(|(_, it)| *it);
        let own = self.networks.get(&network).filter(|own| own.len() > MAX_STRANGERS_PER_ADDRESS);
        if let Some(oldest) = own.and_then(oldest) {
            return Some((oldest, TooMany::OfNetwork));
        }
        let oldest = oldest(&self.all).filter(|_| self.all.len() > MAX_STRANGERS)?;
        Some((oldest, TooMany::OfAll))
    }

    /// A connection is a stranger, for the first time or again since its login failed.
    pub(super) fn add(&mut self, network: Network, age: Age, connection: ConnectionId) {
        self.all.insert(age, connection);
        self.networks.entry(network).or_default().insert(age, connection);
    }

    /// A connection is no stranger any more, if it was one.
    pub(super) fn remove(&mut self, network: Network, age: Age) {
        if self.all.remove(&age).is_some()
            && let Some(own) = self.networks.get_mut(&network)
        {
            own.remove(&age);
            if own.is_empty() {
                self.networks.remove(&network);
            }
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("connections that have not sent a login", self.all.len(), MAX_STRANGERS));
        each(Usage::new("networks of such connections", self.networks.len(), MAX_STRANGERS));
    }

    /// How many of each network there are.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        for own in self.networks.values() {
            let what = "connections of one network that have not sent a login";
            each(Usage::new(what, own.len(), MAX_STRANGERS_PER_ADDRESS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn network(number: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(number).into())
    }

    #[derive(Clone, Debug)]
    enum Op {
        Accept { network: u32 },
        LogIn(prop::sample::Index),
        Fail(prop::sample::Index),
        End(prop::sample::Index),
    }

    fn op() -> impl Strategy<Value = Op> {
        // Mostly one network, so that its own limit is reached.
        let network = prop_oneof![3 => Just(0), 1 => 1u32..3];
        prop_oneof![
            8 => network.prop_map(|network| Op::Accept { network }),
            2 => any::<prop::sample::Index>().prop_map(Op::LogIn),
            1 => any::<prop::sample::Index>().prop_map(Op::Fail),
            1 => any::<prop::sample::Index>().prop_map(Op::End),
        ]
    }

    /// Network, age, id, and whether it is a stranger.
    type Known = (u32, Age, ConnectionId, bool);

    /// One of network `of` has become a stranger: drops one if there are too many, as the model says.
    fn drop_oldest(strangers: &mut Strangers, model: &mut Vec<Known>, of: u32) -> Result<(), TestCaseError> {
        let oldest = |own: bool| model.iter().position(|it| it.3 && (!own || it.0 == of));
        let count = |own: bool| model.iter().filter(|it| it.3 && (!own || it.0 == of)).count();
        let expected = if count(true) > MAX_STRANGERS_PER_ADDRESS {
            oldest(true).map(|at| (at, TooMany::OfNetwork))
        } else if count(false) > MAX_STRANGERS {
            oldest(false).map(|at| (at, TooMany::OfAll))
        } else {
            None
        };
        let found = strangers.too_many(network(of));
        prop_assert_eq!(found, expected.map(|(at, why)| (model[at].2, why)));
        if let Some((at, _)) = expected {
            let (of, age, ..) = model.remove(at);
            strangers.remove(network(of), age);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The model is a plain list of connections in order of age, each a stranger or not.
        #[test]
        fn the_oldest_goes_first(ops in prop::collection::vec(op(), 0..3_000)) {
            let mut strangers = Strangers::default();
            let mut model: Vec<Known> = Vec::new();
            for (number, op) in ops.into_iter().enumerate() {
                let connection = ConnectionId(number as u64);
                match op {
                    Op::Accept { network: of } => {
                        let age = strangers.next_age();
                        strangers.add(network(of), age, connection);
                        model.push((of, age, connection, true));
                        drop_oldest(&mut strangers, &mut model, of)?;
                    }
                    _ if model.is_empty() => {}
                    Op::LogIn(which) => {
                        let it = which.get(&model);
                        strangers.remove(network(it.0), it.1);
                        let at = which.index(model.len());
                        model[at].3 = false;
                    }
                    Op::Fail(which) => {
                        let at = which.index(model.len());
                        let (of, age, connection, _) = model[at];
                        strangers.add(network(of), age, connection);
                        model[at].3 = true;
                        drop_oldest(&mut strangers, &mut model, of)?;
                    }
                    Op::End(which) => {
                        let (of, age, ..) = model.remove(which.index(model.len()));
                        strangers.remove(network(of), age);
                    }
                }
                prop_assert_eq!(strangers.all.len(), model.iter().filter(|it| it.3).count());
                let counted: usize = strangers.networks.values().map(BTreeMap::len).sum();
                prop_assert_eq!(counted, strangers.all.len());
            }
        }
    }
}
