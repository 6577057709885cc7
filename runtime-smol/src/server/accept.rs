//! Accepts connections and gives each to its shard.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::{Async, Timer};
use toom_core::address::canonical;
use toom_core::id::ConnectionId;
use toom_core::link::{Identity, Inbound};
use toom_store::server::Tallies;
use toom_store::system::{in_words, random_seed, tcp};

use super::conference::Mail;
use super::connection::Connection;
use super::shard::Shards;
use crate::clock::Clock;
use crate::link;
use crate::mailbox::Posts;

/// How long to wait when accepting fails (no file descriptors, no memory), so that failing does not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The task that accepts.
pub(super) struct Acceptor {
    pub(super) listener: Async<TcpListener>,
    pub(super) clock: Clock,
    /// Who the server is.
    pub(super) identity: Arc<Identity>,
    pub(super) posts: Posts<Mail>,
    pub(super) shards: Shards,
    pub(super) tallies: Arc<Tallies>,
}

impl Acceptor {
    /// Accepts until it is dropped.
    pub(super) async fn run(self) {
        let mut failing = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    failing = false;
                    self.admit(stream, address).await;
                }
                Err(e) if is_of_one_connection(&e) => {}
                Err(e) => {
                    if !failing {
                        tracing::warn!("cannot accept a connection: {}; trying again", in_words(&e));
                    }
                    failing = true;
                    Timer::after(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Gives a connection to its shard, if there is a place for it.
    async fn admit(&self, stream: Async<TcpStream>, address: SocketAddr) {
        let address = canonical(address);
        let Some(place) = self.tallies.admit() else { return };
        let seed = match tcp::prepare(stream.get_ref()).and_then(|()| random_seed()) {
            Ok(seed) => seed,
            Err(error) => return tracing::debug!(%address, "a connection failed: {}", in_words(&error)),
        };
        let inbound = Inbound::server(self.clock.now(), Arc::clone(&self.identity), seed);
        let (id, stream) = (ConnectionId(place.number()), Arc::new(stream));
        let connection = Connection {
            id,
            address,
            reader: link::Reader::new(Arc::clone(&stream), self.clock, self.shards.buffer(id), inbound),
            posts: self.posts.clone(),
            shards: self.shards.clone(),
            tallies: Arc::clone(&self.tallies),
        };
        self.shards.adopt(connection, stream, place).await;
    }
}

/// Whether accepting failed for the connection at hand only, and the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
