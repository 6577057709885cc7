//! Both halves of a connection: what one sends is what the other hears, however it is cut; and what is no message is
//! a reason to close.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toom_core::link::{Arrived, Identity, Input, Link};
use toom_core::machine::Machine;
use toom_core::secure::{SecretKey, Suite};
use toom_core::time::Instant;
use toom_core::wire::codec::{LENGTH_BYTES, decode, encode};
use toom_core::wire::limits::{FRAME_DEADLINE, MAX_FRAME_BYTES};
use toom_core::wire::message::{Request, ServerMessage};

use super::operations::all;
use super::operations::messages::{AnyBody, AnyServerMessage};

/// Two ends that have connected, the client's first words in its outbox.
fn connected<A, B>() -> (Link<A>, Link<B>) {
    let identity = |byte| Arc::new(Identity { secret: SecretKey::new([byte; 32]), best: Suite::AesGcm });
    let server_key = identity(2).secret.public();
    let client = Link::client(Instant::ZERO, identity(1), [3; 32], Some(server_key));
    (client, Link::server(Instant::ZERO, identity(2), [4; 32]))
}

/// Two ends whose handshake is done.
pub(crate) fn established<A: DeserializeOwned, B: DeserializeOwned>() -> (Link<A>, Link<B>) {
    let (mut client, mut server) = connected();
    for _ in 0..2 {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    (client, server)
}

fn carry<A, B: DeserializeOwned>(from: &mut Link<A>, to: &mut Link<B>) {
    let mut bytes = from.outbound.pending().to_vec();
    from.outbound.written(bytes.len());
    to.handle(Instant::ZERO, Input::Bytes(&mut bytes));
}

/// What arrives at both ends, in pieces: within records, in place of them, or in place of the handshake. A link closes
/// at most once, and says nothing after it.
pub fn inbound(data: &[u8]) {
    fn run<M: DeserializeOwned>(mut link: Link<M>, piece: usize, data: &[u8]) {
        let mut said = Vec::new();
        for chunk in data.chunks(piece) {
            said.extend(link.handle(Instant::ZERO, Input::Bytes(&mut chunk.to_vec())));
        }
        said.extend(link.handle(Instant::ZERO, Input::Ended));
        let closes = said.iter().filter(|arrived| matches!(arrived, Arrived::Closed(_))).count();
        assert_eq!(closes, 1, "a link closes once");
        assert!(matches!(said.last(), Some(Arrived::Closed(_))), "nothing follows a close");
        assert_eq!(link.inbound.deadline(), None, "a closed link waits for nothing");
    }
    fn sealed<M>(mut from: Link<M>, data: &[u8]) -> Vec<u8> {
        let _ = from.outbound.push(data);
        from.outbound.seal(Instant::ZERO);
        from.outbound.pending().to_vec()
    }
    let Some((&first, data)) = data.split_first() else { return };
    let piece = usize::from(first / 4) + 1;
    match first % 4 {
        0 => {
            let (client, server) = established::<ServerMessage, Request>();
            run(server, piece, &sealed(client, data));
        }
        1 => {
            let (client, server) = established::<ServerMessage, Request>();
            run(client, piece, &sealed(server, data));
        }
        2 => {
            let (client, server) = established::<ServerMessage, Request>();
            run(client, piece, data);
            run(server, piece, data);
        }
        _ => {
            let (client, server) = connected::<ServerMessage, Request>();
            run(client, piece, data);
            run(server, piece, data);
        }
    }
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
    client: Link<()>,
    travelling: Vec<u8>,
    server: Link<M>,
    /// What was sent, encoded: a message may be large, and is only compared.
    sent: Vec<Vec<u8>>,
    heard: usize,
    closed: bool,
    damaged: bool,
    /// All that was written, from the end of the handshake on.
    written: Vec<u8>,
    /// How much was written whenever everything that was pushed had been sealed.
    batches: Vec<usize>,
    /// How many bytes have arrived; as long as there is no damage, the first of what was sent.
    arrived: usize,
}

impl<M: Serialize + DeserializeOwned> Wire<M> {
    fn new() -> Wire<M> {
        let (client, server) = established();
        Wire {
            now: Instant::ZERO,
            client,
            travelling: Vec::new(),
            server,
            sent: Vec::new(),
            heard: 0,
            closed: false,
            damaged: false,
            written: Vec::new(),
            batches: vec![0],
            arrived: 0,
        }
    }

    fn send(&mut self, message: &M) {
        let frame = encode(message);
        if frame.len() <= MAX_FRAME_BYTES && self.client.outbound.push(&frame).is_ok() {
            self.sent.push(frame.to_vec());
        }
    }

    fn write(&mut self, most: usize) {
        self.client.outbound.seal(self.now);
        let pending = self.client.outbound.pending();
        self.batches.push(self.written.len() + pending.len());
        let count = pending.len().min(most);
        self.travelling.extend_from_slice(&pending[..count]);
        self.written.extend_from_slice(&pending[..count]);
        self.client.outbound.written(count);
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
        while let Some(at) = self.server.inbound.deadline().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.hear(Input::Woke);
            assert!(self.closed, "woken in time, and did nothing");
        }
        self.now = end;
        self.hear(Input::Woke);
    }

    fn hear(&mut self, input: Input<'_>) {
        let early = matches!(input, Input::Woke) && self.server.inbound.deadline().is_none_or(|at| at > self.now);
        let out = self.server.handle(self.now, input);
        assert!(out.is_empty() || !self.closed, "something follows a close");
        assert!(out.is_empty() || !early, "woken early, and did something");
        for arrived in out {
            assert!(!self.closed, "something follows a close");
            match arrived {
                Arrived::Established(_) => panic!("established twice"),
                Arrived::Message(message) => {
                    // Whatever the damage: what was sealed comes as it was, or not at all.
                    let sent = self.sent.get(self.heard).expect("a message that nobody sent");
                    assert_eq!(encode(&message), sent, "another message than was sent");
                    self.heard += 1;
                }
                Arrived::Closed(_) => self.closed = true,
            }
        }
        let latest = self.now + FRAME_DEADLINE;
        let deadline = self.server.inbound.deadline();
        assert!(deadline.is_none_or(|at| at >= self.now && at <= latest), "a deadline that is none");
        assert!(!self.closed || deadline.is_none(), "a closed link waits for nothing");
        if !self.damaged && !self.closed {
            assert!(deadline.is_none() || !self.batches.contains(&self.arrived), "it waits, and all is there");
            assert!(deadline.is_some() || self.is_between_records(), "it waits for what was begun");
        }
    }

    /// Whether nothing of a record has arrived without the rest.
    fn is_between_records(&self) -> bool {
        let mut boundary = 0;
        while boundary < self.arrived {
            let length = u16::from_be_bytes([self.written[boundary], self.written[boundary + 1]]) & 0x7fff;
            boundary += 2 + usize::from(length);
        }
        boundary == self.arrived
    }

    /// What is under way arrives, and the other end closes.
    fn finish(mut self) {
        self.write(usize::MAX);
        self.arrive(usize::MAX);
        let silent = self.closed;
        if !self.damaged && !silent {
            assert_eq!(self.heard, self.sent.len(), "all were heard");
        }
        let out = self.server.handle(self.now, Input::Ended);
        assert_eq!(out.len(), usize::from(!silent), "a link closes once");
        if !self.damaged && !silent {
            assert!(matches!(out[..], [Arrived::Closed(None)]), "an end between messages is no violation");
        }
    }
}
