//! Failures, told to people: each in full, and a smaller one of the same kind.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::run::Outcome;
use super::shrink::{Shrunk, shrink};

/// Failures that are told in full; of the others only one line is told.
const TOLD_IN_FULL: usize = 3;
/// How long one failure is made smaller.
const SHRINKING: Duration = Duration::from_secs(120);

/// A run that broke something.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub plan: Plan,
    /// What it came to.
    pub outcome: Outcome,
}

impl Failure {
    /// In one line.
    pub fn in_one_line(&self) -> String {
        let broken = self.outcome.broken.as_ref().map(ToString::to_string).unwrap_or_default();
        let Plan { options, people, .. } = &self.plan;
        format!("seed {} of {} people broke: {broken}", options.seed, people.len())
    }
}

/// How failures are made smaller.
pub struct Effort<'a> {
    /// Carries out a plan.
    pub run: &'a dyn Fn(&Plan) -> Outcome,
    /// Hears how far it is before each run, and says whether to go on.
    pub go_on: &'a dyn Fn(&Failure, &Shrunk) -> bool,
}

/// Tells all failures; the first one, shrunk, so that nobody needs to do that again.
pub fn report(failures: &[Failure], effort: &Effort<'_>, out: &mut impl Write) -> io::Result<Option<Shrunk>> {
    let mut first = None;
    for (place, failure) in failures.iter().enumerate() {
        if place < TOLD_IN_FULL {
            let shrunk = tell(failure, effort, out)?;
            first = first.or(shrunk);
        } else {
            writeln!(out, "{}", failure.in_one_line())?;
        }
    }
    Ok(first)
}

fn tell(failure: &Failure, effort: &Effort<'_>, out: &mut impl Write) -> io::Result<Option<Shrunk>> {
    let Failure { plan, outcome } = failure;
    writeln!(out, "{}\n\nits plan:\n{}", failure.in_one_line(), plan.to_json())?;
    writeln!(out, "its latest events:\n{}", outcome.latest)?;
    let start = Instant::now();
    let go_on = |so_far: &Shrunk| start.elapsed() < SHRINKING && (effort.go_on)(failure, so_far);
    let Some(shrunk) = shrink(plan, outcome, &go_on, effort.run) else { return Ok(None) };
    let Shrunk { plan, broken, latest, tries, cut_short } = &shrunk;
    if *cut_short {
        let seconds = start.elapsed().as_secs();
        writeln!(out, "shrinking was cut short after {seconds} seconds: it may be smaller still")?;
    }
    writeln!(out, "shrunk by {tries} runs to {} choices, which broke: {broken}\n", plan.choices.len())?;
    writeln!(out, "{}\nits latest events:\n{latest}", plan.to_json())?;
    Ok(Some(shrunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use crate::invariants::Broken;
    use crate::simulate::plan::{Choice, What};
    use crate::simulate::run;

    /// So many plans of ten choices that break something as long as they have three.
    fn failures(count: usize) -> (Vec<Failure>, impl Fn(&Plan) -> Outcome) {
        let calm = run(&Plan { choices: Vec::new(), ..Plan::from_seed(0) });
        let broken = Broken { invariant: "test", what: "three choices".into() };
        let run = move |plan: &Plan| {
            let broken = (plan.choices.len() >= 3).then(|| broken.clone());
            Outcome { broken, ..calm.clone() }
        };
        let choices = vec![Choice { after: Duration::ZERO, what: What::Heal }; 10];
        let failure = |seed| {
            let plan = Plan { choices: choices.clone(), ..Plan::from_seed(seed) };
            Failure { outcome: run(&plan), plan }
        };
        let failures = (0..count as u64).map(failure).collect();
        (failures, run)
    }

    #[test]
    fn the_first_failures_are_shrunk_once_and_the_others_are_one_line_each() {
        let (failures, run) = failures(TOLD_IN_FULL + 2);
        let (runs, heard) = (Cell::new(0), Cell::new(0));
        let counted = |plan: &Plan| {
            runs.set(runs.get() + 1);
            run(plan)
        };
        let go_on = |_: &Failure, _: &Shrunk| {
            heard.set(heard.get() + 1);
            true
        };
        let mut out = Vec::new();
        let first = report(&failures, &Effort { run: &counted, go_on: &go_on }, &mut out).unwrap().expect("a failure");
        let text = String::from_utf8(out).unwrap();
        assert_eq!((first.plan.options.seed, first.plan.choices.len(), first.cut_short), (0, 3, false));
        assert_eq!(heard.get(), runs.get(), "progress is told before each run");
        assert_eq!(text.matches("to 3 choices").count(), TOLD_IN_FULL, "{text}");
        assert_eq!(
            text.lines().filter(|line| line.contains("broke: test: three choices")).count(),
            2 * TOLD_IN_FULL + 2
        );
        assert!(!text.contains("cut short"));
    }

    #[test]
    fn what_was_cut_short_says_so() {
        let (failures, run) = failures(1);
        let mut out = Vec::new();
        let effort = Effort { run: &run, go_on: &|_, so_far| so_far.tries < 2 };
        assert!(report(&failures, &effort, &mut out).unwrap().expect("a failure").cut_short);
        assert!(String::from_utf8(out).unwrap().contains("shrinking was cut short after 0 seconds"));
    }
}
