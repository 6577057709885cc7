//! What the sender tells about the file, once it has read all of it.

use super::io::STREAM_BYTES;
use crate::wire::peer_frame::FlowId;

/// The flow of the manifest.
pub(super) const MANIFEST: FlowId = FlowId(0);
/// The flow of the file.
pub(super) const FILE: FlowId = FlowId(1);

/// Length 8, hash 32.
pub(super) const MANIFEST_BYTES: usize = 40;

/// How many bytes of a file may be on their way or waiting for the disk. The sender starts with so much
/// credit; it covers 5 Gbit/s over 100 ms.
pub(super) const FILE_WINDOW: u64 = 64 * 1024 * 1024;

/// The same for a receiver that keeps in memory what came before its turn.
pub(super) const STREAM_WINDOW: u64 = STREAM_BYTES as u64;

/// Length and hash of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) bytes: u64,
    pub(super) blake3: [u8; 32],
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.bytes.to_be_bytes().as_slice(), &self.blake3].concat()
    }

    pub(super) fn decode(encoded: &[u8; MANIFEST_BYTES]) -> Manifest {
        let (mut bytes, mut blake3) = ([0; 8], [0; 32]);
        bytes.copy_from_slice(&encoded[..8]);
        blake3.copy_from_slice(&encoded[8..]);
        Manifest { bytes: u64::from_be_bytes(bytes), blake3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_come_back() {
        let manifest = Manifest { bytes: 1 << 40 | 7, blake3: [9; 32] };
        assert_eq!(Manifest::decode(&manifest.encode().try_into().unwrap()), manifest);
    }
}
