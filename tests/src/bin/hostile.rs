//! Attacks real servers, and tells whether anybody was disturbed.
//!
//! `cargo run --release -p toom-tests --bin hostile` (after `cargo build --release -p toom`)

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use toom_tests::hostile::{Options, RUNTIMES, run, table};

/// Attacks a server of each runtime while two people talk over it; fails if anybody was disturbed.
#[derive(Debug, Parser)]
#[command(name = "hostile")]
struct Arguments {
    /// The binary [default: the one beside this]
    #[arg(long, value_name = "PATH")]
    toom: Option<PathBuf>,
    /// Only this runtime
    #[arg(long, value_name = "smol|std", value_parser = RUNTIMES)]
    runtime: Option<String>,
    /// Only attacks whose name has this in it
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Guesses of passwords for one name, and for many
    #[arg(long, value_name = "N", default_value = "100000")]
    logins: u64,
    /// Less of everything
    #[arg(long)]
    short: bool,
    /// Decides what is random
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { toom, runtime, only, logins, short, seed } = Arguments::parse();
    let beside = || std::env::current_exe().expect("a path").with_file_name("toom");
    let options = Options { toom: toom.unwrap_or_else(beside), only, logins, short, seed };
    let mut disturbed = false;
    for chosen in RUNTIMES {
        if runtime.as_ref().is_some_and(|wanted| wanted != chosen) {
            continue;
        }
        // Whoever has stopped reading has the exit code.
        let say = |text: String| drop(writeln!(stdout(), "{text}"));
        say(format!("\nruntime {chosen}\n"));
        match run(chosen, &options, |row| drop(writeln!(stdout(), "{row}"))) {
            Ok(rows) => {
                disturbed |= rows.is_empty() || rows.iter().any(|row| !row.faults().is_empty());
                say(format!("\n{}", table(&rows)));
            }
            Err(error) => {
                disturbed = true;
                say(format!("The attacks could not be made: {error}"));
            }
        }
    }
    if disturbed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
