//! The machine: what comes in is given to its place, and commands wait for their turn.

use std::collections::VecDeque;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::answers::Answers;
use super::command::Command;
use super::ending::{CatchingUp, Ending};
use super::event::{Event, Failure};
use super::history::Gathering;
use super::io::{AcceptPolicy, Input, Output};
use super::offering::{Offering, Opened};
use super::people::People;
use super::positions::Positions;
use super::receipts::Receipts;
use super::reconnecting::Reconnecting;
use super::requests::{MAX_COMMANDS_IN_FLIGHT, Requests};
use super::transfers::Transfers;
use crate::machine::Machine;
use crate::name::UserName;
use crate::secure::{PublicKey, SecretKey};
use crate::time::Instant;

/// Commands that wait for their turn: a script's burst, at most 64 MiB of text.
pub(super) const MAX_WAITING_COMMANDS: usize = 4_096;

/// One user's client, for one session: across connections, once that was granted.
#[derive(Debug)]
pub struct Client {
    pub(super) accept: AcceptPolicy,
    pub(super) udp_port: u16,
    /// The key of this device.
    pub(super) device: SecretKey,
    /// By which other devices know this one.
    pub(super) public: PublicKey,
    pub(super) random: ChaCha20Rng,
    pub(super) connection: Connection,
    /// The server's, once it has proved it.
    pub(super) server_key: Option<PublicKey>,
    /// Who is logged in.
    pub(super) user: Option<UserName>,
    /// Whether a login has no reply yet.
    pub(super) logging_in: bool,
    /// Commands that have not started.
    pub(super) waiting: VecDeque<Command>,
    pub(super) requests: Requests,
    pub(super) answers: Answers,
    pub(super) history: Option<Gathering>,
    pub(super) offering: Option<Offering>,
    pub(super) last_source: u64,
    pub(super) transfers: Transfers,
    pub(super) receipts: Receipts,
    pub(super) positions: Positions,
    pub(super) reconnecting: Reconnecting,
    pub(super) people: People,
    /// Offers that were not sealed for this device, or by another one than the server said.
    pub(super) unopened_offers: u64,
    /// Whether to log out once there is nothing left to do.
    pub(super) finishing: bool,
    /// How far finishing has come.
    pub(super) catching_up: CatchingUp,
    /// Set when the session is on its way out.
    pub(super) ending: Option<Ending>,
}

/// The connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Not there yet.
    Awaited,
    Open,
    /// Gone, and the last event has been shown.
    Over,
}

impl Client {
    /// A client that is about to be connected, on the device with this key. `udp_port` is the one really bound; `seed`
    /// must be random and used for nothing else; `reconnect` says whether it comes back when its connection is lost.
    pub fn new(accept: AcceptPolicy, udp_port: u16, device: SecretKey, seed: [u8; 32], reconnect: bool) -> Client {
        Client {
            accept,
            udp_port,
            public: device.public(),
            device,
            random: ChaCha20Rng::from_seed(seed),
            connection: Connection::Awaited,
            server_key: None,
            user: None,
            logging_in: false,
            waiting: VecDeque::new(),
            requests: Requests::default(),
            answers: Answers::default(),
            history: None,
            offering: None,
            last_source: 0,
            transfers: Transfers::default(),
            receipts: Receipts::default(),
            positions: Positions::default(),
            reconnecting: Reconnecting::new(reconnect),
            people: People::default(),
            unopened_offers: 0,
            finishing: false,
            catching_up: CatchingUp::No,
            ending: None,
        }
    }

    /// How many offers could not be opened, and were refused without showing them.
    pub fn unopened_offers(&self) -> u64 {
        self.unopened_offers
    }

    fn take(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected { server_key, people } if self.connection == Connection::Awaited => {
                self.connection = Connection::Open;
                self.people = People::new(people);
                self.server_key = Some(server_key);
            }
            Input::Connected { server_key, .. } => self.connected_again(now, server_key, out),
            Input::NotConnected { reason, server_key_changed } => {
                self.not_connected(now, reason, server_key_changed, out);
            }
            Input::Disconnected { reason } => self.disconnected(now, reason, out),
            Input::Stopped => self.lost("the client was stopped".to_owned(), out),
            Input::Message(message) => self.message(now, message, out),
            Input::Command(Command::Finish) => self.finishing = true,
            Input::Command(command) => self.enqueue(command, out),
            Input::SourceOpened { source, label, bytes, listing } => {
                self.source_opened(source, Opened { label, bytes: Some(bytes), listing }, out);
            }
            Input::SourceFailed { source, missing, reason } => self.source_failed(source, missing, reason, out),
            Input::Report(report) => self.report(now, report, out),
            Input::NotRemembered { user, reason } => {
                out.push(Output::Event(Event::NotRemembered { user, reason }));
            }
            Input::Woke => {}
        }
    }

    fn enqueue(&mut self, command: Command, out: &mut Vec<Output>) {
        if self.is_leaving() {
            out.push(Output::Event(Event::Error(Failure::NotLoggedIn)));
        } else if self.waiting.len() >= MAX_WAITING_COMMANDS {
            out.push(Output::Event(Event::Error(Failure::Busy)));
        } else {
            self.waiting.push_back(command);
        }
    }

    /// Does everything that has become possible.
    fn advance(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.waiting.front().is_some_and(|command| self.may_start(command))
            && let Some(command) = self.waiting.pop_front()
        {
            match command {
                Command::Logout if self.user.is_some() => self.log_out(now, out),
                command => self.start(now, command, out),
            }
        }
        self.accept_by_policy(out);
        self.requests.send_own(out);
        self.go_on_ending(now, out);
    }

    /// Whether it is the turn of the first command that waits.
    ///
    /// Posts go out one after the other without waiting for their confirmations. All else waits for the
    /// answers before it, so that a script sees the effects of its own commands: a room that was built can be
    /// written to, and what was posted is read. Transfers are managed here, however long a history takes.
    fn may_start(&self, command: &Command) -> bool {
        if self.logging_in || !self.reconnecting.is_online() {
            return false;
        }
        if self.user.is_none() {
            return self.connection == Connection::Open || !matches!(command, Command::Login { .. });
        }
        match command {
            Command::Broadcast { .. } | Command::RoomMessage { .. } | Command::DirectMessage { .. } => {
                let room = self.requests.has_room() && self.answers.len() < MAX_COMMANDS_IN_FLIGHT;
                room && self.requests.are_posts() && self.offering.is_none()
            }
            Command::Accept { .. }
            | Command::AcceptStream { .. }
            | Command::Reject { .. }
            | Command::Cancel { .. }
            | Command::Transfers => self.requests.has_room() && self.offering.is_none(),
            _ => self.is_idle(),
        }
    }

    /// Whether every command that has started is answered.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.of_commands() == 0 && self.answers.len() == 0 && self.offering.is_none()
    }
}

impl Machine for Client {
    type Input<'a> = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.connection == Connection::Over {
            // A file that was being opened when the connection ended is not needed any more.
            if let Input::SourceOpened { source, .. } = input {
                out.push(Output::CloseSource { source });
            }
            return;
        }
        self.expire(now, out);
        if self.connection != Connection::Over {
            self.take(now, input, out);
        }
        if self.connection != Connection::Over {
            self.advance(now, out);
        }
        if self.connection != Connection::Over {
            self.watch(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.connection == Connection::Over {
            return None;
        }
        let ending = self.ending.as_ref().map(Ending::until);
        [ending, self.transfers.given_up_at(), self.reconnecting.deadline()].into_iter().flatten().min()
    }
}
