//! What is sent or received: one file, or a folder or several files as if they were one.

use std::io;

use toom_core::id::OfferId;

use super::tree::{TreeSink, TreeSource};
use super::{Sink, Source};
use crate::system::SystemCalls;

/// What is sent.
#[derive(Debug)]
pub enum ContentSource {
    /// One file.
    File(Source),
    /// A folder, or several files and folders.
    Tree(Box<TreeSource>),
}

/// What is received.
#[derive(Debug)]
pub(super) enum ContentSink {
    File(Box<Sink>),
    Tree(Box<TreeSink>),
}

impl ContentSource {
    /// Counts its reads in `calls` from now on.
    pub(super) fn count_in(&mut self, calls: SystemCalls) {
        match self {
            ContentSource::File(source) => source.count_in(calls),
            ContentSource::Tree(source) => source.count_in(calls),
        }
    }

    /// Fills `buffer` from `offset`.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            ContentSource::File(source) => source.read_at(offset, buffer),
            ContentSource::Tree(source) => source.read_at(offset, buffer),
        }
    }

    /// The hash of all of it, said once, when all of it has been read in order.
    pub(super) fn take_hash(&mut self) -> Option<[u8; 32]> {
        match self {
            ContentSource::File(source) => source.take_hash(),
            ContentSource::Tree(source) => source.take_hash(),
        }
    }
}

impl From<Source> for ContentSource {
    fn from(source: Source) -> ContentSource {
        ContentSource::File(source)
    }
}

impl ContentSink {
    /// Counts its writes and reads in `calls` from now on.
    pub(super) fn count_in(&mut self, calls: SystemCalls) {
        match self {
            ContentSink::File(sink) => sink.count_in(calls),
            ContentSink::Tree(sink) => sink.count_in(calls),
        }
    }

    /// Whether an earlier transfer left something of the one file, so that looking at it takes its time. What is there of
    /// several files is asked later.
    pub(super) fn is_adopted(&self) -> bool {
        match self {
            ContentSink::File(sink) => sink.is_adopted(),
            ContentSink::Tree(_) => false,
        }
    }

    /// Writes `bytes` at `offset`.
    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            ContentSink::File(sink) => sink.write_at(offset, bytes),
            ContentSink::Tree(sink) => sink.write_at(offset, bytes),
        }
    }

    /// The hash of all of it.
    pub(super) fn hash(&mut self) -> io::Result<[u8; 32]> {
        match self {
            ContentSink::File(sink) => sink.hash(),
            ContentSink::Tree(sink) => sink.hash(),
        }
    }

    /// Gives it its final name, replacing nothing.
    pub(super) fn publish(self) -> io::Result<String> {
        match self {
            ContentSink::File(sink) => sink.publish(),
            ContentSink::Tree(sink) => sink.publish(),
        }
    }

    /// Leaves what was written for a later transfer, if it is worth it.
    pub(super) fn keep(self) {
        match self {
            ContentSink::File(sink) => sink.keep(),
            ContentSink::Tree(sink) => sink.keep(),
        }
    }
}

/// The answer to a question that only the one kind or the other can be asked.
pub(super) fn wrong_kind(transfer: OfferId) -> io::Error {
    io::Error::other(format!("transfer {transfer} is not of that kind"))
}
