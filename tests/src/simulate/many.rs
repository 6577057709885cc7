//! Many runs, several at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

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
    /// How much processor time it took.
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
                    // Never beyond the end, or it would wrap around and begin anew.
                    let another = |seed: u64| (seed < seeds.to).then(|| seed + 1);
                    let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another) else { return };
                    let (outcome, busy) = timed(|| run(seed));
                    // Whoever listens is there until the end.
                    let _ = report.send(Run { seed, outcome, busy });
                }
            });
        }
        drop(report);
        reports.iter().for_each(&mut done);
    });
}

/// Does something, and measures the processor time of this thread: on a busy machine that is less than the time
/// that passes.
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let before = used();
    let result = act();
    (result, used().saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Plan;

    #[test]
    fn the_last_seeds_of_all_are_run_once_each() {
        let asked = AtomicU64::new(0);
        // A counter that wraps around would ask for ever.
        let more = || asked.fetch_add(1, Ordering::Relaxed) < 1_000;
        let seeds = Seeds { from: u64::MAX - 3, to: u64::MAX, more: &more };
        let mut ran = Vec::new();
        let outcome = crate::simulate::run(&Plan::from_seed(u64::MAX));
        many(seeds, 2, &|_| outcome.clone(), |run| ran.push(run.seed));
        ran.sort_unstable();
        assert_eq!(ran, [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1]);
    }

    #[test]
    fn waiting_takes_no_processor_time() {
        let start = std::time::Instant::now();
        let (waited, busy) = timed(|| {
            while start.elapsed() < Duration::from_millis(20) {
                thread::park_timeout(Duration::from_millis(20));
            }
            start.elapsed()
        });
        assert!(busy < waited, "{busy:?} of {waited:?}");
        // It works until another stopwatch has run for a while.
        let work = || {
            core::hint::black_box((0..10_000u64).map(core::hint::black_box).sum::<u64>());
        };
        let ((), busy) = timed(|| while timed(work).1.is_zero() {});
        assert!(!busy.is_zero());
    }

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
