//! What people do, done.

use core::time::Duration;

use toom_core::client::command::Command;
use toom_core::id::{OfferId, RoomId};
use toom_core::server::fact::Fact;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES};

use super::act::{Act, Since, Typed, Whom};
use super::person::State;
use super::stage::{Later, Stage, path_of};
use crate::scenario::steps::user;

/// An offer that nobody made.
const NO_OFFER: OfferId = OfferId(1_000_000);

impl Stage {
    /// A person does something.
    pub fn perform(&mut self, person: usize, act: &Act) {
        let number = person % self.people.len();
        if let Some(command) = self.command(number, act) {
            // Whoever wants something starts a client first.
            if self.people[number].state == State::Gone && !matches!(act, Act::LogOut | Act::Finish) {
                self.come_back(number);
            }
            self.ask(number, command);
            return;
        }
        match act {
            Act::LogIn { name, password } => {
                let (name, password) = (self.typed_name(*name), self.typed_password(*name, *password));
                self.log_in(number, &name, password);
            }
            Act::Guess { name, password, times, lasting } => {
                self.guess(*name, *password, *times, *lasting);
            }
            Act::HangUp => self.hang_up(number),
            Act::ComeBack => self.come_back(number),
            Act::Raw { beginning, then, lasting } => self.misbehave(number, *beginning, *then, *lasting),
            Act::LogInBeside { lasting } => self.log_in_beside(number, *lasting),
            Act::Claim { whose, secret, seen, lasting } => self.claim(number, *whose, (*secret, *seen), *lasting),
            Act::AddAccount => {
                let hash = self.people[number].hash().clone();
                self.simulation.append(Fact::AccountAdded { name: user(self.people[number].name), hash });
            }
            Act::RemoveAccount => {
                self.simulation.append(Fact::AccountRemoved { name: user(self.people[number].name) });
            }
            Act::ChangePassword => {
                let hash = self.people[number].new_password();
                self.simulation.append(Fact::PasswordChanged { name: user(self.people[number].name), hash });
            }
            _ => {}
        }
        self.listen();
    }

    /// What the person asks their client for, if that is all.
    fn command(&self, number: usize, act: &Act) -> Option<Command> {
        let person = &self.people[number];
        let offer = |among: &[OfferId], which: usize| among.get(which % (among.len() + 1)).copied().unwrap_or(NO_OFFER);
        Some(match act {
            Act::Broadcast(text) => Command::Broadcast { text: text.words() },
            Act::Direct { to, text } => Command::DirectMessage { to: self.typed_name(*to), text: text.words() },
            Act::BuildRoom { users } => {
                Command::BuildRoom { users: users.iter().map(|whom| self.typed_name(*whom)).collect() }
            }
            Act::RoomMessage { room, text } => Command::RoomMessage { room: RoomId(*room), text: text.words() },
            Act::Invite { room, user } => Command::Invite { room: RoomId(*room), user: self.typed_name(*user) },
            Act::Leave { room } => Command::Leave { room: RoomId(*room) },
            Act::History { kind, since } => Command::History { kind: *kind, since: self.moment(*since) },
            Act::Find { mark } => Command::Find { text: mark.to_string() },
            Act::Latest { room, count } => {
                Command::Latest { room: (*room > 0).then_some(RoomId(*room)), count: *count }
            }
            Act::ActiveUsers => Command::ActiveUsers,
            Act::Rooms => Command::Rooms,
            Act::SendFile { to, file } => Command::SendFiles { to: self.typed_name(*to), paths: vec![path_of(*file)] },
            Act::Accept { which } => Command::Accept { offer: offer(&person.offers, *which) },
            Act::Reject { which } => Command::Reject { offer: offer(&person.offers, *which) },
            Act::Cancel { which } => Command::Cancel { transfer: offer(&person.transfers, *which) },
            Act::Verify { user, confirm } => Command::Verify { user: self.typed_name(*user), confirm: *confirm },
            Act::Transfers => Command::Transfers,
            Act::LogOut => Command::Logout,
            Act::Finish => Command::Finish,
            _ => return None,
        })
    }

    pub(super) fn hang_up(&mut self, number: usize) {
        if let Some(client) = self.people[number].client {
            self.simulation.kill(client);
        }
    }

    /// A name, as typed.
    pub(super) fn typed_name(&self, whom: Whom) -> String {
        match whom {
            Whom::Person(number) => self.people[number % self.people.len()].name.to_owned(),
            Whom::Stranger => "palpatine".to_owned(),
            Whom::Nonsense => format!("no one; {}", "x".repeat(MAX_NAME_BYTES)),
        }
    }

    /// A password, as typed by who says that they are `whom`.
    pub(super) fn typed_password(&self, whom: Whom, typed: Typed) -> String {
        match (typed, whom) {
            (Typed::Right, Whom::Person(number)) => self.people[number % self.people.len()].password(),
            (Typed::Right | Typed::Wrong, _) => "a guess".to_owned(),
            (Typed::Empty, _) => String::new(),
            (Typed::Endless, _) => "x".repeat(MAX_PASSWORD_BYTES + 1),
        }
    }

    fn moment(&self, since: Since) -> Timestamp {
        match since {
            Since::Ever => Timestamp::from_millis(i64::MIN),
            Since::Ago(time) => {
                let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(self.wall().as_millis().saturating_sub(milliseconds))
            }
            Since::Never => Timestamp::from_millis(i64::MAX),
        }
    }

    pub(super) fn until(&mut self, raw: usize, lasting: Duration) {
        self.later(lasting, Later::EndRaw(raw));
    }
}
