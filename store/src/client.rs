//! Why a client could not start: the same for every driver.

use std::io;

use crate::system::in_words;

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

impl ClientError {
    /// The UDP port could not be bound.
    pub fn udp_port(port: u16, error: &io::Error) -> ClientError {
        ClientError::Local(format!("cannot use UDP port {port}: {}", in_words(error)))
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Local(format!("the client cannot start: {}", in_words(&error)))
    }
}
