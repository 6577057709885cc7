//! Sessions that go on over another connection: who may, and what they are sent of what they missed.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::id::{ConnectionId, MessageNumber, RequestId, SessionId};
use toom_core::name::UserName;
use toom_core::secure::{PublicKey, ResumeSecret};
use toom_core::server::fact::{Committed, Fact};
use toom_core::server::io::{Input, Output};
use toom_core::wire::limits::{MAX_PAGE_MESSAGES, RESUME_LIFETIME};
use toom_core::wire::message::{Event, LoginRefusal, PastMessage, Positions, ReplyBody, RequestBody};

use super::conference::{Part, event, reply};
use super::model::{Change, Model};
use super::{Broken, Observation, ensure};

/// A secret is good for one session on one device.
pub const PROVED: &str = "sessions: only who has the secret of a session that was granted on this device resumes it, and \
                          not after a logout, a new password, a later login, the end of the account, or thirty days";
/// Nobody is turned away who may come.
pub const RESUMED: &str = "sessions: who has the secret of a session that is not over resumes it";
/// The secret is told once.
pub const GRANTED: &str =
    "sessions: a secret is granted once, to the client of its session, once the log has it, and says where all stands";
/// The log has sessions that were and are.
pub const LOGGED: &str = "sessions: what the log is told of sessions is so";
/// The pages.
pub const PAGES: &str = "sessions: what was missed comes page by page, each message once, in order, to the last one";
/// The number.
pub const COUNTED: &str = "sessions: who comes back is told how many messages they missed";

/// What was granted, and what is over.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    secrets: BTreeMap<SessionId, ResumeSecret>,
    /// Ended for good in this run of the server, whatever the log says so far.
    over: BTreeSet<SessionId>,
    /// The session that is in the log now, and is to be granted.
    started: Option<(UserName, SessionId)>,
    /// Those that ended just now, and may be told to the log.
    ended: Vec<UserName>,
    /// The claim at hand.
    claim: Option<Claim>,
}

/// Somebody wants to resume a session.
#[derive(Debug)]
struct Claim {
    connection: ConnectionId,
    request: RequestId,
    /// Whether they may.
    right: bool,
    user: UserName,
    positions: Positions,
}

impl Part for Sessions {
    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        if let Observation::ServerHears(input) = what {
            self.hears(model, input);
        }
        for change in model.sessions.changes() {
            match change {
                Change::Went { user, .. } => self.ended.push(user.clone()),
                Change::Came(user, _) if matches!(what, Observation::ServerSays(_)) => {
                    let later = model.sessions.get(user).is_some_and(|it| !it.granted);
                    self.over.extend(model.conference.session(user).filter(|_| later).map(|it| it.id));
                }
                Change::Came(..) | Change::Resumed(_) => {}
            }
        }
        match what {
            Observation::ServerEnds(_) => {
                // What was not in the log was not said, as far as a later run knows.
                *self = Sessions { secrets: core::mem::take(&mut self.secrets), ..Sessions::default() };
            }
            Observation::ServerSays(Output::Propose {
                fact: Fact::SessionStarted { name, session, device, .. },
                ..
            }) => {
                let known = model.sessions.get(name).filter(|it| it.id == Some(*session) && !it.granted);
                let new = !self.secrets.contains_key(session);
                ensure(new && known.is_some_and(|it| it.device == *device), LOGGED, || {
                    format!("{name} on {device} is said to begin {session:?}; there is {known:?}")
                })?;
            }
            Observation::ServerSays(Output::Propose { fact: Fact::SessionEnded { name, .. }, .. }) => {
                let place = self.ended.iter().position(|it| it == name);
                ensure(place.is_some(), LOGGED, || format!("the session of {name} is said to end"))?;
                place.map(|place| self.ended.remove(place));
            }
            _ => {}
        }
        if let Some((to, Event::Granted { secret, positions })) = event(what) {
            self.granted(model, to, secret, positions)?;
        }
        match reply(what) {
            Some(([connection], reply)) => self.replied(model, *connection, reply.id, &reply.body),
            _ => Ok(()),
        }
    }
}

impl Sessions {
    fn hears(&mut self, model: &Model, input: &Input<'_>) {
        (self.started, self.claim) = (None, None);
        self.ended.clear();
        match input {
            Input::Committed {
                committed: Committed { fact: Fact::SessionStarted { name, session, .. }, .. }, ..
            } => {
                self.started = Some((name.clone(), *session));
            }
            Input::Request { connection, request, .. } => {
                let RequestBody::Resume { user, secret, positions, .. } = &request.body else { return };
                let device = model.connections.get(connection).map(|it| it.device);
                let right = device.is_some_and(|device| self.may_resume(model, user, secret, device));
                let (user, positions) = (user.clone(), positions.clone());
                self.claim = Some(Claim { connection: *connection, request: request.id, right, user, positions });
            }
            _ => {}
        }
    }

    fn may_resume(&self, model: &Model, user: &UserName, secret: &ResumeSecret, device: PublicKey) -> bool {
        let Some(session) = model.conference.session(user) else { return false };
        let in_time = model.turn.wall.is_some_and(|wall| wall < session.since.saturating_add(RESUME_LIFETIME));
        let right = session.device == device && self.secrets.get(&session.id) == Some(secret);
        let is_it = model.sessions.get(user).is_none_or(|it| it.id == Some(session.id) && it.granted);
        right && in_time && is_it && !self.over.contains(&session.id)
    }

    fn granted(
        &mut self,
        model: &Model,
        to: &[ConnectionId],
        secret: &ResumeSecret,
        positions: &Positions,
    ) -> Result<(), Broken> {
        let Some((user, id)) = self.started.take() else {
            return ensure(false, GRANTED, || format!("{to:?} are granted what the log does not have"));
        };
        let session = model.sessions.get(&user).filter(|it| it.id == Some(id));
        let is_theirs = session.and_then(|it| it.connection).is_some_and(|it| to == [it]);
        let rooms = model.conference.rooms_of(&user).map(|it| (it.room, model.conference.newest(Some(it.room))));
        let all = Positions { broadcasts: model.conference.newest(None), rooms: rooms.collect() };
        let new = self.secrets.values().all(|it| it != secret) && self.secrets.insert(id, secret.clone()).is_none();
        ensure(new && is_theirs && *positions == all, GRANTED, || {
            format!("{to:?} are granted {id:?} of {user} with {positions:?}; there is {session:?}, and {all:?}")
        })
    }

    fn replied(
        &mut self,
        model: &Model,
        connection: ConnectionId,
        request: RequestId,
        body: &ReplyBody,
    ) -> Result<(), Broken> {
        let claim = self.claim.as_ref().filter(|it| (it.connection, it.request) == (connection, request));
        match (body, claim) {
            (ReplyBody::Resumed { missed }, Some(claim)) => {
                ensure(claim.right, PROVED, || format!("{claim:?} is granted"))?;
                let (least, most) = missed_messages(model, claim);
                ensure((least..=most).contains(missed), COUNTED, || {
                    format!("{claim:?} is told that {missed} were missed, not {least} to {most}")
                })
            }
            (ReplyBody::Resumed { .. }, None) => {
                ensure(false, PROVED, || format!("connection {connection} claimed nothing"))
            }
            (ReplyBody::LoginFailed(LoginRefusal::SessionOver), Some(claim)) => {
                ensure(!claim.right, RESUMED, || format!("{claim:?} is refused"))
            }
            (ReplyBody::Missed { messages, more }, _) => is_page(model, connection, messages, *more),
            (ReplyBody::Bye, _) => {
                let user = model.user(connection);
                self.over.extend(user.and_then(|user| model.conference.session(user)).map(|it| it.id));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Everything after the positions, and the direct messages that were not shown; at most all that were written between
/// the same people as well, since the server does not read them to tell whose they are.
fn missed_messages(model: &Model, claim: &Claim) -> (u64, u64) {
    let behind = model.conference.missed(&claim.user, &claim.positions);
    let of_places: u64 = behind.iter().map(|(place, sent)| model.conference.newest(*place).0 - sent.0).sum();
    let unshown = model.conference.unshown(&claim.user);
    let least: u64 = unshown.values().map(|numbers| numbers.len() as u64).sum();
    let most: u64 = unshown.values().filter_map(|numbers| numbers.last()).map(|newest| newest.0).sum();
    (of_places + least, of_places + most)
}

fn is_page(model: &Model, connection: ConnectionId, page: &[PastMessage], more: bool) -> Result<(), Broken> {
    let Some(user) = model.user(connection) else { return Ok(()) };
    let mut sent: BTreeMap<_, MessageNumber> = model.turn.behind.clone();
    for message in page {
        let next = sent.get(&message.room).and_then(|sent| model.conference.next_for(user, message.room, *sent));
        let conversation = message
            .room
            .map_or(toom_core::server::fact::Conversation::Broadcast, toom_core::server::fact::Conversation::Room);
        let said = next.and_then(|next| model.conference.message(&conversation, next));
        ensure(said.is_some_and(|said| said.past() == *message), PAGES, || {
            format!("{user} is sent {message:?} next; it should be {said:?}")
        })?;
        sent.insert(message.room, message.number);
    }
    let left = model.behind.get(&connection).is_some_and(|behind| !behind.is_empty());
    let first = !page.is_empty() || model.turn.behind.is_empty() || !left;
    ensure(more == left && page.len() <= MAX_PAGE_MESSAGES && first, PAGES, || {
        format!("{user} is sent {} messages, and told of more: {more}; left is {:?}", page.len(), model.behind)
    })
}
