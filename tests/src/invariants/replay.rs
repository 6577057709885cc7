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

/// The whole conference is compared every so many facts, and whenever the server starts or ends.
const COMPARE_EVERY: u64 = 16;

/// A second server that hears nothing but the log, over all runs of the first one.
#[derive(Debug)]
pub struct Replay {
    twin: Server,
    /// How many facts the twin has heard.
    heard: u64,
    /// Durable, and not heard by the server of this run.
    under_way: VecDeque<Committed>,
    /// Facts that were heard since the whole conference was compared.
    since_compared: u64,
    /// Whether the server has read its log.
    recovered: bool,
}

impl Default for Replay {
    fn default() -> Self {
        let decoy = PasswordHash::new(&Password("twin".into()), [2; 16], HashCost::Trivial);
        let settings = Settings { attempts: 3, block: core::time::Duration::from_secs(10) };
        let twin = Server::new(settings, decoy, [0; 32]);
        Replay { twin, heard: 0, under_way: VecDeque::new(), since_compared: 0, recovered: false }
    }
}

impl Replay {
    fn replay(&mut self, at: Moment, committed: &Committed) {
        let committed = Committed { ticket: None, ..committed.clone() };
        self.twin.handle(at.now, Input::Recovered { committed: &committed, wall: at.wall }, &mut Vec::new());
        self.heard = committed.index.0;
        self.since_compared += 1;
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
            Observation::ServerHandled(server) if self.recovered && self.since_compared >= COMPARE_EVERY => {
                self.compare(server, "in the middle of the run")
            }
            Observation::ServerEnds(server) if self.recovered => self.compare(server, "at the end"),
            _ => Ok(()),
        }
    }
}
