//! The two ciphers that seal records and packets.

use ring::aead::{AES_256_GCM, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes that sealing adds, whichever cipher does it.
pub const TAG_BYTES: usize = 16;

/// An authenticated cipher with keys of 32 bytes and tags of [`TAG_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// AES-256-GCM: the faster one where the processor has instructions for it.
    AesGcm,
    /// ChaCha20-Poly1305: the faster one everywhere else.
    ChaChaPoly,
}

impl Suite {
    /// All, in the order of their bits in a preamble.
    pub const ALL: [Suite; 2] = [Suite::AesGcm, Suite::ChaChaPoly];

    /// Its name in a Noise protocol name (Noise, section 12).
    pub const fn noise_name(self) -> &'static str {
        match self {
            Suite::AesGcm => "AESGCM",
            Suite::ChaChaPoly => "ChaChaPoly",
        }
    }

    /// The cipher with `key`.
    pub(super) fn key(self, key: &[u8; 32]) -> LessSafeKey {
        match UnboundKey::new(self.algorithm(), key) {
            Ok(key) => LessSafeKey::new(key),
            Err(_) => unreachable!("both ciphers take 32 bytes"),
        }
    }

    /// The nonce for `counter`: 32 zero bits, then the counter, big-endian for AES-GCM, little-endian for
    /// ChaCha20-Poly1305 (Noise, sections 12.3 and 12.4).
    pub(super) fn nonce(self, counter: u64) -> Nonce {
        let counter = match self {
            Suite::AesGcm => counter.to_be_bytes(),
            Suite::ChaChaPoly => counter.to_le_bytes(),
        };
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter);
        Nonce::assume_unique_for_key(nonce)
    }

    /// The key that follows `key`, from which nobody can tell `key` (Noise, section 4.2: `REKEY`).
    pub(super) fn next_key(self, key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut next = Zeroizing::new([0; 32]);
        let sealed = self.key(key).seal_in_place_separate_tag(
            self.nonce(u64::MAX),
            ring::aead::Aad::empty(),
            next.as_mut_slice(),
        );
        debug_assert!(sealed.is_ok(), "32 bytes are not too many");
        next
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Suite::AesGcm => &AES_256_GCM,
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with another implementation of both ciphers.
    #[test]
    fn the_next_key_is_that_of_the_specification() {
        let key: [u8; 32] = core::array::from_fn(|place| place as u8);
        for (suite, next) in [
            (Suite::AesGcm, "0201675c87335949b909793da5bb4d92fcf6d44b92a6e0792b6ae48b1881259d"),
            (Suite::ChaChaPoly, "50835543a205b22c9323f2022bc4f67d838f90e61d5ccf33c4513e01f85b5042"),
        ] {
            let hex: String = suite.next_key(&key).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, next);
        }
    }
}
