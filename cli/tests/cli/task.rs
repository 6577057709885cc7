//! A process that carries out one command, and ends.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Output};

use crate::run::{Server, Watch, run, signal, toom};

/// One that runs. It is killed if it does not end, so that nobody waits for ever for what it reads or writes.
pub(crate) struct Task {
    child: Child,
    watch: Watch,
}

impl Task {
    /// Carries out `command` as `name`.
    pub(crate) fn start(server: &Server, name: &str, command: &[&str]) -> Task {
        let args = server.task_args(name, command);
        let child = toom(&args.iter().map(String::as_str).collect::<Vec<_>>()).spawn().expect("the binary starts");
        let watch = Watch::over(&child);
        Task { child, watch }
    }

    /// Its standard input; once.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    /// Its standard output; once.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("a pipe")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, with: &str) {
        signal(with, &self.child.id().to_string());
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(self) -> Output {
        let output = self.child.wait_with_output().expect("it ends");
        self.watch.done();
        output
    }
}

/// Starts a command, and waits until its user is logged in.
pub(crate) fn begin(server: &mut Server, name: &str, command: &[&str]) -> Task {
    let task = Task::start(server, name, command);
    server.activity("the login", |activity| activity["kind"] == "login" && activity["user"] == name);
    task
}

/// Carries out a command until it ends.
pub(crate) fn carry_out(server: &Server, name: &str, command: &[&str]) -> Output {
    let args = server.task_args(name, command);
    run(&args.iter().map(String::as_str).collect::<Vec<_>>(), "")
}

/// A folder of the test.
pub(crate) fn folder(server: &Server, name: &str) -> PathBuf {
    let folder = server.dir.path().join(name);
    fs::create_dir_all(&folder).expect("a directory");
    folder
}
