//! Sessions that outlive their connection.
//!
//! After a login the session's start is proposed to the log, with the hash of a secret; once it is committed, the
//! secret is granted to the client. When the connection is lost, the session stays active for `Settings::grace`, and
//! whoever comes from the same device with the secret goes on with it. Afterwards, or after a restart of the server,
//! they still can, and become active again; until they log out, their password is changed, the account is removed, a
//! later login takes its place, or `RESUME_LIFETIME` is over.
//!
//! A session has one connection: whoever resumes it closes the one that it had before. Offers that were not agreed
//! end with the connection; transfers need no server.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::rand_core::Rng;

use super::activity::Activity;
use super::connections::State;
use super::delivery::Delivery;
use super::fact::{Fact, PostId};
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::missed::Missed;
use super::pending::{Asked, MAX_PROPOSALS, Proposal};
use super::presence::{Resumption, Session};
use super::resumable::Resumable;
use super::timeouts::Timeouts;
use super::turn::Turn;
use crate::id::{ConnectionId, RequestId, RoomId, SessionId};
use crate::machine::{Usage, earlier};
use crate::name::UserName;
use crate::secure::ResumeSecret;
use crate::time::Instant;
use crate::wire::limits::{MAX_LOST_SESSIONS, MAX_ROOMS_PER_USER};
use crate::wire::message::{Event, LoginRefusal, Positions, Refusal, ReplyBody};

/// What a client says to go on with a session.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) user: UserName,
    pub(super) secret: ResumeSecret,
    pub(super) udp_port: u16,
    pub(super) positions: Positions,
}

/// The users whose session has lost its connection, by that connection.
#[derive(Debug, Default)]
pub(super) struct Lost {
    users: BTreeMap<ConnectionId, UserName>,
    timeouts: Timeouts<ConnectionId>,
}

impl Lost {
    /// When the next one has been lost for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    /// It was resumed, or has ended otherwise.
    pub(super) fn cancel(&mut self, connection: Option<ConnectionId>) {
        if let Some(connection) = connection {
            self.users.remove(&connection);
            self.timeouts.cancel(connection);
        }
    }

    /// How many there are.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("sessions that wait to be resumed", self.users.len(), MAX_LOST_SESSIONS));
        each(self.timeouts.usage("timeouts of sessions that wait to be resumed", MAX_LOST_SESSIONS));
    }

    fn start(&mut self, until: Instant, connection: ConnectionId, user: UserName) {
        self.users.insert(connection, user);
        self.timeouts.start(until, connection);
    }

    fn expire(&mut self, now: Instant) -> Option<UserName> {
        let connection = self.timeouts.expire(now)?;
        self.users.remove(&connection)
    }
}

impl Server {
    /// Somebody has logged in: makes the session one that can be resumed.
    pub(super) fn propose_session(&mut self, turn: &mut Turn<'_>, name: &UserName) {
        let full = self.pending.proposals.len() >= MAX_PROPOSALS;
        if self.settings.grace.is_zero() || full {
            return;
        }
        let mut secret = ResumeSecret([0; 32]);
        self.random.fill_bytes(&mut secret.0);
        let id = SessionId(self.random.next_u64());
        let Some(session) = self.sessions.get_mut(name) else { return };
        session.resumption = Resumption::Starting(id);
        let (device, hash) = (session.device, secret.hash());
        let fact = Fact::SessionStarted { name: name.clone(), session: id, device, secret: hash, at: turn.wall };
        self.propose(turn, Proposal::Session { user: name.clone(), session: id, secret }, fact);
    }

    /// The start of a session is committed: its client gets the secret.
    pub(super) fn grant(&mut self, turn: &mut Turn<'_>, user: &UserName, id: SessionId, secret: ResumeSecret) {
        let positions = self.positions_of(user);
        let Some(session) = self.sessions.get_mut(user) else { return };
        if let (Resumption::Starting(starting), Some(connection)) = (session.resumption, session.connection)
            && starting == id
        {
            session.resumption = Resumption::Granted(id);
            turn.event(vec![connection], Event::Granted { secret, positions });
        }
    }

    /// By which a post is recognised if it comes again.
    pub(super) fn post_id(&self, asked: &Asked) -> Option<PostId> {
        let session = self.sessions.get(&asked.user)?.resumption.id()?;
        Some(PostId { session, request: asked.request })
    }

    /// How a post of this user was answered, if it has been.
    pub(super) fn answer_to(&self, user: &UserName, post: PostId) -> Option<ReplyBody> {
        let session = self.conference.accounts.session(user).filter(|it| it.session() == post.session)?;
        session.answer(post.request).cloned().map(ReplyBody::from)
    }

    /// The start of a session could not be committed: it ends with its connection.
    pub(super) fn not_granted(&mut self, user: &UserName, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(user).filter(|it| it.resumption == Resumption::Starting(id)) {
            session.resumption = Resumption::Never;
        }
    }

    /// A client wants to go on with a session.
    pub(super) fn resume_requested(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        request: RequestId,
        claim: Claim,
    ) {
        let Some(it) = self.connections.get(&connection) else { return };
        if it.state != State::Fresh {
            return turn.reply(connection, request, ReplyBody::Refused(Refusal::OutOfOrder));
        }
        if claim.positions.rooms.len() > MAX_ROOMS_PER_USER {
            return self.close(turn, connection, CloseReason::LimitBroken);
        }
        let (address, device) = (it.address, it.device);
        let session = self.conference.accounts.session(&claim.user);
        let over = self.over.get(&claim.user);
        let session = session.filter(|it| over != Some(&it.session()));
        let claimed = session.zip(device).filter(|(it, device)| it.is_resumed_by(*device, &claim.secret, turn.wall));
        let Some((id, device)) = claimed.map(|(it, device)| (it.session(), device)) else {
            return self.not_resumed(turn, connection, request, claim.user);
        };
        // A login whose session has not reached the log yet comes later than that one.
        let active = self.sessions.get(&claim.user);
        if active.is_some_and(|it| it.resumption != Resumption::Granted(id)) {
            return self.not_resumed(turn, connection, request, claim.user);
        }
        self.lose_connection(turn, &claim.user, Some(CloseReason::Superseded));
        self.logs_in(connection, String::new());
        self.login_timeouts.cancel(connection);
        if let Some(it) = self.connections.get_mut(&connection) {
            it.state = State::Active { user: claim.user.clone() };
        }
        let Claim { user, udp_port, positions, .. } = claim;
        let is_back = self.sessions.contains_key(&user);
        let (since, resumption) = (turn.wall, Resumption::Granted(id));
        let new = || Session::new(device, since, resumption);
        let (missed, count) = self.missed_since(&user, &positions);
        let session = self.sessions.entry(user.clone()).or_insert_with(new);
        (session.connection, session.address, session.udp_port) = (Some(connection), address, udp_port);
        session.missed = missed;
        let presence = session.presence(&user);
        let missed = count + self.conference.direct.count_unread(&user);
        turn.reply(connection, request, ReplyBody::Resumed { missed });
        if is_back {
            turn.activity(Activity::Resumed(presence));
        } else {
            self.announce(turn, &user);
            turn.activity(Activity::LoggedIn(presence));
        }
        self.tell_new_rooms(turn, &user, connection, &positions);
        self.start_delivery(turn, &user);
    }

    /// The session of this user in the log is over from now on: they have logged out, or logged in again.
    pub(super) fn is_over(&mut self, user: &UserName) {
        let session = self.conference.accounts.session(user).map(Resumable::session);
        self.over.extend(session.map(|session| (user.clone(), session)));
    }

    /// The log says something else of this user's session than before.
    pub(super) fn forget_over(&mut self, user: &UserName) {
        let session = self.conference.accounts.session(user).map(Resumable::session);
        if self.over.get(user).copied() != session {
            self.over.remove(user);
        }
    }

    /// The password was changed or the account removed: the session ends with its connection, or now if it has none.
    pub(super) fn cannot_resume(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        session.resumption = Resumption::Never;
        if session.connection.is_none() {
            self.end_session(turn, user, false);
        }
    }

    /// The connection of a session is gone. It stays active for a while, if it can be resumed.
    pub(super) fn connection_lost(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get(user) else { return };
        let stays = matches!(session.resumption, Resumption::Granted(_)) && self.lost.users.len() < MAX_LOST_SESSIONS;
        if !stays {
            return self.end_session(turn, user, false);
        }
        self.lose_connection(turn, user, None);
        turn.activity(Activity::ConnectionLost { user: user.clone(), at: turn.wall });
    }

    /// A session that was lost for too long ends; whether there was one.
    pub(super) fn expire_lost(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(user) = self.lost.expire(turn.now) else { return false };
        self.end_session(turn, &user, false);
        true
    }

    /// When the next session ends that has waited for too long, to be resumed or to say that it is there.
    pub(super) fn deadline_of_sessions(&self) -> Option<Instant> {
        earlier(self.lost.deadline(), self.fencing.deadline())
    }

    /// Parts a session from its connection, which is closed if there is a reason to.
    fn lose_connection(&mut self, turn: &mut Turn<'_>, user: &UserName, close: Option<CloseReason>) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        self.lost.cancel(session.lost.take().map(|(connection, _)| connection));
        let connection = session.connection.take();
        session.delivery = Delivery::default();
        session.missed = Missed::default();
        if let (Some(connection), None) = (connection, close) {
            session.lost = Some((connection, turn.wall));
            self.lost.start(turn.now + self.settings.grace, connection, user.clone());
        }
        if let (Some(connection), Some(reason)) = (connection, close) {
            turn.out.push(Output::Close { connection, reason });
            if let Some(it) = self.connections.get_mut(&connection) {
                it.state = State::Closing;
                turn.activity(Activity::Closed { address: it.address, reason });
            }
        }
        self.end_offers_of(turn, user);
    }

    fn not_resumed(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, request: RequestId, user: UserName) {
        let refusal = LoginRefusal::SessionOver;
        turn.reply(connection, request, ReplyBody::LoginFailed(refusal));
        if let Some(address) = self.connections.get(&connection).map(|it| it.address) {
            turn.activity(Activity::LoginFailed { name: user.to_string(), address, refusal });
        }
    }

    /// They were put into these rooms while they were not connected.
    fn tell_new_rooms(&self, turn: &mut Turn<'_>, user: &UserName, connection: ConnectionId, known: &Positions) {
        let known: BTreeSet<RoomId> = known.rooms.iter().map(|(room, _)| *room).collect();
        for info in self.conference.rooms.infos_of(user).filter(|info| !known.contains(&info.room)) {
            turn.event(vec![connection], Event::RoomCreated(info));
        }
    }

    fn positions_of(&self, user: &UserName) -> Positions {
        let rooms = self.conference.rooms.current(user).map(|(room, _, last)| (room, last)).collect();
        Positions { broadcasts: self.conference.broadcasts, rooms }
    }
}

#[cfg(test)]
mod tests;
