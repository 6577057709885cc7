//! A stream that is sent: what was read of it is kept until it has arrived.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use super::ring::Ring;
use super::{BLOCK, Shared};
use crate::system::in_words;

/// A stream that is sent. Its thread ends at the end of the stream, or soon after this is dropped.
#[derive(Debug)]
pub(crate) struct StreamSource(pub(super) Arc<Shared<State>>);

/// What has become of it since somebody looked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceNews {
    /// How much has come, from the beginning.
    pub(crate) available: u64,
    /// If it has ended: the hash of all of it, or why it cannot be read.
    pub(crate) ended: Option<Result<[u8; 32], String>>,
}

#[derive(Debug)]
pub(super) struct State {
    /// What may be asked for again.
    ring: Ring,
    pub(super) available: u64,
    ended: Option<Result<[u8; 32], String>>,
    /// The driver was told that there is news, and has not looked.
    told: bool,
    closed: bool,
}

impl StreamSource {
    /// Keeps at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> StreamSource {
        let state = State { ring: Ring::new(capacity), available: 0, ended: None, told: false, closed: false };
        StreamSource(Arc::new(Shared::new(state)))
    }

    /// What its thread does: reads, as far as there is room, and calls `tell` when there is news.
    pub(crate) fn body<I: Read>(&self) -> impl FnOnce(I, &dyn Fn()) + Send + 'static {
        let shared = Arc::clone(&self.0);
        move |input, tell| read_all(&shared, input, tell)
    }

    /// What has become of it.
    pub(crate) fn news(&self) -> SourceNews {
        let mut state = self.0.lock();
        state.told = false;
        SourceNews { available: state.available, ended: state.ended.take() }
    }

    /// Fills `buffer` from `offset`, with what has come and was not released.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock();
        let is_there = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= state.available);
        match is_there && state.ring.get(offset, buffer) {
            true => Ok(()),
            false => Err(io::Error::other("that part of the stream is not there")),
        }
    }

    /// What is before `offset` has arrived.
    pub(crate) fn release(&self, offset: u64) {
        self.0.change(|state| state.ring.release(offset.min(state.available)));
    }
}

impl Drop for StreamSource {
    fn drop(&mut self) {
        self.0.change(|state| state.closed = true);
    }
}

fn read_all(shared: &Shared<State>, mut input: impl Read, tell: &dyn Fn()) {
    let (mut hasher, mut block) = (blake3::Hasher::new(), vec![0; BLOCK]);
    loop {
        let room = {
            let state = shared.wait_while(|state| !state.closed && state.available == state.ring.end());
            if state.closed {
                return;
            }
            usize::try_from(state.ring.end() - state.available).unwrap_or(BLOCK).min(BLOCK)
        };
        let read = input.read(&mut block[..room]);
        let bytes = match &read {
            Ok(length) => &block[..*length],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => &[],
        };
        hasher.update(bytes);
        let (is_end, is_news) = {
            let mut state = shared.lock();
            // There was room, and only this thread takes it.
            let end = state.available;
            let kept = state.ring.put(end, bytes);
            debug_assert!(kept);
            state.available += bytes.len() as u64;
            state.ended = match read {
                Ok(0) => Some(Ok(hasher.finalize().into())),
                Ok(_) => None,
                Err(error) => Some(Err(format!("standard input cannot be read: {}", in_words(&error)))),
            };
            (state.ended.is_some(), !core::mem::replace(&mut state.told, true))
        };
        if is_news {
            tell();
        }
        if is_end {
            return;
        }
    }
}
