//! All the transfers of one UDP socket: which one a fact is about, and whose turn it is.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::active::{ActiveTransfer, Beginning, Device};
use super::io::{Counters, Input, Output};
use crate::client::event::TransferFailure;
use crate::client::io::{Progress, Report, Side, Start};
use crate::config::TransferConfig;
use crate::id::{OfferId, PeerIndex};
use crate::machine::{Bounded, Machine, Usage};
use crate::peer::Event;
use crate::secure::SecretKey;
use crate::time::Instant;
use crate::wire::packet::HandshakeHeader;

/// Transfers at the same time. Each has up to 64 MB on its way to the disk, and some megabytes of its own.
pub const MAX_TRANSFERS: usize = 128;

/// Transfers that have ended whose counters are kept.
const MAX_ENDED: usize = 64;

/// Bursts for one call, over all transfers: a quarter of a megabyte, a few hundred microseconds of sealing.
const MAX_BURSTS_PER_CALL: usize = 4;

/// What is due waits for `Woke`, so that what follows from a batch of datagrams is done once. If facts keep
/// coming without one, it waits no longer than this.
const PATIENCE: Duration = Duration::from_millis(1);

/// All the transfers of one UDP socket. [`super`] has the theory.
#[derive(Debug)]
pub struct Transfers {
    config: TransferConfig,
    device: Device,
    random: ChaCha20Rng,
    transfers: BTreeMap<OfferId, Entry>,
    by_index: BTreeMap<PeerIndex, OfferId>,
    /// Who is due when; among those that are due at the same time, who was served longest ago.
    agenda: BTreeMap<Turn, OfferId>,
    turns: u64,
    ended: VecDeque<(OfferId, Counters)>,
    /// Of the last call.
    now: Instant,
    /// Empty between calls.
    events: Vec<Event>,
}

/// A place in the agenda.
type Turn = (Instant, u64);

#[derive(Debug)]
struct Entry {
    transfer: ActiveTransfer,
    turn: Option<Turn>,
}

impl Transfers {
    /// No transfers yet, of the device with this key. `seed` is random and never used twice. A payload out of bounds is
    /// brought within.
    pub fn new(config: TransferConfig, device: SecretKey, seed: [u8; 32]) -> Self {
        Transfers {
            config: TransferConfig {
                payload: config.payload.map(|it| it.clamp(TransferConfig::MIN_PAYLOAD, TransferConfig::MAX_PAYLOAD)),
                ..config
            },
            device: Device { public: device.public(), secret: device },
            random: ChaCha20Rng::from_seed(seed),
            transfers: BTreeMap::new(),
            by_index: BTreeMap::new(),
            agenda: BTreeMap::new(),
            turns: 0,
            ended: VecDeque::new(),
            now: Instant::ZERO,
            events: Vec::new(),
        }
    }

    /// What was counted for a transfer that is under way or has just ended.
    pub fn counters(&self, transfer: OfferId) -> Option<Counters> {
        let ended = || self.ended.iter().rev().find(|(id, _)| *id == transfer).map(|(_, counters)| *counters);
        self.transfers.get(&transfer).map(|entry| entry.transfer.counters()).or_else(ended)
    }

    fn start(&mut self, now: Instant, start: Start, out: &mut Vec<Output>) {
        let id = start.transfer;
        if self.transfers.contains_key(&id) {
            return;
        }
        if self.transfers.len() >= MAX_TRANSFERS {
            self.drop_a_farewell(out);
        }
        if self.transfers.len() >= MAX_TRANSFERS || self.by_index.contains_key(&start.local_index) {
            let reason = "too many transfers are under way".to_owned();
            let failure = match start.side {
                Side::Send { .. } => TransferFailure::Read(reason),
                Side::Receive { .. } => TransferFailure::Write(reason),
            };
            out.push(Output::Close { transfer: id, keep: true });
            out.push(Output::Report(Report { transfer: id, progress: Progress::Failed(failure) }));
            return;
        }
        let mut seeds = [[0; 32]; 2];
        seeds.iter_mut().for_each(|seed| self.random.fill_bytes(seed));
        self.by_index.insert(start.local_index, id);
        let transfer = ActiveTransfer::new(now, start, Beginning { device: &self.device, config: self.config, seeds });
        self.transfers.insert(id, Entry { transfer, turn: None });
        self.settle(now, id, out);
    }

    /// Makes room: one that has ended may wait long for its other end, and nothing is lost here without it.
    fn drop_a_farewell(&mut self, out: &mut Vec<Output>) {
        let has_ended = |(_, entry): &(&OfferId, &Entry)| entry.transfer.has_ended();
        if let Some((&id, entry)) = self.transfers.iter().find(has_ended) {
            let index = entry.transfer.local_index();
            self.end(id, index, out);
        }
    }

    /// Tells a transfer a fact, if it is there.
    fn tell(
        &mut self,
        now: Instant,
        id: OfferId,
        out: &mut Vec<Output>,
        fact: impl FnOnce(&mut ActiveTransfer, &mut Vec<Event>, &mut Vec<Output>),
    ) {
        if let Some(entry) = self.transfers.get_mut(&id) {
            fact(&mut entry.transfer, &mut self.events, out);
            self.settle(now, id, out);
        }
    }

    /// Serves those whose deadline is not after `due`, each once, while there are bursts left.
    fn serve(&mut self, now: Instant, due: Instant, out: &mut Vec<Output>) {
        let last_turn = self.turns;
        let mut bursts = MAX_BURSTS_PER_CALL;
        while bursts > 0 {
            let Some((&(at, turn), &id)) = self.agenda.first_key_value() else { return };
            if at > due || turn > last_turn {
                return;
            }
            let Some(entry) = self.transfers.get_mut(&id) else { return };
            bursts -= entry.transfer.serve(now, bursts, out).min(bursts);
            self.agenda.remove(&(at, turn));
            entry.turn = None;
            self.settle(now, id, out);
        }
    }

    /// Brings the agenda up to date, or ends the transfer if it is over.
    fn settle(&mut self, now: Instant, id: OfferId, out: &mut Vec<Output>) {
        let Some(entry) = self.transfers.get_mut(&id) else { return };
        if entry.transfer.is_over() {
            let index = entry.transfer.local_index();
            self.end(id, index, out);
            return;
        }
        let at = entry.transfer.deadline().map(|at| at.max(now));
        let unchanged = match (at, entry.turn) {
            (Some(at), Some((before, _))) => before == at || (before <= now && at <= now),
            (at, turn) => at.is_none() && turn.is_none(),
        };
        if unchanged {
            return;
        }
        if let Some(turn) = entry.turn.take() {
            self.agenda.remove(&turn);
        }
        if let Some(at) = at {
            self.turns += 1;
            entry.turn = Some((at, self.turns));
            self.agenda.insert((at, self.turns), id);
        }
    }

    fn end(&mut self, id: OfferId, index: PeerIndex, out: &mut Vec<Output>) {
        let Some(Entry { mut transfer, turn }) = self.transfers.remove(&id) else { return };
        self.by_index.remove(&index);
        if let Some(turn) = turn {
            self.agenda.remove(&turn);
        }
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, transfer.counters()));
        out.push(Output::Forget { index, transfer: id });
        transfer.close_file(true, out);
    }
}

impl Bounded for Transfers {
    fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("transfers", self.transfers.len(), MAX_TRANSFERS));
        each(Usage::new("indexes of transfers", self.by_index.len(), MAX_TRANSFERS));
        each(Usage::new("turns of transfers", self.agenda.len(), MAX_TRANSFERS));
        each(Usage::new("counters of transfers that have ended", self.ended.len(), MAX_ENDED));
        // At most `MAX_TRANSFERS`.
        for entry in self.transfers.values() {
            entry.transfer.usage(each);
        }
    }
}

impl Machine for Transfers {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.now = now;
        let due = match input {
            Input::Woke => now,
            _ => Instant::from_nanos(now.as_nanos().saturating_sub(PATIENCE.as_nanos() as u64)),
        };
        self.serve(now, due, out);
        match input {
            Input::Woke => {}
            Input::Start(start) => self.start(now, start, out),
            Input::Datagram { from, header, payload, ecn } => {
                if let Some(id) = self.by_index.get(&header.index).copied() {
                    let packet = (from, header.number, ecn);
                    self.tell(now, id, out, |t, events, out| t.on_datagram(now, packet, payload, events, out));
                }
            }
            Input::Handshake { from, datagram } => {
                let header = HandshakeHeader::decode(datagram);
                if let Some(id) = header.ok().and_then(|header| self.by_index.get(&header.receiver).copied()) {
                    self.tell(now, id, out, |t, _, out| t.on_handshake(now, from, datagram, out));
                }
            }
            Input::Prepared { transfer, have } => self.tell(now, transfer, out, |t, _, _| t.on_prepared(have)),
            Input::Compared { transfer, blake3 } => {
                self.tell(now, transfer, out, |t, _, out| t.on_compared(now, blake3, out));
            }
            Input::Surveyed { transfer, parts } => {
                self.tell(now, transfer, out, |t, _, out| t.on_surveyed(now, parts, out));
            }
            Input::PartsCompared { transfer, same } => {
                self.tell(now, transfer, out, |t, _, out| t.on_parts_compared(now, &same, out));
            }
            Input::Read { transfer, slot } => self.tell(now, transfer, out, |t, _, _| t.on_read(now, slot)),
            Input::Available { transfer, bytes } => {
                self.tell(now, transfer, out, |t, _, _| t.on_available(now, bytes));
            }
            Input::SourceHashed { transfer, blake3 } => {
                self.tell(now, transfer, out, |t, _, _| t.on_source_hashed(now, blake3));
            }
            Input::Written { transfer, bytes } => {
                self.tell(now, transfer, out, |t, _, out| t.on_written(now, bytes, out));
            }
            Input::Verified { transfer, blake3 } => {
                self.tell(now, transfer, out, |t, _, out| t.on_verified(now, blake3, out));
            }
            Input::Published { transfer, saved_as } => {
                self.tell(now, transfer, out, |t, _, out| t.on_published(now, saved_as, out));
            }
            Input::StorageFailed { transfer, reason } => {
                self.tell(now, transfer, out, |t, _, out| t.on_storage_failed(now, reason, out));
            }
            Input::Cancel { transfer, keep } => {
                self.tell(now, transfer, out, |t, _, out| t.on_cancelled(now, keep, out));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // The first of at most `MAX_TRANSFERS`.
        self.agenda.first_key_value().map(|((at, _), _)| (*at).max(self.now))
    }
}

#[cfg(test)]
mod tests;
