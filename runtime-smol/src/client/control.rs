//! The TCP connection to the server: connecting, reading, writing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;
use smol::{Async, Timer};
use toom_core::client::io::Input;
use toom_core::link::{self, Inbound, Outbound, Output, Violation};
use toom_core::machine::Machine;
use toom_core::wire::message::ServerMessage;

use super::ClientError;
use super::driver::Mail;
use crate::clock::{Alarm, Clock};
use crate::in_words;
use crate::mailbox::Posts;

/// How long to try each address of the server.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long the server may take nothing of what is written: it is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// What one read takes: a page of history in a few.
const READ_BYTES: usize = 64 * 1024;

/// Connects to `server`, which is `HOST:PORT`.
pub(super) fn connect(server: &str, clock: Clock) -> Result<(Frames, Writer, Reader), ClientError> {
    let unreachable = |error| ClientError::Unreachable(sentence(server, &error));
    let (stream, address) = connect_to_any(server).map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream = Arc::new(Async::new(stream).map_err(unreachable)?);
    // Without a bound of its own: the machine has a bounded number of requests under way.
    let (frames, waiting) = async_channel::unbounded();
    let writer = Writer { stream: Arc::clone(&stream), frames: waiting, outbound: Outbound::new() };
    let reader = Reader { stream, server: address, clock };
    Ok((Frames(frames), writer, reader))
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
    frames: async_channel::Receiver<Bytes>,
    outbound: Outbound,
}

impl Writer {
    /// Writes our greeting and then all frames; then ends the connection. The reader says so.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.write_all().await {
            tracing::debug!("writing to the server failed: {}", in_words(&error));
        }
        // Fails only if the server has closed it already.
        drop(self.stream.get_ref().shutdown(Shutdown::Both));
    }

    async fn write_all(&mut self) -> io::Result<()> {
        self.flush().await?;
        while let Ok(frame) = self.frames.recv().await {
            self.outbound.push(&frame).map_err(io::Error::other)?;
            while let Ok(frame) = self.frames.try_recv() {
                self.outbound.push(&frame).map_err(io::Error::other)?;
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.outbound.seal();
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
#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<Async<TcpStream>>,
    server: SocketAddr,
    clock: Clock,
}

impl Reader {
    /// The address at which the server was reached.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Reads until either end closes the connection.
    pub(super) async fn run(self, posts: Posts<Mail>) {
        let mut inbound = Inbound::new(self.clock.now());
        let mut alarm = Alarm::new(self.clock);
        let mut buffer = vec![0; READ_BYTES];
        let mut out = Vec::new();
        loop {
            self.step(&mut inbound, &mut alarm, &mut buffer, &mut out).await;
            for output in out.drain(..) {
                match output {
                    Output::Greeted => posts.send(Mail::Input(Input::Connected)).await,
                    Output::Message(message) => posts.send(Mail::Input(Input::Message(message))).await,
                    Output::Close(why) => {
                        posts.send(Mail::Closed { reason: reason(why) }).await;
                        return;
                    }
                };
            }
            future::yield_now().await;
        }
    }

    /// Waits for bytes or for the machine's deadline, and tells the machine.
    async fn step(
        &self,
        inbound: &mut Inbound<ServerMessage>,
        alarm: &mut Alarm,
        buffer: &mut [u8],
        out: &mut Vec<Output<ServerMessage>>,
    ) {
        let read = async { Some(self.stream.read_with(|mut stream| stream.read(buffer)).await) };
        let passed = async {
            alarm.passed(inbound.deadline()).await;
            None
        };
        let read = future::or(read, passed).await;
        let input = match read {
            None => link::Input::Woke,
            // A connection that was reset has ended too.
            Some(Ok(0) | Err(_)) => link::Input::Ended,
            Some(Ok(count)) => link::Input::Bytes(&mut buffer[..count]),
        };
        inbound.handle(self.clock.now(), input, out);
    }
}

fn reason(why: Option<Violation>) -> String {
    match why {
        None => "the server closed the connection".to_owned(),
        Some(Violation::Truncated) => "the connection to the server broke".to_owned(),
        Some(violation) => violation.to_string(),
    }
}

/// Tries the addresses of `server` one after the other; the error of the last one if none answers.
fn connect_to_any(server: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_DEADLINE) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn sentence(server: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "nothing accepts connections there".to_owned(),
        ErrorKind::TimedOut => format!("it does not answer within {} seconds", CONNECT_DEADLINE.as_secs()),
        ErrorKind::InvalidInput => "it must be given as HOST:PORT".to_owned(),
        _ => in_words(error),
    };
    format!("the server at {server} cannot be reached: {why}")
}
