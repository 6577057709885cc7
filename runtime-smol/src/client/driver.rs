//! The one task that owns the client machine: mailbox in, outputs out.

use std::time::Duration;

use futures_lite::future;
use smol::{Task, Timer};
use toom_core::client::Client;
use toom_core::client::event::Event;
use toom_core::client::io::{Input, Output};
use toom_core::machine::Machine;
use toom_core::wire::codec;
use toom_store::files::Sources;
use toom_store::known_people::KnownPeople;

use super::control::Frames;
use crate::clock::{Alarm, Clock};
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

/// How long the server may take at the end to read what was written last.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The owner of the machine.
pub(super) struct Driver<E> {
    machine: Client,
    clock: Clock,
    alarm: Alarm,
    mailbox: Mailbox<Mail>,
    frames: Frames,
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
        frames: Frames,
        endpoint: Endpoint,
        people: KnownPeople,
        on_event: E,
    ) -> Driver<E> {
        let (alarm, sources) = (Alarm::new(clock), Sources::default());
        Driver { machine, clock, alarm, mailbox, frames, endpoint, people, sources, on_event, done: false }
    }

    /// Runs until the last event; then waits a moment for `writing` to end.
    pub(super) async fn run(mut self, writing: Task<()>) {
        while !self.done {
            let deadline = self.machine.deadline();
            let mail = async { Some(self.mailbox.next().await.unwrap_or(Mail::Stop)) };
            let passed = async {
                self.alarm.passed(deadline).await;
                None
            };
            match future::or(mail, passed).await {
                Some(Mail::Input(input)) => self.handle(input),
                Some(Mail::Closed { reason }) => self.handle(Input::Disconnected { reason }),
                Some(Mail::Stop) => {
                    self.handle(Input::Disconnected { reason: "the client was stopped".to_owned() });
                    self.done = true;
                }
                None => self.handle(Input::Woke),
            }
        }
        self.frames.close();
        let late = async {
            Timer::after(CLOSE_DEADLINE).await;
        };
        future::or(writing, late).await;
        self.endpoint.stop();
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
            Output::Send(request) => self.frames.write(codec::encode(&request)),
            Output::Disconnect => self.frames.close(),
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
            Output::Remember(person) => return self.people.remember(&person),
            Output::Cancel { transfer } => self.endpoint.cancel(transfer),
        }
        None
    }
}
