//! The connection of the moment: there is one at a time, and words of those before it are late.

use std::io;
use std::thread::JoinHandle;

use toom_core::wire::codec;
use toom_core::wire::message::Request;
use toom_store::system::in_words;

use super::control::{self, Ends, Reader, Writer};
use super::driver::Mail;
use crate::clock::Clock;
use crate::mailbox::Posts;
use crate::{join, spawn_thread};

/// The connection to the server, made again when the machine wants it.
pub(super) struct Connection {
    ends: Ends,
    clock: Clock,
    posts: Posts<Mail>,
    /// Counts connections, those that are being made and those that never were included.
    number: u64,
    writer: Option<Writer>,
    /// Why writing failed; said when the reader has ended too.
    broken: Option<String>,
    /// The threads that read this connection and those before it.
    reading: Vec<JoinHandle<()>>,
}

impl Connection {
    /// None yet.
    pub(super) fn new(ends: Ends, clock: Clock, posts: Posts<Mail>) -> Connection {
        Connection { ends, clock, posts, number: 0, writer: None, broken: None, reading: Vec::new() }
    }

    /// It is there: from now on it is read.
    pub(super) fn open(&mut self, (writer, reader): (Writer, Reader)) -> io::Result<()> {
        let (number, posts) = (self.number, self.posts.clone());
        self.ends.server_key = Some(reader.server_key());
        self.writer = Some(writer);
        self.reading.retain(|thread| !thread.is_finished());
        self.reading.push(spawn_thread("toom-control", move || reader.run(number, &posts))?);
        Ok(())
    }

    /// Makes a new one, in a thread of its own; `Mail::Connected` says what came of it.
    pub(super) fn connect(&mut self) {
        (self.writer, self.broken) = (None, None);
        self.number += 1;
        let (connection, ends, clock, posts) = (self.number, self.ends.clone(), self.clock, self.posts.clone());
        let connecting = move || posts.post(Mail::Connected { connection, made: control::connect(&ends, clock) });
        // Nobody waits for it at the end: it may take some seconds.
        if let Err(error) = spawn_thread("toom-connect", connecting) {
            self.posts.post(Mail::Connected { connection, made: Err(error.into()) });
        }
    }

    /// Whether this is the number of the connection of the moment.
    pub(super) fn is(&self, connection: u64) -> bool {
        self.number == connection
    }

    /// Says something to the server, waiting for it if need be.
    pub(super) fn write(&mut self, request: &Request) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = writer.write(&codec::encode(request)) {
            // Nothing more can be said, and the reader will end.
            self.broken.get_or_insert(format!("the connection to the server broke: {}", in_words(&error)));
            writer.close();
        }
    }

    /// Ends it; the reader notices.
    pub(super) fn close(&self) {
        self.writer.iter().for_each(Writer::close);
    }

    /// Why it ended, if not for the reason that the reader has.
    pub(super) fn take_broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// Ends it, and waits until nobody reads it any more. Nobody may wait for room in the mailbox.
    pub(super) fn end(self) {
        drop(self.writer);
        self.reading.into_iter().for_each(join);
    }
}
