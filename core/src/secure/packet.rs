//! Sealing and opening of UDP packets, in place, at the edge: AES-256-GCM with the whole header as associated
//! data and the packet number as nonce.
//!
//! The keys come from a secret that the offer carried ([`PeerSecret`]); the security issue replaces that by a
//! handshake between the peers, and adds epochs. A packet number is never used twice with a key
//! (`crate::peer`), which GCM relies on.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;

use super::{PeerSecret, TAG_BYTES};
use crate::wire::packet::{HEADER_BYTES, PacketNumber, Role};

/// Seals what one end sends.
#[derive(Debug)]
pub struct SealingKey(LessSafeKey);

/// Opens what the other end sent.
#[derive(Debug)]
pub struct OpeningKey(LessSafeKey);

impl SealingKey {
    /// The key of the end that has `role`.
    pub fn new(secret: &PeerSecret, role: Role) -> SealingKey {
        SealingKey(derive(secret, role))
    }

    /// Seals the packet in `packet`: header, payload, and [`TAG_BYTES`] that are overwritten.
    ///
    /// Packets too short to hold a header and a tag, which nothing of ours makes, are left as they are.
    pub fn seal(&self, number: PacketNumber, packet: &mut [u8]) {
        let Some(payload_end) = packet.len().checked_sub(TAG_BYTES) else { return };
        let Some((header, rest)) = packet.split_at_mut_checked(HEADER_BYTES) else { return };
        let Some((payload, tag)) = payload_end.checked_sub(HEADER_BYTES).and_then(|n| rest.split_at_mut_checked(n))
        else {
            return;
        };
        if let Ok(sealed) = self.0.seal_in_place_separate_tag(nonce(number), Aad::from(&*header), payload) {
            tag.copy_from_slice(sealed.as_ref());
        }
    }
}

impl OpeningKey {
    /// The key with which the end that has `role` opens what the other end sealed.
    pub fn new(secret: &PeerSecret, role: Role) -> OpeningKey {
        OpeningKey(derive(secret, role.other()))
    }

    /// Opens the whole datagram in `packet` and gives its payload; `None` if it is not what was sealed.
    pub fn open<'a>(&self, number: PacketNumber, packet: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (header, sealed) = packet.split_at_mut_checked(HEADER_BYTES)?;
        self.0.open_in_place(nonce(number), Aad::from(&*header), sealed).ok()
    }
}

fn nonce(number: PacketNumber) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.0.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn derive(secret: &PeerSecret, sender: Role) -> LessSafeKey {
    let label: &[u8] = match sender {
        Role::Initiator => b"toom packet 1 initiator",
        Role::Responder => b"toom packet 1 responder",
    };
    let mut key = [0; 32];
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"toom packet 1")
        .extract(&secret.0)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key));
    debug_assert!(filled.is_ok(), "HKDF-SHA256 fills 32 bytes");
    LessSafeKey::new(match UnboundKey::new(&AES_256_GCM, &key) {
        Ok(key) => key,
        Err(_) => unreachable!("AES-256-GCM takes 32 bytes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_the_other_end_only_and_unchanged_only() {
        let secret = PeerSecret([3; 32]);
        let seal = SealingKey::new(&secret, Role::Initiator);
        let open = OpeningKey::new(&secret, Role::Responder);
        let mut packet = vec![0; HEADER_BYTES + 5 + TAG_BYTES];
        packet[HEADER_BYTES..HEADER_BYTES + 5].copy_from_slice(b"hello");
        seal.seal(PacketNumber(9), &mut packet);
        assert_eq!(open.open(PacketNumber(9), &mut packet.clone()).as_deref(), Some(b"hello".as_slice()));
        assert_eq!(open.open(PacketNumber(8), &mut packet.clone()), None);
        assert_eq!(OpeningKey::new(&secret, Role::Initiator).open(PacketNumber(9), &mut packet.clone()), None);
        for byte in 0..packet.len() {
            let mut bent = packet.clone();
            bent[byte] ^= 1;
            assert_eq!(open.open(PacketNumber(9), &mut bent), None, "byte {byte}");
        }
        for short in 0..HEADER_BYTES + TAG_BYTES {
            assert_eq!(open.open(PacketNumber(9), &mut packet.clone()[..short]), None);
        }
    }
}
