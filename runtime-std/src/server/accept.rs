//! Accepts connections, gives each a thread that reads it, and waits for these threads at the end.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, Scope, scope};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
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
use crate::mailbox::{Mailbox, Posts, poll};

/// How long to wait after a failure to accept: long enough not to spin while there is no free file
/// descriptor, short enough that nobody notices.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections accepted before looking whether to stop.
const BATCH: usize = 64;

/// A reader decodes messages of a few levels, and has its buffer elsewhere.
const READER_STACK_BYTES: usize = 128 * 1024;

/// Tells the acceptor to end.
#[derive(Debug)]
pub(super) struct Stop;

/// The thread that accepts.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    pub(super) stopped: Mailbox<Stop>,
    pub(super) clock: Clock,
    /// Who the server is.
    pub(super) identity: Arc<Identity>,
    pub(super) posts: Posts<Mail>,
    pub(super) shards: Shards,
    pub(super) tallies: Arc<Tallies>,
}

impl Acceptor {
    /// Accepts until told to stop, then waits until every reader has ended.
    pub(super) fn run(self) {
        scope(|readers| {
            let mut failing = false;
            while !self.wait(None) {
                for _ in 0..BATCH {
                    match self.listener.accept() {
                        Ok((stream, address)) => {
                            failing = false;
                            self.admit(readers, stream, address);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => {
                            if !failing {
                                tracing::warn!("cannot accept a connection: {}; trying again", in_words(&error));
                            }
                            failing = true;
                            self.wait(Some(PAUSE));
                            break;
                        }
                    }
                }
            }
        });
        self.posts.post(Mail::AllClosed);
    }

    /// Waits for a connection (or, with a `pause`, as long as that) or the word to stop; whether that came.
    fn wait(&self, pause: Option<Duration>) -> bool {
        let mut fds = [PollFd::new(&self.stopped, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        let watched = if pause.is_some() { 1 } else { 2 };
        poll(&mut fds[..watched], pause);
        !fds[0].revents().is_empty()
    }

    /// Gives a connection its shard and its reader, if there is a place for it.
    fn admit<'scope>(&'scope self, readers: &'scope Scope<'scope, '_>, stream: TcpStream, address: SocketAddr) {
        let address = canonical(address);
        let Some(place) = self.tallies.admit() else { return };
        let seed = match prepare(&stream).and_then(|()| random_seed()) {
            Ok(seed) => seed,
            Err(error) => return tracing::debug!(%address, "a connection failed: {}", in_words(&error)),
        };
        let inbound = Inbound::server(self.clock.now(), Arc::clone(&self.identity), seed);
        let (id, stream) = (ConnectionId(place.number()), Arc::new(stream));
        let connection = Connection {
            id,
            address,
            reader: link::Reader::new(Arc::clone(&stream), self.clock, inbound),
            posts: self.posts.clone(),
            shards: self.shards.clone(),
            tallies: Arc::clone(&self.tallies),
        };
        let reader = Builder::new().name("toom-reader".into()).stack_size(READER_STACK_BYTES);
        let started = reader.spawn_scoped(readers, move || {
            // Before anything is read, so that no reply comes before its connection.
            self.shards.adopt(id, stream, place.clone());
            connection.read();
            self.shards.forget(id);
        });
        if let Err(error) = started {
            self.tallies.refuse(&format!("no thread for it: {}", in_words(&error)));
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // On Linux an accepted socket blocks whatever its listener does; elsewhere it may not.
    stream.set_nonblocking(false)?;
    tcp::prepare(stream)
}
