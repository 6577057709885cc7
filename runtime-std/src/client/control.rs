//! The TCP connection to the server: connecting, reading, writing.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toom_core::client::io::{Input, disconnect_reason};
use toom_core::link::{Outbound, Output};
use toom_core::wire::message::ServerMessage;
use toom_store::system::tcp;

use super::ClientError;
use super::driver::Mail;
use crate::clock::Clock;
use crate::link;
use crate::mailbox::Posts;

/// How long the server may take nothing of what is written: it is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Connects to `server`, which is `HOST:PORT`.
pub(super) fn connect(server: &str, clock: Clock) -> Result<(Writer, Reader), ClientError> {
    let (stream, address) = tcp::connect(server).map_err(ClientError::Unreachable)?;
    stream.set_write_timeout(Some(WRITE_DEADLINE))?;
    let stream = Arc::new(stream);
    let reader = Reader { server: address, link: link::Reader::new(Arc::clone(&stream), clock) };
    Ok((Writer { stream, outbound: Outbound::new() }, reader))
}

/// The writing half; closes the connection when it is dropped.
pub(super) struct Writer {
    stream: Arc<TcpStream>,
    outbound: Outbound,
}

impl Writer {
    /// Writes our greeting, which must be the first thing that is written.
    pub(super) fn greet(&mut self) -> io::Result<()> {
        self.flush()
    }

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

    fn flush(&mut self) -> io::Result<()> {
        self.outbound.seal();
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
    link: link::Reader<ServerMessage>,
}

impl Reader {
    /// The address at which the server was reached.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Reads until either end closes the connection.
    pub(super) fn run(mut self, posts: &Posts<Mail>) {
        let mut out = Vec::new();
        loop {
            self.link.read(&mut out);
            for output in out.drain(..) {
                match output {
                    Output::Greeted => posts.send(Mail::Input(Input::Connected)),
                    Output::Message(message) => posts.send(Mail::Input(Input::Message(message))),
                    Output::Close(why) => return posts.send(Mail::Closed { reason: disconnect_reason(why) }),
                }
            }
        }
    }
}
