//! What is about to leave on a connection.

use crate::machine::{Bounded, Usage};
use crate::secure::Sealer;
use crate::wire::limits::MAX_OUTBOX_BYTES;
use crate::wire::preamble::preamble;

/// The sending half of a connection: a bounded batch of frames that are ready to be written.
///
/// Push frames, then [`seal`](Outbound::seal) once, write [`pending`](Outbound::pending) with one call, and
/// report what was [`written`](Outbound::written).
#[derive(Debug)]
pub struct Outbound {
    /// Sealed bytes first, of which `gone` are written; then frames pushed since.
    bytes: Vec<u8>,
    gone: usize,
    sealed: usize,
    sealer: Sealer,
}

/// The other end reads too slowly: it must be disconnected, and can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end reads too slowly: {MAX_OUTBOX_BYTES} bytes are waiting for it")]
pub struct Full;

/// An empty outbox keeps at most this much memory.
const KEPT_CAPACITY: usize = 16 * 1024;

impl Default for Outbound {
    fn default() -> Self {
        Outbound::new()
    }
}

impl Outbound {
    /// A new connection's; our preamble is the first thing in it.
    pub fn new() -> Self {
        let bytes = preamble().to_vec();
        Outbound { sealed: bytes.len(), bytes, gone: 0, sealer: Sealer::default() }
    }

    /// Appends one frame (as `wire::codec::encode` made it).
    pub fn push(&mut self, frame: &[u8]) -> Result<(), Full> {
        if self.bytes.len() - self.gone + frame.len() > MAX_OUTBOX_BYTES {
            return Err(Full);
        }
        self.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// Seals what was pushed since the last call, as one batch.
    pub fn seal(&mut self) {
        if self.sealed < self.bytes.len() {
            self.sealer.seal(&mut self.bytes, self.sealed);
            self.sealed = self.bytes.len();
        }
    }

    /// The bytes to write next; empty if there is nothing to do.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.gone..self.sealed]
    }

    /// `count` bytes of [`pending`](Outbound::pending) were written.
    pub fn written(&mut self, count: usize) {
        self.gone = (self.gone + count).min(self.sealed);
        if self.gone == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            (self.gone, self.sealed) = (0, 0);
        } else if self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.sealed -= self.gone;
            self.gone = 0;
        }
    }
}

impl Bounded for Outbound {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("bytes that wait to be written", self.bytes.len() - self.gone, MAX_OUTBOX_BYTES));
        // What is written is moved away once it is more than half.
        each(Usage::new("bytes that are kept until they are written", self.bytes.len(), 2 * MAX_OUTBOX_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_pushed_comes_out_in_order(
            steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..50), 0usize..80), 0..60),
        ) {
            let (mut outbox, mut expected, mut written) = (Outbound::new(), preamble().to_vec(), Vec::new());
            for (frame, count) in steps {
                outbox.push(&frame).unwrap();
                expected.extend_from_slice(&frame);
                outbox.seal();
                let count = count.min(outbox.pending().len());
                written.extend_from_slice(&outbox.pending()[..count]);
                outbox.written(count);
            }
            written.extend_from_slice(outbox.pending());
            prop_assert_eq!(written, expected);
        }
    }

    #[test]
    fn a_slow_reader_is_refused_at_the_cap_and_not_before() {
        let mut outbox = Outbound::new();
        outbox.seal();
        outbox.written(outbox.pending().len());
        let frame = vec![1; MAX_OUTBOX_BYTES / 4];
        for _ in 0..4 {
            assert_eq!(outbox.push(&frame), Ok(()));
        }
        assert_eq!(outbox.push(&[1]), Err(Full));
        outbox.seal();
        outbox.written(1);
        assert_eq!(outbox.push(&[1]), Ok(()));
    }
}
