//! Who is active, on which connection if any: a session that can be resumed outlives its connection for a while.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use toom_core::id::{ConnectionId, RequestId, SessionId, Ticket};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::server::fact::Fact;
use toom_core::server::io::{CloseReason, Input, Output};
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::message::{ActiveUser, Event, ReplyBody, RequestBody, ServerMessage};

use super::super::Observation;

/// All sessions of one run of the server.
#[derive(Debug, Default)]
pub struct Sessions {
    grace: Duration,
    active: BTreeMap<UserName, Session>,
    /// The other ends of the connections that have done their handshake: where they are, and the key of the device.
    ends: BTreeMap<ConnectionId, (IpAddr, PublicKey)>,
    /// Logins, and claims to sessions, that have no answer.
    claims: Vec<(ConnectionId, RequestId, RequestBody)>,
    /// Whose session can be resumed once the fact is committed.
    starting: BTreeMap<Ticket, UserName>,
    /// The sessions of the log that may be resumed.
    logged: BTreeMap<UserName, SessionId>,
    wall: Timestamp,
    /// Whose session somebody claims with the request at hand.
    claimed: Option<UserName>,
    /// What has changed with the latest observation.
    changes: Vec<Change>,
}

/// One session.
#[derive(Clone, Debug)]
pub struct Session {
    /// On which connection; none while it waits to be resumed.
    pub connection: Option<ConnectionId>,
    /// As others see them.
    pub row: ActiveUser,
    /// The key of the device.
    pub device: PublicKey,
    /// Which session it is, or will be, in the log.
    pub id: Option<SessionId>,
    /// Whether its client was told how to resume it.
    pub granted: bool,
    /// Until when it waits for its client.
    pub until: Option<Instant>,
}

/// Somebody comes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A session begins; whether there was one of this name already.
    Came(UserName, bool),
    /// A session goes on over another connection.
    Resumed(UserName),
    /// A session has ended.
    Went {
        /// Whose.
        user: UserName,
        /// Whether it waited for its client, and its time was not over: somebody else takes the place.
        early: bool,
    },
}

impl Sessions {
    /// Takes note of what happened.
    pub fn follow(&mut self, now: Instant, what: &Observation<'_>) {
        self.changes.clear();
        match what {
            Observation::ServerStarts { settings, .. } => {
                *self = Sessions { grace: settings.grace, ..Sessions::default() };
            }
            Observation::ServerEnds(_) => *self = Sessions { grace: self.grace, ..Sessions::default() },
            Observation::ServerHears(input) => {
                // What is due comes before all else.
                self.end_where(false, |it| it.until.is_some_and(|until| until <= now));
                self.claimed = None;
                self.hear(now, input);
            }
            Observation::ServerSays(output) => self.say(output),
            _ => {}
        }
    }

    /// Somebody's session.
    pub fn get(&self, user: &UserName) -> Option<&Session> {
        self.active.get(user)
    }

    /// Somebody's connection.
    pub fn connection(&self, user: &UserName) -> Option<ConnectionId> {
        self.active.get(user)?.connection
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = (&UserName, &Session)> {
        self.active.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether nobody is active.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Who is active on this connection.
    pub fn on(&self, connection: ConnectionId) -> Option<&UserName> {
        self.active.iter().find(|(_, it)| it.connection == Some(connection)).map(|(user, _)| user)
    }

    /// The key of the device at the other end of a connection.
    pub fn device(&self, connection: ConnectionId) -> Option<PublicKey> {
        self.ends.get(&connection).map(|(_, device)| *device)
    }

    /// What has changed with the latest observation.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn hear(&mut self, now: Instant, input: &Input<'_>) {
        match input {
            Input::Recovered { committed, wall } => {
                self.wall = *wall;
                self.log(&committed.fact);
            }
            Input::PasswordChecked { wall, .. } | Input::Woke { wall } => self.wall = *wall,
            Input::Connected { connection, address, device } => {
                self.ends.insert(*connection, (address.ip().to_canonical(), *device));
            }
            Input::Request { connection, request, wall } => {
                self.wall = *wall;
                if let RequestBody::Resume { user, .. } = &request.body {
                    self.claimed = Some(user.clone());
                }
                if let RequestBody::Resume { .. } | RequestBody::Login { .. } = request.body {
                    self.claims.push((*connection, request.id, request.body.clone()));
                }
            }
            Input::Disconnected { connection, wall } => {
                self.wall = *wall;
                self.lost(now, *connection);
            }
            Input::Committed { committed, wall } => {
                self.wall = *wall;
                committed.ticket.and_then(|ticket| self.starting.remove(&ticket));
                self.log(&committed.fact);
            }
            Input::ProposalFailed { ticket } => {
                if let Some(session) = self.starting.remove(ticket).and_then(|user| self.active.get_mut(&user)) {
                    session.id = None;
                }
            }
            Input::Accepted { .. } | Input::Found { .. } => {}
        }
    }

    fn say(&mut self, output: &Output) {
        match output {
            Output::Close { connection, reason } => self.closed(*connection, *reason),
            Output::Propose { ticket, fact: Fact::SessionStarted { name, session, .. } } => {
                if let Some(it) = self.active.get_mut(name) {
                    it.id = Some(*session);
                    self.starting.insert(*ticket, name.clone());
                }
            }
            // Nobody may be there to be told that they have left.
            Output::Propose { fact: Fact::SessionEnded { name, .. }, .. } => {
                self.end_where(true, |it| it.row.name == *name && it.until.is_some());
            }
            Output::Send { to, message } => match message {
                ServerMessage::Event(Event::Granted { .. }) => {
                    let told = |it: &&mut Session| it.connection.is_some_and(|connection| to.contains(&connection));
                    if let Some(session) = self.active.values_mut().find(told) {
                        session.granted = true;
                    }
                }
                // The first word for it that a login takes the place of somebody who is not connected.
                ServerMessage::Event(Event::Left { user }) => {
                    self.end_where(true, |it| it.row.name == *user && it.until.is_some());
                }
                ServerMessage::Reply(reply) => {
                    let is_it = |it: &(ConnectionId, RequestId, _)| to[..] == [it.0] && it.1 == reply.id;
                    if let Some(place) = self.claims.iter().position(is_it) {
                        let (connection, _, claim) = self.claims.remove(place);
                        self.answered(connection, claim, &reply.body);
                    }
                }
                ServerMessage::Event(_) => {}
            },
            _ => {}
        }
    }

    fn answered(&mut self, connection: ConnectionId, claim: RequestBody, body: &ReplyBody) {
        let Some((address, device)) = self.ends.get(&connection).copied() else { return };
        match (body, claim) {
            (ReplyBody::Welcome { user, .. }, RequestBody::Login { udp_port, .. }) => {
                let row = ActiveUser { name: user.clone(), address, udp_port, since: self.wall };
                let connection = Some(connection);
                let session = Session { connection, row, device, id: None, granted: false, until: None };
                let before = self.active.insert(user.clone(), session);
                self.changes.push(Change::Came(user.clone(), before.is_some()));
            }
            (ReplyBody::Resumed { .. }, RequestBody::Resume { user, udp_port, .. }) => {
                let since = self.active.get(&user).map(|it| it.row.since);
                let id = self.logged.get(&user).copied();
                let row = ActiveUser { name: user.clone(), address, udp_port, since: since.unwrap_or(self.wall) };
                let connection = Some(connection);
                let session = Session { connection, row, device, id, granted: true, until: None };
                self.active.insert(user.clone(), session);
                let is_new = since.is_none();
                self.changes.push(if is_new { Change::Came(user, false) } else { Change::Resumed(user) });
            }
            _ => {}
        }
    }

    fn log(&mut self, fact: &Fact) {
        match fact {
            Fact::SessionStarted { name, session, .. } => _ = self.logged.insert(name.clone(), *session),
            Fact::PasswordChanged { name, .. } | Fact::AccountRemoved { name } => {
                self.logged.remove(name);
                self.revoke(name);
            }
            _ => {}
        }
    }

    /// The network or the other end has ended a connection.
    fn lost(&mut self, now: Instant, connection: ConnectionId) {
        self.forget(connection);
        let until = now + self.grace;
        if let Some(session) = self.active.values_mut().find(|it| it.connection == Some(connection)) {
            session.connection = None;
            session.until = session.granted.then_some(until);
        }
        self.end_where(false, |it| it.connection.is_none() && it.until.is_none());
    }

    /// The server closes a connection.
    fn closed(&mut self, connection: ConnectionId, reason: CloseReason) {
        self.forget(connection);
        let claimed = self.claimed.clone();
        if let Some(session) = self.active.values_mut().find(|it| it.connection == Some(connection)) {
            session.connection = None;
            if reason == CloseReason::Superseded && claimed.as_ref() == Some(&session.row.name) {
                // Its claim is about to be answered.
                session.until = Some(Instant::ZERO);
            }
        }
        self.end_where(false, |it| it.connection.is_none() && it.until.is_none());
    }

    fn revoke(&mut self, user: &UserName) {
        if let Some(session) = self.active.get_mut(user) {
            (session.id, session.granted) = (None, false);
        }
        self.end_where(false, |it| it.row.name == *user && it.connection.is_none());
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.ends.remove(&connection);
        self.claims.retain(|(it, ..)| *it != connection);
    }

    fn end_where(&mut self, early: bool, is_over: impl Fn(&Session) -> bool) {
        let over = self.active.iter().filter(|(_, it)| is_over(it)).map(|(user, _)| user.clone());
        for user in over.collect::<Vec<_>>() {
            self.active.remove(&user);
            self.changes.push(Change::Went { user, early });
        }
    }
}
