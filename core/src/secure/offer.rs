//! Offers of files, sealed for the device that they go to: the server carries them and can neither read nor make them.
//!
//! One message of `Noise_K_25519_AESGCM_BLAKE2s`: both ends know each other's static keys, so that only the receiver
//! opens it and only the sender can have made it. The prologue is a label and both names; the payload is the offer in
//! MessagePack, its length in front of it, padded to a multiple of [`BLOCK_BYTES`], so that its size tells nothing: an array
//! of the label (a string), the size (an integer, or nil for a stream, whose length nobody knows before its end), the
//! secret, and, if it is about a folder or several files, an array of how many bytes their listing has and how many of
//! them there are. A version that knows no streams, or no folders, refuses what it does not know.

use core::fmt;

use ring::digest;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::noise::{Handshake, Pattern, Setup};
use super::{PeerSecret, PublicKey, SecretKey, Suite};
use crate::name::UserName;
use crate::text::FileLabel;
use crate::wire::limits::{MAX_FRAME_DEPTH, MAX_SEALED_OFFER_BYTES};
use crate::wire::packet::Role;

/// The cipher. Both clients must know it before they have said a word to each other.
const SUITE: Suite = Suite::AesGcm;
/// What is sealed is padded to a multiple of this.
const BLOCK_BYTES: usize = 256;
/// In front of what is sealed.
const LENGTH_BYTES: usize = 2;

/// What a sender tells about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferContents {
    /// What the file is called there.
    pub label: FileLabel,
    /// Its size; of a stream it is known at its end.
    pub bytes: Option<u64>,
    /// Made for this transfer; both ends prove to each other that they know it.
    pub secret: PeerSecret,
    /// If it is a folder or several files: `bytes` are those of all contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<ListingSize>,
}

/// How much there is to be listed of a folder or several files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingSize {
    /// Of the listing as it travels ([`crate::transfer::listing`]).
    pub bytes: u64,
    /// Files and folders.
    pub entries: u32,
}

/// An offer that only one device opens. At most `MAX_SEALED_OFFER_BYTES`.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOffer(Vec<u8>);

/// Who offers to whom.
#[derive(Clone, Copy, Debug)]
pub struct OfferParties<'a> {
    /// Who offers.
    pub sender: &'a UserName,
    /// To whom.
    pub receiver: &'a UserName,
}

impl SealedOffer {
    /// These bytes, if they are not too many. Whether anybody can open them is another question.
    pub fn new(bytes: Vec<u8>) -> Option<SealedOffer> {
        (bytes.len() <= MAX_SEALED_OFFER_BYTES).then_some(SealedOffer(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Their SHA-256, so that both ends can agree that they mean the same offer.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        hash
    }
}

/// Seals `contents` for the device `to`, by the one with the key `by`. `seed` must be random and used for nothing
/// else. `None` if `to` is no key, or the contents are too large.
pub fn seal_offer(
    parties: OfferParties<'_>,
    by: &SecretKey,
    to: &PublicKey,
    contents: &OfferContents,
    seed: [u8; 32],
) -> Option<SealedOffer> {
    let mut payload = vec![0; LENGTH_BYTES];
    rmp_serde::encode::write(&mut payload, contents).ok()?;
    let length = u16::try_from(payload.len() - LENGTH_BYTES).ok()?;
    payload[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    payload.resize(payload.len().next_multiple_of(BLOCK_BYTES), 0);
    SealedOffer::new(handshake(parties, Role::Initiator, by, to, seed).write(&payload).ok()?)
}

/// Opens an offer that the device `by` sealed for the one with the key `to`. `None` if it did not, or not for these
/// parties.
pub fn open_offer(
    parties: OfferParties<'_>,
    to: &SecretKey,
    by: &PublicKey,
    sealed: &SealedOffer,
) -> Option<OfferContents> {
    // Who only reads needs no randomness.
    let payload = handshake(parties, Role::Responder, to, by, [0; 32]).read(&sealed.0).ok()?;
    let (length, rest) = payload.split_first_chunk::<LENGTH_BYTES>()?;
    let mut contents = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    let mut decoder = rmp_serde::Deserializer::new(&mut contents);
    decoder.set_max_depth(MAX_FRAME_DEPTH);
    let offer = OfferContents::deserialize(&mut decoder).ok()?;
    contents.is_empty().then_some(offer)
}

fn handshake(
    parties: OfferParties<'_>,
    role: Role,
    local: &SecretKey,
    remote: &PublicKey,
    seed: [u8; 32],
) -> Handshake {
    let mut prologue = b"toom offer 1".to_vec();
    for name in [parties.sender, parties.receiver] {
        prologue.extend_from_slice(&(name.as_str().len() as u64).to_be_bytes());
        prologue.extend_from_slice(name.as_str().as_bytes());
    }
    Handshake::new(&Setup {
        pattern: Pattern::K,
        suite: SUITE,
        role,
        local,
        remote: Some(remote),
        shared: None,
        prologue: &prologue,
        seed,
    })
}

impl fmt::Debug for SealedOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedOffer({} bytes)", self.0.len())
    }
}

impl Serialize for SealedOffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for SealedOffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SealedOffer, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = SealedOffer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX_SEALED_OFFER_BYTES} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<SealedOffer, E> {
        SealedOffer::new(bytes.to_vec()).ok_or_else(|| E::invalid_length(bytes.len(), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    fn key(byte: u8) -> SecretKey {
        SecretKey::new([byte; 32])
    }

    fn name_of(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    fn contents(label: &str) -> OfferContents {
        OfferContents {
            label: FileLabel::new(label),
            bytes: Some(u64::MAX),
            secret: PeerSecret([255; 32]),
            listing: Some(ListingSize { bytes: u64::MAX, entries: u32::MAX }),
        }
    }

    fn sealed(label: &str) -> SealedOffer {
        let (sender, receiver) = (&name_of("luke"), &name_of("yoda"));
        let parties = OfferParties { sender, receiver };
        seal_offer(parties, &key(1), &key(2).public(), &contents(label), [3; 32]).unwrap()
    }

    fn opened(parties: [&str; 2], to: u8, by: u8, sealed: &SealedOffer) -> Option<OfferContents> {
        let (sender, receiver) = (&name_of(parties[0]), &name_of(parties[1]));
        open_offer(OfferParties { sender, receiver }, &key(to), &key(by).public(), sealed)
    }

    #[test]
    fn what_a_hostile_sender_calls_a_file_is_a_harmless_label_once_it_is_opened() {
        for (name, label) in [
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("CON", "_CON"),
            ("..", "unnamed"),
            ("a\0b", "a_b"),
            ("", "unnamed"),
        ] {
            // As another program may write it, without our type.
            let body = codec::encode(&(name, 5u64, PeerSecret([1; 32])))[codec::LENGTH_BYTES..].to_vec();
            let mut payload = [&(body.len() as u16).to_be_bytes()[..], &body].concat();
            payload.resize(BLOCK_BYTES, 0);
            let (sender, receiver) = (&name_of("luke"), &name_of("yoda"));
            let mut by =
                handshake(OfferParties { sender, receiver }, Role::Initiator, &key(1), &key(2).public(), [3; 32]);
            let sealed = SealedOffer::new(by.write(&payload).unwrap()).unwrap();
            assert_eq!(
                opened(["luke", "yoda"], 2, 1, &sealed).map(|it| it.label),
                Some(FileLabel::new(label)),
                "{name:?}"
            );
        }
    }

    #[test]
    fn only_the_receiver_opens_it_and_only_as_what_it_was_sealed_for() {
        let sealed = sealed("film.mp4");
        assert_eq!(opened(["luke", "yoda"], 2, 1, &sealed), Some(contents("film.mp4")));
        for (parties, to, by) in [
            (["luke", "yoda"], 3, 1),
            (["luke", "yoda"], 2, 3),
            (["luke", "yoda"], 1, 2),
            (["leia", "yoda"], 2, 1),
            (["luke", "leia"], 2, 1),
            (["yoda", "luke"], 2, 1),
            (["lukey", "oda"], 2, 1),
        ] {
            assert_eq!(opened(parties, to, by, &sealed), None, "{parties:?} {to} {by}");
        }
    }

    #[test]
    fn whatever_is_altered_or_cut_is_not_opened() {
        let sealed = sealed("film.mp4");
        for byte in 0..sealed.0.len() {
            let mut altered = sealed.clone();
            altered.0[byte] ^= 1;
            assert_eq!(opened(["luke", "yoda"], 2, 1, &altered), None, "byte {byte}");
            assert_eq!(opened(["luke", "yoda"], 2, 1, &SealedOffer(sealed.0[..byte].to_vec())), None);
        }
    }

    #[test]
    fn neither_the_bytes_nor_their_number_tell_the_name() {
        let (short, long) = (sealed("f"), sealed(&"n".repeat(100)));
        assert_eq!(short.0.len(), long.0.len());
        let longest = sealed(&"\u{1f600}".repeat(40));
        assert_eq!(longest.0.len(), long.0.len());
        assert!(longest.0.len() < MAX_SEALED_OFFER_BYTES);
        let name = b"nnn";
        assert!(!long.0.windows(name.len()).any(|bytes| bytes == name));
        let secret = [255; 4];
        assert!(!long.0.windows(secret.len()).any(|bytes| bytes == secret));
    }

    #[test]
    fn it_travels_as_bytes_and_within_its_limit() {
        let frame = codec::encode(&sealed("f"));
        let back: SealedOffer = codec::decode(&frame[codec::LENGTH_BYTES..]).unwrap();
        assert_eq!(back, sealed("f"));
        let largest = codec::encode(&SealedOffer(vec![0; MAX_SEALED_OFFER_BYTES]));
        assert!(codec::decode::<SealedOffer>(&largest[codec::LENGTH_BYTES..]).is_ok());
        let beyond = codec::encode(&SealedOffer(vec![0; MAX_SEALED_OFFER_BYTES + 1]));
        assert!(codec::decode::<SealedOffer>(&beyond[codec::LENGTH_BYTES..]).is_err());
    }
}
