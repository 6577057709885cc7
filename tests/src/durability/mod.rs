//! How many messages a second are confirmed as durable, beside what the same disk can do in the same run.
//!
//! A number of senders each post a message, wait until it is confirmed, and post the next. A store puts what came
//! while it synced into its next batch. So the measures beside it are, for batches as large as those that the server
//! made, and for batches of as many as there are senders, which is the most that it could make: rows in SQLite with one
//! transaction for each batch, as a store that does nothing else would; and appending the bytes to a file with one
//! `fdatasync` for each batch.
//!
//! Broadcasts go to all other senders too, so with many senders most of the work is telling the others. Messages to
//! somebody who is not there are told to nobody: what they cost is the store.

mod disk;
mod senders;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use disk::{appended, inserted};
pub use senders::{Confirmed, Posted, Server};

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

/// What was measured with so many senders; medians.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// How many senders there were.
    pub senders: usize,
    /// Messages a second, appended to a file in batches of as many as there are senders.
    pub appended: f64,
    /// Likewise, in SQLite.
    pub alone: f64,
    /// Of each runtime and kind of message.
    pub servers: Vec<ServerRates>,
}

/// What one server did.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRates {
    /// Which, and with what.
    pub what: String,
    /// Confirmed messages a second.
    pub confirmed: f64,
    /// Messages in one transaction.
    pub batch: f64,
    /// What SQLite alone does in batches of this size: messages a second.
    pub alone: f64,
}

/// Bytes of each message's text.
pub const TEXT_BYTES: usize = 100;

/// Measures everything with so many senders, in turn.
pub fn measure(options: &Options, senders: usize) -> io::Result<Rates> {
    let (mut file, mut sqlite) = (Vec::new(), Vec::new());
    let mut servers: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    for _ in 0..options.rounds {
        let folder = tempfile::tempdir_in(&options.folder)?;
        let alone = |batch: usize| inserted(folder.path(), batch, options.time);
        file.push(appended(folder.path(), senders, options.time)?);
        sqlite.push(alone(senders)?);
        for runtime in ["smol", "std"] {
            let data = folder.path().join(runtime);
            let server = Server::start(&options.toom, runtime, &data, senders)?;
            for (to, posted) in [("to one who is away", Posted::Direct), ("broadcasts", Posted::Broadcast)] {
                let Confirmed { rate, batch } = server.rate(posted, senders, options.time)?;
                let all = servers.entry(format!("toom {runtime}, {to}")).or_default();
                let figures = [rate, batch, alone((batch.round() as usize).max(1))?];
                all.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
            }
        }
    }
    let server = |(what, [confirmed, batch, alone]): (String, [Vec<f64>; 3])| ServerRates {
        what,
        confirmed: median(confirmed),
        batch: median(batch),
        alone: median(alone),
    };
    let servers = servers.into_iter().map(server).collect();
    Ok(Rates { senders, appended: median(file), alone: median(sqlite), servers })
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates { senders, appended, alone, servers } = self;
        writeln!(
            f,
            "{senders} senders; in batches of as many: {appended:.0} a second to a file, {alone:.0} to SQLite"
        )?;
        servers.iter().try_for_each(|ServerRates { what, confirmed, batch, alone: same }| {
            writeln!(
                f,
                "  {what:32} {confirmed:8.0} a second in batches of {batch:5.1}; SQLite alone so: {same:8.0}, of which it \
                 is {:3.0} % (of batches of all: {:3.0} %)",
                confirmed / same * 100.0,
                confirmed / alone * 100.0
            )
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
