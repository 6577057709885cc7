//! Why a client could not start: the same for every driver.

use std::io;

use toom_core::client::io::{Input, disconnect_reason};
use toom_core::link::Violation;
use toom_core::secure::PublicKey;

use crate::known_people::KnownPeopleError;
use crate::system::in_words;

/// Why a client could not start; one clear sentence.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server could not be reached (exit code 4).
    #[error("{0}")]
    Unreachable(String),
    /// The server's key is not known yet: somebody must say whether to trust it.
    #[error("the server's key is not known: {0}")]
    UnknownKey(PublicKey),
    /// The server's key is another one than expected (exit code 8).
    #[error("the server's key has changed: it is {presented}, but {expected} was expected")]
    ChangedKey {
        /// What was expected.
        expected: PublicKey,
        /// What the server has.
        presented: PublicKey,
    },
    /// Something here (exit code 1).
    #[error("{0}")]
    Local(String),
}

impl ClientError {
    /// The handshake with the server came to nothing.
    pub fn handshake(why: Option<Violation>) -> ClientError {
        match why {
            Some(Violation::UnknownKey(key)) => ClientError::UnknownKey(key),
            Some(Violation::ChangedKey { expected, presented }) => ClientError::ChangedKey { expected, presented },
            why => ClientError::Unreachable(disconnect_reason(why)),
        }
    }

    /// What the machine is told of a connection that could not be made again.
    pub fn not_connected(&self) -> Input {
        let server_key_changed = matches!(self, ClientError::ChangedKey { .. });
        Input::NotConnected { reason: self.to_string(), server_key_changed }
    }

    /// Writing to the server failed.
    pub fn broken(error: &io::Error) -> ClientError {
        ClientError::Unreachable(format!("the connection to the server broke: {}", in_words(error)))
    }

    /// The UDP port could not be bound.
    pub fn udp_port(port: u16, error: &io::Error) -> ClientError {
        ClientError::Local(format!("cannot use UDP port {port}: {}", in_words(error)))
    }
}

impl From<KnownPeopleError> for ClientError {
    fn from(error: KnownPeopleError) -> ClientError {
        ClientError::Local(error.to_string())
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Local(format!("the client cannot start: {}", in_words(&error)))
    }
}
