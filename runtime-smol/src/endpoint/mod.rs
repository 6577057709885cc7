//! The UDP endpoint: one socket, one thread, all transfers of a client.
//!
//! # Theory of operation
//!
//! One task owns the transfer machine and the socket (`driver`). It receives many datagrams with one call
//! (GRO), opens each in place with the key of its index, and tells the machine; what the machine says is
//! carried out at once: bursts are built, sealed and sent with one call (GSO), ranges are read and written
//! where they are (`toom_store::files::Disk`). Only what takes long, hashing or naming a whole file, goes to another
//! thread (`worker`) and comes back as a command.

mod driver;
mod socket;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use smol::Async;
use toom_core::client::io::{Report, Start};
use toom_core::config::TransferConfig;
use toom_core::id::OfferId;
use toom_core::secure::SecretKey;
use toom_core::transfer::io::{Counters, Dropped};
use toom_core::transfer::{Counts, Transfers};
use toom_store::files::{ContentSource, Disk, Finished};
use toom_store::system::SystemCalls;
use toom_store::system::udp::Socket;

use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use driver::Driver;
use worker::Worker;

/// A running endpoint; its transfers end when it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    port: u16,
    posts: Posts<Command>,
    counted: Counted,
    /// Of the socket and of the files.
    calls: [SystemCalls; 2],
    thread: Option<JoinHandle<()>>,
}

/// What the endpoint's task is told.
#[derive(Debug)]
enum Command {
    Start(Start, Option<ContentSource>),
    Cancel(OfferId, bool),
    /// Slow work on a file is done.
    Finished(Finished),
    Stop,
}

impl Endpoint {
    /// Binds `address`, for the device with this key; received files go to `downloads`. `on_report` is called from the endpoint's thread.
    pub fn bind(
        address: SocketAddr,
        downloads: PathBuf,
        config: TransferConfig,
        device: SecretKey,
        seed: [u8; 32],
        on_report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Endpoint> {
        let socket = Async::new(Socket::bind(address)?)?;
        let port = socket.get_ref().port()?;
        // Nobody sends here, so there is nobody to wait: all commands are posted.
        let (posts, mailbox) = mailbox(1);
        let finished = posts.clone();
        let worker = Worker::new(move |work| finished.post(Command::Finished(work)));
        let disk = Disk::new(downloads, move |job| worker.work(job));
        let calls = [socket.get_ref().system_calls().clone(), disk.system_calls().clone()];
        let counted = Counted::default();
        let machine = Transfers::new(config, device, seed);
        let driver = Driver::new(machine, socket, mailbox, disk, counted.clone(), on_report);
        let thread = spawn_thread("toom-endpoint", move || smol::block_on(driver.run()))?;
        Ok(Endpoint { port, posts, counted, calls, thread: Some(thread) })
    }

    /// The port really bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts a transfer; `source` for a sending one.
    pub fn start(&self, start: Start, source: Option<ContentSource>) {
        self.posts.post(Command::Start(start, source));
    }

    /// Ends a transfer, which may go on later if what is there of it is kept.
    pub fn cancel(&self, transfer: OfferId, keep: bool) {
        self.posts.post(Command::Cancel(transfer, keep));
    }

    /// The counters of a transfer that is under way or has just ended, as of its latest report.
    pub fn counters(&self, transfer: OfferId) -> Option<Counters> {
        self.counted.with(|counts| counts.transfer(transfer))
    }

    /// Calls that sent and received datagrams, and read and wrote files, so far.
    pub fn system_calls(&self) -> u64 {
        self.calls.iter().map(SystemCalls::total).sum()
    }

    /// Datagrams that belonged to no transfer, so far.
    pub fn dropped(&self) -> Dropped {
        self.counted.with(|counts| counts.dropped())
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

/// What the driver has counted, where others can see it without waiting for the driver.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<Mutex<Counts>>);

impl Counted {
    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
