//! The UDP endpoint: one socket, one thread, all transfers of a client. To be written.
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use toom_core::client::io::{Report, Start};
use toom_core::config::TransferConfig;
use toom_core::id::OfferId;
use toom_core::transfer::io::Counters;
use toom_store::files::Source;

/// A running endpoint; its transfers end when it is dropped.
#[derive(Debug)]
pub struct Endpoint(());

impl Endpoint {
    /// Binds `address`; received files go to `downloads`. `on_report` is called from the endpoint's thread.
    pub fn bind(
        _address: SocketAddr,
        _downloads: PathBuf,
        _config: TransferConfig,
        _seed: [u8; 32],
        _on_report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Endpoint> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The port really bound.
    pub fn port(&self) -> u16 {
        0
    }
    /// Starts a transfer; `source` for a sending one.
    pub fn start(&self, _start: Start, _source: Option<Source>) {}
    /// Ends a transfer.
    pub fn cancel(&self, _transfer: OfferId) {}
    /// The counters of a transfer that is under way or has just ended.
    pub fn counters(&self, _transfer: OfferId) -> Option<Counters> {
        None
    }
    /// Ends all transfers, telling the other ends, and the thread.
    pub fn stop(self) {}
}
