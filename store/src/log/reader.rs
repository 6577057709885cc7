//! The thread that answers queries, on its own read-only connection.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use rusqlite::Connection;
use toom_core::id::QueryId;
use toom_core::server::fact::Message;
use toom_core::server::io::{Page, Query};

use super::{Complete, Completion, pages};

/// Messages that may be kept in memory because they could not be added to the index: all that a full batch of
/// committed facts can bring, several times over. It is only needed between a failed commit and the end of the
/// server, when no more facts are committed.
const MAX_UNSAVED: usize = 16_384;

/// What the reader is given to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Answer this.
    Query(QueryId, Query),
    /// Keep this message in memory: it was confirmed, but could not be added to the index.
    Unsaved(Message),
}

/// The reader thread's state.
pub(super) struct Reader {
    path: PathBuf,
    connection: Connection,
    complete: Complete,
    unsaved: Vec<Message>,
    /// More was unsaved than is kept: better no answer than one with holes.
    incomplete: bool,
}

impl Reader {
    pub(super) fn new(path: PathBuf, connection: Connection, complete: Complete) -> Reader {
        Reader { path, connection, complete, unsaved: Vec::new(), incomplete: false }
    }

    /// Works until the writer is gone.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        for work in work {
            match work {
                Work::Query(query, what) => {
                    let page = self.answer(&what);
                    (self.complete)(Completion::Found { query, page });
                }
                Work::Unsaved(message) if self.unsaved.len() < MAX_UNSAVED => self.unsaved.push(message),
                Work::Unsaved(_) => self.incomplete = true,
            }
        }
    }

    fn answer(&self, what: &Query) -> Option<Page> {
        if self.incomplete {
            return None;
        }
        match pages::answer(&self.connection, &self.unsaved, what) {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!("a query was not answered: {}", error.sentence(&self.path));
                None
            }
        }
    }
}
