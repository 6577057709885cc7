//! Files that a client has opened for sending, and that have not been started.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use toom_core::client::io::{Input, Side, SourceId};

use super::Source;
use crate::system::in_words;

/// Opened files, by the client machine's names for them.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<SourceId, Source>);

impl Sources {
    /// Opens a file; what the machine must hear of it.
    pub fn open(&mut self, source: SourceId, path: &Path) -> Input {
        match Source::open(path) {
            Ok((file, label, bytes)) => {
                self.0.insert(source, file);
                Input::SourceOpened { source, label, bytes }
            }
            Err(error) => {
                let missing = error.kind() == ErrorKind::NotFound;
                Input::SourceFailed { source, missing, reason: in_words(&error) }
            }
        }
    }

    /// Closes a file that will not be sent.
    pub fn close(&mut self, source: SourceId) {
        self.0.remove(&source);
    }

    /// Hands over the file of a transfer that starts, if it is one that sends.
    pub fn take(&mut self, side: &Side) -> Option<Source> {
        match side {
            Side::Send { source } => self.0.remove(source),
            Side::Receive { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_handed_over_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("film.mp4");
        std::fs::write(&path, b"abc").expect("written");
        let mut sources = Sources::default();
        assert!(matches!(sources.open(SourceId(1), &path), Input::SourceOpened { bytes: 3, .. }));
        assert!(sources.take(&Side::Send { source: SourceId(1) }).is_some());
        assert!(sources.take(&Side::Send { source: SourceId(1) }).is_none());
        sources.open(SourceId(2), &path);
        sources.close(SourceId(2));
        assert!(sources.take(&Side::Send { source: SourceId(2) }).is_none());
    }

    #[test]
    fn a_file_that_is_missing_is_told_from_one_that_cannot_be_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut sources = Sources::default();
        let missing = |input| match input {
            Input::SourceFailed { missing, .. } => Some(missing),
            _ => None,
        };
        assert_eq!(missing(sources.open(SourceId(1), &directory.path().join("gone"))), Some(true));
        assert_eq!(missing(sources.open(SourceId(1), directory.path())), Some(false));
    }
}
