//! Durable confirmed messages a second, beside what the disk can do.
//!
//! `cargo run --release -p toom-tests --bin durable` (after `cargo build --release -p toom`)

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use toom_tests::durability::{Options, measure};

/// Measures how many messages a second are confirmed as durable, beside what the disk and SQLite alone can do.
#[derive(Debug, Parser)]
#[command(name = "durable")]
struct Arguments {
    /// The binary [default: the one beside this]
    #[arg(long, value_name = "PATH")]
    toom: Option<PathBuf>,
    /// A folder on the disk to measure
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// How many seconds each measure takes
    #[arg(long, value_name = "N", default_value = "2")]
    seconds: u64,
    /// How often everything is measured; the figures are medians
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: usize,
    /// How many senders there are
    #[arg(long, value_name = "N", default_values_t = [1, 10, 100])]
    senders: Vec<usize>,
}

fn main() -> ExitCode {
    let Arguments { toom, folder, seconds, rounds, senders } = Arguments::parse();
    let beside = || std::env::current_exe().expect("a path").with_file_name("toom");
    let options = Options {
        toom: toom.unwrap_or_else(beside),
        folder,
        time: Duration::from_secs(seconds),
        rounds: rounds.max(1),
    };
    for senders in senders {
        match measure(&options, senders.max(1)) {
            Ok(rates) => println!("{rates}"),
            Err(error) => {
                eprintln!("{senders} senders could not be measured: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
