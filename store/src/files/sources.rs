//! Files that a client has opened for sending, and that have not been started.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use toom_core::client::io::{Input, Side, SourceId};
use toom_core::secure::ListingSize;

use super::Source;
use super::content::ContentSource;
use super::tree::{self, TreeSource};
use crate::system::in_words;

/// Opened files, by the client machine's names for them.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<SourceId, ContentSource>);

impl Sources {
    /// Opens a file, or looks through a folder or several files; what the machine must hear of it.
    pub fn open(&mut self, source: SourceId, paths: &[PathBuf]) -> Input {
        let opened = match paths {
            [path] if !path.is_dir() => {
                Source::open(path).map(|(file, label, bytes)| (file.into(), label, bytes, None))
            }
            paths => TreeSource::open(paths).map(|tree::Opened { source, label, bytes, listing, entries }| {
                let listing = ListingSize { bytes: listing, entries };
                (ContentSource::Tree(Box::new(source)), label, bytes, Some(listing))
            }),
        };
        match opened {
            Ok((file, label, bytes, listing)) => {
                self.0.insert(source, file);
                Input::SourceOpened { source, label, bytes, listing }
            }
            Err(error) => {
                // Something inside a folder may have gone just now: that is told in words.
                let is_missing = |path: &&PathBuf| error.kind() == ErrorKind::NotFound && !path.exists();
                let missing = paths.iter().find(is_missing).cloned();
                Input::SourceFailed { source, missing, reason: in_words(&error) }
            }
        }
    }

    /// Closes a file that will not be sent.
    pub fn close(&mut self, source: SourceId) {
        self.0.remove(&source);
    }

    /// Hands over the file of a transfer that starts, if it is one that sends.
    pub fn take(&mut self, side: &Side) -> Option<ContentSource> {
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
        assert!(matches!(sources.open(SourceId(1), std::slice::from_ref(&path)), Input::SourceOpened { bytes: 3, .. }));
        assert!(sources.take(&Side::Send { source: SourceId(1) }).is_some());
        assert!(sources.take(&Side::Send { source: SourceId(1) }).is_none());
        sources.open(SourceId(2), &[path]);
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
        let gone = directory.path().join("gone");
        let paths = [directory.path().to_owned(), gone.clone()];
        assert_eq!(missing(sources.open(SourceId(1), &paths[1..])), Some(Some(gone.clone())));
        assert_eq!(missing(sources.open(SourceId(1), &paths)), Some(Some(gone)));
        assert_eq!(missing(sources.open(SourceId(1), &["/dev/null".into()])), Some(None));
    }
}
