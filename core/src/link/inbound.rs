//! What arrives on a connection, taken apart.

use core::fmt;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::machine::{Bounded, Machine, Usage};
use crate::secure::Opener;
use crate::time::Instant;
use crate::wire::codec::{DecodeError, LENGTH_BYTES, decode, decode_length};
use crate::wire::limits::{FRAME_DEADLINE, MAX_FRAME_BYTES, PREAMBLE_DEADLINE};
use crate::wire::preamble::{PREAMBLE_BYTES, PreambleError, check_preamble};

/// The receiving half of a connection, decoding messages of type `M`.
#[derive(Debug)]
pub struct Inbound<M> {
    state: State,
    /// What has arrived of the preamble or of the frame at hand; never more than one frame.
    partial: Vec<u8>,
    /// When the preamble or the frame at hand must be whole.
    due: Option<Instant>,
    opener: Opener,
    message: PhantomData<fn() -> M>,
}

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// These bytes arrived; they are opened in place.
    Bytes(&'a mut [u8]),
    /// The other end finished sending.
    Ended,
    /// The deadline passed.
    Woke,
}

/// What must be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<M> {
    /// The other end greeted us properly.
    Greeted,
    /// A message arrived.
    Message(M),
    /// Close the connection: the other end is done (`None`) or misbehaved. Nothing follows.
    Close(Option<Violation>),
}

/// How the other end of a connection misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Its greeting was not ours.
    #[error(transparent)]
    Preamble(#[from] PreambleError),
    /// A frame was none.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// It closed in the middle of its greeting or of a frame.
    #[error("the connection ended in the middle of a message")]
    Truncated,
    /// Its greeting did not come in time.
    #[error("the other end did not greet in time")]
    SilentGreeting,
    /// It began a frame and did not finish it in time.
    #[error("the other end began a message and did not finish it in time")]
    SilentFrame,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Frames,
    Closed,
}

impl<M> Inbound<M> {
    /// A connection that was made at `now`.
    pub fn new(now: Instant) -> Self {
        Inbound {
            state: State::Preamble,
            partial: Vec::new(),
            due: Some(now + PREAMBLE_DEADLINE),
            opener: Opener::default(),
            message: PhantomData,
        }
    }

    fn close(&mut self, why: Option<Violation>, out: &mut Vec<Output<M>>) {
        self.state = State::Closed;
        self.partial = Vec::new();
        self.due = None;
        out.push(Output::Close(why));
    }

    /// Moves bytes from `bytes` until `partial` has `wanted`; whether it has.
    fn gather(&mut self, bytes: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.partial.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.partial.extend_from_slice(taken);
        *bytes = rest;
        self.partial.len() >= wanted
    }
}

impl<M: DeserializeOwned> Inbound<M> {
    fn take(&mut self, now: Instant, mut bytes: &[u8], out: &mut Vec<Output<M>>) -> Result<(), Violation> {
        if self.state == State::Preamble {
            if !self.gather(&mut bytes, PREAMBLE_BYTES) {
                return Ok(());
            }
            let mut preamble = [0; PREAMBLE_BYTES];
            preamble.copy_from_slice(&self.partial);
            check_preamble(&preamble)?;
            self.partial.clear();
            self.due = None;
            self.state = State::Frames;
            out.push(Output::Greeted);
        }
        while !bytes.is_empty() {
            match self.take_frame(&mut bytes)? {
                Some(message) => {
                    out.push(Output::Message(message));
                    self.due = None;
                }
                None => self.due = self.due.or(Some(now + FRAME_DEADLINE)),
            }
        }
        Ok(())
    }

    /// The next message, if all of it is there; decoded where it arrived if it arrived whole.
    fn take_frame(&mut self, bytes: &mut &[u8]) -> Result<Option<M>, Violation> {
        if self.partial.is_empty()
            && let Some((&length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>()
            && let Some((body, rest)) = rest.split_at_checked(decode_length(length)?)
        {
            *bytes = rest;
            return Ok(Some(decode(body)?));
        }
        if !self.gather(bytes, LENGTH_BYTES) {
            return Ok(None);
        }
        let mut length = [0; LENGTH_BYTES];
        length.copy_from_slice(&self.partial[..LENGTH_BYTES]);
        if !self.gather(bytes, LENGTH_BYTES + decode_length(length)?) {
            return Ok(None);
        }
        let message = decode(&self.partial[LENGTH_BYTES..])?;
        self.partial.clear();
        Ok(Some(message))
    }
}

impl<M: fmt::Debug> Bounded for Inbound<M> {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("bytes of a frame that is not whole", self.partial.len(), LENGTH_BYTES + MAX_FRAME_BYTES));
    }
}

impl<M: DeserializeOwned> Machine for Inbound<M> {
    type Input<'a> = Input<'a>;
    type Output = Output<M>;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output<M>>) {
        if self.state == State::Closed {
            return;
        }
        if self.due.is_some_and(|due| due <= now) {
            let silent = match self.state {
                State::Preamble => Violation::SilentGreeting,
                _ => Violation::SilentFrame,
            };
            return self.close(Some(silent), out);
        }
        match input {
            Input::Bytes(bytes) => {
                let opened = self.opener.open(bytes);
                if let Err(violation) = self.take(now, &bytes[..opened], out) {
                    self.close(Some(violation), out);
                }
            }
            Input::Ended => {
                let whole = self.state == State::Frames && self.partial.is_empty();
                self.close((!whole).then_some(Violation::Truncated), out);
            }
            Input::Woke => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::encode;
    use crate::wire::preamble::preamble;
    use proptest::prelude::*;

    type Link = Inbound<(String, u32)>;

    fn feed(link: &mut Link, now: Instant, bytes: &[u8]) -> Vec<Output<(String, u32)>> {
        let mut out = Vec::new();
        link.handle(now, Input::Bytes(&mut bytes.to_vec()), &mut out);
        out
    }

    fn greeted() -> Link {
        let mut link = Link::new(Instant::ZERO);
        assert_eq!(feed(&mut link, Instant::ZERO, &preamble()), [Output::Greeted]);
        link
    }

    #[test]
    fn silence_closes_in_the_preamble_and_in_a_frame_but_not_between_frames() {
        let mut out = Vec::new();
        let mut link = Link::new(Instant::ZERO);
        assert_eq!(link.deadline(), Some(Instant::ZERO + PREAMBLE_DEADLINE));
        link.handle(Instant::ZERO + PREAMBLE_DEADLINE, Input::Woke, &mut out);
        assert_eq!(out, [Output::Close(Some(Violation::SilentGreeting))]);

        let mut link = greeted();
        assert_eq!(link.deadline(), None);
        assert_eq!(feed(&mut link, Instant::ZERO, &[0, 0]), []);
        // More bytes of the same frame do not buy more time.
        assert_eq!(feed(&mut link, Instant::ZERO + FRAME_DEADLINE / 2, &[0]), []);
        out.clear();
        link.handle(Instant::ZERO + FRAME_DEADLINE, Input::Woke, &mut out);
        assert_eq!(out, [Output::Close(Some(Violation::SilentFrame))]);
        assert_eq!(link.deadline(), None);
    }

    #[test]
    fn misbehaviour_closes_with_its_reason() {
        let oversized = [0xff; 8];
        for (bytes, why) in [
            (&oversized[..], DecodeError::TooLong),
            (&[0, 0, 0, 0], DecodeError::Empty),
            (&[0, 0, 0, 1, 0xc1], DecodeError::Malformed),
        ] {
            assert_eq!(feed(&mut greeted(), Instant::ZERO, bytes), [Output::Close(Some(why.into()))]);
        }
        let http = feed(&mut Link::new(Instant::ZERO), Instant::ZERO, b"GET / HTTP/1.1\r\n");
        assert_eq!(http, [Output::Close(Some(PreambleError::NotToom.into()))]);
    }

    #[test]
    fn an_end_within_a_frame_is_told_from_an_end_between_frames() {
        for (bytes, why) in [(&[][..], None), (&[0, 0, 0], Some(Violation::Truncated))] {
            let mut link = greeted();
            feed(&mut link, Instant::ZERO, bytes);
            let mut out = Vec::new();
            link.handle(Instant::ZERO, Input::Ended, &mut out);
            assert_eq!(out, [Output::Close(why)]);
            assert_eq!(feed(&mut link, Instant::ZERO, b"more"), []);
        }
    }

    proptest! {
        #[test]
        fn messages_survive_any_split(
            messages in prop::collection::vec((".{0,40}", any::<u32>()), 0..20),
            cuts in prop::collection::vec(0usize..64, 1..40),
        ) {
            let mut stream = preamble().to_vec();
            for message in &messages {
                stream.extend_from_slice(&encode(message));
            }
            let (mut link, mut out) = (Link::new(Instant::ZERO), Vec::new());
            let mut cuts = cuts.iter().cycle();
            let mut rest = stream.as_mut_slice();
            while !rest.is_empty() {
                let cut = (*cuts.next().unwrap() + 1).min(rest.len());
                let (now, later) = rest.split_at_mut(cut);
                link.handle(Instant::ZERO, Input::Bytes(now), &mut out);
                rest = later;
            }
            let expected: Vec<_> =
                std::iter::once(Output::Greeted).chain(messages.into_iter().map(Output::Message)).collect();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn random_bytes_never_panic_and_close_at_most_once(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut link = greeted();
            let mut out = feed(&mut link, Instant::ZERO, &bytes);
            out.extend(feed(&mut link, Instant::ZERO, &bytes));
            prop_assert!(out.iter().filter(|o| matches!(o, Output::Close(_))).count() <= 1);
        }
    }
}
