//! The client.
//!
//! # Theory of operation
//!
//! ```text
//!  commands ──┐                      ┌──► events
//!  control ───┼─mailbox──► driver ───┼──► the server (control), written by the driver itself
//!  (reads)    │            (owns the └──► endpoint: files, by UDP
//!  endpoint ──┘             machine)
//!  (reports)
//! ```
//!
//! The thread that reads the server waits while the driver has too much to do; commands and reports never
//! wait. After the machine's last event, everything is closed.

mod control;
mod driver;

use std::thread::JoinHandle;

use toom_core::address::unspecified;
use toom_core::client as machine;
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::Input;
use toom_core::config::{ClientConfig, TransferConfig};
use toom_store::system::random_seed;

pub use toom_store::client::ClientError;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use driver::{Driver, Mail};

/// Messages of the server that may wait for the driver.
const MESSAGES_WAITING: usize = 256;

/// A running client; ends when dropped.
#[derive(Debug)]
pub struct Client {
    posts: Posts<Mail>,
    udp_port: u16,
    /// The driver's and the reader's.
    threads: Vec<JoinHandle<()>>,
}

/// Binds the UDP port and connects (blocking, at most some seconds). `on_event` is called from one thread, in
/// order; the last event is `Bye` or `ConnectionLost`.
pub fn start(config: ClientConfig, on_event: impl FnMut(Event) + Send + 'static) -> Result<Client, ClientError> {
    let clock = Clock::start();
    let (posts, mailbox) = mailbox(MESSAGES_WAITING)?;
    let (writer, reader) = control::connect(&config, clock)?;

    posts.post(Mail::Input(Input::Connected { server_key: reader.server_key() }));
    let reports = posts.clone();
    let on_report = move |report| reports.post(Mail::Input(Input::Report(report)));
    let udp = unspecified(reader.server(), config.udp_port);
    let (seed, public) = (random_seed()?, config.device.public());
    let endpoint = Endpoint::bind(udp, config.downloads, TransferConfig::default(), config.device, seed, on_report)
        .map_err(|error| ClientError::udp_port(config.udp_port, &error))?;
    let udp_port = endpoint.port();

    let mut client = Client { posts: posts.clone(), udp_port, threads: Vec::new() };
    let machine = machine::Client::new(config.accept, udp_port, public, config.seed);
    let driver = Driver::new(machine, clock, mailbox, writer, endpoint, on_event);
    // Should a thread be missing, dropping the driver closes the connection, and that ends the reader.
    client.threads.push(spawn_thread("toom-control", move || reader.run(&posts))?);
    client.threads.push(spawn_thread("toom-client", move || driver.run())?);
    Ok(client)
}

impl Client {
    /// Gives a command; never waits. After the last event it does nothing.
    pub fn command(&self, command: Command) {
        self.posts.post(Mail::Input(Input::Command(command)));
    }

    /// The UDP port really bound.
    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// Waits until the last event has been delivered and everything is closed.
    pub fn join(mut self) {
        self.threads.drain(..).for_each(join);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.posts.post(Mail::Stop);
        self.threads.drain(..).for_each(join);
    }
}
