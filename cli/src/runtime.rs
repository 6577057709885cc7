//! The choice of a driver: the same calls, carried out by smol or by blocking threads.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::{Report, Start};
use toom_core::config::{ClientConfig, ServerConfig, TransferConfig};
use toom_core::id::OfferId;
use toom_core::secure::{PublicKey, SecretKey};
use toom_core::server::activity::Activity;
use toom_core::transfer::io::Counters;
use toom_store::client::ClientError;
use toom_store::files::ContentSource;

use crate::exit::Failure;

/// Which driver does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Runtime {
    /// The asynchronous one.
    Smol,
    /// Blocking threads.
    Std,
}

/// A running server.
pub(crate) enum Server {
    Smol(toom_smol::server::Server),
    Std(toom_std::server::Server),
}

/// A running client.
pub(crate) enum Client {
    Smol(toom_smol::client::Client),
    Std(toom_std::client::Client),
}

/// A running UDP endpoint.
pub(crate) enum Endpoint {
    Smol(toom_smol::endpoint::Endpoint),
    Std(toom_std::endpoint::Endpoint),
}

impl Runtime {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Smol => "smol",
            Runtime::Std => "std",
        }
    }

    /// Starts a server.
    pub(crate) fn serve(
        self,
        config: ServerConfig,
        on_activity: impl FnMut(Activity) + Send + 'static,
    ) -> Result<Server, Failure> {
        match self {
            Runtime::Smol => toom_smol::server::start(config, on_activity).map(Server::Smol).map_err(Failure::failed),
            Runtime::Std => toom_std::server::start(config, on_activity).map(Server::Std).map_err(Failure::failed),
        }
    }

    /// Connects a client.
    pub(crate) fn connect(
        self,
        config: ClientConfig,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Client, ClientError> {
        match self {
            Runtime::Smol => toom_smol::client::start(config, on_event).map(Client::Smol),
            Runtime::Std => toom_std::client::start(config, on_event).map(Client::Std),
        }
    }

    /// Binds a UDP endpoint.
    pub(crate) fn bind(
        self,
        address: SocketAddr,
        downloads: PathBuf,
        config: TransferConfig,
        device: SecretKey,
        seed: [u8; 32],
        on_report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Endpoint> {
        match self {
            Runtime::Smol => toom_smol::endpoint::Endpoint::bind(address, downloads, config, device, seed, on_report)
                .map(Endpoint::Smol),
            Runtime::Std => toom_std::endpoint::Endpoint::bind(address, downloads, config, device, seed, on_report)
                .map(Endpoint::Std),
        }
    }
}

impl Server {
    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Server::Smol(server) => server.address(),
            Server::Std(server) => server.address(),
        }
    }

    /// By which clients know it.
    pub(crate) fn key(&self) -> PublicKey {
        match self {
            Server::Smol(server) => server.key(),
            Server::Std(server) => server.key(),
        }
    }

    /// Closes every connection, commits what is queued, and ends.
    pub(crate) fn stop(self) {
        match self {
            Server::Smol(server) => server.stop(),
            Server::Std(server) => server.stop(),
        }
    }
}

impl Client {
    /// Gives a command; never waits.
    pub(crate) fn command(&self, command: Command) {
        match self {
            Client::Smol(client) => client.command(command),
            Client::Std(client) => client.command(command),
        }
    }

    /// Waits until the last event has been delivered and everything is closed.
    pub(crate) fn join(self) {
        match self {
            Client::Smol(client) => client.join(),
            Client::Std(client) => client.join(),
        }
    }
}

impl Endpoint {
    /// The port really bound.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Endpoint::Smol(endpoint) => endpoint.port(),
            Endpoint::Std(endpoint) => endpoint.port(),
        }
    }

    /// Starts a transfer; `source` for a sending one.
    pub(crate) fn start(&self, start: Start, source: Option<ContentSource>) {
        match self {
            Endpoint::Smol(endpoint) => endpoint.start(start, source),
            Endpoint::Std(endpoint) => endpoint.start(start, source),
        }
    }

    /// The counters of a transfer that is under way or has just ended.
    pub(crate) fn counters(&self, transfer: OfferId) -> Option<Counters> {
        match self {
            Endpoint::Smol(endpoint) => endpoint.counters(transfer),
            Endpoint::Std(endpoint) => endpoint.counters(transfer),
        }
    }

    /// Calls that sent and received datagrams, and read and wrote files, so far.
    pub(crate) fn system_calls(&self) -> u64 {
        match self {
            Endpoint::Smol(endpoint) => endpoint.system_calls(),
            Endpoint::Std(endpoint) => endpoint.system_calls(),
        }
    }

    /// Ends all transfers, telling the other ends, and the thread.
    pub(crate) fn stop(self) {
        match self {
            Endpoint::Smol(endpoint) => endpoint.stop(),
            Endpoint::Std(endpoint) => endpoint.stop(),
        }
    }
}
