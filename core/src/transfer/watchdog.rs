//! Why a transfer does not move: said when no byte of it has moved for a second, once for each change of the reason.
//!
//! It knows only what it is told ([`Facts`]) and when.

use core::time::Duration;

use crate::client::standing::Waiting;
use crate::machine::earlier;
use crate::peer::AWAY_AFTER;
use crate::time::Instant;

/// A transfer of which no byte moves for so long stands still. Longer than any round trip and than a disk that is well
/// takes for one thing; shorter than people wait before they wonder.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// What is known of a transfer that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// So many bytes have moved.
    pub(super) bytes: u64,
    /// When the other end was heard last, if it ever was.
    pub(super) heard_at: Option<Instant>,
    /// While the disk here, or what else takes the bytes, owes something: what it is, and a number that changes whenever
    /// it has done something of it.
    pub(super) disk: Option<(Waiting, u64)>,
    /// What else both ends know to be under way instead.
    pub(super) work: Option<Waiting>,
}

/// What is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It waits for something.
    Waits(Waiting),
    /// The other end is away, and was heard last so long ago.
    Paused(Duration),
    /// It waits no longer.
    GoesOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Waits(Waiting),
    Paused,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Watchdog {
    bytes: u64,
    moved_at: Instant,
    /// What the disk has done when, since it owes something.
    disk: Option<(u64, Instant)>,
    told: Option<Reason>,
    /// When the reason may be another one, if nothing happens.
    next: Option<Instant>,
}

impl Watchdog {
    /// Of a transfer that begins.
    pub(super) fn new(now: Instant) -> Watchdog {
        Watchdog { bytes: 0, moved_at: now, disk: None, told: None, next: Some(now + STALL) }
    }

    /// This is so now; answers what is new.
    pub(super) fn update(&mut self, now: Instant, facts: Facts) -> Option<News> {
        if facts.bytes != self.bytes {
            (self.bytes, self.moved_at) = (facts.bytes, now);
        }
        self.disk = facts.disk.map(|(_, done)| match self.disk {
            Some((before, since)) if before == done => (done, since),
            _ => (done, now),
        });
        let mut reason = self.reason(now, facts);
        if self.told == Some(Reason::Paused) && reason != Some(Reason::Paused) {
            // It has a second to move again.
            (self.moved_at, reason) = (now, None);
        }
        self.next = self.next_after(now, facts).filter(|_| reason != Some(Reason::Paused));
        if reason == self.told {
            return None;
        }
        self.told = reason;
        Some(match reason {
            Some(Reason::Waits(waiting)) => News::Waits(waiting),
            Some(Reason::Paused) => {
                News::Paused(facts.heard_at.map_or(Duration::ZERO, |heard_at| now.saturating_since(heard_at)))
            }
            None => News::GoesOn,
        })
    }

    /// When [`update`](Watchdog::update) would have news although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn reason(&self, now: Instant, facts: Facts) -> Option<Reason> {
        if now < self.moved_at + STALL {
            return None;
        }
        let is_away = facts.heard_at.is_some_and(|heard_at| now >= heard_at + AWAY_AFTER);
        let is_slow = self.disk.is_some_and(|(_, since)| now >= since + STALL);
        let slow = facts.disk.filter(|_| is_slow).map(|(disk, _)| disk);
        Some(match slow.or(facts.work) {
            _ if is_away => Reason::Paused,
            Some(waiting) => Reason::Waits(waiting),
            None if facts.heard_at.is_none() => Reason::Waits(Waiting::Answer),
            // The disk has begun only since: it may be what all wait for.
            None if self.disk.is_some() && now < self.moved_at + STALL * 2 => return self.told,
            None => Reason::Waits(Waiting::Bytes),
        })
    }

    fn next_after(&self, now: Instant, facts: Facts) -> Option<Instant> {
        let stalls = self.moved_at + STALL;
        if now < stalls {
            return Some(stalls);
        }
        let later = |at: Instant| Some(at).filter(|at| *at > now);
        let leaves = facts.heard_at.and_then(|heard_at| later(heard_at + AWAY_AFTER));
        let disk = self.disk.and_then(|(_, since)| earlier(later(since + STALL), later(self.moved_at + STALL * 2)));
        earlier(leaves, disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Facts = Facts { bytes: 0, heard_at: None, disk: None, work: None };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn heard(millis: u64, bytes: u64) -> Facts {
        Facts { bytes, heard_at: Some(at(millis)), ..CALM }
    }

    #[test]
    fn it_says_nothing_while_bytes_move() {
        let mut watchdog = Watchdog::new(at(0));
        for second in 0..100 {
            let now = second * 999;
            assert_eq!(watchdog.update(at(now), heard(now, second)), None);
            assert_eq!(watchdog.deadline(), Some(at(now) + STALL));
        }
    }

    #[test]
    fn each_reason_is_said_once_when_it_is_due_and_the_nearest_first() {
        let mut watchdog = Watchdog::new(at(0));
        assert_eq!(watchdog.update(at(999), CALM), None);
        assert_eq!(watchdog.update(at(1_000), CALM), Some(News::Waits(Waiting::Answer)));
        assert_eq!((watchdog.update(at(9_000), CALM), watchdog.deadline()), (None, None));
        let work = Facts { work: Some(Waiting::PeerDisk), ..heard(9_000, 0) };
        assert_eq!(watchdog.update(at(9_000), work), Some(News::Waits(Waiting::PeerDisk)));
        assert_eq!(watchdog.deadline(), Some(at(14_000)));
        let disk = Facts { disk: Some((Waiting::OwnDisk, 7)), ..work };
        assert_eq!((watchdog.update(at(9_500), disk), watchdog.deadline()), (None, Some(at(10_500))));
        assert_eq!(watchdog.update(at(10_500), disk), Some(News::Waits(Waiting::OwnDisk)));
        assert_eq!((watchdog.update(at(13_999), disk), watchdog.deadline()), (None, Some(at(14_000))));
        assert_eq!(watchdog.update(at(14_000), disk), Some(News::Paused(AWAY_AFTER)));
        assert_eq!((watchdog.update(at(15_000), disk), watchdog.deadline()), (None, None), "until it is heard");
    }

    #[test]
    fn a_disk_that_does_something_every_now_and_then_is_not_what_it_waits_for() {
        let mut watchdog = Watchdog::new(at(0));
        let disk = |done| Facts { disk: Some((Waiting::OwnDisk, done)), ..heard(0, 0) };
        for (now, done, news) in [
            (0, 1, None),
            (900, 2, None),
            (1_800, 3, None),
            (2_000, 3, Some(News::Waits(Waiting::Bytes))),
            (2_799, 3, None),
            (2_800, 3, Some(News::Waits(Waiting::OwnDisk))),
        ] {
            assert_eq!(watchdog.update(at(now), disk(done)), news, "{now}");
        }
    }

    #[test]
    fn what_is_heard_again_goes_on_and_has_a_second_to_move() {
        let mut watchdog = Watchdog::new(at(0));
        assert_eq!(watchdog.update(at(100), heard(100, 7)), None);
        assert_eq!(watchdog.update(at(1_100), heard(100, 7)), Some(News::Waits(Waiting::Bytes)));
        assert_eq!(watchdog.update(at(60_100), heard(100, 7)), Some(News::Paused(Duration::from_secs(60))));
        assert_eq!(watchdog.update(at(70_000), heard(70_000, 7)), Some(News::GoesOn));
        assert_eq!(watchdog.deadline(), Some(at(71_000)));
        assert_eq!(watchdog.update(at(71_000), heard(71_000, 7)), Some(News::Waits(Waiting::Bytes)));
        assert_eq!(watchdog.update(at(71_001), heard(71_001, 8)), Some(News::GoesOn));
    }
}
