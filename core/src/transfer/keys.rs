//! The keys of all transfers of one UDP socket: opening what arrives, sealing what leaves.
//!
//! A driver carries out `Listen` and `Forget` with it, and drops what it cannot open.

use std::collections::BTreeMap;

use super::io::{Burst, SlotId};
use crate::id::{OfferId, PeerIndex};
use crate::peer::build_burst;
use crate::secure::{OpeningKey, PeerSecret, SealingKey};
use crate::wire::packet::{Header, Role};

/// The keys of all transfers.
#[derive(Default)]
pub struct Keys {
    opening: BTreeMap<PeerIndex, OpeningKey>,
    sealing: BTreeMap<OfferId, SealingKey>,
}

/// Why a datagram belongs to no transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// Too short, another protocol, another version.
    NotOurs,
    /// An index that nobody listens on.
    UnknownIndex,
    /// Not sealed by the other end, or changed on the way.
    Forged,
}

impl Keys {
    /// Carries out `Output::Listen`.
    pub fn listen(&mut self, index: PeerIndex, transfer: OfferId, secret: &PeerSecret, role: Role) {
        self.opening.insert(index, OpeningKey::new(secret, role));
        self.sealing.insert(transfer, SealingKey::new(secret, role));
    }

    /// Carries out `Output::Forget`.
    pub fn forget(&mut self, index: PeerIndex, transfer: OfferId) {
        self.opening.remove(&index);
        self.sealing.remove(&transfer);
    }

    /// Opens a datagram in place: its header and its frames.
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<(Header, &'a [u8]), Unopened> {
        let header = Header::decode(datagram).map_err(|_| Unopened::NotOurs)?;
        let key = self.opening.get(&header.index).ok_or(Unopened::UnknownIndex)?;
        let payload = key.open(header.number, datagram).ok_or(Unopened::Forged)?;
        Ok((header, payload))
    }

    /// Builds and seals the datagrams of a burst in `out`, whose memory is used again; nothing if its transfer
    /// has been forgotten. `slot` has the bytes of a slot.
    pub fn seal<'a>(&self, burst: &Burst, slot: impl Fn(SlotId) -> &'a [u8], out: &mut Vec<u8>) {
        out.clear();
        if let Some(key) = self.sealing.get(&burst.transfer) {
            build_burst(burst.index, &burst.packets, key, slot, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Packet;
    use crate::wire::packet::PacketNumber;

    const INDEX: PeerIndex = PeerIndex(7);
    const TRANSFER: OfferId = OfferId(1);

    fn keys(role: Role) -> Keys {
        let mut keys = Keys::default();
        keys.listen(INDEX, TRANSFER, &PeerSecret([9; 32]), role);
        keys
    }

    fn sealed(keys: &Keys) -> Vec<u8> {
        let packet = Packet { number: PacketNumber(1), frames: vec![0; 4], data: None, padding: 0 };
        let to = "192.0.2.1:9".parse().expect("an address");
        let burst = Burst { transfer: TRANSFER, to, index: INDEX, segment_size: 33, packets: vec![packet] };
        let mut out = b"something older".to_vec();
        keys.seal(&burst, |_| &[], &mut out);
        out
    }

    #[test]
    fn the_other_end_opens_what_was_sealed() {
        let mut datagram = sealed(&keys(Role::Initiator));
        let (header, payload) = keys(Role::Responder).open(&mut datagram).expect("opened");
        assert_eq!((header.index, header.number, payload), (INDEX, PacketNumber(1), &[0; 4][..]));
    }

    #[test]
    fn it_is_said_why_a_datagram_cannot_be_opened() {
        let mut datagram = sealed(&keys(Role::Initiator));
        assert_eq!(Keys::default().open(&mut datagram.clone()), Err(Unopened::UnknownIndex));
        assert_eq!(keys(Role::Initiator).open(&mut datagram.clone()), Err(Unopened::Forged));
        assert_eq!(keys(Role::Responder).open(&mut [1, 2, 3]), Err(Unopened::NotOurs));
        *datagram.last_mut().expect("bytes") ^= 1;
        assert_eq!(keys(Role::Responder).open(&mut datagram), Err(Unopened::Forged));
    }

    #[test]
    fn nothing_is_sealed_or_opened_once_a_transfer_is_forgotten() {
        let mut forgetful = keys(Role::Initiator);
        forgetful.forget(INDEX, TRANSFER);
        assert_eq!(sealed(&forgetful), []);
        assert_eq!(forgetful.open(&mut sealed(&keys(Role::Responder))), Err(Unopened::UnknownIndex));
    }
}
