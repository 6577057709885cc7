//! The receiving side: what is written where, and when the file is whole.

use core::ops::Range;

use super::io::Output;
use super::manifest::{FILE, FILE_WINDOW, MANIFEST, MANIFEST_BYTES, Manifest, STREAM_WINDOW};
use super::parts::{self, ANSWER, MAX_PARTS, PARTS, Part, answer_bytes, decode_answer};
use super::progress::Beside;
use super::resume::{Have, RESUME, RESUME_BYTES, Resumed, Told};
use crate::client::io::Destination;
use crate::client::standing::Waiting;
use crate::id::OfferId;
use crate::peer::Connection;
use crate::time::Instant;
use crate::wire::peer_frame::FlowId;

#[derive(Debug)]
pub(super) struct Receiver {
    /// Of a stream, once it has ended; of several files, once it is known what of them is sent.
    bytes: Option<u64>,
    /// If it is a folder or several files.
    tree: Option<Tree>,
    /// How much may be on its way or unconsumed.
    window: u64,
    into: Destination,
    written: u64,
    manifest: [u8; MANIFEST_BYTES],
    /// What was there before.
    have: u64,
    resume: [u8; RESUME_BYTES],
    stage: Stage,
}

#[derive(Debug)]
struct Tree {
    /// So many bytes are the listing.
    listing: u64,
    /// So many follow, less what is left out.
    contents: u64,
    left_out: u64,
    /// How long each part is that was there already.
    parts: Vec<u64>,
    /// What the sender says of that, as far as it has come.
    answer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What is there already is not known.
    Preparing,
    /// Something was there, and the sender compares it.
    Agreeing,
    /// The listing is not complete.
    Listing,
    /// The driver looks what is there of it.
    Surveying,
    /// The sender compares that.
    Answering,
    /// Bytes are missing, or not with the file yet.
    Receiving,
    /// The driver hashes the file.
    Verifying,
    /// The driver gives the file its name.
    Publishing,
    /// The file has its name.
    Published,
}

/// The sender goes on at a place of which nothing was said, or ends before what it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disagreement;

/// The file is not what its sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch;

impl Receiver {
    pub(super) fn new(bytes: Option<u64>, listing: Option<u64>, into: Destination) -> Self {
        let window = match into {
            Destination::File => FILE_WINDOW,
            Destination::Stream => STREAM_WINDOW,
        };
        let (manifest, resume) = ([0; MANIFEST_BYTES], [0; RESUME_BYTES]);
        let contents = bytes.unwrap_or(0);
        let tree =
            listing.map(|listing| Tree { listing, contents, left_out: 0, parts: Vec::new(), answer: Vec::new() });
        let bytes = bytes.filter(|_| listing.is_none());
        Receiver { bytes, tree, window, into, written: 0, manifest, have: 0, resume, stage: Stage::Preparing }
    }

    /// How long it is, as far as that is known.
    pub(super) fn length(&self) -> u64 {
        self.bytes.unwrap_or(self.written)
    }

    /// How much of it the listing is, and how much of the contents is left out.
    pub(super) fn beside_contents(&self) -> Beside {
        self.tree.as_ref().map_or(Beside::default(), |tree| Beside { listing: tree.listing, left_out: tree.left_out })
    }

    /// What is there of the file is known; what the other end must know, if that was not before.
    pub(super) fn on_prepared(&mut self, connection: &mut Connection, have: Have) -> Option<Told> {
        if self.stage != Stage::Preparing {
            return None;
        }
        connection.open_receiving(MANIFEST, MANIFEST_BYTES as u64, MANIFEST_BYTES as u64);
        match self.bytes {
            Some(bytes) => connection.open_receiving(FILE, bytes, self.window),
            None => connection.open_receiving_stream(FILE, self.window),
        }
        self.have = have.bytes;
        self.stage = if self.tree.is_some() { Stage::Listing } else { Stage::Receiving };
        if have.bytes > 0 && self.tree.is_none() {
            connection.open_receiving(RESUME, RESUME_BYTES as u64, RESUME_BYTES as u64);
            connection.allow_receiving(FILE, self.window.saturating_add(have.bytes));
            self.stage = Stage::Agreeing;
        }
        Some(Told { have, window: self.window })
    }

    /// What takes the bytes that have arrived.
    pub(super) fn taker(&self) -> Waiting {
        match self.into {
            Destination::File => Waiting::OwnDisk,
            Destination::Stream => Waiting::Reader,
        }
    }

    /// Whether bytes that have arrived are not with the file yet.
    pub(super) fn is_writing(&self, connection: &Connection) -> bool {
        matches!(self.stage, Stage::Listing | Stage::Receiving) && self.written < connection.arrived(FILE)
    }

    /// What it waits for, if nothing is wrong.
    pub(super) fn waits_for(&self) -> Option<Waiting> {
        match self.stage {
            Stage::Preparing | Stage::Surveying | Stage::Verifying | Stage::Publishing => Some(Waiting::OwnHash),
            Stage::Agreeing | Stage::Answering => Some(Waiting::PeerHash),
            Stage::Listing | Stage::Receiving | Stage::Published => None,
        }
    }

    /// Whether it is not known where the sender begins.
    pub(super) fn is_agreeing(&self) -> bool {
        self.stage == Stage::Agreeing
    }

    /// The sender has said where it begins, if it has: asked after every packet, and answered once.
    pub(super) fn resumed(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        transfer: OfferId,
        out: &mut Vec<Output>,
    ) -> Option<Result<Resumed, Disagreement>> {
        if self.stage == Stage::Answering && connection.is_complete(ANSWER) {
            return Some(self.on_answer(connection, transfer, out));
        }
        if self.stage != Stage::Agreeing || !connection.is_complete(RESUME) {
            return None;
        }
        self.stage = Stage::Receiving;
        let bytes = u64::from_be_bytes(self.resume);
        if bytes == 0 {
            out.push(Output::Restart { transfer });
        } else if bytes == self.have {
            connection.skip_receiving(now, FILE, bytes);
            self.written = self.written.saturating_add(bytes);
        } else {
            return Some(Err(Disagreement));
        }
        Some(Ok(Resumed { bytes, of: self.have }))
    }

    /// New bytes of a flow, at `range` of `payload`.
    pub(super) fn on_data(
        &mut self,
        transfer: OfferId,
        (flow, offset): (FlowId, u64),
        range: Range<usize>,
        payload: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Disagreement> {
        if flow == FILE {
            let agreed = self.listing_only().is_none_or(|listing| offset.saturating_add(range.len() as u64) <= listing);
            out.extend(agreed.then_some(Output::Write { transfer, offset, range }));
            return if agreed { Ok(()) } else { Err(Disagreement) };
        }
        let small = match (flow, &mut self.tree) {
            (RESUME, _) => &mut self.resume[..],
            (ANSWER, Some(tree)) => &mut tree.answer[..],
            _ => &mut self.manifest[..],
        };
        let place = usize::try_from(offset).ok().and_then(|at| small.get_mut(at..at + range.len()));
        if let (Some(place), Some(bytes)) = (place, payload.get(range)) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// So many more bytes are with the file.
    pub(super) fn on_written(&mut self, now: Instant, connection: &mut Connection, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
        connection.consumed(now, FILE, bytes);
    }

    /// Asks what is there of the files of a listing, once that is complete.
    pub(super) fn survey_if_listed(&mut self, transfer: OfferId, out: &mut Vec<Output>) {
        if self.stage == Stage::Listing && self.tree.as_ref().is_some_and(|tree| self.written >= tree.listing) {
            self.stage = Stage::Surveying;
            out.push(Output::Survey { transfer });
        }
    }

    /// These parts are there already.
    pub(super) fn on_surveyed(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        transfer: OfferId,
        mut parts: Vec<Part>,
        out: &mut Vec<Output>,
    ) -> Result<(), Disagreement> {
        let (Some(tree), Stage::Surveying) = (&mut self.tree, self.stage) else { return Ok(()) };
        parts.truncate(MAX_PARTS);
        connection.send_inline(now, PARTS, parts::encode(&parts));
        if parts.is_empty() {
            return self.leave_out(connection, transfer, (0, Vec::new()), out);
        }
        let bytes = answer_bytes(parts.len());
        connection.open_receiving(ANSWER, bytes as u64, bytes as u64);
        tree.parts = parts.iter().map(|part| part.bytes).collect();
        (tree.answer, self.stage) = (vec![0; bytes], Stage::Answering);
        Ok(())
    }

    fn on_answer(
        &mut self,
        connection: &mut Connection,
        transfer: OfferId,
        out: &mut Vec<Output>,
    ) -> Result<Resumed, Disagreement> {
        let tree = self.tree.as_ref().ok_or(Disagreement)?;
        let (end, same) = decode_answer(&tree.answer, tree.parts.len()).ok_or(Disagreement)?;
        let bytes = parts::left_out(&tree.parts, &same).ok_or(Disagreement)?;
        self.leave_out(connection, transfer, (bytes, same), out)?;
        if self.bytes == Some(end) { Ok(Resumed { bytes, of: bytes }) } else { Err(Disagreement) }
    }

    /// Both ends know what follows the listing.
    fn leave_out(
        &mut self,
        connection: &mut Connection,
        transfer: OfferId,
        (bytes, same): (u64, Vec<bool>),
        out: &mut Vec<Output>,
    ) -> Result<(), Disagreement> {
        let tree = self.tree.as_mut().ok_or(Disagreement)?;
        let contents = tree.contents.checked_sub(bytes).ok_or(Disagreement)?;
        let end = tree.listing.saturating_add(contents);
        if !connection.end_receiving(FILE, end) {
            return Err(Disagreement);
        }
        (tree.left_out, self.bytes, self.stage) = (bytes, Some(end), Stage::Receiving);
        out.push(Output::LeaveOut { transfer, same });
        Ok(())
    }

    /// How long the listing is, while nothing else may come.
    fn listing_only(&self) -> Option<u64> {
        let is_early = matches!(self.stage, Stage::Listing | Stage::Surveying | Stage::Answering);
        self.tree.as_ref().filter(|_| is_early).map(|tree| tree.listing)
    }

    /// Asks for the hash of the file once it is whole.
    pub(super) fn verify_if_whole(
        &mut self,
        connection: &mut Connection,
        transfer: OfferId,
        out: &mut Vec<Output>,
    ) -> Result<(), Disagreement> {
        if self.stage != Stage::Receiving || !connection.is_complete(MANIFEST) {
            return Ok(());
        }
        if self.bytes.is_none() {
            let bytes = Manifest::decode(&self.manifest).bytes;
            if !connection.end_receiving(FILE, bytes) {
                return Err(Disagreement);
            }
            self.bytes = Some(bytes);
        }
        if connection.is_complete(FILE) && self.written >= self.length() {
            self.stage = Stage::Verifying;
            out.push(Output::Verify { transfer });
        }
        Ok(())
    }

    /// The hash of the file is known: asks for its name if it is right.
    pub(super) fn on_verified(
        &mut self,
        transfer: OfferId,
        blake3: [u8; 32],
        out: &mut Vec<Output>,
    ) -> Result<(), Mismatch> {
        if self.stage != Stage::Verifying {
            return Ok(());
        }
        if Manifest::decode(&self.manifest) != (Manifest { bytes: self.length(), blake3 }) {
            return Err(Mismatch);
        }
        self.stage = Stage::Publishing;
        out.push(Output::Publish { transfer });
        Ok(())
    }

    /// The file has its name; gives its hash, the first time.
    pub(super) fn on_published(&mut self) -> Option<[u8; 32]> {
        if self.stage != Stage::Publishing {
            return None;
        }
        self.stage = Stage::Published;
        Some(Manifest::decode(&self.manifest).blake3)
    }
}
