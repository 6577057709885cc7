//! The TCP connection to the server: connecting, reading, writing.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;
use smol::{Async, Timer};
use toom_core::client::io::disconnect_reason;
use toom_core::config::ClientConfig;
use toom_core::link::{Identity, Inbound, Outbound, Output};
use toom_core::secure::{PublicKey, SecretKey};
use toom_core::wire::message::ServerMessage;
use toom_store::system::{faster_suite, in_words, random_seed, tcp};

use super::ClientError;
use super::driver::Mail;
use crate::clock::Clock;
use crate::link::{self, Buffer};
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

/// Connects to the server, and does the handshake with it; waits meanwhile.
pub(super) fn connect(ends: &Ends, clock: Clock) -> Result<(Frames, Writer, Reader), ClientError> {
    let (stream, address) = tcp::connect(&ends.server).map_err(ClientError::Unreachable)?;
    let stream = Arc::new(Async::new(stream)?);
    let identity = Arc::new(Identity { secret: ends.device.clone(), best: faster_suite() });
    let (inbound, hello) = Inbound::client(clock.now(), identity, random_seed()?, ends.server_key);
    let mut link = link::Reader::new(Arc::clone(&stream), clock, Buffer::new(), inbound);
    // Without a bound of its own: the machine has a bounded number of requests under way.
    let (frames, waiting) = async_channel::unbounded();
    let mut writer = Writer { stream, clock, frames: waiting, outbound: Outbound::new() };
    let server_key = future::block_on(async {
        writer.write_handshake(&hello).await?;
        shake_hands(&mut writer, &mut link).await
    })?;
    Ok((Frames(frames), writer, Reader { server: address, server_key, link }))
}

/// Answers what the server says until the handshake is done; the server's key. The server says nothing after it on
/// its own.
async fn shake_hands(writer: &mut Writer, link: &mut link::Reader<ServerMessage>) -> Result<PublicKey, ClientError> {
    let mut out = Vec::new();
    loop {
        link.read(&mut out).await;
        for output in out.drain(..) {
            match output {
                Output::Handshake(bytes) => writer.write_handshake(&bytes).await?,
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

/// What the driver has of the connection: frames to be written.
#[derive(Debug)]
pub(super) struct Frames(async_channel::Sender<Bytes>);

impl Frames {
    /// Has a frame written; never waits.
    pub(super) fn write(&self, frame: Bytes) {
        // Fails only if the connection is closed already.
        drop(self.0.try_send(frame));
    }

    /// Has the connection ended once everything is written; the reader notices.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer {
    stream: Arc<Async<TcpStream>>,
    clock: Clock,
    frames: async_channel::Receiver<Bytes>,
    outbound: Outbound,
}

impl Writer {
    /// Writes all frames; then ends the connection. The reader says so.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.write_all().await {
            tracing::debug!("writing to the server failed: {}", in_words(&error));
        }
        // Fails only if the server has closed it already.
        drop(self.stream.get_ref().shutdown(Shutdown::Both));
    }

    async fn write_all(&mut self) -> io::Result<()> {
        while let Ok(frame) = self.frames.recv().await {
            self.outbound.push(&frame).map_err(io::Error::other)?;
            while let Ok(frame) = self.frames.try_recv() {
                self.outbound.push(&frame).map_err(io::Error::other)?;
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn write_handshake(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.outbound.push_handshake(bytes);
        self.flush().await.map_err(|error| ClientError::broken(&error))
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.outbound.seal(self.clock.now());
        while !self.outbound.pending().is_empty() {
            let write = self.stream.write_with(|mut stream| stream.write(self.outbound.pending()));
            let late = async {
                Timer::after(WRITE_DEADLINE).await;
                Err(ErrorKind::TimedOut.into())
            };
            let count = future::or(write, late).await?;
            self.outbound.written(count);
        }
        Ok(())
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
    pub(super) async fn run(mut self, connection: u64, posts: Posts<Mail>) {
        let mut out = Vec::new();
        loop {
            self.link.read(&mut out).await;
            for output in out.drain(..) {
                match output {
                    // Done before.
                    Output::Handshake(_) | Output::Established(_) => continue,
                    Output::Message(message) => posts.send(Mail::Said { connection, message }).await,
                    Output::Close(why) => {
                        posts.send(Mail::Closed { connection, reason: disconnect_reason(why) }).await;
                        return;
                    }
                };
            }
            future::yield_now().await;
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("server", &self.server).finish_non_exhaustive()
    }
}
