//! The keys of all transfers of one UDP socket: opening what arrives, sealing what leaves.
//!
//! A driver carries out `Listen` and `Forget` with it, and drops what it cannot open.

use std::collections::BTreeMap;

use super::io::{Burst, SlotId};
use crate::id::{OfferId, PeerIndex};
use crate::peer::build_burst;
use crate::secure::{OpeningKey, PacketKeys, SealingKey};
use crate::wire::packet::{HandshakeHeader, Header};

/// The keys of all transfers.
#[derive(Debug, Default)]
pub struct Keys {
    opening: BTreeMap<PeerIndex, OpeningKey>,
    sealing: BTreeMap<OfferId, SealingKey>,
}

/// What a datagram is.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// A packet: its header, and its frames.
    Packet(Header, &'a [u8]),
    /// A handshake: all of it. The machine checks it.
    Handshake(&'a [u8]),
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
    pub fn listen(&mut self, index: PeerIndex, transfer: OfferId, keys: &PacketKeys) {
        self.opening.insert(index, keys.opening());
        self.sealing.insert(transfer, keys.sealing());
    }

    /// Carries out `Output::Forget`.
    pub fn forget(&mut self, index: PeerIndex, transfer: OfferId) {
        self.opening.remove(&index);
        self.sealing.remove(&transfer);
    }

    /// Opens a datagram in place.
    pub fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<Opened<'a>, Unopened> {
        if HandshakeHeader::is_of(datagram) {
            return Ok(Opened::Handshake(datagram));
        }
        let header = Header::decode(datagram).map_err(|_| Unopened::NotOurs)?;
        let key = self.opening.get_mut(&header.index).ok_or(Unopened::UnknownIndex)?;
        let payload = key.open(&header, datagram).ok_or(Unopened::Forged)?;
        Ok(Opened::Packet(header, payload))
    }

    /// Builds and seals the datagrams of a burst in `out`, whose memory is used again; nothing if its transfer
    /// has been forgotten. `slot` has the bytes of a slot.
    pub fn seal<'a>(&mut self, burst: &Burst, slot: impl Fn(SlotId) -> &'a [u8], out: &mut Vec<u8>) {
        out.clear();
        if let Some(key) = self.sealing.get_mut(&burst.transfer) {
            build_burst((burst.index, burst.epoch), &burst.packets, key, slot, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Packet;
    use crate::secure::{Keys as Agreed, Suite};
    use crate::wire::packet::{PacketNumber, Role};

    const INDEX: PeerIndex = PeerIndex(7);
    const TRANSFER: OfferId = OfferId(1);

    fn keys(role: Role) -> Keys {
        let mut keys = Keys::default();
        let agreed = Agreed { of_initiator: [8; 32].into(), of_responder: [9; 32].into() };
        keys.listen(INDEX, TRANSFER, &PacketKeys::new(Suite::AesGcm, role, &agreed));
        keys
    }

    fn sealed(keys: &mut Keys, epoch: u32) -> Vec<u8> {
        let packet = Packet { number: PacketNumber(1), frames: vec![0; 4], data: None, padding: 0 };
        let to = "192.0.2.1:9".parse().expect("an address");
        let burst = Burst {
            transfer: TRANSFER,
            to,
            index: INDEX,
            segment_size: 33,
            epoch,
            ecn_capable: false,
            packets: vec![packet],
        };
        let mut out = b"something older".to_vec();
        keys.seal(&burst, |_| &[], &mut out);
        out
    }

    #[test]
    fn the_other_end_opens_what_was_sealed_with_whatever_key_comes_next() {
        let (mut ours, mut theirs) = (keys(Role::Initiator), keys(Role::Responder));
        for epoch in 0..20 {
            let header = Header { epoch: epoch as u8 % 8, index: INDEX, number: PacketNumber(1) };
            assert_eq!(theirs.open(&mut sealed(&mut ours, epoch)), Ok(Opened::Packet(header, &[0; 4])));
        }
        assert_eq!(sealed(&mut ours, 18), [], "never with an older key");
    }

    #[test]
    fn it_is_said_why_a_datagram_cannot_be_opened() {
        let mut datagram = sealed(&mut keys(Role::Initiator), 0);
        assert_eq!(Keys::default().open(&mut datagram.clone()), Err(Unopened::UnknownIndex));
        assert_eq!(keys(Role::Initiator).open(&mut datagram.clone()), Err(Unopened::Forged));
        assert_eq!(keys(Role::Responder).open(&mut [1, 2, 3]), Err(Unopened::NotOurs));
        assert_eq!(keys(Role::Responder).open(&mut []), Err(Unopened::NotOurs));
        *datagram.last_mut().expect("bytes") ^= 1;
        assert_eq!(keys(Role::Responder).open(&mut datagram), Err(Unopened::Forged));
    }

    #[test]
    fn what_looks_like_a_handshake_is_for_the_machine() {
        let handshake = [0xd8, 1, 2];
        assert_eq!(Keys::default().open(&mut handshake.clone()), Ok(Opened::Handshake(&handshake)));
    }

    #[test]
    fn nothing_is_sealed_or_opened_once_a_transfer_is_forgotten() {
        let mut forgetful = keys(Role::Initiator);
        forgetful.forget(INDEX, TRANSFER);
        assert_eq!(sealed(&mut forgetful, 0), []);
        assert_eq!(forgetful.open(&mut sealed(&mut keys(Role::Responder), 0)), Err(Unopened::UnknownIndex));
    }
}
