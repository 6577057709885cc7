//! The two runtimes behind one face.

use std::net::SocketAddr;

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::config::{ClientConfig, ServerConfig};
use toom_core::secure::PublicKey;
use toom_core::server::activity::Activity;

/// A driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Blocking threads.
    Std,
    /// `smol`.
    Smol,
}

/// What runs on which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtimes {
    /// The server.
    pub server: Runtime,
    /// Clients, in turn.
    pub clients: [Runtime; 2],
}

impl Runtimes {
    /// Everything on blocking threads.
    pub const STD: Runtimes = Runtimes { server: Runtime::Std, clients: [Runtime::Std, Runtime::Std] };
    /// Everything on `smol`.
    pub const SMOL: Runtimes = Runtimes { server: Runtime::Smol, clients: [Runtime::Smol, Runtime::Smol] };
    /// A server on blocking threads; every message and every file crosses from one runtime to the other.
    pub const MIXED_AROUND_STD: Runtimes = Runtimes { server: Runtime::Std, clients: [Runtime::Smol, Runtime::Std] };
    /// The same around a server on `smol`, with files the other way.
    pub const MIXED_AROUND_SMOL: Runtimes = Runtimes { server: Runtime::Smol, clients: [Runtime::Std, Runtime::Smol] };
}

/// A running server.
#[derive(Debug)]
pub(super) enum Server {
    Std(toom_std::server::Server),
    Smol(toom_smol::server::Server),
}

/// A running client.
#[derive(Debug)]
pub(super) enum Client {
    Std(toom_std::client::Client),
    Smol(toom_smol::client::Client),
}

impl Server {
    pub(super) fn start(
        runtime: Runtime,
        config: ServerConfig,
        on_activity: impl FnMut(Activity) + Send + 'static,
    ) -> Result<Server, String> {
        match runtime {
            Runtime::Std => toom_std::server::start(config, on_activity).map(Server::Std).map_err(|e| e.to_string()),
            Runtime::Smol => toom_smol::server::start(config, on_activity).map(Server::Smol).map_err(|e| e.to_string()),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Server::Std(server) => server.address(),
            Server::Smol(server) => server.address(),
        }
    }

    pub(super) fn key(&self) -> PublicKey {
        match self {
            Server::Std(server) => server.key(),
            Server::Smol(server) => server.key(),
        }
    }

    pub(super) fn stop(self) {
        match self {
            Server::Std(server) => server.stop(),
            Server::Smol(server) => server.stop(),
        }
    }
}

impl Client {
    pub(super) fn start(
        runtime: Runtime,
        config: ClientConfig,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Client, String> {
        match runtime {
            Runtime::Std => toom_std::client::start(config, on_event).map(Client::Std).map_err(|e| e.to_string()),
            Runtime::Smol => toom_smol::client::start(config, on_event).map(Client::Smol).map_err(|e| e.to_string()),
        }
    }

    pub(super) fn command(&self, command: Command) {
        match self {
            Client::Std(client) => client.command(command),
            Client::Smol(client) => client.command(command),
        }
    }

    pub(super) fn udp_port(&self) -> u16 {
        match self {
            Client::Std(client) => client.udp_port(),
            Client::Smol(client) => client.udp_port(),
        }
    }
}
