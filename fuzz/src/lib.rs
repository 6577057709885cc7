//! The bodies of the fuzz targets: each takes any bytes, and panics only if the code under test is wrong.
//!
//! They are apart from the targets so that a test on stable can replay the corpora (`tests/tests/corpora.rs`).

use std::net::{Ipv4Addr, SocketAddr};

use toom_core::client::io::{Side, Start};
use toom_core::config::TransferConfig;
use toom_core::id::{OfferId, PeerIndex};
use toom_core::link::{Inbound, Input, Output};
use toom_core::machine::Machine;
use toom_core::name::UserName;
use toom_core::secure::PeerSecret;
use toom_core::text::{FileLabel, escape_log_field, is_unprintable, printable, unescape_log_field};
use toom_core::time::Instant;
use toom_core::transfer::{self, Transfers};
use toom_core::wire::codec::{LENGTH_BYTES, decode, encode};
use toom_core::wire::message::{Request, ServerMessage};
use toom_core::wire::packet::{Header, PACKET_OVERHEAD, PacketNumber};
use toom_core::wire::peer_frame::{Frame, Frames};
use toom_core::wire::preamble::preamble;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its corpus.
pub const TARGETS: &[Target] = &[
    ("inbound", inbound),
    ("message", message),
    ("header", header),
    ("peer_frames", peer_frames),
    ("receiver", receiver),
    ("file_label", file_label),
    ("printable", printable_text),
    ("log_field", log_field),
];

/// The receiving half of a link, at both ends, in pieces: closes at most once, and says nothing after it.
pub fn inbound(data: &[u8]) {
    fn run<M: serde::de::DeserializeOwned>(piece: usize, data: &[u8]) {
        let mut link = Inbound::<M>::new(Instant::ZERO);
        let mut out = Vec::new();
        link.handle(Instant::ZERO, Input::Bytes(&mut preamble()), &mut out);
        for chunk in data.chunks(piece) {
            link.handle(Instant::ZERO, Input::Bytes(&mut chunk.to_vec()), &mut out);
        }
        link.handle(Instant::ZERO, Input::Ended, &mut out);
        let closes = out.iter().filter(|output| matches!(output, Output::Close(_))).count();
        assert_eq!(closes, 1, "a link closes once");
        assert!(matches!(out.last(), Some(Output::Close(_))), "nothing follows a close");
        assert_eq!(link.deadline(), None, "a closed link waits for nothing");
    }
    let Some((&piece, data)) = data.split_first() else { return };
    run::<Request>(usize::from(piece) + 1, data);
    run::<ServerMessage>(usize::from(piece) + 1, data);
}

/// A message that can be decoded is encoded to something that means the same.
pub fn message(data: &[u8]) {
    if let Ok(request) = decode::<Request>(data) {
        assert_eq!(decode::<Request>(&encode(&request)[LENGTH_BYTES..]), Ok(request));
    }
    if let Ok(message) = decode::<ServerMessage>(data) {
        assert_eq!(decode::<ServerMessage>(&encode(&message)[LENGTH_BYTES..]), Ok(message));
    }
}

/// A datagram's header that can be decoded is encoded to the same bytes.
pub fn header(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert!(data.len() >= PACKET_OVERHEAD);
        assert_eq!(header.encode(), data[..header.encode().len()]);
    }
}

/// The frames of a payload: reading ends, says `Malformed` at most once and last, and every range of packet
/// numbers lies below the one before it.
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
            Ok(_) => {}
            Err(_) => failed = true,
        }
    }
}

/// A receiving transfer fed with arbitrary frames of an authenticated peer: never writes outside the file,
/// ends at most once, and its deadline never lies in the past.
pub fn receiver(data: &[u8]) {
    const FILE_BYTES: u64 = 10_000;
    let id = OfferId(1);
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let mut transfers = Transfers::new(TransferConfig::default(), [0; 32]);
    let mut out = Vec::new();
    let Ok(from) = UserName::new("yoda") else { return };
    let start = Start {
        transfer: id,
        remote,
        local_index: PeerIndex(1),
        remote_index: PeerIndex(2),
        secret: PeerSecret([0; 32]),
        bytes: FILE_BYTES,
        side: Side::Receive { from, label: FileLabel::new("film") },
    };
    let mut now = Instant::ZERO;
    transfers.handle(now, transfer::io::Input::Start(start), &mut out);
    let mut rest = data;
    let mut number = 0;
    while let Some((&length, tail)) = rest.split_first() {
        let (payload, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let header = Header { index: PeerIndex(1), number: PacketNumber(number) };
        // Mostly in order, now and then again or far ahead.
        number = if length % 16 == 15 { number + 1_000 } else { number + u64::from(length % 16 != 14) };
        now = now + core::time::Duration::from_millis(u64::from(length));
        transfers.handle(now, transfer::io::Input::Datagram { from: remote, header, payload }, &mut out);
        assert!(transfers.deadline().is_none_or(|deadline| deadline >= now), "a deadline in the past");
    }
    let mut ends = 0;
    for output in out {
        match output {
            transfer::io::Output::Write { offset, range, .. } => {
                assert!(offset + range.len() as u64 <= FILE_BYTES, "a write outside the file");
                assert!(range.end <= 255, "a write of bytes that did not arrive");
            }
            transfer::io::Output::Close { .. } => ends += 1,
            transfer::io::Output::Publish { .. } => panic!("published without a hash"),
            _ => {}
        }
    }
    assert!(ends <= 1, "a transfer ends once");
}

/// Whatever a peer calls a file becomes one harmless name.
pub fn file_label(data: &[u8]) {
    let label = FileLabel::new(&String::from_utf8_lossy(data));
    let text = label.as_str();
    assert!(!text.is_empty() && text.len() < 200 && text != "." && text != "..");
    assert!(!text.contains(['/', '\\', '\0']) && !text.contains(is_unprintable));
    assert_eq!(FileLabel::new(text).as_str(), text, "cleaning twice changes nothing");
}

/// What reaches a terminal holds nothing that could steer it.
pub fn printable_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(!printable(&text).contains(is_unprintable));
}

/// A field of a text log stays in its row, and can be read back.
pub fn log_field(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let escaped = escape_log_field(&text);
    assert!(!escaped.contains(['\r', '\n']));
    assert_eq!(unescape_log_field(&escaped).as_deref(), Some(text.as_ref()));
}
