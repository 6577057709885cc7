//! The layout of datagrams between peers. Fixed, without serde.
//!
//! A packet carries sealed frames ([`crate::wire::peer_frame`]):
//!
//! ```text
//! +--------+-----------------+----------------------+----------------------+---------+
//! |11vv0eee| receiver's index|    packet number     |   frames (sealed)    |   tag   |
//! |   1    |        4        |          8           |                      |   16    |
//! +--------+-----------------+----------------------+----------------------+---------+
//! ```
//!
//! Two handshake datagrams come before all packets: one of the initiator, and the responder's answer.
//!
//! ```text
//! +--------+-----------------+---------------+-----------------+--------------+---------+
//! |11vv100r| receiver's index| sender's index|  Noise message  |    zeros     |   mac   |
//! |   1    |        4        |       4       |       48        |    1,127     |   16    |
//! +--------+-----------------+---------------+-----------------+--------------+---------+
//! ```
//!
//! Numbers are big-endian. The first byte is 192 to 255, which keeps it apart from STUN, RTP and DTLS
//! (RFC 7983): two bits of version, one that tells handshakes from packets, and then three of key epoch, or whether
//! the responder sent it.
//!
//! The whole header of a packet is associated data of its seal. Packet numbers go on across keys, so that they are
//! never used twice with one; the three bits of epoch are the low ones.
//!
//! Both handshake datagrams have [`HANDSHAKE_BYTES`], so that the path has carried as much in both directions as it
//! must be able to (RFC 9000, section 14.1), and that no answer is larger than what it answers. The mac is over all
//! bytes before it ([`crate::secure::HandshakeMac`]).

use crate::config::TransferConfig;
use crate::id::PeerIndex;

/// Bytes in front of the sealed payload.
pub const HEADER_BYTES: usize = 13;

/// What every packet adds to its frames: header and tag.
pub const PACKET_OVERHEAD: usize = HEADER_BYTES + crate::secure::TAG_BYTES;

/// The version of both layouts.
pub const PACKET_VERSION: u8 = 1;

/// How many key epochs the first byte of a packet can tell apart.
pub const EPOCHS: u8 = 8;

/// A whole handshake datagram.
pub const HANDSHAKE_BYTES: usize = TransferConfig::MIN_PAYLOAD;

/// What is in front of the Noise message of a handshake datagram.
pub const HANDSHAKE_HEADER_BYTES: usize = 9;

/// The first message of `KKpsk0`, without payload: an ephemeral key and a tag.
pub const HANDSHAKE_MESSAGE_BYTES: usize = 48;

/// What the responder tells with its answer, sealed in its message; `transfer/resume.rs` has the layout.
pub const HANDSHAKE_TOLD_BYTES: usize = 40;

/// The mac at the end of a handshake datagram.
pub const HANDSHAKE_MAC_BYTES: usize = 16;

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
    /// The low bits of the number of the key that sealed it: less than [`EPOCHS`].
    pub epoch: u8,
    /// Under which the receiver knows this connection.
    pub index: PeerIndex,
    /// Of this packet.
    pub number: PacketNumber,
}

/// What is in front of a handshake datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeHeader {
    /// Who sent it.
    pub from: Role,
    /// Under which the receiver knows this connection.
    pub receiver: PeerIndex,
    /// Under which the sender knows it.
    pub sender: PeerIndex,
}

/// Why a datagram was dropped before it could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeaderError {
    /// Too short for a header and a tag, or not as long as a handshake datagram is.
    Length,
    /// The first byte is another protocol's.
    NotToom,
    /// Another version of the layout, or the other one of the two layouts.
    Version,
}

impl Header {
    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = PACKET | (self.epoch & EPOCH_BITS);
        bytes[1..5].copy_from_slice(&self.index.0.to_be_bytes());
        bytes[5..].copy_from_slice(&self.number.0.to_be_bytes());
        bytes
    }

    /// The header of a whole datagram.
    pub fn decode(datagram: &[u8]) -> Result<Header, HeaderError> {
        if datagram.len() < PACKET_OVERHEAD {
            return Err(HeaderError::Length);
        }
        let epoch = flags(datagram, PACKET)?;
        let mut number = [0; 8];
        number.copy_from_slice(&datagram[5..HEADER_BYTES]);
        Ok(Header { epoch, index: index(datagram, 1), number: PacketNumber(u64::from_be_bytes(number)) })
    }
}

impl HandshakeHeader {
    /// Whether this is the layout of `datagram`, if it is of ours at all.
    pub fn is_of(datagram: &[u8]) -> bool {
        datagram.first().is_some_and(|first| first & !EPOCH_BITS == HANDSHAKE)
    }

    /// The header as bytes.
    pub fn encode(&self) -> [u8; HANDSHAKE_HEADER_BYTES] {
        let mut bytes = [0; HANDSHAKE_HEADER_BYTES];
        bytes[0] = HANDSHAKE | u8::from(self.from == Role::Responder);
        bytes[1..5].copy_from_slice(&self.receiver.0.to_be_bytes());
        bytes[5..].copy_from_slice(&self.sender.0.to_be_bytes());
        bytes
    }

    /// The header of a whole datagram.
    pub fn decode(datagram: &[u8]) -> Result<HandshakeHeader, HeaderError> {
        if datagram.len() != HANDSHAKE_BYTES {
            return Err(HeaderError::Length);
        }
        let from = match flags(datagram, HANDSHAKE)? {
            0 => Role::Initiator,
            1 => Role::Responder,
            _ => return Err(HeaderError::Version),
        };
        Ok(HandshakeHeader { from, receiver: index(datagram, 1), sender: index(datagram, 5) })
    }
}

/// The first byte of a packet under the first key, and of the initiator's handshake datagram.
const PACKET: u8 = 0b1100_0000 | PACKET_VERSION << 4;
const HANDSHAKE: u8 = PACKET | 0b1000;

/// Of the first byte of a packet.
const EPOCH_BITS: u8 = EPOCHS - 1;

/// The low bits of the first byte, if the others are those of `layout`.
fn flags(datagram: &[u8], layout: u8) -> Result<u8, HeaderError> {
    match datagram[0] {
        ..192 => Err(HeaderError::NotToom),
        first if first & !EPOCH_BITS != layout => Err(HeaderError::Version),
        first => Ok(first & EPOCH_BITS),
    }
}

/// At a place that is there.
fn index(datagram: &[u8], at: usize) -> PeerIndex {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&datagram[at..at + 4]);
    PeerIndex(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let header = Header { epoch: 5, index: PeerIndex(0xdead_beef), number: PacketNumber(1 << 40) };
        let mut datagram = header.encode().to_vec();
        assert_eq!(Header::decode(&datagram), Err(HeaderError::Length));
        datagram.resize(PACKET_OVERHEAD, 0);
        assert_eq!(Header::decode(&datagram), Ok(header));
        assert_eq!(datagram[..HEADER_BYTES], *b"\xd5\xde\xad\xbe\xef\0\0\x01\0\0\0\0\0");
        assert!(!HandshakeHeader::is_of(&datagram));
        datagram[0] = 0;
        assert_eq!(Header::decode(&datagram), Err(HeaderError::NotToom));
        for other in [0xff, 0xd8, 0xc8] {
            datagram[0] = other;
            assert_eq!(Header::decode(&datagram), Err(HeaderError::Version));
        }
    }

    #[test]
    fn headers_of_handshakes_come_back_and_are_told_apart() {
        for (from, first) in [(Role::Initiator, 0xd8), (Role::Responder, 0xd9)] {
            let header = HandshakeHeader { from, receiver: PeerIndex(0xdead_beef), sender: PeerIndex(7) };
            let mut datagram = header.encode().to_vec();
            assert_eq!(datagram, [&[first][..], b"\xde\xad\xbe\xef\0\0\0\x07"].concat());
            datagram.resize(HANDSHAKE_BYTES, 0);
            assert_eq!(HandshakeHeader::decode(&datagram), Ok(header));
            assert_eq!(Header::decode(&datagram), Err(HeaderError::Version));
            assert!(HandshakeHeader::is_of(&datagram));
            datagram.push(0);
            assert_eq!(HandshakeHeader::decode(&datagram), Err(HeaderError::Length));
            datagram.truncate(HANDSHAKE_BYTES);
            for other in [0xda, 0xdf, 0xd0, 0xe8] {
                datagram[0] = other;
                assert_eq!(HandshakeHeader::decode(&datagram), Err(HeaderError::Version));
            }
        }
    }
}
