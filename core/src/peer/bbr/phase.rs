//! The phases that a sender goes through, and their gains. [`super`] has a table.

use crate::time::Instant;

/// Gains, in hundredths (the draft, sections 5.3 and 5.6; of start-up see [`super`]).
pub(super) const STARTUP: Gains = Gains { rate: 400, window: 400 };
pub(super) const STARTUP_WITH_QUEUE: Gains = Gains { rate: 150, window: 200 };
pub(super) const DRAIN: Gains = Gains { rate: 50, window: 200 };
pub(super) const DOWN: Gains = Gains { rate: 90, window: 200 };
pub(super) const CRUISE: Gains = Gains { rate: 100, window: 200 };
/// In company: as BBR's first version; what acknowledgements hold up is more there.
pub(super) const FIRM: Gains = Gains { rate: 100, window: 225 };
pub(super) const FIRM_DOWN: Gains = Gains { rate: 75, window: 225 };
pub(super) const REFILL: Gains = Gains { rate: 100, window: 200 };
pub(super) const UP: Gains = Gains { rate: 125, window: 225 };
pub(super) const PROBE_RTT: Gains = Gains { rate: 100, window: 50 };

/// In hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gains {
    pub(super) rate: u64,
    pub(super) window: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    /// Since what is in flight was little enough, if it was: until then, and in which round that was.
    ProbeRtt(Option<(Instant, u64)>),
}
