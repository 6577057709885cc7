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

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread::JoinHandle;

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

/// Threads that write: most of the work of a busy conference.
const SHARDS: usize = 2;

/// Requests that may wait for the conference: a few milliseconds of its work.
const REQUESTS_WAITING: usize = 1_024;

/// Why a server could not start, or stopped; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(pub String);

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    posts: Posts<Mail>,
    acceptor: Option<(Posts<accept::Stop>, JoinHandle<()>)>,
    conference: Option<JoinHandle<()>>,
    shards: Shards,
    writers: Vec<JoinHandle<()>>,
}

/// What every thread of the server counts.
#[derive(Debug, Default)]
struct Counters {
    /// Connections that are there now.
    open: AtomicUsize,
    /// Connections that were closed because there were too many.
    turned_away: AtomicU64,
    /// Connections that were closed because their other end broke the rules.
    violations: AtomicU64,
    /// Connections that were closed because their other end read too slowly.
    slow_readers: AtomicU64,
}

/// Opens the data, reads the log, listens. `on_activity` is called from one thread, in order.
pub fn start(config: ServerConfig, on_activity: impl FnMut(Activity) + Send + 'static) -> Result<Server, ServerError> {
    let clock = Clock::start();
    let counters = Arc::new(Counters::default());
    let (posts, mailbox) = mailbox(REQUESTS_WAITING)?;
    let mut log = Log::open(&config.data)?;
    let mut machine = new_machine(&config)?;
    let recovered = recover(&mut machine, &mut log, clock)?;
    let text_logs = TextLogs::start(&config.data)?;
    let completions = posts.clone();
    let log = log.start(move |completion| completions.post(mail(completion)));

    accept::raise_file_limit();
    let (listener, address) = accept::listen(config.listen)
        .map_err(|error| ServerError(format!("cannot listen on {}: {}", config.listen, in_words(&error))))?;
    let (shards, flushers) = Shards::new(SHARDS, clock, &counters)?;
    let mut server = Server {
        address,
        posts: posts.clone(),
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
    let mut conference = Conference {
        machine,
        clock,
        mailbox,
        shards: shards.clone(),
        orders: vec![Vec::new(); SHARDS],
        log,
        text_logs,
        passwords,
        on_activity,
        proposals: 0,
    };
    let conference = move || {
        for output in recovered {
            conference.keep(output);
        }
        conference.run();
    };
    server.conference = Some(spawn_thread("toom-conference", conference)?);
    let (stop, stopped) = crate::mailbox::mailbox(1)?;
    let acceptor = Acceptor { listener, stopped, clock, posts, shards, counters };
    server.acceptor = Some((stop, spawn_thread("toom-accept", move || acceptor.run())?));
    Ok(server)
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
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
