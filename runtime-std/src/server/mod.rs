//! The server.
//!
//! # Theory of operation
//!
//! ```text
//!  accept ──► connection ──mailbox──► conference ──► shard ──► the sockets of its connections
//!             (one thread each)       (owns the       (owns their outboxes,
//!                                      machine)        one write for each batch)
//!                                      ▲  │
//!                         password, log┘  └► password, log, text logs
//! ```
//!
//! A connection's own thread reads and decodes, and waits while the conference has too much to do. A message
//! for many is encoded once by the conference, handed once to each shard, appended there to each connection's
//! outbox, and written with one call for each batch, which never waits.
//!
//! Nobody waits in a circle: readers wait for the conference, the conference for the shards, shards for nobody;
//! password checks and the log answer into the mailbox without waiting.

mod accept;
mod conference;
mod connection;
mod password;
mod shard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

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

/// Threads that write: most of the work of a busy conference.
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
    acceptor: Option<(Posts<accept::Stop>, JoinHandle<()>)>,
    conference: Option<JoinHandle<()>>,
    shards: Shards,
    writers: Vec<JoinHandle<()>>,
}

/// Opens the data, reads the log, listens. `on_activity` is called from one thread, in order.
pub fn start(config: ServerConfig, on_activity: impl FnMut(Activity) + Send + 'static) -> Result<Server, ServerError> {
    let clock = Clock::start();
    let tallies = Arc::new(Tallies::default());
    let (posts, mailbox) = mailbox(REQUESTS_WAITING)?;
    let opened = Opened::open(&config, || clock.now())?;
    raise_file_limit();
    let (listener, address) = tcp::listen(config.listen).map_err(ServerError)?;
    let identity = Arc::new(Identity { secret: opened.key().clone(), best: faster_suite() });
    let key = identity.secret.public();
    let answers = posts.clone();
    let (machine, data) = opened.start(move |input| answers.post(Mail::Input(input)));

    let (shards, flushers) = Shards::new(SHARDS, clock, &tallies)?;
    let mut server = Server {
        address,
        key,
        posts: posts.clone(),
        tallies: Arc::clone(&tallies),
        acceptor: None,
        conference: None,
        shards: shards.clone(),
        writers: Vec::new(),
    };
    // Should a thread be missing, dropping `server` ends those that have started.
    for (number, flusher) in flushers.into_iter().enumerate() {
        server.writers.push(spawn_thread(&format!("toom-shard-{number}"), move || flusher.run())?);
    }
    let passwords = Passwords::start(&posts)?;
    let conference = Conference::new(machine, clock, mailbox, shards.clone(), data, passwords, on_activity);
    server.conference = Some(spawn_thread("toom-conference", move || conference.run())?);
    let (stop, stopped) = crate::mailbox::mailbox(1)?;
    let acceptor = Acceptor { listener, stopped, clock, identity, posts, shards, tallies };
    server.acceptor = Some((stop, spawn_thread("toom-accept", move || acceptor.run())?));
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
        // The acceptor ends after the readers, which end when the conference has had the shards close their
        // connections.
        let acceptor = self.acceptor.take();
        match &acceptor {
            Some((stop, _)) => stop.post(accept::Stop),
            None => self.posts.post(Mail::AllClosed),
        }
        self.posts.post(Mail::Stop);
        self.conference.take().into_iter().for_each(join);
        acceptor.into_iter().for_each(|(_, thread)| join(thread));
        self.shards.stop();
        self.writers.drain(..).for_each(join);
    }
}
