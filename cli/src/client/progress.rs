//! How often a person hears about a transfer: every quarter, and every two seconds in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use toom_core::client::event::{Transfer, TransferState};
use toom_core::id::OfferId;

/// Between two lines about one transfer, unless it came to the next quarter.
const PERIOD: Duration = Duration::from_secs(2);

/// What was said about each transfer that is under way.
#[derive(Default)]
pub(crate) struct Progress {
    said: BTreeMap<OfferId, (Instant, u64)>,
}

impl Progress {
    /// Whether to say how far `transfer` is now. It ends with the transfer.
    pub(crate) fn is_news(&mut self, transfer: &Transfer, now: Instant) -> bool {
        // It goes on from there.
        if matches!(transfer.state, TransferState::Waiting(_) | TransferState::Paused { .. }) {
            return false;
        }
        if transfer.state != TransferState::Moving {
            match transfer.state {
                TransferState::Starting => self.said.insert(transfer.id, (now, 0)),
                _ => self.said.remove(&transfer.id),
            };
            return false;
        }
        let quarter = quarter(transfer);
        let (at, last_quarter) = self.said.entry(transfer.id).or_insert((now, 0));
        // The end is said when the file has its name.
        let news = quarter < 4 && (quarter > *last_quarter || now.duration_since(*at) >= PERIOD);
        if news {
            (*at, *last_quarter) = (now, quarter);
        }
        news
    }
}

fn quarter(transfer: &Transfer) -> u64 {
    match transfer.total {
        // It is said every two seconds then.
        None => 0,
        Some(0) => 4,
        Some(total) => (u128::from(transfer.bytes) * 4 / u128::from(total)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::client::event::Direction;
    use toom_core::name::UserName;
    use toom_core::text::FileLabel;

    fn transfer(state: TransferState, bytes: u64) -> Transfer {
        Transfer {
            id: OfferId(1),
            peer: UserName::new("yoda").unwrap(),
            name: FileLabel::new("film.mp4"),
            direction: Direction::In,
            state,
            bytes,
            total: Some(1000),
            rate_bps: 0,
            path: Default::default(),
        }
    }

    #[test]
    fn a_stream_has_no_quarters_but_seconds() {
        let (start, mut progress) = (Instant::now(), Progress::default());
        let stream = |bytes| Transfer { total: None, ..transfer(TransferState::Moving, bytes) };
        let said = [(100, 0), (900, 1), (950, 2_000), (999, 2_001)]
            .map(|(bytes, at)| progress.is_news(&stream(bytes), start + Duration::from_millis(at)));
        assert_eq!(said, [false, false, true, false]);
    }

    #[test]
    fn quarters_and_seconds_make_news() {
        let start = Instant::now();
        let mut progress = Progress::default();
        assert!(!progress.is_news(&transfer(TransferState::Starting, 0), start));
        let said: Vec<_> =
            [(100, 0), (249, 1), (250, 1), (260, 1), (300, 1_900), (310, 2_100), (750, 3_200), (1000, 9_000)]
                .into_iter()
                .filter(|(bytes, at)| {
                    let at = start + Duration::from_millis(*at);
                    progress.is_news(&transfer(TransferState::Moving, *bytes), at)
                })
                .map(|(bytes, _)| bytes)
                .collect();
        assert_eq!(said, [250, 310, 750]);
        assert!(!progress.is_news(&transfer(TransferState::Done { blake3: [0; 32], saved_as: None }, 1000), start));
        assert!(progress.said.is_empty());
    }
}
