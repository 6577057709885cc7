//! One end of `bench transfer`: a process of its own that talks to its parent in JSON lines, reading orders
//! from standard input and answering on standard output.

use std::io::{self, BufRead, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toom_core::client::io::{Destination, Progress, Report, Side, SourceId, Start};
use toom_core::config::{Congestion, TransferConfig};
use toom_core::id::{OfferId, PeerIndex};
use toom_core::name::UserName;
use toom_core::secure::{PeerAgreement, PeerSecret, PublicKey, SecretKey, Suite};
use toom_core::text::FileLabel;
use toom_store::files::Source;

use super::usage;
use crate::args::Global;
use crate::exit::{Exit, Failure, Outcome};
use crate::runtime::Endpoint;
use crate::{output, random};

/// The first order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The file to send; a receiver has none.
    pub(super) source: Option<PathBuf>,
    /// Where a receiver puts it.
    pub(super) downloads: PathBuf,
    /// Its size.
    pub(super) bytes: u64,
    /// The size of UDP payloads; without it, path MTU discovery decides.
    pub(super) payload: Option<usize>,
    /// Which congestion control.
    pub(super) congestion: Congestion,
    /// At most so many bytes a second.
    pub(super) limit: Option<u64>,
    /// What datagrams to this end carry.
    pub(super) local_index: PeerIndex,
    /// What datagrams to the other end carry.
    pub(super) remote_index: PeerIndex,
    /// Shared with the other end.
    pub(super) secret: PeerSecret,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Where this end receives.
    pub(super) address: SocketAddr,
    /// The key of its device, made for this run.
    pub(super) device: PublicKey,
}

/// The second order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go {
    /// Where the other end receives.
    pub(super) remote: SocketAddr,
    /// The key of its device.
    pub(super) device: PublicKey,
}

/// The answer to it, when the transfer has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// Why it failed, if it did.
    pub(super) failure: Option<String>,
    /// When it began, in nanoseconds of the machine's monotonic clock.
    pub(super) began_ns: u64,
    /// When it ended, on the same clock.
    pub(super) ended_ns: u64,
    /// Processor time in between, in seconds.
    pub(super) cpu_s: f64,
    /// The most memory that this process ever had.
    pub(super) peak_rss: u64,
    /// The size of the last packets of file.
    pub(super) payload: usize,
    /// Packets that left.
    pub(super) packets: u64,
    /// File bytes that were sent again.
    pub(super) retransmitted_bytes: u64,
    /// Acknowledgements that left.
    pub(super) acks: u64,
    /// System calls for datagrams and files.
    pub(super) system_calls: u64,
    /// The hash of the file, as this end says it.
    pub(super) blake3: Option<String>,
    /// The name that a receiver gave it.
    pub(super) saved_as: Option<String>,
}

/// Whether a transfer is over.
fn is_end(progress: &Progress) -> bool {
    matches!(progress, Progress::Done { .. } | Progress::Failed(_))
}

impl Ended {
    /// What it came to, now that it is over.
    fn of(progress: Progress, endpoint: &Endpoint, began: Duration, cpu_before: Duration) -> Ended {
        let (ended, cpu) = (usage::monotonic(), usage::cpu() - cpu_before);
        let counters = endpoint.counters(TRANSFER).unwrap_or_default();
        let (failure, blake3, saved_as) = match progress {
            Progress::Done { blake3, saved_as } => {
                (None, Some(blake3::Hash::from_bytes(blake3).to_hex().to_string()), saved_as)
            }
            Progress::Failed(why) => (Some(why.to_string()), None, None),
            _ => (Some("it has not ended".into()), None, None),
        };
        Ended {
            failure,
            began_ns: began.as_nanos() as u64,
            ended_ns: ended.as_nanos() as u64,
            cpu_s: cpu.as_secs_f64(),
            peak_rss: usage::peak_rss(),
            payload: counters.payload,
            packets: counters.packets_sent,
            retransmitted_bytes: counters.retransmitted_bytes,
            acks: counters.acks_sent,
            system_calls: endpoint.system_calls(),
            blake3,
            saved_as,
        }
    }
}

const TRANSFER: OfferId = OfferId(1);

enum Happening {
    Report(Report),
    ParentGone,
}

/// Obeys the parent's orders; ends when the parent closes standard input.
pub(crate) fn run(global: &Global) -> Outcome {
    let setup: Setup = order()?;
    let (happened, happenings) = mpsc::channel();
    let reported = happened.clone();
    let on_report = move |report| drop(reported.send(Happening::Report(report)));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = TransferConfig { payload: setup.payload, congestion: setup.congestion, limit: setup.limit };
    let device = SecretKey::new(random::bytes()?);
    let public = device.public();
    let endpoint = global
        .runtime
        .bind(address, setup.downloads.clone(), config, device, random::bytes()?, on_report)
        .map_err(|error| Failure::failed(format!("No UDP port can be used: {error}.")))?;
    let source = match &setup.source {
        Some(path) => {
            Some(Source::open(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?.0.into())
        }
        None => None,
    };
    answer(&Ready { address: SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port())), device: public })?;

    let go: Go = order()?;
    let start = start(setup, &go)?;
    let (began, cpu_before) = (usage::monotonic(), usage::cpu());
    endpoint.start(start, source);
    thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = happened.send(Happening::ParentGone);
    });
    let mut said = false;
    for happening in &happenings {
        match happening {
            Happening::ParentGone => break,
            Happening::Report(report) if !said && is_end(&report.progress) => {
                said = true;
                answer(&Ended::of(report.progress, &endpoint, began, cpu_before))?;
            }
            Happening::Report(_) => {}
        }
    }
    // Until then this end goes on answering, since the other end may not have heard everything yet.
    endpoint.stop();
    Ok(Exit::Done)
}

fn start(setup: Setup, go: &Go) -> Result<Start, Failure> {
    let side = match setup.source {
        Some(_) => Side::Send { source: SourceId(1) },
        None => Side::Receive {
            from: UserName::new("bench").map_err(Failure::failed)?,
            label: FileLabel::new("file"),
            into: Destination::File,
        },
    };
    Ok(Start {
        listing: None,
        transfer: TRANSFER,
        remote: go.remote,
        local_index: setup.local_index,
        remote_index: setup.remote_index,
        agreement: PeerAgreement { remote: go.device, shared: setup.secret, context: [0; 32], suite: Suite::AesGcm },
        bytes: Some(setup.bytes),
        side,
    })
}

fn order<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| Failure::failed(format!("No order came: {error}.")))?;
    serde_json::from_str(&line).map_err(|error| Failure::usage(format!("This is no order of `bench`: {error}.")))
}

fn answer(answer: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(answer).map_err(Failure::failed)?;
    output::line(&text).map_err(|error| Failure::failed(format!("Nobody reads the answers: {error}.")))
}
