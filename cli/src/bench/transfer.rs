//! `toom bench transfer`: a file from one process to another over UDP on this machine, from memory to memory.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs, io};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use toom_core::config::TransferConfig;
use toom_core::id::PeerIndex;
use toom_core::secure::PeerSecret;

use super::end::{Ended, Go, Ready, Setup};
use crate::args::{BenchTransferArgs, Global};
use crate::exit::{Exit, Failure, Outcome};
use crate::line::human;
use crate::{made_up, output, random, signals};

/// A directory in memory, on Linux: a disk would be measured otherwise.
const MEMORY: &str = "/dev/shm";

/// Measures, and prints one JSON object as the last line.
pub(crate) fn run(args: &BenchTransferArgs, global: &Global) -> Outcome {
    let place = tempfile::Builder::new();
    let dir = prefixed(place, Path::new(MEMORY)).or_else(|_| prefixed(tempfile::Builder::new(), &env::temp_dir()));
    let dir = dir.map_err(no_room)?;
    let path = dir.path().to_owned();
    signals::exit_after(move || drop(fs::remove_dir_all(&path)))?;
    let source = dir.path().join("source");
    let hash = made_up::write(&source, args.size, &random::bytes()?).map_err(no_room)?;
    let payload = args.payload.unwrap_or(TransferConfig::default().payload);

    if !global.quiet {
        output::note(&table_row(&HEADING));
    }
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        let run = one_run(args.size, payload, &source, dir.path(), hash, global)?;
        if !global.quiet {
            output::note(&run.row(number, args.size));
        }
        runs.push(run);
    }
    let result = result(&runs, args.size, payload, global.runtime.name());
    let _ = output::line(&result.to_string());
    match runs.iter().all(|run| run.verified) {
        true => Ok(Exit::Done),
        false => Err(Failure::failed("The file that arrived is not the file that was sent.")),
    }
}

/// What one run came to.
struct Run {
    seconds: f64,
    sender: Ended,
    receiver: Ended,
    verified: bool,
}

impl Run {
    fn goodput_bps(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.seconds.max(1e-9)
    }

    /// A row of the table, under [`HEADING`].
    fn row(&self, number: u32, bytes: u64) -> String {
        let cpu = |end: &Ended| format!("{:.2} s", end.cpu_s);
        let columns = [
            number.to_string(),
            format!("{:.2} s", self.seconds),
            human::rate(self.goodput_bps(bytes) as u64),
            cpu(&self.sender),
            cpu(&self.receiver),
            human::size(self.sender.peak_rss),
            human::size(self.receiver.peak_rss),
            self.sender.packets.to_string(),
            human::size(self.sender.retransmitted_bytes),
            if self.verified { "yes" } else { "NO" }.to_owned(),
        ];
        table_row(&columns)
    }
}

/// What the columns of the table mean: processor time and peak memory of both ends, and what was sent twice.
const HEADING: [&str; 10] =
    ["run", "time", "goodput", "cpu out", "cpu in", "memory out", "memory in", "packets", "sent again", "verified"];

fn table_row<T: AsRef<str>>(columns: &[T; 10]) -> String {
    const WIDTHS: [usize; 10] = [3, 8, 12, 8, 8, 10, 10, 9, 11, 8];
    let cells = columns.iter().zip(WIDTHS).map(|(text, width)| format!("{:>width$}", text.as_ref()));
    cells.collect::<Vec<_>>().join("  ")
}

fn one_run(
    bytes: u64,
    payload: usize,
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
        bytes,
        payload,
        local_index: PeerIndex(local),
        remote_index: PeerIndex(remote),
        secret: secret.clone(),
    };
    let (mut receiver, receiver_at) = End::start("receiver", &setup(None, 1, 2), global)?;
    let (mut sender, sender_at) = End::start("sender", &setup(Some(source), 2, 1), global)?;
    receiver.order(&Go { remote: sender_at.address, device: sender_at.device })?;
    sender.order(&Go { remote: receiver_at.address, device: receiver_at.device })?;
    let sent: Ended = sender.answer()?;
    let received: Ended = receiver.answer()?;
    for (end, ended) in [("sender", &sent), ("receiver", &received)] {
        if let Some(why) = &ended.failure {
            return Err(Failure::failed(format!("The transfer failed, says the {end}: {why}.")));
        }
    }
    sender.finish()?;
    receiver.finish()?;

    let arrived = downloads.join(received.saved_as.as_deref().unwrap_or_default());
    let on_disk = made_up::hash(&arrived).map_err(no_room)?;
    fs::remove_dir_all(&downloads).map_err(no_room)?;
    let began = sent.began_ns.min(received.began_ns);
    let ended = sent.ended_ns.max(received.ended_ns);
    Ok(Run {
        seconds: ended.saturating_sub(began) as f64 / 1e9,
        verified: on_disk == hash && received.blake3.as_deref() == Some(hash.to_hex().as_str()),
        sender: sent,
        receiver: received,
    })
}

fn result(runs: &[Run], bytes: u64, payload: usize, runtime: &str) -> Value {
    let whole = |figure: fn(&Run) -> u64| median(runs.iter().map(|run| figure(run) as f64).collect()).round() as u64;
    let exact = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    json!({
        "runtime": runtime,
        "bytes": bytes,
        "payload": payload,
        "goodput_bps": median(runs.iter().map(|run| run.goodput_bps(bytes)).collect()).round() as u64,
        "sender_cpu_s": exact(|run| run.sender.cpu_s),
        "receiver_cpu_s": exact(|run| run.receiver.cpu_s),
        "sender_peak_rss": whole(|run| run.sender.peak_rss),
        "receiver_peak_rss": whole(|run| run.receiver.peak_rss),
        "packets": whole(|run| run.sender.packets),
        "retransmitted_bytes": whole(|run| run.sender.retransmitted_bytes),
        "acks": whole(|run| run.receiver.acks),
        "verified": runs.iter().all(|run| run.verified),
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match (figures.len(), figures.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => figures[middle],
        (_, middle) => (figures[middle - 1] + figures[middle]) / 2.0,
    }
}

/// A child process that is one end of the transfer; killed if it is still there when dropped.
struct End {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl End {
    fn start(name: &'static str, setup: &Setup, global: &Global) -> Result<(End, Ready), Failure> {
        let failed = |error: io::Error| Failure::failed(format!("The {name} cannot be started: {error}."));
        let mut child = Command::new(env::current_exe().map_err(failed)?)
            .args(["--runtime", global.runtime.name(), "bench-transfer-end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let orders = child.stdin.take();
        let Some(answers) = child.stdout.take() else { return Err(failed(io::ErrorKind::BrokenPipe.into())) };
        let mut end = End { name, child, orders, answers: BufReader::new(answers) };
        end.order(setup)?;
        let ready = end.answer()?;
        Ok((end, ready))
    }

    fn order(&mut self, order: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(order).map_err(Failure::failed)?;
        let written = match &mut self.orders {
            Some(orders) => writeln!(orders, "{text}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| Failure::failed(format!("The {} is gone: {error}.", self.name)))
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line)
                .map_err(|error| Failure::failed(format!("The {} answered something unexpected: {error}.", self.name))),
            _ => Err(Failure::failed(format!("The {} ended before the transfer did.", self.name))),
        }
    }

    /// Lets it end by itself.
    fn finish(&mut self) -> Result<(), Failure> {
        self.orders = None;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::failed(format!("The {} ended with {status}.", self.name))),
            Err(error) => Err(Failure::failed(format!("The {} cannot be waited for: {error}.", self.name))),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prefixed(mut place: tempfile::Builder<'_, '_>, parent: &Path) -> io::Result<TempDir> {
    place.prefix("toom-bench-").tempdir_in(parent)
}

fn no_room(error: io::Error) -> Failure {
    Failure::failed(format!("The bench has no place for its files: {error}."))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
