//! The UDP endpoint: one socket, one thread, all transfers of a client.
//!
//! # Theory of operation
//!
//! ```text
//!  commands ──mailbox──► driver ◄──► socket (bursts of datagrams, both ways)
//!  disk     ──┘       (owns the
//!                      machine)  ──► disk (reads and writes at once, slow work in a thread of its own)
//! ```
//!
//! The driver waits for its socket, its mailbox and the machine's deadline at the same time. It opens what
//! arrives in place, and builds and seals what leaves in one buffer. Bytes go from the socket to the file and
//! back without a queue between them.

mod disk;
mod driver;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use toom_core::client::io::{Report, Start};
use toom_core::config::TransferConfig;
use toom_core::id::OfferId;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Counters, Dropped};
use toom_store::files::Source;

use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use disk::{Disk, Finished};
use driver::Driver;
use socket::Socket;

/// A running endpoint; its transfers end when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    port: u16,
    posts: Posts<Command>,
    counted: Counted,
    thread: Option<JoinHandle<()>>,
}

/// What the endpoint's thread is told.
#[derive(Debug)]
enum Command {
    Start(Start, Option<Source>),
    Cancel(OfferId),
    /// Slow work on a file is done.
    Finished(Finished),
    Stop,
}

impl Endpoint {
    /// Binds `address`; received files go to `downloads`. `on_report` is called from the endpoint's thread.
    pub fn bind(
        address: SocketAddr,
        downloads: PathBuf,
        config: TransferConfig,
        seed: [u8; 32],
        on_report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Endpoint> {
        let socket = Socket::bind(address)?;
        let port = socket.port()?;
        // Nobody sends here, so there is nobody to wait: all commands are posted.
        let (posts, mailbox) = mailbox(1)?;
        let finished = posts.clone();
        let disk = Disk::start(downloads, move |work| finished.post(Command::Finished(work)))?;
        let counted = Counted::default();
        let machine = Transfers::new(config, seed);
        let driver = Driver::new(machine, socket, mailbox, disk, counted.clone(), on_report);
        let thread = spawn_thread("toom-endpoint", move || driver.run())?;
        Ok(Endpoint { port, posts, counted, thread: Some(thread) })
    }

    /// The port really bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts a transfer; `source` for a sending one.
    pub fn start(&self, start: Start, source: Option<Source>) {
        self.posts.post(Command::Start(start, source));
    }

    /// Ends a transfer.
    pub fn cancel(&self, transfer: OfferId) {
        self.posts.post(Command::Cancel(transfer));
    }

    /// The counters of a transfer that is under way or has just ended, as of its latest report.
    pub fn counters(&self, transfer: OfferId) -> Option<Counters> {
        self.counted.with(|counts| counts.transfers.get(&transfer).copied())
    }

    /// Datagrams that belonged to no transfer, so far.
    pub fn dropped(&self) -> Dropped {
        self.counted.with(|counts| counts.dropped)
    }

    /// Ends all transfers, telling the other ends, and the thread.
    pub fn stop(self) {}
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.posts.post(Command::Stop);
        self.thread.take().into_iter().for_each(join);
    }
}

/// Transfers that have ended and whose counters can still be asked for.
const MAX_ENDED: usize = 64;

/// What the driver has counted, where others can see it without waiting for the driver.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    transfers: BTreeMap<OfferId, Counters>,
    /// The oldest first.
    ended: VecDeque<OfferId>,
    dropped: Dropped,
}

impl Counted {
    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn update(&self, transfer: OfferId, counters: Option<Counters>) {
        if let Some(counters) = counters {
            self.with(|counts| counts.transfers.insert(transfer, counters));
        }
    }

    fn ended(&self, transfer: OfferId) {
        self.with(|counts| {
            counts.ended.push_back(transfer);
            if counts.ended.len() > MAX_ENDED
                && let Some(oldest) = counts.ended.pop_front()
            {
                counts.transfers.remove(&oldest);
            }
        });
    }
}
