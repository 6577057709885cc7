//! Runs random conferences in virtual time, and tells what breaks.
//!
//! `cargo run --release -p toom-tests --bin simulate -- --minutes 5`

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Parser;
use toom_tests::simulate::figures::Figures;
use toom_tests::simulate::many::{Run, Seeds, many};
use toom_tests::simulate::narrator::Narrator;
use toom_tests::simulate::regressions::{self, Regression};
use toom_tests::simulate::run::run_watched;
use toom_tests::simulate::shrink::{Shrunk, shrink};
use toom_tests::simulate::{Outcome, Plan, run};

/// Prints a line. Whoever has stopped reading has what they wanted, and learns the rest from the exit code.
macro_rules! say {
    ($($what:tt)*) => {{ let _ = writeln!(stdout(), $($what)*); }};
}

/// Runs for shrinking one failure.
const MOST_TRIES: usize = 3_000;
/// Failures that are told in full; of the others only their seeds are told.
const TOLD_IN_FULL: usize = 3;

/// Random conferences in virtual time: each seed is one run, the same every time.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Options {
    /// One seed
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes", "plan"])]
    seed: Option<u64>,
    /// All seeds from FROM on and before TO
    #[arg(long, value_name = "FROM..TO", value_parser = range, conflicts_with_all = ["minutes", "plan"])]
    seeds: Option<(u64, u64)>,
    /// As many seeds from 0 on as there is time for
    #[arg(long, value_name = "M", conflicts_with = "plan")]
    minutes: Option<u64>,
    /// A plan, or a kept regression, in a file
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Tells what happens, as it happens
    #[arg(long, short)]
    verbose: bool,
    /// Keeps the first failure, shrunk, as tests/regressions/NAME.json
    #[arg(long, value_name = "NAME")]
    keep: Option<String>,
    /// How many runs at once; as many as there are processors unless said otherwise
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match simulate(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::from(2)
        }
    }
}

/// Does what is asked; how many runs broke something.
fn simulate(options: &Options) -> Result<u64, String> {
    let mut figures = Figures::default();
    let mut failures: Vec<(Plan, Outcome)> = Vec::new();
    if let Some(plan) = one_plan(options)? {
        let start = Instant::now();
        let outcome = one(&plan, options.verbose);
        figures.add(&outcome, start.elapsed());
        say!("the digest of this run is {}", outcome.digest);
        failures.extend(outcome.broken.is_some().then_some((plan, outcome)));
    } else {
        failures = all(options, &mut figures)?;
    }
    for (plan, outcome) in failures.iter().take(TOLD_IN_FULL) {
        tell(plan, outcome);
    }
    for (plan, outcome) in failures.iter().skip(TOLD_IN_FULL) {
        say!("{}", in_one_line(plan.options.seed, outcome));
    }
    if let (Some((plan, outcome)), Some(name)) = (failures.first(), &options.keep) {
        keep(name, plan, outcome)?;
    }
    say!("{figures}");
    Ok(figures.failures)
}

/// The plan, if it is about one.
fn one_plan(options: &Options) -> Result<Option<Plan>, String> {
    match (&options.plan, options.seed) {
        (Some(path), _) => Ok(Some(regressions::read(path)?)),
        (None, Some(seed)) => Ok(Some(Plan::from_seed(seed))),
        (None, None) => Ok(None),
    }
}

fn one(plan: &Plan, verbose: bool) -> Outcome {
    if verbose {
        say!("{}", plan.to_json());
    }
    run_watched(plan, if verbose { vec![Box::new(Narrator)] } else { Vec::new() })
}

/// Runs all seeds that are asked for; those that broke something, in order.
fn all(options: &Options, figures: &mut Figures) -> Result<Vec<(Plan, Outcome)>, String> {
    let start = Instant::now();
    let until = options.minutes.map(|minutes| start + Duration::from_secs(60 * minutes));
    let (from, to) = match (options.seeds, until) {
        (Some(range), _) => range,
        (None, Some(_)) => (0, u64::MAX),
        (None, None) => return Err("say which runs: --seed N, --seeds FROM..TO, --minutes M or --plan FILE".into()),
    };
    let processors = || available_parallelism().map_or(1, usize::from);
    let jobs = if options.verbose { 1 } else { options.jobs.map_or_else(processors, usize::from) };
    let mut failures: Vec<(u64, Outcome)> = Vec::new();
    let mut progress = Progress::new(to - from);
    let verbose = options.verbose;
    let seeds = Seeds { from, to, more: &|| until.is_none_or(|until| Instant::now() < until) };
    many(seeds, jobs, &|seed| one(&Plan::from_seed(seed), verbose), |Run { seed, outcome, busy }| {
        figures.add(&outcome, busy);
        progress.show(figures, start.elapsed());
        if outcome.broken.is_some() {
            progress.clear();
            eprintln!("{}", in_one_line(seed, &outcome));
            failures.push((seed, outcome));
        }
    });
    progress.clear();
    say!("{:<28}{:>14.1}", "seconds", start.elapsed().as_secs_f64());
    failures.sort_by_key(|(seed, _)| *seed);
    Ok(failures.into_iter().map(|(seed, outcome)| (Plan::from_seed(seed), outcome)).collect())
}

fn in_one_line(seed: u64, outcome: &Outcome) -> String {
    let broken = outcome.broken.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("seed {seed} broke: {broken}")
}

/// Tells a failure in full, and a smaller one of the same kind.
fn tell(plan: &Plan, outcome: &Outcome) {
    say!("{}\n\nits plan:\n{}", in_one_line(plan.options.seed, outcome), plan.to_json());
    say!("its latest events:\n{}", outcome.latest);
    let Some(Shrunk { plan, broken, latest, tries }) = shrink(plan, outcome, MOST_TRIES, &run) else { return };
    say!("shrunk by {tries} runs to {} choices, which broke: {broken}\n\n{}", plan.choices.len(), plan.to_json());
    say!("its latest events:\n{latest}");
}

fn keep(name: &str, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let Some(shrunk) = shrink(plan, outcome, MOST_TRIES, &run) else { return Ok(()) };
    let broke = format!("seed {}: {}", plan.options.seed, shrunk.broken);
    let path = Regression { broke, plan: shrunk.plan }.keep(name)?;
    say!("kept as {}; say in its first line what was wrong", path.display());
    Ok(())
}

/// A line that changes, on a terminal.
struct Progress {
    total: u64,
    shown: Option<Instant>,
    on: bool,
}

impl Progress {
    fn new(total: u64) -> Progress {
        Progress { total, shown: None, on: stderr().is_terminal() }
    }

    fn show(&mut self, figures: &Figures, elapsed: Duration) {
        let due = self.shown.is_none_or(|at| at.elapsed() > Duration::from_millis(100));
        if !self.on || !due {
            return;
        }
        self.shown = Some(Instant::now());
        let of = if self.total < u64::MAX / 2 { format!(" of {}", self.total) } else { String::new() };
        let speed = figures.events as f64 / elapsed.as_secs_f64().max(1e-9);
        eprint!(
            "\r\x1b[K{}{of} seeds, {} failures, {:.1} virtual hours, {speed:.0} events a second",
            figures.runs,
            figures.failures,
            figures.hours()
        );
        // Nothing is lost if it is not shown.
        let _ = stderr().flush();
    }

    fn clear(&self) {
        if self.on && self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parsed {
        Some((from, to)) if from < to => Ok((from, to)),
        _ => Err("it must be like 0..1000, the first one smaller".into()),
    }
}
