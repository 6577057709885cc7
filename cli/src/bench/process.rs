//! The process of one end of `bench transfer`, as its parent sees it.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::end::{Ready, Setup};
use crate::args::Global;
use crate::exit::Failure;

/// A child process that is one end of the transfer; killed if it is still there when dropped.
pub(super) struct End {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl End {
    /// Starts it, and makes it ready.
    pub(super) fn start(name: &'static str, setup: &Setup, global: &Global) -> Result<(End, Ready), Failure> {
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

    /// Gives it an order.
    pub(super) fn order(&mut self, order: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(order).map_err(Failure::failed)?;
        let written = match &mut self.orders {
            Some(orders) => writeln!(orders, "{text}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| Failure::failed(format!("The {} is gone: {error}.", self.name)))
    }

    /// Waits for its answer.
    pub(super) fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line)
                .map_err(|error| Failure::failed(format!("The {} answered something unexpected: {error}.", self.name))),
            _ => Err(Failure::failed(format!("The {} ended before the transfer did.", self.name))),
        }
    }

    /// Lets it end by itself.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
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
