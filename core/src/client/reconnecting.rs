//! A session outlives its connection: when that is lost, the client connects anew, says that it goes on, reads what
//! it missed, and asks again what was not answered.
//!
//! | stage | ends with |
//! |---|---|
//! | `Waiting` | its time, which doubles with each failure |
//! | `Connecting` | `Connected` or `NotConnected` |
//! | `Resuming` | the server's word whether the session goes on |
//! | `CatchingUp` | the last page of what was missed |
//!
//! Until then no command starts, and what is asked waits. Afterwards everything that has no answer is asked in the
//! order of its first asking and with the same ids, by which the server recognises posts that it has stored.

use core::time::Duration;

use rand_chacha::rand_core::Rng;

use super::commands::fail;
use super::event::{Event, Failure, TransferFailure};
use super::io::Output;
use super::liveness::{Liveness, Silence};
use super::requests::Asked;
use super::session::{Client, Connection};
use super::transfers::{Entry, Stage as TransferStage};
use crate::machine::earlier;
use crate::secure::{PublicKey, ResumeSecret};
use crate::time::Instant;
use crate::wire::message::{self as wire, LoginRefusal, PastMessage, Refusal, ReplyBody, RequestBody};

/// The longest wait before the first try.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait before any other: each may be twice as long as the one before.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The longest time for which a server may send a client away.
pub(super) const LONGEST_BUSY: Duration = Duration::from_secs(60);
/// How long the server may say nothing while a session is resumed.
pub(super) const RESUMING_PATIENCE: Duration = Duration::from_secs(25);
/// How long a script whose input has ended tries to come back.
pub(super) const FINISHING_PATIENCE: Duration = Duration::from_secs(60);

/// What is needed to come back, and how far that has come.
#[derive(Debug, Default)]
pub(super) struct Reconnecting {
    /// Whether this client comes back at all.
    wanted: bool,
    /// By which the session is resumed, once it was granted.
    secret: Option<ResumeSecret>,
    /// `None` while all is well.
    stage: Option<Stage>,
    /// Tries since the session was resumed last.
    tries: u32,
    /// What went wrong last, in words.
    why: String,
    /// When somebody who is finishing gives up.
    give_up: Option<Instant>,
    liveness: Liveness,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For the next try.
    Waiting { until: Instant },
    /// The driver is.
    Connecting,
    /// The server was asked.
    Resuming { until: Instant },
    /// Pages of what was missed are on their way.
    CatchingUp { until: Instant },
}

impl Reconnecting {
    pub(super) fn new(wanted: bool) -> Reconnecting {
        Reconnecting { wanted, ..Reconnecting::default() }
    }

    /// Whether the connection is there and nothing is to be caught up with.
    pub(super) fn is_online(&self) -> bool {
        self.stage.is_none()
    }

    /// Whether words of the server can be heard.
    fn is_connected(&self) -> bool {
        !matches!(self.stage, Some(Stage::Waiting { .. } | Stage::Connecting))
    }

    /// Whether the session goes on without its connection.
    fn can_resume(&self) -> bool {
        self.wanted && self.secret.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            None => self.can_resume().then(|| self.liveness.deadline()),
            Some(Stage::Connecting) => None,
            Some(Stage::Waiting { until } | Stage::Resuming { until } | Stage::CatchingUp { until }) => Some(until),
        };
        earlier(stage, self.give_up)
    }
}

// The connection comes and goes.
impl Client {
    /// The server can be resumed with from now on.
    pub(super) fn granted(&mut self, now: Instant, secret: ResumeSecret, positions: wire::Positions) {
        self.positions.granted(positions);
        self.reconnecting.secret = Some(secret);
        self.reconnecting.liveness.heard(now);
    }

    /// The driver has connected again.
    pub(super) fn connected_again(&mut self, now: Instant, server_key: PublicKey, out: &mut Vec<Output>) {
        if self.reconnecting.stage != Some(Stage::Connecting) {
            return;
        }
        if self.server_key != Some(server_key) {
            out.push(Output::Disconnect);
            return self.key_changed("the key of the server has changed".to_owned(), out);
        }
        let (Some(user), Some(secret)) = (self.user.clone(), self.reconnecting.secret.clone()) else { return };
        self.reconnecting.stage = Some(Stage::Resuming { until: now + RESUMING_PATIENCE });
        let (udp_port, positions) = (self.udp_port, self.positions.told());
        self.requests.ask_now(RequestBody::Resume { user, secret, udp_port, positions }, Asked::Resume, out);
    }

    /// The driver has tried in vain.
    pub(super) fn not_connected(&mut self, now: Instant, reason: String, key_changed: bool, out: &mut Vec<Output>) {
        if self.reconnecting.stage != Some(Stage::Connecting) {
            return;
        }
        if key_changed {
            return self.key_changed(reason, out);
        }
        self.reconnecting.why = reason;
        self.wait_for_next_try(now, Duration::ZERO);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self, now: Instant, reason: String, out: &mut Vec<Output>) {
        match self.reconnecting.stage {
            Some(Stage::Waiting { .. } | Stage::Connecting) => {}
            _ if self.user.is_none() || !self.reconnecting.can_resume() => self.lost(reason, out),
            _ => self.come_back(now, reason, Duration::ZERO, out),
        }
    }

    /// Whether words of the server are to be listened to.
    pub(super) fn listens(&self) -> bool {
        self.reconnecting.is_connected()
    }

    /// The server said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.reconnecting.liveness.heard(now);
        if let Some(Stage::Resuming { until } | Stage::CatchingUp { until }) = &mut self.reconnecting.stage {
            *until = now + RESUMING_PATIENCE;
        }
    }

    /// Does what is due.
    pub(super) fn expire_connection(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.reconnecting.give_up.is_some_and(|give_up| give_up <= now) {
            let why = core::mem::take(&mut self.reconnecting.why);
            return self.end_while_away(format!("{why} (tried for {} seconds)", FINISHING_PATIENCE.as_secs()), out);
        }
        match self.reconnecting.stage {
            None if self.reconnecting.can_resume() && self.connection == Connection::Open => {
                match self.reconnecting.liveness.check(now) {
                    Silence::Fine => {}
                    Silence::Ask => self.requests.ping(out),
                    Silence::Gone => self.silent(now, out),
                }
            }
            Some(Stage::Waiting { until }) if until <= now => {
                self.reconnecting.stage = Some(Stage::Connecting);
                out.push(Output::Connect);
            }
            Some(Stage::Resuming { until } | Stage::CatchingUp { until }) if until <= now => {
                self.silent(now, out);
            }
            _ => {}
        }
    }

    /// Keeps the time of what may last too long. The last thing that an input does.
    pub(super) fn watch(&mut self, now: Instant) {
        self.reconnecting.liveness.owes(now, self.requests.are_owed());
        // What was agreed with others goes on without the server, for as long as it takes.
        let finishing = self.finishing && !self.reconnecting.is_online() && self.transfers.is_empty();
        let give_up = self.reconnecting.give_up;
        self.reconnecting.give_up = finishing.then(|| give_up.unwrap_or(now + FINISHING_PATIENCE));
    }
}

// The session goes on.
impl Client {
    /// A reply to what resumes the session; what was asked, if the reply is none.
    pub(super) fn resuming(
        &mut self,
        now: Instant,
        asked: Asked,
        reply: ReplyBody,
        out: &mut Vec<Output>,
    ) -> Option<Asked> {
        match (asked, reply) {
            (Asked::Resume, ReplyBody::Resumed { missed }) => self.resumed(now, missed, out),
            (Asked::Resume, ReplyBody::LoginFailed(LoginRefusal::SessionOver)) => {
                let reason = "the session is over: somebody logged in as this user on this or another device, or it \
                              was ended at the server";
                self.end_while_away(reason.to_owned(), out);
            }
            (Asked::Resume, ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms })) => {
                out.push(Output::Disconnect);
                let wait = Duration::from_millis(retry_after_ms).min(LONGEST_BUSY);
                self.come_back(now, "the server has too much to do".to_owned(), wait, out);
            }
            (Asked::Missed, ReplyBody::Missed { messages, more }) => self.missed(now, messages, more, out),
            (Asked::Missed, ReplyBody::Refused(refusal)) => self.not_caught_up(now, &refusal, out),
            (asked, _) => return Some(asked),
        }
        None
    }

    /// The session goes on; what was missed is read first.
    fn resumed(&mut self, now: Instant, missed: u64, out: &mut Vec<Output>) {
        self.reconnecting.tries = 0;
        self.reconnecting.stage = Some(Stage::CatchingUp { until: now + RESUMING_PATIENCE });
        out.push(Output::Event(Event::Resumed { missed }));
        self.requests.ask_now(RequestBody::Missed, Asked::Missed, out);
    }

    /// A page of what was missed. After the last one all is as before the loss.
    fn missed(&mut self, now: Instant, messages: Vec<PastMessage>, more: bool, out: &mut Vec<Output>) {
        for PastMessage { room, number, at, from, text } in messages {
            let new = self.positions.see(room, number);
            if new && self.user.as_ref() != Some(&from) {
                out.push(Output::Event(match room {
                    None => Event::Broadcast { number, at, from, text },
                    Some(room) => Event::RoomMessage { room, number, at, from, text },
                }));
            }
        }
        if more {
            return self.requests.ask_now(RequestBody::Missed, Asked::Missed, out);
        }
        self.reconnecting.stage = None;
        self.reconnecting.liveness.heard(now);
        self.requests.connected_again(out);
        self.wait_anew();
    }

    /// The server cannot say what was missed: it is asked again later.
    fn not_caught_up(&mut self, now: Instant, refusal: &Refusal, out: &mut Vec<Output>) {
        let wait = match refusal {
            Refusal::RateLimited { retry_after_ms } => Duration::from_millis(*retry_after_ms).min(LONGEST_BUSY),
            _ => LONGEST_WAIT,
        };
        out.push(Output::Disconnect);
        self.come_back(now, "the server could not say what was missed".to_owned(), wait, out);
    }

    /// Another key than before: nothing is said to whoever has it.
    fn key_changed(&mut self, reason: String, out: &mut Vec<Output>) {
        // This is no goodbye, so that it does not answer a logout under way.
        if self.is_leaving() && !self.finishing {
            fail(Failure::ConnectionLost, out);
        }
        self.end(reason, false, true, out);
    }
}

// Between two connections.
impl Client {
    /// Begins to come back, not sooner than after `wait`.
    fn come_back(&mut self, now: Instant, reason: String, wait: Duration, out: &mut Vec<Output>) {
        // Whoever was told once that the connection is lost need not hear it of each try.
        if !matches!(self.reconnecting.stage, Some(Stage::Resuming { .. })) {
            let unanswered = self.waiting.len() + self.requests.of_commands();
            out.push(Output::Event(Event::Reconnecting { reason: reason.clone(), unanswered }));
        }
        self.reconnecting.why = reason;
        let answers = self.requests.disconnected();
        self.end_offers(&answers, out);
        self.wait_for_next_try(now, wait);
    }

    /// Sets the time of the next try: a random one, so that all clients of a server do not come back at once.
    fn wait_for_next_try(&mut self, now: Instant, at_least: Duration) {
        let longest = FIRST_WAIT.saturating_mul(1 << self.reconnecting.tries.min(16)).min(LONGEST_WAIT);
        self.reconnecting.tries = self.reconnecting.tries.saturating_add(1);
        let half = longest / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        let wait = half + Duration::from_micros(self.random.next_u64() % micros);
        self.reconnecting.stage = Some(Stage::Waiting { until: now + wait.max(at_least) });
    }

    /// Nothing was heard for too long.
    fn silent(&mut self, now: Instant, out: &mut Vec<Output>) {
        out.push(Output::Disconnect);
        self.come_back(now, "the server does not answer".to_owned(), Duration::ZERO, out);
    }

    /// Offers that were not agreed have ended with the connection. So have those whose `answers` may not have arrived:
    /// the sender hears of it from this end if they did.
    fn end_offers(&mut self, answers: &[Asked], out: &mut Vec<Output>) {
        for asked in answers {
            if let Asked::Answer { offer, .. } = asked {
                self.end_running(*offer, TransferFailure::ServerLost, true, out);
            }
        }
        for id in self.transfers.ids() {
            let agreed = |entry: &mut Entry| matches!(entry.stage, TransferStage::Running { .. });
            if !self.transfers.get_mut(id).is_some_and(agreed) {
                self.end_transfer(id, TransferFailure::ServerLost, out);
            }
        }
    }

    /// Ends without the server: well, if somebody wanted to leave and everything that they said was confirmed.
    pub(super) fn end_while_away(&mut self, reason: String, out: &mut Vec<Output>) {
        if self.reconnecting.is_connected() {
            out.push(Output::Disconnect);
        }
        let well = self.is_leaving() || self.is_logout_next() && !self.answers.is_waiting();
        if well && self.is_logout_next() {
            self.waiting.pop_front();
            self.refuse_waiting(out);
        }
        self.end(reason, well, false, out);
    }
}
