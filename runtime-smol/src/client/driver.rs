//! The one task that owns the client machine: mailbox in, outputs out.

use futures_lite::future;
use toom_core::client::Client;
use toom_core::client::event::Event;
use toom_core::client::io::{Input, Output};
use toom_core::machine::Machine;
use toom_core::wire::message::ServerMessage;
use toom_store::client::ClientError;
use toom_store::files::Sources;
use toom_store::known_people::KnownPeople;

use super::connection::Connection;
use super::control::{Frames, Reader, Writer};
use crate::clock::{Alarm, Clock};
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
        made: Result<(Frames, Writer, Reader), ClientError>,
    },
    /// The client is dropped.
    Stop,
}

/// The owner of the machine.
pub(super) struct Driver<E> {
    machine: Client,
    clock: Clock,
    alarm: Alarm,
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
        let (alarm, sources) = (Alarm::new(clock), Sources::default());
        Driver { machine, clock, alarm, mailbox, connection, endpoint, people, sources, on_event, done: false }
    }

    /// Runs until the last event.
    pub(super) async fn run(mut self) {
        while !self.done {
            let deadline = self.machine.deadline();
            let mail = async { Some(self.mailbox.next().await.unwrap_or(Mail::Stop)) };
            let passed = async {
                self.alarm.passed(deadline).await;
                None
            };
            match future::or(mail, passed).await {
                Some(mail) => self.take(mail),
                None => self.handle(Input::Woke),
            }
        }
        self.connection.end().await;
        self.endpoint.stop();
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Input(input) => self.handle(input),
            Mail::Said { connection, message } if self.connection.is(connection) => {
                self.handle(Input::Message(message));
            }
            Mail::Closed { connection, reason } if self.connection.is(connection) => {
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

    fn connected(&mut self, made: Result<(Frames, Writer, Reader), ClientError>) {
        let opened = made.map(|made| {
            let server_key = made.2.server_key();
            self.connection.open(made);
            Input::Connected { server_key, people: Vec::new() }
        });
        self.handle(opened.unwrap_or_else(|error| error.not_connected()));
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        let mut out = Vec::new();
        // Opening a file is answered at once, and the answer may lead to more.
        while let Some(input) = inputs.pop() {
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
