//! A shard: one thread that writes to its share of the connections, and never waits for one of them.
//!
//! It takes the orders that are there, appends each delivery to the outboxes of its connections, then seals
//! each outbox once and writes it with one call. What a socket does not take stays in the outbox until the
//! socket takes more; so one slow reader delays nobody. When its outbox is full it is cut off.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use toom_core::id::ConnectionId;
use toom_core::link::{Established, Outbound};
use toom_core::time::Instant;
use toom_store::server::{Place, Tallies};

use crate::clock::Clock;
use crate::mailbox::{Mailbox, Posts, mailbox, poll};

/// Orders that may wait for a shard, before the conference waits too. Connections share their frames.
const ORDERS_WAITING: usize = 4_096;

/// How long a connection that is being closed may take to read what is waiting for it, and to close its side.
const GRACE: Duration = Duration::from_secs(2);

/// What a shard is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Own this connection.
    Adopt(ConnectionId, Arc<TcpStream>, Place),
    /// Write this part of a connection's handshake.
    Handshake(ConnectionId, Vec<u8>),
    /// A connection's handshake is done.
    Establish(ConnectionId, Box<Established>),
    /// Append this frame to the outboxes of these connections.
    Deliver(Vec<ConnectionId>, Bytes),
    /// Write what is waiting, then close.
    Finish(ConnectionId),
    /// Write as much of what is waiting as the socket takes, then close at once.
    Cut(ConnectionId),
    /// The reader has ended.
    Forget(ConnectionId),
    /// Finish all, and whatever comes after.
    CloseAll,
    /// End.
    Stop,
}

/// All shards, as the other threads see them.
#[derive(Clone, Debug)]
pub(super) struct Shards(Vec<Posts<Order>>);

impl Shards {
    /// `count` shards, and what their threads run.
    pub(super) fn new(count: usize, clock: Clock, tallies: &Arc<Tallies>) -> io::Result<(Shards, Vec<Flusher>)> {
        let mailboxes: io::Result<Vec<_>> = (0..count).map(|_| mailbox(ORDERS_WAITING)).collect();
        let (posts, mailboxes): (_, Vec<_>) = mailboxes?.into_iter().unzip();
        let flusher = |mailbox| Flusher::new(clock, mailbox, Arc::clone(tallies));
        Ok((Shards(posts), mailboxes.into_iter().map(flusher).collect()))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The place of the shard to which a connection belongs.
    pub(super) fn of(&self, connection: ConnectionId) -> usize {
        usize::try_from(connection.0 % self.0.len() as u64).unwrap_or(0)
    }

    /// Gives a shard its orders; waits while it has too much to do.
    pub(super) fn send(&self, shard: usize, orders: &mut Vec<Order>) {
        if !orders.is_empty() {
            self.0[shard].send_all(orders);
        }
    }

    /// Owns a new connection.
    pub(super) fn adopt(&self, connection: ConnectionId, stream: Arc<TcpStream>, place: Place) {
        self.0[self.of(connection)].post(Order::Adopt(connection, stream, place));
    }

    /// Writes a part of a connection's handshake.
    pub(super) fn write_handshake(&self, connection: ConnectionId, bytes: Vec<u8>) {
        self.0[self.of(connection)].post(Order::Handshake(connection, bytes));
    }

    /// Seals what is written to a connection from now on.
    pub(super) fn establish(&self, connection: ConnectionId, established: Box<Established>) {
        self.0[self.of(connection)].post(Order::Establish(connection, established));
    }

    /// Gives up a connection whose reader has ended.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.0[self.of(connection)].post(Order::Forget(connection));
    }

    /// Closes all connections, and those that still come, once what is waiting has been written.
    pub(super) fn close_all(&self) {
        self.0.iter().for_each(|posts| posts.post(Order::CloseAll));
    }

    /// Ends the threads.
    pub(super) fn stop(&self) {
        self.0.iter().for_each(|posts| posts.post(Order::Stop));
    }
}

/// The thread of a shard.
pub(super) struct Flusher {
    clock: Clock,
    mailbox: Mailbox<Order>,
    tallies: Arc<Tallies>,
    connections: HashMap<ConnectionId, Writer>,
    dirty: Vec<ConnectionId>,
    /// Those whose sockets took less than was waiting.
    blocked: Vec<ConnectionId>,
    /// When those that are being closed are cut off; soonest first.
    finishing: VecDeque<(Instant, ConnectionId)>,
    stopping: bool,
}

impl Flusher {
    fn new(clock: Clock, mailbox: Mailbox<Order>, tallies: Arc<Tallies>) -> Flusher {
        Flusher {
            clock,
            mailbox,
            tallies,
            connections: HashMap::new(),
            dirty: Vec::new(),
            blocked: Vec::new(),
            finishing: VecDeque::new(),
            stopping: false,
        }
    }

    /// Writes until told to stop.
    pub(super) fn run(mut self) {
        let mut orders = Vec::new();
        loop {
            self.wait(&mut orders);
            for order in orders.drain(..) {
                match order {
                    Order::Adopt(id, stream, place) => self.adopt(id, Writer::new(stream, place)),
                    Order::Handshake(id, bytes) => self.write_handshake(id, &bytes),
                    Order::Establish(id, established) => self.establish(id, *established),
                    Order::Deliver(to, frame) => to.into_iter().for_each(|id| self.append(id, &frame)),
                    Order::Finish(id) => self.finish(id),
                    Order::Cut(id) => self.cut(id),
                    Order::Forget(id) => self.forget(id),
                    Order::CloseAll => self.close_all(),
                    Order::Stop => return,
                }
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            dirty.drain(..).for_each(|id| self.flush(id));
            self.dirty = dirty;
            self.close_expired();
        }
    }

    /// Waits for orders, for room in a socket that had none, or for the time to cut a connection off.
    fn wait(&mut self, orders: &mut Vec<Order>) {
        self.blocked.retain(|id| self.connections.get(id).is_some_and(|writer| writer.blocked));
        let mut fds = vec![PollFd::new(&self.mailbox, PollFlags::IN)];
        fds.extend(self.blocked.iter().map(|id| PollFd::new(&*self.connections[id].stream, PollFlags::OUT)));
        let deadline = self.finishing.front().map(|&(deadline, _)| deadline);
        poll(&mut fds, self.clock.until(deadline));
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let has_orders = is_ready(&fds[0]);
        let writable: Vec<ConnectionId> =
            fds[1..].iter().zip(&self.blocked).filter(|(fd, _)| is_ready(fd)).map(|(_, id)| *id).collect();
        for id in writable {
            if let Some(writer) = self.connections.get_mut(&id) {
                writer.blocked = false;
                self.mark(id);
            }
        }
        if has_orders {
            self.mailbox.take(orders);
        }
    }

    fn adopt(&mut self, id: ConnectionId, writer: Writer) {
        self.connections.insert(id, writer);
        if self.stopping {
            self.finish(id);
        }
    }

    fn write_handshake(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(writer) = self.connections.get_mut(&id).filter(|writer| !writer.finishing) {
            writer.outbound.push_handshake(bytes);
            self.mark(id);
        }
    }

    fn establish(&mut self, id: ConnectionId, established: Established) {
        if let Some(writer) = self.connections.get_mut(&id) {
            writer.outbound.establish(established);
        }
    }

    fn append(&mut self, id: ConnectionId, frame: &[u8]) {
        let Some(writer) = self.connections.get_mut(&id).filter(|writer| !writer.finishing) else { return };
        let mut pushed = writer.outbound.push(frame);
        if pushed.is_err() && !writer.blocked {
            // Full because much came at once, not because the reader is slow: what the socket takes now does
            // not count. A socket that has failed shows when it is flushed.
            let _ = writer.write(self.clock.now());
            pushed = writer.outbound.push(frame);
        }
        match pushed {
            Ok(()) => self.mark(id),
            Err(full) => {
                let slow_readers = self.tallies.slow_reader();
                tracing::info!(connection = %id, slow_readers, "closed a connection: {full}");
                self.close(id);
            }
        }
    }

    fn mark(&mut self, id: ConnectionId) {
        if let Some(writer) = self.connections.get_mut(&id)
            && !writer.dirty
        {
            writer.dirty = true;
            self.dirty.push(id);
        }
    }

    fn flush(&mut self, id: ConnectionId) {
        let Some(writer) = self.connections.get_mut(&id) else { return };
        writer.dirty = false;
        if writer.blocked {
            return;
        }
        if writer.write(self.clock.now()).is_err() {
            return self.close(id);
        }
        if !writer.outbound.pending().is_empty() {
            writer.blocked = true;
            self.blocked.push(id);
        } else if writer.finishing && writer.reader_ended {
            self.close(id);
        } else if writer.finishing {
            // The reader goes on until the other end has read all of it and closes its side too: closing while
            // something arrives would make the kernel throw away what the other end has not read yet.
            let _ = writer.stream.shutdown(Shutdown::Write);
        }
    }

    fn finish(&mut self, id: ConnectionId) {
        let Some(writer) = self.connections.get_mut(&id).filter(|writer| !writer.finishing) else { return };
        writer.finishing = true;
        self.finishing.push_back((self.clock.now() + GRACE, id));
        self.flush(id);
    }

    /// The reader has ended; the other end may still read what is waiting for it.
    fn forget(&mut self, id: ConnectionId) {
        if let Some(writer) = self.connections.get_mut(&id) {
            writer.reader_ended = true;
        }
        self.finish(id);
        self.flush(id);
    }

    fn close_all(&mut self) {
        self.stopping = true;
        let mut all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        all.sort_unstable();
        all.into_iter().for_each(|id| self.finish(id));
    }

    fn cut(&mut self, id: ConnectionId) {
        self.flush(id);
        self.close(id);
    }

    fn close_expired(&mut self) {
        let now = self.clock.now();
        while let Some(&(deadline, id)) = self.finishing.front()
            && deadline <= now
        {
            self.finishing.pop_front();
            self.close(id);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(writer) = self.connections.remove(&id) {
            // Fails only if the other end has closed it already.
            let _ = writer.stream.shutdown(Shutdown::Both);
        }
    }
}

/// The writing side of a connection.
struct Writer {
    stream: Arc<TcpStream>,
    outbound: Outbound,
    /// In the list of those to be written.
    dirty: bool,
    /// In the list of those whose sockets take no more for now.
    blocked: bool,
    /// To be closed when everything is written.
    finishing: bool,
    /// Nothing more is read.
    reader_ended: bool,
    _place: Place,
}

impl Writer {
    fn new(stream: Arc<TcpStream>, place: Place) -> Writer {
        Writer {
            stream,
            outbound: Outbound::new(),
            dirty: false,
            blocked: false,
            finishing: false,
            reader_ended: false,
            _place: place,
        }
    }

    /// Writes what is waiting, with one call; what the socket does not take stays.
    fn write(&mut self, now: Instant) -> rustix::io::Result<()> {
        self.outbound.seal(now);
        if self.outbound.pending().is_empty() {
            return Ok(());
        }
        loop {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&*self.stream, self.outbound.pending(), flags) {
                Ok(count) => {
                    self.outbound.written(count);
                    return Ok(());
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
