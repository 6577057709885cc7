//! What two clients know of each other when they agree on a transfer.

use ring::digest;

use crate::id::OfferId;
use crate::name::{UserName, normalised};
use crate::secure::{PeerAgreement, PeerSecret, PublicKey, Suite};
use crate::text::FileLabel;

/// The cipher of packets. Both clients must know it before they have said a word to each other.
const SUITE: Suite = Suite::AesGcm;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party<'a> {
    pub(super) name: &'a UserName,
    pub(super) device: PublicKey,
}

/// What a transfer is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) offer: OfferId,
    pub(super) sender: Party<'a>,
    pub(super) receiver: Party<'a>,
    pub(super) label: &'a FileLabel,
    /// If it is known before.
    pub(super) bytes: Option<u64>,
    /// The hash of the offer as it was sealed.
    pub(super) sealed: &'a [u8; 32],
}

/// What both ends know who share this and agree on that; `remote` is the other end's device.
pub(super) fn agreement(subject: &Subject<'_>, remote: PublicKey, shared: PeerSecret) -> PeerAgreement {
    PeerAgreement { remote, shared, context: context(subject), suite: SUITE }
}

/// A hash of what a transfer is about: SHA-256 of a label and of all fields, those of unknown length after their length.
fn context(subject: &Subject<'_>) -> [u8; 32] {
    let Subject { offer, sender, receiver, label, bytes, sealed } = subject;
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"toom transfer 1");
    hash.update(&offer.0.to_be_bytes());
    for party in [sender, receiver] {
        hash.update(&party.device.0);
        // As one may type it, and as a server of the first versions has it.
        update_text(&mut hash, &normalised(party.name.as_str()));
    }
    update_text(&mut hash, label.as_str());
    // No file has so many.
    hash.update(&bytes.unwrap_or(u64::MAX).to_be_bytes());
    hash.update(sealed.as_slice());
    let mut context = [0; 32];
    context.copy_from_slice(hash.finish().as_ref());
    context
}

fn update_text(hash: &mut digest::Context, text: &str) {
    hash.update(&(text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    #[test]
    fn the_context_is_of_everything() {
        let (luke, yoda, leia) = (name("luke"), name("yoda"), name("leia"));
        let (film, book) = (FileLabel::new("film"), FileLabel::new("book"));
        let party = |name, device| Party { name, device: PublicKey([device; 32]) };
        let (sender, receiver) = (party(&luke, 1), party(&yoda, 2));
        let subject = Subject { offer: OfferId(1), sender, receiver, label: &film, bytes: Some(9), sealed: &[3; 32] };
        let others = [
            Subject { offer: OfferId(2), ..subject },
            Subject { sender: party(&leia, 1), ..subject },
            Subject { sender: party(&luke, 3), ..subject },
            Subject { receiver: party(&leia, 2), ..subject },
            Subject { receiver: party(&yoda, 3), ..subject },
            Subject { sender: receiver, receiver: sender, ..subject },
            Subject { label: &book, ..subject },
            Subject { bytes: Some(10), ..subject },
            Subject { bytes: None, ..subject },
            Subject { sealed: &[4; 32], ..subject },
        ];
        assert_eq!(context(&subject), context(&subject.clone()));
        for (number, other) in others.iter().enumerate() {
            assert_ne!(context(other), context(&subject), "{number}");
        }
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let (short, long) = (name("a"), name("ab"));
        let device = PublicKey([0; 32]);
        let context = |sender, receiver, label: &str| {
            let (sender, receiver) = (Party { name: sender, device }, Party { name: receiver, device });
            context(&Subject {
                offer: OfferId(1),
                sender,
                receiver,
                label: &FileLabel::new(label),
                bytes: Some(1),
                sealed: &[0; 32],
            })
        };
        assert_ne!(context(&short, &long, "c"), context(&short, &short, "bc"));
    }
}
