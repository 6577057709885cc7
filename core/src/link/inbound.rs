//! What arrives on a connection, taken apart: first the handshake, then records, and frames in them.

use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::handshake::{Established, Handshaking, Identity, MAX_HANDSHAKE_BYTES};
use crate::machine::{Bounded, Machine, Usage};
use crate::secure::{
    HandshakeFailed, MAX_RECORD_BYTES, Opener, PublicKey, RECORD_HEADER_BYTES, RecordForged, RecordHeader,
};
use crate::time::Instant;
use crate::wire::codec::{DecodeError, LENGTH_BYTES, decode, decode_length};
use crate::wire::limits::{FRAME_DEADLINE, HANDSHAKE_DEADLINE, MAX_FRAME_BYTES};
use crate::wire::preamble::PreambleError;

/// The receiving half of a connection, decoding messages of type `M`.
#[derive(Debug)]
pub struct Inbound<M> {
    state: State,
    /// What has arrived of the handshake's next step, or of the record at hand; never more than one record.
    sealed: Vec<u8>,
    /// What has been opened of the frame at hand; never more than one frame.
    frame: Vec<u8>,
    /// When the handshake or the frame at hand must be whole.
    due: Option<Instant>,
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
#[derive(Debug)]
pub enum Output<M> {
    /// Write this part of the handshake, as it is ([`Outbound::push_handshake`](super::Outbound::push_handshake)).
    Handshake(Vec<u8>),
    /// The other end has proved who it is; what is written from now on is sealed
    /// ([`Outbound::establish`](super::Outbound::establish)).
    Established(Box<Established>),
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
    /// It does not have the key that it shows, or something on the way changed the handshake.
    #[error("the handshake failed: something on the way changed it, or the other end is not what it says")]
    Handshake,
    /// The server's key, when none was expected: to be trusted or not, and expected the next time.
    #[error("the server's key is not known: {0}")]
    UnknownKey(PublicKey),
    /// The server's key is another one than expected.
    #[error("the server's key is {presented}, but {expected} was expected")]
    ChangedKey {
        /// What was expected.
        expected: PublicKey,
        /// What the server has.
        presented: PublicKey,
    },
    /// A record was altered on the way.
    #[error(transparent)]
    Record(#[from] RecordForged),
    /// A frame was none.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// It closed in the middle of the handshake or of a frame.
    #[error("the connection ended in the middle of a message")]
    Truncated,
    /// Its handshake was not done in time.
    #[error("the other end did not greet in time")]
    SilentHandshake,
    /// It began a frame and did not finish it in time.
    #[error("the other end began a message and did not finish it in time")]
    SilentFrame,
}

impl From<HandshakeFailed> for Violation {
    fn from(_: HandshakeFailed) -> Violation {
        Violation::Handshake
    }
}

#[derive(Debug)]
enum State {
    Handshake(Box<Handshaking>),
    Records(Box<Opener>),
    Closed,
}

impl<M> Inbound<M> {
    /// The server's end of a connection that was made at `now`. `seed` is random and used for nothing else.
    pub fn server(now: Instant, identity: Arc<Identity>, seed: [u8; 32]) -> Self {
        Inbound::new(now, Handshaking::server(identity, seed))
    }

    /// The client's end of a connection that was made at `now`, and what must be written first. `expected` is the
    /// server's key; without one the connection ends with [`Violation::UnknownKey`] as soon as it is known. `seed` is
    /// random and used for nothing else.
    pub fn client(
        now: Instant,
        identity: Arc<Identity>,
        seed: [u8; 32],
        expected: Option<PublicKey>,
    ) -> (Self, Vec<u8>) {
        let (handshaking, hello) = Handshaking::client(identity, seed, expected);
        (Inbound::new(now, handshaking), hello)
    }

    fn new(now: Instant, handshaking: Handshaking) -> Self {
        Inbound {
            state: State::Handshake(Box::new(handshaking)),
            sealed: Vec::new(),
            frame: Vec::new(),
            due: Some(now + HANDSHAKE_DEADLINE),
            message: PhantomData,
        }
    }

    fn close(&mut self, why: Option<Violation>, out: &mut Vec<Output<M>>) {
        self.state = State::Closed;
        (self.sealed, self.frame) = (Vec::new(), Vec::new());
        self.due = None;
        out.push(Output::Close(why));
    }

    /// Takes the steps of the handshake that are whole; what is left of `bytes` are records.
    fn take_handshake<'a>(
        &mut self,
        now: Instant,
        mut bytes: &'a mut [u8],
        out: &mut Vec<Output<M>>,
    ) -> Result<&'a mut [u8], Violation> {
        while let State::Handshake(handshaking) = &mut self.state {
            if !gather(&mut self.sealed, &mut bytes, handshaking.wanted()) {
                break;
            }
            let stepped = handshaking.step(now, &self.sealed)?;
            self.sealed.clear();
            out.extend(stepped.reply.map(Output::Handshake));
            if let Some((established, opener)) = stepped.done {
                self.state = State::Records(Box::new(opener));
                self.due = None;
                out.push(Output::Established(Box::new(established)));
            }
        }
        Ok(bytes)
    }
}

impl<M: DeserializeOwned> Inbound<M> {
    fn take(&mut self, now: Instant, bytes: &mut [u8], out: &mut Vec<Output<M>>) -> Result<(), Violation> {
        let mut bytes = self.take_handshake(now, bytes, out)?;
        let State::Records(opener) = &mut self.state else { return Ok(()) };
        let before = out.len();
        while !bytes.is_empty() {
            if let Some(length) = whole_record(&self.sealed, bytes)? {
                // Opened where it arrived.
                let (record, rest) = bytes.split_at_mut(length.length);
                bytes = rest;
                take_frames(&mut self.frame, opener.open(length, record)?, out)?;
                continue;
            }
            if !gather(&mut self.sealed, &mut bytes, RECORD_HEADER_BYTES) {
                break;
            }
            let header = record_header(&self.sealed)?;
            if !gather(&mut self.sealed, &mut bytes, header.length) {
                break;
            }
            take_frames(&mut self.frame, opener.open(header, &mut self.sealed)?, out)?;
            self.sealed.clear();
        }
        if out.len() > before {
            self.due = None;
        }
        if self.sealed.is_empty() && self.frame.is_empty() {
            self.due = None;
        } else {
            self.due = self.due.or(Some(now + FRAME_DEADLINE));
        }
        Ok(())
    }
}

/// Moves bytes from `bytes` until `into` has `wanted`; whether it has.
fn gather(into: &mut Vec<u8>, bytes: &mut &mut [u8], wanted: usize) -> bool {
    let missing = wanted.saturating_sub(into.len()).min(bytes.len());
    let (taken, rest) = core::mem::take(bytes).split_at_mut(missing);
    into.extend_from_slice(taken);
    *bytes = rest;
    into.len() >= wanted
}

/// The header of the record that begins `bytes`, if all of it is there and nothing of it came before.
fn whole_record(partial: &[u8], bytes: &[u8]) -> Result<Option<RecordHeader>, Violation> {
    if !partial.is_empty() || bytes.len() < RECORD_HEADER_BYTES {
        return Ok(None);
    }
    let header = record_header(bytes)?;
    Ok(Some(header).filter(|header| header.length <= bytes.len()))
}

/// The header of the record that begins `bytes`, of which there are enough.
fn record_header(bytes: &[u8]) -> Result<RecordHeader, Violation> {
    let header = bytes.first_chunk::<RECORD_HEADER_BYTES>().and_then(|bytes| RecordHeader::decode(*bytes));
    header.ok_or(Violation::Record(RecordForged))
}

/// The messages in opened bytes; what begins a frame and does not end it is kept in `partial`.
fn take_frames<M: DeserializeOwned>(
    partial: &mut Vec<u8>,
    mut bytes: &[u8],
    out: &mut Vec<Output<M>>,
) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        if partial.is_empty()
            && let Some((&length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>()
            && let Some((body, rest)) = rest.split_at_checked(decode_length(length)?)
        {
            // Decoded where it was opened.
            bytes = rest;
            out.push(Output::Message(decode(body)?));
            continue;
        }
        if !gather_shared(partial, &mut bytes, LENGTH_BYTES) {
            return Ok(());
        }
        let mut length = [0; LENGTH_BYTES];
        length.copy_from_slice(&partial[..LENGTH_BYTES]);
        if !gather_shared(partial, &mut bytes, LENGTH_BYTES + decode_length(length)?) {
            return Ok(());
        }
        out.push(Output::Message(decode(&partial[LENGTH_BYTES..])?));
        partial.clear();
    }
    Ok(())
}

/// Like [`gather`], from bytes that are not opened in place any more.
fn gather_shared(into: &mut Vec<u8>, bytes: &mut &[u8], wanted: usize) -> bool {
    let missing = wanted.saturating_sub(into.len()).min(bytes.len());
    let (taken, rest) = bytes.split_at(missing);
    into.extend_from_slice(taken);
    *bytes = rest;
    into.len() >= wanted
}

impl<M: fmt::Debug> Bounded for Inbound<M> {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        let limit = MAX_RECORD_BYTES.max(MAX_HANDSHAKE_BYTES);
        each(Usage::new("bytes of a record that is not whole", self.sealed.len(), limit));
        each(Usage::new("bytes of a frame that is not whole", self.frame.len(), LENGTH_BYTES + MAX_FRAME_BYTES));
    }
}

impl<M: DeserializeOwned> Machine for Inbound<M> {
    type Input<'a> = Input<'a>;
    type Output = Output<M>;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output<M>>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if self.due.is_some_and(|due| due <= now) {
            let silent = match self.state {
                State::Handshake(_) => Violation::SilentHandshake,
                _ => Violation::SilentFrame,
            };
            return self.close(Some(silent), out);
        }
        match input {
            Input::Bytes(bytes) => {
                if let Err(violation) = self.take(now, bytes, out) {
                    self.close(Some(violation), out);
                }
            }
            Input::Ended => {
                let records = matches!(self.state, State::Records(_));
                let whole = records && self.sealed.is_empty() && self.frame.is_empty();
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
mod tests;
