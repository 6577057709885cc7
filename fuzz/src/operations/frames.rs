//! Payloads of datagrams: lists of frames that mean something, then perhaps damaged.

use arbitrary::Arbitrary;
use toom_core::wire::ecn::EcnCounts;
use toom_core::wire::peer_frame::{
    CloseReason, FlowId, put_ack, put_close, put_max_data, put_path_challenge, put_path_response, put_ping,
    put_stream_header, put_verified,
};

/// The flow of the manifest, and that of the file.
pub const MANIFEST: FlowId = FlowId(0);
/// The flow of the file.
pub const FILE: FlowId = FlowId(1);

/// A number that is small, somewhere in the file, or extreme.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum AnyPlace {
    /// A small number.
    Small(u8),
    /// Somewhere in a file of some kilobytes.
    Middle(u16),
    /// Around where the last packet, or the last piece of the file, was.
    Next(u8),
    /// Anything.
    Any(u64),
}

impl AnyPlace {
    /// The number, where `next` is what comes next.
    pub fn number(self, next: u64) -> u64 {
        match self {
            AnyPlace::Small(number) => number.into(),
            AnyPlace::Middle(number) => number.into(),
            AnyPlace::Next(back) => next.saturating_sub(u64::from(back) / 4),
            // What a variable-length integer holds.
            AnyPlace::Any(number) => number >> 2,
        }
    }
}

/// One frame.
#[derive(Clone, Debug, Arbitrary)]
pub enum AnyFrame {
    /// Zero bytes.
    Padding(u8),
    /// As it says.
    Ping,
    /// As it says: ranges by how much they have and how much they leave out, the largest first.
    Ack { largest: AnyPlace, delay_micros: u32, first: u8, ranges: Vec<(u8, u8)> },
    /// The whole manifest; `right` or with another hash.
    Manifest { right: bool },
    /// A piece of the file, as it is or not.
    Piece { offset: AnyPlace, length: u16, right: bool, fin: bool },
    /// Bytes of any flow.
    Stream { flow: u8, offset: AnyPlace, length: u8, fin: bool },
    /// As it says.
    MaxData { flow: u8, credit: AnyPlace },
    /// As it says.
    PathChallenge([u8; 8]),
    /// A response to the last challenge that was sent to us, or to none.
    PathResponse { right: bool, token: [u8; 8] },
    /// As it says.
    Verified { flow: u8, right: bool },
    /// As it says.
    Close(u8),
    /// One of a later version.
    Unknown { kind: u8, bytes: Vec<u8> },
    /// Anything.
    Raw(Vec<u8>),
}

/// What the writer of frames knows.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// The file.
    pub file: &'a [u8],
    /// Its hash.
    pub hash: [u8; 32],
    /// The largest packet number that the other end has used, plus one.
    pub next_packet: u64,
    /// Where the last piece of the file ended.
    pub next_offset: u64,
    /// The last challenge of the other end.
    pub challenge: [u8; 8],
}

impl AnyFrame {
    /// Appends the frame.
    pub fn put(&self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        match self {
            AnyFrame::Padding(count) => out.resize(out.len() + usize::from(*count), 0),
            AnyFrame::Ping => put_ping(out),
            AnyFrame::Ack { largest, delay_micros, first, ranges } => {
                let ranges = ack_ranges(largest.number(context.next_packet), *first, ranges);
                put_ack(out, u64::from(*delay_micros), ranges.into_iter(), EcnCounts::default(), 1_000);
            }
            AnyFrame::Manifest { right } => {
                put_stream_header(out, MANIFEST, 0, 40, true);
                out.extend_from_slice(&(context.file.len() as u64).to_be_bytes());
                out.extend_from_slice(&hash(context, *right));
            }
            AnyFrame::Piece { offset, length, right, fin } => {
                let offset = offset.number(context.next_offset).min(context.file.len() as u64);
                let rest = &context.file[offset as usize..];
                let piece = &rest[..rest.len().min(usize::from(*length) % 1_200)];
                context.next_offset = offset + piece.len() as u64;
                put_stream_header(out, FILE, offset, piece.len(), *fin);
                out.extend(piece.iter().map(|byte| if *right { *byte } else { !*byte }));
            }
            AnyFrame::Stream { flow, offset, length, fin } => {
                put_stream_header(out, any_flow(*flow), offset.number(context.next_offset), usize::from(*length), *fin);
                out.resize(out.len() + usize::from(*length), 7);
            }
            AnyFrame::MaxData { flow, credit } => {
                put_max_data(out, any_flow(*flow), credit.number(context.file.len() as u64));
            }
            AnyFrame::PathChallenge(token) => put_path_challenge(out, *token),
            AnyFrame::PathResponse { right, token } => {
                put_path_response(out, if *right { context.challenge } else { *token });
            }
            AnyFrame::Verified { flow, right } => put_verified(out, any_flow(*flow), hash(context, *right)),
            AnyFrame::Close(reason) => put_close(out, close_reason(*reason)),
            AnyFrame::Unknown { kind, bytes } => {
                let length = bytes.len().min(63);
                out.extend_from_slice(&[0x21 + kind % 0x1f, length as u8]);
                out.extend_from_slice(&bytes[..length]);
            }
            AnyFrame::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// Most frames are about the two flows that there are.
fn any_flow(flow: u8) -> FlowId {
    FlowId(if flow < 192 { flow % 2 } else { flow % 64 })
}

fn hash(context: &Context<'_>, right: bool) -> [u8; 32] {
    if right { context.hash } else { [0xee; 32] }
}

fn close_reason(reason: u8) -> CloseReason {
    use CloseReason::{Cancelled, Done, Integrity, Other, Protocol, Storage};
    [Done, Cancelled, Protocol, Integrity, Storage, Other][usize::from(reason) % 6]
}

fn ack_ranges(largest: u64, first: u8, steps: &[(u8, u8)]) -> Vec<core::ops::Range<u64>> {
    let mut start = largest.saturating_sub(first.into());
    let mut ranges: Vec<_> = core::iter::once(start..largest + 1).collect();
    for (gap, length) in steps {
        let Some(end) = start.checked_sub(u64::from(*gap) + 1).filter(|end| *end > 0) else { break };
        start = end.saturating_sub(u64::from(*length) + 1);
        ranges.push(start..end);
    }
    ranges
}

/// The payload of a datagram.
#[derive(Clone, Debug, Arbitrary)]
pub struct AnyPayload {
    /// In order.
    pub frames: Vec<AnyFrame>,
    /// A byte that is changed afterwards, and how.
    pub change: Option<(u16, u8)>,
    /// So much is cut from the end.
    pub cut: Option<u8>,
}

impl AnyPayload {
    /// As bytes; no longer than a datagram can be.
    pub fn bytes(&self, context: &mut Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for frame in self.frames.iter().take(40) {
            frame.put(context, &mut out);
        }
        if let Some((at, change)) = self.change
            && let Some(byte) = usize::from(at).checked_rem(out.len()).and_then(|at| out.get_mut(at))
        {
            *byte ^= change;
        }
        let cut = usize::from(self.cut.unwrap_or(0));
        out.truncate(out.len().saturating_sub(cut).min(60_000));
        out
    }
}
