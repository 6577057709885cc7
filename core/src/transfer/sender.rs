//! The sending side: which range of the file goes into which slot.
//!
//! A folder or several files are sent as one run of bytes, which begins with their listing. Behind that it waits until
//! both ends know what of the contents the receiver has ([`super::parts`]).
//!
//! A stream is a file that grows while it is sent: what has come of it is read like a file, and what has arrived is
//! forgotten by the driver. It has all that may be needed again, since it takes no more than it can keep.

use core::ops::Range;
use std::collections::VecDeque;

use super::io::{Output, SLOT_BYTES, SLOTS, SlotId};
use super::manifest::{FILE, MANIFEST, Manifest};
use super::parts::{self, ANSWER, MAX_PARTS_BYTES, PARTS, answer_bytes, encode_answer};
use super::progress::Beside;
use super::receiver::Disagreement;
use super::resume::{Have, RESUME, Resumed, Told};
use crate::client::standing::Waiting;
use crate::id::OfferId;
use crate::peer::{Chunk, Connection};
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Sender {
    /// Of a stream, once it has ended; of several files, once it is known what of them is sent.
    bytes: Option<u64>,
    /// If it is one.
    stream: Option<Stream>,
    /// If it is a folder or several files.
    tree: Option<Tree>,
    stage: Stage,
    slots: [Slot; SLOTS as usize],
    /// What is in slots and has not left, in order.
    pub(super) ready: VecDeque<Chunk>,
    /// Of the whole file, once it is known.
    blake3: Option<[u8; 32]>,
    /// An empty file has no range to read, and must be read all the same, to be hashed.
    empty_read_due: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    /// So many bytes have come.
    available: u64,
    /// So many are not needed any more.
    released: u64,
}

#[derive(Debug)]
struct Tree {
    /// So many bytes are the listing.
    listing: u64,
    /// So many follow, less what is left out.
    contents: u64,
    left_out: u64,
    /// What the receiver has, as far as it has come.
    encoded: Vec<u8>,
    /// How long each part is that it has.
    parts: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What the receiver has already is not known.
    Agreeing,
    /// The beginning of the source is compared with it.
    Comparing(Have),
    /// The listing is sent, and what the receiver has of it is not known.
    Listing,
    /// What it has is compared.
    ComparingParts,
    /// It must know what is left out before it can use anything behind the listing.
    Answering,
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
    pub(super) fn new(bytes: Option<u64>, listing: Option<u64>) -> Self {
        let tree = |listing| Tree {
            listing,
            contents: bytes.unwrap_or(0),
            left_out: 0,
            encoded: Vec::new(),
            parts: Vec::new(),
        };
        Sender {
            bytes: bytes.filter(|_| listing.is_none()),
            stream: bytes.is_none().then(Stream::default),
            tree: listing.map(tree),
            stage: Stage::Agreeing,
            slots: [const { Slot::Free }; SLOTS as usize],
            ready: VecDeque::new(),
            blake3: None,
            empty_read_due: bytes == Some(0) && listing.is_none(),
        }
    }

    /// Of the whole file, once it is known.
    pub(super) fn blake3(&self) -> Option<[u8; 32]> {
        self.blake3
    }

    /// How long it is, as far as that is known.
    pub(super) fn length(&self) -> u64 {
        let listing = self.tree.as_ref().map(|tree| tree.listing);
        self.bytes.or(listing).or(self.stream.map(|stream| stream.available)).unwrap_or(0)
    }

    /// How much of it the listing is, and how much of the contents is left out.
    pub(super) fn beside_contents(&self) -> Beside {
        self.tree.as_ref().map_or(Beside::default(), |tree| Beside { listing: tree.listing, left_out: tree.left_out })
    }

    /// Whether a slot waits for its bytes.
    pub(super) fn is_reading(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Reading(_)))
    }

    /// What it waits for, if nothing is wrong.
    pub(super) fn waits_for(&self, connection: &Connection) -> Option<Waiting> {
        let all_arrived = self.stage == Stage::Sending && connection.acknowledged(FILE) == self.length();
        match self.stage {
            Stage::Comparing(_) | Stage::ComparingParts => Some(Waiting::OwnHash),
            Stage::Listing if connection.acknowledged(FILE) == self.length() => Some(Waiting::PeerHash),
            // All that has come of a stream that has not ended.
            _ if all_arrived && self.bytes.is_none() => Some(Waiting::Source),
            _ if all_arrived && self.blake3.is_none() => Some(Waiting::OwnHash),
            _ if all_arrived => Some(Waiting::PeerHash),
            _ => connection.waits_for_credit(FILE).then_some(Waiting::PeerDisk),
        }
    }

    /// Both ends agree, and the receiver has some of the file already.
    pub(super) fn on_agreed(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        transfer: OfferId,
        Told { have, window }: Told,
        out: &mut Vec<Output>,
    ) {
        if self.stage != Stage::Agreeing {
            return;
        }
        let credit = window.saturating_add(have.bytes);
        if let Some(Tree { listing, .. }) = self.tree {
            connection.open_sending_stream(FILE, credit);
            connection.grow_sending(now, FILE, listing);
            connection.open_receiving_stream(PARTS, MAX_PARTS_BYTES as u64);
            self.stage = Stage::Listing;
            return;
        }
        match self.stream {
            None => connection.open_sending(FILE, self.length(), credit),
            Some(Stream { available, .. }) => {
                connection.open_sending_stream(FILE, credit);
                connection.grow_sending(now, FILE, available);
            }
        }
        match have.bytes {
            0 => self.begin(now, connection),
            bytes if self.stream.is_none() && bytes <= self.length() => {
                self.stage = Stage::Comparing(have);
                out.push(Output::Compare { transfer, bytes });
            }
            // It has more than there is, or something of a stream, which is gone.
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

    /// The receiver says what it has of the files of a listing.
    pub(super) fn on_data(&mut self, offset: u64, bytes: &[u8]) {
        let Some(Tree { encoded, .. }) = &mut self.tree else { return };
        // The connection has seen that it is not beyond `MAX_PARTS_BYTES`.
        let Ok(start) = usize::try_from(offset) else { return };
        let end = start.saturating_add(bytes.len()).min(MAX_PARTS_BYTES);
        if encoded.len() < end {
            encoded.resize(end, 0);
        }
        if let Some(place) = encoded.get_mut(start..end).filter(|place| place.len() == bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Goes on with the contents if the receiver has said what it has, or knows the answer: asked after every packet.
    pub(super) fn negotiate(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        transfer: OfferId,
        out: &mut Vec<Output>,
    ) -> Result<(), Disagreement> {
        let Some(tree) = &mut self.tree else { return Ok(()) };
        match self.stage {
            Stage::Listing if connection.is_complete(PARTS) => {
                let parts = parts::decode(&core::mem::take(&mut tree.encoded)).ok_or(Disagreement)?;
                tree.parts = parts.iter().map(|part| part.bytes).collect();
                self.stage = Stage::ComparingParts;
                out.push(Output::CompareParts { transfer, parts });
            }
            Stage::Answering if connection.acknowledged(ANSWER) == answer_bytes(tree.parts.len()) as u64 => {
                self.send_contents(now, connection);
            }
            _ => {}
        }
        Ok(())
    }

    /// Which of the parts are the same; how much is left out.
    pub(super) fn on_parts_compared(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        same: &[bool],
    ) -> Result<u64, Disagreement> {
        let (Some(tree), Stage::ComparingParts) = (&mut self.tree, self.stage) else { return Ok(0) };
        let left_out = parts::left_out(&tree.parts, same).filter(|_| tree.parts.len() == same.len());
        tree.left_out = left_out.filter(|bytes| *bytes <= tree.contents).ok_or(Disagreement)?;
        let (end, left_out) = (tree.listing + (tree.contents - tree.left_out), tree.left_out);
        self.bytes = Some(end);
        if same.is_empty() {
            self.send_contents(now, connection);
        } else {
            self.stage = Stage::Answering;
            connection.send_inline(now, ANSWER, encode_answer(end, same));
        }
        Ok(left_out)
    }

    fn send_contents(&mut self, now: Instant, connection: &mut Connection) {
        connection.grow_sending(now, FILE, self.length());
        connection.end_sending(FILE);
        self.begin(now, connection);
    }

    fn resume(&mut self, now: Instant, connection: &mut Connection, bytes: u64) {
        connection.send_inline(now, RESUME, bytes.to_be_bytes().to_vec());
        self.begin(now, connection);
    }

    fn begin(&mut self, now: Instant, connection: &mut Connection) {
        self.stage = Stage::Sending;
        self.tell_if_hashed(now, connection);
        connection.wake(now);
    }

    /// So many bytes of a stream have come.
    pub(super) fn on_available(&mut self, now: Instant, connection: &mut Connection, bytes: u64) {
        if let (Some(stream), None) = (&mut self.stream, self.bytes) {
            stream.available = stream.available.max(bytes);
            connection.grow_sending(now, FILE, stream.available);
        }
    }

    /// Lets go of what of a stream has arrived: not for every packet, but all of it in the end.
    pub(super) fn release(&mut self, connection: &Connection, transfer: OfferId, out: &mut Vec<Output>) {
        let Some(Stream { available, released }) = &mut self.stream else { return };
        let offset = connection.first_unacknowledged(FILE);
        if offset >= *released + SLOT_BYTES as u64 || (offset > *released && offset == *available) {
            *released = offset;
            out.push(Output::Release { transfer, offset });
        }
    }

    /// Gives every free slot a range to read, as long as there are any.
    pub(super) fn read_ahead(&mut self, connection: &mut Connection, transfer: OfferId, out: &mut Vec<Output>) {
        if !matches!(self.stage, Stage::Listing | Stage::Answering | Stage::Sending) {
            return;
        }
        let most = connection.data_per_burst(FILE);
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
            (self.blake3, self.bytes) = (Some(blake3), Some(self.length()));
            self.tell_if_hashed(now, connection);
        }
    }

    /// A stream may have ended before the other end was heard of.
    fn tell_if_hashed(&self, now: Instant, connection: &mut Connection) {
        if let (Stage::Sending, Some(blake3)) = (self.stage, self.blake3) {
            connection.end_sending(FILE);
            connection.send_inline(now, MANIFEST, Manifest { bytes: self.length(), blake3 }.encode());
        }
    }
}
