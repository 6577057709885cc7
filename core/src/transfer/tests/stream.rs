//! What is to the machines a stream at either end: a source that keeps so much, and a reader that takes its time.

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use crate::peer::RangeSet;
use crate::time::Instant;

/// A stream that is sent, and what its driver keeps of it.
#[derive(Debug)]
pub(super) struct Source {
    /// How much comes at once, and how long that takes.
    pub(super) piece: u64,
    pub(super) pause: Duration,
    /// How much is kept at most.
    pub(super) capacity: u64,
    pub(super) available: u64,
    released: u64,
    /// When the next piece may come.
    next_at: Instant,
    pub(super) most_kept: u64,
}

impl Source {
    pub(super) fn new(piece: u64, pause: Duration, capacity: u64) -> Source {
        Source { piece, pause, capacity, available: 0, released: 0, next_at: Instant::ZERO, most_kept: 0 }
    }

    /// The next piece of a stream of `length`: when it is there, and how much is there then.
    pub(super) fn take(&mut self, now: Instant, length: u64) -> Option<(Instant, u64)> {
        let end = (self.available + self.piece).min(length).min(self.released + self.capacity);
        if end == self.available {
            return None;
        }
        self.available = end;
        self.most_kept = self.most_kept.max(end - self.released);
        let at = self.next_at.max(now);
        self.next_at = at + self.pause;
        Some((at, end))
    }

    /// What is before `offset` is forgotten.
    pub(super) fn release(&mut self, offset: u64) {
        assert!(offset > self.released && offset <= self.available, "{offset} of {self:?}");
        self.released = offset;
    }

    pub(super) fn has(&self, range: Range<u64>) -> bool {
        self.released <= range.start && range.end <= self.available
    }
}

/// Who takes what arrives, in its order.
#[derive(Debug)]
pub(super) struct Reader {
    /// How long each time takes.
    pub(super) pause: Duration,
    arrived: RangeSet,
    pub(super) taken: u64,
    /// What it is taking: when it is done, and up to where.
    taking: VecDeque<(Instant, u64)>,
    done: u64,
    /// When it takes the next bytes.
    pub(super) free_at: Instant,
    pub(super) most_kept: u64,
}

impl Reader {
    pub(super) fn new(pause: Duration) -> Reader {
        Reader {
            pause,
            arrived: RangeSet::new(),
            taken: 0,
            taking: VecDeque::new(),
            done: 0,
            free_at: Instant::ZERO,
            most_kept: 0,
        }
    }

    /// Bytes have come: when it has taken what is in order now, and how much that is.
    pub(super) fn take(&mut self, now: Instant, offset: u64, length: u64) -> Option<(Instant, u64)> {
        while let Some((_, end)) = self.taking.pop_front_if(|(at, _)| *at <= now) {
            self.done = end;
        }
        self.arrived.insert(offset..offset + length);
        self.most_kept = self.most_kept.max(offset + length - self.done);
        let end = self.arrived.iter().next().filter(|first| first.start == 0).map_or(0, |first| first.end);
        let bytes = end - self.taken;
        if bytes == 0 {
            return None;
        }
        self.taken = end;
        self.free_at = self.free_at.max(now) + self.pause;
        self.taking.push_back((self.free_at, end));
        Some((self.free_at, bytes))
    }
}
