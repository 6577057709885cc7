//! What a driver is told at its start; the same for every driver.

use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::client::io::AcceptPolicy;
use crate::secure::{PublicKey, SecretKey};
use crate::server::PostRates;

/// A server's settings.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to accept connections; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Holds everything of the server; made if missing.
    pub data: PathBuf,
    /// How many consecutive failed logins block a user, within `limits::ATTEMPTS`.
    pub attempts: u32,
    /// For how long.
    pub block: Duration,
    /// How much one user may post.
    pub post_rates: PostRates,
    /// For how long messages are kept; for ever without.
    pub keep: Option<Duration>,
    /// How long a session whose connection was lost stays active; with zero it ends with its connection.
    pub grace: Duration,
}

/// A client's settings.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `HOST:PORT`.
    pub server: String,
    /// The local UDP port; 0 takes any free one.
    pub udp_port: u16,
    /// Where received files are put; must exist when the first one comes.
    pub downloads: PathBuf,
    /// What to do with offers.
    pub accept: AcceptPolicy,
    /// The key of this device.
    pub device: SecretKey,
    /// The server's key; without one, connecting ends as soon as it is known.
    pub server_key: Option<PublicKey>,
    /// The file with what is known of the keys of people; without one it is known for the session only.
    pub known_people: Option<PathBuf>,
    /// Random bytes, never used twice.
    pub seed: [u8; 32],
    /// Whether to come back when the connection is lost after the login.
    pub reconnect: bool,
    /// Of the files that it sends and receives.
    pub transfers: TransferConfig,
}

/// How a transfer is packed; a machine's own settings, the same for both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferConfig {
    /// The size of UDP payloads, header and tag included, in bytes: at least [`TransferConfig::MIN_PAYLOAD`], at most
    /// [`TransferConfig::MAX_PAYLOAD`]. Without it, path MTU discovery decides (RFC 8899).
    pub payload: Option<usize>,
    /// Which congestion control.
    pub congestion: Congestion,
    /// At most so many bytes a second leave, headers of packets included, in each transfer.
    pub limit: Option<u64>,
}

/// How a sender finds out how much a path carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Congestion {
    /// By a model of the path: its rate and its shortest round trip (BBR, draft-ietf-ccwg-bbr). What is lost at random
    /// does not slow it down.
    #[default]
    Bbr,
    /// By its losses (CUBIC, RFC 9438).
    Cubic,
}

impl TransferConfig {
    /// What every path must carry (RFC 9000, section 14).
    pub const MIN_PAYLOAD: usize = 1_200;
    /// Somewhat under what a UDP datagram over IPv4 can hold.
    pub const MAX_PAYLOAD: usize = 65_000;
}
