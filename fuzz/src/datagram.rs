//! Datagrams: headers, frames and seals.

use arbitrary::{Arbitrary, Unstructured};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::peer::Heard;
use toom_core::secure::{PacketKeys, Suite, TAG_BYTES};
use toom_core::time::Instant;
use toom_core::transfer::io::Burst;
use toom_core::transfer::{Keys, Opened, Unopened};
use toom_core::wire::packet::{HEADER_BYTES, HandshakeHeader, Header, PACKET_OVERHEAD, PacketNumber, Role};
use toom_core::wire::peer_frame::{Frame, Frames};

use super::operations::frames::{AnyPayload, Context};
use super::transfer::end;

/// A datagram's header that can be decoded is encoded to the same bytes.
pub fn header(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert!(data.len() >= PACKET_OVERHEAD);
        assert_eq!(header.encode(), data[..header.encode().len()]);
        assert!(!HandshakeHeader::is_of(data));
    }
    if let Ok(header) = HandshakeHeader::decode(data) {
        assert!(HandshakeHeader::is_of(data));
        assert_eq!(header.encode(), data[..header.encode().len()]);
    }
}

/// The frames of a payload: reading ends, says `Malformed` at most once and last, every range of packet
/// numbers lies below the one before it, and every range of bytes within the payload.
pub fn peer_frames(data: &[u8]) {
    let mut failed = false;
    for frame in Frames::new(data) {
        assert!(!failed, "something follows a malformed frame");
        match frame {
            Ok(Frame::Ack(ack)) => {
                let mut below = u64::MAX;
                for range in ack.ranges() {
                    assert!(range.start < range.end && range.end <= below, "ranges that overlap or grow");
                    below = range.start;
                }
            }
            Ok(Frame::Stream { offset, range, .. }) => {
                assert!(range.start <= range.end && range.end <= data.len(), "bytes that did not arrive");
                assert!(offset.checked_add(range.len() as u64).is_some(), "an offset without an end");
            }
            Ok(_) => {}
            Err(_) => failed = true,
        }
    }
}

/// What happens to a datagram on its way.
#[derive(Clone, Debug, Arbitrary)]
enum Damage {
    Flip { bit: u16 },
    Cut { bytes: u8 },
    Append(Vec<u8>),
    OtherNumber(u64),
    OtherIndex(u32),
}

#[derive(Clone, Debug, Arbitrary)]
struct Sent {
    payload: AnyPayload,
    number: u64,
    /// How often the key was advanced before.
    epoch: u8,
    damage: Vec<Damage>,
}

const INDEX: PeerIndex = PeerIndex(7);
const TRANSFER: OfferId = OfferId(1);

/// A payload of frames is sealed, travels, and is opened: as it was if nothing happened to it, and not at all if
/// anything did. What is opened is read as frames, and so is what nobody sealed.
pub fn datagram(data: &[u8]) {
    header(data);
    let mut bytes = Unstructured::new(data);
    let Ok(sent) = bytes.arbitrary::<Sent>() else { return };
    let payload = sent.payload.bytes(&mut Context { file: data, ..Context::default() });
    peer_frames(&payload);
    // The other end follows by one.
    let epoch = u32::from(sent.epoch % 2);
    let sealed = seal(Role::Initiator, epoch, sent.number, &payload);
    assert_eq!(sealed.len(), payload.len() + PACKET_OVERHEAD);
    header(&sealed);
    let mut travelled = sealed.clone();
    sent.damage.iter().for_each(|damage| damage.happen(&mut travelled));
    let unchanged = travelled == sealed;
    match keys(Role::Responder).open(&mut travelled.clone()) {
        Ok(Opened::Handshake(_)) => assert!(!unchanged, "a packet is taken for a handshake"),
        Ok(Opened::Packet(header, frames)) => {
            assert!(unchanged, "a datagram that was changed is opened");
            assert_eq!((header.index, header.number, frames), (INDEX, PacketNumber(sent.number), &payload[..]));
            assert_eq!(u32::from(header.epoch), epoch);
        }
        Err(why) => assert!(!unchanged, "refused as it was sent: {why:?}"),
    }
    assert_eq!(keys(Role::Initiator).open(&mut sealed.clone()), Err(Unopened::Forged), "one's own is nobody's");
    assert_eq!(Keys::default().open(&mut sealed.clone()), Err(Unopened::UnknownIndex));
    handshake(&sent.damage);
}

/// A handshake datagram travels, and is taken for what it is if nothing happened to it, and for nothing if anything
/// did: by the responder first, and then its answer by the initiator.
fn handshake(damage: &[Damage]) {
    let now = Instant::ZERO;
    let [mut initiator, mut responder] = [Role::Initiator, Role::Responder].map(|role| end::handshake(now, role));
    for turn in 0..2 {
        let (from, to) = if turn == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let (_, sent) = from.transmit(now).expect("each says something in its turn");
        header(&sent);
        let mut travelled = sent.clone();
        damage.iter().for_each(|damage| damage.happen(&mut travelled));
        header(&travelled);
        let somewhere = ([192, 0, 2, 1], 9).into();
        if travelled != sent {
            assert_eq!(to.receive(now, somewhere, &travelled), Heard::Refused, "a handshake that was changed");
        }
        assert!(matches!(to.receive(now, somewhere, &sent), Heard::Agreed { .. }), "refused as it was sent");
    }
}

fn keys(role: Role) -> Keys {
    let mut keys = Keys::default();
    let agreed = toom_core::secure::Keys { of_initiator: [8; 32].into(), of_responder: [9; 32].into() };
    keys.listen(INDEX, TRANSFER, &PacketKeys::new(Suite::AesGcm, role, &agreed));
    keys
}

fn seal(role: Role, epoch: u32, number: u64, payload: &[u8]) -> Vec<u8> {
    let packet =
        toom_core::peer::Packet { number: PacketNumber(number), frames: payload.to_vec(), data: None, padding: 0 };
    let to = ([192, 0, 2, 1], 9).into();
    let segment_size = HEADER_BYTES + payload.len() + TAG_BYTES;
    let burst =
        Burst { transfer: TRANSFER, to, index: INDEX, segment_size, epoch, ecn_capable: true, packets: vec![packet] };
    let mut out = Vec::new();
    keys(role).seal(&burst, |_| &[], &mut out);
    out
}

impl Damage {
    fn happen(&self, datagram: &mut Vec<u8>) {
        match self {
            Damage::Flip { bit } => {
                let at = usize::from(*bit) / 8;
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Damage::Cut { bytes } => datagram.truncate(datagram.len().saturating_sub(usize::from(*bytes))),
            Damage::Append(bytes) => datagram.extend_from_slice(bytes),
            Damage::OtherNumber(number) => replace(datagram, 5, &number.to_be_bytes()),
            Damage::OtherIndex(index) => replace(datagram, 1, &index.to_be_bytes()),
        }
    }
}

fn replace(datagram: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = datagram.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
