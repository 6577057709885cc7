//! The files in `DATA/logs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use toom_core::id::{LogIndex, RoomId};
use toom_core::server::fact::Conversation;

use super::rows::{file_name, message_row};
use crate::log::{self, OpenError};

/// The directory of the text logs.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

/// How the files stand at the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// The newest message that they have.
    pub(super) newest: LogIndex,
    /// Files that could not be written.
    pub(super) given_up: BTreeSet<String>,
}

impl Directory {
    /// Makes the directory if it is missing.
    pub(super) fn open(data: &Path) -> Result<Directory, OpenError> {
        let path = data.join("logs");
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| {
            OpenError(format!("{} cannot be made: {}", path.display(), crate::system::in_words(&error)))
        })?;
        Ok(Directory { path })
    }

    /// Writes every message log anew that does not have as many rows as the database in `data` has messages.
    pub(super) fn bring_up_to_date(&self, data: &Path) -> Result<Start, OpenError> {
        let mut start = Start::default();
        let Some(connection) = log::open_read_only(data)? else { return Ok(start) };
        let failed = |error: rusqlite::Error| OpenError(log::sentence(&log::path(data), &error));
        // One transaction, so that the counts, the texts and the newest message are of one moment.
        let snapshot = connection.unchecked_transaction().map_err(failed)?;
        start.newest = log::newest_recorded(&snapshot).map_err(failed)?;
        let mut expected = BTreeMap::from([(Conversation::Broadcast, 0)]);
        expected.extend(self.rooms_with_files().into_iter().map(|room| (Conversation::Room(room), 0)));
        expected.extend(log::message_counts(&snapshot).map_err(failed)?);
        for (conversation, count) in expected {
            let Some(file) = file_name(&conversation) else { continue };
            if rows(&self.path.join(&file)).ok() != Some(count)
                && let Err(error) = self.write_anew(&file, &conversation, &snapshot)
            {
                tracing::warn!("{error}; it is left alone");
                start.given_up.insert(file);
            }
        }
        Ok(start)
    }

    /// Appends to a file, which is made if it is missing.
    pub(super) fn append(&self, file: &str, rows: &str) -> io::Result<()> {
        let path = self.path.join(file);
        let append = || {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            file.write_all(rows.as_bytes())
        };
        append().map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    /// Replaces a file as a whole: who looks sees the old or the new text, never half of it.
    pub(super) fn replace(&self, file: &str, text: &str) -> io::Result<()> {
        self.replace_with(file, |out| out.write_all(text.as_bytes()))
    }

    fn write_anew(&self, file: &str, conversation: &Conversation, database: &Connection) -> io::Result<()> {
        self.replace_with(file, |out| {
            let mut written = Ok(());
            log::each_message(database, conversation, |message| {
                if written.is_ok() {
                    written = out.write_all(message_row(&message).as_bytes());
                }
            })
            .map_err(|error| io::Error::other(error.sentence(Path::new("the database"))))?;
            written
        })
    }

    fn replace_with(&self, file: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
        let path = self.path.join(file);
        let temporary = self.path.join(format!(".{file}.new"));
        let replace = || {
            let new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            let mut out = BufWriter::new(new);
            write(&mut out)?;
            out.flush()?;
            fs::rename(&temporary, &path)
        };
        replace().map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    /// The rooms that have a file: it may be of a room that the database does not know (any more).
    fn rooms_with_files(&self) -> Vec<RoomId> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let room = |name: &str| name.strip_prefix("SR_")?.strip_suffix("_messagelog.txt")?.parse().ok();
        entries.flatten().filter_map(|entry| room(entry.file_name().to_str()?).map(RoomId)).collect()
    }
}

/// How many rows a file has; an error if its last one was torn.
fn rows(path: &Path) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut count, mut last) = (0, b'\n');
    loop {
        let buffer = reader.fill_buf()?;
        let Some(newest) = buffer.last() else { break };
        last = *newest;
        count += buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = buffer.len();
        reader.consume(length);
    }
    if last == b'\n' { Ok(count) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
