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

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use toom_core::client::io::{Report, Start};
use toom_core::config::TransferConfig;
use toom_core::id::OfferId;
use toom_core::transfer::Transfers;
use toom_core::transfer::io::{Counters, Dropped};
use toom_store::files::Source;

use crate::clock::Clock;
use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use disk::Disk;
use driver::{Driver, Mail};
use socket::Socket;

/// Transfers whose counters are kept after they have ended.
const COUNTERS_KEPT: usize = 64;

/// A running endpoint; its transfers end when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    port: u16,
    posts: Posts<Mail>,
    counted: Arc<Counted>,
    thread: Option<JoinHandle<()>>,
}

/// What the driver has counted, for others to see.
#[derive(Debug, Default)]
struct Counted {
    transfers: Mutex<BTreeMap<OfferId, Counters>>,
    dropped: Mutex<Dropped>,
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
        // Never full: nobody sends who could wait.
        let (posts, mailbox) = mailbox(usize::MAX)?;
        let counted = Arc::new(Counted::default());
        let disk = Disk::start(downloads, posts.clone())?;
        let machine = Transfers::new(config, seed);
        let driver = Driver::new(machine, Clock::start(), socket, mailbox, disk, Arc::clone(&counted), on_report);
        let thread = spawn_thread("toom-endpoint", move || driver.run())?;
        Ok(Endpoint { port, posts, counted, thread: Some(thread) })
    }

    /// The port really bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts a transfer; `source` for a sending one.
    pub fn start(&self, start: Start, source: Option<Source>) {
        self.posts.post(Mail::Start(start, source));
    }

    /// Ends a transfer.
    pub fn cancel(&self, transfer: OfferId) {
        self.posts.post(Mail::Cancel(transfer));
    }

    /// The counters of a transfer that is under way or has just ended, as they were at its last report.
    pub fn counters(&self, transfer: OfferId) -> Option<Counters> {
        self.counted.transfers().get(&transfer).copied()
    }

    /// What arrived and never reached a transfer.
    pub fn dropped(&self) -> Dropped {
        *self.counted.dropped()
    }

    /// Ends all transfers, telling the other ends, and the thread.
    pub fn stop(self) {}
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.posts.post(Mail::Stop);
        self.thread.take().into_iter().for_each(join);
    }
}

impl Counted {
    fn transfers(&self) -> MutexGuard<'_, BTreeMap<OfferId, Counters>> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self) -> MutexGuard<'_, Dropped> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, transfer: OfferId, counters: Counters) {
        let mut transfers = self.transfers();
        transfers.insert(transfer, counters);
        if transfers.len() > COUNTERS_KEPT {
            transfers.pop_first();
        }
    }
}
