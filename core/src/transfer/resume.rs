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
//! A receiver with less room than for a file (it passes the bytes on to a stream) has nothing, and tells its window
//! where the hash would be. So an answer has 40 bytes ([`Told`]): how many bytes there are (8, big-endian), and their
//! hash (32); or 0, the window (8; 0 is that for a file), and zeros. A sender that knows no windows sends more than there
//! is room for, which ends the transfer.
//!
//! Nothing depends on who arrives first: bytes that are sent go to their place whether or not the receiver knows where
//! the sender begins, and both ends count credit from the end of what the receiver has.

use super::manifest::FILE_WINDOW;
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

/// What a receiver's answer to the handshake tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) have: Have,
    /// How many bytes beyond those may be on their way or unconsumed, at most [`FILE_WINDOW`].
    pub(super) window: u64,
}

/// Where a transfer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    /// So many bytes need not be sent.
    pub(super) bytes: u64,
    /// So many the receiver had; if these are more, the file has changed since.
    pub(super) of: u64,
}

impl Told {
    pub(super) fn encode(&self) -> [u8; HANDSHAKE_TOLD_BYTES] {
        let mut encoded = [0; HANDSHAKE_TOLD_BYTES];
        encoded[..8].copy_from_slice(&self.have.bytes.to_be_bytes());
        if self.have.bytes > 0 {
            encoded[8..].copy_from_slice(&self.have.blake3);
        } else if self.window != FILE_WINDOW {
            encoded[8..16].copy_from_slice(&self.window.to_be_bytes());
        }
        encoded
    }

    pub(super) fn decode(encoded: &[u8; HANDSHAKE_TOLD_BYTES]) -> Told {
        let (mut bytes, mut blake3, mut window) = ([0; 8], [0; 32], [0; 8]);
        bytes.copy_from_slice(&encoded[..8]);
        blake3.copy_from_slice(&encoded[8..]);
        window.copy_from_slice(&encoded[8..16]);
        let have = Have { bytes: u64::from_be_bytes(bytes), blake3 };
        match (have.bytes, u64::from_be_bytes(window)) {
            (0, window @ 1..FILE_WINDOW) => Told { have: Have::default(), window },
            (0, _) => Told { have: Have::default(), window: FILE_WINDOW },
            _ => Told { have, window: FILE_WINDOW },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_has_and_its_window_come_back() {
        for (bytes, blake3, window) in [
            (1 << 40 | 7, [9; 32], FILE_WINDOW),
            (0, [0; 32], FILE_WINDOW),
            (0, [0; 32], 1),
            (0, [0; 32], FILE_WINDOW - 1),
        ] {
            let told = Told { have: Have { bytes, blake3 }, window };
            assert_eq!(Told::decode(&told.encode()), told);
        }
        let nothing = Told { have: Have::default(), window: FILE_WINDOW };
        assert_eq!(nothing.encode(), [0; HANDSHAKE_TOLD_BYTES], "as without windows");
        let mut too_much = [0; HANDSHAKE_TOLD_BYTES];
        too_much[8] = 1;
        assert_eq!(Told::decode(&too_much), nothing);
    }
}
