//! A plan that breaks an invariant, made smaller for as long as it breaks the same one.

use core::time::Duration;

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
    /// Whether it was ended before nothing more could go.
    pub cut_short: bool,
}

/// Makes a plan that breaks something smaller, for as long as `go_on` says so before each run: choices go first, in
/// chunks and then one by one, then people and files; what is left of the world is made calm, times shorter and
/// files smaller. All that is repeated until nothing more can go. `run` carries out a plan.
pub fn shrink(
    plan: &Plan,
    outcome: &Outcome,
    go_on: &dyn Fn(&Shrunk) -> bool,
    run: &dyn Fn(&Plan) -> Outcome,
) -> Option<Shrunk> {
    let broken = outcome.broken.clone()?;
    let latest = outcome.latest.clone();
    let shrunk = Shrunk { plan: plan.clone(), broken, latest, tries: 0, cut_short: false };
    let mut shrinker = Shrinker { shrunk, go_on, run };
    loop {
        let before = shrinker.shrunk.plan.clone();
        shrinker.delete_choices();
        for simpler in [simpler::people, simpler::files, simpler::world, simpler::choices] {
            shrinker.simplify(simpler);
        }
        if shrinker.shrunk.plan == before || shrinker.shrunk.cut_short {
            return Some(shrinker.shrunk);
        }
    }
}

struct Shrinker<'a> {
    shrunk: Shrunk,
    go_on: &'a dyn Fn(&Shrunk) -> bool,
    run: &'a dyn Fn(&Plan) -> Outcome,
}

impl Shrinker<'_> {
    /// Takes `plan` if it breaks the same.
    fn take(&mut self, plan: Plan) -> bool {
        if self.shrunk.cut_short || plan == self.shrunk.plan {
            return false;
        }
        if !(self.go_on)(&self.shrunk) {
            self.shrunk.cut_short = true;
            return false;
        }
        self.shrunk.tries += 1;
        let outcome = (self.run)(&plan);
        let Some(broken) = outcome.broken.filter(|broken| same(broken, &self.shrunk.broken)) else { return false };
        let tries = self.shrunk.tries;
        self.shrunk = Shrunk { plan, broken, latest: outcome.latest, tries, cut_short: false };
        true
    }

    /// Deletes halves of the choices, then quarters, and so on (Zeller's delta debugging). What matters of a choice
    /// may be only that time passes before it: then the next one comes as much later.
    fn delete_choices(&mut self) {
        let mut size = self.shrunk.plan.choices.len().div_ceil(2);
        while size > 0 {
            let mut end = self.shrunk.plan.choices.len();
            // From the end: what comes late depends on what came before.
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut plan = self.shrunk.plan.clone();
                let pause: Duration = plan.choices.drain(start..end).map(|choice| choice.after).sum();
                let mut later = plan.clone();
                if let Some(next) = later.choices.get_mut(start) {
                    next.after += pause;
                }
                if !self.take(plan) {
                    self.take(later);
                }
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
            if self.shrunk.cut_short {
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
    use crate::simulate::act::Act;
    use crate::simulate::plan::{Choice, What};
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
            let shrunk = shrink(&plan, &run(&plan), &|_| true, &run).expect("something broke");
            // Two people come, and one of them builds a room.
            assert_eq!((shrunk.plan.people.len(), shrunk.plan.files.len()), (2, 0));
            assert!(shrunk.plan.choices.len() <= 3, "{}", shrunk.plan.to_json());
            assert!(breaks(&shrunk.plan) && shrunk.broken.invariant == invariant);
            let small = shrink(&shrunk.plan, &run(&shrunk.plan), &|_| true, &run).expect("something broke");
            assert_eq!(small.plan, shrunk.plan, "nothing more can go");
        }
    }

    /// A run of no world: it breaks something if `breaks` says so of its choices.
    fn breaks_if(breaks: impl Fn(&[Choice]) -> bool) -> impl Fn(&Plan) -> Outcome {
        let calm = run_watched(&Plan { choices: Vec::new(), ..Plan::from_seed(0) }, Vec::new());
        move |plan| {
            let broken = Broken { invariant: "test", what: String::new() };
            Outcome { broken: breaks(&plan.choices).then_some(broken), ..calm.clone() }
        }
    }

    /// A plan of these choices, each so many seconds after the one before it.
    fn plan_of(choices: impl IntoIterator<Item = (u64, Act)>) -> Plan {
        let choice = |(after, act)| Choice { after: Duration::from_secs(after), what: What::Act { person: 0, act } };
        Plan { choices: choices.into_iter().map(choice).collect(), ..Plan::from_seed(0) }
    }

    /// When the first act of this kind comes.
    fn time_of(choices: &[Choice], wanted: &Act) -> Option<Duration> {
        let place = choices.iter().position(|it| matches!(&it.what, What::Act { act, .. } if act == wanted))?;
        Some(choices[..=place].iter().map(|choice| choice.after).sum())
    }

    fn acts(plan: &Plan) -> Vec<(u64, &Act)> {
        fn act(choice: &Choice) -> (u64, &Act) {
            let What::Act { act, .. } = &choice.what else { unreachable!("only acts") };
            (choice.after.as_secs(), act)
        }
        plan.choices.iter().map(act).collect()
    }

    #[test]
    fn what_matters_only_for_its_pause_goes_and_leaves_the_pause() {
        let plan = plan_of((0..26).map(|_| (5, Act::Rooms)).chain([(5, Act::Transfers)]));
        let run = breaks_if(|choices| time_of(choices, &Act::Transfers) >= Some(Duration::from_secs(60)));
        let shrunk = shrink(&plan, &run(&plan), &|_| true, &run).expect("something broke").plan;
        assert!(matches!(acts(&shrunk)[..], [(60..=70, Act::Transfers)]), "{}", shrunk.to_json());
    }

    #[test]
    fn pauses_of_choices_that_must_stay_are_merged() {
        let plan = plan_of([(10, Act::Rooms), (10, Act::ActiveUsers), (10, Act::Transfers)]);
        let run = breaks_if(|choices| {
            let late = time_of(choices, &Act::Transfers) >= Some(Duration::from_secs(30));
            late && time_of(choices, &Act::Rooms).is_some() && time_of(choices, &Act::ActiveUsers).is_some()
        });
        let shrunk = shrink(&plan, &run(&plan), &|_| true, &run).expect("something broke").plan;
        assert_eq!(acts(&shrunk), [(0, &Act::Rooms), (0, &Act::ActiveUsers), (30, &Act::Transfers)]);
    }

    #[test]
    fn shrinking_ends_when_it_is_told_to_and_says_so() {
        let plan = plan_of((0..26).map(|_| (5, Act::Rooms)));
        let run = breaks_if(|choices| choices.len() > 1);
        let shrunk = |most| shrink(&plan, &run(&plan), &|so_far| so_far.tries < most, &run).expect("something broke");
        assert_eq!((shrunk(3).tries, shrunk(3).cut_short), (3, true));
        assert_eq!((shrunk(usize::MAX).plan.choices.len(), shrunk(usize::MAX).cut_short), (2, false));
    }

    #[test]
    fn what_breaks_nothing_is_not_shrunk() {
        let run = |plan: &Plan| run_watched(plan, Vec::new());
        let plan = Plan::from_seed(0);
        assert!(shrink(&plan, &run(&plan), &|_| true, &run).is_none());
    }
}
