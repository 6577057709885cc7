//! The binary as a process, whose output is read.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Lines of standard error that are kept of a process.
const MAX_SAID: usize = 200;

/// The last lines that a process wrote to standard error, and whether one told of a panic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(Arc<Mutex<(VecDeque<String>, bool)>>);

impl Said {
    fn listen(&self, stderr: impl Read + Send + 'static) {
        let said = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = said.0.lock().unwrap_or_else(PoisonError::into_inner);
                said.1 |= line.contains("panicked");
                said.0.push_back(line);
                if said.0.len() > MAX_SAID {
                    said.0.pop_front();
                }
            }
        });
    }

    /// What it said last.
    pub(crate) fn last(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.0.iter().cloned().collect::<Vec<_>>().join(" / ")
    }

    /// What it said last, if it told of a panic.
    pub(crate) fn panic(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.1.then(|| said.0.iter().cloned().collect::<Vec<_>>().join(" / "))
    }
}

/// A process whose output is read.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) said: Said,
}

impl Process {
    /// Starts the binary with a home of its own; `heard` gets each line of its output, and when it came.
    pub(crate) fn start(
        toom: &Path,
        home: &Path,
        args: &[&str],
        mut heard: impl FnMut(Instant, String) + Send + 'static,
    ) -> io::Result<Process> {
        let mut command = Command::new(toom);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOOM_")) {
            command.env_remove(name);
        }
        command.env("XDG_DATA_HOME", home).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipe = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(pipe)?;
        let stdout = child.stdout.take().ok_or_else(pipe)?;
        let said = Said::default();
        said.listen(child.stderr.take().ok_or_else(pipe)?);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard(Instant::now(), line);
            }
        });
        Ok(Process { child, stdin, said })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
