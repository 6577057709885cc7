//! The bytes of files: what was read is what is sent, written, hashed and published.

use core::ops::Range;
use std::collections::BTreeMap;

use toom_core::client::event::TransferFailure;
use toom_core::client::io::{Progress, Report, Side, Start};
use toom_core::id::OfferId;
use toom_core::transfer::io::{Burst, Input, Output, SLOT_BYTES, SLOTS, SlotId};
use toom_core::wire::peer_frame::{Frame, Frames};

use super::datagrams::FILE;
use super::ranges::Ranges;
use super::{Broken, Checker, Moment, Observation, ensure};

/// What the driver may rely on when it reads.
pub const READ_IN_BOUNDS: &str =
    "content: a file is read within its bounds, what is new in order, into a slot that is free";
/// What the driver builds packets from.
pub const SENT_IS_READ: &str = "content: a packet carries the bytes of the range that it names";
/// What the driver may rely on when it writes.
pub const WRITTEN_IN_BOUNDS: &str =
    "content: what is written is file bytes of the datagram at hand, within the file, each byte once";
/// No byte from anywhere else.
pub const WRITTEN_IS_READ: &str = "content: what is written is what the sender read there";
/// No byte is missing.
pub const HASHED_WHEN_WHOLE: &str = "content: a partial file is hashed once, when every byte is with it";
/// The hash is compared.
pub const NAMED_WHEN_RIGHT: &str = "content: a final name is asked for only after the hash of the file was right";
/// The promise to people.
pub const PUBLISHED_IS_READ: &str = "content: a final name appears only with what the sender read, all of it";
/// Nobody is blamed for nothing.
pub const INTEGRITY_HAS_A_REASON: &str =
    "content: the hash is wrong only if the file changed while it was read, or was not what a packet said";

/// Watches the bytes of all transfers under way. It keeps what each sender read first, so as much as the files
/// have, until both ends are done.
#[derive(Debug, Default)]
pub struct Content {
    pairs: BTreeMap<Shared, Pair>,
    ends: BTreeMap<(usize, OfferId), End>,
    /// The datagram that a machine has just heard of.
    heard: Option<(usize, Vec<u8>)>,
}

/// What both ends of a transfer share, and nobody else.
type Shared = (OfferId, [u8; 32]);

/// What the sender read.
#[derive(Debug, Default)]
struct Pair {
    read: Vec<u8>,
    /// It read something else at the same place later.
    changed: bool,
}

#[derive(Debug)]
struct End {
    shared: Shared,
    bytes: u64,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Send {
        /// Up to where the file was asked for.
        asked: u64,
        slots: BTreeMap<SlotId, Slot>,
    },
    Receive {
        written: Ranges,
        with_the_file: u64,
        asked_for_hash: bool,
        hash: Option<[u8; 32]>,
    },
}

/// A slot with something in it that has not left.
#[derive(Debug)]
struct Slot {
    offset: u64,
    length: usize,
    filled: bool,
    /// How much of it has left.
    sent: usize,
}

impl Checker for Content {
    fn observe(&mut self, _: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::TransfersHear(client, Input::Start(start)) => self.start(*client, start),
            Observation::SourceRead { client, transfer, offset, bytes } => {
                self.read(*client, *transfer, *offset, bytes)
            }
            Observation::TransfersHear(client, input) => self.hear(*client, input),
            Observation::TransfersSay(client, output) => return self.say(*client, output),
            Observation::Published { client, transfer, content, .. } => {
                return self.published(*client, *transfer, content);
            }
            Observation::ClientEnds(client) => {
                let of_client: Vec<_> = self.ends.keys().copied().filter(|(owner, _)| owner == client).collect();
                of_client.into_iter().for_each(|end| self.forget(end));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Content {
    fn start(&mut self, client: usize, start: &Start) {
        let shared = (start.transfer, start.agreement.shared.0);
        let work = match start.side {
            Side::Send { .. } => Work::Send { asked: 0, slots: BTreeMap::new() },
            Side::Receive { .. } => {
                Work::Receive { written: Ranges::default(), with_the_file: 0, asked_for_hash: false, hash: None }
            }
        };
        self.pairs.entry(shared).or_default();
        self.ends.insert((client, start.transfer), End { shared, bytes: start.bytes.unwrap_or_default(), work });
    }

    fn read(&mut self, client: usize, transfer: OfferId, offset: u64, bytes: &[u8]) {
        let end = self.ends.get(&(client, transfer));
        let Some(pair) = end.and_then(|end| self.pairs.get_mut(&end.shared)) else { return };
        if offset == pair.read.len() as u64 {
            pair.read.extend_from_slice(bytes);
        } else if pair.at(offset, bytes.len()) != Some(bytes) {
            pair.changed = true;
        }
    }

    fn hear(&mut self, client: usize, input: &Input<'_>) {
        self.heard = None;
        let (Input::Read { transfer, .. } | Input::Written { transfer, .. } | Input::Verified { transfer, .. }) = input
        else {
            if let Input::Datagram { payload, .. } = input {
                self.heard = Some((client, payload.to_vec()));
            }
            return;
        };
        let Some(end) = self.ends.get_mut(&(client, *transfer)) else { return };
        match (input, &mut end.work) {
            (Input::Read { slot, .. }, Work::Send { slots, .. }) => {
                if let Some(slot) = slots.get_mut(slot) {
                    slot.filled = true;
                }
            }
            (Input::Written { bytes, .. }, Work::Receive { with_the_file, .. }) => *with_the_file += bytes,
            (Input::Verified { blake3, .. }, Work::Receive { hash, .. }) => *hash = Some(*blake3),
            _ => {}
        }
    }

    fn say(&mut self, client: usize, output: &Output) -> Result<(), Broken> {
        let whose = |transfer: &OfferId| (client, *transfer);
        match output {
            Output::Read { transfer, offset, length, slot } => match self.ends.get_mut(&whose(transfer)) {
                Some(end) => end.asks(*offset, *length, *slot),
                None => Ok(()),
            },
            Output::Burst(burst) => match self.ends.get_mut(&whose(&burst.transfer)) {
                Some(end) => end.sends(burst),
                None => Ok(()),
            },
            Output::Write { transfer, offset, range } => self.write(whose(transfer), *offset, range.clone()),
            Output::Verify { transfer } => match self.ends.get_mut(&whose(transfer)) {
                Some(end) => end.asks_for_hash(),
                None => Ok(()),
            },
            Output::Publish { transfer } => self.publish(whose(transfer)),
            Output::Report(Report { transfer, progress: Progress::Failed(TransferFailure::Integrity) }) => {
                self.integrity(whose(transfer))
            }
            Output::Forget { transfer, .. } => {
                self.forget(whose(transfer));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, place: (usize, OfferId), offset: u64, range: Range<usize>) -> Result<(), Broken> {
        let Some(end) = self.ends.get_mut(&place) else { return Ok(()) };
        let (from, whom) = (range.start, format!("{} bytes at {offset} of transfer {}", range.len(), place.1));
        let payload = self.heard.as_ref().filter(|(client, _)| *client == place.0).map(|(_, payload)| &payload[..]);
        let Some(bytes) = payload.and_then(|payload| payload.get(range.clone())) else {
            return ensure(false, WRITTEN_IN_BOUNDS, || format!("{whom}: no datagram has {range:?}"));
        };
        let mut frames = Frames::new(payload.unwrap_or_default());
        let named = frames.any(|frame| match frame {
            Ok(Frame::Stream { flow: FILE, offset: start, range: within, .. }) => {
                let inside = within.start <= range.start && range.end <= within.end;
                inside && offset == start + (from - within.start) as u64
            }
            _ => false,
        });
        ensure(named, WRITTEN_IN_BOUNDS, || format!("{whom}: no frame of the datagram names them"))?;
        let Work::Receive { written, .. } = &mut end.work else { return Ok(()) };
        let place = offset..offset + bytes.len() as u64;
        let fits = place.end <= end.bytes && written.insert(place);
        ensure(fits, WRITTEN_IN_BOUNDS, || format!("{whom}: of {}, or again", end.bytes))?;
        let pair = self.pairs.entry(end.shared).or_default();
        ensure(pair.changed || pair.at(offset, bytes.len()) == Some(bytes), WRITTEN_IS_READ, || whom)
    }

    fn publish(&mut self, place: (usize, OfferId)) -> Result<(), Broken> {
        let Some(End { shared, work: Work::Receive { hash, .. }, .. }) = self.ends.get(&place) else { return Ok(()) };
        let read = self.pairs.get(shared).map(|pair| blake3::hash(&pair.read).into());
        ensure(read.is_some() && *hash == read, NAMED_WHEN_RIGHT, || {
            format!("client {} asks for the name of transfer {}, whose hash is {hash:02x?}", place.0, place.1)
        })
    }

    fn published(&mut self, client: usize, transfer: OfferId, content: &[u8]) -> Result<(), Broken> {
        let end = self.ends.get(&(client, transfer));
        let read = end.and_then(|end| self.pairs.get(&end.shared)).map(|pair| &pair.read[..]);
        let whole = end.is_some_and(|end| end.bytes == content.len() as u64);
        ensure(whole && read == Some(content), PUBLISHED_IS_READ, || {
            let read = read.map(<[u8]>::len);
            format!("client {client} has {} bytes of transfer {transfer}; read were {read:?}", content.len())
        })
    }

    fn integrity(&mut self, place: (usize, OfferId)) -> Result<(), Broken> {
        let pair = self.ends.get(&place).and_then(|end| self.pairs.get(&end.shared));
        ensure(pair.is_none_or(|pair| pair.changed), INTEGRITY_HAS_A_REASON, || {
            format!("transfer {} fails at client {}, and its source is as it was", place.1, place.0)
        })
    }

    fn forget(&mut self, place: (usize, OfferId)) {
        let Some(end) = self.ends.remove(&place) else { return };
        if self.ends.values().all(|other| other.shared != end.shared) {
            self.pairs.remove(&end.shared);
        }
    }
}

impl Pair {
    /// What was read first at this place.
    fn at(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.read.get(start..start.checked_add(length)?)
    }
}

impl End {
    fn asks(&mut self, offset: u64, length: usize, slot: SlotId) -> Result<(), Broken> {
        let Work::Send { asked, slots } = &mut self.work else { return Ok(()) };
        let end = offset.saturating_add(length as u64);
        let empty = slots.get(&slot).is_none_or(|slot| slot.filled && slot.sent == slot.length);
        let fits = end <= self.bytes && length <= SLOT_BYTES && slot.0 < SLOTS;
        let in_order = offset == *asked || end <= *asked;
        ensure(empty && fits && in_order, READ_IN_BOUNDS, || {
            format!(
                "{length} at {offset} into {slot:?}, which has {:?}; {asked} of {} asked",
                slots.get(&slot),
                self.bytes
            )
        })?;
        *asked = end.max(*asked);
        slots.insert(slot, Slot { offset, length, filled: false, sent: 0 });
        Ok(())
    }

    fn sends(&mut self, burst: &Burst) -> Result<(), Broken> {
        let Work::Send { slots, .. } = &mut self.work else { return Ok(()) };
        for packet in &burst.packets {
            let Some(data) = packet.data else { continue };
            let slot = slots.get_mut(&data.slot).filter(|slot| slot.filled && slot.sent == data.start);
            let named = slot.is_some_and(|slot| {
                slot.sent += data.length;
                let offset = slot.offset + data.start as u64;
                slot.sent <= slot.length && (data.flow, data.offset) == (FILE, offset)
            });
            ensure(named, SENT_IS_READ, || format!("{:?} of transfer {}", packet, burst.transfer))?;
        }
        Ok(())
    }

    fn asks_for_hash(&mut self) -> Result<(), Broken> {
        let bytes = self.bytes;
        let Work::Receive { written, with_the_file, asked_for_hash, .. } = &mut self.work else { return Ok(()) };
        let first = !core::mem::replace(asked_for_hash, true);
        let whole = written.contains(&(0..bytes)) && *with_the_file >= bytes;
        ensure(first && whole, HASHED_WHEN_WHOLE, || format!("{with_the_file} of {bytes} bytes are with the file"))
    }
}

#[cfg(test)]
mod tests;
