//! Logging in: one password of a name is checked at a time, and every failure counts.

use std::collections::VecDeque;

use toom_core::id::{ConnectionId, RequestId};
use toom_core::secure::Password;
use toom_core::server::fact::Fact;
use toom_core::server::io::CloseReason;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES};
use toom_core::wire::message::{Event, LoginRefusal, Refusal, ReplyBody, RequestBody};

use super::super::super::operations::messages::{PASSWORDS, name as user_name};
use super::{ATTEMPTS, BLOCK_MS, Model, Session, State};

/// A login with the password that accounts have at first.
pub fn login(name: &str) -> RequestBody {
    RequestBody::Login { name: name.to_owned(), password: Password(PASSWORDS[0].to_owned()), udp_port: 6_000 }
}

#[derive(Clone, Debug)]
pub(super) struct Attempt {
    connection: ConnectionId,
    request: RequestId,
    password: String,
    udp_port: u16,
}

#[derive(Clone, Debug)]
enum First {
    /// With the password that the account had when it began; `None` without an account.
    Checking {
        attempt: Attempt,
        right: Option<usize>,
    },
    Blocking(Attempt),
}

/// The logins of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    first: Option<First>,
    waiting: VecDeque<Attempt>,
}

impl Model {
    pub(super) fn login(&mut self, connection: ConnectionId, request: RequestId, typed: (String, String, u16)) {
        let (name, password, udp_port) = typed;
        if self.connections[&connection].state != State::Fresh {
            return self.reply(connection, request, ReplyBody::Refused(Refusal::OutOfOrder));
        }
        if name.len() > MAX_NAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
            return self.close(connection, CloseReason::LimitBroken);
        }
        self.set_state(connection, State::LoggingIn(name.clone()));
        let attempt = Attempt { connection, request, password, udp_port };
        match self.blocked(&name) {
            Some(refusal) => {
                self.count_failed(&name);
                self.login_failed(&attempt, refusal);
            }
            None => {
                self.logins.entry(name.clone()).or_default().waiting.push_back(attempt);
                self.next_login(&name);
            }
        }
    }

    /// A check that is done.
    pub(super) fn check(&mut self, which: u8) {
        let Some(name) = super::take(which, &mut self.checking) else { return };
        let right_now = self.accounts.get(name.as_str()).copied();
        let queue = self.logins.entry(name.clone()).or_default();
        let Some(First::Checking { attempt, right }) = queue.first.take() else { panic!("no such check") };
        if right != right_now {
            queue.waiting.push_front(attempt);
        } else if let Some(refusal) = self.blocked(&name) {
            self.count_failed(&name);
            self.login_failed(&attempt, refusal);
        } else if self.is_right(&name, &attempt.password) {
            self.logged_in(&name, &attempt);
        } else {
            self.wrong(&name, attempt);
        }
        self.next_login(&name);
    }

    pub(super) fn block(&mut self, name: &str) {
        if self.blocked(name).is_none() {
            self.failures.insert(name.to_owned(), 0);
            self.blocked_until.insert(name.to_owned(), self.ms + BLOCK_MS);
        }
        let queue = self.logins.entry(name.to_owned()).or_default();
        if let Some(First::Blocking(attempt)) = queue.first.take_if(|first| matches!(first, First::Blocking(_)))
            && let Some(refusal) = self.blocked(name)
        {
            self.login_failed(&attempt, refusal);
        }
        self.next_login(name);
    }

    pub(super) fn abandon_login(&mut self, name: &str, connection: ConnectionId) {
        if let Some(queue) = self.logins.get_mut(name) {
            queue.waiting.retain(|attempt| attempt.connection != connection);
        }
    }

    fn logged_in(&mut self, name: &str, attempt: &Attempt) {
        self.failures.remove(name);
        self.blocked_until.remove(name);
        let user = user_name(name);
        if self.active.contains_key(&user) {
            return self.login_failed(attempt, LoginRefusal::AlreadyActive);
        }
        let connection = attempt.connection;
        if !self.is_open(connection) {
            return;
        }
        self.set_state(connection, State::Active(user.clone()));
        let failed_logins = self.failed_logins.remove(&user).unwrap_or(0);
        self.reply(connection, attempt.request, ReplyBody::Welcome { user: user.clone(), failed_logins });
        self.tell_all_but(&user, &Event::Joined { user: user.clone() });
        let (since, udp_port) = (Timestamp::from_millis(self.wall), attempt.udp_port);
        self.active.insert(user.clone(), Session { connection, since, udp_port });
        self.tell_missed(&user);
        let device = self.device(&user);
        if self.known_devices.get(&user).is_none_or(|known| !known.contains(&device)) {
            let fact = Fact::DeviceAdded { name: user, device, at: Timestamp::from_millis(self.wall) };
            self.proposals.push_back((None, fact));
        }
    }

    fn wrong(&mut self, name: &str, attempt: Attempt) {
        self.count_failed(name);
        let failures = self.failures.entry(name.to_owned()).or_default();
        *failures += 1;
        if *failures < ATTEMPTS {
            return self.login_failed(&attempt, LoginRefusal::InvalidCredentials);
        }
        self.logins.entry(name.to_owned()).or_default().first = Some(First::Blocking(attempt));
        let fact = Fact::Blocked { name: name.to_owned(), at: Timestamp::from_millis(self.wall) };
        self.proposals.push_back((None, fact));
    }

    fn next_login(&mut self, name: &str) {
        let refusal = self.blocked(name);
        let right = self.accounts.get(name).copied();
        let queue = self.logins.entry(name.to_owned()).or_default();
        if queue.first.is_some() {
            return;
        }
        if let Some(refusal) = refusal {
            let waiting = std::mem::take(&mut queue.waiting);
            for attempt in waiting {
                if self.is_open(attempt.connection) {
                    self.count_failed(name);
                    self.login_failed(&attempt, refusal);
                }
            }
            return;
        }
        // Those whose connection is gone meanwhile are passed over.
        while let Some(attempt) = self.logins.get_mut(name).and_then(|queue| queue.waiting.pop_front()) {
            if self.is_open(attempt.connection) {
                self.logins.entry(name.to_owned()).or_default().first = Some(First::Checking { attempt, right });
                return self.checking.push(name.to_owned());
            }
        }
    }

    /// A user will be told of a login that failed.
    fn count_failed(&mut self, name: &str) {
        if let Some((user, _)) = self.accounts.get_key_value(name) {
            *self.failed_logins.entry(user.clone()).or_default() += 1;
        }
    }

    fn login_failed(&mut self, attempt: &Attempt, refusal: LoginRefusal) {
        if self.is_open(attempt.connection) {
            self.set_state(attempt.connection, State::Fresh);
            self.reply(attempt.connection, attempt.request, ReplyBody::LoginFailed(refusal));
        }
    }

    fn blocked(&self, name: &str) -> Option<LoginRefusal> {
        let until = self.blocked_until.get(name).filter(|until| **until > self.ms)?;
        Some(LoginRefusal::Blocked { retry_after_ms: until - self.ms })
    }

    fn set_state(&mut self, connection: ConnectionId, state: State) {
        self.connections.get_mut(&connection).expect("a connection").state = state;
    }
}
