//! A server's data, opened and read into the machine, and what a server counts: the same for every driver.

mod counters;
mod data;

use std::io;

use crate::log::OpenError;
use crate::system::in_words;

pub use counters::{Counters, Place, Tallies};
pub(crate) use data::KEY_FILE;
pub use data::{Data, Opened};

/// Why a server could not start, or stopped; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(pub String);

impl From<OpenError> for ServerError {
    fn from(error: OpenError) -> ServerError {
        ServerError(error.to_string())
    }
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> ServerError {
        ServerError(format!("the server cannot start: {}", in_words(&error)))
    }
}
