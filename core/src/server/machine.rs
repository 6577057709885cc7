//! The server as a machine: its fields, and one input at a time.

use core::time::Duration;
use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::attempts::Attempts;
use super::blocks::Blocks;
use super::conference::Conference;
use super::connections::Connection;
use super::fact::Committed;
use super::failed_logins::FailedLogins;
use super::failing_networks::FailingNetworks;
use super::fencing::Fencing;
use super::io::{CloseReason, Input, Output, Page};
use super::offers::Offers;
use super::pending::{Pending, Proposal, Question};
use super::presence::Session;
use super::rates::{Budget, PostRates};
use super::resuming::Lost;
use super::strangers::Strangers;
use super::timeouts::Timeouts;
use super::turn::Turn;
use crate::id::{ConnectionId, QueryId, SessionId, Ticket};
use crate::machine::{Machine, earlier};
use crate::name::UserName;
use crate::secure::PasswordHash;
use crate::time::{Instant, Timestamp};
use crate::wire::limits::{DEFAULT_ATTEMPTS, DEFAULT_BLOCK, DEFAULT_GRACE};
use crate::wire::message::Refusal;

/// How many timeouts of each kind one call lets end; the next call goes on.
const MAX_EXPIRED: usize = 256;

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many consecutive failed logins block a name, within `limits::ATTEMPTS`.
    pub attempts: u32,
    /// For how long.
    pub block: Duration,
    /// How much one user may post.
    pub post_rates: PostRates,
    /// How long a session whose connection was lost stays active. With zero, sessions end with their connection and
    /// cannot be resumed.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attempts: DEFAULT_ATTEMPTS,
            block: DEFAULT_BLOCK,
            post_rates: PostRates::default(),
            grace: DEFAULT_GRACE,
        }
    }
}

/// The conference; the documentation of [`server`](super) is its theory of operation.
#[derive(Debug)]
pub struct Server {
    pub(super) settings: Settings,
    pub(super) decoy: PasswordHash,
    pub(super) random: ChaCha20Rng,
    /// The clocks, as they were last told.
    now: Instant,
    wall: Timestamp,

    pub(super) conference: Conference,

    pub(super) blocks: Blocks,
    pub(super) failing_networks: FailingNetworks,
    pub(super) failed_logins: FailedLogins,
    pub(super) attempts: Attempts,
    pub(super) strangers: Strangers,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) login_timeouts: Timeouts<ConnectionId>,
    pub(super) sessions: BTreeMap<UserName, Session>,
    pub(super) lost: Lost,
    /// The sessions that are over, though the log does not say so yet.
    pub(super) over: BTreeMap<UserName, SessionId>,
    pub(super) fencing: Fencing,
    pub(super) budgets: BTreeMap<UserName, Budget>,
    pub(super) offers: Offers,
    pub(super) pending: Pending,
}

impl Server {
    /// A server without accounts; they come with the log. Logins of a name without an account are compared with
    /// `decoy`, so that they cost the same. `seed` is random and used for nothing else.
    pub fn new(settings: Settings, decoy: PasswordHash, seed: [u8; 32]) -> Server {
        Server {
            settings,
            decoy,
            random: ChaCha20Rng::from_seed(seed),
            now: Instant::ZERO,
            wall: Timestamp::default(),
            conference: Conference::default(),
            blocks: Blocks::default(),
            failing_networks: FailingNetworks::default(),
            failed_logins: FailedLogins::default(),
            attempts: Attempts::default(),
            strangers: Strangers::default(),
            connections: BTreeMap::new(),
            login_timeouts: Timeouts::default(),
            sessions: BTreeMap::new(),
            lost: Lost::default(),
            over: BTreeMap::new(),
            fencing: Fencing::default(),
            budgets: BTreeMap::new(),
            offers: Offers::default(),
            pending: Pending::default(),
        }
    }

    /// Whether two servers have come to the same conference: accounts, rooms, who may read what, numbers and
    /// times of messages, and what was shown to whom. They have if they applied the same facts in the same order.
    pub fn same_conference(&self, other: &Server) -> bool {
        self.conference == other.conference
    }

    /// The clocks, as they were last told.
    pub(super) fn clocks(&self) -> (Instant, Timestamp) {
        (self.now, self.wall)
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..MAX_EXPIRED {
            let Some(connection) = self.login_timeouts.expire(turn.now) else { break };
            self.close(turn, connection, CloseReason::LoginTimedOut);
        }
        for _ in 0..MAX_EXPIRED {
            if !self.expire_offer(turn) {
                break;
            }
        }
        for _ in 0..MAX_EXPIRED {
            if !self.expire_fence(turn) && !self.expire_lost(turn) {
                break;
            }
        }
    }

    fn committed(&mut self, turn: &mut Turn<'_>, committed: Committed) {
        // Each fact comes once; a second time it would be a second message.
        if committed.index <= self.conference.applied {
            return;
        }
        self.conference.applied = committed.index;
        match committed.ticket.and_then(|ticket| self.pending.proposals.remove(&ticket)) {
            Some(Proposal::Request(asked)) => {
                self.apply(turn, committed.fact, Some(&asked));
                self.answered(turn, asked.connection);
            }
            Some(Proposal::Session { user, session, secret }) => {
                self.apply(turn, committed.fact, None);
                self.grant(turn, &user, session, secret);
            }
            Some(Proposal::Offer { asked, to, file }) => {
                self.apply(turn, committed.fact, None);
                self.offer_numbered(turn, asked, to, file);
            }
            Some(Proposal::Block { .. } | Proposal::Unasked) | None => self.apply(turn, committed.fact, None),
        }
    }

    fn proposal_failed(&mut self, turn: &mut Turn<'_>, ticket: Ticket) {
        match self.pending.proposals.remove(&ticket) {
            Some(Proposal::Request(asked) | Proposal::Offer { asked, .. }) => {
                self.refuse(turn, &asked, Refusal::StorageFailed);
                self.answered(turn, asked.connection);
            }
            Some(Proposal::Block { name }) => self.apply_block(turn, &name, turn.wall),
            Some(Proposal::Session { user, session, .. }) => self.not_granted(&user, session),
            // A device is proposed again at the next login.
            Some(Proposal::Unasked) | None => {}
        }
    }

    fn found(&mut self, turn: &mut Turn<'_>, query: QueryId, page: Option<Page>) {
        match self.pending.questions.remove(&query) {
            Some(Question::History { asked, kind, not_before, after }) => {
                self.found_history(turn, &asked, (kind, not_before, after), page);
                self.answered(turn, asked.connection);
            }
            Some(Question::Missed { asked }) => {
                self.missed_page_found(turn, &asked, page);
                self.answered(turn, asked.connection);
            }
            Some(Question::Latest { asked }) => {
                self.found_latest(turn, &asked, page);
                self.answered(turn, asked.connection);
            }
            Some(Question::NewSince(asking)) => self.found_first(turn, asking, page),
            Some(Question::Mentions(asking)) => self.found_mentions(turn, asking, page),
            Some(Question::Search { asked, is_first }) => {
                self.found_by_search(turn, &asked, is_first, page);
                self.answered(turn, asked.connection);
            }
            Some(Question::Delivery { user, connection }) => self.found_missed(turn, &user, connection, page),
            None => {}
        }
    }
}

impl Machine for Server {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.now = now;
        self.wall = wall(&input).unwrap_or(self.wall);
        let recovering = matches!(input, Input::Recovered { .. });
        let mut turn = Turn { now, wall: self.wall, recovering, out };
        let turn = &mut turn;
        self.expire(turn);
        match input {
            Input::Recovered { committed, .. } => self.committed(turn, committed.clone()),
            Input::Accepted { connection, address } => self.accepted(turn, connection, address.ip()),
            Input::Connected { connection, device, .. } => self.connected(turn, connection, device),
            Input::Request { connection, request, .. } => self.requested(turn, connection, request),
            Input::Disconnected { connection, .. } => self.disconnected(turn, connection),
            Input::PasswordChecked { check, matches, .. } => self.password_checked(turn, check, matches),
            Input::Committed { committed, .. } => self.committed(turn, committed),
            Input::ProposalFailed { ticket } => self.proposal_failed(turn, ticket),
            Input::Found { query, page } => self.found(turn, query, page),
            Input::Woke { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let others = earlier(self.login_timeouts.next(), self.offers.deadline());
        let next = earlier(others, self.deadline_of_sessions())?;
        // What one call left over is due now.
        Some(next.max(self.now))
    }
}

fn wall(input: &Input<'_>) -> Option<Timestamp> {
    match input {
        Input::Recovered { wall, .. }
        | Input::Request { wall, .. }
        | Input::Disconnected { wall, .. }
        | Input::PasswordChecked { wall, .. }
        | Input::Committed { wall, .. }
        | Input::Woke { wall } => Some(*wall),
        Input::Accepted { .. } | Input::Connected { .. } | Input::ProposalFailed { .. } | Input::Found { .. } => None,
    }
}
