//! The sending side: which range of the file goes into which slot.

use core::ops::Range;
use std::collections::VecDeque;

use super::io::{Output, SLOTS, SlotId};
use super::manifest::{FILE, FILE_WINDOW, MANIFEST, Manifest};
use super::resume::{Have, RESUME, Resumed};
use crate::id::OfferId;
use crate::peer::{Chunk, Connection};
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Sender {
    bytes: u64,
    stage: Stage,
    slots: [Slot; SLOTS as usize],
    /// What is in slots and has not left, in order.
    pub(super) ready: VecDeque<Chunk>,
    /// Of the whole file, once it is known.
    blake3: Option<[u8; 32]>,
    /// An empty file has no range to read, and must be read all the same, to be hashed.
    empty_read_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What the receiver has already is not known.
    Agreeing,
    /// The beginning of the source is compared with it.
    Comparing(Have),
    /// What it lacks is sent.
    Sending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    Reading(Range<u64>),
    /// At least a part of it has not left.
    Ready,
}

impl Sender {
    pub(super) fn new(bytes: u64) -> Self {
        Sender {
            bytes,
            stage: Stage::Agreeing,
            slots: [const { Slot::Free }; SLOTS as usize],
            ready: VecDeque::new(),
            blake3: None,
            empty_read_due: bytes == 0,
        }
    }

    /// Of the whole file, once it is known.
    pub(super) fn blake3(&self) -> Option<[u8; 32]> {
        self.blake3
    }

    /// Both ends agree, and the receiver has some of the file already.
    pub(super) fn on_agreed(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        transfer: OfferId,
        have: Have,
        out: &mut Vec<Output>,
    ) {
        if self.stage != Stage::Agreeing {
            return;
        }
        connection.open_sending(FILE, self.bytes, FILE_WINDOW.saturating_add(have.bytes));
        match have.bytes {
            0 => self.begin(now, connection),
            bytes if bytes <= self.bytes => {
                self.stage = Stage::Comparing(have);
                out.push(Output::Compare { transfer, bytes });
            }
            // It has more than there is.
            _ => self.resume(now, connection, 0),
        }
    }

    /// The hash of as much as the receiver has: whether it is the same, if that was asked.
    pub(super) fn on_compared(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        blake3: [u8; 32],
    ) -> Option<Resumed> {
        let Stage::Comparing(have) = self.stage else { return None };
        let is_same = have.blake3 == blake3;
        let bytes = if is_same { have.bytes } else { 0 };
        connection.skip_sending(FILE, bytes);
        self.resume(now, connection, bytes);
        Some(Resumed { bytes, of: have.bytes })
    }

    fn resume(&mut self, now: Instant, connection: &mut Connection, bytes: u64) {
        connection.send_inline(now, RESUME, bytes.to_be_bytes().to_vec());
        self.begin(now, connection);
    }

    fn begin(&mut self, now: Instant, connection: &mut Connection) {
        self.stage = Stage::Sending;
        connection.wake(now);
    }

    /// Gives every free slot a range to read, as long as there are any.
    pub(super) fn read_ahead(&mut self, connection: &mut Connection, transfer: OfferId, out: &mut Vec<Output>) {
        if self.stage != Stage::Sending {
            return;
        }
        let most = connection.data_per_burst();
        for (slot, state) in (0..).map(SlotId).zip(&mut self.slots) {
            if *state == Slot::Ready && self.ready.iter().all(|chunk| chunk.slot != slot) {
                *state = Slot::Free;
            }
            if *state != Slot::Free {
                continue;
            }
            let range = if core::mem::take(&mut self.empty_read_due) {
                0..0
            } else if let Some(range) = connection.claim(FILE, most) {
                range
            } else {
                continue;
            };
            // At most `most`, which is at most a slot.
            let length = (range.end - range.start) as usize;
            out.push(Output::Read { transfer, offset: range.start, length, slot });
            *state = Slot::Reading(range);
        }
    }

    /// A slot has its bytes.
    pub(super) fn on_read(&mut self, now: Instant, connection: &mut Connection, slot: SlotId) {
        let Some(state) = self.slots.get_mut(usize::from(slot.0)) else { return };
        let Slot::Reading(range) = state else { return };
        let (offset, length) = (range.start, (range.end - range.start) as usize);
        if length == 0 {
            *state = Slot::Free;
        } else {
            *state = Slot::Ready;
            self.ready.push_back(Chunk { flow: FILE, offset, slot, start: 0, length });
        }
        connection.wake(now);
    }

    /// The whole file was read once.
    pub(super) fn on_hashed(&mut self, now: Instant, connection: &mut Connection, blake3: [u8; 32]) {
        if self.blake3.is_none() {
            self.blake3 = Some(blake3);
            connection.send_inline(now, MANIFEST, Manifest { bytes: self.bytes, blake3 }.encode());
        }
    }
}
