//! What the transfer machine hears and says.

use core::ops::Range;
use std::net::SocketAddr;

use super::parts::Part;
use super::resume::Have;
use crate::client::io::{Report, Start};
use crate::id::{OfferId, PeerIndex};
use crate::peer::Packet;
use crate::secure::PacketKeys;
use crate::wire::ecn::Ecn;
use crate::wire::packet::{Header, PacketNumber};

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Two people agreed on a transfer, and its file is open: for reading, or as a new partial file.
    Start(Start),
    /// A datagram arrived and was opened with the key of its index.
    Datagram {
        /// Its source.
        from: SocketAddr,
        /// Its header.
        header: Header,
        /// Its frames, opened.
        payload: &'a [u8],
        /// What the network wrote on it.
        ecn: Ecn,
    },
    /// A datagram of a handshake arrived, of which nothing was checked.
    Handshake {
        /// Its source.
        from: SocketAddr,
        /// All of it.
        datagram: &'a [u8],
    },
    /// The partial file of a transfer that receives is ready; follows every `Start` of one. Until then the other end
    /// has no answer.
    Prepared {
        /// Which transfer.
        transfer: OfferId,
        /// What an earlier transfer left of it.
        have: Have,
    },
    /// `Output::Compare` was carried out.
    Compared {
        /// Which transfer.
        transfer: OfferId,
        /// Of as many bytes as were asked for.
        blake3: [u8; 32],
    },
    /// `Output::Survey` was carried out.
    Surveyed {
        /// Which transfer.
        transfer: OfferId,
        /// What is there already, by entries; at most `parts::MAX_PARTS`.
        parts: Vec<Part>,
    },
    /// `Output::CompareParts` was carried out.
    PartsCompared {
        /// Which transfer.
        transfer: OfferId,
        /// Which of the parts are the same here.
        same: Vec<bool>,
    },
    /// `Output::Read` was carried out: the slot has the bytes.
    Read {
        /// Which transfer.
        transfer: OfferId,
        /// Which slot.
        slot: SlotId,
    },
    /// So many bytes of a stream have come, and can be read from its last [`Output::Release`] on.
    Available {
        /// Which transfer.
        transfer: OfferId,
        /// From its beginning.
        bytes: u64,
    },
    /// All bytes of the source have been read once, in order: their hash. Of a stream: those that are available are
    /// all.
    SourceHashed {
        /// Which transfer.
        transfer: OfferId,
        /// Of the whole file.
        blake3: [u8; 32],
    },
    /// These many bytes of `Output::Write` are with the file now, and their buffers are free.
    Written {
        /// Which transfer.
        transfer: OfferId,
        /// How many.
        bytes: u64,
    },
    /// `Output::Verify` was carried out: the hash of the whole partial file.
    Verified {
        /// Which transfer.
        transfer: OfferId,
        /// Of the whole file.
        blake3: [u8; 32],
    },
    /// `Output::Publish` was carried out.
    Published {
        /// Which transfer.
        transfer: OfferId,
        /// The final name.
        saved_as: String,
    },
    /// The file could not be read, written, hashed or renamed.
    StorageFailed {
        /// Which transfer.
        transfer: OfferId,
        /// In words.
        reason: String,
    },
    /// The person cancels, or logs out.
    Cancel {
        /// Which transfer.
        transfer: OfferId,
        /// Whether it may go on later.
        keep: bool,
    },
    /// The deadline passed.
    Woke,
}

/// One of the sender's buffers of [`SLOT_BYTES`]; from 0, less than [`SLOTS`], for each transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId(pub u8);

/// How many slots a sending transfer has: read-ahead for a few bursts.
pub const SLOTS: u8 = 8;
/// What one slot holds: enough for a burst of the largest size that one system call takes.
pub const SLOT_BYTES: usize = 64 * 1024;

/// What a stream keeps in memory at either end: at the sender what has not been acknowledged, and at the receiver what
/// was not taken from it. It covers 600 Mbit/s over 100 ms.
pub const STREAM_BYTES: usize = 8 * 1024 * 1024;

/// What must be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram, as it is.
    Handshake {
        /// Whose.
        transfer: OfferId,
        /// Where to.
        to: SocketAddr,
        /// All of it.
        datagram: Vec<u8>,
    },
    /// Both ends have agreed on keys: from now on, packets with this index are opened with them, and passed in.
    Listen {
        /// Which index.
        index: PeerIndex,
        /// Whose bursts are sealed with them.
        transfer: OfferId,
        /// The first ones.
        keys: PacketKeys,
    },
    /// The connection is over: forget its keys, if there were any. Datagrams with this index are dropped. A transfer
    /// that failed has been closed and reported long before: until now it told the other end.
    Forget {
        /// Which index.
        index: PeerIndex,
        /// Which transfer.
        transfer: OfferId,
    },
    /// Hash the beginning of the source; `Compared` follows, before anything is read (and `SourceHashed`, if that was
    /// all of it).
    Compare {
        /// Which transfer.
        transfer: OfferId,
        /// How much of it; not more than there is.
        bytes: u64,
    },
    /// The listing of a folder or several files is with them: find out what of them is there already; `Surveyed` follows.
    Survey {
        /// Which transfer.
        transfer: OfferId,
    },
    /// Hash as much of one's own files; `PartsCompared` follows, and nothing is read before. (Then `SourceHashed`, if
    /// nothing else is to be read.)
    CompareParts {
        /// Which transfer.
        transfer: OfferId,
        /// What the receiver has, by entries. Whether there are such entries nobody has looked yet.
        parts: Vec<Part>,
    },
    /// The contents that follow the listing are without these parts.
    LeaveOut {
        /// Which transfer.
        transfer: OfferId,
        /// Which of the parts that were surveyed.
        same: Vec<bool>,
    },
    /// What was prepared is the beginning of another file: all of it is written anew.
    Restart {
        /// Which transfer.
        transfer: OfferId,
    },
    /// Read this range of the source into a slot; `Read` follows (and `SourceHashed` after the first time
    /// that the end is reached; ranges that were never read come in order, so they can be hashed as they are
    /// read).
    Read {
        /// Which transfer.
        transfer: OfferId,
        /// Where in the file.
        offset: u64,
        /// At most `SLOT_BYTES`; 0 for an empty file, so that its hash comes too.
        length: usize,
        /// Where to.
        slot: SlotId,
    },
    /// All bytes of a stream before this one have arrived: they are not read again, and there is room for others.
    Release {
        /// Which transfer.
        transfer: OfferId,
        /// From its beginning.
        offset: u64,
    },
    /// Build, seal and send these packets.
    Burst(Burst),
    /// Write a range of the datagram at hand to the partial file; `Written` follows.
    Write {
        /// Which transfer.
        transfer: OfferId,
        /// Where in the file.
        offset: u64,
        /// Where in the payload of the datagram that this call was about.
        range: Range<usize>,
    },
    /// Every byte is written: hash the partial file; `Verified` follows.
    Verify {
        /// Which transfer.
        transfer: OfferId,
    },
    /// The hash is right: give the file its final name, replacing nothing; `Published` follows.
    Publish {
        /// Which transfer.
        transfer: OfferId,
    },
    /// The file is needed no more: close it. Said once: before a failure is reported, so that whoever tries again
    /// finds what is left, or the space free, or else when all is over.
    Close {
        /// Which transfer.
        transfer: OfferId,
        /// Whether a partial file that was not published may be of use to a later transfer; otherwise it is removed.
        keep: bool,
    },
    /// For the client machine.
    Report(Report),
}

/// Packets to one address, all of one size except that the last may be shorter, so that one system call can
/// send them all (GSO).
#[derive(Debug, PartialEq, Eq)]
pub struct Burst {
    /// Whose keys seal it, and whose slots it refers to.
    pub transfer: OfferId,
    /// Where to.
    pub to: SocketAddr,
    /// The index that the other end knows us by.
    pub index: PeerIndex,
    /// The size of every datagram but the last, header and tag included.
    pub segment_size: usize,
    /// Which key seals them, from 0: the same as that of the burst before, or the next one.
    pub epoch: u32,
    /// Whether the network may mark them (ECT(0), RFC 3168).
    pub ecn_capable: bool,
    /// In order; at least one, at most `peer::MAX_BURST_PACKETS`.
    pub packets: Vec<Packet>,
}

/// What the driver counts about datagrams that never reached the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Too short, another protocol, another version.
    pub not_ours: u64,
    /// An index that nobody listens on.
    pub unknown_index: u64,
    /// Not sealed by the other end, or changed on the way.
    pub forged: u64,
}

/// Counters of one transfer, for `bench` and for people who look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handshake datagrams that were not of this transfer, had no right mac, or were too many.
    pub handshakes_refused: u64,
    /// The size of packets of file, header and tag included.
    pub payload: usize,
    /// Packets that left.
    pub packets_sent: u64,
    /// Packets that arrived and could be opened.
    pub packets_received: u64,
    /// Packets that arrived twice, or whose number is too old to tell.
    pub duplicates: u64,
    /// Packets that were taken for lost.
    pub packets_lost: u64,
    /// File bytes that were sent again.
    pub retransmitted_bytes: u64,
    /// Acknowledgements that left.
    pub acks_sent: u64,
    /// Payloads with frames that make no sense.
    pub malformed: u64,
    /// The largest packet number that arrived.
    pub largest_received: PacketNumber,
}
