//! Both halves of a connection: what one sends is what the other hears, however it is cut; and what is no message is
//! a reason to close.

use arbitrary::{Arbitrary, Unstructured};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toom_core::link::{Inbound, Input, Outbound, Output};
use toom_core::machine::Machine;
use toom_core::time::Instant;
use toom_core::wire::codec::{LENGTH_BYTES, decode, encode};
use toom_core::wire::limits::{FRAME_DEADLINE, MAX_FRAME_BYTES, PREAMBLE_DEADLINE};
use toom_core::wire::message::{Request, ServerMessage};
use toom_core::wire::preamble::preamble;

use super::operations::all;
use super::operations::messages::{AnyBody, AnyServerMessage};

/// The receiving half of a link, at both ends, in pieces: closes at most once, and says nothing after it.
pub fn inbound(data: &[u8]) {
    fn run<M: DeserializeOwned>(piece: usize, data: &[u8]) {
        let mut link = Inbound::<M>::new(Instant::ZERO);
        let mut out = Vec::new();
        link.handle(Instant::ZERO, Input::Bytes(&mut preamble()), &mut out);
        for chunk in data.chunks(piece) {
            link.handle(Instant::ZERO, Input::Bytes(&mut chunk.to_vec()), &mut out);
        }
        link.handle(Instant::ZERO, Input::Ended, &mut out);
        let closes = out.iter().filter(|output| matches!(output, Output::Close(_))).count();
        assert_eq!(closes, 1, "a link closes once");
        assert!(matches!(out.last(), Some(Output::Close(_))), "nothing follows a close");
        assert_eq!(link.deadline(), None, "a closed link waits for nothing");
    }
    let Some((&piece, data)) = data.split_first() else { return };
    run::<Request>(usize::from(piece) + 1, data);
    run::<ServerMessage>(usize::from(piece) + 1, data);
}

/// A message that can be decoded is encoded to something that means the same.
pub fn message(data: &[u8]) {
    if let Ok(request) = decode::<Request>(data) {
        assert_eq!(decode::<Request>(&encode(&request)[LENGTH_BYTES..]), Ok(request));
    }
    if let Ok(message) = decode::<ServerMessage>(data) {
        assert_eq!(decode::<ServerMessage>(&encode(&message)[LENGTH_BYTES..]), Ok(message));
    }
}

/// Something that one end does, or that happens on the way.
#[derive(Clone, Debug, Arbitrary)]
enum Step<B> {
    /// A message is sent.
    Send(B),
    /// What was pushed is sealed, and as much of it is written as the system takes.
    Write { most: u16 },
    /// What was written arrives, or the first of it.
    Arrive { most: u16 },
    /// One bit changes on the way: from here on anything may be heard, and closing.
    Flip { bit: u16 },
    /// Bytes that nobody sent come in between.
    Garbage(Vec<u8>),
    /// Bytes get lost.
    Lose { first: u8 },
    /// Time passes.
    Wait { milliseconds: u16 },
}

/// Two ends; each says what is given it, and hears what the other says, in any pieces.
pub fn link(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    if bytes.arbitrary().unwrap_or(false) {
        run(all::<Step<AnyBody>>(&mut bytes).into_iter(), |body, id| body.request(id), Request::clone);
    } else {
        run(all::<Step<AnyServerMessage>>(&mut bytes).into_iter(), |it, _| it.message(), ServerMessage::clone);
    }
}

fn run<B, M>(steps: impl Iterator<Item = Step<B>>, make: impl Fn(&B, u64) -> M, copy: impl Fn(&M) -> M)
where
    M: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug,
{
    let mut wire = Wire::<M>::new();
    for step in steps.take(200) {
        match step {
            Step::Send(body) => wire.send(&copy(&make(&body, wire.sent.len() as u64))),
            Step::Write { most } => wire.write(usize::from(most)),
            Step::Arrive { most } => wire.arrive(usize::from(most)),
            Step::Flip { bit } => wire.flip(usize::from(bit)),
            Step::Garbage(bytes) => wire.garbage(&bytes),
            Step::Lose { first } => wire.lose(usize::from(first)),
            Step::Wait { milliseconds } => wire.wait(u64::from(milliseconds)),
        }
    }
    wire.finish();
}

/// One direction of a connection.
struct Wire<M> {
    now: Instant,
    outbound: Outbound,
    travelling: Vec<u8>,
    inbound: Inbound<M>,
    /// What was sent, encoded: a message may be large, and is only compared.
    sent: Vec<Vec<u8>>,
    heard: usize,
    greeted: bool,
    closed: bool,
    damaged: bool,
    pushed: usize,
    /// How many bytes have arrived; as long as there is no damage, the first of what was sent.
    arrived: usize,
}

impl<M: Serialize + DeserializeOwned> Wire<M> {
    fn new() -> Wire<M> {
        Wire {
            now: Instant::ZERO,
            outbound: Outbound::new(),
            travelling: Vec::new(),
            inbound: Inbound::new(Instant::ZERO),
            sent: Vec::new(),
            heard: 0,
            greeted: false,
            closed: false,
            damaged: false,
            pushed: preamble().len(),
            arrived: 0,
        }
    }

    fn send(&mut self, message: &M) {
        let frame = encode(message);
        if frame.len() <= MAX_FRAME_BYTES && self.outbound.push(&frame).is_ok() {
            self.pushed += frame.len();
            self.sent.push(frame.to_vec());
        }
    }

    fn write(&mut self, most: usize) {
        self.outbound.seal();
        let pending = self.outbound.pending();
        let count = pending.len().min(most);
        self.travelling.extend_from_slice(&pending[..count]);
        self.outbound.written(count);
        self.pushed -= count;
    }

    fn arrive(&mut self, most: usize) {
        let rest = self.travelling.split_off(self.travelling.len().min(most));
        let mut piece = core::mem::replace(&mut self.travelling, rest);
        self.arrived += piece.len();
        self.hear(Input::Bytes(&mut piece));
    }

    fn flip(&mut self, bit: usize) {
        if let Some(byte) = self.travelling.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
            self.damaged = true;
        }
    }

    fn garbage(&mut self, bytes: &[u8]) {
        self.damaged |= !bytes.is_empty();
        self.travelling.extend_from_slice(bytes);
    }

    fn lose(&mut self, first: usize) {
        let lost = self.travelling.drain(..first.min(self.travelling.len())).count();
        self.damaged |= lost > 0;
    }

    /// Time passes, and whoever waits too long for the rest of something closes, at its time and not before.
    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + core::time::Duration::from_millis(milliseconds);
        while let Some(at) = self.inbound.deadline().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.hear(Input::Woke);
            assert!(self.closed, "woken in time, and did nothing");
        }
        self.now = end;
        self.hear(Input::Woke);
    }

    fn hear(&mut self, input: Input<'_>) {
        let early = matches!(input, Input::Woke) && self.inbound.deadline().is_none_or(|at| at > self.now);
        let mut out = Vec::new();
        self.inbound.handle(self.now, input, &mut out);
        assert!(out.is_empty() || !self.closed, "something follows a close");
        assert!(out.is_empty() || !early, "woken early, and did something");
        for output in out {
            assert!(!self.closed, "something follows a close");
            match output {
                Output::Greeted => {
                    assert!(!self.greeted, "greeted twice");
                    self.greeted = true;
                }
                Output::Message(message) => {
                    assert!(self.greeted, "a message before the greeting");
                    // Damage may make another message of one, or one of nothing; never without it.
                    if !self.damaged {
                        let sent = self.sent.get(self.heard).expect("a message that nobody sent");
                        assert_eq!(encode(&message), sent, "another message than was sent");
                    }
                    self.heard += 1;
                }
                Output::Close(_) => self.closed = true,
            }
        }
        let latest = self.now + PREAMBLE_DEADLINE.max(FRAME_DEADLINE);
        assert!(self.inbound.deadline().is_none_or(|at| at >= self.now && at <= latest), "a deadline that is none");
        assert!(!self.closed || self.inbound.deadline().is_none(), "a closed link waits for nothing");
        if !self.damaged && !self.closed {
            assert_eq!(self.inbound.deadline().is_none(), self.is_between_frames(), "it waits for what was begun");
        }
    }

    /// Whether all of the greeting has arrived, and nothing of a frame without the rest.
    fn is_between_frames(&self) -> bool {
        let mut boundary = preamble().len();
        let mut frames = self.sent.iter().map(Vec::len);
        while boundary < self.arrived {
            boundary += frames.next().unwrap_or(usize::MAX / 2);
        }
        boundary == self.arrived
    }

    /// What is under way arrives, and the other end closes.
    fn finish(mut self) {
        self.outbound.seal();
        assert_eq!(self.outbound.pending().len(), self.pushed, "bytes that were not sent once");
        self.write(usize::MAX);
        self.arrive(usize::MAX);
        let silent = self.closed;
        if !self.damaged && !silent {
            assert!(self.greeted && self.heard == self.sent.len(), "{} of {} heard", self.heard, self.sent.len());
        }
        let mut out = Vec::new();
        self.inbound.handle(self.now, Input::Ended, &mut out);
        assert_eq!(out.len(), usize::from(!silent), "a link closes once");
        if !self.damaged && !silent {
            assert!(matches!(out[..], [Output::Close(None)]), "an end between messages is no violation");
        }
    }
}
