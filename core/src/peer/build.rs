//! Building and sealing packets, at the edge, in place.

use super::MAX_BURST_PACKETS;
use crate::id::PeerIndex;
use crate::secure::{SealingKey, TAG_BYTES, low_bits};
use crate::transfer::io::SlotId;
use crate::wire::packet::{Header, PacketNumber};

/// One packet as the machine describes it: frames that are bytes already, then perhaps stream data that the
/// driver has in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Never used before.
    pub number: PacketNumber,
    /// Encoded frames. If `data` is there, they end with the header of the STREAM frame that it fills.
    pub frames: Vec<u8>,
    /// The bytes that follow.
    pub data: Option<StreamData>,
    /// Zero bytes after everything else (PADDING frames).
    pub padding: usize,
}

/// A range of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamData {
    /// Which slot.
    pub slot: SlotId,
    /// From where in the slot.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
}

/// Appends packets to `out`, one after the other, sealed with the key of `epoch`; nothing if that has been forgotten.
/// `slot` gives the bytes of a slot.
pub fn build_burst<'a>(
    (index, epoch): (PeerIndex, u32),
    packets: &[Packet],
    key: &mut SealingKey,
    slot: impl Fn(SlotId) -> &'a [u8],
    out: &mut Vec<u8>,
) {
    debug_assert!(packets.len() <= MAX_BURST_PACKETS);
    if !key.advance_to(epoch) {
        return;
    }
    let epoch = low_bits(epoch);
    for packet in packets {
        let start = out.len();
        out.extend_from_slice(&Header { epoch, index, number: packet.number }.encode());
        out.extend_from_slice(&packet.frames);
        if let Some(data) = packet.data {
            out.extend_from_slice(&slot(data.slot)[data.start..data.start + data.length]);
        }
        out.resize(out.len() + packet.padding + TAG_BYTES, 0);
        key.seal(packet.number, &mut out[start..]);
    }
}
