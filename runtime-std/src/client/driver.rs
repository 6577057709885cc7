//! The one thread that owns the client machine: mailbox in, outputs out.

use std::collections::VecDeque;

use toom_core::client::Client;
use toom_core::client::event::Event;
use toom_core::client::io::{Input, Output};
use toom_core::machine::Machine;
use toom_core::wire::codec;
use toom_store::files::Sources;
use toom_store::system::in_words;

use super::control::Writer;
use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::mailbox::Mailbox;

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the machine.
    Input(Input),
    /// The reader has ended.
    Closed {
        /// In words.
        reason: String,
    },
    /// The client is dropped.
    Stop,
}

/// The owner of the machine.
pub(super) struct Driver<E> {
    machine: Client,
    clock: Clock,
    mailbox: Mailbox<Mail>,
    writer: Writer,
    /// Why writing failed; said when the reader has ended too.
    broken: Option<String>,
    endpoint: Endpoint,
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
        writer: Writer,
        endpoint: Endpoint,
        on_event: E,
    ) -> Driver<E> {
        let sources = Sources::default();
        Driver { machine, clock, mailbox, writer, broken: None, endpoint, sources, on_event, done: false }
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
                match mail {
                    Mail::Input(input) => self.handle(input),
                    Mail::Closed { reason } => {
                        let reason = self.broken.take().unwrap_or(reason);
                        self.handle(Input::Disconnected { reason });
                    }
                    Mail::Stop => {
                        self.handle(Input::Disconnected { reason: "the client was stopped".to_owned() });
                        self.done = true;
                    }
                }
            }
        }
        drop(self.writer);
        self.endpoint.stop();
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
            Output::Send(request) => {
                if let Err(error) = self.writer.write(&codec::encode(&request)) {
                    self.broken(in_words(&error));
                }
            }
            Output::Disconnect => self.writer.close(),
            Output::Event(event) => {
                self.done = self.done || matches!(event, Event::Bye { .. } | Event::ConnectionLost { .. });
                (self.on_event)(event);
            }
            Output::OpenSource { source, path } => return Some(self.sources.open(source, &path)),
            Output::CloseSource { source } => self.sources.close(source),
            Output::Start(start) => {
                let source = self.sources.take(&start.side);
                self.endpoint.start(start, source);
            }
            Output::Cancel { transfer } => self.endpoint.cancel(transfer),
        }
        None
    }

    /// Writing has failed: nothing more can be said, and the reader will end.
    fn broken(&mut self, reason: String) {
        self.broken.get_or_insert(format!("the connection to the server broke: {reason}"));
        self.writer.close();
    }
}
