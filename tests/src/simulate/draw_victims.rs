//! What comes right before a fault, so that there is somebody whom it hurts: a transfer, or facts that are not
//! durable yet. A fault of an idle world shows nothing.

use core::time::Duration;

use super::act::{Act, Whom};
use super::draw::Draw;
use super::plan::{Choice, What};
use crate::sim::fault::{DiskTrouble, Fault};

/// How often there is a victim.
const SHARE: f64 = 0.7;

impl Draw {
    /// Adds what comes `after` the choices so far and right before this fault; how long the fault waits then, if
    /// there is anything.
    pub fn victims(&mut self, fault: &Fault, after: Duration, choices: &mut Vec<Choice>) -> Option<Duration> {
        if !self.chance(SHARE) {
            return None;
        }
        if let Fault::CrashServer { .. } | Fault::SyncFails = fault {
            self.posts(after, choices);
            return Some(Duration::from_millis(self.within(0..=600)));
        }
        let (from, to) = self.ends(fault)?;
        self.transfer(from, to, after, choices);
        // Sooner or later in the transfer.
        Some(if self.chance(0.5) { self.time(0, 500) } else { Duration::from_millis(self.within(0..=3_000)) })
    }

    /// Between whom a file moves that this fault hurts, if it hurts any.
    fn ends(&mut self, fault: &Fault) -> Option<(usize, usize)> {
        Some(match *fault {
            // What the two say to each other takes the same way in both directions.
            Fault::Link { from, to, .. } => (from, to),
            Fault::ClientDisk { client, trouble: DiskTrouble::WritesFail } => (self.someone(), client),
            Fault::ClientDisk { client, trouble: DiskTrouble::ReadsFail | DiskTrouble::SourcesChange } => {
                (client, self.taker())
            }
            Fault::Rebind { client }
            | Fault::Replay { client, .. }
            | Fault::CrashClient { client, .. }
            | Fault::ClientDisk { client, .. } => {
                if self.chance(0.5) {
                    (client, self.taker())
                } else {
                    (self.someone(), client)
                }
            }
            _ => return None,
        })
    }

    fn transfer(&mut self, from: usize, to: usize, after: Duration, choices: &mut Vec<Choice>) {
        let mut act = |after, person, act| choices.push(Choice { after, what: What::Act { person, act } });
        let mut after = after;
        if self.chance(0.5) {
            for person in [from, to] {
                act(core::mem::take(&mut after), person, Act::ComeBack);
            }
            // So long a login takes mostly.
            after = Duration::from_millis(self.within(500..=3_000));
        }
        act(after, from, Act::SendFile { to: Whom::Person(to), file: self.real_file() });
    }

    /// Some posts at once, mostly on a disk that takes its time for them.
    fn posts(&mut self, after: Duration, choices: &mut Vec<Choice>) {
        let mut after = after;
        if self.chance(0.6) {
            let slow = Fault::SlowCommits { time: self.time(200, 2_000) };
            choices.push(Choice { after: core::mem::take(&mut after), what: What::Fault(slow) });
        }
        for _ in 0..self.within(2..=6) {
            let (person, text) = (self.someone(), self.text());
            let after = core::mem::take(&mut after);
            choices.push(Choice { after, what: What::Act { person, act: Act::Broadcast(text) } });
        }
    }
}
