//! Runs random conferences in virtual time, and tells what breaks.
//!
//! `cargo run --release -p toom-tests --bin simulate -- --minutes 5`

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::Parser;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use toom_tests::simulate::figures::Figures;
use toom_tests::simulate::many::{Run, Seeds, many, timed};
use toom_tests::simulate::narrator::Narrator;
use toom_tests::simulate::progress::Progress;
use toom_tests::simulate::regressions::{self, Regression};
use toom_tests::simulate::report::{Effort, Failure, report};
use toom_tests::simulate::run::run_watched;
use toom_tests::simulate::shrink::Shrunk;
use toom_tests::simulate::{Outcome, Plan, run, ten_clients};

/// Prints a line. Whoever has stopped reading has what they wanted, and learns the rest from the exit code.
macro_rules! say {
    ($($what:tt)*) => {{ let _ = writeln!(stdout(), $($what)*); }};
}

/// What a shell says of a process that was interrupted.
const INTERRUPTED: u8 = 128 + SIGINT as u8;
/// A year: nobody waits longer.
const MOST_MINUTES: f64 = 525_600.0;

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
    #[arg(long, value_name = "M", value_parser = minutes, conflicts_with = "plan")]
    minutes: Option<Duration>,
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
    let interrupted = match watch_for_interrupts() {
        Ok(interrupted) => interrupted,
        Err(error) => return unusable(&format!("interrupts cannot be noticed: {error}")),
    };
    match simulate(&options, &interrupted) {
        Err(wrong) => unusable(&wrong),
        Ok(_) if interrupted.load(Ordering::Relaxed) => ExitCode::from(INTERRUPTED),
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
    }
}

fn unusable(wrong: &str) -> ExitCode {
    eprintln!("{wrong}");
    ExitCode::from(2)
}

/// Set by the first interrupt; the second one ends the process.
fn watch_for_interrupts() -> std::io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), interrupted.clone())?;
    flag::register(SIGINT, interrupted.clone())?;
    Ok(interrupted)
}

/// Does what is asked; how many runs broke something.
fn simulate(options: &Options, interrupted: &AtomicBool) -> Result<u64, String> {
    let mut figures = Figures::default();
    let progress = Progress::new();
    let failures = match one_plan(options)? {
        Some(plan) => {
            let (outcome, busy) = timed(|| one(&plan, options.verbose));
            figures.add(&outcome, busy);
            say!("the digest of this run is {}", outcome.digest);
            if outcome.broken.is_some() { vec![Failure { plan, outcome }] } else { Vec::new() }
        }
        None => all(options, interrupted, &progress, &mut figures)?,
    };
    let go_on = |failure: &Failure, so_far: &Shrunk| {
        let (seed, tries, left) = (failure.plan.options.seed, so_far.tries, so_far.plan.choices.len());
        progress.show(|| format!("shrinking seed {seed}: {tries} runs, {left} choices left"));
        !interrupted.load(Ordering::Relaxed)
    };
    // Who does not read it learns it from the exit code.
    let shrunk = report(&failures, &Effort { run: &run, go_on: &go_on }, &mut stdout()).unwrap_or_default();
    progress.clear();
    if let (Some(shrunk), Some(name)) = (shrunk, &options.keep) {
        keep(name, shrunk)?;
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

/// Runs all seeds that are asked for, and the conferences of ten clients; those that broke something, in order.
fn all(
    options: &Options,
    interrupted: &AtomicBool,
    progress: &Progress,
    figures: &mut Figures,
) -> Result<Vec<Failure>, String> {
    let start = Instant::now();
    let until = options.minutes.map(|minutes| start + minutes);
    let (from, to) = match (options.seeds, until) {
        (Some(range), _) => range,
        (None, Some(_)) => (0, u64::MAX),
        (None, None) => return Err("say which runs: --seed N, --seeds FROM..TO, --minutes M or --plan FILE".into()),
    };
    let processors = || available_parallelism().map_or(1, usize::from);
    let jobs = if options.verbose { 1 } else { options.jobs.map_or_else(processors, usize::from) };
    let mut failures: Vec<Failure> = Vec::new();
    let mut failed = |plan: Plan, outcome: Outcome| {
        let failure = Failure { plan, outcome };
        progress.clear();
        eprintln!("{}", failure.in_one_line());
        failures.push(failure);
    };
    // However short the time is, one seed is run.
    let begun = AtomicBool::new(false);
    let in_time = || until.is_none_or(|until| Instant::now() < until) || !begun.load(Ordering::Relaxed);
    let more = || {
        let more = in_time() && !interrupted.load(Ordering::Relaxed);
        begun.store(true, Ordering::Relaxed);
        more
    };
    let total = options.seeds.map(|(from, to)| to - from);
    let run = |seed| one(&Plan::from_seed(seed), options.verbose);
    many(Seeds { from, to, more: &more }, jobs, &run, |Run { seed, outcome, busy }| {
        figures.add(&outcome, busy);
        progress.show(|| how_far(figures, total, start.elapsed()));
        if outcome.broken.is_some() {
            failed(Plan::from_seed(seed), outcome);
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    // One after the other: they are to be measured.
    let seeds = Seeds { from: 0, to: ten_clients::RUNS, more: &|| !interrupted.load(Ordering::Relaxed) };
    many(seeds, 1, &|seed| one(&ten_clients::plan(seed), false), |Run { seed, outcome, busy }| {
        figures.add_ten_clients(&outcome, busy);
        progress.show(|| format!("measuring ten clients: {} of {} runs", seed + 1, ten_clients::RUNS));
        if outcome.broken.is_some() {
            failed(ten_clients::plan(seed), outcome);
        }
    });
    progress.clear();
    say!("{:<28}{seconds:>14.1}", "seconds");
    failures.sort_by_key(|failure| failure.plan.options.seed);
    Ok(failures)
}

fn how_far(figures: &Figures, total: Option<u64>, elapsed: Duration) -> String {
    let of = total.map_or_else(String::new, |total| format!(" of {total}"));
    let Figures { runs, failures, events, .. } = figures;
    let (hours, speed) = (figures.hours(), *events as f64 / elapsed.as_secs_f64().max(1e-9));
    format!("{runs}{of} seeds, {failures} failures, {hours:.1} virtual hours, {speed:.0} events a second")
}

fn keep(name: &str, shrunk: Shrunk) -> Result<(), String> {
    let broke = format!("seed {}: {}", shrunk.plan.options.seed, shrunk.broken);
    let path = Regression { broke, plan: shrunk.plan }.keep(name)?;
    say!("kept as {}; say in its first line what was wrong", path.display());
    Ok(())
}

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= MOST_MINUTES => Ok(Duration::from_secs_f64(60.0 * minutes)),
        _ => Err(format!("it must be more than 0 and at most {MOST_MINUTES} (a year), like 1.5")),
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parsed {
        Some((from, to)) if from < to => Ok((from, to)),
        _ => Err("it must be like 0..1000, the first one smaller".into()),
    }
}
