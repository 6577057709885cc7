//! What happens to a server: people, their connections, the store, other processes, and clocks.

use arbitrary::{Arbitrary, Unstructured};
use toom_core::link::{Inbound, Input, Output};
use toom_core::machine::Machine;
use toom_core::server::fact::Fact;
use toom_core::time::Instant;
use toom_core::wire::codec::encode;
use toom_core::wire::message::Request;
use toom_core::wire::preamble::preamble;

use super::messages::{AnyBody, AnyName, PASSWORDS};

/// Connections at the same time.
pub const SLOTS: usize = 6;

/// What happens. Choices are counted modulo how many there are.
#[derive(Clone, Debug, Arbitrary)]
pub enum ServerOperation {
    /// A new connection, if the slot is free.
    Connect { slot: u8 },
    /// A request.
    Request { slot: u8, body: AnyBody },
    /// A new connection if the slot is free, and a login with the right password unless it was changed.
    LogIn { slot: u8, name: AnyName },
    /// Bytes, of which some are requests; after a violation the connection is closed.
    Raw { slot: u8, parts: Vec<RawPart> },
    /// A connection is gone.
    Disconnect { slot: u8 },
    /// A password has been checked, in any order.
    Check { which: u8 },
    /// Proposals are committed, in any order that the log gives them.
    Commit { which: u8, count: u8 },
    /// A proposal cannot be committed.
    Fail { which: u8 },
    /// Another process appends a fact.
    Outside(AnyFact),
    /// The store answers a question: with at most so many messages, or with nothing.
    Find { which: u8, most: u8, works: bool },
    /// The process dies, and comes back with its log.
    Restart,
    /// Time passes.
    Wait { milliseconds: u16 },
    /// Much time passes.
    WaitLong { seconds: u8 },
    /// The wall clock jumps.
    Jump { minutes: i8 },
}

/// A fact of another process.
#[derive(Clone, Debug, Arbitrary)]
pub enum AnyFact {
    /// As it says.
    Added { name: AnyName, password: u8 },
    /// As it says.
    PasswordChanged { name: AnyName, password: u8 },
    /// As it says.
    Removed { name: AnyName },
}

impl AnyFact {
    /// The fact; hashes are those of [`PASSWORDS`], in order.
    pub fn fact(&self, hash: impl Fn(usize) -> toom_core::secure::PasswordHash) -> Fact {
        let hash = |password: u8| hash(usize::from(password) % PASSWORDS.len());
        match self {
            AnyFact::Added { name, password } => Fact::AccountAdded { name: name.name(), hash: hash(*password) },
            AnyFact::PasswordChanged { name, password } => {
                Fact::PasswordChanged { name: name.name(), hash: hash(*password) }
            }
            AnyFact::Removed { name } => Fact::AccountRemoved { name: name.name() },
        }
    }
}

/// A part of what arrives on a connection.
#[derive(Clone, Debug, Arbitrary)]
pub enum RawPart {
    /// A request as it is.
    Frame { id: u8, body: AnyBody },
    /// A request of which one byte was changed.
    Changed { id: u8, body: AnyBody, at: u8, change: u8 },
    /// Anything.
    Bytes(Vec<u8>),
}

/// The requests in these bytes, and whether the connection goes on after them: not if there is something that is no
/// request.
pub fn requests_in(parts: &[RawPart]) -> (Vec<Request>, bool) {
    let mut bytes = preamble().to_vec();
    for part in parts.iter().take(8) {
        match part {
            RawPart::Frame { id, body } => bytes.extend_from_slice(&encode(&body.request(raw_id(*id)))),
            RawPart::Changed { id, body, at, change } => {
                let mut frame = encode(&body.request(raw_id(*id))).to_vec();
                let at = usize::from(*at) % frame.len();
                frame[at] ^= change;
                bytes.extend(frame);
            }
            RawPart::Bytes(more) => bytes.extend_from_slice(more),
        }
    }
    let (mut inbound, mut out) = (Inbound::<Request>::new(Instant::ZERO), Vec::new());
    inbound.handle(Instant::ZERO, Input::Bytes(&mut bytes), &mut out);
    inbound.handle(Instant::ZERO, Input::Ended, &mut out);
    let goes_on = out.contains(&Output::Close(None));
    let message = |output| if let Output::Message(request) = output { Some(request) } else { None };
    (out.into_iter().filter_map(message).collect(), goes_on)
}

/// Apart from the ids of requests that come as values.
fn raw_id(id: u8) -> u64 {
    1_000_000 + u64::from(id)
}

impl ServerOperation {
    /// Operations of one run.
    pub fn all(bytes: &mut Unstructured<'_>) -> Vec<ServerOperation> {
        super::all(bytes)
    }

    /// The slot of a connection.
    pub fn slot(slot: u8) -> usize {
        usize::from(slot) % SLOTS
    }
}
