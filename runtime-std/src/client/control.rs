//! The TCP connection to the server: connecting, reading, writing.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toom_core::client::io::disconnect_reason;
use toom_core::config::ClientConfig;
use toom_core::link::{Identity, Inbound, Outbound, Output};
use toom_core::secure::{PublicKey, SecretKey};
use toom_core::wire::message::ServerMessage;
use toom_store::system::{faster_suite, random_seed, tcp};

use super::ClientError;
use super::driver::Mail;
use crate::clock::Clock;
use crate::link;
use crate::mailbox::Posts;

/// How long the server may take nothing of what is written: it is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Who connects to whom.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// `HOST:PORT`.
    server: String,
    /// The server's key, once it is known.
    pub(super) server_key: Option<PublicKey>,
    device: SecretKey,
}

impl Ends {
    /// As configured.
    pub(super) fn of(config: &ClientConfig) -> Ends {
        Ends { server: config.server.clone(), server_key: config.server_key, device: config.device.clone() }
    }
}

/// Connects to the server, and does the handshake with it.
pub(super) fn connect(ends: &Ends, clock: Clock) -> Result<(Writer, Reader), ClientError> {
    let (stream, address) = tcp::connect(&ends.server).map_err(ClientError::Unreachable)?;
    stream.set_write_timeout(Some(WRITE_DEADLINE))?;
    let stream = Arc::new(stream);
    let identity = Arc::new(Identity { secret: ends.device.clone(), best: faster_suite() });
    let (inbound, hello) = Inbound::client(clock.now(), identity, random_seed()?, ends.server_key);
    let mut link = link::Reader::new(Arc::clone(&stream), clock, inbound);
    let mut writer = Writer { stream, clock, outbound: Outbound::new() };
    writer.write_handshake(&hello)?;
    let server_key = shake_hands(&mut writer, &mut link)?;
    Ok((writer, Reader { server: address, server_key, link }))
}

/// Answers what the server says until the handshake is done; the server's key. The server says nothing after it on
/// its own.
fn shake_hands(writer: &mut Writer, link: &mut link::Reader<ServerMessage>) -> Result<PublicKey, ClientError> {
    let mut out = Vec::new();
    loop {
        link.read(&mut out);
        for output in out.drain(..) {
            match output {
                Output::Handshake(bytes) => writer.write_handshake(&bytes)?,
                Output::Established(established) => {
                    let server_key = established.remote;
                    writer.outbound.establish(*established);
                    return Ok(server_key);
                }
                Output::Message(_) => {}
                Output::Close(why) => return Err(ClientError::handshake(why)),
            }
        }
    }
}

/// The writing half; closes the connection when it is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<TcpStream>,
    clock: Clock,
    outbound: Outbound,
}

impl Writer {
    /// Writes one frame, waiting for the server if need be.
    pub(super) fn write(&mut self, frame: &Bytes) -> io::Result<()> {
        self.outbound.push(frame).map_err(io::Error::other)?;
        self.flush()
    }

    /// Ends the connection; the reader notices.
    pub(super) fn close(&self) {
        // Fails only if the server has closed it already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn write_handshake(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.outbound.push_handshake(bytes);
        self.flush().map_err(|error| ClientError::broken(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outbound.seal(self.clock.now());
        while !self.outbound.pending().is_empty() {
            match self.stream.as_ref().write(self.outbound.pending()) {
                Ok(count) => self.outbound.written(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The reading half.
pub(super) struct Reader {
    server: SocketAddr,
    server_key: PublicKey,
    link: link::Reader<ServerMessage>,
}

impl Reader {
    /// The address at which the server was reached.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// The server's key, as the handshake proved it.
    pub(super) fn server_key(&self) -> PublicKey {
        self.server_key
    }

    /// Reads until either end closes the connection, which is the one with this number.
    pub(super) fn run(mut self, connection: u64, posts: &Posts<Mail>) {
        let mut out = Vec::new();
        loop {
            self.link.read(&mut out);
            for output in out.drain(..) {
                match output {
                    // Done before.
                    Output::Handshake(_) | Output::Established(_) => {}
                    Output::Message(message) => posts.send(Mail::Said { connection, message }),
                    Output::Close(why) => {
                        return posts.send(Mail::Closed { connection, reason: disconnect_reason(why) });
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("server", &self.server).finish_non_exhaustive()
    }
}
