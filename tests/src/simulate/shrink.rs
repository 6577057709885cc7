//! A plan that breaks an invariant, made smaller for as long as it breaks the same one.

use super::plan::Plan;
use super::run::{NO_PANIC, Outcome, run};
use super::simpler;
use crate::invariants::Broken;

/// A smaller plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It.
    pub plan: Plan,
    /// What it breaks.
    pub broken: Broken,
    /// The latest events of its run.
    pub latest: String,
    /// How many runs it took.
    pub tries: usize,
}

/// Makes a plan that breaks `broken` smaller, by at most so many runs: choices go first, in chunks and then one by
/// one, then people and files; what is left of the world is made calm, times shorter and files smaller.
pub fn shrink(plan: &Plan, outcome: &Outcome, most_tries: usize) -> Option<Shrunk> {
    let broken = outcome.broken.clone()?;
    let latest = outcome.latest.clone();
    let mut shrinker = Shrinker { shrunk: Shrunk { plan: plan.clone(), broken, latest, tries: 0 }, most_tries };
    loop {
        let before = shrinker.shrunk.plan.clone();
        shrinker.delete_choices();
        for simpler in [simpler::people, simpler::files, simpler::world, simpler::choices] {
            shrinker.simplify(simpler);
        }
        if shrinker.shrunk.plan == before || shrinker.is_tired() {
            return Some(shrinker.shrunk);
        }
    }
}

struct Shrinker {
    shrunk: Shrunk,
    most_tries: usize,
}

impl Shrinker {
    fn is_tired(&self) -> bool {
        self.shrunk.tries >= self.most_tries
    }

    /// Takes `plan` if it breaks the same.
    fn take(&mut self, plan: Plan) -> bool {
        if self.is_tired() || plan == self.shrunk.plan {
            return false;
        }
        self.shrunk.tries += 1;
        let outcome = run(&plan);
        let Some(broken) = outcome.broken.filter(|broken| same(broken, &self.shrunk.broken)) else { return false };
        let tries = self.shrunk.tries;
        self.shrunk = Shrunk { plan, broken, latest: outcome.latest, tries };
        true
    }

    /// Deletes halves of the choices, then quarters, and so on (Zeller's delta debugging).
    fn delete_choices(&mut self) {
        let mut size = self.shrunk.plan.choices.len().div_ceil(2);
        while size > 0 {
            let mut end = self.shrunk.plan.choices.len();
            // From the end: what comes late depends on what came before.
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut plan = self.shrunk.plan.clone();
                plan.choices.drain(start..end);
                self.take(plan);
                end = start;
            }
            size /= 2;
        }
    }

    /// Takes simpler plans until none is left that breaks the same.
    fn simplify(&mut self, simpler: impl Fn(&Plan) -> Vec<Plan>) {
        let mut place = 0;
        while let Some(plan) = simpler(&self.shrunk.plan).into_iter().nth(place) {
            if !self.take(plan) {
                place += 1;
            }
            if self.is_tired() {
                return;
            }
        }
    }
}

/// Whether two failures are of the same kind. Panics are, if they come from the same place.
fn same(one: &Broken, other: &Broken) -> bool {
    let place = |broken: &Broken| broken.what.split(": ").next().unwrap_or_default().to_owned();
    one.invariant == other.invariant && (one.invariant != NO_PANIC || place(one) == place(other))
}
