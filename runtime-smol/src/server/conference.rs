//! The one task that owns the server machine: mailbox in, outputs out.

use std::time::Duration;

use futures_lite::future;
use toom_core::id::ConnectionId;
use toom_core::machine::Machine;
use toom_core::server::Server;
use toom_core::server::activity::Activity;
use toom_core::server::io::{Input, Output};
use toom_core::time::Instant;
use toom_core::wire::codec;
use toom_core::wire::message::ServerMessage;
use toom_store::server::Data;
use toom_store::wall;

use super::password::Passwords;
use super::shard::Shards;
use crate::clock::{Alarm, Clock};
use crate::mailbox::Mailbox;

/// What the conference is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the machine.
    Input(Input<'static>),
    /// End.
    Stop,
}

/// How long a stop waits for what is under way: commits, and readers of what was written last.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The owner of the machine.
pub(super) struct Conference<A> {
    machine: Server,
    clock: Clock,
    alarm: Alarm,
    mailbox: Mailbox<Mail>,
    shards: Shards,
    data: Data,
    passwords: Passwords,
    on_activity: A,
    /// Connections that have not ended; a stop waits for them.
    connections: usize,
}

impl<A: FnMut(Activity)> Conference<A> {
    pub(super) fn new(
        machine: Server,
        clock: Clock,
        mailbox: Mailbox<Mail>,
        shards: Shards,
        data: Data,
        passwords: Passwords,
        on_activity: A,
    ) -> Conference<A> {
        let alarm = Alarm::new(clock);
        Conference { machine, clock, alarm, mailbox, shards, data, passwords, on_activity, connections: 0 }
    }

    /// Runs until it is told to stop, then closes everything.
    pub(super) async fn run(mut self) {
        let mut out = Vec::new();
        loop {
            let deadline = self.machine.deadline();
            match self.next(deadline).await {
                Some(Mail::Input(input)) => self.handle(input, &mut out).await,
                Some(Mail::Stop) => break,
                None => self.handle(Input::Woke { wall: wall::now() }, &mut out).await,
            }
        }
        self.stop(&mut out).await;
    }

    /// The next mail, or `None` once `deadline` has passed. Mail that is there comes first: the machine
    /// expires what is due with every input.
    async fn next(&mut self, deadline: Option<Instant>) -> Option<Mail> {
        let mail = async { Some(self.mailbox.next().await.unwrap_or(Mail::Stop)) };
        let passed = async {
            self.alarm.passed(deadline).await;
            None
        };
        future::or(mail, passed).await
    }

    async fn handle(&mut self, input: Input<'static>, out: &mut Vec<Output>) {
        self.data.note(&input);
        self.count(&input);
        self.machine.handle(self.clock.now(), input, out);
        for output in out.drain(..) {
            self.carry_out(output).await;
        }
        self.data.save_if_due(&self.machine);
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.send(to, &message).await,
            Output::Close { connection, reason } => {
                tracing::debug!(%connection, "closing a connection: {reason}");
                match reason.makes_room() {
                    true => self.shards.cut(connection).await,
                    false => self.shards.finish(connection).await,
                }
            }
            Output::CheckPassword { check, password, hash } => self.passwords.check(check, password, hash),
            Output::Propose { ticket, fact } => self.data.propose(ticket, fact),
            Output::Record(message) => self.data.record(&message),
            Output::Query { query, what } => self.data.query(query, what),
            Output::Activity(activity) => {
                self.data.activity(&activity);
                (self.on_activity)(activity);
            }
        }
    }

    /// Encodes a message once for all its receivers.
    async fn send(&self, to: Vec<ConnectionId>, message: &ServerMessage) {
        self.shards.deliver(to, codec::encode(message)).await;
    }

    /// Answers what was asked, closes every connection, commits what is queued. Requests are not heard any
    /// more.
    async fn stop(mut self, out: &mut Vec<Output>) {
        let give_up = self.clock.now() + STOP_DEADLINE;
        let mut closing = false;
        while !closing || self.connections > 0 {
            if !closing && (self.data.is_settled() || give_up <= self.clock.now()) {
                closing = true;
                self.shards.stop().await;
                continue;
            }
            // Once closing, the readers end within the shards' own bound, whatever the other ends do.
            match self.next((!closing).then_some(give_up)).await {
                Some(Mail::Input(Input::Request { .. }) | Mail::Stop) | None => {}
                Some(Mail::Input(input)) => self.handle(input, out).await,
            }
        }
        self.data.save(&self.machine);
    }

    fn count(&mut self, input: &Input<'_>) {
        match input {
            Input::Accepted { .. } => self.connections += 1,
            Input::Disconnected { .. } => self.connections = self.connections.saturating_sub(1),
            _ => {}
        }
    }
}
