//! The processes that take part: a server, and clients that speak JSON.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Process, Said};

/// Far beyond what anything takes; what is waited for longer is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The server that is attacked.
pub(super) struct ServerProcess {
    process: Process,
    /// Where it listens, and its key, as it says.
    pub(super) listening: Value,
    /// How many connections it has closed since there were too many that had not logged in, as it says.
    pub(super) made_room: Arc<AtomicU64>,
}

impl ServerProcess {
    /// Starts one on the accounts in `data`.
    pub(super) fn start(toom: &Path, runtime: &str, data: &Path) -> io::Result<ServerProcess> {
        let (send, first) = channel();
        let data = data.to_str().ok_or_else(|| io::Error::other("a plain path"))?;
        let mut args = vec!["--runtime", runtime, "server", "--json", "--listen", "127.0.0.1:0", "--data", data];
        // An attacker who is thrown out is to be seen to be gone, and to come again at once.
        args.extend(["--grace", "0s"]);
        let made_room = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made_room);
        let process = Process::start(toom, Path::new(data), &args, move |_, line| {
            if line.contains("too many such connections") {
                count.fetch_add(1, Relaxed);
            }
            // Only the first line is waited for.
            let _ = send.send(line);
        })?;
        let line = first.recv_timeout(PATIENCE).map_err(|_| io::Error::other("the server does not start"))?;
        Ok(ServerProcess { process, listening: serde_json::from_str(&line)?, made_room })
    }

    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Whether it is still there.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// What it wrote to standard error.
    pub(super) fn said(&self) -> &Said {
        &self.process.said
    }
}

/// A client, logged in.
pub(super) struct ClientProcess {
    process: Process,
    events: Receiver<(Instant, String)>,
    /// Where it receives datagrams.
    pub(super) udp_port: u16,
}

impl ClientProcess {
    /// Logs in as `name`, whose password is its name. `home` gets what it keeps.
    pub(super) fn start(
        toom: &Path,
        runtime: &str,
        home: &Path,
        server: &str,
        name: &str,
        more: &[&str],
    ) -> io::Result<ClientProcess> {
        let password = home.join("password");
        std::fs::write(&password, format!("{name}\n"))?;
        let password = password.to_str().ok_or_else(|| io::Error::other("a plain path"))?;
        let args = ["--runtime", runtime, "client", server, "--json", "--user", name, "--password-file", password];
        let (send, events) = channel();
        let heard = move |at, line| drop(send.send((at, line)));
        let process = Process::start(toom, home, &[&args, more].concat(), heard)?;
        let mut client = ClientProcess { process, events, udp_port: 0 };
        let (_, welcome) = client.find("welcome", |event| event["event"] == "welcome")?;
        client.udp_port = welcome["udp_port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or(0);
        Ok(client)
    }

    /// Types a line.
    pub(super) fn type_line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.process.stdin, "{line}")
    }

    /// The next event in which `find` finds what it looks for, and when it came.
    pub(super) fn find(&mut self, what: &str, find: impl Fn(&Value) -> bool) -> io::Result<(Instant, Value)> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let line = self.events.recv_timeout(give_up.saturating_duration_since(Instant::now()));
            let (at, line) = line.map_err(|error| match error {
                RecvTimeoutError::Timeout => io::Error::other(format!("waited for {what} in vain")),
                RecvTimeoutError::Disconnected => io::Error::other(format!("waited for {what}, but the client ended")),
            })?;
            let event: Value = serde_json::from_str(&line)?;
            if find(&event) {
                return Ok((at, event));
            }
            if event["event"] == "connection_lost" {
                return Err(io::Error::other(format!("waited for {what}, but: {line}")));
            }
        }
    }

    /// What it wrote to standard error.
    pub(super) fn said(&self) -> &Said {
        &self.process.said
    }
}
