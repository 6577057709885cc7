//! The layout of a datagram between peers, and of the frames in it. Fixed, without serde.
//!
//! ```text
//! +--------+-----------------+----------------------+----------------------+---------+
//! | 11vvve | receiver's index|    packet number     |   frames (sealed)    |   tag   |
//! |  ee  1 |        4        |          8           |                      |   16    |
//! +--------+-----------------+----------------------+----------------------+---------+
//! ```
//!
//! Numbers are big-endian. The first byte is 192 to 255, which keeps it apart from STUN, RTP and DTLS
//! (RFC 7983): three bits of version, three of key epoch.

use crate::id::PeerIndex;

/// Bytes in front of the sealed payload.
pub const HEADER_BYTES: usize = 13;

/// What every packet adds to its frames: header and tag.
pub const PACKET_OVERHEAD: usize = HEADER_BYTES + crate::secure::TAG_BYTES;

/// The version of the packet layout.
pub const PACKET_VERSION: u8 = 1;

/// A packet's number in its direction: from 0, never reused, whatever the packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNumber(pub u64);

/// Which end of a peer connection one is: the initiator is who offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Made the offer.
    Initiator,
    /// Accepted it.
    Responder,
}

impl Role {
    /// The other end's.
    pub const fn other(self) -> Role {
        match self {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        }
    }
}

/// The clear, authenticated part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Under which the receiver knows this connection.
    pub index: PeerIndex,
    /// Of this packet.
    pub number: PacketNumber,
}

/// Why a datagram was dropped before it could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeaderError {
    /// Too short for a header and a tag.
    TooShort,
    /// The first byte is another protocol's.
    NotToom,
    /// Another version of the layout, or a key epoch that does not exist yet.
    Version,
}

impl Header {
    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = FIRST_BYTE;
        bytes[1..5].copy_from_slice(&self.index.0.to_be_bytes());
        bytes[5..].copy_from_slice(&self.number.0.to_be_bytes());
        bytes
    }

    /// The header of a whole datagram.
    pub fn decode(datagram: &[u8]) -> Result<Header, HeaderError> {
        if datagram.len() < PACKET_OVERHEAD {
            return Err(HeaderError::TooShort);
        }
        if datagram[0] < 192 {
            return Err(HeaderError::NotToom);
        }
        if datagram[0] != FIRST_BYTE {
            return Err(HeaderError::Version);
        }
        let (mut index, mut number) = ([0; 4], [0; 8]);
        index.copy_from_slice(&datagram[1..5]);
        number.copy_from_slice(&datagram[5..HEADER_BYTES]);
        Ok(Header { index: PeerIndex(u32::from_be_bytes(index)), number: PacketNumber(u64::from_be_bytes(number)) })
    }
}

/// Version, and key epoch 0.
const FIRST_BYTE: u8 = 0b1100_0000 | PACKET_VERSION << 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let header = Header { index: PeerIndex(0xdead_beef), number: PacketNumber(1 << 40) };
        let mut datagram = header.encode().to_vec();
        assert_eq!(Header::decode(&datagram), Err(HeaderError::TooShort));
        datagram.resize(PACKET_OVERHEAD, 0);
        assert_eq!(Header::decode(&datagram), Ok(header));
        datagram[0] = 0;
        assert_eq!(Header::decode(&datagram), Err(HeaderError::NotToom));
        datagram[0] = 0xff;
        assert_eq!(Header::decode(&datagram), Err(HeaderError::Version));
    }
}
