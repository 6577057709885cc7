//! The server. To be written.
use std::net::SocketAddr;
use toom_core::config::ServerConfig;
use toom_core::server::activity::Activity;

/// Why a server could not start, or stopped; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(pub String);

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server(());

/// Opens the data, reads the log, listens. `on_activity` is called from one thread, in order.
pub fn start(
    _config: ServerConfig,
    _on_activity: impl FnMut(Activity) + Send + 'static,
) -> Result<Server, ServerError> {
    Err(ServerError("not built yet".into()))
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
    /// Closes every connection, commits what is queued, and ends.
    pub fn stop(self) {}
}
