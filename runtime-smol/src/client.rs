//! The client. To be written.
use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::config::ClientConfig;

/// Why a client could not start; one clear sentence.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server could not be reached (exit code 4).
    #[error("{0}")]
    Unreachable(String),
    /// Something here (exit code 1).
    #[error("{0}")]
    Local(String),
}

/// A running client; ends when dropped.
#[derive(Debug)]
pub struct Client(());

/// Binds the UDP port and connects (blocking, at most some seconds). `on_event` is called from one thread, in
/// order; the last event is `Bye` or `ConnectionLost`.
pub fn start(_config: ClientConfig, _on_event: impl FnMut(Event) + Send + 'static) -> Result<Client, ClientError> {
    Err(ClientError::Local("not built yet".into()))
}

impl Client {
    /// Gives a command; never waits. After the last event it does nothing.
    pub fn command(&self, _command: Command) {}
    /// The UDP port really bound.
    pub fn udp_port(&self) -> u16 {
        0
    }
    /// Waits until the last event has been delivered and everything is closed.
    pub fn join(self) {}
}
