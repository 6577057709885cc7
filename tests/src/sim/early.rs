//! Machines are woken though nothing is due: then they must have nothing to say.

use core::time::Duration;

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;

/// A wake comes within one of these times after something that the node did.
const DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(100), Duration::from_secs(20)];

/// When a node's machines are woken early.
#[derive(Debug)]
pub struct EarlyWakes {
    probability: f64,
    dice: Dice,
    next: Option<Instant>,
}

impl EarlyWakes {
    /// Something that the node does is followed by an early wake with this probability.
    pub fn new(probability: f64, dice: Dice) -> EarlyWakes {
        EarlyWakes { probability, dice, next: None }
    }

    /// The node did something.
    pub fn plan(&mut self, now: Instant) {
        if self.next.is_none() && self.dice.chance(self.probability) {
            let which = self.dice.within(0..=DELAYS.len() as u64 - 1) as usize;
            self.next = Some(now + self.dice.up_to(DELAYS[which]));
        }
    }

    /// Whether a wake has come; it is forgotten.
    pub fn take_due(&mut self, now: Instant) -> bool {
        self.next.take_if(|at| *at <= now).is_some()
    }

    /// When the next one comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

/// Whether a machine has nothing to do yet.
pub fn is_idle(machine: &impl Machine, now: Instant) -> bool {
    machine.deadline().is_none_or(|at| at > now)
}
