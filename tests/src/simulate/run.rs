//! One run: the safety phase, in which the plan's choices happen, and then the liveness phase.

use core::time::Duration;

use toom_core::time::Instant;

use super::aim::aimed;
use super::coverage::Coverage;
use super::panics::catch;
use super::plan::{Plan, What};
use super::stage::Stage;
use crate::invariants::{Broken, Checker, every_checker};
use crate::sim::fault::FaultCounts;

/// Whatever arrives in whatever order, no machine gives up.
pub const NO_PANIC: &str = "no machine panics";

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was found broken first, if anything.
    pub broken: Option<Broken>,
    /// A hash of everything that crossed the network, times and bytes included.
    pub digest: String,
    /// How much time passed in the world.
    pub time: Duration,
    /// How many people there were.
    pub people: usize,
    /// How many steps it took.
    pub events: u64,
    /// What it covered.
    pub coverage: Coverage,
    /// What really went wrong.
    pub faults: FaultCounts,
    /// The latest events, for people.
    pub latest: String,
}

/// Carries out a plan, watched by every checker.
pub fn run(plan: &Plan) -> Outcome {
    run_watched(plan, Vec::new())
}

/// Carries out a plan, watched by every checker and by these.
pub fn run_watched(plan: &Plan, others: Vec<Box<dyn Checker>>) -> Outcome {
    let mut checkers = others;
    checkers.extend(every_checker());
    let mut stage = match catch(|| Stage::new(plan, checkers)) {
        Ok(stage) => stage,
        Err(what) => panic!("a world could not be made: {what}"),
    };
    let broken = match catch(|| stage.play(plan)) {
        Ok(played) => played.err(),
        Err(what) => Some(Broken { invariant: NO_PANIC, what }),
    };
    let coverage = core::mem::take(&mut stage.heard.borrow_mut().coverage);
    let (_, digest) = stage.simulation.trace().digest();
    Outcome {
        broken,
        digest: digest.map(|byte| format!("{byte:02x}")).concat(),
        time: stage.simulation.now() - Instant::ZERO,
        people: stage.people.len(),
        events: stage.steps(),
        coverage,
        faults: stage.simulation.faults().clone(),
        latest: stage.simulation.trace().latest(),
    }
}

impl Stage {
    /// All of it, up to the first thing that is found broken.
    fn play(&mut self, plan: &Plan) -> Result<(), Broken> {
        self.simulation.start_server(self.settings);
        for choice in &plan.choices {
            self.pass_until(self.simulation.now() + choice.after)?;
            self.happen(&choice.what);
            self.listen();
            self.check()?;
        }
        self.converge()?;
        self.simulation.finish();
        self.check()
    }

    fn happen(&mut self, what: &What) {
        match what {
            What::Act { person, act } => self.perform(*person, act),
            What::Heal => self.simulation.heal(),
            What::Fault(fault) => {
                let client_of = |person: usize| self.people[person % self.people.len()].client;
                if let Some(fault) = aimed(fault, &client_of) {
                    self.simulation.inject(&fault);
                }
            }
        }
    }
}
