//! The first bytes of a TCP connection, in clear, from both ends: who speaks, and which version.

/// `TOOM`, then the version, then three bytes that are zero until cipher suites are offered there.
pub const PREAMBLE_BYTES: usize = 8;

/// The version of the protocol that this build speaks.
pub const VERSION: u8 = 1;

const MAGIC: &[u8; 4] = b"TOOM";

/// Why a preamble was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// Something that is not Toom.
    #[error("the other end does not speak Toom's protocol")]
    NotToom,
    /// Toom, but of another version.
    #[error("the other end speaks version {0} of Toom's protocol, this one speaks version {VERSION}")]
    Version(u8),
    /// Bytes that this version keeps at zero.
    #[error("the other end's greeting has unknown options")]
    Options,
}

/// What this build sends first.
pub const fn preamble() -> [u8; PREAMBLE_BYTES] {
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, 0, 0, 0]
}

/// Checks what the other end sent first.
pub fn check_preamble(bytes: &[u8; PREAMBLE_BYTES]) -> Result<(), PreambleError> {
    if &bytes[..4] != MAGIC {
        return Err(PreambleError::NotToom);
    }
    if bytes[4] != VERSION {
        return Err(PreambleError::Version(bytes[4]));
    }
    if bytes[5..] != [0; 3] {
        return Err(PreambleError::Options);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_preamble_is_accepted() {
        assert_eq!(check_preamble(&preamble()), Ok(()));
        assert_eq!(check_preamble(b"GET / HT"), Err(PreambleError::NotToom));
        assert_eq!(check_preamble(b"TOOM\x02\0\0\0"), Err(PreambleError::Version(2)));
        assert_eq!(check_preamble(b"TOOM\x01\0\0\x01"), Err(PreambleError::Options));
    }
}
