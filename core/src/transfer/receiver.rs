//! The receiving side: what is written where, and when the file is whole.

use core::ops::Range;

use super::io::Output;
use super::manifest::{FILE, FILE_WINDOW, MANIFEST, MANIFEST_BYTES, Manifest, STREAM_WINDOW};
use super::resume::{Have, RESUME, RESUME_BYTES, Resumed, Told};
use crate::client::io::Destination;
use crate::client::standing::Waiting;
use crate::id::OfferId;
use crate::peer::Connection;
use crate::time::Instant;
use crate::wire::peer_frame::FlowId;

#[derive(Debug)]
pub(super) struct Receiver {
    /// Of a stream, once it has ended.
    bytes: Option<u64>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What is there already is not known.
    Preparing,
    /// Something was there, and the sender compares it.
    Agreeing,
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
    pub(super) fn new(bytes: Option<u64>, into: Destination) -> Self {
        let window = match into {
            Destination::File => FILE_WINDOW,
            Destination::Stream => STREAM_WINDOW,
        };
        let (manifest, resume) = ([0; MANIFEST_BYTES], [0; RESUME_BYTES]);
        Receiver { bytes, window, into, written: 0, manifest, have: 0, resume, stage: Stage::Preparing }
    }

    /// How long it is, as far as that is known.
    pub(super) fn length(&self) -> u64 {
        self.bytes.unwrap_or(self.written)
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
        self.stage = Stage::Receiving;
        if have.bytes > 0 {
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
        self.stage == Stage::Receiving && self.written < connection.arrived(FILE)
    }

    /// What it waits for, if nothing is wrong.
    pub(super) fn waits_for(&self) -> Option<Waiting> {
        match self.stage {
            Stage::Preparing | Stage::Verifying | Stage::Publishing => Some(Waiting::OwnHash),
            Stage::Agreeing => Some(Waiting::PeerHash),
            Stage::Receiving | Stage::Published => None,
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
    ) {
        if flow == FILE {
            out.push(Output::Write { transfer, offset, range });
            return;
        }
        let small = if flow == RESUME { &mut self.resume[..] } else { &mut self.manifest[..] };
        let place = usize::try_from(offset).ok().and_then(|at| small.get_mut(at..at + range.len()));
        if let (Some(place), Some(bytes)) = (place, payload.get(range)) {
            place.copy_from_slice(bytes);
        }
    }

    /// So many more bytes are with the file.
    pub(super) fn on_written(&mut self, now: Instant, connection: &mut Connection, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
        connection.consumed(now, FILE, bytes);
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
