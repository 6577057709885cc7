//! What happens to two ends of a transfer and to the link between them.

use arbitrary::{Arbitrary, Unstructured};
use toom_core::config::TransferConfig;
use toom_core::wire::packet::Role;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Side {
    /// Who sends the file.
    Sender,
    /// Who receives it.
    Receiver,
}

impl Side {
    /// As the wire has it.
    pub fn role(self) -> Role {
        match self {
            Side::Sender => Role::Initiator,
            Side::Receiver => Role::Responder,
        }
    }
}

/// Which file, and how it is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Arbitrary)]
pub struct Transfer {
    hundreds: u8,
    odd: u8,
    large: bool,
}

impl Transfer {
    /// The size of the file.
    pub fn bytes(self) -> usize {
        usize::from(self.hundreds) * if self.large { 2_000 } else { 40 } + usize::from(self.odd)
    }

    /// The largest datagram.
    pub fn payload(self) -> usize {
        if self.large { 9_000 } else { TransferConfig::MIN_PAYLOAD }
    }
}

/// What happens. `to` is who a datagram is for; which one is counted modulo how many there are.
#[derive(Clone, Debug, Arbitrary)]
pub enum PairOperation {
    /// A datagram arrives, before or after others.
    Deliver { to: Side, which: u8 },
    /// Some arrive in order.
    DeliverSome { to: Side, count: u8 },
    /// All arrive, and time passes, again and again: the link is well for a while.
    Flow { milliseconds: u8 },
    /// One is lost.
    Drop { to: Side, which: u8 },
    /// All are lost.
    DropAll { to: Side },
    /// One arrives, and will arrive again.
    Duplicate { to: Side, which: u8 },
    /// One that arrived long ago arrives again.
    Replay { to: Side, which: u8 },
    /// A copy of one with a bit changed arrives.
    Flip { to: Side, which: u8, bit: u16 },
    /// A copy of one that lacks its end arrives.
    Truncate { to: Side, which: u8, bytes: u8 },
    /// A copy of one arrives from another address.
    Elsewhere { to: Side, which: u8, port: u8 },
    /// A stranger sends something.
    Stranger { to: Side, bytes: Vec<u8> },
    /// One of its own datagrams comes back to an end.
    Reflect { to: Side, which: u8 },
    /// Time passes, and nothing arrives.
    Wait { milliseconds: u16 },
    /// The disk of one end answers, or fails.
    Disk { side: Side, which: u8, fails: u8 },
    /// The disk of one end answers everything.
    DiskAll { side: Side },
    /// The person at one end cancels; seldom, or nothing else would ever happen.
    Cancel { side: Side, really: u8 },
    /// An end has another address from now on; likewise.
    Move { side: Side, port: u8, really: u8 },
}

/// Of all chances, so many are taken to do what ends a transfer.
const SELDOM: u8 = 250;

impl PairOperation {
    /// Operations of one run.
    pub fn all(bytes: &mut Unstructured<'_>) -> Vec<PairOperation> {
        super::all(bytes)
    }

    /// Whether the disk of this end fails.
    pub fn fails(&self) -> Option<Side> {
        match self {
            PairOperation::Disk { side, fails, .. } if *fails >= SELDOM => Some(*side),
            _ => None,
        }
    }

    /// Whether this end's person cancels.
    pub fn cancels(&self) -> Option<Side> {
        match self {
            PairOperation::Cancel { side, really } if *really >= SELDOM => Some(*side),
            _ => None,
        }
    }

    /// Whether this end gets another address.
    pub fn moves(&self) -> Option<(Side, u16)> {
        match self {
            PairOperation::Move { side, port, really } if *really >= SELDOM => Some((*side, u16::from(port % 4))),
            _ => None,
        }
    }
}
