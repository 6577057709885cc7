//! The reference model of the conference: what the log says, and who is there.
//!
//! It is far simpler than the server, and written from what its messages and facts promise: it keeps every
//! message with everyone who may read it, and asks lists. The `conference` follows from the facts alone;
//! [`Model`] also knows the connections, from what the server hears and says.

mod conference;
mod expected;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use toom_core::id::{ConnectionId, LogIndex, MessageNumber, RequestId, RoomId, Ticket};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::server::fact::{Committed, Fact};
use toom_core::server::io::{Input, Output};
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::message::{PastMessage, ReplyBody, Request, RequestBody, ServerMessage};

use super::Observation;

pub use conference::{Conference, Key, Outcome, Said};
pub use expected::Expected;
pub use sessions::{Change, Session, Sessions};

/// Everything that the checkers of the conference need to know.
#[derive(Debug, Default)]
pub struct Model {
    /// What the facts that the server has heard of say.
    pub conference: Conference,
    /// How many facts that is.
    pub applied: u64,
    /// The connections that were accepted, and have not done their handshake.
    pub handshaking: BTreeSet<ConnectionId>,
    /// The connections that are open.
    pub connections: BTreeMap<ConnectionId, Connection>,
    /// Who is active, on which connection.
    pub sessions: Sessions,
    /// In which conversations somebody was not sent everything yet, and up to where they were, by connection.
    pub behind: BTreeMap<ConnectionId, Behind>,
    /// Proposals that have not come back, and who asked for them.
    pub proposals: BTreeMap<Ticket, Asked>,
    /// What the server heard last, and is speaking about.
    pub turn: Turn,
}

/// Up to where somebody was sent what was said, in those conversations in which something is missing.
pub type Behind = BTreeMap<Option<RoomId>, MessageNumber>;

/// A connection that is open: the server has not closed it, and has not heard of its end.
#[derive(Clone, Debug)]
pub struct Connection {
    /// From where.
    pub address: IpAddr,
    /// The key of the device.
    pub device: PublicKey,
    /// The user who is active on it.
    pub user: Option<UserName>,
    /// The requests that have no reply, oldest first.
    pub requests: Vec<Request>,
}

/// Who asked for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// On which connection.
    pub connection: ConnectionId,
    /// By which request.
    pub request: RequestId,
}

/// What one input of the server was about.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The request, if it was one of an open connection.
    pub asked: Option<Asked>,
    /// The wall clock, if it was told.
    pub wall: Option<Timestamp>,
    /// The fact, if it was one.
    pub applied: Option<Applied>,
    /// The proposal that failed, if one did.
    pub failed: Option<Asked>,
    /// The request that the latest reply answers, without which there is nothing to reply to.
    pub answered: Option<Request>,
    /// The connection that is gone.
    pub gone: Option<ConnectionId>,
    /// What the reader of the latest page of what was missed was behind before it.
    pub behind: Behind,
}

/// A fact that the server has heard of, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its place in the log.
    pub index: LogIndex,
    /// Who asked for it, if their connection is still open.
    pub asked: Option<Asked>,
    /// What comes of it.
    pub outcome: Outcome,
}

impl Model {
    /// Takes note of what happened.
    pub fn follow(&mut self, now: Instant, what: &Observation<'_>) {
        if let Observation::ServerStarts { .. } = what {
            *self = Model::default();
        }
        self.sessions.follow(now, what);
        match what {
            Observation::ServerHears(input) => {
                self.turn = Turn::default();
                self.hear(input);
            }
            Observation::ServerSays(output) => self.say(output),
            Observation::ServerEnds(_) => {
                self.handshaking.clear();
                self.connections.clear();
                self.behind.clear();
                self.proposals.clear();
                self.turn = Turn::default();
            }
            _ => {}
        }
    }

    /// Who is active on a connection.
    pub fn user(&self, connection: ConnectionId) -> Option<&UserName> {
        self.connections.get(&connection)?.user.as_ref()
    }

    /// The connections of those of `users` who are active, but one.
    pub fn active_but<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        one: &UserName,
    ) -> impl Iterator<Item = ConnectionId> {
        users.into_iter().filter(move |user| *user != one).filter_map(|user| self.sessions.connection(user))
    }

    /// The same, without those who have not been sent all that was said before in this conversation.
    pub fn hearing<'a>(
        &self,
        place: Option<RoomId>,
        users: impl IntoIterator<Item = &'a UserName>,
        one: &UserName,
    ) -> impl Iterator<Item = ConnectionId> {
        let is_behind = move |it: &ConnectionId| self.behind.get(it).is_some_and(|behind| behind.contains_key(&place));
        self.active_but(users, one).filter(move |it| !is_behind(it))
    }

    /// The request to which a reply of this turn belongs, and its connection.
    pub fn asks(&self, asked: &Asked) -> Option<&RequestBody> {
        let request = self.connections.get(&asked.connection)?.requests.iter().rfind(|it| it.id == asked.request)?;
        Some(&request.body)
    }

    fn hear(&mut self, input: &Input<'_>) {
        match input {
            Input::Recovered { committed, wall } => {
                self.turn.wall = Some(*wall);
                self.apply(committed);
            }
            Input::Committed { committed, wall } => {
                self.turn.wall = Some(*wall);
                self.apply(committed);
            }
            Input::Accepted { connection, .. } => {
                self.handshaking.insert(*connection);
            }
            // The server may have closed it meanwhile.
            Input::Connected { connection, .. } if !self.handshaking.remove(connection) => {}
            Input::Connected { connection, address, device } => {
                let (address, device) = (address.ip().to_canonical(), *device);
                self.connections.insert(*connection, Connection { address, device, user: None, requests: Vec::new() });
            }
            Input::Request { connection, request, wall } => {
                self.turn.wall = Some(*wall);
                let Some(it) = self.connections.get_mut(connection) else { return };
                it.requests.push(request.clone());
                self.turn.asked = Some(Asked { connection: *connection, request: request.id });
            }
            Input::Disconnected { connection, .. } => {
                self.turn.gone = Some(*connection);
                self.ended(*connection);
            }
            Input::PasswordChecked { wall, .. } => self.turn.wall = Some(*wall),
            Input::ProposalFailed { ticket } => self.turn.failed = self.came_back(*ticket),
            Input::Found { .. } | Input::Woke { .. } => {}
        }
    }

    fn apply(&mut self, committed: &Committed) {
        let asked = committed.ticket.and_then(|ticket| self.came_back(ticket));
        let outcome = self.conference.apply(committed);
        self.applied += 1;
        self.turn.applied = Some(Applied { index: committed.index, asked, outcome });
    }

    /// Who asked for a proposal, if their connection is still open.
    fn came_back(&mut self, ticket: Ticket) -> Option<Asked> {
        self.proposals.remove(&ticket).filter(|asked| self.connections.contains_key(&asked.connection))
    }

    fn say(&mut self, output: &Output) {
        match output {
            Output::Send { to, message: ServerMessage::Reply(reply) } => {
                self.turn.answered = None;
                let Some((&connection, it)) = to.first().and_then(|to| self.connections.get_mut(to).map(|it| (to, it)))
                else {
                    return;
                };
                let asked = it.requests.iter().position(|request| request.id == reply.id);
                self.turn.answered = asked.map(|place| it.requests.remove(place));
                match (&reply.body, &self.turn.answered) {
                    (ReplyBody::Welcome { user, .. }, _) => it.user = Some(user.clone()),
                    (
                        ReplyBody::Resumed { .. },
                        Some(Request { body: RequestBody::Resume { user, positions, .. }, .. }),
                    ) => {
                        let (user, positions) = (user.clone(), positions.clone());
                        it.user = Some(user.clone());
                        self.behind.insert(connection, self.conference.missed(&user, &positions));
                    }
                    (ReplyBody::Missed { messages, .. }, _) => self.caught_up(connection, messages),
                    _ => {}
                }
            }
            Output::Propose { ticket, fact } => {
                if let Some(asked) = self.turn.asked.as_ref().filter(|_| is_asked_for(fact)) {
                    self.proposals.insert(*ticket, asked.clone());
                }
            }
            Output::Close { connection, .. } => self.ended(*connection),
            _ => {}
        }
    }

    fn ended(&mut self, connection: ConnectionId) {
        self.handshaking.remove(&connection);
        self.connections.remove(&connection);
        self.behind.remove(&connection);
    }

    /// A page of what was missed is sent: where nothing is missing any more, what is said comes by itself again.
    fn caught_up(&mut self, connection: ConnectionId, page: &[PastMessage]) {
        let Some(behind) = self.behind.get_mut(&connection) else { return };
        self.turn.behind = behind.clone();
        for message in page {
            behind.entry(message.room).and_modify(|sent| *sent = message.number.max(*sent));
        }
        let user = self.connections.get(&connection).and_then(|it| it.user.clone());
        behind.retain(|place, sent| {
            user.as_ref().is_some_and(|user| self.conference.next_for(user, *place, *sent).is_some())
        });
    }
}

/// Whether a fact is something that a person can ask for: the server finds the others by itself.
pub fn is_asked_for(fact: &Fact) -> bool {
    !matches!(
        fact,
        Fact::Blocked { .. }
            | Fact::DeviceAdded { .. }
            | Fact::OffersNumbered { .. }
            | Fact::SessionStarted { .. }
            | Fact::SessionEnded { .. }
    )
}
