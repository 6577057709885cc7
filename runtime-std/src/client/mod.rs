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
//! wait. A connection that is lost is made again in a thread of its own when the machine wants it, with a new reader;
//! the endpoint stays. After the machine's last event, everything is closed.

mod connection;
mod control;
mod driver;

use std::thread::JoinHandle;

use toom_core::address::unspecified;
use toom_core::client as machine;
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::Input;
use toom_core::config::ClientConfig;
use toom_store::known_people::KnownPeople;
use toom_store::system::random_seed;

pub use toom_store::client::ClientError;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::mailbox::{Posts, mailbox};
use crate::{join, spawn_thread};
use connection::Connection;
use control::Ends;
use driver::{Driver, Mail};

/// Messages of the server that may wait for the driver.
const MESSAGES_WAITING: usize = 256;

/// A running client; ends when dropped.
#[derive(Debug)]
pub struct Client {
    posts: Posts<Mail>,
    udp_port: u16,
    thread: Option<JoinHandle<()>>,
}

/// Binds the UDP port and connects (blocking, at most some seconds). `on_event` is called from one thread, in
/// order; the last event is `Bye` or `ConnectionLost`.
pub fn start(config: ClientConfig, on_event: impl FnMut(Event) + Send + 'static) -> Result<Client, ClientError> {
    let clock = Clock::start();
    let (posts, mailbox) = mailbox(MESSAGES_WAITING)?;
    let ends = Ends::of(&config);
    let made = control::connect(&ends, clock)?;

    let (server, server_key) = (made.1.server(), made.1.server_key());
    let (known_people, people) = KnownPeople::read(config.known_people, server_key)?;
    posts.post(Mail::Input(Input::Connected { server_key, people }));
    let reports = posts.clone();
    let on_report = move |report| reports.post(Mail::Input(Input::Report(report)));
    let udp = unspecified(server, config.udp_port);
    let (seed, device) = (random_seed()?, config.device.clone());
    let endpoint = Endpoint::bind(udp, config.downloads, config.transfers, config.device, seed, on_report)
        .map_err(|error| ClientError::udp_port(config.udp_port, &error))?;
    let udp_port = endpoint.port();

    let machine = machine::Client::new(config.accept, udp_port, device, config.seed, config.reconnect);
    let mut connection = Connection::new(ends, clock, posts.clone());
    // Should a thread be missing, dropping the connection closes it, and that ends the reader.
    connection.open(made)?;
    let driver = Driver::new(machine, clock, mailbox, connection, endpoint, known_people, on_event);
    let thread = Some(spawn_thread("toom-client", move || driver.run())?);
    Ok(Client { posts, udp_port, thread })
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
        self.thread.take().into_iter().for_each(join);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.posts.post(Mail::Stop);
        self.thread.take().into_iter().for_each(join);
    }
}
