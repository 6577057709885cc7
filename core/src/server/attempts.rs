//! Logins under way. For each name one password check at a time, so that fifty parallel guesses are fifty
//! guesses one after the other; the others of that name wait their turn.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::address::Network;
use crate::id::{CheckId, ConnectionId, RequestId};
use crate::machine::Usage;
use crate::secure::{Password, PasswordHash};
use crate::wire::limits::{MAX_PASSWORD_CHECKS, MAX_PASSWORD_CHECKS_PER_ADDRESS};

/// One try to log in.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) connection: ConnectionId,
    pub(super) request: RequestId,
    pub(super) address: IpAddr,
    pub(super) udp_port: u16,
    pub(super) password: Password,
}

/// All tries that are under way or waiting, by name as typed.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    names: BTreeMap<String, Queue>,
    checks: BTreeMap<CheckId, String>,
    last_check: CheckId,
    /// How many there are in all names, at most [`MAX_PASSWORD_CHECKS`].
    count: usize,
    /// How many of them come from each network, at most [`MAX_PASSWORD_CHECKS_PER_ADDRESS`].
    networks: BTreeMap<Network, usize>,
}

#[derive(Debug, Default)]
struct Queue {
    first: Option<First>,
    waiting: VecDeque<Attempt>,
}

/// The try whose turn it is.
#[derive(Debug)]
enum First {
    /// Its password is being compared with a hash.
    Checking { attempt: Attempt, against: PasswordHash },
    /// It failed too often; the block that follows is on its way to the log.
    Blocking { attempt: Attempt },
}

impl First {
    fn attempt(&self) -> &Attempt {
        match self {
            First::Checking { attempt, .. } | First::Blocking { attempt } => attempt,
        }
    }
}

impl Attempts {
    /// Whether there are too many, in all or from where `address` is.
    pub(super) fn is_full_for(&self, address: IpAddr) -> bool {
        let from_there = self.networks.get(&Network::of(address)).copied().unwrap_or(0);
        self.count >= MAX_PASSWORD_CHECKS || from_there >= MAX_PASSWORD_CHECKS_PER_ADDRESS
    }

    /// A try that waits behind those of the same name.
    pub(super) fn wait(&mut self, name: &str, attempt: Attempt) {
        self.count_in(&attempt);
        self.queue(name).waiting.push_back(attempt);
    }

    /// A try that has to be checked again, before all others of its name.
    pub(super) fn wait_first(&mut self, name: &str, attempt: Attempt) {
        self.count_in(&attempt);
        self.queue(name).waiting.push_front(attempt);
    }

    /// The try of this name whose turn it is now, if there is one.
    pub(super) fn take_next(&mut self, name: &str) -> Option<Attempt> {
        let queue = self.names.get_mut(name)?;
        if queue.first.is_some() {
            return None;
        }
        let next = queue.waiting.pop_front();
        match &next {
            Some(attempt) => self.count_out(attempt.address),
            None => drop(self.names.remove(name)),
        }
        next
    }

    /// The password of a try is going to be compared with `against`.
    pub(super) fn check(&mut self, name: &str, attempt: Attempt, against: PasswordHash) -> CheckId {
        self.last_check.0 += 1;
        self.checks.insert(self.last_check, name.to_owned());
        self.begin(name, First::Checking { attempt, against });
        self.last_check
    }

    /// The check has been made: of which name, which try, against which hash.
    pub(super) fn checked(&mut self, check: CheckId) -> Option<(String, Attempt, PasswordHash)> {
        let name = self.checks.remove(&check)?;
        match self.end(&name) {
            Some(First::Checking { attempt, against }) => Some((name, attempt, against)),
            _ => None,
        }
    }

    /// A try that failed waits for its name's block to be committed.
    pub(super) fn block(&mut self, name: &str, attempt: Attempt) {
        self.begin(name, First::Blocking { attempt });
    }

    /// The name is blocked: the try that led to it.
    pub(super) fn blocked(&mut self, name: &str) -> Option<Attempt> {
        if !matches!(self.names.get(name)?.first, Some(First::Blocking { .. })) {
            return None;
        }
        match self.end(name) {
            Some(First::Blocking { attempt } | First::Checking { attempt, .. }) => Some(attempt),
            None => None,
        }
    }

    /// The connection is gone: it waits no more. A check under way goes on and counts, or else guesses could
    /// be hidden by hanging up.
    pub(super) fn abandon(&mut self, name: &str, connection: ConnectionId) {
        if let Some(queue) = self.names.get_mut(name) {
            let mut addresses = Vec::new();
            queue.waiting.retain(|attempt| {
                let stays = attempt.connection != connection;
                addresses.extend((!stays).then_some(attempt.address));
                stays
            });
            addresses.into_iter().for_each(|address| self.count_out(address));
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("logins under way or waiting", self.count, MAX_PASSWORD_CHECKS));
        each(Usage::new("networks with logins under way", self.networks.len(), MAX_PASSWORD_CHECKS));
        each(Usage::new("names with logins under way", self.names.len(), MAX_PASSWORD_CHECKS));
        each(Usage::new("password checks under way", self.checks.len(), MAX_PASSWORD_CHECKS));
    }

    /// How many there are, counted one by one.
    pub(super) fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        let all = self.names.values().map(|queue| usize::from(queue.first.is_some()) + queue.waiting.len()).sum();
        each(Usage::new("logins under way or waiting, counted", all, MAX_PASSWORD_CHECKS));
    }

    fn begin(&mut self, name: &str, first: First) {
        self.count_in(first.attempt());
        self.queue(name).first = Some(first);
    }

    fn end(&mut self, name: &str) -> Option<First> {
        let first = self.names.get_mut(name)?.first.take()?;
        self.count_out(first.attempt().address);
        Some(first)
    }

    fn count_in(&mut self, attempt: &Attempt) {
        self.count += 1;
        *self.networks.entry(Network::of(attempt.address)).or_default() += 1;
    }

    fn count_out(&mut self, address: IpAddr) {
        self.count -= 1;
        let network = Network::of(address);
        if let Some(from_there) = self.networks.get_mut(&network) {
            *from_there -= 1;
            if *from_there == 0 {
                self.networks.remove(&network);
            }
        }
    }

    fn queue(&mut self, name: &str) -> &mut Queue {
        self.names.entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::HashCost;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const NAMES: [&str; 2] = ["yoda", "luke"];

    #[derive(Clone, Debug)]
    enum Op {
        Wait,
        Check,
        Checked { again: bool, block: bool },
        Blocked,
        Abandon { connection: u64 },
    }

    fn op() -> impl Strategy<Value = (usize, Op)> {
        let op = prop_oneof![
            4 => Just(Op::Wait),
            3 => Just(Op::Check),
            3 => (prop::bool::weighted(0.2), any::<bool>()).prop_map(|(again, block)| Op::Checked { again, block }),
            2 => Just(Op::Blocked),
            1 => (0u64..30).prop_map(|connection| Op::Abandon { connection }),
        ];
        (0..NAMES.len(), op)
    }

    fn attempt(connection: u64) -> Attempt {
        Attempt {
            connection: ConnectionId(connection),
            request: RequestId(1),
            // Two computers.
            address: Ipv4Addr::new(192, 0, 2, (connection % 2) as u8).into(),
            udp_port: 1,
            password: Password("guess".into()),
        }
    }

    /// The tries of one name, by their connections.
    #[derive(Debug, Default)]
    struct Model {
        waiting: VecDeque<u64>,
        checking: Option<(CheckId, u64)>,
        blocking: Option<u64>,
    }

    impl Model {
        fn connections(&self) -> impl Iterator<Item = u64> {
            let checking = self.checking.map(|(_, connection)| connection);
            self.waiting.iter().copied().chain(checking).chain(self.blocking)
        }

        fn len(&self) -> usize {
            self.waiting.len() + usize::from(self.checking.is_some()) + usize::from(self.blocking.is_some())
        }
    }

    proptest! {
        /// The model is one queue for each name, with at most one try at its head.
        #[test]
        fn it_is_a_queue_for_each_name_and_one_at_a_time(ops in prop::collection::vec(op(), 0..100)) {
            let against = PasswordHash::new(&Password("right".into()), [1; 16], HashCost::Trivial);
            let (mut attempts, mut model) = (Attempts::default(), [Model::default(), Model::default()]);
            for (connection, (who, op)) in (0..).zip(ops) {
                let (name, it) = (NAMES[who], &mut model[who]);
                match op {
                    Op::Wait => {
                        attempts.wait(name, attempt(connection));
                        it.waiting.push_back(connection);
                    }
                    Op::Check => {
                        let busy = it.checking.is_some() || it.blocking.is_some();
                        let expected = if busy { None } else { it.waiting.pop_front() };
                        let next = attempts.take_next(name);
                        prop_assert_eq!(next.as_ref().map(|next| next.connection.0), expected);
                        if let Some(next) = next {
                            let connection = next.connection.0;
                            let check = attempts.check(name, next, against.clone());
                            it.checking = Some((check, connection));
                        }
                    }
                    Op::Checked { again, block } => {
                        let Some((check, connection)) = it.checking.take() else { continue };
                        let checked = attempts.checked(check);
                        let (whose, attempt, hash) = checked.expect("this check is under way");
                        prop_assert_eq!((whose.as_str(), attempt.connection.0, &hash), (name, connection, &against));
                        prop_assert!(attempts.checked(check).is_none(), "a check ends once");
                        if again {
                            attempts.wait_first(name, attempt);
                            it.waiting.push_front(connection);
                        } else if block {
                            attempts.block(name, attempt);
                            it.blocking = Some(connection);
                        }
                    }
                    Op::Blocked => {
                        let blocked = attempts.blocked(name).map(|attempt| attempt.connection.0);
                        prop_assert_eq!(blocked, it.blocking.take());
                    }
                    Op::Abandon { connection } => {
                        attempts.abandon(name, ConnectionId(connection));
                        it.waiting.retain(|waiting| *waiting != connection);
                    }
                }
                prop_assert_eq!(attempts.count, model.iter().map(Model::len).sum::<usize>());
                let all = || model.iter().flat_map(Model::connections);
                for parity in 0..2 {
                    let address = attempt(parity).address;
                    let from_there = all().filter(|connection| connection % 2 == parity).count();
                    prop_assert_eq!(attempts.networks.get(&Network::of(address)).copied().unwrap_or(0), from_there);
                    prop_assert!(!attempts.is_full_for(address));
                }
            }
        }
    }

    #[test]
    fn there_are_no_more_than_the_limit_and_what_ends_makes_room() {
        let mut attempts = Attempts::default();
        let elsewhere = Ipv4Addr::new(198, 51, 100, 1).into();
        for connection in 0..MAX_PASSWORD_CHECKS as u64 {
            assert!(!attempts.is_full_for(attempt(connection).address) && !attempts.is_full_for(elsewhere));
            attempts.wait("yoda", attempt(connection));
        }
        assert!(attempts.is_full_for(elsewhere));
        attempts.abandon("yoda", ConnectionId(7));
        assert!(!attempts.is_full_for(elsewhere) && !attempts.is_full_for(attempt(7).address));
        assert!(attempts.is_full_for(attempt(8).address), "one computer has its half");
    }
}
