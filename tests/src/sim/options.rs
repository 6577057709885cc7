//! What a simulated world is like.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use toom_core::time::Timestamp;

/// A whole world. What a kept description of a world does not say is calm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// From which everything random comes.
    pub seed: u64,
    /// The wall clock at the start.
    pub epoch: Timestamp,
    /// Each direction of each TCP connection.
    pub stream: StreamOptions,
    /// Each direction between two clients' UDP ports.
    pub link: LinkOptions,
    /// How long things take that are not the network.
    pub work: WorkOptions,
}

impl Options {
    /// A quiet local network.
    pub fn calm(seed: u64) -> Options {
        Options {
            seed,
            epoch: Timestamp::from_millis(1_654_063_200_000),
            stream: StreamOptions::default(),
            link: LinkOptions::default(),
            work: WorkOptions::default(),
        }
    }

    /// A bad day: long and changing delays, datagrams lost, reordered and duplicated, TCP in small pieces.
    pub fn rough(seed: u64) -> Options {
        let milliseconds = Duration::from_millis;
        Options {
            stream: StreamOptions {
                delay: milliseconds(30),
                jitter: milliseconds(60),
                largest_piece: 40,
                ..StreamOptions::default()
            },
            link: LinkOptions {
                delay: milliseconds(10),
                jitter: milliseconds(2),
                loss: 0.05,
                reorder: 0.05,
                reorder_by: milliseconds(8),
                duplicate: 0.05,
                ..LinkOptions::default()
            },
            ..Options::calm(seed)
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options::calm(0)
    }
}

/// One direction of a datagram link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkOptions {
    /// How long every datagram takes.
    pub delay: Duration,
    /// What it may take longer at most, by chance. Datagrams overtake each other.
    pub jitter: Duration,
    /// The probability that a datagram is lost by itself.
    pub loss: f64,
    /// Losses that come in bursts.
    pub bursts: Bursts,
    /// The probability that one bit of a datagram changes.
    pub bit_flip: f64,
    /// The probability that a datagram is cut short.
    pub truncation: f64,
    /// The probability that a datagram comes late by `reorder_by`, behind others.
    pub reorder: f64,
    /// How late.
    pub reorder_by: Duration,
    /// The probability that a datagram arrives twice.
    pub duplicate: f64,
    /// How fast bytes leave, in bytes a second.
    pub rate: u64,
    /// How long the queue in front of the link may be; what comes when it is longer is lost.
    pub queue: Duration,
    /// Larger datagrams are lost.
    pub largest: usize,
}

impl Default for LinkOptions {
    fn default() -> Self {
        LinkOptions {
            delay: Duration::from_micros(500),
            jitter: Duration::ZERO,
            loss: 0.0,
            bursts: Bursts::default(),
            bit_flip: 0.0,
            truncation: 0.0,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            duplicate: 0.0,
            rate: 125_000_000,
            queue: Duration::from_millis(20),
            largest: 1_472,
        }
    }
}

impl LinkOptions {
    /// The same delays and the same rate, and nothing goes wrong by chance.
    pub fn without_faults(self) -> LinkOptions {
        let LinkOptions { delay, jitter, rate, queue, largest, .. } = self;
        LinkOptions { delay, jitter, rate, queue, largest, ..LinkOptions::default() }
    }
}

/// Losses in bursts, as Gilbert and Elliott model them: a link is well or bad, which may change with every
/// datagram, and while it is bad it loses datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bursts {
    /// The probability that a link that is well becomes bad.
    pub enter: f64,
    /// The probability that a link that is bad becomes well.
    pub leave: f64,
    /// The probability that a datagram is lost while the link is bad.
    pub loss: f64,
}

/// One direction of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// How long every byte takes.
    pub delay: Duration,
    /// What a piece may take longer at most, by chance. Bytes never overtake each other.
    pub jitter: Duration,
    /// Writes are cut into pieces of one to so many bytes.
    pub largest_piece: usize,
    /// Bytes that may be under way; the writer waits for room.
    pub window: usize,
    /// A connection breaks if something waits longer than this for its acknowledgement.
    pub user_timeout: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            delay: Duration::from_micros(500),
            jitter: Duration::from_micros(200),
            largest_piece: 4_000,
            window: 256 * 1024,
            user_timeout: Duration::from_secs(60),
        }
    }
}

/// How long things take that are not the network: at most so long, by chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkOptions {
    /// A commit of the log.
    pub commit: Duration,
    /// A page of history.
    pub query: Duration,
    /// A password check.
    pub password: Duration,
    /// Reading, writing or renaming a file.
    pub file: Duration,
    /// The probability that what a node does is followed by a wake of its machines before anything is due.
    pub early_wakes: f64,
}

impl Default for WorkOptions {
    fn default() -> Self {
        WorkOptions {
            commit: Duration::from_millis(8),
            query: Duration::from_millis(2),
            password: Duration::from_millis(40),
            file: Duration::from_micros(100),
            early_wakes: 0.0,
        }
    }
}
