//! `toom bench transfer`: a file from one process to another over UDP on this machine, from memory to memory.

use std::path::Path;
use std::{env, fs, io};

use tempfile::TempDir;
use toom_core::id::PeerIndex;
use toom_core::secure::PeerSecret;

use super::end::{Ended, Go, Setup};
use super::figures::{Run, Subject};
use super::lane::{Counts, LinkOptions};
use super::link::Link;
use super::process::End;
use crate::args::{BenchTransferArgs, Global};
use crate::exit::{Exit, Failure, Outcome};
use crate::{made_up, output, random, signals};

/// A directory in memory, on Linux: a disk would be measured otherwise.
const MEMORY: &str = "/dev/shm";

/// Of its rate, so many seconds are what a link carries in a run of which nobody said how long it should be.
const LINK_SECONDS: u64 = 10;

/// Measures, and prints one JSON object as the last line.
pub(crate) fn run(args: &BenchTransferArgs, global: &Global) -> Outcome {
    let place = tempfile::Builder::new();
    let dir = prefixed(place, Path::new(MEMORY)).or_else(|_| prefixed(tempfile::Builder::new(), &env::temp_dir()));
    let dir = dir.map_err(no_room)?;
    let path = dir.path().to_owned();
    signals::exit_after(move || drop(fs::remove_dir_all(&path)))?;
    let source = dir.path().join("source");
    let link = link_of(args);
    let bytes = args.size.unwrap_or_else(|| default_bytes(link, args.limit));
    let hash = made_up::write(&source, bytes, &random::bytes()?).map_err(no_room)?;
    let subject = Subject {
        runtime: global.runtime.name(),
        bytes,
        payload: args.payload,
        congestion: args.congestion.into(),
        limit: args.limit,
        link,
    };

    if !global.quiet {
        output::note(&subject.heading());
    }
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        let run = one_run(&subject, number, &source, dir.path(), hash, global)?;
        if !global.quiet {
            output::note(&subject.row(number, &run));
        }
        runs.push(run);
    }
    let result = subject.result(&runs);
    let _ = output::line(&result.to_string());
    match runs.iter().all(|run| run.verified) {
        true => Ok(Exit::Done),
        false => Err(Failure::failed("The file that arrived is not the file that was sent.")),
    }
}

/// The link between the ends, if one was asked for.
fn link_of(args: &BenchTransferArgs) -> Option<LinkOptions> {
    let is_asked_for = args.rate.is_some() || args.delay.is_some() || args.loss.is_some();
    is_asked_for.then(|| LinkOptions {
        rate: args.rate,
        loss_percent: args.loss.unwrap_or_default(),
        delay: args.delay.unwrap_or_default(),
        // Like Ethernet under IPv4, unless larger ones were asked for.
        largest: args.payload.unwrap_or_default().max(1_472),
        seed: args.seed,
    })
}

/// What is moved if nobody says how much: three runs end within a minute.
fn default_bytes(link: Option<LinkOptions>, limit: Option<u64>) -> u64 {
    const WITHOUT_LINK: u64 = 1 << 30;
    const WITHOUT_RATE: u64 = 64 << 20;
    let most = if link.is_none() { WITHOUT_LINK } else { WITHOUT_RATE };
    match link.and_then(|link| link.rate).into_iter().chain(limit).min() {
        None => most,
        Some(rate) => (rate.saturating_mul(LINK_SECONDS) / 8).min(WITHOUT_LINK),
    }
}

fn one_run(
    subject: &Subject,
    number: u32,
    source: &Path,
    dir: &Path,
    hash: blake3::Hash,
    global: &Global,
) -> Result<Run, Failure> {
    let secret = PeerSecret(random::bytes()?);
    let downloads = dir.join("downloads");
    fs::create_dir_all(&downloads).map_err(no_room)?;
    let setup = |source: Option<&Path>, local, remote| Setup {
        source: source.map(Path::to_owned),
        downloads: downloads.clone(),
        bytes: subject.bytes,
        payload: subject.payload,
        congestion: subject.congestion,
        limit: subject.limit.map(|bits| bits / 8),
        local_index: PeerIndex(local),
        remote_index: PeerIndex(remote),
        secret: secret.clone(),
    };
    let (mut receiver, receiver_at) = End::start("receiver", &setup(None, 1, 2), global)?;
    let (mut sender, sender_at) = End::start("sender", &setup(Some(source), 2, 1), global)?;
    let link = match subject.link {
        Some(options) => Some(
            Link::start(options, number, sender_at.address, receiver_at.address)
                .map_err(|error| Failure::failed(format!("The link between the ends cannot be made: {error}.")))?,
        ),
        None => None,
    };
    let (for_sender, for_receiver) =
        link.as_ref().map_or((receiver_at.address, sender_at.address), |link| (link.for_sender, link.for_receiver));
    receiver.order(&Go { remote: for_receiver, device: sender_at.device })?;
    sender.order(&Go { remote: for_sender, device: receiver_at.device })?;
    let sent: Ended = sender.answer()?;
    let received: Ended = receiver.answer()?;
    for (end, ended) in [("sender", &sent), ("receiver", &received)] {
        if let Some(why) = &ended.failure {
            return Err(Failure::failed(format!("The transfer failed, says the {end}: {why}.")));
        }
    }
    sender.finish()?;
    receiver.finish()?;
    let link = link.map_or(Counts::default(), Link::stop);

    let arrived = downloads.join(received.saved_as.as_deref().unwrap_or_default());
    let on_disk = made_up::hash(&arrived).map_err(no_room)?;
    fs::remove_dir_all(&downloads).map_err(no_room)?;
    let began = sent.began_ns.min(received.began_ns);
    Ok(Run {
        // Until the file is there, verified: the sender hears of it half a round trip later.
        seconds: received.ended_ns.saturating_sub(began) as f64 / 1e9,
        verified: on_disk == hash && received.blake3.as_deref() == Some(hash.to_hex().as_str()),
        sender: sent,
        receiver: received,
        link,
    })
}

fn prefixed(mut place: tempfile::Builder<'_, '_>, parent: &Path) -> io::Result<TempDir> {
    place.prefix("toom-bench-").tempdir_in(parent)
}

fn no_room(error: io::Error) -> Failure {
    Failure::failed(format!("The bench has no place for its files: {error}."))
}
