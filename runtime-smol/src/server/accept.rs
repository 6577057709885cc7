//! Accepts connections and gives each to its shard.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use smol::{Async, Timer};
use socket2::{Domain, Protocol, Type};
use toom_core::id::ConnectionId;
use toom_core::wire::limits::MAX_CONNECTIONS;

use super::Tallies;
use super::conference::Mail;
use super::connection::{Connection, Socket};
use super::shard::Shards;
use crate::clock::Clock;
use crate::in_words;
use crate::mailbox::Posts;

/// Connections that the kernel completes before we accept them: a few hundred may arrive at once.
const BACKLOG: i32 = 1_024;
/// How long to wait when accepting fails (no file descriptors, no memory), so that failing does not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Acceptor {
    pub(super) listener: Async<TcpListener>,
    pub(super) clock: Clock,
    pub(super) posts: Posts<Mail>,
    pub(super) shards: Shards,
    pub(super) tallies: Arc<Tallies>,
}

/// Listens at `address`; the address with the real port.
pub(super) fn listen(address: SocketAddr) -> io::Result<(Async<TcpListener>, SocketAddr)> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts need not wait for the connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((Async::new(listener)?, address))
}

impl Acceptor {
    /// Accepts until it is dropped.
    pub(super) async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => self.accepted(stream, address).await,
                Err(e) if is_of_one_connection(&e) => {}
                Err(e) => {
                    tracing::warn!("a connection cannot be accepted: {}", in_words(&e));
                    Timer::after(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    async fn accepted(&self, stream: Async<TcpStream>, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let socket = Socket::new(stream, Arc::clone(&self.tallies));
        if self.tallies.open.load(Relaxed) > MAX_CONNECTIONS {
            self.tallies.refused.fetch_add(1, Relaxed);
            tracing::warn!("refused a connection from {address}: there are {MAX_CONNECTIONS} already");
            return;
        }
        // Otherwise a reply would wait for the acknowledgement of the one before it.
        if let Err(e) = socket.stream.get_ref().set_nodelay(true) {
            tracing::info!("dropped a connection from {address}: {}", in_words(&e));
            return;
        }
        let id = ConnectionId(self.tallies.accepted.fetch_add(1, Relaxed) + 1);
        let connection = Connection {
            id,
            address,
            socket: Arc::new(socket),
            clock: self.clock,
            posts: self.posts.clone(),
            tallies: Arc::clone(&self.tallies),
        };
        self.shards.adopt(connection).await;
    }
}

/// Whether accepting failed for the connection at hand only, and the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
