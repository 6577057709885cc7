//! Logging in: a password is compared off this thread, failures are counted, and too many of them block the
//! name.

use core::time::Duration;

use rand_chacha::rand_core::Rng;

use super::activity::Activity;
use super::attempts::Attempt;
use super::connections::State;
use super::fact::Fact;
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::pending::Proposal;
use super::turn::Turn;
use crate::address::Network;
use crate::id::{CheckId, ConnectionId, RequestId};
use crate::secure::{Password, PasswordHash};
use crate::time::Timestamp;
use crate::wire::limits::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES};
use crate::wire::message::{LoginRefusal, Refusal, ReplyBody};

/// Who meets a busy server comes again after this time and up to as much again, not all at once.
const BUSY_RETRY_MS: u64 = 500;

/// What somebody typed.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: Password,
    pub(super) udp_port: u16,
}

impl Server {
    pub(super) fn login_requested(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        request: RequestId,
        typed: Credentials,
    ) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        if it.state != State::Fresh {
            return turn.reply(connection, request, ReplyBody::Refused(Refusal::OutOfOrder));
        }
        if typed.name.len() > MAX_NAME_BYTES || typed.password.0.len() > MAX_PASSWORD_BYTES {
            return self.close(turn, connection, CloseReason::LimitBroken);
        }
        let address = it.address;
        let Credentials { name, password, udp_port } = typed;
        let name = self.conference.accounts.spelling(&name).into_owned();
        self.logs_in(connection, name.clone());
        let attempt = Attempt { connection, request, address, udp_port, password };
        if let Some(refused) = self.refused_unchecked(turn, &name, &attempt) {
            self.login_failed(turn, &name, &attempt, refused);
        } else if self.attempts.is_full_for(address) {
            let retry_after_ms = BUSY_RETRY_MS + self.random.next_u64() % BUSY_RETRY_MS;
            self.login_failed(turn, &name, &attempt, LoginRefusal::Busy { retry_after_ms });
        } else {
            self.attempts.wait(&name, attempt);
            self.next_attempt(turn, &name);
        }
    }

    pub(super) fn password_checked(&mut self, turn: &mut Turn<'_>, check: CheckId, matches: bool) {
        let Some((name, attempt, against)) = self.attempts.checked(check) else { return };
        let user = self.conference.accounts.find(&name).cloned();
        if against != *self.hash_for(&name) {
            // The account or its password has changed meanwhile.
            self.attempts.wait_first(&name, attempt);
        } else if let Some(blocked) = self.blocked(turn, &name) {
            self.count_for_notice(&name);
            self.login_failed(turn, &name, &attempt, blocked);
        } else if let (true, Some(user)) = (matches, user) {
            self.blocks.succeed(&name);
            self.failing_networks.succeed(Network::of(attempt.address), &name);
            if self.sessions.contains_key(&user) {
                self.log_in_again(turn, user, attempt);
            } else if self.is_open(attempt.connection) {
                self.start_session(turn, user, &attempt);
            }
        } else {
            self.password_was_wrong(turn, &name, attempt);
        }
        self.next_attempt(turn, &name);
    }

    /// A block was committed (or could not be: that the disk fails must not open the door to guesses).
    pub(super) fn apply_block(&mut self, turn: &mut Turn<'_>, name: &str, since: Timestamp) {
        let whole = self.settings.block;
        let lasts = if turn.recovering { self.rest_of_block(turn, since) } else { whole };
        let has_account = self.conference.accounts.find(name).is_some();
        let over = turn.recovering && lasts == Duration::ZERO;
        if !over && self.blocks.remaining(name, turn.now).is_none() {
            self.blocks.block(name, has_account, turn.now + lasts);
        }
        if let Some(attempt) = self.attempts.blocked(name) {
            // An operator may want blocks of no time.
            let blocked = self.blocked(turn, name).unwrap_or(LoginRefusal::Blocked { retry_after_ms: 0 });
            self.login_failed(turn, name, &attempt, blocked);
        }
        self.next_attempt(turn, name);
    }

    /// What is left of a block that was made before this server started. No clock that was set back makes it
    /// longer than a whole one.
    fn rest_of_block(&self, turn: &Turn<'_>, since: Timestamp) -> Duration {
        since.saturating_add(self.settings.block).saturating_since(turn.wall).min(self.settings.block)
    }

    fn password_was_wrong(&mut self, turn: &mut Turn<'_>, name: &str, attempt: Attempt) {
        let has_account = self.conference.accounts.find(name).is_some();
        self.failing_networks.fail(Network::of(attempt.address), name, turn.now);
        self.count_for_notice(name);
        if self.blocks.fail(name, has_account) < self.settings.attempts {
            return self.login_failed(turn, name, &attempt, LoginRefusal::InvalidCredentials);
        }
        self.attempts.block(name, attempt);
        let fact = Fact::Blocked { name: name.to_owned(), at: turn.wall };
        self.propose(turn, Proposal::Block { name: name.to_owned() }, fact);
    }

    /// Answers the waiting logins of a blocked name; otherwise checks the next one, if it is its turn.
    fn next_attempt(&mut self, turn: &mut Turn<'_>, name: &str) {
        while let Some(attempt) = self.attempts.take_next(name) {
            if !self.is_open(attempt.connection) {
                continue;
            }
            if let Some(refused) = self.refused_unchecked(turn, name, &attempt) {
                self.login_failed(turn, name, &attempt, refused);
            } else {
                let hash = self.hash_for(name).clone();
                let password = attempt.password.clone();
                let check = self.attempts.check(name, attempt, hash.clone());
                turn.out.push(Output::CheckPassword { check, password, hash });
            }
        }
    }

    pub(super) fn login_failed(&mut self, turn: &mut Turn<'_>, name: &str, attempt: &Attempt, refusal: LoginRefusal) {
        if self.is_open(attempt.connection) {
            turn.reply(attempt.connection, attempt.request, ReplyBody::LoginFailed(refusal));
            self.is_fresh_again(turn, attempt.connection);
        }
        turn.activity(Activity::LoginFailed { name: name.to_owned(), address: attempt.address, refusal });
    }

    /// Why a login is refused whatever its password is: its name is blocked, or too many names have failed from where
    /// it comes. The latter does not count against the name.
    fn refused_unchecked(&mut self, turn: &Turn<'_>, name: &str, attempt: &Attempt) -> Option<LoginRefusal> {
        if let Some(blocked) = self.blocked(turn, name) {
            self.count_for_notice(name);
            return Some(blocked);
        }
        let remaining = self.failing_networks.remaining(Network::of(attempt.address), turn.now)?;
        Some(LoginRefusal::Busy { retry_after_ms: millis_rounded_up(remaining) })
    }

    /// A login failed, of which the user is told when they next log in.
    fn count_for_notice(&mut self, name: &str) {
        if let Some(user) = self.conference.accounts.find(name) {
            self.failed_logins.add(user);
        }
    }

    fn blocked(&self, turn: &Turn<'_>, name: &str) -> Option<LoginRefusal> {
        let remaining = self.blocks.remaining(name, turn.now)?;
        Some(LoginRefusal::Blocked { retry_after_ms: millis_rounded_up(remaining) })
    }

    /// What a login of this name is compared with: without an account a decoy, so that it costs the same.
    fn hash_for(&self, name: &str) -> &PasswordHash {
        self.conference.accounts.hash(name).unwrap_or(&self.decoy)
    }
}

/// Who comes again after this time is not too early.
pub(super) fn millis_rounded_up(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
