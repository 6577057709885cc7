//! What an operator does with a server's data, also while the server runs: look whether it is whole, copy it, count
//! what is in it. None of it writes to the data.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toom_core::id::LogIndex;
use toom_core::machine::{Bounded, Machine};
use toom_core::secure::PasswordHash;
use toom_core::server::fact::Message;
use toom_core::server::io::{Input, Output};
use toom_core::server::{Server, Settings};
use toom_core::time::{Instant, Timestamp};

use crate::log::{self, OpenError, OpenLog};
use crate::server::KEY_FILE;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in one word.
    pub what: &'static str,
    /// Whether it is well.
    pub is_well: bool,
    /// What was found, in one sentence.
    pub sentence: String,
}

/// Where a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The database.
    pub database: PathBuf,
    /// The server's key; without it, clients would refuse a server that was restored.
    pub key: PathBuf,
    /// How large the database is.
    pub bytes: u64,
}

/// What is in the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// People who can log in.
    pub accounts: usize,
    /// Rooms that were built.
    pub rooms: usize,
    /// Messages to everyone.
    pub broadcasts: u64,
    /// Messages in rooms.
    pub room_messages: u64,
    /// Messages to one person.
    pub direct_messages: u64,
    /// When the oldest message was sent.
    pub oldest: Option<Timestamp>,
    /// When the newest one was.
    pub newest: Option<Timestamp>,
    /// Facts in the log.
    pub facts: u64,
    /// The newest fact that a snapshot covers; the next start applies those behind it.
    pub snapshot: Option<u64>,
    /// Bytes of the database, its write-ahead log included.
    pub database_bytes: u64,
    /// Bytes of the search index.
    pub search_bytes: u64,
}

/// Looks whether everything in `data` is as it was written: reads all of it. An error is data that cannot be read at
/// all.
pub fn check(data: &Path) -> Result<Vec<Finding>, OpenError> {
    let log = existing(data)?;
    let mut findings = vec![structure(&log)];
    if findings.iter().all(|finding| finding.is_well) {
        findings.extend(contents(&log));
    }
    Ok(findings)
}

/// Copies the database and the key, as they are at one moment; never over a file that is there, and not if a fact is
/// damaged.
pub fn backup(data: &Path, file: &Path) -> Result<Backup, OpenError> {
    let log = existing(data)?;
    // A copy of what is damaged would take the place of one that is whole.
    log.read_after(LogIndex(0), |_| {})?;
    let mut key_file = file.to_owned().into_os_string();
    key_file.push(".key");
    let key_file = PathBuf::from(key_file);
    let failed = |path: &Path, error: &io::Error| OpenError(crate::about(path, "cannot be written", error).to_string());
    let key = data.join(KEY_FILE);
    let secret =
        std::fs::read(&key).map_err(|error| OpenError(crate::about(&key, "cannot be read", &error).to_string()))?;
    let mut new_key = create(&key_file).map_err(|error| failed(&key_file, &error))?;
    let copied = create(file).map_err(|error| failed(file, &error)).and_then(|new| {
        let copied = log.copy_to(file).and_then(|()| {
            new.sync_all().map_err(|error| failed(file, &error))?;
            new.metadata().map(|it| it.len()).map_err(|error| failed(file, &error))
        });
        // Half a backup is none.
        copied.inspect_err(|_| _ = std::fs::remove_file(file))
    });
    let written = copied.and_then(|bytes| {
        let all = new_key.write_all(&secret).and_then(|()| new_key.sync_all()).and_then(|()| sync_directory(file));
        all.map(|()| bytes).map_err(|error| failed(&key_file, &error))
    });
    let bytes = written.inspect_err(|_| _ = std::fs::remove_file(&key_file))?;
    Ok(Backup { database: file.to_owned(), key: key_file, bytes })
}

/// Counts what is in `data`.
pub fn stats(data: &Path) -> Result<Stats, OpenError> {
    let log = existing(data)?;
    let mut machine = machine();
    let (mut out, mut applied) = (Vec::new(), LogIndex(0));
    let snapshots = log.snapshots()?;
    for (_, snapshot) in &snapshots {
        if let Ok(index) = machine.restore(snapshot, Instant::ZERO, Timestamp::default(), &mut out) {
            applied = index;
            break;
        }
    }
    let mut facts = applied.0;
    log.read_after(applied, |committed| {
        facts = committed.index.0;
        apply(&mut machine, committed);
    })?;
    let mut stats = log.message_stats()?;
    machine.usage(&mut |usage| match usage.what {
        "accounts" => stats.accounts = usage.used,
        "rooms" => stats.rooms = usage.used,
        _ => {}
    });
    (stats.facts, stats.snapshot) = (facts, snapshots.first().map(|(index, _)| index.0));
    let size = |path: &Path, ends: &[&str]| {
        let one = |end: &&str| {
            let mut name = path.to_owned().into_os_string();
            name.push(end);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        ends.iter().map(one).sum()
    };
    stats.database_bytes = size(&log::path(data), &["", "-wal"]);
    stats.search_bytes = size(&log::search_path(data), &["", "-wal"]);
    Ok(stats)
}

fn existing(data: &Path) -> Result<OpenLog, OpenError> {
    OpenLog::open(data)?.ok_or_else(|| OpenError(format!("there is no data of a server in {}", data.display())))
}

fn structure(log: &OpenLog) -> Finding {
    let found = log.integrity();
    let is_well = found.is_none();
    let sentence = found.unwrap_or_else(|| "SQLite finds every page and every index in order".to_owned());
    Finding { what: "structure", is_well, sentence }
}

/// Applies every fact, and compares what is derived with what comes of it.
fn contents(log: &OpenLog) -> Vec<Finding> {
    let mut machine = machine();
    let (mut facts, mut messages, mut wrong_messages) = (0, 0, None);
    let (mut snapshots, mut wrong_snapshot) = (0, None);
    let kept = log.snapshots().unwrap_or_default();
    let recorded = log.recorded();
    let read = log.read_after(LogIndex(0), |committed| {
        let index = committed.index;
        facts += 1;
        if let Some(message) = apply(&mut machine, committed).filter(|it| !it.text.is_empty() && it.index <= recorded) {
            messages += 1;
            if wrong_messages.is_none() && !log.has(&message) {
                wrong_messages = Some(index);
            }
        }
        for (_, snapshot) in kept.iter().filter(|(it, _)| *it == index) {
            snapshots += 1;
            if !is_same(snapshot, &machine) {
                wrong_snapshot = Some(index);
            }
        }
    });
    let log_well = match read {
        Ok(()) => Finding {
            what: "log",
            is_well: true,
            sentence: format!("{facts} facts, without gaps, each as it was written"),
        },
        Err(error) => return vec![Finding { what: "log", is_well: false, sentence: error.to_string() }],
    };
    let there = log.message_count();
    let messages_well = match wrong_messages {
        Some(index) => {
            Err(format!("the message of fact {index} is not what the log says; the next start makes the index anew"))
        }
        None if there != Some(messages) => {
            Err(format!("{} messages are there, and {messages} are in the log", there.unwrap_or_default()))
        }
        None => Ok(format!("{messages} messages, each as the log says")),
    };
    let snapshots_well = match wrong_snapshot {
        Some(index) => {
            Err(format!("the snapshot of fact {index} is not what the log says; the next start reads the log instead"))
        }
        None if snapshots < kept.len() => Err("a snapshot is of a fact that the log does not have".to_owned()),
        None => Ok(format!("{snapshots} snapshots, each as the log says")),
    };
    vec![log_well, finding("messages", messages_well), finding("snapshots", snapshots_well)]
}

fn finding(what: &'static str, found: Result<String, String>) -> Finding {
    let is_well = found.is_ok();
    Finding { what, is_well, sentence: found.unwrap_or_else(|wrong| wrong) }
}

fn is_same(snapshot: &[u8], machine: &Server) -> bool {
    let mut restored = self::machine();
    restored.restore(snapshot, Instant::ZERO, Timestamp::default(), &mut Vec::new()).is_ok()
        && restored.same_conference(machine)
}

fn machine() -> Server {
    Server::new(Settings::default(), PasswordHash::decoy([0; 32], [0; 16]), [0; 32])
}

/// The message that a fact became, if it did.
fn apply(machine: &mut Server, committed: toom_core::server::fact::Committed) -> Option<Message> {
    let mut out = Vec::new();
    let wall = Timestamp::default();
    machine.handle(Instant::ZERO, Input::Recovered { committed: &committed, wall }, &mut out);
    out.into_iter().find_map(|output| if let Output::Record(message) = output { Some(message) } else { None })
}

/// A new file, for its owner only.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests;
