//! The right password from the device on which the user is active already. Maybe the connection there is dead, and
//! nobody has noticed: its client is asked whether it is there. If it says anything, the login is refused; if it does not,
//! the login takes its place.

use core::time::Duration;
use std::collections::BTreeMap;

use super::attempts::Attempt;
use super::io::CloseReason;
use super::machine::Server;
use super::presence::Resumption;
use super::timeouts::Timeouts;
use super::turn::Turn;
use crate::id::ConnectionId;
use crate::machine::Usage;
use crate::name::UserName;
use crate::time::Instant;
use crate::wire::limits::MAX_CONNECTIONS;
use crate::wire::message::{Event, LoginRefusal};

/// How long a client may take to say that it is there: several times the round trip to the other side of the world.
const PATIENCE: Duration = Duration::from_secs(2);

/// The logins that wait for the word of another connection.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    waiting: BTreeMap<UserName, (u64, Attempt)>,
    users: BTreeMap<u64, UserName>,
    timeouts: Timeouts<u64>,
    /// Of the newest one.
    number: u64,
}

impl Fencing {
    /// When the next client has taken too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    fn wait(&mut self, until: Instant, user: UserName, attempt: Attempt) {
        self.number += 1;
        self.timeouts.start(until, self.number);
        self.users.insert(self.number, user.clone());
        self.waiting.insert(user, (self.number, attempt));
    }

    /// The login that waits for this user's client, from now on no more.
    fn take(&mut self, user: &UserName) -> Option<Attempt> {
        let (number, attempt) = self.waiting.remove(user)?;
        self.timeouts.cancel(number);
        self.users.remove(&number);
        Some(attempt)
    }

    /// A login that has waited long enough, and for whom.
    fn expire(&mut self, now: Instant) -> Option<(UserName, Attempt)> {
        let number = self.timeouts.expire(now)?;
        let user = self.users.remove(&number)?;
        let (_, attempt) = self.waiting.remove(&user)?;
        Some((user, attempt))
    }

    /// The connection of a login is gone.
    pub(super) fn abandon(&mut self, connection: ConnectionId) {
        let of = |(_, attempt): &(u64, Attempt)| attempt.connection == connection;
        let user = self.waiting.iter().find(|(_, it)| of(it)).map(|(user, _)| user.clone());
        drop(user.and_then(|user| self.take(&user)));
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("logins that wait for another connection", self.waiting.len(), MAX_CONNECTIONS));
        each(self.timeouts.usage("timeouts of fenced connections", MAX_CONNECTIONS));
    }
}

impl Server {
    /// The password was right, and the user is active.
    pub(super) fn log_in_again(&mut self, turn: &mut Turn<'_>, user: UserName, attempt: Attempt) {
        let device = self.connections.get(&attempt.connection).and_then(|it| it.device);
        let Some(session) = self.sessions.get(&user) else { return };
        let same_device = Some(session.device) == device && session.resumption != Resumption::Never;
        match session.connection {
            None if same_device => self.take_over(turn, user, &attempt),
            Some(connection) if same_device && !self.fencing.waiting.contains_key(&user) => {
                turn.event(vec![connection], Event::Ping);
                self.fencing.wait(turn.now + PATIENCE, user, attempt);
            }
            _ => self.login_failed(turn, user.as_str(), &attempt, LoginRefusal::AlreadyActive),
        }
    }

    /// The client of an active user has said something: it is there.
    pub(super) fn is_there(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        if let Some(attempt) = self.fencing.take(user) {
            self.login_failed(turn, user.as_str(), &attempt, LoginRefusal::AlreadyActive);
        }
    }

    /// The connection of an active user is gone: whether a login takes its place.
    pub(super) fn is_not_there(&mut self, turn: &mut Turn<'_>, user: &UserName) -> bool {
        let Some(attempt) = self.fencing.take(user) else { return false };
        self.take_over(turn, user.clone(), &attempt);
        true
    }

    /// One client that has said nothing for too long loses its session; whether there was one.
    pub(super) fn expire_fence(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some((user, attempt)) = self.fencing.expire(turn.now) else { return false };
        if let Some(connection) = self.sessions.get(&user).and_then(|it| it.connection) {
            self.close(turn, connection, CloseReason::Superseded);
        }
        self.take_over(turn, user, &attempt);
        true
    }

    /// The password of a login that waits is right no more, or there is no such account.
    pub(super) fn end_fence(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        if let Some(attempt) = self.fencing.take(user) {
            self.login_failed(turn, user.as_str(), &attempt, LoginRefusal::InvalidCredentials);
        }
    }

    fn take_over(&mut self, turn: &mut Turn<'_>, user: UserName, attempt: &Attempt) {
        self.end_session(turn, &user, false);
        if self.is_open(attempt.connection) {
            self.start_session(turn, user, attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::wire::message::{ReplyBody, RequestBody};

    /// Two clients are asked at the same time: one answers, the other does not.
    #[test]
    fn each_login_waits_for_its_own_connection() {
        let mut world = World::with_grace(&["a", "b"], Duration::from_secs(60));
        let before = world.login_all(["a", "b"]);
        let asked = [("a", before[0]), ("b", before[1])].map(|(user, before)| {
            let connection = world.connect_on(device(before));
            (connection, world.try_login(connection, user, &password_of(user)))
        });
        assert_eq!(world.ask(before[0], RequestBody::Ping), ReplyBody::Done);
        world.advance(Duration::from_secs(3));
        let replies = asked.map(|(connection, login)| world.reply(connection, login));
        assert_eq!(replies[0], Some(ReplyBody::LoginFailed(LoginRefusal::AlreadyActive)));
        assert!(matches!(replies[1], Some(ReplyBody::Welcome { .. })), "{:?}", replies[1]);
        assert_eq!(world.closed, [(before[1], CloseReason::Superseded)].into());
    }
}
