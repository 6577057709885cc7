//! The files in `DATA/logs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use toom_core::id::{LogIndex, MessageNumber, RoomId};
use toom_core::server::fact::Conversation;

use super::rotation::{self, Rotating};
use super::rows::{file_name, message_row};
use crate::log::{self, OpenError};

/// The directory of the text logs.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// How long a file gets before the next one is begun.
    max_bytes: u64,
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
    pub(super) fn open(data: &Path, max_bytes: u64) -> Result<Directory, OpenError> {
        let path = data.join("logs");
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| {
            OpenError(format!("{} cannot be made: {}", path.display(), crate::system::in_words(&error)))
        })?;
        Ok(Directory { path, max_bytes })
    }

    /// Writes every message log anew that does not have the rows of the messages in the database in `data`.
    pub(super) fn bring_up_to_date(&self, data: &Path) -> Result<Start, OpenError> {
        let mut start = Start::default();
        let Some(connection) = log::open_read_only(data)? else { return Ok(start) };
        let failed = |error: rusqlite::Error| OpenError(log::sentence(&log::path(data), &error));
        // One transaction, so that the numbers, the texts and the newest message are of one moment.
        let snapshot = connection.unchecked_transaction().map_err(failed)?;
        start.newest = log::newest_recorded(&snapshot).map_err(failed)?;
        let mut expected = BTreeMap::from([(Conversation::Broadcast, None)]);
        expected.extend(self.rooms_with_files().into_iter().map(|room| (Conversation::Room(room), None)));
        let ranges = log::message_ranges(&snapshot).map_err(failed)?;
        expected.extend(ranges.into_iter().map(|(conversation, range)| (conversation, Some(range))));
        for (conversation, range) in expected {
            let Some(file) = file_name(&conversation) else { continue };
            if !rotation::has(&self.path.join(&file), range)
                && let Err(error) = self.write_anew(&file, &conversation, &snapshot)
            {
                tracing::warn!("{error}; it is left alone");
                start.given_up.insert(file);
            }
        }
        Ok(start)
    }

    /// Appends rows to a file, which is made if it is missing. One that is long enough is put aside first.
    pub(super) fn append(&self, file: &str, rows: &str) -> io::Result<()> {
        let path = self.path.join(file);
        rotation::append(&path, rows, self.max_bytes).map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    /// Takes the rows of messages up to `through` out of a file.
    pub(super) fn forget(&self, file: &str, through: MessageNumber) -> io::Result<()> {
        let path = self.path.join(file);
        rotation::forget(&path, through.0).map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    /// Replaces a file as a whole: who looks sees the old or the new text, never half of it.
    pub(super) fn replace(&self, file: &str, text: &str) -> io::Result<()> {
        let (path, temporary) = (self.path.join(file), self.path.join(format!(".{file}.new")));
        let replace = || {
            let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            new.write_all(text.as_bytes())?;
            fs::rename(&temporary, &path)
        };
        replace().map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    fn write_anew(&self, file: &str, conversation: &Conversation, database: &Connection) -> io::Result<()> {
        let path = self.path.join(file);
        let write = || {
            let mut out = Rotating::new(&path, self.max_bytes)?;
            let mut written = Ok(());
            log::each_message(database, conversation, |message| {
                if written.is_ok() {
                    written = out.write(&message_row(&message));
                }
            })
            .map_err(|error| io::Error::other(error.sentence(Path::new("the database"))))?;
            written.and_then(|()| out.finish())
        };
        write().map_err(|error| crate::about(&path, "cannot be written", &error))
    }

    /// The rooms that have a file: it may be of a room that the database does not know (any more).
    fn rooms_with_files(&self) -> Vec<RoomId> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let room = |name: &str| name.strip_prefix("SR_")?.strip_suffix("_messagelog.txt")?.parse().ok();
        entries.flatten().filter_map(|entry| room(entry.file_name().to_str()?).map(RoomId)).collect()
    }
}
