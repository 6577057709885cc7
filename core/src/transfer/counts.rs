//! What an endpoint has counted, for those who ask from elsewhere.

use std::collections::{BTreeMap, VecDeque};

use super::io::{Counters, Dropped};
use super::keys::Unopened;
use crate::id::OfferId;

/// Transfers that have ended and whose counters can still be asked for.
const MAX_ENDED: usize = 64;

/// What an endpoint has counted.
#[derive(Debug, Default)]
pub struct Counts {
    transfers: BTreeMap<OfferId, Counters>,
    /// The oldest first.
    ended: VecDeque<OfferId>,
    dropped: Dropped,
}

impl Counts {
    /// The counters of a transfer that is under way or has just ended.
    pub fn transfer(&self, transfer: OfferId) -> Option<Counters> {
        self.transfers.get(&transfer).copied()
    }

    /// Datagrams that belonged to no transfer.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Takes over what a transfer has counted, if it has.
    pub fn update(&mut self, transfer: OfferId, counters: Option<Counters>) {
        if let Some(counters) = counters {
            self.transfers.insert(transfer, counters);
        }
    }

    /// A transfer is over: its counters stay for a while.
    pub fn ended(&mut self, transfer: OfferId) {
        self.ended.push_back(transfer);
        if self.ended.len() > MAX_ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.transfers.remove(&oldest);
        }
    }

    /// A datagram was dropped.
    pub fn drop_datagram(&mut self, why: Unopened) {
        match why {
            Unopened::NotOurs => self.dropped.not_ours += 1,
            Unopened::UnknownIndex => self.dropped.unknown_index += 1,
            Unopened::Forged => self.dropped.forged += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_latest_that_ended_are_kept_and_those_under_way_always() {
        let mut counts = Counts::default();
        let last = MAX_ENDED as u64 + 10;
        for id in 0..=last {
            counts.update(OfferId(id), Some(Counters { packets_sent: id, ..Counters::default() }));
            if id != 3 {
                counts.ended(OfferId(id));
            }
        }
        let sent = |id| counts.transfer(OfferId(id)).map(|counters| counters.packets_sent);
        assert_eq!((sent(0), sent(3), sent(last)), (None, Some(3), Some(last)));
        assert_eq!(counts.transfers.len(), MAX_ENDED + 1);
    }

    #[test]
    fn dropped_datagrams_are_counted_by_reason() {
        let mut counts = Counts::default();
        for why in [Unopened::Forged, Unopened::NotOurs, Unopened::Forged, Unopened::UnknownIndex] {
            counts.drop_datagram(why);
        }
        assert_eq!(counts.dropped(), Dropped { not_ours: 1, unknown_index: 1, forged: 2 });
    }
}
