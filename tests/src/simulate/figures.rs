//! What many runs came to.

use core::fmt;
use core::time::Duration;

use super::coverage::{Coverage, add};
use super::run::Outcome;
use crate::sim::fault::{FaultCounts, FaultKind};

/// The sum of many runs. It does not depend on their order.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many.
    pub runs: u64,
    /// How many broke something.
    pub failures: u64,
    /// Virtual time.
    pub time: Duration,
    /// Virtual time and processor time of the runs that are always the same, with ten clients.
    pub ten_clients: (Duration, Duration),
    /// Steps.
    pub events: u64,
    /// What they covered.
    pub coverage: Coverage,
    /// What really went wrong in them.
    pub faults: FaultCounts,
    /// Processor time: that of all runs, one after the other.
    pub busy: Duration,
}

impl Figures {
    /// Counts a run that took so long.
    pub fn add(&mut self, outcome: &Outcome, busy: Duration) {
        self.runs += 1;
        self.failures += u64::from(outcome.broken.is_some());
        self.time += outcome.time;
        self.events += outcome.events;
        self.coverage.add(&outcome.coverage);
        add(&mut self.faults, &outcome.faults);
        self.busy += busy;
    }

    /// Counts one of the runs with ten clients, which are no part of the others.
    pub fn add_ten_clients(&mut self, outcome: &Outcome, busy: Duration) {
        self.failures += u64::from(outcome.broken.is_some());
        self.ten_clients.0 += outcome.time;
        self.ten_clients.1 += busy;
    }

    /// The kinds of messages that were never seen, with their category.
    pub fn unseen_kinds(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        for (title, all, counts) in self.coverage.categories() {
            let never = all.iter().filter(|kind| !counts.contains_key(*kind));
            unseen.extend(never.map(|kind| format!("{title}: {kind}")));
        }
        unseen
    }

    /// The kinds of faults that never happened to anybody.
    pub fn unseen_faults(&self) -> Vec<FaultKind> {
        FaultKind::ALL.iter().copied().filter(|kind| !self.faults.contains_key(kind)).collect()
    }

    /// How many hours passed in all worlds together.
    pub fn hours(&self) -> f64 {
        self.time.as_secs_f64() / 3_600.0
    }

    /// Events for each second of processor time.
    pub fn events_a_second(&self) -> f64 {
        self.events as f64 / self.busy.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let busy = self.busy.as_secs_f64().max(1e-9);
        let runs = self.runs.max(1) as f64;
        writeln!(f, "{:<28}{:>14}", "runs", self.runs)?;
        writeln!(f, "{:<28}{:>14}", "of them broke something", self.failures)?;
        writeln!(f, "{:<28}{:>14.1}", "virtual hours", self.hours())?;
        writeln!(f, "{:<28}{:>14}", "events", self.events)?;
        writeln!(f, "{:<28}{:>14.1}", "processor seconds", busy)?;
        writeln!(f, "{:<28}{:>14.1}", "milliseconds a run", 1_000.0 * busy / runs)?;
        writeln!(f, "{:<28}{:>14.0}", "events a second", self.events_a_second())?;
        writeln!(f, "{:<28}{:>14.0}", "times faster than real time", self.time.as_secs_f64() / busy)?;
        let (time, busy) = self.ten_clients;
        if !busy.is_zero() {
            let times = time.as_secs_f64() / busy.as_secs_f64();
            writeln!(f, "{:<28}{:>14.0}", "  measured with ten clients", times)?;
        }
        writeln!(f, "\nfaults that happened")?;
        for kind in FaultKind::ALL {
            if let Some(count) = self.faults.get(kind) {
                writeln!(f, "  {:<26}{count:>14}", format!("{kind:?}"))?;
            }
        }
        never(f, self.unseen_faults().iter().map(|kind| format!("{kind:?}")).collect())?;
        for (title, all, counts) in self.coverage.categories() {
            writeln!(
                f,
                "\n{title}: {} of {} kinds",
                all.iter().filter(|kind| counts.contains_key(*kind)).count(),
                all.len()
            )?;
            for kind in all.iter() {
                if let Some(count) = counts.get(kind) {
                    writeln!(f, "  {kind:<34}{count:>6}")?;
                }
            }
            never(f, all.iter().filter(|kind| !counts.contains_key(*kind)).map(|kind| (*kind).to_owned()).collect())?;
        }
        Ok(())
    }
}

fn never(f: &mut fmt::Formatter<'_>, kinds: Vec<String>) -> fmt::Result {
    if kinds.is_empty() { Ok(()) } else { writeln!(f, "  never seen: {}", kinds.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Plan, run};

    #[test]
    fn the_figure_of_ten_clients_is_measured_and_not_of_other_runs() {
        let outcome = run(&Plan { choices: Vec::new(), ..Plan::from_seed(0) });
        let outcome = Outcome { time: Duration::from_secs(1_000), ..outcome };
        let mut figures = Figures::default();
        figures.add(&outcome, Duration::from_secs(10));
        assert!(!figures.to_string().contains("ten clients"), "none of them ran");
        for _ in 0..2 {
            figures.add_ten_clients(&outcome, Duration::from_millis(500));
        }
        let text = figures.to_string();
        let ten = text.lines().find(|line| line.contains("ten clients")).expect("the figure");
        assert_eq!((ten.split_whitespace().last(), figures.runs), (Some("2000"), 1), "{text}");
    }
}
