//! How a process dies at any point: after so many more effects.

/// Counts the effects that a process still carries out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Countdown {
    left: Option<u32>,
}

impl Countdown {
    /// The process dies once it has carried out so many more effects: at once if that is none. Of several
    /// countdowns the shortest counts.
    pub fn start(&mut self, effects: u32) {
        self.left = Some(self.left.map_or(effects, |left| left.min(effects)));
    }

    /// The process does not die.
    pub fn cancel(&mut self) {
        self.left = None;
    }

    /// One effect was carried out; whether it was the last one.
    pub fn count(&mut self) -> bool {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.is_over()
    }

    /// Whether the process is dead.
    pub fn is_over(self) -> bool {
        self.left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_after_so_many_effects_unless_it_is_cancelled() {
        let mut countdown = Countdown::default();
        assert!(!countdown.count());
        countdown.start(3);
        countdown.start(9);
        assert_eq!([countdown.count(), countdown.count(), countdown.count()], [false, false, true]);
        let mut cancelled = Countdown::default();
        cancelled.start(1);
        cancelled.cancel();
        assert!(!cancelled.count());
        cancelled.start(0);
        assert!(cancelled.is_over());
    }
}
