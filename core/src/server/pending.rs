//! What is on its way to the store and back, and who waits for it.

use std::collections::BTreeMap;

use super::fact::Fact;
use super::io::{Output, Query};
use super::machine::Server;
use super::news::Asking;
use super::offers::Offered;
use super::turn::Turn;
use crate::id::{ConnectionId, QueryId, RequestId, SessionId, Ticket};
use crate::machine::Usage;
use crate::name::UserName;
use crate::secure::ResumeSecret;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_CONNECTIONS, MAX_PASSWORD_CHECKS};
use crate::wire::message::{Cursor, HistoryKind, Refusal};

/// Proposals that may be on their way to the log. Each connection has its own limit; this one holds when
/// people who post and hang up come faster than a disk that is slow.
pub(super) const MAX_PROPOSALS: usize = 65_536;

/// Questions that may be on their way to the store; likewise.
pub(super) const MAX_QUERIES: usize = 16_384;

/// A request that waits for the store.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) connection: ConnectionId,
    pub(super) request: RequestId,
    pub(super) user: UserName,
    /// As people type it; `None` for what a client asks by itself.
    pub(super) command: Option<&'static str>,
}

/// Why a fact was proposed.
#[derive(Debug)]
pub(super) enum Proposal {
    /// Somebody asked for it.
    Request(Asked),
    /// Too many logins of this name failed.
    Block { name: String },
    /// A session is to be one that can be resumed.
    Session { user: UserName, session: SessionId, secret: ResumeSecret },
    /// An offer waits for its id.
    Offer { asked: Asked, to: String, file: Offered },
    /// Nobody waits for it.
    Unasked,
}

/// Why the store was asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Somebody reads.
    History { asked: Asked, kind: HistoryKind, not_before: Timestamp, after: Option<Cursor> },
    /// Somebody reads the newest of a conversation.
    Latest { asked: Asked },
    /// Somebody searches.
    Search { asked: Asked, is_first: bool },
    /// Somebody was offline when these messages were written.
    Delivery { user: UserName, connection: ConnectionId },
    /// Somebody has logged in: what is new?
    NewSince(Asking),
    /// ... and what of it names them?
    Mentions(Asking),
    /// Somebody was not connected when these messages were written.
    Missed { asked: Asked },
}

/// All proposals and questions under way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) proposals: BTreeMap<Ticket, Proposal>,
    last_ticket: Ticket,
    pub(super) questions: BTreeMap<QueryId, Question>,
    last_query: QueryId,
}

impl Pending {
    /// How much is under way. A block is proposed however many other proposals there are, but each belongs to a
    /// login that waits for it; so is the end of a session, of which each connection has one at a time.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        each(Usage::new("proposals", self.proposals.len(), MAX_PROPOSALS + MAX_PASSWORD_CHECKS + MAX_CONNECTIONS));
        each(Usage::new("questions to the store", self.questions.len(), MAX_QUERIES));
    }
}

impl Server {
    pub(super) fn propose(&mut self, turn: &mut Turn<'_>, proposal: Proposal, fact: Fact) {
        self.pending.last_ticket.0 += 1;
        let ticket = self.pending.last_ticket;
        self.pending.proposals.insert(ticket, proposal);
        turn.out.push(Output::Propose { ticket, fact });
    }

    /// Somebody asks the store for something, and waits for it; refused if too many do.
    pub(super) fn read(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        question: impl FnOnce(Asked) -> Question,
        what: impl Into<Query>,
    ) {
        if self.has_room_to_read(turn, &asked) {
            self.began(asked.connection);
            self.query(turn, question(asked), what);
        }
    }

    /// Whether one more may ask the store; refused if not.
    pub(super) fn has_room_to_read(&mut self, turn: &mut Turn<'_>, asked: &Asked) -> bool {
        let has_room = self.pending.questions.len() < MAX_QUERIES;
        if !has_room {
            let refusal = Refusal::LimitReached("people who read at the same time".to_owned());
            self.refuse(turn, asked, refusal);
        }
        has_room
    }

    pub(super) fn query(&mut self, turn: &mut Turn<'_>, question: Question, what: impl Into<Query>) -> QueryId {
        self.pending.last_query.0 += 1;
        let query = self.pending.last_query;
        self.pending.questions.insert(query, question);
        turn.out.push(Output::Query { query, what: what.into() });
        query
    }
}
