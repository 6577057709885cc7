//! Whether the server is still there: it is asked when it has said nothing for long, and given up if it says nothing
//! then. A connection whose other end is gone without a word would otherwise look like a quiet one for minutes.

use core::time::Duration;

use crate::time::Instant;

/// How long a server that owes an answer may say nothing before it is asked whether it is there.
pub(super) const OWED_PATIENCE: Duration = Duration::from_secs(15);
/// The same for one that owes nothing.
pub(super) const QUIET_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may then still say nothing.
pub(super) const PING_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the other end of a connection.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When it said something last.
    heard: Instant,
    /// Since when it owes an answer.
    owing: Option<Instant>,
    /// Until when it may answer, once it was asked whether it is there.
    asked: Option<Instant>,
}

/// What to do about silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It may go on.
    Fine,
    /// Ask whether the server is there.
    Ask,
    /// It is gone.
    Gone,
}

impl Liveness {
    /// It said something, or the connection is new.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, None);
        self.owing = self.owing.map(|_| now);
    }

    /// Whether it owes answers now.
    pub(super) fn owes(&mut self, now: Instant, owes: bool) {
        self.owing = owes.then(|| self.owing.unwrap_or(now));
    }

    /// When something is to be done if it stays silent.
    pub(super) fn deadline(&self) -> Instant {
        let quiet = self.heard + QUIET_PATIENCE;
        let owed = self.owing.map_or(quiet, |since| since + OWED_PATIENCE);
        self.asked.unwrap_or(quiet.min(owed))
    }

    /// What is to be done now.
    pub(super) fn check(&mut self, now: Instant) -> Silence {
        if now < self.deadline() {
            return Silence::Fine;
        }
        if self.asked.is_some() {
            return Silence::Gone;
        }
        // From now on: after this computer slept, the server is given its time.
        self.asked = Some(now + PING_PATIENCE);
        Silence::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_quiet_server_is_asked_after_thirty_seconds_and_gone_after_ten_more() {
        let mut liveness = Liveness::default();
        assert_eq!((liveness.deadline(), liveness.check(at(29))), (at(30), Silence::Fine));
        assert_eq!((liveness.check(at(30)), liveness.deadline()), (Silence::Ask, at(40)));
        assert_eq!(liveness.check(at(39)), Silence::Fine);
        assert_eq!(liveness.check(at(40)), Silence::Gone);
    }

    #[test]
    fn a_server_that_owes_an_answer_is_asked_after_fifteen() {
        let mut liveness = Liveness::default();
        liveness.owes(at(5), true);
        liveness.owes(at(9), true);
        assert_eq!(liveness.deadline(), at(20));
        // It says something else.
        liveness.heard(at(12));
        liveness.owes(at(12), true);
        assert_eq!(liveness.deadline(), at(27));
        liveness.owes(at(13), false);
        assert_eq!(liveness.deadline(), at(42));
        // What is owed later does not move the question to a moment that has passed.
        liveness.owes(at(40), true);
        assert_eq!(liveness.deadline(), at(42));
    }

    #[test]
    fn any_word_is_an_answer_and_sleep_counts_for_nothing() {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.check(at(1_000)), Silence::Ask);
        assert_eq!(liveness.deadline(), at(1_010));
        liveness.heard(at(1_009));
        assert_eq!(liveness.check(at(1_038)), Silence::Fine);
        assert_eq!(liveness.check(at(1_039)), Silence::Ask);
    }
}
