//! The one thread that owns the client machine: mailbox in, outputs out.

use std::collections::VecDeque;

use toom_core::client::Client;
use toom_core::client::event::Event;
use toom_core::client::io::{Input, Output};
use toom_core::machine::Machine;
use toom_core::wire::message::ServerMessage;
use toom_store::client::ClientError;
use toom_store::files::Sources;
use toom_store::known_people::KnownPeople;

use super::connection::Connection;
use super::control::{Reader, Writer};
use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::mailbox::Mailbox;

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the machine.
    Input(Input),
    /// The server has said something.
    Said {
        /// On which connection.
        connection: u64,
        /// What.
        message: ServerMessage,
    },
    /// The reader has ended.
    Closed {
        /// Of which connection.
        connection: u64,
        /// In words.
        reason: String,
    },
    /// A connection was made again, or not.
    Connected {
        /// Which.
        connection: u64,
        /// What came of it.
        made: Result<(Writer, Reader), ClientError>,
    },
    /// The client is dropped.
    Stop,
}

/// The owner of the machine.
pub(super) struct Driver<E> {
    machine: Client,
    clock: Clock,
    mailbox: Mailbox<Mail>,
    connection: Connection,
    endpoint: Endpoint,
    people: KnownPeople,
    sources: Sources,
    on_event: E,
    /// The last event has been delivered.
    done: bool,
}

impl<E: FnMut(Event)> Driver<E> {
    pub(super) fn new(
        machine: Client,
        clock: Clock,
        mailbox: Mailbox<Mail>,
        connection: Connection,
        endpoint: Endpoint,
        people: KnownPeople,
        on_event: E,
    ) -> Driver<E> {
        let sources = Sources::default();
        Driver { machine, clock, mailbox, connection, endpoint, people, sources, on_event, done: false }
    }

    /// Runs until the last event.
    pub(super) fn run(mut self) {
        let mut mail = Vec::new();
        while !self.done {
            self.mailbox.wait(self.clock.until(self.machine.deadline()), &mut mail);
            if mail.is_empty() {
                self.handle(Input::Woke);
            }
            for mail in mail.drain(..) {
                self.take(mail);
            }
        }
        // Whoever waits for room in the mailbox is released before anybody waits for them.
        drop(self.mailbox);
        self.connection.end();
        self.endpoint.stop();
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Input(input) => self.handle(input),
            Mail::Said { connection, message } if self.connection.is(connection) => {
                self.handle(Input::Message(message));
            }
            Mail::Closed { connection, reason } if self.connection.is(connection) => {
                let reason = self.connection.take_broken().unwrap_or(reason);
                self.handle(Input::Disconnected { reason });
            }
            Mail::Connected { connection, made } if self.connection.is(connection) => self.connected(made),
            // Late words.
            Mail::Said { .. } | Mail::Closed { .. } | Mail::Connected { .. } => {}
            Mail::Stop => {
                self.handle(Input::Stopped);
                self.done = true;
            }
        }
    }

    fn connected(&mut self, made: Result<(Writer, Reader), ClientError>) {
        let opened = made.and_then(|made| {
            let server_key = made.1.server_key();
            self.connection.open(made)?;
            Ok(Input::Connected { server_key, people: Vec::new() })
        });
        self.handle(opened.unwrap_or_else(|error| error.not_connected()));
    }

    fn handle(&mut self, input: Input) {
        if self.done {
            return;
        }
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        // Opening a file is answered at once, and the answer may lead to more.
        while let Some(input) = inputs.pop_front() {
            self.machine.handle(self.clock.now(), input, &mut out);
            for output in out.drain(..) {
                inputs.extend(self.carry_out(output));
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send(request) => self.connection.write(&request),
            Output::Disconnect => self.connection.close(),
            Output::Connect => self.connection.connect(),
            Output::Event(event) => {
                self.done = self.done || matches!(event, Event::Bye { .. } | Event::ConnectionLost { .. });
                (self.on_event)(event);
            }
            Output::OpenSource { source, paths } => return Some(self.sources.open(source, &paths)),
            Output::CloseSource { source } => self.sources.close(source),
            Output::Start(start) => {
                let source = self.sources.take(&start.side);
                self.endpoint.start(start, source);
            }
            Output::Remember(person) => return self.people.remember(&person),
            Output::Cancel { transfer, keep } => self.endpoint.cancel(transfer, keep),
        }
        None
    }
}
