//! Made-up transfers, with which the checkers are shown to find what they are there for.

use std::net::SocketAddr;

use toom_core::client::event::TransferFailure;
use toom_core::client::io::{Destination, Progress, Report, Side, SourceId, Start};
use toom_core::id::{ConnectionId, OfferId, PeerIndex};
use toom_core::name::UserName;
use toom_core::peer::{Packet, StreamData};
use toom_core::secure::{Keys, PacketKeys, PeerAgreement, PeerSecret, PublicKey, Suite};
use toom_core::text::FileLabel;
use toom_core::time::{Instant, Timestamp};
use toom_core::transfer::io::{Burst, Input, Output, SlotId};
use toom_core::wire::ecn::Ecn;
use toom_core::wire::packet::{HANDSHAKE_BYTES, HandshakeHeader, Header, PACKET_OVERHEAD, PacketNumber, Role};

use super::{Checker, Observation, Watch};

/// The number of the client that sends, and of the one that receives.
pub(super) const SENDER: usize = 0;
/// See [`SENDER`].
pub(super) const RECEIVER: usize = 1;
/// The transfer.
pub(super) const ID: OfferId = OfferId(7);
/// What its file has.
pub(super) const CONTENT: &[u8] = b"a small file";

/// A story that a checker is told.
#[derive(Debug)]
pub(super) struct Story {
    watch: Watch,
    now: Instant,
}

impl Story {
    /// The beginning of any transfer.
    pub(super) fn new(checker: impl Checker + 'static) -> Story {
        let mut story = Story::silent(checker);
        for client in [SENDER, RECEIVER] {
            let (address, connection) = (address(client), ConnectionId(client as u64));
            story.tell(Observation::ClientStarts { client, address, connection });
            story.hears(client, Input::Start(start(client)));
        }
        story
    }

    /// Nothing has happened.
    pub(super) fn silent(checker: impl Checker + 'static) -> Story {
        Story { watch: Watch::new(vec![Box::new(checker)]), now: Instant::ZERO }
    }

    /// A client has agreed with the other end.
    pub(super) fn listens(&mut self, client: usize) {
        self.says(client, listen(client));
    }

    /// A client sends a handshake datagram.
    pub(super) fn asks(&mut self, client: usize, to: SocketAddr) {
        self.says(client, Output::Handshake { transfer: ID, to, datagram: handshake(client) });
    }

    /// One of the other end arrives.
    pub(super) fn is_asked(&mut self, client: usize, from: SocketAddr) {
        let datagram = &handshake(1 - client);
        self.hears(client, Input::Handshake { from, datagram });
    }

    pub(super) fn tell(&mut self, what: Observation<'_>) {
        self.watch.observe(self.now, Timestamp::from_millis(0), &what);
    }

    pub(super) fn hears(&mut self, client: usize, input: Input<'_>) {
        self.tell(Observation::TransfersHear(client, &input));
    }

    pub(super) fn says(&mut self, client: usize, output: Output) {
        self.tell(Observation::TransfersSay(client, &output));
    }

    pub(super) fn reports(&mut self, client: usize, progress: Progress) {
        self.says(client, Output::Report(Report { transfer: ID, progress }));
    }

    pub(super) fn fails(&mut self, client: usize, failure: TransferFailure) {
        self.reports(client, Progress::Failed(failure));
    }

    /// A client sends one packet.
    pub(super) fn sends(&mut self, client: usize, to: SocketAddr, packet: Packet) {
        let datagram = datagram(client, packet.number.0, b"sealed");
        let index = index(1 - client);
        self.says(
            client,
            Output::Burst(Burst {
                transfer: ID,
                to,
                index,
                segment_size: 100,
                epoch: 0,
                ecn_capable: false,
                packets: vec![packet],
            }),
        );
        self.tell(Observation::DatagramSent { client, to, datagram: &datagram });
    }

    /// A client hears of a packet of the other end.
    pub(super) fn opens(&mut self, client: usize, from: SocketAddr, number: u64, payload: &[u8]) {
        let datagram = datagram(1 - client, number, b"sealed");
        self.tell(Observation::DatagramArrives { client, from, datagram: &datagram, opened: true });
        let header = Header { epoch: 0, index: index(client), number: PacketNumber(number) };
        self.hears(client, Input::Datagram { from, header, payload, ecn: Ecn::NotCapable });
    }

    /// The sender reads all of its file.
    pub(super) fn reads(&mut self, content: &[u8]) {
        self.says(SENDER, Output::Read { transfer: ID, offset: 0, length: content.len(), slot: SlotId(0) });
        self.was_read(0, content);
    }

    pub(super) fn was_read(&mut self, offset: u64, bytes: &[u8]) {
        self.tell(Observation::SourceRead { client: SENDER, transfer: ID, offset, bytes });
        self.hears(SENDER, Input::Read { transfer: ID, slot: SlotId(0) });
    }

    pub(super) fn published(&mut self, name: &str, content: &[u8]) {
        self.tell(Observation::Published { client: RECEIVER, transfer: ID, name, content });
    }

    pub(super) fn finish(&mut self) {
        self.watch.finish(self.now, Timestamp::from_millis(0));
    }

    /// The invariant that is broken.
    pub(super) fn broken(&self) -> Option<&'static str> {
        self.watch.broken().map(|broken| broken.invariant)
    }
}

pub(super) fn address(client: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + client as u8], 40_000))
}

/// Under which a client hears.
pub(super) fn index(client: usize) -> PeerIndex {
    PeerIndex(100 + client as u32)
}

fn agreement() -> PeerAgreement {
    let (remote, shared) = (PublicKey([1; 32]), PeerSecret([9; 32]));
    PeerAgreement { remote, shared, context: [2; 32], suite: Suite::AesGcm }
}

fn role(client: usize) -> Role {
    if client == SENDER { Role::Initiator } else { Role::Responder }
}

/// A client has agreed with the other end.
pub(super) fn listen(client: usize) -> Output {
    let keys = Keys { of_initiator: [3; 32].into(), of_responder: [4; 32].into() };
    let keys = PacketKeys::new(Suite::AesGcm, role(client), &keys);
    Output::Listen { index: index(client), transfer: ID, keys }
}

/// The handshake datagram of a client.
fn handshake(client: usize) -> Vec<u8> {
    let header = HandshakeHeader { from: role(client), receiver: index(1 - client), sender: index(client) };
    let mut datagram = header.encode().to_vec();
    datagram.resize(HANDSHAKE_BYTES, 0);
    datagram
}

pub(super) fn start(client: usize) -> Start {
    let receive = || Side::Receive {
        from: UserName::new("yoda").expect("a name"),
        label: FileLabel::new("a.tar.gz"),
        into: Destination::File,
    };
    Start {
        listing: None,
        transfer: ID,
        remote: address(1 - client),
        local_index: index(client),
        remote_index: index(1 - client),
        agreement: agreement(),
        bytes: Some(CONTENT.len() as u64),
        side: if client == SENDER { Side::Send { source: SourceId(1) } } else { receive() },
    }
}

/// What a client sends, as it is on the wire.
pub(super) fn datagram(client: usize, number: u64, sealed: &[u8]) -> Vec<u8> {
    let mut bytes = Header { epoch: 0, index: index(1 - client), number: PacketNumber(number) }.encode().to_vec();
    bytes.extend_from_slice(sealed);
    bytes.resize(PACKET_OVERHEAD + sealed.len(), 0);
    bytes
}

/// A packet with these frames.
pub(super) fn packet(number: u64, frames: Vec<u8>) -> Packet {
    Packet { number: PacketNumber(number), frames, data: None, padding: 0 }
}

/// A packet with bytes of the first slot.
pub(super) fn data_packet(number: u64, offset: u64, start: usize, length: usize) -> Packet {
    let (flow, slot) = (super::datagrams::FILE, SlotId(0));
    let data = StreamData { flow, offset, fin: false, slot, start, length };
    Packet { data: Some(data), ..packet(number, Vec::new()) }
}

/// Where in a frame of this sort its bytes begin.
pub(super) const STREAM_HEADER: usize = toom_core::wire::peer_frame::stream_header_bytes(0, 0);

/// A frame with bytes of the file.
pub(super) fn stream(offset: u64, bytes: &[u8]) -> Vec<u8> {
    let mut frame = stream_header(offset, bytes.len());
    frame.extend_from_slice(bytes);
    frame
}

fn stream_header(offset: u64, length: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    toom_core::wire::peer_frame::put_stream_header(&mut frame, super::datagrams::FILE, offset, length, false);
    frame
}
