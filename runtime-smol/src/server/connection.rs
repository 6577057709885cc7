//! Reads one connection: bytes in, requests to the conference out.
//!
//! The task that reads is the only one that reports a connection's beginning and end, so that the conference
//! hears of each once and in order.

use std::convert::Infallible;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::Receiver;
use futures_lite::future;
use smol::Async;
use toom_core::id::ConnectionId;
use toom_core::link::{self, Inbound, Violation};
use toom_core::machine::Machine;
use toom_core::server::io::Input;
use toom_core::wire::message::Request;
use toom_store::wall;

use super::Tallies;
use super::conference::Mail;
use crate::clock::{Alarm, Clock};
use crate::in_words;
use crate::mailbox::Posts;

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: SocketAddr,
    pub(super) socket: Arc<Socket>,
    pub(super) clock: Clock,
    pub(super) posts: Posts<Mail>,
    pub(super) tallies: Arc<Tallies>,
}

/// A connection's socket, shared by the task that reads it and the flusher that writes it; counted while
/// either has it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Async<TcpStream>,
    tallies: Arc<Tallies>,
}

impl Socket {
    pub(super) fn new(stream: Async<TcpStream>, tallies: Arc<Tallies>) -> Socket {
        tallies.open.fetch_add(1, Relaxed);
        Socket { stream, tallies }
    }

    /// Ends it in both directions, whoever else still has it.
    pub(super) fn shut_down(&self) {
        // Fails only if the other end has closed it already.
        drop(self.stream.get_ref().shutdown(Shutdown::Both));
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.tallies.open.fetch_sub(1, Relaxed);
    }
}

/// What one buffer for all connections of a shard holds: they are read one after the other, in one thread.
const READ_BYTES: usize = 64 * 1024;

/// The buffer into which the connections of one shard are read.
#[derive(Clone, Debug)]
pub(super) struct Scratch(Arc<Mutex<Vec<u8>>>);

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch(Arc::new(Mutex::new(vec![0; READ_BYTES])))
    }
}

/// What ended a wait.
enum Woken {
    /// Bytes, or the end of them; the machine knows.
    Read(io::Result<()>),
    /// The machine's deadline passed.
    DeadlinePassed,
    /// The shard closed the connection.
    Closed,
}

impl Connection {
    /// Reads until either end closes the connection; `closed` ends when the shard has given it up.
    pub(super) async fn read(self, scratch: Scratch, closed: Receiver<Infallible>) {
        let mut inbound = Inbound::new(self.clock.now());
        let mut alarm = Alarm::new(self.clock);
        let mut out = Vec::new();
        let mut known = false;
        'open: loop {
            match self.wait(&mut inbound, &mut alarm, &scratch, &closed, &mut out).await {
                Woken::Read(Ok(())) => {}
                Woken::Read(Err(error)) => {
                    tracing::debug!(address = %self.address, "a connection failed: {}", in_words(&error));
                    break;
                }
                Woken::DeadlinePassed => inbound.handle(self.clock.now(), link::Input::Woke, &mut out),
                Woken::Closed => break,
            }
            for output in out.drain(..) {
                let input = match output {
                    link::Output::Greeted => {
                        known = true;
                        Input::Connected { connection: self.id, address: self.address }
                    }
                    link::Output::Message(request) => {
                        Input::Request { connection: self.id, request, wall: wall::now() }
                    }
                    link::Output::Close(why) => {
                        self.count(why);
                        break 'open;
                    }
                };
                if !self.posts.send(Mail::Input(input)).await {
                    break 'open;
                }
            }
            // A connection that always has something to read must not keep the others of its shard waiting.
            future::yield_now().await;
        }
        if known {
            let input = Input::Disconnected { connection: self.id, wall: wall::now() };
            self.posts.send(Mail::Input(input)).await;
        }
    }

    /// Waits for bytes, which it gives to the machine; for the machine's deadline; or for the shard.
    async fn wait(
        &self,
        inbound: &mut Inbound<Request>,
        alarm: &mut Alarm,
        scratch: &Scratch,
        closed: &Receiver<Infallible>,
        out: &mut Vec<link::Output<Request>>,
    ) -> Woken {
        let deadline = inbound.deadline();
        let read = self.socket.stream.read_with(|mut stream| {
            let mut buffer = scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
            let input = match stream.read(&mut buffer)? {
                0 => link::Input::Ended,
                count => link::Input::Bytes(&mut buffer[..count]),
            };
            inbound.handle(self.clock.now(), input, out);
            Ok(())
        });
        let read = async { Woken::Read(read.await) };
        let passed = async {
            alarm.passed(deadline).await;
            Woken::DeadlinePassed
        };
        let closed = async {
            // Nothing is ever sent: it fails when the other end is dropped.
            let _ = closed.recv().await;
            Woken::Closed
        };
        future::or(closed, future::or(read, passed)).await
    }

    fn count(&self, why: Option<Violation>) {
        if let Some(violation) = why {
            let violations = self.tallies.violations.fetch_add(1, Relaxed) + 1;
            tracing::info!(address = %self.address, violations, "closed a connection: {violation}");
        }
    }
}
