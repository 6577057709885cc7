//! Whether the time of a refused login tells if the name has an account: measured, with what would have been found.
//!
//! `cargo run --release -p toom-tests --bin login_timing`

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use toom_tests::login_timing::measure;
use toom_tests::statistics::{detectable_shift, interval, mann_whitney, mean, median};

/// Tries to log in with names that have an account and with names that have none, and compares the times.
#[derive(Debug, Parser)]
#[command(name = "login_timing")]
struct Options {
    /// How often for each kind of name
    #[arg(long, value_name = "N", default_value = "2000")]
    tries: usize,
    /// Decides names, order and statistics
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

fn main() -> ExitCode {
    let Options { tries, seed } = Options::parse();
    let directory = tempfile::tempdir().expect("a directory");
    let tell = |what: &str| drop(writeln!(stderr(), "{what}"));
    let times = measure(directory.path(), tries, seed, tell);
    let (existing, missing) = (times.existing.as_slice(), times.missing.as_slice());
    let (median_low, median_high) = interval(existing, missing, median, seed);
    let (mean_low, mean_high) = interval(existing, missing, mean, seed);
    let p = mann_whitney(existing, missing);
    let shift = detectable_shift(existing, missing, seed);
    let lines = [
        format!("tries of each kind        {tries}, each name once, interleaved in random order (seed {seed})"),
        format!("names with an account     median {:.1} us, mean {:.1} us", median(existing), mean(existing)),
        format!("names without an account  median {:.1} us, mean {:.1} us", median(missing), mean(missing)),
        format!(
            "difference of medians     {:+.1} us, 95 % interval {median_low:+.1} to {median_high:+.1} us (bootstrap)",
            median(existing) - median(missing)
        ),
        format!(
            "difference of means       {:+.1} us, 95 % interval {mean_low:+.1} to {mean_high:+.1} us (bootstrap)",
            mean(existing) - mean(missing)
        ),
        format!("Mann-Whitney U test       p = {p:.3} (two-sided)"),
        format!("power                     a shift of {shift:.1} us would have been found (p < 0.05) in 80 % of runs"),
    ];
    // Whoever has stopped reading has the exit code.
    let _ = writeln!(stdout(), "{}", lines.join("\n"));
    if p < 0.05 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
