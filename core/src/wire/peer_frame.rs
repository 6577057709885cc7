//! The frames in the payload of a packet between peers. Fixed layout, without serde.
//!
//! Every frame starts with its type, a variable-length integer ([`super::varint`]), as does every number in
//! it where the table says `v`.
//!
//! | type | frame | fields |
//! |---|---|---|
//! | 0x00 | PADDING | |
//! | 0x01 | PING | |
//! | 0x02 | ACK | largest v, delay in microseconds v, first range v, count v, count × (gap v, range v), counters v, counters × v |
//! | 0x08, 0x09 | STREAM, STREAM with its end | flow v, offset v, length v, bytes |
//! | 0x10 | MAX_DATA | flow v, credit v |
//! | 0x1a | PATH_CHALLENGE | 8 bytes |
//! | 0x1b | PATH_RESPONSE | 8 bytes |
//! | 0x1c | CLOSE | reason v |
//! | 0x20 | VERIFIED | flow v, 32 bytes |
//! | others | | length v, bytes: skipped |
//!
//! The ranges of an ACK are those of RFC 9000, section 19.3.1. Its counters are none, or how many packets arrived with
//! ECT(0), ECT(1) and CE (section 19.3.2); a receiver ignores those that it does not know.

use core::ops::Range;

use super::ecn::EcnCounts;
use super::packet::PacketNumber;
use super::varint::{MAX_VARINT, Reader, put_varint, put_varint4, put_varint8, varint2};

const PADDING: u64 = 0x00;
const PING: u64 = 0x01;
const ACK: u64 = 0x02;
const STREAM: u64 = 0x08;
const STREAM_END: u64 = 0x09;
const MAX_DATA: u64 = 0x10;
const PATH_CHALLENGE: u64 = 0x1a;
const PATH_RESPONSE: u64 = 0x1b;
const CLOSE: u64 = 0x1c;
const VERIFIED: u64 = 0x20;

/// The most that [`put_stream_header`] appends: type 1, flow 1, offset 8, length 4.
pub const MAX_STREAM_HEADER_BYTES: usize = 14;

/// Numbers below take half as many bytes: four instead of eight for an offset, two instead of four for a length.
const LARGE_OFFSET: u64 = 1 << 30;
const LARGE_LENGTH: usize = 1 << 14;

/// The most counters after the ranges of an ACK (ECN has three); more is nonsense.
const MAX_ACK_COUNTERS: u64 = 16;

/// How many of them ECN has.
const ECN_COUNTERS: u64 = 3;

/// A numbered sequence of bytes in one direction of a connection; less than 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId(pub u8);

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Asks for an acknowledgement.
    Ping,
    /// Which packets have arrived.
    Ack(Ack<'a>),
    /// Bytes of a flow.
    Stream {
        /// Which flow.
        flow: FlowId,
        /// Where in the flow.
        offset: u64,
        /// Where in the payload the bytes are.
        range: Range<usize>,
        /// Whether the flow ends with them.
        fin: bool,
    },
    /// How far a flow may go.
    MaxData {
        /// Which flow.
        flow: FlowId,
        /// The first offset that may not be sent yet.
        credit: u64,
    },
    /// To be sent back, to show that the address is right.
    PathChallenge([u8; 8]),
    /// The bytes of a challenge.
    PathResponse([u8; 8]),
    /// Everything of a flow has arrived, is where it belongs, and has this hash.
    Verified {
        /// Which flow.
        flow: FlowId,
        /// Of all its bytes.
        blake3: [u8; 32],
    },
    /// The connection is over.
    Close(CloseReason),
    /// A frame of a later version.
    Unknown,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything was moved and verified.
    Done,
    /// A person cancelled.
    Cancelled,
    /// The other end broke the protocol.
    Protocol,
    /// What arrived is not what was sent.
    Integrity,
    /// A file could not be read or written.
    Storage,
    /// A person leaves, and may go on later.
    Leaving,
    /// Nothing was heard for too long.
    Silent,
    /// A reason of a later version.
    Other,
}

impl CloseReason {
    fn code(self) -> u64 {
        match self {
            CloseReason::Done => 0,
            CloseReason::Cancelled => 1,
            CloseReason::Protocol => 2,
            CloseReason::Integrity => 3,
            CloseReason::Storage => 4,
            CloseReason::Leaving => 5,
            CloseReason::Silent => 6,
            CloseReason::Other => MAX_VARINT,
        }
    }

    fn from_code(code: u64) -> CloseReason {
        match code {
            0 => CloseReason::Done,
            1 => CloseReason::Cancelled,
            2 => CloseReason::Protocol,
            3 => CloseReason::Integrity,
            4 => CloseReason::Storage,
            5 => CloseReason::Leaving,
            6 => CloseReason::Silent,
            _ => CloseReason::Other,
        }
    }
}

/// Which packets have arrived. Its ranges were checked when it was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The largest number that has arrived.
    pub largest: PacketNumber,
    /// How long that packet waited for this acknowledgement, in microseconds.
    pub delay_micros: u64,
    /// What was written on the packets that have arrived, if any of it was seen.
    pub ecn: Option<EcnCounts>,
    first: u64,
    count: u64,
    ranges: &'a [u8],
}

impl<'a> Ack<'a> {
    /// Ranges of packet numbers, the largest first.
    pub fn ranges(&self) -> AckRanges<'a> {
        AckRanges { next: Some((self.largest.0, self.first)), left: self.count, reader: Reader::new(self.ranges) }
    }

    fn decode(reader: &mut Reader<'a>, payload: &'a [u8]) -> Option<Ack<'a>> {
        let (largest, delay_micros, first) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let count = reader.varint()?;
        let start = reader.position();
        let mut smallest = largest.checked_sub(first)?;
        for _ in 0..count {
            let (gap, length) = (reader.varint()?, reader.varint()?);
            smallest = smallest.checked_sub(gap.checked_add(2)?)?.checked_sub(length)?;
        }
        let ranges = payload.get(start..reader.position())?;
        let counters = reader.varint().filter(|counters| *counters <= MAX_ACK_COUNTERS)?;
        let mut counts = [0; MAX_ACK_COUNTERS as usize];
        for count in counts.iter_mut().take(counters as usize) {
            *count = reader.varint()?;
        }
        let [ect0, ect1, congestion, ..] = counts;
        let ecn = (counters >= ECN_COUNTERS).then_some(EcnCounts { ect0, ect1, congestion });
        Some(Ack { largest: PacketNumber(largest), delay_micros, ecn, first, count, ranges })
    }
}

/// The ranges of an [`Ack`], the largest first.
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    /// The largest number of the next range, and how many are below it.
    next: Option<(u64, u64)>,
    left: u64,
    reader: Reader<'a>,
}

impl Iterator for AckRanges<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let (largest, below) = self.next.take()?;
        let smallest = largest.checked_sub(below)?;
        if self.left > 0 {
            self.left -= 1;
            let (gap, length) = (self.reader.varint()?, self.reader.varint()?);
            self.next = smallest.checked_sub(gap + 2).map(|largest| (largest, length));
        }
        Some(smallest..largest + 1)
    }
}

/// A payload with a frame that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The frames of a payload, without PADDING. After `Malformed` there is no more.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    payload: &'a [u8],
    reader: Reader<'a>,
    failed: bool,
}

impl<'a> Frames<'a> {
    /// The frames of `payload`.
    pub fn new(payload: &'a [u8]) -> Self {
        Frames { payload, reader: Reader::new(payload), failed: false }
    }

    fn frame(&mut self) -> Option<Frame<'a>> {
        let reader = &mut self.reader;
        Some(match reader.varint()? {
            PING => Frame::Ping,
            ACK => Frame::Ack(Ack::decode(reader, self.payload)?),
            kind @ (STREAM | STREAM_END) => {
                let (flow, offset, length) = (flow(reader)?, reader.varint()?, reader.varint()?);
                offset.checked_add(length).filter(|end| *end <= MAX_VARINT)?;
                let start = reader.position();
                reader.take(usize::try_from(length).ok()?)?;
                Frame::Stream { flow, offset, range: start..reader.position(), fin: kind == STREAM_END }
            }
            MAX_DATA => Frame::MaxData { flow: flow(reader)?, credit: reader.varint()? },
            PATH_CHALLENGE => Frame::PathChallenge(reader.array()?),
            PATH_RESPONSE => Frame::PathResponse(reader.array()?),
            CLOSE => Frame::Close(CloseReason::from_code(reader.varint()?)),
            VERIFIED => Frame::Verified { flow: flow(reader)?, blake3: reader.array()? },
            // Padding is a zero byte; written longer, it is nonsense.
            PADDING => return None,
            _ => {
                let length = usize::try_from(reader.varint()?).ok()?;
                reader.take(length)?;
                Frame::Unknown
            }
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.skip_run(PADDING as u8);
        if self.failed || self.reader.peek().is_none() {
            return None;
        }
        let frame = self.frame();
        self.failed = frame.is_none();
        Some(frame.ok_or(Malformed))
    }
}

fn flow(reader: &mut Reader<'_>) -> Option<FlowId> {
    u8::try_from(reader.varint()?).ok().filter(|flow| *flow < 64).map(FlowId)
}

/// Appends a PING.
pub fn put_ping(out: &mut Vec<u8>) {
    put_varint(out, PING);
}

/// Appends an ACK of as many of `ranges` (the largest first, not empty, apart from each other) as fit into
/// `room` bytes, and of what was written on packets. Appends nothing, and says so, if there is no range or no room for one.
pub fn put_ack(
    out: &mut Vec<u8>,
    delay_micros: u64,
    ranges: impl Iterator<Item = Range<u64>>,
    ecn: EcnCounts,
    room: usize,
) -> bool {
    /// Type 1, three numbers 24, count 2.
    const MOST_BEFORE_RANGES: usize = 27;
    /// How many 1, three of them 24.
    const MOST_FOR_COUNTERS: usize = 25;
    /// Gap and length.
    const MOST_FOR_RANGE: usize = 16;
    let mut ranges = ranges;
    let Some(first) = ranges.next().filter(|_| room >= MOST_BEFORE_RANGES + MOST_FOR_COUNTERS) else {
        return false;
    };
    // One allocation for most, which have few ranges.
    out.reserve(MOST_BEFORE_RANGES + MOST_FOR_COUNTERS);
    let limit = out.len() + room - MOST_FOR_COUNTERS;
    put_varint(out, ACK);
    put_varint(out, first.end - 1);
    put_varint(out, delay_micros);
    put_varint(out, first.end - 1 - first.start);
    let count_at = out.len();
    out.extend_from_slice(&varint2(0));
    let (mut smallest, mut count) = (first.start, 0);
    for range in ranges {
        if out.len() + MOST_FOR_RANGE > limit || count == 0x3fff {
            break;
        }
        put_varint(out, smallest - range.end - 1);
        put_varint(out, range.end - 1 - range.start);
        (smallest, count) = (range.start, count + 1);
    }
    out[count_at..count_at + 2].copy_from_slice(&varint2(count));
    put_counters(out, ecn);
    true
}

fn put_counters(out: &mut Vec<u8>, ecn: EcnCounts) {
    if ecn == EcnCounts::default() {
        return put_varint(out, 0);
    }
    put_varint(out, ECN_COUNTERS);
    [ecn.ect0, ecn.ect1, ecn.congestion].into_iter().for_each(|count| put_varint(out, count));
}

/// What [`put_stream_header`] appends: for neighbouring packets of a flow hardly ever not the same.
pub const fn stream_header_bytes(offset: u64, length: usize) -> usize {
    let offset_bytes = if offset < LARGE_OFFSET { 4 } else { 8 };
    let length_bytes = if length < LARGE_LENGTH { 2 } else { 4 };
    2 + offset_bytes + length_bytes
}

/// Appends [`stream_header_bytes`]: a STREAM frame up to its bytes, which must follow.
pub fn put_stream_header(out: &mut Vec<u8>, flow: FlowId, offset: u64, length: usize, fin: bool) {
    put_varint(out, if fin { STREAM_END } else { STREAM });
    put_varint(out, u64::from(flow.0));
    match u32::try_from(offset) {
        Ok(small) if offset < LARGE_OFFSET => put_varint4(out, small),
        _ => put_varint8(out, offset),
    }
    match u16::try_from(length) {
        Ok(short) if length < LARGE_LENGTH => out.extend_from_slice(&varint2(short)),
        _ => put_varint4(out, u32::try_from(length).unwrap_or(u32::MAX)),
    }
}

/// Appends a MAX_DATA.
pub fn put_max_data(out: &mut Vec<u8>, flow: FlowId, credit: u64) {
    put_varint(out, MAX_DATA);
    put_varint(out, u64::from(flow.0));
    put_varint(out, credit);
}

/// Appends a PATH_CHALLENGE.
pub fn put_path_challenge(out: &mut Vec<u8>, token: [u8; 8]) {
    put_varint(out, PATH_CHALLENGE);
    out.extend_from_slice(&token);
}

/// Appends a PATH_RESPONSE.
pub fn put_path_response(out: &mut Vec<u8>, token: [u8; 8]) {
    put_varint(out, PATH_RESPONSE);
    out.extend_from_slice(&token);
}

/// Appends a VERIFIED.
pub fn put_verified(out: &mut Vec<u8>, flow: FlowId, blake3: [u8; 32]) {
    put_varint(out, VERIFIED);
    put_varint(out, u64::from(flow.0));
    out.extend_from_slice(&blake3);
}

/// Appends a CLOSE.
pub fn put_close(out: &mut Vec<u8>, reason: CloseReason) {
    put_varint(out, CLOSE);
    put_varint(out, reason.code());
}

#[cfg(test)]
mod tests;
