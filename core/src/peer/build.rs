//! Building and sealing packets, at the edge, in place.

use super::MAX_BURST_PACKETS;
use crate::id::PeerIndex;
use crate::secure::{SealingKey, TAG_BYTES, low_bits};
use crate::transfer::io::SlotId;
use crate::wire::packet::{Header, PacketNumber};
use crate::wire::peer_frame::{FlowId, put_stream_header};

/// One packet as the machine describes it: frames that are bytes already, then perhaps a STREAM frame whose bytes the
/// driver has in a slot. One of file has nothing else, and so needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Never used before.
    pub number: PacketNumber,
    /// Encoded frames.
    pub frames: Vec<u8>,
    /// The STREAM frame that follows.
    pub data: Option<StreamData>,
    /// Zero bytes after everything else (PADDING frames).
    pub padding: usize,
}

/// A STREAM frame whose bytes are a range of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamData {
    /// Which flow.
    pub flow: FlowId,
    /// Where in the flow.
    pub offset: u64,
    /// Whether the flow ends with it.
    pub fin: bool,
    /// Which slot.
    pub slot: SlotId,
    /// From where in the slot.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
}

impl Packet {
    /// Appends all its frames, padding included. `slot` gives the bytes of a slot.
    pub fn put_payload<'a>(&self, slot: impl Fn(SlotId) -> &'a [u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frames);
        if let Some(data) = self.data {
            put_stream_header(out, data.flow, data.offset, data.length, data.fin);
            out.extend_from_slice(&slot(data.slot)[data.start..data.start + data.length]);
        }
        out.resize(out.len() + self.padding, 0);
    }
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
        packet.put_payload(&slot, out);
        out.resize(out.len() + TAG_BYTES, 0);
        key.seal(packet.number, &mut out[start..]);
    }
}
