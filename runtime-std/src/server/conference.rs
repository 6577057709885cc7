//! The one thread that owns the server machine: mailbox in, outputs out.

use std::time::Duration;

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
use super::shard::{Order, Shards};
use crate::clock::Clock;
use crate::mailbox::Mailbox;

/// What the conference is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the machine.
    Input(Input<'static>),
    /// End.
    Stop,
    /// Every reader has ended, and no other will begin.
    AllClosed,
}

/// Orders for one shard that are handed over although there is more mail: while the conference goes on, the
/// shard can begin.
const HANDED_OVER_AT: usize = 64;

/// How long a stop waits for what is under way: commits, and readers of what was written last.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The owner of the machine.
pub(super) struct Conference<A> {
    machine: Server,
    clock: Clock,
    mailbox: Mailbox<Mail>,
    shards: Shards,
    /// What each shard is told once the mail at hand has been handled.
    orders: Vec<Vec<Order>>,
    data: Data,
    passwords: Passwords,
    on_activity: A,
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
        let orders = (0..shards.count()).map(|_| Vec::new()).collect();
        Conference { machine, clock, mailbox, shards, orders, data, passwords, on_activity }
    }

    /// Runs until it is told to stop, then closes everything.
    pub(super) fn run(mut self) {
        let (mut mail, mut out) = (Vec::new(), Vec::new());
        let (mut stopping, mut closed) = (false, false);
        while !stopping {
            self.next(&mut mail, self.machine.deadline());
            for mail in mail.drain(..) {
                match mail {
                    Mail::Input(input) => self.handle(input, &mut out),
                    Mail::Stop => stopping = true,
                    Mail::AllClosed => closed = true,
                }
            }
            self.hand_over();
        }
        self.stop(closed);
    }

    /// All mail that is there; waits for some until `deadline`, and then it is that the machine should wake.
    fn next(&mut self, mail: &mut Vec<Mail>, deadline: Option<Instant>) {
        self.mailbox.wait(self.clock.until(deadline), mail);
        if mail.is_empty() {
            mail.push(Mail::Input(Input::Woke { wall: wall::now() }));
        }
    }

    fn handle(&mut self, input: Input<'static>, out: &mut Vec<Output>) {
        self.data.note(&input);
        self.machine.handle(self.clock.now(), input, out);
        for output in out.drain(..) {
            self.carry_out(output);
        }
        self.data.save_if_due(&self.machine);
        if self.orders.iter().any(|orders| orders.len() >= HANDED_OVER_AT) {
            self.hand_over();
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.send(to, &message),
            Output::Close { connection, reason } => {
                tracing::debug!(%connection, "closing a connection: {reason}");
                let order = if reason.makes_room() { Order::Cut(connection) } else { Order::Finish(connection) };
                self.orders[self.shards.of(connection)].push(order);
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

    /// Encodes a message once, and notes it once for each shard that it concerns.
    fn send(&mut self, to: Vec<ConnectionId>, message: &ServerMessage) {
        let frame = codec::encode(message);
        if let [connection] = to[..] {
            return self.orders[self.shards.of(connection)].push(Order::Deliver(to, frame));
        }
        let mut parts = vec![Vec::new(); self.shards.count()];
        for connection in to {
            parts[self.shards.of(connection)].push(connection);
        }
        for (orders, part) in self.orders.iter_mut().zip(parts) {
            if !part.is_empty() {
                orders.push(Order::Deliver(part, frame.clone()));
            }
        }
    }

    /// Hands the shards what was noted for them, waiting for one that is behind.
    fn hand_over(&mut self) {
        for (shard, orders) in self.orders.iter_mut().enumerate() {
            self.shards.send(shard, orders);
        }
    }

    /// Answers what was asked, closes every connection (unless all are `closed`), commits what is queued.
    /// Requests are not heard any more.
    fn stop(mut self, mut closed: bool) {
        let give_up = self.clock.now() + STOP_DEADLINE;
        let (mut mail, mut out) = (Vec::new(), Vec::new());
        let mut closing = false;
        while !closed {
            if !closing && (self.data.is_settled() || give_up <= self.clock.now()) {
                closing = true;
                self.shards.close_all();
            }
            // After `close_all` the readers end within the shards' own bound, whatever the other ends do.
            self.next(&mut mail, if closing { None } else { Some(give_up) });
            for mail in mail.drain(..) {
                match mail {
                    Mail::Input(Input::Request { .. }) | Mail::Stop => {}
                    Mail::Input(input) => self.handle(input, &mut out),
                    Mail::AllClosed => closed = true,
                }
            }
            self.hand_over();
        }
        self.data.save(&self.machine);
    }
}
