//! Whether this sender has company: others whose packets wait in the same queue; and how it shares with them.
//!
//! A sender that keeps to its model of the path builds no queue. Others fill queues until they overflow (CUBIC), or keep
//! more in flight than there is room for whatever is lost (BBR's first version), and would leave it hardly anything. So a
//! queue that stands although this sender probes for nothing is taken for that of others, as Copa does (NSDI 2018, section
//! 2.2), and then the sender shares it by their rules:
//!
//! - [`Firm`](Company::Firm): as BBR's first version. What is lost changes nothing.
//! - [`Gentle`](Company::Gentle): as CUBIC, which starves beside that one.
//!
//! Which of them it is shows in the losses of a sender that is firm: beside CUBIC there are a few every some seconds,
//! because that leaves room then; beside another that is firm they go on and on. A gentle one looks again after a while,
//! or when it has lost half of what it had.

use core::time::Duration;

use crate::time::Instant;

/// A queue that stands for so many rounds is to be drained: a sender that has taken the path for faster than it is keeps
/// one, too. If it still stands after so many, it is of somebody else.
const SUSPICIOUS_ROUNDS: u32 = 8;
const QUEUE_ROUNDS: u32 = 13;

/// If so many more rounds had an empty queue than had not, the others have left. It is empty for a few as well when
/// all give way at the same time.
const EMPTY_ROUNDS: u32 = 8;

/// Of so many rounds without probing or more, if fewer than so many thousandths had losses, the others give way.
const FIRM_ROUNDS: u32 = 16;
const LOSSES_PER_MILLE: u32 = 250;

/// How long a sender is gentle before it looks again.
const GENTLE: Duration = Duration::from_secs(30);

/// Who else is in the queue, and so how this sender behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody else, or somebody who builds no queue either.
    Alone,
    /// Others who do not give way, as far as is known.
    Firm,
    /// Others who do: since when, and with which window at first.
    Gentle { since: Instant, window: u64 },
}

/// What is there, round by round.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) company: Company,
    with_queue: u32,
    without_queue: u32,
    /// Firm rounds without probing, and those of them with losses.
    firm: u32,
    with_losses: u32,
    /// Whether it was empty in this round, and when that began.
    was_empty: bool,
    round_began: Instant,
}

impl Default for Watch {
    fn default() -> Self {
        let (company, round_began) = (Company::Alone, Instant::ZERO);
        Watch { company, with_queue: 0, without_queue: 0, firm: 0, with_losses: 0, was_empty: false, round_began }
    }
}

/// What one acknowledgement tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) has_queue: bool,
    pub(super) ends_round: bool,
    /// How long a round trip is, all in all.
    pub(super) smoothed_rtt: Duration,
    /// Whether nothing was probed lately.
    pub(super) is_calm: bool,
    /// Whether nothing is probed.
    pub(super) is_cruising: bool,
    /// Whether something was lost in the round that was not probed for.
    pub(super) has_lost: bool,
    pub(super) window: u64,
}

impl Watch {
    /// Whether this sender does less for a while, to see whether the queue is its own.
    pub(super) fn is_suspicious(&self) -> bool {
        self.company == Company::Alone && self.with_queue >= SUSPICIOUS_ROUNDS
    }

    /// The new state, if it is a new one.
    pub(super) fn update(&mut self, now: Instant, sight: Sight) -> Option<Company> {
        self.was_empty |= !sight.has_queue;
        // If the shortest round trip is that of a few packets that overtake the others, rounds are shorter than that.
        if sight.ends_round && now.saturating_since(self.round_began) >= sight.smoothed_rtt * 3 / 4 {
            self.round_began = now;
            let (with, without) = match self.was_empty {
                true => (0, self.without_queue.saturating_add(1)),
                false => (self.with_queue.saturating_add(1), self.without_queue.saturating_sub(1)),
            };
            (self.with_queue, self.without_queue, self.was_empty) = (with, without, false);
        }
        let next = self.next(now, sight)?;
        self.company = next;
        Some(next)
    }

    fn next(&mut self, now: Instant, sight: Sight) -> Option<Company> {
        match self.company {
            Company::Alone if sight.is_calm && self.with_queue >= QUEUE_ROUNDS => Some(Company::Firm),
            Company::Firm if sight.is_calm && !sight.has_queue => Some(Company::Alone),
            Company::Firm if sight.ends_round && sight.is_cruising => {
                let gentle = Company::Gentle { since: now, window: sight.window / 2 };
                self.gives_way(sight.has_lost).then_some(gentle)
            }
            Company::Gentle { .. } if self.without_queue >= EMPTY_ROUNDS => Some(Company::Alone),
            Company::Gentle { since, window } if now >= since + GENTLE || sight.window < window / 2 => {
                Some(Company::Firm)
            }
            _ => None,
        }
    }

    fn gives_way(&mut self, has_lost: bool) -> bool {
        self.firm += 1;
        self.with_losses += u32::from(has_lost);
        if self.firm >= 4 * FIRM_ROUNDS {
            (self.firm, self.with_losses) = (self.firm / 2, self.with_losses / 2);
        }
        let gives_way = self.firm >= FIRM_ROUNDS && self.with_losses * 1_000 < self.firm * LOSSES_PER_MILLE;
        if gives_way {
            (self.firm, self.with_losses) = (0, 0);
        }
        gives_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Sight = Sight {
        has_queue: true,
        ends_round: true,
        smoothed_rtt: Duration::ZERO,
        is_calm: true,
        is_cruising: true,
        has_lost: false,
        window: 1_000,
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// So many rounds of this kind; the changes they bring.
    fn rounds(watch: &mut Watch, count: u32, sight: Sight) -> Vec<(u32, Company)> {
        (1..=count).filter_map(|n| watch.update(at(1), sight).map(|company| (n, company))).collect()
    }

    fn firm() -> Watch {
        let mut watch = Watch::default();
        assert_eq!(rounds(&mut watch, QUEUE_ROUNDS, ROUND), [(QUEUE_ROUNDS, Company::Firm)]);
        watch
    }

    fn gentle() -> Watch {
        let mut watch = firm();
        let gentle = Company::Gentle { since: at(1), window: 500 };
        assert_eq!(rounds(&mut watch, FIRM_ROUNDS, ROUND), [(FIRM_ROUNDS, gentle)]);
        watch
    }

    #[test]
    fn a_queue_that_stands_although_this_sender_does_less_is_of_others() {
        let mut watch = Watch::default();
        assert_eq!(rounds(&mut watch, SUSPICIOUS_ROUNDS - 1, ROUND), []);
        assert!(!watch.is_suspicious());
        assert_eq!(rounds(&mut watch, 1, ROUND), []);
        assert!(watch.is_suspicious());
        // One packet that did not wait.
        assert_eq!(watch.update(at(1), Sight { has_queue: false, ends_round: false, ..ROUND }), None);
        assert_eq!(rounds(&mut watch, 1, ROUND), []);
        assert!(!watch.is_suspicious());
        assert_eq!(rounds(&mut watch, QUEUE_ROUNDS, ROUND), [(QUEUE_ROUNDS, Company::Firm)]);
    }

    #[test]
    fn rounds_shorter_than_a_round_trip_count_together() {
        let (mut watch, millisecond) = (Watch::default(), Duration::from_millis(1));
        let sight = Sight { smoothed_rtt: millisecond * 100, ..ROUND };
        let came = (1..).find(|n| watch.update(at(1) + millisecond * 25 * *n, sight).is_some());
        assert_eq!(came, Some(QUEUE_ROUNDS * 3 - 2));
    }

    #[test]
    fn what_this_sender_has_caused_itself_is_no_company() {
        let mut watch = Watch::default();
        assert_eq!(rounds(&mut watch, 100, Sight { is_calm: false, ..ROUND }), []);
    }

    #[test]
    fn others_who_give_way_are_treated_gently_and_the_rest_firmly() {
        gentle();
        let mut watch = firm();
        for _ in 0..100 {
            assert_eq!(rounds(&mut watch, 1, Sight { has_lost: true, ..ROUND }), []);
            assert_eq!(rounds(&mut watch, 2, ROUND), []);
        }
    }

    #[test]
    fn who_is_firm_is_alone_when_a_packet_does_not_wait_but_not_while_probing() {
        let mut watch = firm();
        assert_eq!(watch.update(at(1), Sight { has_queue: false, is_calm: false, ..ROUND }), None);
        assert_eq!(watch.update(at(1), Sight { has_queue: false, ..ROUND }), Some(Company::Alone));
    }

    #[test]
    fn who_is_gentle_is_alone_when_the_queue_is_mostly_empty() {
        let mut watch = gentle();
        let empty = Sight { has_queue: false, ..ROUND };
        assert_eq!(rounds(&mut watch, EMPTY_ROUNDS - 1, empty), []);
        assert_eq!(rounds(&mut watch, 1, ROUND), []);
        assert_eq!(rounds(&mut watch, 2, empty), [(2, Company::Alone)]);
    }

    #[test]
    fn who_is_gentle_looks_again_after_a_while_or_when_it_is_driven_out() {
        let mut watch = gentle();
        assert_eq!(watch.update(at(30), Sight { window: 250, ..ROUND }), None);
        assert_eq!(watch.update(at(31), ROUND), Some(Company::Firm));
        let mut watch = gentle();
        assert_eq!(watch.update(at(2), Sight { window: 249, ..ROUND }), Some(Company::Firm));
    }
}
