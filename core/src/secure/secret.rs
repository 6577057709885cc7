//! Secrets that two ends share.

use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 random bytes from which both ends of a transfer derive the keys of their packets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct PeerSecret(pub [u8; 32]);

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret(..)")
    }
}

/// 32 random bytes by which a client proves that a session is its own. The server keeps only [its hash](Self::hash).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct ResumeSecret(pub [u8; 32]);

impl ResumeSecret {
    /// What the server keeps of it. No salt and no slow hash: nobody guesses 256 random bits.
    pub fn hash(&self) -> ResumeHash {
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.0);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        ResumeHash(bytes)
    }
}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeSecret(..)")
    }
}

/// SHA-256 of a [`ResumeSecret`]. Whoever reads it learns nothing that a server accepts, so it may be compared in
/// any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResumeHash(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_their_hash_is_sha_256() {
        assert_eq!(format!("{:?} {:?}", PeerSecret([1; 32]), ResumeSecret([1; 32])), "PeerSecret(..) ResumeSecret(..)");
        let hash = data_encoding::HEXLOWER.encode(&ResumeSecret([0; 32]).hash().0);
        // NIST's example for 32 bytes of zero.
        assert_eq!(hash, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }
}
