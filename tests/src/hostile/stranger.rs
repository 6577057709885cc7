//! A client made by hand: raw connections, and the frames and records that a real client would never send.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use socket2::{Domain, Socket, Type};
use toom_core::id::{PeerIndex, RequestId};
use toom_core::link::{Arrived, Identity, Input, Link};
use toom_core::name::UserName;
use toom_core::secure::{OfferContents, OfferParties, Password, PeerSecret, PublicKey, SecretKey, Suite, seal_offer};
use toom_core::text::FileLabel;
use toom_core::time::Instant;
use toom_core::wire::codec;
use toom_core::wire::message::{ReplyBody, Request, RequestBody, ServerMessage};

use super::processes::PATIENCE;

/// The address of loopback with this last byte: servers count connections and failures of each by themselves.
pub(crate) fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Connects from an address of this computer.
pub(crate) fn connect(server: SocketAddr, from: IpAddr) -> io::Result<TcpStream> {
    connect_with(server, from, None)
}

/// Connects; of what the server sends, not much more than `window` bytes fit before they are read.
pub(crate) fn connect_with(server: SocketAddr, from: IpAddr, window: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&server.into())?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether the other end has closed the connection. What it sent before is thrown away.
pub(crate) fn is_closed(stream: &TcpStream) -> bool {
    let mut stream = stream;
    let mut bytes = [0; 4096];
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let closed = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    closed || stream.set_nonblocking(false).is_err()
}

/// Reads until the other end closes; how many bytes came. An error if it does not.
pub(crate) fn read_to_end(mut stream: &TcpStream) -> io::Result<usize> {
    let (mut bytes, mut all) = ([0; 4096], 0);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(all),
            Ok(count) => all += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(io::Error::other("the server does not close the connection"));
            }
            Err(_) => return Ok(all),
        }
    }
}

/// A frame with this body, whatever it is.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes(), body].concat()
}

/// A connection past the handshake: what is written are frames, and what is read too.
pub(crate) struct Stranger {
    pub(crate) stream: TcpStream,
    link: Link<ServerMessage>,
    arrived: VecDeque<ServerMessage>,
    last: RequestId,
}

impl Stranger {
    /// Does the handshake on `stream` with the server that has this key.
    pub(crate) fn greet(stream: TcpStream, server: PublicKey) -> io::Result<Stranger> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut seed = [0x5d; 32];
        seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
        let identity = Arc::new(Identity { secret: SecretKey::new(SECRET), best: Suite::AesGcm });
        let link = Link::client(Instant::ZERO, identity, seed, Some(server));
        let mut stranger = Stranger { stream, link, arrived: VecDeque::new(), last: RequestId(0) };
        stranger.write(&[])?;
        while !stranger.read()? {}
        stranger.write(&[])?;
        Ok(stranger)
    }

    /// Seals and writes frames, or what are none.
    pub(crate) fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        let sealed = self.seal(frames)?;
        self.stream.write_all(&sealed)
    }

    /// Seals frames, which must be written before anything else.
    pub(crate) fn seal(&mut self, frames: &[u8]) -> io::Result<Vec<u8>> {
        self.link.outbound.push(frames).map_err(io::Error::other)?;
        self.link.outbound.seal(Instant::ZERO);
        let pending = self.link.outbound.pending().to_vec();
        self.link.outbound.written(pending.len());
        Ok(pending)
    }

    /// Asks for something, and does not wait for the answer.
    pub(crate) fn send(&mut self, body: RequestBody) -> io::Result<RequestId> {
        self.last.0 += 1;
        let id = self.last;
        self.write(&codec::encode(&Request { id, body }))?;
        Ok(id)
    }

    /// Asks for something; the answer. Events that come before are thrown away.
    pub(crate) fn ask(&mut self, body: RequestBody) -> io::Result<ReplyBody> {
        let asked = self.send(body)?;
        loop {
            if let ServerMessage::Reply(reply) = self.next()?
                && reply.id == asked
            {
                return Ok(reply.body);
            }
        }
    }

    /// Tries to log in.
    pub(crate) fn login(&mut self, name: &str, password: &str) -> io::Result<ReplyBody> {
        self.ask(login(name, password))
    }

    /// The next message, waited for.
    pub(crate) fn next(&mut self) -> io::Result<ServerMessage> {
        loop {
            if let Some(message) = self.arrived.pop_front() {
                return Ok(message);
            }
            self.read()?;
        }
    }

    /// Reads once; the messages that came by it.
    pub(crate) fn heard(&mut self) -> io::Result<impl Iterator<Item = ServerMessage> + '_> {
        self.read()?;
        Ok(self.arrived.drain(..))
    }

    /// Reads what is there; whether the handshake was done by it.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16_384];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut established = false;
        for arrived in self.link.handle(Instant::ZERO, Input::Bytes(&mut buffer[..count])) {
            match arrived {
                Arrived::Established(_) => established = true,
                Arrived::Message(message) => self.arrived.push_back(message),
                Arrived::Closed(why) => {
                    return Err(io::Error::other(format!("the server broke the protocol: {why:?}")));
                }
            }
        }
        Ok(established)
    }
}

/// A login.
pub(crate) fn login(name: &str, password: &str) -> RequestBody {
    RequestBody::Login { name: name.into(), password: Password(password.into()), udp_port: 9 }
}

/// An offer by `from` of a file that does not exist, sealed as it must be for the device of `to`.
pub(crate) fn offer(from: &str, to: &str, device: PublicKey) -> Option<RequestBody> {
    let (sender, receiver) = (UserName::new(from).ok()?, UserName::new(to).ok()?);
    let parties = OfferParties { sender: &sender, receiver: &receiver };
    let contents = OfferContents {
        label: FileLabel::new("nothing"),
        bytes: Some(u64::MAX),
        secret: PeerSecret([7; 32]),
        listing: None,
    };
    let sealed = seal_offer(parties, &SecretKey::new(SECRET), &device, &contents, [9; 32])?;
    Some(RequestBody::Offer { to: to.into(), device, index: PeerIndex(7), sealed })
}

/// The secret of every client that is made by hand.
const SECRET: [u8; 32] = [0x5a; 32];
