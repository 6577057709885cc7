//! The connection of the moment: there is one at a time, and words of those before it are late.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future;
use smol::{LocalExecutor, Task, Timer};
use toom_core::wire::codec;
use toom_core::wire::message::Request;

use super::control::{self, Ends, Frames, Reader, Writer};
use super::driver::Mail;
use crate::clock::Clock;
use crate::mailbox::Posts;

/// How long the server may take at the end to read what was written last.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The connection to the server, made again when the machine wants it.
pub(super) struct Connection {
    ends: Ends,
    clock: Clock,
    posts: Posts<Mail>,
    /// Where its tasks run.
    executor: Rc<LocalExecutor<'static>>,
    /// Counts connections, those that are being made and those that never were included.
    number: u64,
    frames: Option<Frames>,
    /// The tasks of this connection: dropping one ends it.
    reading: Option<Task<()>>,
    writing: Option<Task<()>>,
    connecting: Option<Task<()>>,
}

impl Connection {
    /// None yet.
    pub(super) fn new(ends: Ends, clock: Clock, posts: Posts<Mail>, executor: Rc<LocalExecutor<'static>>) -> Self {
        let (frames, reading, writing, connecting) = (None, None, None, None);
        Connection { ends, clock, posts, executor, number: 0, frames, reading, writing, connecting }
    }

    /// It is there: from now on it is read.
    pub(super) fn open(&mut self, (frames, writer, reader): (Frames, Writer, Reader)) {
        self.ends.server_key = Some(reader.server_key());
        self.frames = Some(frames);
        self.reading = Some(self.executor.spawn(reader.run(self.number, self.posts.clone())));
        self.writing = Some(self.executor.spawn(writer.run()));
    }

    /// Makes a new one, without waiting for it; `Mail::Connected` says what came of it.
    pub(super) fn connect(&mut self) {
        (self.frames, self.reading, self.writing) = (None, None, None);
        self.number += 1;
        let (connection, ends, clock, posts) = (self.number, self.ends.clone(), self.clock, self.posts.clone());
        self.connecting = Some(self.executor.spawn(async move {
            let made = smol::unblock(move || control::connect(&ends, clock)).await;
            posts.post(Mail::Connected { connection, made });
        }));
    }

    /// Whether this is the number of the connection of the moment.
    pub(super) fn is(&self, connection: u64) -> bool {
        self.number == connection
    }

    /// Says something to the server; never waits.
    pub(super) fn write(&self, request: &Request) {
        self.frames.iter().for_each(|frames| frames.write(codec::encode(request)));
    }

    /// Ends it once everything is written; the reader notices.
    pub(super) fn close(&self) {
        self.frames.iter().for_each(Frames::close);
    }

    /// Ends it, and waits a moment until everything is written.
    pub(super) async fn end(mut self) {
        self.close();
        let Some(writing) = self.writing.take() else { return };
        let late = async {
            Timer::after(CLOSE_DEADLINE).await;
        };
        future::or(writing, late).await;
    }
}
