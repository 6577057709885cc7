//! How many messages a second are confirmed as durable, beside what the same disk can do in the same run.
//!
//! A number of senders each post a message, wait until it is confirmed, and post the next. With so many in flight a
//! store can put up to as many in one sync. So the measures beside it are, for batches of the same size: appending the
//! bytes to a file with one `fdatasync` for each batch, and rows in SQLite with one transaction for each batch, as a
//! store that does nothing else would.
//!
//! Broadcasts go to all other senders too, so with many senders most of the work is telling the others. Messages to
//! somebody who is not there are told to nobody: what they cost is the store.

mod disk;
mod senders;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use disk::{appended, inserted};
pub use senders::{Posted, Server};

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub toom: PathBuf,
    /// On the disk that is measured.
    pub folder: PathBuf,
    /// How long each measure takes.
    pub time: Duration,
    /// How often everything is measured; the figures are medians.
    pub rounds: usize,
}

/// What was measured with so many senders: messages a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// How many senders there were.
    pub senders: usize,
    /// What was measured, and its median.
    pub rates: Vec<(String, f64)>,
}

/// Bytes of each message's text.
pub const TEXT_BYTES: usize = 100;

/// Measures everything with so many senders, in turn.
pub fn measure(options: &Options, senders: usize) -> io::Result<Rates> {
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    let mut note = |what: String, rate: f64| match all.iter_mut().find(|(it, _)| *it == what) {
        Some((_, rates)) => rates.push(rate),
        None => all.push((what, vec![rate])),
    };
    for _ in 0..options.rounds {
        let folder = tempfile::tempdir_in(&options.folder)?;
        note("append and fdatasync".into(), appended(folder.path(), senders, options.time)?);
        note("SQLite alone".into(), inserted(folder.path(), senders, options.time)?);
        for runtime in ["smol", "std"] {
            let data = folder.path().join(runtime);
            let server = Server::start(&options.toom, runtime, &data, senders)?;
            for (what, posted) in [("to one who is away", Posted::Direct), ("broadcasts", Posted::Broadcast)] {
                note(format!("toom {runtime}, {what}"), server.rate(posted, senders, options.time)?);
            }
        }
    }
    Ok(Rates { senders, rates: all.into_iter().map(|(what, rates)| (what, median(rates))).collect() })
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} senders:", self.senders)?;
        let alone = self.rates.iter().find(|(what, _)| what == "SQLite alone").map_or(f64::NAN, |(_, rate)| *rate);
        self.rates.iter().try_for_each(|(what, rate)| {
            writeln!(f, "  {what:32} {rate:9.0} a second, {:3.0} % of SQLite alone", rate / alone * 100.0)
        })
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The path of something in a folder, as an argument.
fn argument(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}
