//! What happened in a run: a digest of everything for comparing two runs, and the latest lines for people.

use std::collections::VecDeque;
use std::fmt;

use toom_core::time::Instant;

/// A person who looks at a failure reads no further back.
const KEPT_LINES: usize = 60;

/// The log of a run.
#[derive(Debug)]
pub struct Trace {
    hasher: blake3::Hasher,
    entries: u64,
    latest: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Self {
        Trace { hasher: blake3::Hasher::new(), entries: 0, latest: VecDeque::new() }
    }
}

impl Trace {
    /// At `now`, something happened which is told in words and, whole, in `bytes`.
    pub fn record(&mut self, now: Instant, what: fmt::Arguments<'_>, bytes: &[u8]) {
        let line = format!("{:>13.6} s  {what}", now.saturating_since(Instant::ZERO).as_secs_f64());
        self.hasher.update(&now.as_nanos().to_be_bytes());
        self.hasher.update(line.as_bytes());
        self.hasher.update(&(bytes.len() as u64).to_be_bytes());
        self.hasher.update(bytes);
        self.entries += 1;
        if self.latest.len() == KEPT_LINES {
            self.latest.pop_front();
        }
        self.latest.push_back(line);
    }

    /// How much happened, and a hash of all of it, times and bytes included.
    pub fn digest(&self) -> (u64, [u8; 32]) {
        (self.entries, self.hasher.finalize().into())
    }

    /// The latest lines, oldest first.
    pub fn latest(&self) -> String {
        self.latest.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
