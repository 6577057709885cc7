//! What two peers know of each other before their first datagram.

use core::fmt;

use ring::hmac;

use super::packet::expand;
use super::{PeerSecret, PublicKey, Suite};
use crate::wire::packet::HANDSHAKE_MAC_BYTES;

/// What both ends of a transfer know before their first datagram. Only they know what they share.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerAgreement {
    /// The key of the other end's device.
    pub remote: PublicKey,
    /// Made by one of them for this transfer.
    pub shared: PeerSecret,
    /// A hash of what the transfer is about: a handshake succeeds only if both ends agree on it.
    pub context: [u8; 32],
    /// The cipher.
    pub suite: Suite,
}

impl fmt::Debug for PeerAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerAgreement({}, {:?}, ..)", self.remote, self.suite)
    }
}

/// The mac of handshake datagrams: HMAC-SHA256 under a key made of what the peers share, cut to 16 bytes. Checked
/// before anything that costs more.
pub struct HandshakeMac(hmac::Key);

impl HandshakeMac {
    /// Of those who share this.
    pub fn new(shared: &PeerSecret) -> HandshakeMac {
        HandshakeMac(hmac::Key::new(hmac::HMAC_SHA256, expand(&shared.0, b"toom handshake mac").as_slice()))
    }

    /// That of `bytes`.
    pub fn of(&self, bytes: &[u8]) -> [u8; HANDSHAKE_MAC_BYTES] {
        let mut mac = [0; HANDSHAKE_MAC_BYTES];
        mac.copy_from_slice(&hmac::sign(&self.0, bytes).as_ref()[..HANDSHAKE_MAC_BYTES]);
        mac
    }

    /// Whether `datagram` ends with that of the bytes before it; takes as long for every wrong one.
    pub fn ends(&self, datagram: &[u8]) -> bool {
        let Some((bytes, mac)) = datagram.split_last_chunk::<HANDSHAKE_MAC_BYTES>() else { return false };
        self.of(bytes).iter().zip(mac).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for HandshakeMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeMac(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_share_the_secret_make_the_mac() {
        let (mac, other) = (HandshakeMac::new(&PeerSecret([1; 32])), HandshakeMac::new(&PeerSecret([2; 32])));
        let mut datagram = b"what is sent".to_vec();
        datagram.extend_from_slice(&mac.of(&datagram));
        assert!(mac.ends(&datagram) && !other.ends(&datagram));
        for bit in 0..datagram.len() * 8 {
            let mut bent = datagram.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!mac.ends(&bent), "bit {bit}");
        }
        assert!(!mac.ends(&datagram[..HANDSHAKE_MAC_BYTES - 1]));
    }

    #[test]
    fn debug_shows_no_secret() {
        let (remote, shared) = (PublicKey([0; 32]), PeerSecret([222; 32]));
        let agreement = PeerAgreement { remote, shared, context: [222; 32], suite: Suite::AesGcm };
        let mac = HandshakeMac::new(&agreement.shared);
        assert!(!format!("{agreement:?} {mac:?}").contains("222"));
    }
}
