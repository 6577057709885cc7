//! Kills servers and clients while people post, and tells whether anything was lost.
//!
//! `cargo run --release -p toom-tests --bin chaos` (after `cargo build --release -p toom`)

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use toom_tests::chaos::{Options, Victim, run};

/// Kills the server, then clients, at random moments while people post, on each runtime; fails if anything that was
/// confirmed is lost, comes twice, or stands in another order for somebody.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// The binary [default: the one beside this]
    #[arg(long, value_name = "PATH")]
    toom: Option<PathBuf>,
    /// Only this runtime
    #[arg(long, value_name = "smol|std", value_parser = ["smol", "std"])]
    runtime: Option<String>,
    /// How many people post
    #[arg(long, value_name = "N", default_value = "20")]
    people: usize,
    /// How often the server is killed, and how often clients are
    #[arg(long, value_name = "N", default_value = "100")]
    kills: usize,
    /// Decides what is random
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { toom, runtime, people, kills, seed } = Arguments::parse();
    let beside = || std::env::current_exe().expect("a path").with_file_name("toom");
    let options = Options { toom: toom.unwrap_or_else(beside), people, kills, seed };
    // Whoever has stopped reading has the exit code.
    let say = |text: &str| drop(writeln!(stdout(), "{text}"));
    let mut faults = 0;
    for runtime in ["smol", "std"].into_iter().filter(|it| runtime.as_ref().is_none_or(|wanted| wanted == it)) {
        for victim in [Victim::Server, Victim::Client] {
            let what = format!("{runtime}, {victim:?} killed {kills} times");
            match run(runtime, victim, &options, |progress| say(&format!("{what}: {progress}"))) {
                Ok(outcome) => {
                    faults += outcome.faults.len();
                    say(&format!("{what}: {outcome}"));
                }
                Err(error) => {
                    faults += 1;
                    say(&format!("{what}: it could not be carried out: {error}"));
                }
            }
        }
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
