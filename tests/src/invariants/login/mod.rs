//! Login and blocking: a model of who may log in, and when.
//!
//! The model follows every login from its request to its answer. For each name there is a count of failures
//! and the end of a block (`guards`), and a line of logins: the first one is being decided, the others wait. A
//! password counts when its check comes back; what is then to be answered is known at once, and is compared
//! with what the server says before it hears the next thing.

mod addresses;
mod fences;
mod guards;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use toom_core::id::{CheckId, ConnectionId, RequestId, Ticket};
use toom_core::name::UserName;
use toom_core::secure::{Password, PasswordHash};
use toom_core::server::Settings;
use toom_core::server::fact::{Committed, Fact};
use toom_core::server::io::{Input, Output};
use toom_core::wire::limits::{
    MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_PASSWORD_CHECKS, MAX_PASSWORD_CHECKS_PER_ADDRESS,
};
use toom_core::wire::message::{LoginRefusal, Reply, ReplyBody, Request, RequestBody, ServerMessage};

use self::addresses::{Addresses, Origin};
use self::fences::{Fence, Fences};
use self::guards::Guards;
use super::model::Sessions;
use super::spelling::spelled;
use super::{Broken, Checker, Moment, Observation, ensure};

/// The Nth consecutive failure blocks: none before it, and no guess after it.
pub const EXACTLY_N: &str = "login: exactly N consecutive failures block";
/// What is counted begins anew with a success.
pub const SUCCESS_RESETS: &str = "login: a success resets the count";
/// During a block every login of the name is refused.
pub const REFUSES_ALL: &str = "login: a block refuses every password, the right one too";
/// Who tries during a block changes nothing.
pub const TRIES_CHANGE_NOTHING: &str = "login: attempts during a block neither extend it nor count";
/// A block is a fact.
pub const SURVIVES: &str = "login: a block survives the end of the server";
/// A block ends.
pub const NEVER_LONGER: &str = "login: no block lasts longer than its time, whatever the clocks do";
/// Who waits as long as was said is not refused again.
pub const RETRY_AFTER: &str = "login: retry_after is the rest of the block";
/// Nobody learns who is active without a password.
pub const ALREADY_ACTIVE: &str =
    "login: already_active is said after the right password of an active user, and only then";
/// Others' attempts and blocks end no session.
pub const SESSIONS_STAY: &str = "login: attempts and blocks leave live sessions untouched";
/// Fifty guesses at once are fifty guesses one after the other.
pub const ONE_CHECK: &str = "login: one password of a name is checked at a time";
/// Names cannot be guessed.
pub const UNKNOWN_ALIKE: &str = "login: a name without an account is treated like one that has one";
/// The answer is that of the check.
pub const RIGHT_ANSWER: &str = "login: the right password logs in, and no other does";
/// One answer, soon.
pub const ANSWERED: &str = "login: every login is answered once";
/// Busy is no excuse.
pub const BUSY: &str = "login: busy is said only while too many logins are under way";
/// Whoever tries a few passwords of each of many names is stopped, and nobody else.
pub const MANY_NAMES: &str = "login: where too many names fail every login is refused unchecked, until few enough have";
/// Users hear of it.
pub const TOLD: &str = "login: who logs in is told how many logins have failed since they last did";

/// When nothing goes wrong, a login is answered within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches all logins.
#[derive(Debug, Default)]
pub struct Login {
    run: Option<Run>,
    sessions: Sessions,
}

/// What is known of one run of the server.
#[derive(Debug)]
struct Run {
    settings: Settings,
    accounts: BTreeMap<UserName, PasswordHash>,
    guards: Guards,
    addresses: Addresses,
    fences: Fences,
    /// How many logins of each account failed since the last one that succeeded.
    failed: BTreeMap<UserName, u32>,
    /// Where those connections come from that have not done their handshake.
    handshaking: BTreeMap<ConnectionId, Origin>,
    origins: BTreeMap<ConnectionId, Origin>,
    /// By name.
    lines: BTreeMap<String, Line>,
    checks: BTreeMap<CheckId, String>,
    connections: BTreeMap<ConnectionId, State>,
    /// Blocks on their way to the log.
    proposed: BTreeMap<Ticket, String>,
    /// What logins of names without an account are compared with.
    decoy: Option<PasswordHash>,
    /// What the input at hand is about, if it is about a login.
    subject: Option<Subject>,
}

/// The logins of one name that have no answer yet.
#[derive(Debug, Default)]
struct Line {
    first: Option<First>,
    waiting: VecDeque<Attempt>,
}

#[derive(Clone, Debug)]
struct Attempt {
    connection: ConnectionId,
    request: RequestId,
    origin: Origin,
    password: Password,
    since: Moment,
}

/// The login whose turn it is.
#[derive(Debug)]
enum First {
    /// Its password is being compared with this hash of an account, or else with the decoy.
    Checking(Attempt, Option<PasswordHash>),
    /// It was one failure too many, and waits for the block: whether that was proposed.
    Blocking(Attempt, bool),
    /// What it is to be answered.
    Decided(Attempt, Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Welcome,
    AlreadyActive,
    Wrong,
    Blocked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    LoggingIn(String, RequestId),
    Active(UserName),
}

#[derive(Clone, Debug)]
struct Subject {
    name: String,
    /// Whose request it is.
    connection: Option<ConnectionId>,
}

impl Checker for Login {
    fn observe(&mut self, at: Moment, what: &Observation<'_>) -> Result<(), Broken> {
        self.sessions.follow(at.now, what);
        match (what, &mut self.run) {
            (Observation::ServerStarts { settings, log }, run) => *run = Some(Run::start(at, *settings, log)),
            (Observation::ServerEnds(_), run) => *run = None,
            (Observation::ServerHears(input), Some(run)) => {
                run.all_said()?;
                run.fences.hears(at.now, input, &self.sessions)?;
                run.hears(at, input, &self.sessions);
            }
            (Observation::ServerSays(output), Some(run)) => run.says(at, output, &self.sessions)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, at: Moment) -> Result<(), Broken> {
        let Some(run) = &self.run else { return Ok(()) };
        run.all_said()?;
        let old = |attempt: &&Attempt| at.now - attempt.since.now > PATIENCE;
        let forgotten = run.lines.values().flat_map(Line::attempts).find(old);
        ensure(forgotten.is_none(), ANSWERED, || format!("{forgotten:?} has no answer"))
    }
}

impl Line {
    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let first = self.first.iter().map(|first| match first {
            First::Checking(attempt, _) | First::Blocking(attempt, _) | First::Decided(attempt, _) => attempt,
        });
        first.chain(&self.waiting)
    }
}

// What the server hears.
impl Run {
    fn start(at: Moment, settings: Settings, log: &[Committed]) -> Run {
        let mut run = Run {
            settings,
            accounts: BTreeMap::new(),
            guards: Guards::default(),
            addresses: Addresses::default(),
            fences: Fences::default(),
            failed: BTreeMap::new(),
            handshaking: BTreeMap::new(),
            origins: BTreeMap::new(),
            lines: BTreeMap::new(),
            checks: BTreeMap::new(),
            connections: BTreeMap::new(),
            proposed: BTreeMap::new(),
            decoy: None,
            subject: None,
        };
        for committed in log {
            match &committed.fact {
                // The rest of it by the wall clock, and never more than the whole.
                Fact::Blocked { name, at: since } => {
                    let rest = since.saturating_add(settings.block).saturating_since(at.wall).min(settings.block);
                    run.guards.block(name, run.has_account(name), at.now, rest, true);
                }
                fact => run.account(fact),
            }
        }
        run
    }

    fn hears(&mut self, at: Moment, input: &Input<'_>, sessions: &Sessions) {
        self.subject = None;
        match input {
            Input::Accepted { connection, address } => {
                self.handshaking.insert(*connection, Origin::of(*address));
            }
            Input::Connected { connection, .. } => {
                // The server may have closed it meanwhile.
                if let Some(origin) = self.handshaking.remove(connection) {
                    self.origins.insert(*connection, origin);
                    self.connections.insert(*connection, State::Fresh);
                }
            }
            Input::Disconnected { connection, .. } => self.gone(*connection),
            Input::Request {
                connection,
                request: Request { id, body: RequestBody::Login { name, password, .. } },
                ..
            } => {
                let Some(origin) = self.origins.get(connection).cloned() else { return };
                let (connection, request, password) = (*connection, *id, password.clone());
                self.requested(name, Attempt { connection, request, origin, password, since: at });
            }
            Input::PasswordChecked { check, matches, .. } => {
                if let Some(name) = self.checks.remove(check) {
                    self.subject = Some(Subject { name: name.clone(), connection: None });
                    self.checked(at, &name, *matches, sessions);
                }
            }
            Input::Committed { committed: Committed { ticket, fact, .. }, .. } => {
                ticket.and_then(|ticket| self.proposed.remove(&ticket));
                match fact {
                    Fact::Blocked { name, .. } => self.blocked(at, name),
                    fact => self.account(fact),
                }
            }
            Input::ProposalFailed { ticket } => {
                // A disk that fails does not open the door to guesses.
                if let Some(name) = self.proposed.remove(ticket) {
                    self.blocked(at, &name);
                }
            }
            _ => {}
        }
    }

    fn requested(&mut self, typed: &str, attempt: Attempt) {
        let (connection, request) = (attempt.connection, attempt.request);
        let too_long = typed.len() > MAX_NAME_BYTES || attempt.password.0.len() > MAX_PASSWORD_BYTES;
        let name = spelled(typed);
        match self.connections.get_mut(&connection) {
            Some(state) if *state == State::Fresh && !too_long => {
                *state = State::LoggingIn(name.clone(), request);
            }
            // It is out of order, and no try.
            _ => return,
        }
        self.subject = Some(Subject { name: name.clone(), connection: Some(connection) });
        self.lines.entry(name).or_default().waiting.push_back(attempt);
    }

    fn checked(&mut self, at: Moment, name: &str, matches: bool, sessions: &Sessions) {
        let Some(First::Checking(attempt, against)) = self.lines.get_mut(name).and_then(|line| line.first.take())
        else {
            return;
        };
        let user = self.accounts.get_key_value(name).map(|(user, _)| user.clone());
        if self.accounts.get(name) != against.as_ref() {
            // The account or its password was changed meanwhile: it is checked again, if anyone is still there.
            if self.connections.contains_key(&attempt.connection) {
                self.lines.entry(name.to_owned()).or_default().waiting.push_front(attempt);
            }
        } else if self.guards.rest(name, at.now).is_some() {
            self.count(name);
            self.decided(name, attempt, Answer::Blocked);
        } else if let (true, Some(user)) = (matches, &user) {
            self.guards.succeed(name);
            self.addresses.succeed(&attempt.origin, name);
            self.let_in(at, user, name, attempt, sessions);
        } else {
            self.count(name);
            self.addresses.fail(&attempt.origin, name, at.now);
            if self.guards.fail(name, user.is_some()) < self.settings.attempts {
                self.decided(name, attempt, Answer::Wrong);
            } else {
                self.lines.entry(name.to_owned()).or_default().first = Some(First::Blocking(attempt, false));
            }
        }
    }

    /// The right password. Who is active already on the same device is asked whether they are still there.
    fn let_in(&mut self, at: Moment, user: &UserName, name: &str, attempt: Attempt, sessions: &Sessions) {
        let session = sessions.get(user);
        let same = session.filter(|it| it.id.is_some() && sessions.device(attempt.connection) == Some(it.device));
        let hash = self.accounts.get(user).cloned();
        match (session, same) {
            (None, _) => self.decided(name, attempt, Answer::Welcome),
            (Some(_), Some(same)) if same.connection.is_none() => self.decided(name, attempt, Answer::Welcome),
            (Some(_), Some(_))
                if !self.fences.is_waiting(user) && self.connections.contains_key(&attempt.connection) =>
            {
                let (connection, request) = (attempt.connection, attempt.request);
                self.fences.wait(user, Fence { connection, request, since: at.now, hash });
            }
            _ => self.decided(name, attempt, Answer::AlreadyActive),
        }
    }

    /// A login failed that the user is to be told of.
    fn count(&mut self, name: &str) {
        if let Some((user, _)) = self.accounts.get_key_value(name) {
            *self.failed.entry(user.clone()).or_default() += 1;
        }
    }

    /// The block of a name is in the log, or could not be written there.
    fn blocked(&mut self, at: Moment, name: &str) {
        self.subject = Some(Subject { name: name.to_owned(), connection: None });
        self.guards.block(name, self.has_account(name), at.now, self.settings.block, false);
        let first =
            self.lines.get_mut(name).and_then(|line| line.first.take_if(|it| matches!(it, First::Blocking(..))));
        if let Some(First::Blocking(attempt, _)) = first {
            self.decided(name, attempt, Answer::Blocked);
        }
    }

    fn decided(&mut self, name: &str, attempt: Attempt, answer: Answer) {
        if self.connections.contains_key(&attempt.connection) {
            self.lines.entry(name.to_owned()).or_default().first = Some(First::Decided(attempt, answer));
        }
    }

    /// A connection ended. What is being checked counts all the same, or guesses could be hidden by hanging up.
    fn gone(&mut self, connection: ConnectionId) {
        self.handshaking.remove(&connection);
        self.origins.remove(&connection);
        self.fences.gone(connection);
        if let Some(State::LoggingIn(name, _)) = self.connections.remove(&connection)
            && let Some(line) = self.lines.get_mut(&name)
        {
            line.waiting.retain(|attempt| attempt.connection != connection);
            line.first.take_if(|it| matches!(it, First::Decided(attempt, _) if attempt.connection == connection));
        }
    }

    fn account(&mut self, fact: &Fact) {
        match fact {
            Fact::AccountAdded { name, hash } => {
                self.accounts.entry(name.clone()).or_insert_with(|| hash.clone());
            }
            Fact::PasswordChanged { name, hash } => {
                self.accounts.entry(name.clone()).and_modify(|old| *old = hash.clone());
            }
            Fact::AccountRemoved { name } => {
                self.accounts.remove(name);
                self.failed.remove(name);
            }
            _ => return,
        }
        if let Fact::AccountAdded { name, .. } | Fact::AccountRemoved { name } = fact {
            self.guards.account_changed(name.as_str(), self.has_account(name.as_str()));
        }
    }

    fn has_account(&self, name: &str) -> bool {
        self.accounts.contains_key(name)
    }
}

// What the server says.
impl Run {
    fn says(&mut self, at: Moment, output: &Output, sessions: &Sessions) -> Result<(), Broken> {
        match output {
            Output::Send { to, message: ServerMessage::Reply(Reply { id, body }) } => {
                for connection in to {
                    self.replies(at, *connection, *id, body, sessions)?;
                }
            }
            Output::CheckPassword { check, password, hash } => self.checks(at, *check, password, hash)?,
            Output::Propose { ticket, fact: Fact::Blocked { name, .. } } => self.proposes(*ticket, name)?,
            Output::Close { connection, .. } => {
                let own = self.subject.as_ref().is_none_or(|it| it.connection == Some(*connection));
                let active = matches!(self.connections.get(connection), Some(State::Active(_)));
                ensure(own || !active, SESSIONS_STAY, || format!("{connection} was closed over {:?}", self.subject))?;
                self.gone(*connection);
            }
            _ => {}
        }
        Ok(())
    }

    fn replies(
        &mut self,
        at: Moment,
        to: ConnectionId,
        id: RequestId,
        body: &ReplyBody,
        sessions: &Sessions,
    ) -> Result<(), Broken> {
        if let ReplyBody::Resumed { .. } = body {
            let user = sessions.on(to).cloned();
            self.connections.extend(user.map(|user| (to, State::Active(user))));
            return Ok(());
        }
        if let ReplyBody::LoginFailed(LoginRefusal::SessionOver) = body {
            let logging_in = matches!(self.connections.get(&to), Some(State::LoggingIn(_, request)) if *request == id);
            return ensure(!logging_in, RIGHT_ANSWER, || format!("{to} typed a password and is told {body:?}"));
        }
        if !matches!(body, ReplyBody::Welcome { .. } | ReplyBody::LoginFailed(_)) {
            return Ok(());
        }
        let asked = match self.connections.get(&to) {
            Some(State::LoggingIn(name, request)) if *request == id => Some(name.clone()),
            _ => None,
        };
        let Some(name) = asked else {
            return broken(ANSWERED, format!("{to} is answered {body:?}, and waits for no such answer"));
        };
        if let Some((user, fence)) = self.fences.take(to, id) {
            let hash = self.accounts.get(&user);
            self.fences.judge(at.now, &user, &fence, body, hash)?;
            return self.is_answered(to, body);
        }
        let line = self.lines.entry(name.clone()).or_default();
        let answer = match &line.first {
            Some(First::Decided(attempt, answer)) if attempt.connection == to => Some(*answer),
            Some(First::Blocking(attempt, _)) if attempt.connection == to => {
                let blocked = matches!(body, ReplyBody::LoginFailed(LoginRefusal::Blocked { .. }));
                let why = if blocked { SURVIVES } else { EXACTLY_N };
                return broken(why, format!("{name:?} is answered {body:?} before its block is in the log"));
            }
            _ => None,
        };
        match answer {
            Some(_) => line.first = None,
            None => line.waiting.retain(|attempt| attempt.connection != to),
        }
        self.judge(at, to, &name, answer, body)?;
        if answer.is_none() {
            self.guards.tried(&name);
            if matches!(body, ReplyBody::LoginFailed(LoginRefusal::Blocked { .. })) {
                self.count(&name);
            }
        }
        self.is_answered(to, body)
    }

    fn is_answered(&mut self, to: ConnectionId, body: &ReplyBody) -> Result<(), Broken> {
        if let ReplyBody::Welcome { user, failed_logins } = body {
            let failed = self.failed.remove(user).unwrap_or(0);
            ensure(*failed_logins == failed, TOLD, || format!("{user} is told of {failed_logins}, not {failed}"))?;
        }
        let state = if let ReplyBody::Welcome { user, .. } = body { State::Active(user.clone()) } else { State::Fresh };
        self.connections.insert(to, state);
        Ok(())
    }

    /// Compares what is said with what must be. Without an answer that follows a check the login was waiting.
    fn judge(
        &self,
        at: Moment,
        to: ConnectionId,
        name: &str,
        answer: Option<Answer>,
        body: &ReplyBody,
    ) -> Result<(), Broken> {
        let guard = self.guards.get(name);
        // A block of no time is over when it is said.
        let over = (answer == Some(Answer::Blocked)).then_some(Duration::ZERO);
        let rest = self.guards.rest(name, at.now).or(over);
        let words =
            || format!("{name:?} is answered {body:?}; it should be {answer:?}, with {guard:?} at {:?}", at.now);
        match body {
            ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms }) => {
                let too_long = if guard.tried { TRIES_CHANGE_NOTHING } else { NEVER_LONGER };
                let too_soon = if guard.until.is_some() { too_long } else { EXACTLY_N };
                let Some(rest) = rest else { return broken(too_soon, words()) };
                let right = rest.as_nanos().div_ceil(1_000_000);
                let why = if u128::from(*retry_after_ms) > self.settings.block.as_nanos().div_ceil(1_000_000) {
                    NEVER_LONGER
                } else if *retry_after_ms as u128 > right && guard.tried {
                    TRIES_CHANGE_NOTHING
                } else {
                    RETRY_AFTER
                };
                ensure(u128::from(*retry_after_ms) == right, why, words)
            }
            ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms })
                if let Some(refused) = self.refused(to, at) =>
            {
                let right = u128::from(*retry_after_ms) == refused.as_nanos().div_ceil(1_000_000);
                ensure(right && answer.is_none() && rest.is_none(), MANY_NAMES, words)
            }
            ReplyBody::LoginFailed(LoginRefusal::Busy { .. }) => {
                let under_way = || self.lines.values().flat_map(Line::attempts);
                let origin = self.origins.get(&to);
                let from_there = under_way().filter(|attempt| Some(&attempt.origin) == origin).count();
                let many = under_way().count() >= MAX_PASSWORD_CHECKS || from_there >= MAX_PASSWORD_CHECKS_PER_ADDRESS;
                ensure(many && answer.is_none() && rest.is_none(), BUSY, words)
            }
            _ if rest.is_some() => broken(if guard.from_before { SURVIVES } else { REFUSES_ALL }, words()),
            _ if answer.is_none() && !self.has_account(name) => broken(UNKNOWN_ALIKE, words()),
            ReplyBody::LoginFailed(LoginRefusal::AlreadyActive) => {
                ensure(answer == Some(Answer::AlreadyActive), ALREADY_ACTIVE, words)
            }
            _ if answer == Some(Answer::AlreadyActive) => broken(ALREADY_ACTIVE, words()),
            ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials) => {
                ensure(answer == Some(Answer::Wrong), RIGHT_ANSWER, words)
            }
            ReplyBody::Welcome { user, .. } => {
                ensure(answer == Some(Answer::Welcome) && user.as_str() == name, RIGHT_ANSWER, words)
            }
            _ => Ok(()),
        }
    }

    /// How long logins from where a connection comes are refused, if they are.
    fn refused(&self, connection: ConnectionId, at: Moment) -> Option<Duration> {
        self.addresses.rest(self.origins.get(&connection)?, at.now)
    }

    fn checks(&mut self, at: Moment, check: CheckId, password: &Password, hash: &PasswordHash) -> Result<(), Broken> {
        let Some(Subject { name, .. }) = self.subject.clone() else {
            return broken(ANSWERED, format!("{check:?} is made for nobody"));
        };
        let guard = self.guards.get(&name);
        if self.guards.rest(&name, at.now).is_some() {
            let why = if guard.from_before { SURVIVES } else { REFUSES_ALL };
            return broken(why, format!("a password of {name:?} is checked at {:?}, with {guard:?}", at.now));
        }
        let account = self.accounts.get(name.as_str()).cloned();
        if let Some(own) = &account {
            ensure(own == hash, RIGHT_ANSWER, || format!("{name:?} is compared with another hash than its own"))?;
        } else {
            let decoy = self.decoy.get_or_insert_with(|| hash.clone());
            ensure(decoy == hash, UNKNOWN_ALIKE, || format!("{name:?} is compared with another hash than others"))?;
        }
        let line = self.lines.entry(name.clone()).or_default();
        let why = if let Some(First::Blocking(..)) = line.first { EXACTLY_N } else { ONE_CHECK };
        ensure(line.first.is_none(), why, || format!("of {name:?}, while {:?}", line.first))?;
        let place = line.waiting.iter().position(|attempt| attempt.password == *password);
        let Some(attempt) = place.and_then(|place| line.waiting.remove(place)) else {
            return broken(ANSWERED, format!("nobody waits for a check of {name:?}"));
        };
        let refused = self.addresses.rest(&attempt.origin, at.now);
        ensure(refused.is_none(), MANY_NAMES, || {
            format!("a password of {name:?} is checked, and {attempt:?} refused")
        })?;
        line.first = Some(First::Checking(attempt, account));
        self.checks.insert(check, name);
        Ok(())
    }

    fn proposes(&mut self, ticket: Ticket, name: &str) -> Result<(), Broken> {
        match self.lines.get_mut(name).and_then(|line| line.first.as_mut()) {
            Some(First::Blocking(_, proposed)) if !*proposed => *proposed = true,
            first => {
                let first = format!("{first:?}");
                let guard = self.guards.get(name);
                let why = match &guard {
                    it if it.reset => SUCCESS_RESETS,
                    it if it.tried => TRIES_CHANGE_NOTHING,
                    _ => EXACTLY_N,
                };
                return broken(why, format!("{name:?} is to be blocked, with {guard:?} and {first}"));
            }
        }
        self.proposed.insert(ticket, name.to_owned());
        Ok(())
    }

    /// Before the server hears the next thing it has answered what it could.
    fn all_said(&self) -> Result<(), Broken> {
        let Some(Subject { name, .. }) = &self.subject else { return Ok(()) };
        let Some(line) = self.lines.get(name) else { return Ok(()) };
        match &line.first {
            Some(First::Blocking(_, false)) => broken(EXACTLY_N, format!("{name:?} is not to be blocked: {line:?}")),
            Some(First::Decided(..)) => broken(ANSWERED, format!("{name:?} is not answered: {line:?}")),
            None if !line.waiting.is_empty() => broken(ANSWERED, format!("{name:?} waits for nothing: {line:?}")),
            _ => Ok(()),
        }
    }
}

fn broken(invariant: &'static str, what: String) -> Result<(), Broken> {
    Err(Broken { invariant, what })
}
