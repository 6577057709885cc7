//! Somebody who posts, and all that their clients told them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use crate::process::Process;

/// Posts that one person has under way.
const AHEAD: usize = 8;

/// A message, as history or an event has it: number, author, text.
pub(super) type Said = (u64, String, String);

/// What one client of a person saw; there are several if it was killed.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// The texts, in order.
    pub(super) posted: Vec<String>,
    /// The answers, in the same order: the number, or the error.
    pub(super) answers: Vec<Result<u64, String>>,
    /// What others said, as it came.
    pub(super) heard: Vec<Said>,
    /// How often it was resumed, and how much it was said to have missed.
    pub(super) resumed: Vec<u64>,
    /// Whether it was killed.
    pub(super) killed: bool,
}

/// A process, and its lines as they come.
type Client = (Process, Receiver<(Instant, String)>);

pub(super) struct Person {
    pub(super) name: String,
    pub(super) lives: Vec<Life>,
    /// All broadcasts, as they read them in the end.
    pub(super) history: Vec<Said>,
    process: Process,
    events: Receiver<(Instant, String)>,
    start: Box<dyn Fn() -> io::Result<Client>>,
    ended: bool,
}

impl Person {
    /// Logs in. `home` gets what the client keeps; the password is the name.
    pub(super) fn new(toom: &Path, runtime: &str, home: &Path, server: &str, name: &str) -> io::Result<Person> {
        std::fs::create_dir_all(home)?;
        let password = home.join("password");
        std::fs::write(&password, format!("{name}\n"))?;
        let (toom, home) = (toom.to_owned(), home.to_owned());
        let args = ["--runtime", runtime, "client", server, "--json", "--user", name, "--password-file"];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let start = move || start(&toom, &home, &args, &password);
        let (process, events) = start()?;
        let (name, start) = (name.to_owned(), Box::new(start));
        let (lives, history) = (vec![Life::default()], Vec::new());
        let mut person = Person { name, lives, history, process, events, start, ended: false };
        person.wait("welcome")?;
        Ok(person)
    }

    /// Posts as much as may be under way.
    pub(super) fn post(&mut self) -> io::Result<()> {
        self.hear()?;
        loop {
            let number: usize = self.lives.iter().map(|life| life.posted.len()).sum();
            let life = self.life();
            if life.posted.len() >= life.answers.len() + AHEAD {
                return Ok(());
            }
            let text = format!("{}-{number}", self.name);
            self.type_line(&format!("BCM {text}"))?;
            self.life().posted.push(text);
        }
    }

    /// Is killed, and logs in anew on the same device.
    pub(super) fn kill_and_come_back(&mut self) -> io::Result<()> {
        self.process.child.kill()?;
        self.process.child.wait()?;
        // What it said before it died counts.
        while let Ok((_, line)) = self.events.recv_timeout(PATIENCE) {
            self.take(&line)?;
        }
        self.life().killed = true;
        (self.process, self.events) = (self.start)()?;
        self.lives.push(Life::default());
        self.wait("welcome")
    }

    /// Waits for all answers.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        while self.life().answers.len() < self.life().posted.len() {
            self.take_next("the answers to all posts")?;
        }
        Ok(())
    }

    /// Reads everything, and logs out.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.type_line("RDM b 1 Jan 2020 00:00:00")?;
        self.wait("history")?;
        self.type_line("OUT")?;
        self.wait("bye")
    }

    fn life(&mut self) -> &mut Life {
        if self.lives.is_empty() {
            self.lives.push(Life::default());
        }
        let last = self.lives.len() - 1;
        &mut self.lives[last]
    }

    fn type_line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.process.stdin, "{line}")
            .map_err(|error| io::Error::other(format!("{}: {error}; it said: {}", self.name, self.process.said.last())))
    }

    fn hear(&mut self) -> io::Result<()> {
        while let Ok((_, line)) = self.events.try_recv() {
            self.take(&line)?;
        }
        Ok(())
    }

    fn wait(&mut self, event: &str) -> io::Result<()> {
        while self.take_next(event)? != event {}
        Ok(())
    }

    /// The next event, which must come; its name.
    fn take_next(&mut self, what: &str) -> io::Result<String> {
        let line = self.events.recv_timeout(PATIENCE).map_err(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => "in vain",
                RecvTimeoutError::Disconnected => "but the client ended",
            };
            io::Error::other(format!("{} waited for {what} {why}; it said: {}", self.name, self.process.said.last()))
        })?;
        self.take(&line.1)
    }

    fn take(&mut self, line: &str) -> io::Result<String> {
        let event: Value = serde_json::from_str(line)?;
        let name = event["event"].as_str().unwrap_or_default().to_owned();
        match name.as_str() {
            "sent" => self.life().answers.push(Ok(event["number"].as_u64().unwrap_or(0))),
            "error" => self.life().answers.push(Err(line.to_owned())),
            "broadcast" => self.life().heard.push(said(&event)),
            "resumed" => self.life().resumed.push(event["missed"].as_u64().unwrap_or(0)),
            "history" => self.history = event["messages"].as_array().into_iter().flatten().map(said).collect(),
            "bye" => self.ended = true,
            "connection_lost" | "login_failed" => {
                return Err(io::Error::other(format!("{} was told: {line}", self.name)));
            }
            _ => {}
        }
        Ok(name)
    }
}

fn start(toom: &Path, home: &Path, args: &[String], password: &Path) -> io::Result<Client> {
    let password = password.to_str().ok_or_else(|| io::Error::other("a plain path"))?;
    let args: Vec<&str> = args.iter().map(String::as_str).chain([password]).collect();
    let (send, events) = channel();
    let heard = move |at, line| drop(send.send((at, line)));
    Ok((Process::start(toom, home, &args, heard)?, events))
}

fn said(message: &Value) -> Said {
    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
    (message["number"].as_u64().unwrap_or(0), text("from"), text("text"))
}
