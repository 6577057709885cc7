//! A stream that is received: what arrives before its turn is kept until it can be written.

use std::io::{ErrorKind, Write};
use std::sync::Arc;

use toom_core::peer::RangeSet;

use super::ring::Ring;
use super::{BLOCK, Shared};
use crate::system::in_words;

/// A stream that is received. Its thread ends soon after this is dropped, or when nobody takes the bytes any more.
#[derive(Debug)]
pub(crate) struct StreamSink(pub(super) Arc<Shared<State>>);

/// What has become of it since somebody looked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SinkNews {
    /// How many more bytes were written.
    pub(crate) written: u64,
    /// Why no more can be written.
    pub(crate) failed: Option<String>,
}

#[derive(Debug)]
pub(super) struct State {
    /// What has arrived and was not written.
    ring: Ring,
    arrived: RangeSet,
    /// Of what was written.
    hasher: blake3::Hasher,
    /// How much was written when somebody looked.
    seen: u64,
    failed: Option<String>,
    /// The driver was told that there is news, and has not looked.
    told: bool,
    closed: bool,
}

impl State {
    /// The end of what has arrived without a gap.
    pub(super) fn in_order(&self) -> u64 {
        self.arrived.iter().next().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }
}

impl StreamSink {
    /// Keeps at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> StreamSink {
        let (ring, arrived, hasher) = (Ring::new(capacity), RangeSet::new(), blake3::Hasher::new());
        let state = State { ring, arrived, hasher, seen: 0, failed: None, told: false, closed: false };
        StreamSink(Arc::new(Shared::new(state)))
    }

    /// What its thread does: writes what is in order, and calls `tell` when there is news.
    pub(crate) fn body<O: Write>(&self) -> impl FnOnce(O, &dyn Fn()) + Send + 'static {
        let shared = Arc::clone(&self.0);
        move |output, tell| write_all(&shared, output, tell)
    }

    /// Takes bytes, in any order; whether there is room for them.
    #[must_use]
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> bool {
        self.0.change(|state| {
            let has_room = state.ring.put(offset, bytes);
            if has_room {
                state.arrived.insert(offset..offset + bytes.len() as u64);
            }
            has_room
        })
    }

    /// What has become of it.
    pub(crate) fn news(&self) -> SinkNews {
        let mut state = self.0.lock();
        state.told = false;
        let written = state.ring.base() - state.seen;
        state.seen = state.ring.base();
        SinkNews { written, failed: state.failed.take() }
    }

    /// The hash of what was written.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.0.lock().hasher.finalize().into()
    }
}

impl Drop for StreamSink {
    fn drop(&mut self) {
        self.0.change(|state| state.closed = true);
    }
}

fn write_all(shared: &Shared<State>, mut output: impl Write, tell: &dyn Fn()) {
    let mut block = vec![0; BLOCK];
    loop {
        let length = {
            let state = shared.wait_while(|state| !state.closed && state.in_order() == state.ring.base());
            if state.closed {
                return;
            }
            let (base, end) = (state.ring.base(), state.in_order());
            let length = usize::try_from(end - base).unwrap_or(BLOCK).min(BLOCK);
            let is_there = state.ring.get(base, &mut block[..length]);
            debug_assert!(is_there);
            length
        };
        let written = output.write_all(&block[..length]).and_then(|()| output.flush());
        let (failed, is_news) = {
            let mut state = shared.lock();
            match &written {
                Ok(()) => {
                    state.hasher.update(&block[..length]);
                    let base = state.ring.base() + length as u64;
                    state.ring.release(base);
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    state.failed = Some("nobody reads standard output any more".into());
                }
                Err(error) => state.failed = Some(format!("standard output cannot be written: {}", in_words(error))),
            }
            (written.is_err(), !core::mem::replace(&mut state.told, true))
        };
        if is_news {
            tell();
        }
        if failed {
            return;
        }
    }
}
