//! The receiving side: what is written where, and when the file is whole.

use core::ops::Range;

use super::io::Output;
use super::manifest::{FILE, FILE_WINDOW, MANIFEST, MANIFEST_BYTES, Manifest};
use crate::id::OfferId;
use crate::peer::Connection;
use crate::time::Instant;
use crate::wire::peer_frame::FlowId;

#[derive(Debug)]
pub(super) struct Receiver {
    bytes: u64,
    written: u64,
    manifest: [u8; MANIFEST_BYTES],
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bytes are missing, or not with the file yet.
    Receiving,
    /// The driver hashes the file.
    Verifying,
    /// The driver gives the file its name.
    Publishing,
    /// The file has its name.
    Published,
}

/// The file is not what its sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch;

impl Receiver {
    pub(super) fn new(connection: &mut Connection, bytes: u64) -> Self {
        connection.open_receiving(MANIFEST, MANIFEST_BYTES as u64, MANIFEST_BYTES as u64);
        connection.open_receiving(FILE, bytes, FILE_WINDOW);
        Receiver { bytes, written: 0, manifest: [0; MANIFEST_BYTES], stage: Stage::Receiving }
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
        let place = usize::try_from(offset).ok().and_then(|at| self.manifest.get_mut(at..at + range.len()));
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
    pub(super) fn verify_if_whole(&mut self, connection: &Connection, transfer: OfferId, out: &mut Vec<Output>) {
        let all_arrived = connection.is_complete(MANIFEST) && connection.is_complete(FILE);
        if self.stage == Stage::Receiving && all_arrived && self.written >= self.bytes {
            self.stage = Stage::Verifying;
            out.push(Output::Verify { transfer });
        }
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
        if Manifest::decode(&self.manifest) != (Manifest { bytes: self.bytes, blake3 }) {
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
