//! What is about to leave on a connection.

use super::Established;
use crate::machine::{Bounded, Usage};
use crate::secure::{MAX_RECORD_BYTES, MAX_RECORD_PAYLOAD, RECORD_HEADER_BYTES, Sealer, TAG_BYTES};
use crate::time::Instant;
use crate::wire::limits::MAX_OUTBOX_BYTES;

/// The sending half of a connection: a bounded batch of frames that are ready to be written.
///
/// Push frames, then [`seal`](Outbound::seal) once, write [`pending`](Outbound::pending) with one call, and
/// report what was [`written`](Outbound::written). Frames are laid out as records when they are pushed, with room for
/// what sealing adds, so that each byte is copied once and sealed in place.
#[derive(Debug, Default)]
pub struct Outbound {
    /// Sealed bytes first, of which `gone` are written; then records that have not been sealed.
    bytes: Vec<u8>,
    gone: usize,
    sealed: usize,
    /// Frame bytes in the last record, if there is room for more in it.
    open: Option<usize>,
    /// Once the handshake is done.
    sealer: Option<Sealer>,
}

/// The other end reads too slowly: it must be disconnected, and can resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end reads too slowly: {MAX_OUTBOX_BYTES} bytes are waiting for it")]
pub struct Full;

/// An empty outbox keeps at most this much memory.
const KEPT_CAPACITY: usize = 16 * 1024;

/// What sealing adds to a record.
const RECORD_OVERHEAD: usize = RECORD_HEADER_BYTES + TAG_BYTES;

impl Outbound {
    /// A new connection's.
    pub fn new() -> Self {
        Outbound::default()
    }

    /// Appends a part of the handshake, which is written as it is, before all frames.
    pub fn push_handshake(&mut self, bytes: &[u8]) {
        debug_assert!(self.sealer.is_none(), "the handshake is done");
        self.bytes.splice(self.sealed..self.sealed, bytes.iter().copied());
        self.sealed += bytes.len();
    }

    /// The handshake is done: what is pushed is sealed from now on. Frames that were pushed before have waited.
    pub fn establish(&mut self, established: Established) {
        self.sealer = Some(established.sealer);
    }

    /// Appends one frame (as `wire::codec::encode` made it).
    pub fn push(&mut self, mut frame: &[u8]) -> Result<(), Full> {
        let records = frame.len() / MAX_RECORD_PAYLOAD + 1;
        let with_frame = self.bytes.len() - self.gone + TAG_BYTES + frame.len() + records * RECORD_OVERHEAD;
        if with_frame > MAX_OUTBOX_BYTES {
            return Err(Full);
        }
        while !frame.is_empty() {
            let filled = match self.open {
                Some(filled) => filled,
                None => {
                    self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
                    0
                }
            };
            let (now, later) = frame.split_at(frame.len().min(MAX_RECORD_PAYLOAD - filled));
            self.bytes.extend_from_slice(now);
            frame = later;
            self.open = Some(filled + now.len());
            if filled + now.len() == MAX_RECORD_PAYLOAD {
                self.end_record();
            }
        }
        Ok(())
    }

    /// Seals what was pushed since the last call; nothing before the handshake is done.
    pub fn seal(&mut self, now: Instant) {
        let Some(sealer) = &mut self.sealer else { return };
        if self.open.take().is_some() {
            self.bytes.extend_from_slice(&[0; TAG_BYTES]);
        }
        // All records but the last are full.
        for record in self.bytes[self.sealed..].chunks_mut(MAX_RECORD_BYTES) {
            sealer.seal(now, record);
        }
        self.sealed = self.bytes.len();
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

    fn end_record(&mut self) {
        self.bytes.extend_from_slice(&[0; TAG_BYTES]);
        self.open = None;
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
    use crate::secure::{Opener, PublicKey, RecordHeader, Suite};
    use proptest::prelude::*;

    fn ends() -> (Sealer, Opener) {
        let (suite, key) = (Suite::AesGcm, || [5; 32].into());
        (Sealer::new(suite, key(), Instant::ZERO), Opener::new(suite, key()))
    }

    /// An outbox whose handshake is done, and what opens its records.
    fn established() -> (Outbound, Opener) {
        let (sealer, opener) = ends();
        let mut outbox = Outbound::new();
        outbox.establish(Established { sealer, remote: PublicKey([0; 32]) });
        (outbox, opener)
    }

    fn open_all(mut opener: Opener, mut sealed: &mut [u8]) -> Vec<u8> {
        let mut opened = Vec::new();
        while !sealed.is_empty() {
            let header = RecordHeader::decode([sealed[0], sealed[1]]).expect("a record");
            let (record, rest) = sealed.split_at_mut(header.length);
            opened.extend_from_slice(opener.open(header, record).expect("the next record"));
            sealed = rest;
        }
        opened
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_out_in_order(
            steps in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..50), 1usize..900, any::<bool>(), 0usize..90_000),
                0..60,
            ),
        ) {
            let (mut outbox, opener) = established();
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            for (piece, times, seal, count) in steps {
                let frame = piece.repeat(times);
                outbox.push(&frame).unwrap();
                expected.extend_from_slice(&frame);
                if seal {
                    outbox.seal(Instant::ZERO);
                }
                let count = count.min(outbox.pending().len());
                written.extend_from_slice(&outbox.pending()[..count]);
                outbox.written(count);
            }
            outbox.seal(Instant::ZERO);
            written.extend_from_slice(outbox.pending());
            prop_assert_eq!(open_all(opener, &mut written), expected);
        }
    }

    #[test]
    fn a_slow_reader_is_refused_near_the_cap_and_not_before() {
        let (mut outbox, _) = established();
        let frame = vec![1; MAX_OUTBOX_BYTES / 4 - 2_000];
        for _ in 0..4 {
            assert_eq!(outbox.push(&frame), Ok(()));
        }
        assert_eq!(outbox.push(&[1; 10_000]), Err(Full));
        outbox.seal(Instant::ZERO);
        assert!(outbox.pending().len() > MAX_OUTBOX_BYTES - 10_000 && outbox.pending().len() <= MAX_OUTBOX_BYTES);
        outbox.written(10_000);
        assert_eq!(outbox.push(&[1; 10_000]), Ok(()));
    }

    #[test]
    fn frames_wait_for_the_end_of_the_handshake() {
        let mut outbox = Outbound::new();
        outbox.push_handshake(b"hello");
        outbox.push(b"frame").unwrap();
        outbox.seal(Instant::ZERO);
        assert_eq!(outbox.pending(), b"hello");
        outbox.push_handshake(b", hello");
        outbox.written(5);
        assert_eq!(outbox.pending(), b", hello");
        outbox.written(7);
        let (sealer, opener) = ends();
        outbox.establish(Established { sealer, remote: PublicKey([0; 32]) });
        outbox.seal(Instant::ZERO);
        assert_eq!(open_all(opener, &mut outbox.pending().to_vec()), b"frame");
    }
}
