//! Going on where an earlier transfer of the same file ended.
//!
//! # Theory of operation
//!
//! A receiver that keeps a partial file knows how much of its beginning was written, and the hash of that. It tells
//! both with its answer to the handshake ([`Have`]), before anything is sent. The sender hashes as much of its own file,
//! which it must do anyway to know the hash of all of it, and compares. If they are the same it says so on a small flow
//! of its own, and sends what is missing; if not, the file has changed since: it says that, and sends all of it.
//!
//! What had arrived beyond the first gap is sent again: less than was on its way when the earlier transfer ended.
//!
//! Nothing depends on who arrives first: bytes that are sent go to their place whether or not the receiver knows where
//! the sender begins, and both ends count credit from the end of what the receiver has.

use crate::wire::packet::HANDSHAKE_TOLD_BYTES;
use crate::wire::peer_frame::FlowId;

/// The flow on which the sender answers: with how many bytes it begins, 8 bytes.
pub(super) const RESUME: FlowId = FlowId(2);

/// Its length.
pub(super) const RESUME_BYTES: usize = 8;

/// What a receiver has of a file: its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Have {
    /// How many bytes.
    pub bytes: u64,
    /// Of these bytes.
    pub blake3: [u8; 32],
}

/// Where a transfer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    /// So many bytes need not be sent.
    pub(super) bytes: u64,
    /// So many the receiver had; if these are more, the file has changed since.
    pub(super) of: u64,
}

impl Have {
    pub(super) fn encode(&self) -> [u8; HANDSHAKE_TOLD_BYTES] {
        let mut encoded = [0; HANDSHAKE_TOLD_BYTES];
        encoded[..8].copy_from_slice(&self.bytes.to_be_bytes());
        encoded[8..].copy_from_slice(&self.blake3);
        encoded
    }

    pub(super) fn decode(encoded: &[u8; HANDSHAKE_TOLD_BYTES]) -> Have {
        let (mut bytes, mut blake3) = ([0; 8], [0; 32]);
        bytes.copy_from_slice(&encoded[..8]);
        blake3.copy_from_slice(&encoded[8..]);
        Have { bytes: u64::from_be_bytes(bytes), blake3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_has_comes_back() {
        let have = Have { bytes: 1 << 40 | 7, blake3: [9; 32] };
        assert_eq!(Have::decode(&have.encode()), have);
        assert_eq!(Have::decode(&[0; HANDSHAKE_TOLD_BYTES]), Have::default());
    }
}
