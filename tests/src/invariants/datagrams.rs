//! Datagrams: what a machine hears is what the other end sealed, once; packet numbers and acknowledgements are
//! honest.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::client::io::{Side, Start};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::machine::Machine;
use toom_core::time::Instant;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Burst, Input, Output};
use toom_core::wire::packet::{Header, Role};
use toom_core::wire::peer_frame::{FlowId, Frame, Frames};

use super::ranges::Ranges;
use super::{Broken, Checker, Moment, Observation, ensure};

/// What can be opened is genuine.
pub const OPENED_WAS_SEALED: &str = "datagrams: what can be opened is what the other end sealed, bit for bit";
/// What cannot be opened goes no further.
pub const HEARD_WAS_OPENED: &str = "datagrams: a machine hears only of what has just arrived and could be opened";
/// Neither a duplicate nor a replay has an effect.
pub const REPLAY_CHANGES_NOTHING: &str = "datagrams: one that was heard before changes nothing but counters";
/// The packet number is the nonce.
pub const NUMBERS_ARE_USED_ONCE: &str = "datagrams: no packet number is used twice with one key";
/// No optimistic acknowledgement.
pub const ONLY_ARRIVED_IS_ACKNOWLEDGED: &str = "datagrams: only a packet that arrived is acknowledged";

/// The flow of the file in a connection that moves one.
pub(super) const FILE: FlowId = FlowId(1);

/// Watches the datagrams of all transfers.
#[derive(Debug, Default)]
pub struct Datagrams {
    ends: BTreeMap<(usize, OfferId), End>,
    listening: BTreeMap<(usize, PeerIndex), OfferId>,
    pairs: BTreeMap<Shared, Pair>,
    /// What is known of transfers that have started and have no keys.
    started: BTreeMap<(usize, OfferId), (Shared, Role)>,
    /// The datagram that has just been opened.
    opened: Option<(usize, Header)>,
    hearing: Option<Hearing>,
    /// Whose burst is being sent.
    sending: Option<(usize, OfferId)>,
    deadlines: BTreeMap<usize, Option<Instant>>,
}

/// What both ends of a transfer share, and nobody else. The transfer is a part of it: somebody who misbehaves may
/// offer two files with one secret, which harms nobody who does not.
type Shared = (OfferId, [u8; 32]);
type Digest = [u8; 16];

/// Both ends of a transfer, until both have come and gone. An end that never comes costs little: the other one
/// sends it only a few probes.
#[derive(Debug, Default)]
struct Pair {
    come: u32,
    gone: u32,
    /// By who sealed it and its number, a hash of every datagram.
    sealed: BTreeMap<(Sealer, u64), Digest>,
}

/// Whether it is the initiator.
type Sealer = bool;

/// One end of a transfer, from `Listen` to `Forget`.
#[derive(Debug)]
struct End {
    shared: Shared,
    role: Role,
    index: PeerIndex,
    heard: Ranges,
    /// Those that brought file bytes of which none was written: repeated ones, or ones that a machine without
    /// room for them has forgotten, which may come again.
    untaken: BTreeSet<u64>,
}

/// A datagram that a machine has heard of, until it hears of something else.
#[derive(Debug)]
struct Hearing {
    client: usize,
    transfer: OfferId,
    number: u64,
    replay: bool,
    /// The machine had something else to do already, which it may do first.
    deadline: Option<Instant>,
    overdue: bool,
    file_bytes: bool,
    wrote: bool,
}

impl Checker for Datagrams {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::DatagramSent { client, datagram, .. } => self.sent(*client, datagram),
            Observation::DatagramArrives { client, datagram, opened, .. } => self.arrives(*client, datagram, *opened),
            Observation::TransfersHear(client, Input::Start(start)) => {
                self.conclude();
                self.start(*client, start);
                Ok(())
            }
            Observation::TransfersHear(client, input) => self.hear(at.now, *client, input),
            Observation::TransfersHandled(client, transfers) => self.handled(at.now, *client, transfers),
            Observation::TransfersSay(client, output) => self.say(*client, output),
            Observation::ClientEnds(client) => {
                let of_client: Vec<_> = self.ends.keys().copied().filter(|(owner, _)| owner == client).collect();
                of_client.into_iter().for_each(|end| self.forget(end));
                self.started.retain(|(owner, _), _| owner != client);
                self.deadlines.remove(client);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Datagrams {
    fn start(&mut self, client: usize, start: &Start) {
        let role = if matches!(start.side, Side::Send { .. }) { Role::Initiator } else { Role::Responder };
        self.started.insert((client, start.transfer), ((start.transfer, start.agreement.shared.0), role));
    }

    fn sent(&mut self, client: usize, datagram: &[u8]) -> Result<(), Broken> {
        let end = self.sending.filter(|(owner, _)| *owner == client).and_then(|end| self.ends.get(&end));
        let (Some(end), Ok(header)) = (end, Header::decode(datagram)) else { return Ok(()) };
        let pair = self.pairs.entry(end.shared).or_default();
        let again = pair.sealed.insert((is_initiator(end.role), header.number.0), digest(datagram));
        ensure(again.is_none(), NUMBERS_ARE_USED_ONCE, || {
            format!("client {client} sealed a second datagram with number {}", header.number.0)
        })
    }

    fn arrives(&mut self, client: usize, datagram: &[u8], opened: bool) -> Result<(), Broken> {
        self.opened = None;
        let Some(header) = opened.then(|| Header::decode(datagram).ok()).flatten() else { return Ok(()) };
        self.opened = Some((client, header));
        let end = self.listening.get(&(client, header.index)).and_then(|id| self.ends.get(&(client, *id)));
        let sealed = end.and_then(|end| {
            let sealer = is_initiator(end.role.other());
            self.pairs.get(&end.shared)?.sealed.get(&(sealer, header.number.0))
        });
        let genuine = sealed == Some(&digest(datagram));
        ensure(genuine, OPENED_WAS_SEALED, || format!("client {client} opened {header:?}, which nobody sent"))
    }

    fn hear(&mut self, now: Instant, client: usize, input: &Input<'_>) -> Result<(), Broken> {
        self.conclude();
        let Input::Datagram { header, payload, .. } = input else { return Ok(()) };
        ensure(self.opened.take() == Some((client, *header)), HEARD_WAS_OPENED, || {
            format!("client {client} hears of {header:?}")
        })?;
        let Some(transfer) = self.listening.get(&(client, header.index)).copied() else { return Ok(()) };
        let Some(end) = self.ends.get_mut(&(client, transfer)) else { return Ok(()) };
        let number = header.number.0;
        let fresh = end.heard.insert(number..number + 1);
        let deadline = self.deadlines.get(&client).copied().flatten();
        let is_file = |frame: &_| matches!(frame, Ok(Frame::Stream { flow: FILE, range, .. }) if !range.is_empty());
        self.hearing = Some(Hearing {
            client,
            transfer,
            number,
            replay: !fresh && !end.untaken.contains(&number),
            deadline,
            overdue: deadline.is_some_and(|at| at <= now),
            file_bytes: fresh && Frames::new(payload).any(|frame| is_file(&frame)),
            wrote: false,
        });
        Ok(())
    }

    /// Nothing more follows from the datagram that was heard last.
    fn conclude(&mut self) {
        let Some(hearing) = self.hearing.take().filter(|hearing| hearing.file_bytes && !hearing.wrote) else { return };
        if let Some(end) = self.ends.get_mut(&(hearing.client, hearing.transfer)) {
            end.untaken.insert(hearing.number);
        }
    }

    fn handled(&mut self, now: Instant, client: usize, transfers: &Transfers) -> Result<(), Broken> {
        let deadline = transfers.deadline();
        self.deadlines.insert(client, deadline);
        let Some(hearing) = self.hearing.as_ref().filter(|hearing| hearing.client == client) else { return Ok(()) };
        let as_before = deadline == hearing.deadline.map(|at| at.max(now));
        ensure(!hearing.replay || hearing.overdue || as_before, REPLAY_CHANGES_NOTHING, || {
            format!("client {client} has another deadline after number {} came again", hearing.number)
        })
    }

    fn say(&mut self, client: usize, output: &Output) -> Result<(), Broken> {
        if let Some(hearing) = self.hearing.as_mut().filter(|hearing| hearing.client == client) {
            hearing.wrote |= matches!(output, Output::Write { .. });
            // What was due anyway is said first; nothing of that gives a file anything.
            let was_due = hearing.overdue
                && !matches!(output, Output::Write { .. } | Output::Verify { .. } | Output::Publish { .. });
            ensure(!hearing.replay || was_due, REPLAY_CHANGES_NOTHING, || {
                format!("client {client} heard number {} again and said {output:?}", hearing.number)
            })?;
        }
        match output {
            Output::Listen { index, transfer, .. } => {
                let Some((shared, role)) = self.started.remove(&(client, *transfer)) else { return Ok(()) };
                let (heard, untaken) = (Ranges::default(), BTreeSet::new());
                let end = End { shared, role, index: *index, heard, untaken };
                self.pairs.entry(end.shared).or_default().come += 1;
                self.ends.insert((client, *transfer), end);
                self.listening.insert((client, *index), *transfer);
            }
            Output::Forget { transfer, .. } => self.forget((client, *transfer)),
            Output::Burst(burst) => {
                self.sending = Some((client, burst.transfer));
                return self.acknowledges(client, burst);
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledges(&self, client: usize, burst: &Burst) -> Result<(), Broken> {
        let Some(end) = self.ends.get(&(client, burst.transfer)) else { return Ok(()) };
        // Packets with file bytes carry nothing else.
        for packet in burst.packets.iter().filter(|packet| packet.data.is_none()) {
            for frame in Frames::new(&packet.frames) {
                let Ok(Frame::Ack(ack)) = frame else { continue };
                for range in ack.ranges() {
                    ensure(end.heard.contains(&range), ONLY_ARRIVED_IS_ACKNOWLEDGED, || {
                        format!("client {client} acknowledges {range:?} of {}", burst.transfer)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Once both ends have forgotten their keys, nothing of theirs is remembered here.
    fn forget(&mut self, place: (usize, OfferId)) {
        self.started.remove(&place);
        let Some(end) = self.ends.remove(&place) else { return };
        self.listening.remove(&(place.0, end.index));
        let Some(pair) = self.pairs.get_mut(&end.shared) else { return };
        pair.gone += 1;
        if pair.come == 2 && pair.gone == 2 {
            self.pairs.remove(&end.shared);
        }
    }
}

fn is_initiator(role: Role) -> Sealer {
    role == Role::Initiator
}

fn digest(datagram: &[u8]) -> Digest {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(datagram).as_bytes()[..16]);
    digest
}

#[cfg(test)]
mod tests;
