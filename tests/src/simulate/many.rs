//! Many runs, several at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::run::Outcome;

/// Which seeds to run.
#[derive(Clone, Copy)]
pub struct Seeds<'a> {
    /// The first one.
    pub from: u64,
    /// One more than the last one.
    pub to: u64,
    /// Whether another one may begin.
    pub more: &'a (dyn Fn() -> bool + Sync),
}

/// A run that is done.
#[derive(Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took.
    pub busy: Duration,
}

/// Runs all seeds, so many at once, and gives each to `done` on this thread, in the order in which they end.
pub fn many(seeds: Seeds<'_>, jobs: usize, run: &(dyn Fn(u64) -> Outcome + Sync), mut done: impl FnMut(Run)) {
    let next = AtomicU64::new(seeds.from);
    let (report, reports) = channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (report, next) = (report.clone(), &next);
            scope.spawn(move || {
                while (seeds.more)() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.to {
                        return;
                    }
                    let start = Instant::now();
                    let outcome = run(seed);
                    // Whoever listens is there until the end.
                    let _ = report.send(Run { seed, outcome, busy: start.elapsed() });
                }
            });
        }
        drop(report);
        reports.iter().for_each(&mut done);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Plan;

    #[test]
    fn results_do_not_depend_on_the_number_of_jobs() {
        let outcomes = |jobs| {
            let mut all = Vec::new();
            let seeds = Seeds { from: 0, to: 12, more: &|| true };
            many(seeds, jobs, &|seed| crate::simulate::run(&Plan::from_seed(seed)), |run| {
                all.push((run.seed, run.outcome))
            });
            all.sort_by_key(|(seed, _)| *seed);
            all
        };
        let alone = outcomes(1);
        assert_eq!(alone.len(), 12);
        assert_eq!(outcomes(3), alone);
    }
}
