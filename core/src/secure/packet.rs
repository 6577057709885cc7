//! Sealing and opening of UDP packets, in place, at the edge, with the whole header as associated data and the
//! packet number as nonce.
//!
//! The first keys come from the handshake between the peers ([`PacketKeys`]). From then on each direction has a
//! ratchet of its own: of a secret are made the key of its epoch and the secret of the next one, each by HKDF-Expand
//! (RFC 5869), and the secret is forgotten, so that what was sealed before stays closed to whoever learns it. The end
//! that seals decides when, and says so in the first byte; the other end follows once a packet of the next epoch is
//! authentic. A packet number is never used twice with a key ([`crate::peer`]), which both ciphers rely on.

use core::fmt;

use ring::aead::{Aad, LessSafeKey};
use ring::hkdf;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Keys, Suite, TAG_BYTES};
use crate::wire::packet::{EPOCHS, HEADER_BYTES, Header, PacketNumber, Role};

/// How many packets later than the first of an epoch one of the epoch before is still opened. The sender has taken
/// it for lost by then: it has no more than so many outstanding.
const MAX_REORDERING: u64 = 65_536;

/// What a handshake between peers gave one of them: the first keys of both directions.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PacketKeys {
    #[zeroize(skip)]
    suite: Suite,
    sending: [u8; 32],
    receiving: [u8; 32],
}

impl PacketKeys {
    /// Those of the end that has `role`.
    pub fn new(suite: Suite, role: Role, keys: &Keys) -> PacketKeys {
        let (sending, receiving) = match role {
            Role::Initiator => (&keys.of_initiator, &keys.of_responder),
            Role::Responder => (&keys.of_responder, &keys.of_initiator),
        };
        PacketKeys { suite, sending: **sending, receiving: **receiving }
    }

    /// Seals what this end sends.
    pub fn sealing(&self) -> SealingKey {
        SealingKey(Epoch::first(self.suite, &self.sending))
    }

    /// Opens what the other end sends.
    pub fn opening(&self) -> OpeningKey {
        OpeningKey {
            current: Epoch::first(self.suite, &self.receiving),
            next: None,
            previous: None,
            previous_until: PacketNumber(0),
        }
    }
}

impl fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PacketKeys(..)")
    }
}

/// Seals what one end sends.
#[derive(Debug)]
pub struct SealingKey(Epoch);

/// Opens what the other end sent.
#[derive(Debug)]
pub struct OpeningKey {
    current: Epoch,
    /// Made when a packet first says that it is needed.
    next: Option<Epoch>,
    /// For packets that were overtaken.
    previous: Option<LessSafeKey>,
    /// It is forgotten with the first newer packet.
    previous_until: PacketNumber,
}

impl SealingKey {
    /// Goes on to the key of `epoch`; whether there is one: what was sealed before cannot be sealed any more.
    #[must_use]
    pub fn advance_to(&mut self, epoch: u32) -> bool {
        while self.0.number < epoch {
            self.0 = self.0.next();
        }
        self.0.number == epoch
    }

    /// Seals the packet in `packet`: a header that has the low bits of this epoch and `number`, payload, and
    /// [`TAG_BYTES`] that are overwritten.
    ///
    /// Packets too short to hold a header and a tag, which nothing of ours makes, are left as they are.
    pub fn seal(&self, number: PacketNumber, packet: &mut [u8]) {
        let Some(payload_end) = packet.len().checked_sub(TAG_BYTES) else { return };
        let Some((header, rest)) = packet.split_at_mut_checked(HEADER_BYTES) else { return };
        let Some((payload, tag)) = payload_end.checked_sub(HEADER_BYTES).and_then(|n| rest.split_at_mut_checked(n))
        else {
            return;
        };
        let nonce = self.0.suite.nonce(number.0);
        if let Ok(sealed) = self.0.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload) {
            tag.copy_from_slice(sealed.as_ref());
        }
    }
}

impl OpeningKey {
    /// Opens the whole datagram in `packet`, which has `header`, and gives its payload; `None` if it is not what was
    /// sealed.
    pub fn open<'a>(&mut self, header: &Header, packet: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let suite = self.current.suite;
        let is_next = header.epoch == low_bits(self.current.number.wrapping_add(1));
        let key = if header.epoch == low_bits(self.current.number) {
            &self.current.key
        } else if is_next {
            &self.next.get_or_insert_with(|| self.current.next()).key
        } else if header.epoch == low_bits(self.current.number.wrapping_sub(1)) {
            self.previous.as_ref()?
        } else {
            return None;
        };
        let (clear, sealed) = packet.split_at_mut_checked(HEADER_BYTES)?;
        let payload = key.open_in_place(suite.nonce(header.number.0), Aad::from(&*clear), sealed).ok()?;
        if is_next && let Some(next) = self.next.take() {
            self.previous = Some(core::mem::replace(&mut self.current, next).key);
            self.previous_until = PacketNumber(header.number.0.saturating_add(MAX_REORDERING));
        }
        if self.previous.is_some() && header.number > self.previous_until {
            self.previous = None;
        }
        Some(payload)
    }
}

/// One epoch of one direction.
struct Epoch {
    suite: Suite,
    number: u32,
    key: LessSafeKey,
    /// Of which the next one's is made.
    secret: Zeroizing<[u8; 32]>,
}

impl Epoch {
    fn first(suite: Suite, secret: &[u8; 32]) -> Epoch {
        Epoch::new(suite, 0, Zeroizing::new(*secret))
    }

    fn new(suite: Suite, number: u32, secret: Zeroizing<[u8; 32]>) -> Epoch {
        Epoch { suite, number, key: suite.key(&expand(&secret, b"toom packet key")), secret }
    }

    fn next(&self) -> Epoch {
        Epoch::new(self.suite, self.number.wrapping_add(1), expand(&self.secret, b"toom packet next"))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({}, ..)", self.number)
    }
}

/// HKDF-Expand with SHA-256.
pub(super) fn expand(secret: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    let filled = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(bytes.as_mut_slice()));
    debug_assert!(filled.is_ok(), "HKDF-SHA256 fills 32 bytes");
    bytes
}

/// Of an epoch's number, as a header has them.
pub(crate) fn low_bits(epoch: u32) -> u8 {
    (epoch % u32::from(EPOCHS)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerIndex;

    fn keys(suite: Suite, role: Role) -> PacketKeys {
        let keys = Keys { of_initiator: Zeroizing::new([3; 32]), of_responder: Zeroizing::new([4; 32]) };
        PacketKeys::new(suite, role, &keys)
    }

    fn ends(suite: Suite) -> (SealingKey, OpeningKey) {
        (keys(suite, Role::Initiator).sealing(), keys(suite, Role::Responder).opening())
    }

    fn header(epoch: u32, number: u64) -> Header {
        Header { epoch: low_bits(epoch), index: PeerIndex(7), number: PacketNumber(number) }
    }

    fn sealed(key: &mut SealingKey, epoch: u32, number: u64) -> Vec<u8> {
        let mut packet = [&header(epoch, number).encode()[..], b"hello", &[0; TAG_BYTES]].concat();
        assert!(key.advance_to(epoch));
        key.seal(PacketNumber(number), &mut packet);
        packet
    }

    fn open(key: &mut OpeningKey, packet: &[u8]) -> Option<Vec<u8>> {
        let header = Header::decode(packet).ok()?;
        key.open(&header, &mut packet.to_vec()).map(|payload| payload.to_vec())
    }

    #[test]
    fn what_is_sealed_opens_at_the_other_end_only_and_unchanged_only() {
        for suite in Suite::ALL {
            let (mut seal, mut opening) = ends(suite);
            let packet = sealed(&mut seal, 0, 9);
            assert_eq!(open(&mut opening, &packet).as_deref(), Some(&b"hello"[..]));
            assert_eq!(open(&mut keys(suite, Role::Initiator).opening(), &packet), None);
            for bit in 0..packet.len() * 8 {
                let mut bent = packet.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&mut opening, &bent), None, "bit {bit}");
            }
            for short in 0..packet.len() {
                assert_eq!(opening.open(&header(0, 9), &mut packet.clone()[..short]), None);
            }
            assert_eq!(open(&mut opening, &packet).as_deref(), Some(&b"hello"[..]), "no forgery spoils the key");
        }
    }

    #[test]
    fn an_epoch_follows_the_other_and_the_one_before_is_kept_for_a_while() {
        let (mut seal, mut opening) = ends(Suite::AesGcm);
        let [late, later] = [1, 2].map(|number| sealed(&mut seal, 0, number));
        let first = sealed(&mut seal, 1, 10);
        assert!(open(&mut opening, &first).is_some());
        assert!(open(&mut opening, &late).is_some(), "it was overtaken");
        let newer = sealed(&mut seal, 1, 11 + MAX_REORDERING);
        assert!(open(&mut opening, &newer).is_some());
        assert_eq!(open(&mut opening, &later), None, "its key is forgotten");
        for epoch in 2..40 {
            let packet = sealed(&mut seal, epoch, u64::from(epoch) << 20);
            assert!(open(&mut opening, &packet).is_some(), "{epoch}");
        }
        assert!(!seal.advance_to(38), "an epoch never comes again");
    }

    #[test]
    fn a_forged_or_early_packet_advances_nothing() {
        let (mut seal, mut opening) = ends(Suite::ChaChaPoly);
        let current = sealed(&mut seal, 0, 1);
        let next = sealed(&mut seal, 1, 2);
        let after_next = sealed(&mut seal, 2, 3);
        let mut forged = next.clone();
        forged[HEADER_BYTES] ^= 1;
        for packet in [&forged, &after_next] {
            assert_eq!(open(&mut opening, packet), None);
        }
        assert_eq!((opening.current.number, opening.previous.is_some()), (0, false));
        for packet in [&current, &next, &current, &after_next] {
            assert!(open(&mut opening, packet).is_some());
        }
        assert_eq!(open(&mut opening, &current), None, "two epochs ago");
    }

    #[test]
    fn keys_are_those_of_the_document() {
        // HKDF-Expand of 32 bytes is HMAC of the label and 1 (RFC 5869, section 2.3).
        let hmac = |secret: &[u8], label: &[u8]| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            ring::hmac::sign(&key, &[label, &[1]].concat()).as_ref().to_vec()
        };
        let next = hmac(&[3; 32], b"toom packet next");
        assert_eq!(ends(Suite::AesGcm).0.0.next().secret[..], next);
        assert_eq!(expand(&[3; 32], b"toom packet key")[..], hmac(&[3; 32], b"toom packet key"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let (seal, opening) = ends(Suite::AesGcm);
        let shown = format!("{:?} {seal:?} {opening:?}", keys(Suite::AesGcm, Role::Initiator));
        assert!(!shown.contains('3'), "{shown}");
    }
}
