//! Accepts connections, gives each a thread that reads it, and waits for these threads at the end.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{Builder, Scope, scope};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use toom_core::id::ConnectionId;
use toom_core::wire::limits::MAX_CONNECTIONS;

use super::Counters;
use super::conference::Mail;
use super::connection::Connection;
use super::shard::Shards;
use crate::clock::Clock;
use crate::in_words;
use crate::mailbox::{Mailbox, Posts, poll};

/// How long to wait after a failure to accept: long enough not to spin while there is no free file
/// descriptor, short enough that nobody notices.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections that the kernel completes before we accept them: a few hundred may arrive at once.
const BACKLOG: i32 = 1_024;

/// Connections accepted before looking whether to stop.
const BATCH: usize = 64;

/// A reader decodes messages of a few levels, and has its buffer elsewhere.
const READER_STACK_BYTES: usize = 128 * 1024;

/// When to ask the other end of a silent connection whether it is still there, how often and for how long:
/// its computer may have gone without a word.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 6;

/// Tells the acceptor to end.
#[derive(Debug)]
pub(super) struct Stop;

/// The thread that accepts.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    pub(super) stopped: Mailbox<Stop>,
    pub(super) clock: Clock,
    pub(super) posts: Posts<Mail>,
    pub(super) shards: Shards,
    pub(super) counters: Arc<Counters>,
}

/// Lets this process have as many files and sockets as the system allows it: often far more than it may have at
/// first, and every connection needs one.
pub(super) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it there is room for fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Listens at `address`; the address with the real port.
pub(super) fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts need not wait for the connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Acceptor {
    /// Accepts until told to stop, then waits until every reader has ended.
    pub(super) fn run(self) {
        scope(|readers| {
            let (mut last_id, mut failing) = (0, false);
            while !self.wait(None) {
                for _ in 0..BATCH {
                    match self.listener.accept() {
                        Ok((socket, address)) => {
                            failing = false;
                            last_id += 1;
                            self.admit(readers, ConnectionId(last_id), socket, address);
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

    /// Gives a connection its shard and its reader, if it has a place among the [`MAX_CONNECTIONS`].
    fn admit<'scope>(
        &'scope self,
        readers: &'scope Scope<'scope, '_>,
        id: ConnectionId,
        stream: TcpStream,
        address: SocketAddr,
    ) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let counters = &self.counters;
        if counters.open.load(Relaxed) >= MAX_CONNECTIONS {
            let turned_away = counters.turned_away.fetch_add(1, Relaxed) + 1;
            tracing::warn!(%address, turned_away, "closed a connection: there are {MAX_CONNECTIONS} already");
            return;
        }
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%address, "a connection failed: {}", in_words(&error));
            return;
        }
        let stream = Arc::new(stream);
        let connection = Connection::new(id, address, Arc::clone(&stream), self.clock);
        counters.open.fetch_add(1, Relaxed);
        let reader = Builder::new().name("toom-reader".into()).stack_size(READER_STACK_BYTES);
        let started = reader.spawn_scoped(readers, move || {
            // Before anything is read, so that no reply comes before its connection.
            self.shards.adopt(id, stream);
            connection.read(&self.posts, counters);
            self.shards.forget(id);
            counters.open.fetch_sub(1, Relaxed);
        });
        if let Err(error) = started {
            counters.open.fetch_sub(1, Relaxed);
            let turned_away = counters.turned_away.fetch_add(1, Relaxed) + 1;
            tracing::warn!(%address, turned_away, "closed a connection: no thread for it: {}", in_words(&error));
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // On Linux an accepted socket blocks whatever its listener does; elsewhere it may not.
    stream.set_nonblocking(false)?;
    // Otherwise a reply would wait for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))
}
