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

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use futures_lite::future;
use smol::Task;
use toom_core::config::ServerConfig;
use toom_core::machine::Machine;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::activity::Activity;
use toom_core::server::io::{Input, Output};
use toom_core::server::{self as machine, Settings};
use toom_store::log::{Completion, Log, OpenError};
use toom_store::text_log::TextLogs;
use toom_store::wall;

use crate::clock::Clock;
use crate::mailbox::{Posts, mailbox};
use crate::{in_words, join, random_seed, spawn_thread};
use accept::Acceptor;
use conference::{Conference, Mail};
use password::Passwords;
use shard::Shards;

/// Threads that own connections: reading and writing them is most of the work of a busy conference.
const SHARDS: usize = 2;

/// Requests that may wait for the conference: a few milliseconds of its work.
const REQUESTS_WAITING: usize = 1_024;

/// Why a server could not start, or stopped; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(pub String);

/// What the server has counted about its connections since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were refused because there were too many.
    pub refused: u64,
    /// Connections that broke the protocol, or fell silent in the middle of it.
    pub violations: u64,
    /// Connections that were cut off because they read too slowly.
    pub slow_readers: u64,
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    posts: Posts<Mail>,
    tallies: Arc<Tallies>,
    accepting: Option<Task<()>>,
    conference: Option<JoinHandle<()>>,
    shards: Shards,
    shard_threads: Vec<JoinHandle<()>>,
}

/// [`Counters`] while they are counted.
#[derive(Debug, Default)]
struct Tallies {
    accepted: AtomicU64,
    refused: AtomicU64,
    violations: AtomicU64,
    slow_readers: AtomicU64,
    /// Connections that are there now.
    open: AtomicUsize,
}

/// Opens the data, reads the log, listens. `on_activity` is called from one thread, in order.
pub fn start(config: ServerConfig, on_activity: impl FnMut(Activity) + Send + 'static) -> Result<Server, ServerError> {
    let clock = Clock::start();
    let tallies = Arc::new(Tallies::default());
    let (posts, mailbox) = mailbox(REQUESTS_WAITING);
    let mut log = Log::open(&config.data)?;
    let mut machine = new_machine(&config)?;
    let recovered = recover(&mut machine, &mut log, clock)?;
    let (listener, address) = accept::listen(config.listen)
        .map_err(|error| ServerError(format!("cannot listen on {}: {}", config.listen, in_words(&error))))?;
    let text_logs = TextLogs::start(&config.data)?;
    let completions = posts.clone();
    let log = log.start(move |completion| completions.post(mail(completion)));

    let (shards, shard_threads) = Shards::start(SHARDS, &tallies)?;
    // Should a thread be missing, dropping `server` ends those that have started.
    let mut server = Server {
        address,
        posts: posts.clone(),
        tallies: Arc::clone(&tallies),
        accepting: None,
        conference: None,
        shards: shards.clone(),
        shard_threads,
    };
    let passwords = Passwords::start(&posts)?;
    let mut conference =
        Conference::new(machine, clock, mailbox, shards.clone(), log, text_logs, passwords, on_activity);
    let conference = move || {
        for output in recovered {
            conference.keep(output);
        }
        smol::block_on(conference.run());
    };
    server.conference = Some(spawn_thread("toom-conference", conference)?);
    server.accepting = Some(shards.run(Acceptor { listener, clock, posts, shards: shards.clone(), tallies }.run()));
    Ok(server)
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has been counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            accepted: self.tallies.accepted.load(Relaxed),
            refused: self.tallies.refused.load(Relaxed),
            violations: self.tallies.violations.load(Relaxed),
            slow_readers: self.tallies.slow_readers.load(Relaxed),
        }
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

impl From<OpenError> for ServerError {
    fn from(error: OpenError) -> ServerError {
        ServerError(error.to_string())
    }
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> ServerError {
        ServerError(format!("the server cannot start: {}", in_words(&error)))
    }
}

fn new_machine(config: &ServerConfig) -> Result<machine::Server, ServerError> {
    let salt = random_seed()?.first_chunk().copied().unwrap_or_default();
    // Nobody knows this password: its hash is what names without an account are checked against.
    let password = Password(random_seed()?.map(|byte| format!("{byte:02x}")).concat());
    let decoy = PasswordHash::new(&password, salt, HashCost::Standard);
    let settings = Settings { attempts: config.attempts, block: config.block };
    Ok(machine::Server::new(settings, decoy, random_seed()?))
}

/// Gives the log's facts to the machine; what it wants to be kept because of them.
fn recover(machine: &mut machine::Server, log: &mut Log, clock: Clock) -> Result<Vec<Output>, OpenError> {
    let mut out = Vec::new();
    log.replay(|committed| {
        let input = Input::Recovered { committed: &committed, wall: wall::now() };
        machine.handle(clock.now(), input, &mut out);
    })?;
    Ok(out)
}

fn mail(completion: Completion) -> Mail {
    match completion {
        Completion::Committed(committed) => Mail::Input(Input::Committed { committed, wall: wall::now() }),
        Completion::ProposalFailed { ticket } => Mail::Input(Input::ProposalFailed { ticket }),
        Completion::Found { query, page } => Mail::Input(Input::Found { query, page }),
        Completion::StoppedWriting { reason } => Mail::StoppedWriting { reason },
    }
}
