//! Explicit congestion notification (RFC 3168): what the network writes on packets instead of dropping them.
//!
//! # Theory of operation
//!
//! A sender says on its packets that they may be marked (`ECT(0)`). A router with a queue writes `CE` on some of them, and
//! the receiver counts what it sees and tells it with its acknowledgements (RFC 9000, section 13.4). A path may clear the
//! marks, bend them, or drop marked packets. So the counts must account for every marked packet that is acknowledged
//! (section 13.4.2); when they do not, or nothing marked gets through at all, packets are not marked any more.

use core::ops::Range;

use crate::wire::ecn::EcnCounts;

/// Whether packets are sent so that they may be marked.
#[derive(Debug)]
pub(super) struct Marking {
    /// Between these numbers those of file are, or were.
    marked: Range<u64>,
    on: bool,
    /// The counts were right at least once.
    is_proven: bool,
    /// Nothing got through that was marked.
    is_blamed: bool,
    /// As the other end told last.
    told: EcnCounts,
    /// With the acknowledgement of which packet.
    largest: Option<u64>,
    /// Marked packets that were acknowledged since.
    acknowledged: u64,
}

impl Marking {
    /// Packets of file from this number on are marked, until it turns out that they cannot be.
    pub(super) fn from(number: u64, told: EcnCounts) -> Marking {
        Marking {
            marked: number..number,
            on: true,
            is_proven: false,
            is_blamed: false,
            told,
            largest: None,
            acknowledged: 0,
        }
    }

    /// As the other end told last, whatever became of it.
    pub(super) fn told(&self) -> EcnCounts {
        self.told
    }

    /// Whether the packets that leave now are marked; `next` is the number of the first after them.
    pub(super) fn mark(&mut self, next: u64) -> bool {
        if self.on {
            self.marked.end = next;
        }
        self.on
    }

    /// A packet of file was acknowledged for the first time.
    pub(super) fn on_acknowledged(&mut self, number: u64) {
        self.acknowledged += u64::from(self.marked.contains(&number));
    }

    /// What an acknowledgement told, after all its packets; answers how many more have met a queue.
    pub(super) fn on_told(&mut self, largest: u64, told: Option<EcnCounts>) -> u64 {
        // Those that overtook each other would seem to count backwards.
        if self.largest.is_some_and(|before| largest <= before) {
            return 0;
        }
        let acknowledged = core::mem::take(&mut self.acknowledged);
        self.largest = Some(largest);
        let told = match told {
            Some(told) => told,
            None => {
                self.on &= acknowledged == 0;
                return 0;
            }
        };
        let more = |now: u64, before: u64| now.checked_sub(before);
        let (ect0, ect1) = (more(told.ect0, self.told.ect0), more(told.ect1, self.told.ect1));
        let congestion = more(told.congestion, self.told.congestion);
        self.told = told;
        let is_right = ect1 == Some(0)
            && ect0.zip(congestion).is_some_and(|(ect0, congestion)| ect0.saturating_add(congestion) >= acknowledged);
        if !(is_right && self.on) {
            self.on = false;
            return 0;
        }
        self.is_proven |= acknowledged > 0;
        congestion.unwrap_or(0)
    }

    /// Nothing gets through: it may be because of the marks, unless some have got through before.
    pub(super) fn on_silence(&mut self) {
        if self.on && !self.is_proven {
            (self.on, self.is_blamed) = (false, true);
        }
    }

    /// Whether a packet of file that is lost may be lost because it was marked: then that says nothing of congestion.
    pub(super) fn is_blamed_for(&self, number: u64) -> bool {
        self.is_blamed && self.marked.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ect0: u64, ect1: u64, congestion: u64) -> Option<EcnCounts> {
        Some(EcnCounts { ect0, ect1, congestion })
    }

    /// Ten packets are sent and arrive; whether the next one is marked, and how many have met a queue.
    fn after(told: Option<EcnCounts>) -> (bool, u64) {
        let mut marking = Marking::from(0, EcnCounts::default());
        assert!(marking.mark(10));
        (0..10).for_each(|number| marking.on_acknowledged(number));
        let met = marking.on_told(9, told);
        (marking.mark(11), met)
    }

    #[test]
    fn counts_must_account_for_all_that_was_marked() {
        for (told, expected) in [
            (counts(10, 0, 0), (true, 0)),
            (counts(7, 0, 3), (true, 3)),
            (counts(0, 0, 10), (true, 10)),
            // Packets that are not acknowledged count too.
            (counts(12, 0, 0), (true, 0)),
            (None, (false, 0)),
            (counts(9, 0, 0), (false, 0)),
            (counts(9, 1, 0), (false, 0)),
            (counts(u64::MAX, 0, u64::MAX), (true, u64::MAX)),
        ] {
            assert_eq!(after(told), expected, "{told:?}");
        }
    }

    #[test]
    fn only_news_is_news() {
        let mut marking = Marking::from(0, EcnCounts::default());
        marking.mark(30);
        (0..20).for_each(|number| marking.on_acknowledged(number));
        assert_eq!(marking.on_told(19, counts(18, 0, 2)), 2);
        assert_eq!(marking.on_told(9, counts(9, 0, 1)), 0, "this one was overtaken");
        (20..25).for_each(|number| marking.on_acknowledged(number));
        assert_eq!(marking.on_told(24, counts(22, 0, 3)), 1);
        marking.on_acknowledged(25);
        assert_eq!((marking.on_told(25, counts(23, 0, 2)), marking.mark(40)), (0, false), "it counts backwards");
    }

    #[test]
    fn what_was_not_marked_need_not_be_counted() {
        let mut marking = Marking::from(10, counts(5, 0, 1).unwrap());
        marking.mark(12);
        (8..12).for_each(|number| marking.on_acknowledged(number));
        assert_eq!((marking.on_told(11, counts(7, 0, 1)), marking.mark(20)), (0, true));
    }

    #[test]
    fn silence_ends_it_before_it_has_ever_worked_and_not_after() {
        let mut marking = Marking::from(0, EcnCounts::default());
        marking.mark(10);
        assert!(!marking.is_blamed_for(9));
        marking.on_silence();
        assert!(!marking.mark(11));
        assert!(marking.is_blamed_for(9) && !marking.is_blamed_for(10));

        let mut marking = Marking::from(0, EcnCounts::default());
        marking.mark(10);
        marking.on_acknowledged(0);
        marking.on_told(0, counts(1, 0, 0));
        marking.on_silence();
        assert!(marking.mark(11) && !marking.is_blamed_for(9));
    }
}
