//! A driver of the server machine: it plays the store and the password checks, and remembers what was said.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::OnceLock;

use toom_core::id::{CheckId, ConnectionId, LogIndex, QueryId, RequestId, Ticket};
use toom_core::machine::Machine;
use toom_core::secure::{HashCost, Password, PasswordHash};
use toom_core::server::fact::{Committed, Conversation, Fact, Message};
use toom_core::server::io::{CloseReason, Input, Output, Page, Query, Select};
use toom_core::server::{Server, Settings};
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::message::{Refusal, Reply, ReplyBody, Request, RequestBody, ServerMessage};

use super::super::operations::messages::{AnyName, EPOCH_MS, NAMES, PASSWORDS, name};
use super::super::operations::pick;
use super::super::operations::server::{SLOTS, ServerOperation, requests_in};
use super::model::{ATTEMPTS, BLOCK_MS, Model, device, login};

/// The hashes of [`PASSWORDS`], and last the decoy's.
fn hashes() -> &'static [PasswordHash; PASSWORDS.len() + 1] {
    static HASHES: OnceLock<[PasswordHash; PASSWORDS.len() + 1]> = OnceLock::new();
    HASHES.get_or_init(|| {
        [0, 1, 2, 3].map(|n| {
            let password = PASSWORDS.get(n).copied().unwrap_or("nobody knows it");
            PasswordHash::new(&Password(password.to_owned()), [n as u8; 16], HashCost::Trivial)
        })
    })
}

/// The hash of one of [`PASSWORDS`].
pub fn hash(password: usize) -> PasswordHash {
    hashes()[password].clone()
}

fn matches(password: &Password, against: &PasswordHash) -> bool {
    let at = hashes().iter().position(|hash| hash == against).expect("a hash that nobody made");
    PASSWORDS.get(at).is_some_and(|right| *right == password.0)
}

/// The server, and what is around it.
pub struct Driver {
    server: Server,
    now: Instant,
    wall: Timestamp,
    log: Vec<Committed>,
    messages: BTreeMap<Conversation, Vec<Message>>,
    slots: [Option<ConnectionId>; SLOTS],
    last_connection: ConnectionId,
    last_request: RequestId,
    checks: Vec<(CheckId, Password, PasswordHash)>,
    proposals: Vec<(Ticket, Fact)>,
    queries: Vec<(QueryId, Select)>,
    /// Ids that must never come again in this run of the server.
    used: BTreeSet<(&'static str, u64)>,
    closed: BTreeSet<ConnectionId>,
    /// What was asked on which connection, and not answered.
    unanswered: BTreeMap<(ConnectionId, RequestId), usize>,
    /// What was said in the last operation.
    said: BTreeMap<ConnectionId, Vec<ServerMessage>>,
    closes: BTreeMap<ConnectionId, CloseReason>,
}

fn new_server() -> Server {
    let settings = Settings {
        attempts: ATTEMPTS,
        block: Duration::from_millis(BLOCK_MS),
        grace: Duration::ZERO,
        ..Settings::default()
    };
    Server::new(settings, hash(PASSWORDS.len()), [1; 32])
}

impl Default for Driver {
    fn default() -> Self {
        Driver::new()
    }
}

impl Driver {
    /// A server where the first three people have an account with the first password.
    pub fn new() -> Driver {
        let mut driver = Driver {
            server: new_server(),
            now: Instant::ZERO,
            wall: Timestamp::from_millis(EPOCH_MS),
            log: Vec::new(),
            messages: BTreeMap::new(),
            slots: [None; SLOTS],
            last_connection: ConnectionId(0),
            last_request: RequestId(0),
            checks: Vec::new(),
            proposals: Vec::new(),
            queries: Vec::new(),
            used: BTreeSet::new(),
            closed: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            said: BTreeMap::new(),
            closes: BTreeMap::new(),
        };
        for user in &NAMES[..3] {
            driver.append(None, Fact::AccountAdded { name: name(user), hash: hash(0) });
        }
        driver
    }

    /// Something happens.
    pub fn apply(&mut self, operation: &ServerOperation) {
        self.said.clear();
        self.closes.clear();
        match operation {
            ServerOperation::Connect { slot } => self.connect(ServerOperation::slot(*slot)),
            ServerOperation::LogIn { slot, name, at_once } => {
                let slot = ServerOperation::slot(*slot);
                if self.slots[slot].is_none() {
                    self.connect(slot);
                    self.log_in(slot, name, *at_once);
                }
            }
            ServerOperation::Request { connection, body } => {
                if let Some(slot) = ServerOperation::taken(*connection, &self.slots) {
                    self.ask(slot, body.request(0).body);
                }
            }
            ServerOperation::Raw { connection, parts } => {
                if let Some(slot) = ServerOperation::taken(*connection, &self.slots) {
                    let (requests, goes_on) = requests_in(parts);
                    requests.into_iter().for_each(|request| self.arrived(slot, request));
                    if !goes_on {
                        self.disconnect(slot);
                    }
                }
            }
            ServerOperation::Disconnect { connection } => {
                let slot = ServerOperation::taken(*connection, &self.slots);
                slot.into_iter().for_each(|slot| self.disconnect(slot));
            }
            ServerOperation::Check { which } => self.check(*which),
            ServerOperation::Commit { which, count } => (0..*count).for_each(|_| self.commit(*which)),
            ServerOperation::Fail { which } => {
                if let Some(at) = pick(*which, self.proposals.len()) {
                    let (ticket, _) = self.proposals.remove(at);
                    self.input(Input::ProposalFailed { ticket });
                }
            }
            ServerOperation::Outside(fact) => self.append(None, fact.fact(hash)),
            ServerOperation::Find { which, most, works } => self.find(*which, *most, *works),
            ServerOperation::Restart => self.restart(),
            ServerOperation::Wait { milliseconds } => self.wait(Duration::from_millis(u64::from(*milliseconds))),
            ServerOperation::WaitLong { seconds } => self.wait(Duration::from_secs(u64::from(*seconds))),
            ServerOperation::Jump { minutes } => {
                self.wall = Timestamp::from_millis(self.wall.as_millis() + i64::from(*minutes) * 60_000);
            }
        }
        self.woken_early();
    }

    /// What was said, asked and proposed is what the model says.
    pub fn compare(&self, model: &Model) {
        assert_eq!(self.said, model.said, "what was said");
        assert_eq!(self.closes, model.closes, "what was closed");
        let facts: Vec<&Fact> = self.proposals.iter().map(|(_, fact)| fact).collect();
        assert_eq!(facts, model.proposed().collect::<Vec<_>>(), "what was proposed");
        assert_eq!(self.checks.len(), model.checks(), "passwords to check");
        assert_eq!(self.queries.len(), model.queries(), "questions to the store");
        assert_eq!(self.server.deadline(), model.deadline(), "when it wants to be woken");
    }

    /// The store and the checks have answered: every request of a connection that is open has its reply.
    pub fn finish(&self) {
        let open = |(connection, _): &&(ConnectionId, RequestId)| !self.closed.contains(connection);
        let forgotten: Vec<_> = self.unanswered.keys().filter(open).collect();
        assert!(forgotten.is_empty(), "requests without a reply: {forgotten:?}");
    }

    fn connect(&mut self, slot: usize) {
        if self.slots[slot].is_none() {
            self.last_connection.0 += 1;
            let connection = self.last_connection;
            self.slots[slot] = Some(connection);
            let address = SocketAddr::from(([192, 0, 2, slot as u8], 50_000));
            self.input(Input::Accepted { connection, address });
            self.input(Input::Connected { connection, address, device: device(connection) });
        }
    }

    fn log_in(&mut self, slot: usize, name: &AnyName, at_once: bool) {
        let before = self.checks.len();
        self.ask(slot, login(&name.text()));
        if at_once && self.checks.len() > before {
            self.check(before as u8);
        }
    }

    fn ask(&mut self, slot: usize, body: RequestBody) {
        self.last_request.0 += 1;
        self.arrived(slot, Request { id: self.last_request, body });
    }

    fn arrived(&mut self, slot: usize, request: Request) {
        let Some(connection) = self.slots[slot] else { return };
        if !self.closed.contains(&connection) {
            *self.unanswered.entry((connection, request.id)).or_default() += 1;
        }
        self.input(Input::Request { connection, request, wall: self.wall });
    }

    fn disconnect(&mut self, slot: usize) {
        if let Some(connection) = self.slots[slot].take() {
            self.closed.insert(connection);
            self.input(Input::Disconnected { connection, wall: self.wall });
        }
    }

    fn check(&mut self, which: u8) {
        if let Some(at) = pick(which, self.checks.len()) {
            let (check, password, hash) = self.checks.remove(at);
            let matches = matches(&password, &hash);
            self.input(Input::PasswordChecked { check, matches, wall: self.wall });
        }
    }

    fn commit(&mut self, which: u8) {
        if let Some(at) = pick(which, self.proposals.len()) {
            let (ticket, fact) = self.proposals.remove(at);
            self.append(Some(ticket), fact);
        }
    }

    fn append(&mut self, ticket: Option<Ticket>, fact: Fact) {
        let committed = Committed { index: LogIndex(self.log.len() as u64 + 1), ticket, fact };
        self.log.push(committed.clone());
        self.input(Input::Committed { committed, wall: self.wall });
    }

    fn find(&mut self, which: u8, most: u8, works: bool) {
        if let Some(at) = pick(which, self.queries.len()) {
            let (query, select) = self.queries.remove(at);
            let page = works.then(|| self.page(&select, usize::from(most).max(1)));
            self.input(Input::Found { query, page });
        }
    }

    fn restart(&mut self) {
        self.server = new_server();
        self.slots = [None; SLOTS];
        self.checks.clear();
        self.proposals.clear();
        self.queries.clear();
        self.used.clear();
        self.closed = (0..=self.last_connection.0).map(ConnectionId).collect();
        for committed in self.log.clone() {
            let committed = Committed { ticket: None, ..committed };
            self.input(Input::Recovered { committed: &committed, wall: self.wall });
        }
    }

    /// Time passes on both clocks; the server is woken when it wants to be.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let start = (self.now, self.wall);
        while let Some(at) = self.server.deadline().filter(|at| *at <= end) {
            self.now = at;
            self.wall = start.1.saturating_add(at - start.0);
            self.input(Input::Woke { wall: self.wall });
            assert!(self.server.deadline().is_none_or(|next| next > at), "woken, and still due");
        }
        self.now = end;
        self.wall = start.1.saturating_add(time);
    }

    fn woken_early(&mut self) {
        let (mut out, due) = (Vec::new(), self.server.deadline());
        self.server.handle(self.now, Input::Woke { wall: self.wall }, &mut out);
        assert_eq!(out, [], "woken early, and said something");
        assert_eq!(self.server.deadline(), due, "woken early, and another deadline");
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.server.handle(self.now, input, &mut out);
        assert!(self.server.deadline().is_none_or(|at| at >= self.now), "a deadline in the past");
        // Direct messages that were missed are fetched at once; other questions wait for `Find`.
        let mut missed = Vec::new();
        for output in out {
            self.output(output, &mut missed);
        }
        for (query, select) in missed {
            let page = Some(self.page(&select, select.max_messages));
            self.input(Input::Found { query, page });
        }
    }

    fn output(&mut self, output: Output, missed: &mut Vec<(QueryId, Select)>) {
        match output {
            Output::Send { to, message } => {
                assert!(!to.is_empty() && to.iter().collect::<BTreeSet<_>>().len() == to.len(), "each at most once");
                to.into_iter().for_each(|connection| self.send(connection, message.clone()));
            }
            Output::Close { connection, reason } => {
                assert!(self.closed.insert(connection), "closed twice");
                self.closes.insert(connection, reason);
            }
            Output::CheckPassword { check, password, hash } => {
                self.fresh("check", check.0);
                self.checks.push((check, password, hash));
            }
            Output::Propose { ticket, fact } => {
                self.fresh("ticket", ticket.0);
                self.proposals.push((ticket, fact));
            }
            Output::Query { query, what: Query::Select(select) } => {
                self.fresh("query", query.0);
                let direct = select.spans.iter().any(|span| matches!(span.conversation, Conversation::Direct(..)));
                if direct { missed.push((query, select)) } else { self.queries.push((query, select)) }
            }
            Output::Query { what: Query::Search(_) | Query::First(_) | Query::Last(_), .. } => {
                unreachable!("not among the operations")
            }
            Output::Record(message) => self.record(message),
            Output::Activity(_) => {}
        }
    }

    fn send(&mut self, connection: ConnectionId, message: ServerMessage) {
        assert!(!self.closed.contains(&connection), "{message:?} after closing");
        if let ServerMessage::Reply(Reply { id, body }) = &message {
            let asked = self.unanswered.get_mut(&(connection, *id));
            let count = asked.unwrap_or_else(|| panic!("a second reply, or to nothing: {body:?}"));
            *count -= 1;
            if *count == 0 {
                self.unanswered.remove(&(connection, *id));
            }
        }
        self.said.entry(connection).or_default().push(in_short(message));
    }

    fn fresh(&mut self, kind: &'static str, id: u64) {
        assert!(self.used.insert((kind, id)), "{kind} {id} is used again");
    }

    /// Numbers have no gaps, time does not go back, and what is said again after a restart is the same.
    fn record(&mut self, message: Message) {
        let known = self.messages.entry(message.conversation.clone()).or_default();
        match known.get(message.number.0 as usize - 1) {
            Some(same) => assert_eq!(*same, message, "recorded again, and another message"),
            None => {
                assert_eq!(known.len() as u64 + 1, message.number.0, "a gap");
                assert!(known.last().is_none_or(|last| last.at <= message.at && last.index < message.index));
                known.push(message);
            }
        }
    }

    fn page(&self, select: &Select, most: usize) -> Page {
        assert!(!select.spans.is_empty(), "a question about nothing");
        let sorted = select.spans.is_sorted_by(|a, b| (&a.conversation, a.last) < (&b.conversation, b.first));
        assert!(sorted, "spans out of order: {:?}", select.spans);
        let in_span = |span: &toom_core::server::io::Span| {
            let all = self.messages.get(&span.conversation).expect("a conversation without messages");
            all[span.first.0 as usize - 1..span.last.0 as usize].to_vec()
        };
        let mut messages: Vec<Message> = select.spans.iter().flat_map(in_span).collect();
        messages.retain(|message| message.at >= select.not_before);
        let most = most.min(select.max_messages);
        let more = messages.len() > most;
        messages.truncate(most);
        Page { messages, more }
    }
}

/// Which limit it was is said in words, which are not compared.
pub fn in_short(message: ServerMessage) -> ServerMessage {
    match message {
        ServerMessage::Reply(Reply { id, body: ReplyBody::Refused(Refusal::LimitReached(_)) }) => {
            ServerMessage::Reply(Reply { id, body: ReplyBody::Refused(Refusal::LimitReached(String::new())) })
        }
        message => message,
    }
}
