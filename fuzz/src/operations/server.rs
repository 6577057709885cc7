//! What happens to a server: people, their connections, the store, other processes, and clocks.

use arbitrary::{Arbitrary, Unstructured};
use toom_core::link::{Arrived, Input};
use toom_core::server::fact::Fact;
use toom_core::time::Instant;
use toom_core::wire::codec::encode;
use toom_core::wire::message::Request;

use super::super::link::established;
use super::messages::{AnyBody, AnyName, PASSWORDS};
use super::pick;

/// Connections at the same time.
pub const SLOTS: usize = 6;

/// What happens. Choices are counted modulo how many there are.
#[derive(Clone, Debug)]
pub enum ServerOperation {
    /// A new connection, if the slot is free.
    Connect { slot: u8 },
    /// A new connection, if the slot is free, and a login with the right password unless it was changed; perhaps the
    /// password is checked at once.
    LogIn { slot: u8, name: AnyName, at_once: bool },
    /// A request of one of the connections.
    Request { connection: u8, body: AnyBody },
    /// Bytes, of which some are requests; after a violation the connection is closed.
    Raw { connection: u8, parts: Vec<RawPart> },
    /// A connection is gone.
    Disconnect { connection: u8 },
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

/// What people do most is what happens most; what ends things is seldom, or there would be little to end.
impl<'a> Arbitrary<'a> for ServerOperation {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match bytes.arbitrary::<u8>()? {
            0..=119 => ServerOperation::Request { connection: bytes.arbitrary()?, body: bytes.arbitrary()? },
            120..=159 => {
                let (slot, name, held) = (bytes.arbitrary()?, bytes.arbitrary()?, bytes.arbitrary::<u8>()?);
                ServerOperation::LogIn { slot, name, at_once: held < 224 }
            }
            160..=194 => ServerOperation::Commit { which: bytes.arbitrary()?, count: bytes.arbitrary()? },
            195..=204 => ServerOperation::Check { which: bytes.arbitrary()? },
            205..=214 => {
                let (which, most, fails) = (bytes.arbitrary()?, bytes.arbitrary()?, bytes.arbitrary::<u8>()?);
                ServerOperation::Find { which, most, works: fails < 224 }
            }
            215..=222 => ServerOperation::Raw { connection: bytes.arbitrary()?, parts: bytes.arbitrary()? },
            223..=227 => ServerOperation::Disconnect { connection: bytes.arbitrary()? },
            228..=231 => ServerOperation::Connect { slot: bytes.arbitrary()? },
            232..=235 => ServerOperation::Fail { which: bytes.arbitrary()? },
            236..=241 => ServerOperation::Outside(bytes.arbitrary()?),
            242..=247 => ServerOperation::Wait { milliseconds: bytes.arbitrary()? },
            248..=250 => ServerOperation::WaitLong { seconds: bytes.arbitrary()? },
            251..=252 => ServerOperation::Jump { minutes: bytes.arbitrary()? },
            253..=255 => ServerOperation::Restart,
        })
    }
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
    let mut bytes = Vec::new();
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
    let (mut client, mut server) = established::<(), Request>();
    let _ = client.outbound.push(&bytes);
    client.outbound.seal(Instant::ZERO);
    let mut sealed = client.outbound.pending().to_vec();
    let mut said = server.handle(Instant::ZERO, Input::Bytes(&mut sealed));
    said.extend(server.handle(Instant::ZERO, Input::Ended));
    let goes_on = said.iter().any(|arrived| matches!(arrived, Arrived::Closed(None)));
    let message = |arrived| if let Arrived::Message(request) = arrived { Some(request) } else { None };
    (said.into_iter().filter_map(message).collect(), goes_on)
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

    /// The slot of a new connection.
    pub fn slot(slot: u8) -> usize {
        usize::from(slot) % SLOTS
    }

    /// The slot of one of the connections that there are.
    pub fn taken<T>(choice: u8, slots: &[Option<T>; SLOTS]) -> Option<usize> {
        let taken: Vec<usize> = (0..SLOTS).filter(|slot| slots[*slot].is_some()).collect();
        pick(choice, taken.len()).map(|at| taken[at])
    }
}
