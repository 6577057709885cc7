//! The one idiom of the core: a state machine that owns no socket, file, clock, thread or randomness.
//!
//! # Contract
//!
//! * [`Machine::handle`] first expires whatever is due at `now`, then applies one fact, then appends every
//!   consequence to `out`, in the order in which they must be carried out. A flood of facts can therefore
//!   never starve a timer.
//! * Work for one call is bounded. If more could be done at once than the bound allows, [`Machine::deadline`]
//!   answers with a moment that is not after `now`, which means "call me again once the output at hand has
//!   been carried out".
//! * `now` never goes backwards. It is the driver's monotonic clock ([`crate::time::Instant`]); wall-clock
//!   time comes inside the inputs that need it ([`crate::time::Timestamp`]).
//! * [`Machine::deadline`] is O(1) and pure: the moment at which the machine's `Woke` input would next do
//!   something, or `None`. After `handle(now, ..)` it is never before `now`.
//! * A peer's bad input is never a panic and never an `Err`: it becomes a counted reason, and a `Close` where
//!   that is right. `Result` is for constructors and codecs.
//! * Everything is bounded by a named constant. Capacity is an input: a machine never emits beyond what it
//!   was given, so that no driver needs a queue without a bound.
//! * Nothing depends on the iteration order of a hash map, on an address, or on the environment: the list of
//!   `(now, input)` is a complete replay.
//! * Slow or expensive work (disk, password hashes) is an output that comes back as an input.

use core::fmt;

use crate::time::Instant;

/// A deterministic state machine; the module's documentation is its contract.
pub trait Machine {
    /// What has happened, in the past tense.
    type Input<'a>;
    /// What must be done, in the imperative.
    type Output;

    /// Expires what is due at `now`, applies `input`, and appends what must be done to `out`.
    fn handle(&mut self, now: Instant, input: Self::Input<'_>, out: &mut Vec<Self::Output>);

    /// When `Woke` would next do something; `None` if only another input can.
    fn deadline(&self) -> Option<Instant>;
}

/// How much of one of its bounds something uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What is bounded, in words.
    pub what: &'static str,
    /// How much there is.
    pub used: usize,
    /// How much there may be.
    pub limit: usize,
}

impl Usage {
    /// `used` of `limit`.
    pub const fn new(what: &'static str, used: usize, limit: usize) -> Usage {
        Usage { what, used, limit }
    }
}

/// Something that a peer or a person can make grow, within named limits.
pub trait Bounded: fmt::Debug {
    /// Tells the usage of every queue, buffer and table that there is one of. Cheap: nothing is walked through
    /// that grows with the number of users.
    fn usage(&self, each: &mut dyn FnMut(Usage));

    /// Tells the usage of what there is one of for each user, room or connection. Walks through all of them.
    fn usage_of_each(&self, each: &mut dyn FnMut(Usage)) {
        let _ = each;
    }
}

/// All that something tells of its limits: what, how much there is of it at most, and how much there may be.
#[cfg(test)]
pub(crate) fn usage_told(bounded: &dyn Bounded) -> Vec<String> {
    let mut all = std::collections::BTreeMap::<&str, (usize, usize)>::new();
    let mut note = |usage: Usage| {
        let (used, limit) = all.entry(usage.what).or_default();
        (*used, *limit) = (usage.used.max(*used), usage.limit);
    };
    bounded.usage(&mut note);
    bounded.usage_of_each(&mut note);
    all.iter().map(|(what, (used, limit))| format!("{what}: {used} of {limit}")).collect()
}

/// The earlier of two deadlines, where `None` is "never".
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
