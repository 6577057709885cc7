//! The log: what was proposed for whom, what is durable, and what the server does with it.

use std::collections::BTreeMap;

use toom_core::id::Ticket;
use toom_core::server::fact::{Committed, Fact, PostId};
use toom_core::server::io::{Input, Output};
use toom_core::wire::message::RequestBody;

use super::conference::Part;
use super::model::{Model, is_asked_for};
use super::spelling::spelled;
use super::{Broken, Observation, ensure};

/// A crash takes nothing back.
pub const DURABLE_STAYS: &str = "messages: what is durable stays as it is";
/// The server hears of what is durable, in order.
pub const ONE_ORDER: &str =
    "messages: the server applies exactly what is durable, in the order of the log, each fact once";
/// A request is what its fact says.
pub const ONE_POST: &str = "messages: a request of one person becomes at most one fact, which says what they asked for";

/// What was proposed and what is durable.
#[derive(Debug, Default)]
pub(super) struct Facts {
    durable: Vec<Fact>,
    /// Proposals that are not durable yet.
    proposed: BTreeMap<Ticket, Fact>,
    latest: Option<Ticket>,
    /// Whether the request at hand has led to a proposal.
    asked: bool,
}

impl Part for Facts {
    fn observe(&mut self, model: &Model, what: &Observation<'_>) -> Result<(), Broken> {
        match what {
            Observation::ServerStarts { log, .. } => self.starts(log),
            Observation::Durable(committed) => self.is_durable(committed),
            Observation::ServerHears(Input::Recovered { committed, .. }) => self.applied(model, committed),
            Observation::ServerHears(Input::Committed { committed, .. }) => self.applied(model, committed),
            Observation::ServerHears(Input::Request { .. }) => {
                self.asked = false;
                Ok(())
            }
            Observation::ServerSays(Output::Propose { ticket, fact }) => self.propose(model, *ticket, fact),
            _ => Ok(()),
        }
    }
}

impl Facts {
    fn starts(&mut self, log: &[Committed]) -> Result<(), Broken> {
        let lost = self.durable.iter().zip(log).find(|(durable, read)| **durable != read.fact);
        ensure(log.len() >= self.durable.len() && lost.is_none(), DURABLE_STAYS, || {
            format!(
                "{} facts were durable, {} are read; the first that differs: {lost:?}",
                self.durable.len(),
                log.len()
            )
        })?;
        self.durable = log.iter().map(|committed| committed.fact.clone()).collect();
        self.proposed.clear();
        self.latest = None;
        Ok(())
    }

    fn is_durable(&mut self, committed: &Committed) -> Result<(), Broken> {
        if let Some(ticket) = committed.ticket {
            let proposed = self.proposed.remove(&ticket);
            ensure(proposed.as_ref() == Some(&committed.fact), ONE_POST, || {
                format!("{committed:?} is durable, where {proposed:?} was proposed")
            })?;
        }
        self.durable.push(committed.fact.clone());
        ensure(committed.index.0 == self.durable.len() as u64, ONE_ORDER, || {
            format!("{committed:?} is fact number {}", self.durable.len())
        })
    }

    fn applied(&mut self, model: &Model, committed: &Committed) -> Result<(), Broken> {
        let place = model.applied.checked_sub(1).and_then(|place| self.durable.get(place as usize));
        ensure(committed.index.0 == model.applied && place == Some(&committed.fact), ONE_ORDER, || {
            format!("{committed:?} comes where the log has {place:?}")
        })
    }

    fn propose(&mut self, model: &Model, ticket: Ticket, fact: &Fact) -> Result<(), Broken> {
        let fresh =
            self.latest.is_none_or(|latest| latest < ticket) && self.proposed.insert(ticket, fact.clone()).is_none();
        self.latest = Some(ticket);
        ensure(fresh, ONE_POST, || format!("{ticket:?} is used twice"))?;
        if !is_asked_for(fact) {
            return Ok(());
        }
        let asked = model.turn.asked.as_ref();
        let user = asked.and_then(|asked| model.user(asked.connection));
        let body = asked.and_then(|asked| model.asks(asked));
        let says = user.zip(body).is_some_and(|(user, body)| is_what(user, body, fact));
        ensure(says && !self.asked, ONE_POST, || format!("{user:?} asked for {body:?}, which became {fact:?}"))?;
        self.asked = true;
        let session = user.and_then(|user| model.sessions.get(user)?.id);
        let id = session.zip(asked).map(|(session, asked)| PostId { session, request: asked.request });
        ensure(post_id(fact).is_none_or(|it| it == id), ONE_POST, || {
            format!("{fact:?} of {user:?} is to be recognised by {id:?}")
        })?;
        ensure(fact_time(fact).is_none_or(|at| Some(at) == model.turn.wall), ONE_POST, || {
            format!("{fact:?} was proposed at {:?}", model.turn.wall)
        })
    }
}

/// Whether a fact is what somebody asked for.
fn is_what(user: &toom_core::name::UserName, body: &RequestBody, fact: &Fact) -> bool {
    match (body, fact) {
        (RequestBody::Broadcast { text }, Fact::Broadcast { from, text: said, .. }) => user == from && text == said,
        (RequestBody::RoomMessage { room, text }, Fact::RoomMessage { room: there, from, text: said, .. }) => {
            user == from && room == there && text == said
        }
        (RequestBody::DirectMessage { to, text }, Fact::DirectMessage { from, to: whom, text: said, .. }) => {
            user == from && spelled(to) == whom.as_str() && text == said
        }
        (RequestBody::DirectReceived { from, through }, Fact::DirectReceived { user: who, peer, through: up_to }) => {
            user == who && from == peer && through == up_to
        }
        (RequestBody::BuildRoom { users }, Fact::RoomBuilt { by, members, .. }) => {
            let others = members.iter().filter(|member| *member != by);
            user == by
                && members.contains(by)
                && members.is_sorted_by(|a, b| a < b)
                && others.clone().all(|member| users.iter().any(|it| spelled(it) == member.as_str()))
                && users.iter().map(|it| spelled(it)).all(|it| members.iter().any(|member| member.as_str() == it))
        }
        (RequestBody::Invite { room, user: invited }, Fact::RoomJoined { room: there, by, user: who, .. }) => {
            user == by && room == there && spelled(invited) == who.as_str()
        }
        (RequestBody::Leave { room }, Fact::RoomLeft { room: there, user: who, .. }) => user == who && room == there,
        _ => false,
    }
}

/// By which a post is recognised, if it is one.
fn post_id(fact: &Fact) -> Option<Option<PostId>> {
    match fact {
        Fact::Broadcast { id, .. } | Fact::RoomMessage { id, .. } | Fact::DirectMessage { id, .. } => Some(*id),
        _ => None,
    }
}

fn fact_time(fact: &Fact) -> Option<toom_core::time::Timestamp> {
    match fact {
        Fact::Broadcast { at, .. }
        | Fact::RoomBuilt { at, .. }
        | Fact::RoomJoined { at, .. }
        | Fact::RoomLeft { at, .. }
        | Fact::RoomMessage { at, .. }
        | Fact::DirectMessage { at, .. } => Some(*at),
        _ => None,
    }
}
