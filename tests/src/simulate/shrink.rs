//! A plan that breaks an invariant, made smaller for as long as it breaks the same one.

use super::plan::Plan;
use super::run::{NO_PANIC, Outcome};
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
/// `run` carries out a plan.
pub fn shrink(plan: &Plan, outcome: &Outcome, most_tries: usize, run: &dyn Fn(&Plan) -> Outcome) -> Option<Shrunk> {
    let broken = outcome.broken.clone()?;
    let latest = outcome.latest.clone();
    let shrunk = Shrunk { plan: plan.clone(), broken, latest, tries: 0 };
    let mut shrinker = Shrinker { shrunk, most_tries, run };
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

struct Shrinker<'a> {
    shrunk: Shrunk,
    most_tries: usize,
    run: &'a dyn Fn(&Plan) -> Outcome,
}

impl Shrinker<'_> {
    fn is_tired(&self) -> bool {
        self.shrunk.tries >= self.most_tries
    }

    /// Takes `plan` if it breaks the same.
    fn take(&mut self, plan: Plan) -> bool {
        if self.is_tired() || plan == self.shrunk.plan {
            return false;
        }
        self.shrunk.tries += 1;
        let outcome = (self.run)(&plan);
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

#[cfg(test)]
mod tests {
    use toom_core::server::fact::Fact;

    use super::*;
    use crate::invariants::{Checker, Moment, Observation, ensure};
    use crate::simulate::run::run_watched;

    /// Finds every room wrong, in words or with a panic.
    #[derive(Debug)]
    struct NoRooms {
        panics: bool,
    }

    const NO_ROOMS: &str = "test: there is no room";

    impl Checker for NoRooms {
        fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
            let Observation::Durable(committed) = what else { return Ok(()) };
            let room = matches!(committed.fact, Fact::RoomBuilt { .. });
            assert!(!room || !self.panics, "a room");
            ensure(!room, NO_ROOMS, || "a room was built".into())
        }
    }

    #[test]
    fn what_breaks_is_made_as_small_as_can_be() {
        for (panics, invariant) in [(false, NO_ROOMS), (true, NO_PANIC)] {
            let run = |plan: &Plan| run_watched(plan, vec![Box::new(NoRooms { panics })]);
            let breaks = |plan: &Plan| run(plan).broken.is_some_and(|broken| broken.invariant == invariant);
            let plan = (0..).map(Plan::from_seed).find(breaks).expect("a plan with a room");
            let shrunk = shrink(&plan, &run(&plan), 3_000, &run).expect("something broke");
            // Two people come, and one of them builds a room.
            assert_eq!((shrunk.plan.people.len(), shrunk.plan.files.len()), (2, 0));
            assert!(shrunk.plan.choices.len() <= 3, "{}", shrunk.plan.to_json());
            assert!(breaks(&shrunk.plan) && shrunk.broken.invariant == invariant);
            let small = shrink(&shrunk.plan, &run(&shrunk.plan), 3_000, &run).expect("something broke");
            assert_eq!(small.plan, shrunk.plan, "nothing more can go");
        }
    }

    #[test]
    fn what_breaks_nothing_is_not_shrunk() {
        let run = |plan: &Plan| run_watched(plan, Vec::new());
        let plan = Plan::from_seed(0);
        assert!(shrink(&plan, &run(&plan), 10, &run).is_none());
    }
}
