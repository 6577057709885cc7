//! Determinism of the log: the same facts always give the same conference.

use std::collections::VecDeque;

use toom_core::machine::Machine;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::fact::Committed;
use toom_core::server::io::Input;
use toom_core::server::{Server, Settings};

use super::{Broken, Checker, Moment, Observation, ensure};

/// The server has come to the conference that the log says, at every moment of a run and after every start.
pub const SAME_STATE: &str = "determinism: replaying the log gives the same state";
/// The server hears what is durable: each fact once, in the order of the log.
pub const LOG_ORDER: &str = "determinism: the server hears every fact once, in the order of the log";
/// A server that starts finds everything in the log that was durable before.
pub const LOG_KEPT: &str = "determinism: what was durable is in the log, at its place";

/// The whole conference is compared every so many inputs, and whenever the server starts or ends.
const COMPARE_EVERY: u64 = 16;

/// A second server that hears nothing but the log, over all runs of the first one.
#[derive(Debug)]
pub struct Replay {
    twin: Server,
    /// How many facts the twin has heard.
    heard: u64,
    /// Durable, and not heard by the server of this run.
    under_way: VecDeque<Committed>,
    /// Inputs that were handled since the whole conference was compared.
    since_compared: u64,
    /// Whether the server has read its log.
    recovered: bool,
}

impl Default for Replay {
    fn default() -> Self {
        let decoy = PasswordHash::new(&Password("twin".into()), [2; 16], HashCost::Trivial);
        let settings = Settings::default();
        let twin = Server::new(settings, decoy, [0; 32]);
        Replay { twin, heard: 0, under_way: VecDeque::new(), since_compared: 0, recovered: false }
    }
}

impl Replay {
    fn replay(&mut self, at: Moment, committed: &Committed) {
        let committed = Committed { ticket: None, ..committed.clone() };
        self.twin.handle(at.now, Input::Recovered { committed: &committed, wall: at.wall }, &mut Vec::new());
        self.heard = committed.index.0;
    }

    /// The twin hears what the server that ended did not.
    fn starts(&mut self, at: Moment, log: &[Committed]) -> Result<(), Broken> {
        self.recovered = false;
        let rest = usize::try_from(self.heard).ok().and_then(|heard| log.get(heard..));
        ensure(rest.is_some(), LOG_KEPT, || format!("{} facts of {} are left", log.len(), self.heard))?;
        for committed in rest.unwrap_or_default() {
            let Committed { index, fact, .. } = committed;
            if let Some(durable) = self.under_way.pop_front() {
                let kept = (durable.index, &durable.fact) == (*index, fact);
                ensure(kept, LOG_KEPT, || format!("{durable:?} was durable, and now there is {committed:?}"))?;
            }
            self.replay(at, committed);
        }
        ensure(self.under_way.is_empty(), LOG_KEPT, || format!("{:?} is missing", self.under_way))
    }

    fn hears(&mut self, at: Moment, committed: &Committed) -> Result<(), Broken> {
        let next = self.under_way.pop_front();
        let in_order = next.as_ref() == Some(committed) && committed.index.0 == self.heard + 1;
        ensure(in_order, LOG_ORDER, || format!("it heard {committed:?} after fact {}; next was {next:?}", self.heard))?;
        self.replay(at, committed);
        Ok(())
    }

    fn compare(&mut self, server: &Server, when: &str) -> Result<(), Broken> {
        (self.since_compared, self.recovered) = (0, true);
        let same = self.twin.same_conference(server);
        ensure(same, SAME_STATE, || format!("{when} it is not what {} facts say", self.heard))
    }
}

impl Checker for Replay {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerStarts { log, .. } => self.starts(at, log),
            Observation::ServerRecovered(server) => self.compare(server, "after the start"),
            Observation::Durable(committed) => {
                self.under_way.push_back((*committed).clone());
                Ok(())
            }
            Observation::ServerHears(Input::Committed { committed, .. }) => self.hears(at, committed),
            Observation::ServerHandled(server) if self.recovered => {
                self.since_compared += 1;
                if self.since_compared < COMPARE_EVERY {
                    return Ok(());
                }
                self.compare(server, "in the middle of the run")
            }
            Observation::ServerEnds(server) if self.recovered => self.compare(server, "at the end"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::steps::{hash_of, user};
    use toom_core::id::LogIndex;
    use toom_core::server::fact::Fact;
    use toom_core::time::{Instant, Timestamp};

    const AT: Moment = Moment { now: Instant::ZERO, wall: Timestamp::from_millis(1) };

    /// An account, as the fact at a place of the log.
    fn account(index: u64) -> Committed {
        let name = user(&format!("user{index}"));
        Committed { index: LogIndex(index), ticket: None, fact: Fact::AccountAdded { name, hash: hash_of("x") } }
    }

    /// A server that was told these.
    fn server(facts: &[Committed]) -> Server {
        let mut server = Replay::default().twin;
        for committed in facts {
            server.handle(AT.now, Input::Recovered { committed, wall: AT.wall }, &mut Vec::new());
        }
        server
    }

    /// A run that starts on a log, and comes to the conference of `recovered`.
    fn start(checker: &mut Replay, log: &[Committed], recovered: &[Committed]) -> Result<(), Broken> {
        let settings =
            Settings { block: core::time::Duration::ZERO, grace: core::time::Duration::ZERO, ..Settings::default() };
        checker.observe(AT, &Observation::ServerStarts { settings, log })?;
        checker.observe(AT, &Observation::ServerRecovered(&server(recovered)))
    }

    fn durable(checker: &mut Replay, committed: &Committed) {
        checker.observe(AT, &Observation::Durable(committed)).expect("always");
    }

    fn heard(checker: &mut Replay, committed: &Committed) -> Result<(), Broken> {
        let input = Input::Committed { committed: committed.clone(), wall: AT.wall };
        checker.observe(AT, &Observation::ServerHears(&input))
    }

    fn ends(checker: &mut Replay, applied: &[Committed]) -> Result<(), Broken> {
        checker.observe(AT, &Observation::ServerEnds(&server(applied)))
    }

    fn invariant(result: Result<(), Broken>) -> Option<&'static str> {
        result.err().map(|broken| broken.invariant)
    }

    #[test]
    fn a_server_that_comes_to_another_conference_is_found() {
        let log = [1, 2, 3].map(account);
        let mut checker = Replay::default();
        assert_eq!(invariant(start(&mut checker, &log[..1], &log[..1])), None);
        durable(&mut checker, &log[1]);
        assert_eq!(invariant(heard(&mut checker, &log[1])), None);
        durable(&mut checker, &log[2]);
        assert_eq!(invariant(ends(&mut checker, &log[..1])), Some(SAME_STATE), "it applied less than it heard");
        assert_eq!(invariant(ends(&mut checker, &log[..2])), None, "it never heard of the third");
        assert_eq!(invariant(start(&mut checker, &log, &log[..2])), Some(SAME_STATE));
        let more = [1, 2, 3, 4].map(account);
        assert_eq!(invariant(start(&mut checker, &more, &more)), None, "one more was on the disk");
    }

    #[test]
    fn facts_that_come_out_of_order_twice_or_from_nowhere_are_found() {
        for (told, broken) in [(1, None), (2, Some(LOG_ORDER)), (3, Some(LOG_ORDER))] {
            let mut checker = Replay::default();
            [1, 2].iter().for_each(|index| durable(&mut checker, &account(*index)));
            assert_eq!(invariant(heard(&mut checker, &account(told))), broken);
        }
        let mut checker = Replay::default();
        durable(&mut checker, &account(1));
        assert_eq!(invariant(heard(&mut checker, &account(1))), None);
        assert_eq!(invariant(heard(&mut checker, &account(1))), Some(LOG_ORDER));
    }

    #[test]
    fn a_log_that_lost_what_was_durable_is_found() {
        let log = [1, 2].map(account);
        let mut checker = Replay::default();
        start(&mut checker, &log[..1], &log[..1]).expect("a good start");
        durable(&mut checker, &log[1]);
        ends(&mut checker, &log[..1]).expect("a good end");
        assert_eq!(invariant(start(&mut checker, &log[..1], &log[..1])), Some(LOG_KEPT));
        let mut other = Replay::default();
        start(&mut other, &log, &log).expect("a good start");
        assert_eq!(invariant(start(&mut other, &log[..1], &log[..1])), Some(LOG_KEPT), "shorter than before");
        let mut changed = Replay::default();
        durable(&mut changed, &log[0]);
        let another = [Committed { index: LogIndex(1), ..account(7) }];
        assert_eq!(invariant(start(&mut changed, &another, &another)), Some(LOG_KEPT));
    }
}
