//! The server: sockets, disk and password checks around the server machine.
//!
//! # Theory of operation
//!
//! The way of one message: a connection's own task reads and decodes it (`connection`) and puts it into the
//! conference's mailbox, waiting if that is full; the task of the `conference` owns the machine and the log,
//! encodes each message that goes out once, and hands it with its list of connections to the `shard`s that own
//! them; a shard appends it to each connection's batch and writes every batch with one call that never waits.
//!
//! Nobody waits in a circle: readers wait for the conference, the conference for the shards, shards for nobody.
//! Password checks and the store answer into the mailbox without waiting.

mod accept;
mod conference;
mod connection;
mod password;
mod shard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_lite::future;
use smol::{Async, Task};
use toom_core::config::ServerConfig;
use toom_core::link::Identity;
use toom_core::secure::PublicKey;
use toom_core::server::activity::Activity;
use toom_store::server::{Opened, Tallies};
use toom_store::system::{faster_suite, raise_file_limit, tcp};

pub use toom_store::server::{Counters, ServerError};

use crate::clock::Clock;
use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use accept::Acceptor;
use conference::{Conference, Mail};
use password::Passwords;
use shard::Shards;

/// Threads that own connections: reading and writing them is most of the work of a busy conference.
const SHARDS: usize = 2;

/// Requests that may wait for the conference: a few milliseconds of its work.
const REQUESTS_WAITING: usize = 1_024;

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    key: PublicKey,
    posts: Posts<Mail>,
    tallies: Arc<Tallies>,
    accepting: Option<Task<()>>,
    conference: Option<JoinHandle<()>>,
    shards: Shards,
    shard_threads: Vec<JoinHandle<()>>,
}

/// Opens the data, reads the log, listens. `on_activity` is called from one thread, in order.
pub fn start(config: ServerConfig, on_activity: impl FnMut(Activity) + Send + 'static) -> Result<Server, ServerError> {
    let clock = Clock::start();
    let tallies = Arc::new(Tallies::default());
    let (posts, mailbox) = mailbox(REQUESTS_WAITING);
    let opened = Opened::open(&config, || clock.now())?;
    raise_file_limit();
    let (listener, address) = tcp::listen(config.listen).map_err(ServerError)?;
    let identity = Arc::new(Identity { secret: opened.key().clone(), best: faster_suite() });
    let key = identity.secret.public();
    let answers = posts.clone();
    let (machine, data) = opened.start(move |input| answers.post(Mail::Input(input)));

    let (shards, shard_threads) = Shards::start(SHARDS, clock, &tallies)?;
    // Should a thread be missing, dropping `server` ends those that have started.
    let mut server = Server {
        address,
        key,
        posts: posts.clone(),
        tallies: Arc::clone(&tallies),
        accepting: None,
        conference: None,
        shards: shards.clone(),
        shard_threads,
    };
    let passwords = Passwords::start(&posts)?;
    let conference = Conference::new(machine, clock, mailbox, shards.clone(), data, passwords, on_activity);
    server.conference = Some(spawn_thread("toom-conference", move || smol::block_on(conference.run()))?);
    let listener = Async::new(listener)?;
    let acceptor = Acceptor { listener, clock, identity, posts, shards: shards.clone(), tallies };
    server.accepting = Some(shards.run(acceptor.run()));
    Ok(server)
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// By which clients know it.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        self.tallies.counters()
    }

    /// Closes every connection, commits what is queued, and ends.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            future::block_on(accepting.cancel());
        }
        // The shards end after the conference, which has them close their connections.
        self.posts.post(Mail::Stop);
        self.conference.take().into_iter().for_each(join);
        future::block_on(self.shards.stop());
        self.shard_threads.drain(..).for_each(join);
    }
}
