//! The first bytes of a TCP connection, in clear, from both ends: who speaks, which version, and which ciphers.
//!
//! ```text
//! +------+---------+---------+--------+------+
//! | TOOM | version | offered | chosen | zero |
//! |  4   |    1    |    1    |   1    |  1   |
//! +------+---------+---------+--------+------+
//! ```
//!
//! `offered` has a bit for each cipher that this end can use: 1 is AES-256-GCM, 2 is ChaCha20-Poly1305. The client's
//! `chosen` is what it likes best, the server's is what is used. Both preambles are in the handshake's prologue, so
//! nobody on the way can make two ends choose what they would not have chosen.

use crate::secure::Suite;

/// Bytes of a preamble.
pub const PREAMBLE_BYTES: usize = 8;

/// The version of the protocol that this build speaks.
pub const VERSION: u8 = 2;

const MAGIC: &[u8; 4] = b"TOOM";

/// What one end says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// A bit for each cipher. Bits of ciphers that this build does not know are kept.
    offered: u8,
    /// At a client what it likes best, at a server what is used.
    pub chosen: Suite,
}

/// Why a preamble was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// Something that is not Toom.
    #[error("the other end does not speak Toom's protocol")]
    NotToom,
    /// Toom, but of another version.
    #[error("the other end speaks version {0} of Toom's protocol, this one speaks version {VERSION}")]
    Version(u8),
    /// No cipher that both know, or one that was not offered.
    #[error("the other end offers no cipher that this one has")]
    NoCommonCipher,
    /// Bytes that this version keeps at zero.
    #[error("the other end's greeting has unknown options")]
    Options,
}

impl Preamble {
    /// Of an end that has all ciphers and likes `chosen` best.
    pub fn new(chosen: Suite) -> Preamble {
        Preamble { offered: Suite::ALL.into_iter().fold(0, |bits, suite| bits | bit(suite)), chosen }
    }

    /// The preamble as bytes.
    pub fn encode(&self) -> [u8; PREAMBLE_BYTES] {
        [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, self.offered, bit(self.chosen), 0]
    }

    /// What the other end sent first.
    pub fn decode(bytes: &[u8; PREAMBLE_BYTES]) -> Result<Preamble, PreambleError> {
        let [magic @ .., version, offered, chosen, zero] = bytes;
        if magic != MAGIC {
            return Err(PreambleError::NotToom);
        }
        if *version != VERSION {
            return Err(PreambleError::Version(*version));
        }
        if *zero != 0 {
            return Err(PreambleError::Options);
        }
        let chosen = Suite::ALL.into_iter().find(|suite| bit(*suite) == *chosen);
        let chosen = chosen.filter(|suite| bit(*suite) & offered != 0).ok_or(PreambleError::NoCommonCipher)?;
        Ok(Preamble { offered: *offered, chosen })
    }

    /// The answer of a server that likes `best` best: that if the client likes it best too (both have it in
    /// hardware then), and otherwise what is fast everywhere.
    pub fn answer(&self, best: Suite) -> Result<Preamble, PreambleError> {
        let wanted = if self.chosen == best { best } else { Suite::ChaChaPoly };
        let offered = |suite: &Suite| bit(*suite) & self.offered != 0;
        let chosen = Some(wanted).filter(offered).or_else(|| Suite::ALL.into_iter().find(offered));
        Ok(Preamble::new(chosen.ok_or(PreambleError::NoCommonCipher)?))
    }
}

fn bit(suite: Suite) -> u8 {
    match suite {
        Suite::AesGcm => 1,
        Suite::ChaChaPoly => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Suite::{AesGcm, ChaChaPoly};

    #[test]
    fn only_our_own_preamble_is_accepted() {
        for suite in Suite::ALL {
            let preamble = Preamble::new(suite);
            assert_eq!(Preamble::decode(&preamble.encode()), Ok(preamble));
        }
        for (bytes, why) in [
            (b"GET / HT", PreambleError::NotToom),
            (b"TOOM\x01\0\0\0", PreambleError::Version(1)),
            (b"TOOM\x02\x03\x01\x01", PreambleError::Options),
            (b"TOOM\x02\x03\0\0", PreambleError::NoCommonCipher),
            (b"TOOM\x02\x03\x03\0", PreambleError::NoCommonCipher),
            (b"TOOM\x02\x02\x01\0", PreambleError::NoCommonCipher),
            (b"TOOM\x02\x04\x04\0", PreambleError::NoCommonCipher),
        ] {
            assert_eq!(Preamble::decode(bytes), Err(why), "{bytes:?}");
        }
    }

    #[test]
    fn a_server_takes_what_both_like_best_or_what_is_fast_everywhere() {
        for (client, server, used) in [
            (AesGcm, AesGcm, AesGcm),
            (AesGcm, ChaChaPoly, ChaChaPoly),
            (ChaChaPoly, AesGcm, ChaChaPoly),
            (ChaChaPoly, ChaChaPoly, ChaChaPoly),
        ] {
            let answer = Preamble::new(client).answer(server).map(|preamble| preamble.chosen);
            assert_eq!(answer, Ok(used), "{client:?} {server:?}");
        }
        // A client of later days, with a cipher that this build does not know.
        let later = Preamble::decode(b"TOOM\x02\x05\x01\0").unwrap();
        assert_eq!(later.answer(ChaChaPoly), Ok(Preamble::new(AesGcm)));
    }
}
