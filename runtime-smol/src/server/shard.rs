//! A shard: one thread that owns connections. It runs the tasks that read them, and one flusher that writes
//! to them.
//!
//! The flusher never waits for a socket. It takes the orders that are there, appends each delivery to the
//! outboxes of its connections, then seals each outbox once and writes it with one call. What a socket does
//! not take stays in the outbox, and a small task waits until the socket takes more; so one slow reader
//! delays nobody. When its outbox is full it is cut off.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures_lite::future;
use smol::{Async, Executor, Task, Timer};
use toom_core::id::ConnectionId;
use toom_core::link::{Established, Outbound};
use toom_core::time::Instant;
use toom_store::server::{Place, Tallies};

use super::connection::Connection;
use crate::clock::Clock;
use crate::link::Buffer;
use crate::spawn_thread;

/// Orders that may wait for a flusher, before the conference waits too.
const MAX_ORDERS_WAITING: usize = 4_096;

/// Orders carried out before what they led to is written.
const BATCH: usize = 256;

/// How long a connection that is being closed may take to read what is waiting for it, and to close its side.
const GRACE: Duration = Duration::from_secs(2);

/// What a flusher is told to do.
#[derive(Debug)]
enum Order {
    /// Own this connection.
    Adopt(ConnectionId, Writer),
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
    /// The socket takes more.
    Writable(ConnectionId),
    /// [`GRACE`] is over.
    Expired(ConnectionId),
    /// Finish all, then end.
    Stop,
}

/// All shards; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shards(Arc<[Shard]>);

#[derive(Debug)]
struct Shard {
    orders: Sender<Order>,
    executor: Arc<Executor<'static>>,
    /// For all its readers.
    buffer: Buffer,
}

impl Shards {
    /// Starts `count` threads, one for each shard.
    pub(super) fn start(
        count: usize,
        clock: Clock,
        tallies: &Arc<Tallies>,
    ) -> io::Result<(Shards, Vec<JoinHandle<()>>)> {
        let started = (0..count).map(|number| Shard::start(number, clock, Arc::clone(tallies)));
        let (shards, threads): (Vec<_>, Vec<_>) = started.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        Ok((Shards(shards.into()), threads))
    }

    /// Runs another task in the first shard's thread.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> Task<()> {
        self.0[0].executor.spawn(task)
    }

    /// The buffer into which a connection is to be read.
    pub(super) fn buffer(&self, connection: ConnectionId) -> Buffer {
        self.0[self.index(connection)].buffer.clone()
    }

    /// Owns and reads a new connection.
    pub(super) async fn adopt(&self, connection: Connection, stream: Arc<Async<TcpStream>>, place: Place) {
        let id = connection.id;
        let shard = &self.0[self.index(id)];
        // Before anything is read, so that no reply comes before its connection.
        let writer = Writer::new(stream, place.clone());
        if shard.orders.send(Order::Adopt(id, writer)).await.is_err() {
            return;
        }
        let orders = shard.orders.clone();
        let task = async move {
            connection.read().await;
            drop(orders.send(Order::Forget(id)).await);
            drop(place);
        };
        shard.executor.spawn(task).detach();
    }

    /// Writes a part of a connection's handshake.
    pub(super) async fn write_handshake(&self, connection: ConnectionId, bytes: Vec<u8>) {
        self.order(self.index(connection), Order::Handshake(connection, bytes)).await;
    }

    /// Seals what is written to a connection from now on.
    pub(super) async fn establish(&self, connection: ConnectionId, established: Box<Established>) {
        self.order(self.index(connection), Order::Establish(connection, established)).await;
    }

    /// Hands one frame once to each shard that owns one of these connections; waits while a shard has too
    /// much to do.
    pub(super) async fn deliver(&self, to: Vec<ConnectionId>, frame: Bytes) {
        if let [connection] = to[..] {
            return self.order(self.index(connection), Order::Deliver(to, frame)).await;
        }
        let mut parts = vec![Vec::new(); self.0.len()];
        for connection in to {
            parts[self.index(connection)].push(connection);
        }
        for (index, part) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            self.order(index, Order::Deliver(part, frame.clone())).await;
        }
    }

    /// Closes a connection once what is waiting has been written.
    pub(super) async fn finish(&self, connection: ConnectionId) {
        self.order(self.index(connection), Order::Finish(connection)).await;
    }

    /// Closes a connection at once.
    pub(super) async fn cut(&self, connection: ConnectionId) {
        self.order(self.index(connection), Order::Cut(connection)).await;
    }

    /// Closes all connections so, and ends.
    pub(super) async fn stop(&self) {
        for index in 0..self.0.len() {
            self.order(index, Order::Stop).await;
        }
    }

    async fn order(&self, index: usize, order: Order) {
        // Fails only if the shard has ended.
        drop(self.0[index].orders.send(order).await);
    }

    fn index(&self, connection: ConnectionId) -> usize {
        (connection.0 % self.0.len() as u64) as usize
    }
}

impl Shard {
    fn start(number: usize, clock: Clock, tallies: Arc<Tallies>) -> io::Result<(Shard, JoinHandle<()>)> {
        let (orders, inbox) = async_channel::bounded(MAX_ORDERS_WAITING);
        let executor = Arc::new(Executor::new());
        let flusher = Flusher {
            clock,
            inbox,
            orders: orders.clone(),
            executor: Arc::clone(&executor),
            tallies,
            connections: HashMap::new(),
            dirty: Vec::new(),
            readers: 0,
            stopping: false,
        };
        let shard = Shard { orders, executor: Arc::clone(&executor), buffer: Buffer::new() };
        let body = move || smol::block_on(executor.run(flusher.run()));
        Ok((shard, spawn_thread(&format!("toom-shard-{number}"), body)?))
    }
}

/// The writing side of a connection.
#[derive(Debug)]
struct Writer {
    stream: Arc<Async<TcpStream>>,
    outbound: Outbound,
    /// In the list of those to be written.
    dirty: bool,
    /// A task waits until the socket takes more.
    blocked: bool,
    /// To be closed when everything is written.
    finishing: bool,
    /// Nothing more is read.
    reader_ended: bool,
    _place: Place,
}

impl Writer {
    fn new(stream: Arc<Async<TcpStream>>, place: Place) -> Writer {
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
    fn write(&mut self, now: Instant) -> io::Result<()> {
        self.outbound.seal(now);
        if self.outbound.pending().is_empty() {
            return Ok(());
        }
        loop {
            match self.stream.get_ref().write(self.outbound.pending()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.outbound.written(count);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The task that writes to the connections of a shard.
struct Flusher {
    clock: Clock,
    inbox: Receiver<Order>,
    orders: Sender<Order>,
    executor: Arc<Executor<'static>>,
    tallies: Arc<Tallies>,
    connections: HashMap<ConnectionId, Writer>,
    dirty: Vec<ConnectionId>,
    /// Tasks that read; this thread goes on until all have ended.
    readers: usize,
    stopping: bool,
}

impl Flusher {
    async fn run(mut self) {
        while !(self.stopping && self.connections.is_empty() && self.readers == 0) {
            let Ok(order) = self.inbox.recv().await else { break };
            self.carry_out(order);
            for _ in 1..BATCH {
                let Ok(order) = self.inbox.try_recv() else { break };
                self.carry_out(order);
            }
            for id in std::mem::take(&mut self.dirty) {
                self.flush(id);
            }
            // The tasks that read run in this thread too.
            future::yield_now().await;
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Adopt(id, writer) => {
                self.readers += 1;
                self.connections.insert(id, writer);
                if self.stopping {
                    self.finish(id);
                }
            }
            Order::Handshake(id, bytes) => self.write_handshake(id, &bytes),
            Order::Establish(id, established) => self.establish(id, *established),
            Order::Deliver(to, frame) => to.into_iter().for_each(|id| self.append(id, &frame)),
            Order::Finish(id) => self.finish(id),
            Order::Cut(id) => self.cut(id),
            Order::Forget(id) => {
                self.readers -= 1;
                self.forget(id);
            }
            Order::Writable(id) => {
                if let Some(writer) = self.connections.get_mut(&id) {
                    writer.blocked = false;
                    self.mark(id);
                }
            }
            Order::Expired(id) => self.close(id),
            Order::Stop => {
                self.stopping = true;
                for id in self.connections.keys().copied().collect::<Vec<_>>() {
                    self.finish(id);
                }
            }
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
            let (stream, orders) = (Arc::clone(&writer.stream), self.orders.clone());
            let task = async move {
                // An error shows when the flusher writes.
                drop(stream.writable().await);
                drop(orders.send(Order::Writable(id)).await);
            };
            self.executor.spawn(task).detach();
        } else if writer.finishing && writer.reader_ended {
            self.close(id);
        } else if writer.finishing {
            // The reader goes on until the other end has read all of it and closes its side too: closing while
            // something arrives would make the kernel throw away what the other end has not read yet.
            let _ = writer.stream.get_ref().shutdown(Shutdown::Write);
        }
    }

    fn finish(&mut self, id: ConnectionId) {
        let Some(writer) = self.connections.get_mut(&id).filter(|writer| !writer.finishing) else { return };
        writer.finishing = true;
        self.flush(id);
        if !self.connections.contains_key(&id) {
            return;
        }
        let orders = self.orders.clone();
        let task = async move {
            Timer::after(GRACE).await;
            drop(orders.send(Order::Expired(id)).await);
        };
        self.executor.spawn(task).detach();
    }

    /// The reader has ended; the other end may still read what is waiting for it.
    fn forget(&mut self, id: ConnectionId) {
        if let Some(writer) = self.connections.get_mut(&id) {
            writer.reader_ended = true;
        }
        self.finish(id);
        self.flush(id);
    }

    fn cut(&mut self, id: ConnectionId) {
        self.flush(id);
        self.close(id);
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(writer) = self.connections.remove(&id) {
            // Fails only if the other end has closed it already.
            let _ = writer.stream.get_ref().shutdown(Shutdown::Both);
        }
    }
}
