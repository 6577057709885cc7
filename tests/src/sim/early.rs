//! Machines are woken though nothing is due: then they must have nothing to say.

use core::time::Duration;

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;
use super::pending::Pending;

/// A wake comes within one of these times after something that the node did.
const DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(100), Duration::from_secs(20)];

/// When a node's machines are woken early.
#[derive(Debug)]
pub struct EarlyWakes {
    probability: f64,
    dice: Dice,
    under_way: Pending<()>,
    /// What the node does now is because of an early wake, and shall not lead to the next one for ever.
    woken: bool,
}

impl EarlyWakes {
    /// Something that the node does is followed by an early wake with this probability.
    pub fn new(probability: f64, dice: Dice) -> EarlyWakes {
        EarlyWakes { probability, dice, under_way: Pending::default(), woken: false }
    }

    /// The node did something.
    pub fn plan(&mut self, now: Instant) {
        if !core::mem::take(&mut self.woken) && self.dice.chance(self.probability) {
            let which = self.dice.within(0..=DELAYS.len() as u64 - 1) as usize;
            self.under_way.push(now + self.dice.up_to(DELAYS[which]), ());
        }
    }

    /// Whether a wake has come; it is forgotten.
    pub fn take_due(&mut self, now: Instant) -> bool {
        while self.under_way.pop_due(now).is_some() {
            self.woken = true;
        }
        self.woken
    }

    /// When the next one comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.deadline()
    }
}

/// Whether a machine has nothing to do yet.
pub fn is_idle(machine: &impl Machine, now: Instant) -> bool {
    machine.deadline().is_none_or(|at| at > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_an_early_wake_leads_to_no_other() {
        let mut early = EarlyWakes::new(1.1, Dice::new(1, "early"));
        early.plan(Instant::ZERO);
        let at = early.deadline().expect("a wake");
        assert_eq!((early.take_due(at), early.deadline()), (true, None));
        early.plan(at);
        assert_eq!((early.deadline(), early.take_due(at)), (None, false));
        early.plan(at);
        assert!(early.deadline().is_some());
    }
}
