//! What the tests of the server share: a driver that plays the store, the password checks and the people.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::activity::Activity;
use super::fact::{Committed, Conversation, Fact, Message};
use super::io::{CloseReason, Input, Output, Page, Query, Select, Span};
use super::{Server, Settings};
use crate::id::{CheckId, ConnectionId, LogIndex, QueryId, RequestId, RoomId, Ticket};
use crate::machine::Machine;
use crate::name::UserName;
use crate::secure::{HashCost, Password, PasswordHash, PublicKey};
use crate::time::{Instant, Timestamp};
use crate::wire::message::{Event, LoginRefusal, ReplyBody, Request, RequestBody, ServerMessage};

/// A name that is one.
pub(super) fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

pub(super) fn names(texts: &[&str]) -> Vec<UserName> {
    texts.iter().map(|text| name(text)).collect()
}

/// The password of everyone's account.
pub(super) fn password_of(user: &str) -> String {
    format!("secret of {user}")
}

pub(super) fn hash(password: &str) -> PasswordHash {
    PasswordHash::new(&Password(password.into()), [7; 16], HashCost::Trivial)
}

/// The key of the device at the other end of a connection.
pub(super) fn device(connection: ConnectionId) -> PublicKey {
    PublicKey([connection.0 as u8; 32])
}

pub(super) fn text(text: &str) -> String {
    text.to_owned()
}

pub(super) fn broadcast(words: &str) -> RequestBody {
    RequestBody::Broadcast { text: text(words) }
}

pub(super) fn room_message(room: u32, words: &str) -> RequestBody {
    RequestBody::RoomMessage { room: RoomId(room), text: text(words) }
}

pub(super) fn direct(to: &str, words: &str) -> RequestBody {
    RequestBody::DirectMessage { to: text(to), text: text(words) }
}

pub(super) fn build(users: &[&str]) -> RequestBody {
    RequestBody::BuildRoom { users: users.iter().map(|user| text(user)).collect() }
}

pub(super) const BLOCK: Duration = Duration::from_secs(10);
pub(super) const BLOCKED: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms: 10_000 });
pub(super) const INVALID: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials);
pub(super) const ALREADY: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::AlreadyActive);

/// The server and everything around it. Whatever the server asks for is done at once, unless it is held back.
pub(super) struct World {
    pub(super) server: Server,
    grace: Duration,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) log: Vec<Committed>,
    pub(super) messages: BTreeMap<Conversation, Vec<Message>>,
    pub(super) hold_proposals: bool,
    pub(super) hold_checks: bool,
    pub(super) hold_queries: bool,
    pub(super) proposals: VecDeque<(Ticket, Fact)>,
    pub(super) checks: VecDeque<(CheckId, Password, PasswordHash)>,
    pub(super) queries: VecDeque<(QueryId, Query)>,
    pub(super) activities: Vec<Activity>,
    pub(super) closed: BTreeMap<ConnectionId, CloseReason>,
    inboxes: BTreeMap<ConnectionId, Vec<ServerMessage>>,
    /// Those on a device of an earlier connection.
    devices: BTreeMap<ConnectionId, PublicKey>,
    last_connection: ConnectionId,
    last_request: RequestId,
}

fn new_server(grace: Duration) -> Server {
    Server::new(Settings { attempts: 3, block: BLOCK, grace, ..Settings::default() }, hash("decoy"), [1; 32])
}

impl World {
    /// A server with these accounts.
    pub(super) fn new(users: &[&str]) -> World {
        World::with_grace(users, Duration::ZERO)
    }

    /// Sessions outlive their connections for so long.
    pub(super) fn with_grace(users: &[&str], grace: Duration) -> World {
        let mut world = World {
            server: new_server(grace),
            grace,
            now: Instant::ZERO,
            wall: Timestamp::from_millis(1_654_063_500_000),
            log: Vec::new(),
            messages: BTreeMap::new(),
            hold_proposals: false,
            hold_checks: false,
            hold_queries: false,
            proposals: VecDeque::new(),
            checks: VecDeque::new(),
            queries: VecDeque::new(),
            activities: Vec::new(),
            closed: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            devices: BTreeMap::new(),
            last_connection: ConnectionId(0),
            last_request: RequestId(0),
        };
        for user in users {
            world.add_account(user);
        }
        world
    }

    pub(super) fn add_account(&mut self, user: &str) {
        self.commit(Fact::AccountAdded { name: name(user), hash: hash(&password_of(user)) });
    }

    /// A fact that somebody else proposed.
    pub(super) fn commit(&mut self, fact: Fact) {
        self.append(None, fact);
        self.settle();
    }

    /// Commits the oldest proposal that was held back.
    pub(super) fn commit_next(&mut self) {
        let (ticket, fact) = self.proposals.pop_front().expect("nothing was proposed");
        self.append(Some(ticket), fact);
        self.settle();
    }

    /// The store cannot write what was held back.
    pub(super) fn fail_proposals(&mut self) {
        while let Some((ticket, _)) = self.proposals.pop_front() {
            self.input(Input::ProposalFailed { ticket });
        }
    }

    /// Answers the oldest password check that was held back.
    pub(super) fn check_next(&mut self) {
        let (check, password, hash) = self.checks.pop_front().expect("no check was asked for");
        let matches = hash.matches(&password);
        self.input(Input::PasswordChecked { check, matches, wall: self.wall });
        self.settle();
    }

    /// Answers the oldest query that was held back, or fails to.
    pub(super) fn find_next(&mut self, works: bool) {
        let (query, what) = self.queries.pop_front().expect("no query was asked");
        let page = works.then(|| self.answer(&what));
        self.input(Input::Found { query, page });
        self.settle();
    }

    pub(super) fn connect(&mut self) -> ConnectionId {
        self.connect_from("192.0.2.1:50000")
    }

    pub(super) fn connect_from(&mut self, address: &str) -> ConnectionId {
        let connection = self.accept_from(address);
        self.finish_handshake(connection);
        connection
    }

    /// A connection that has not done its handshake.
    pub(super) fn accept_from(&mut self, address: &str) -> ConnectionId {
        self.last_connection.0 += 1;
        let connection = self.last_connection;
        self.inboxes.insert(connection, Vec::new());
        self.input(Input::Accepted { connection, address: address.parse::<SocketAddr>().unwrap() });
        connection
    }

    pub(super) fn finish_handshake(&mut self, connection: ConnectionId) {
        let address = SocketAddr::from(([192, 0, 2, 1], 1));
        let device = self.devices.get(&connection).copied().unwrap_or(device(connection));
        self.input(Input::Connected { connection, address, device });
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId) {
        self.inboxes.remove(&connection);
        self.input(Input::Disconnected { connection, wall: self.wall });
        self.settle();
    }

    /// A request whose answer may come later: see [`World::reply`].
    pub(super) fn send(&mut self, connection: ConnectionId, body: RequestBody) -> RequestId {
        self.last_request.0 += 1;
        let id = self.last_request;
        self.input(Input::Request { connection, request: Request { id, body }, wall: self.wall });
        self.settle();
        id
    }

    /// A request that is answered at once.
    pub(super) fn ask(&mut self, connection: ConnectionId, body: RequestBody) -> ReplyBody {
        let id = self.send(connection, body);
        self.reply(connection, id).expect("no answer")
    }

    /// The answer to a request, once.
    pub(super) fn reply(&mut self, connection: ConnectionId, id: RequestId) -> Option<ReplyBody> {
        let inbox = self.inboxes.get_mut(&connection)?;
        let at = inbox.iter().position(|it| matches!(it, ServerMessage::Reply(reply) if reply.id == id))?;
        match inbox.remove(at) {
            ServerMessage::Reply(reply) => Some(reply.body),
            ServerMessage::Event(_) => None,
        }
    }

    /// Everything that a connection was told, once.
    pub(super) fn inbox(&mut self, connection: ConnectionId) -> Vec<ServerMessage> {
        self.inboxes.get_mut(&connection).map(std::mem::take).unwrap_or_default()
    }

    /// The events that a connection was told, once.
    pub(super) fn events(&mut self, connection: ConnectionId) -> Vec<Event> {
        let event = |message| if let ServerMessage::Event(event) = message { Some(event) } else { None };
        self.inbox(connection).into_iter().filter_map(event).collect()
    }

    pub(super) fn try_login(&mut self, connection: ConnectionId, name: &str, password: &str) -> RequestId {
        let body = RequestBody::Login { name: text(name), password: Password(password.to_owned()), udp_port: 6000 };
        self.send(connection, body)
    }

    /// A login of a new connection that is answered at once.
    pub(super) fn login_with(&mut self, name: &str, password: &str) -> ReplyBody {
        let connection = self.connect();
        let id = self.try_login(connection, name, password);
        self.reply(connection, id).expect("no answer")
    }

    /// Logs in from a new connection.
    pub(super) fn login(&mut self, user: &str) -> ConnectionId {
        let connection = self.connect();
        let id = self.try_login(connection, user, &password_of(user));
        let answer = self.reply(connection, id);
        assert!(matches!(&answer, Some(ReplyBody::Welcome { user: it, .. }) if *it == name(user)), "{answer:?}");
        connection
    }

    /// A new connection of a device.
    pub(super) fn connect_on(&mut self, device: PublicKey) -> ConnectionId {
        self.devices.insert(ConnectionId(self.last_connection.0 + 1), device);
        self.connect()
    }

    /// Sends a request with an id of its own; nothing to a connection that is gone.
    pub(super) fn send_as(&mut self, connection: ConnectionId, request: Request) {
        self.input(Input::Request { connection, request, wall: self.wall });
        self.settle();
    }

    /// Logs in on the device of an earlier connection.
    pub(super) fn login_on(&mut self, user: &str, earlier: ConnectionId) -> ConnectionId {
        self.devices.insert(ConnectionId(self.last_connection.0 + 1), device(earlier));
        self.login(user)
    }

    /// Logs all of them in, and forgets what they were told about it.
    pub(super) fn login_all<const N: usize>(&mut self, users: [&str; N]) -> [ConnectionId; N] {
        let connections = users.map(|user| self.login(user));
        self.forget();
        connections
    }

    /// Forgets what everyone was told until now.
    pub(super) fn forget(&mut self) {
        self.inboxes.values_mut().for_each(Vec::clear);
        self.activities.clear();
    }

    /// Time passes on both clocks, and nothing else happens.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        self.wall = self.wall.saturating_add(by);
        while let Some(at) = self.server.deadline().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.input(Input::Woke { wall: self.wall });
        }
        self.now = end;
        self.settle();
    }

    /// The server is killed and started again on the same log.
    pub(super) fn restart(&mut self) {
        self.server = new_server(self.grace);
        self.now = Instant::ZERO;
        self.proposals.clear();
        self.checks.clear();
        self.queries.clear();
        self.inboxes.clear();
        self.forget();
        for committed in self.log.clone() {
            let committed = Committed { ticket: None, ..committed };
            self.input(Input::Recovered { committed: &committed, wall: self.wall });
        }
    }

    fn append(&mut self, ticket: Option<Ticket>, fact: Fact) {
        let committed = Committed { index: LogIndex(self.log.len() as u64 + 1), ticket, fact };
        self.log.push(committed.clone());
        self.input(Input::Committed { committed, wall: self.wall });
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.server.handle(self.now, input, &mut out);
        assert!(self.server.deadline().is_none_or(|at| at >= self.now), "a deadline in the past");
        for output in out {
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => {
                assert!(!to.is_empty());
                assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), to.len(), "each at most once");
                for connection in to {
                    assert!(!self.closed.contains_key(&connection), "{message:?} after closing");
                    self.inboxes.get_mut(&connection).expect("a connection that is gone").push(message.clone());
                }
            }
            Output::Close { connection, reason } => {
                assert_eq!(self.closed.insert(connection, reason), None, "closed twice");
            }
            Output::CheckPassword { check, password, hash } => self.checks.push_back((check, password, hash)),
            Output::Propose { ticket, fact } => self.proposals.push_back((ticket, fact)),
            Output::Record(message) => self.record(message),
            Output::Query { query, what } => self.queries.push_back((query, what)),
            Output::Activity(activity) => self.activities.push(activity),
        }
    }

    /// Numbers have no gaps, time does not go back, and what is said again is the same.
    fn record(&mut self, message: Message) {
        let known = self.messages.entry(message.conversation.clone()).or_default();
        match known.get(message.number.0 as usize - 1) {
            Some(same) => assert_eq!(*same, message),
            None => {
                assert_eq!(known.len() as u64 + 1, message.number.0, "a gap");
                assert!(known.last().is_none_or(|last| last.at <= message.at && last.index < message.index));
                known.push(message);
            }
        }
    }

    fn settle(&mut self) {
        loop {
            if !self.hold_checks && !self.checks.is_empty() {
                self.check_next();
            } else if !self.hold_proposals && !self.proposals.is_empty() {
                self.commit_next();
            } else if !self.hold_queries && !self.queries.is_empty() {
                self.find_next(true);
            } else {
                return;
            }
        }
    }

    fn answer(&self, what: &Query) -> Page {
        match what {
            Query::Select(select) => self.page(select),
            Query::Last(select) => select.last_page(self.wanted(select).into_iter().rev()),
            Query::First(select) => {
                let mut firsts = Vec::new();
                for span in &select.spans {
                    let one = Select { spans: vec![span.clone()], max_messages: 1, ..select.clone() };
                    firsts.extend(self.page(&one).messages);
                }
                select.page(firsts.into_iter())
            }
            Query::Search(search) => {
                let mut all: Vec<_> = self.messages.values().flatten().collect();
                all.sort_by_key(|message| std::cmp::Reverse(message.index));
                search.page(all.into_iter())
            }
        }
    }

    /// All messages of the spans.
    fn wanted(&self, select: &Select) -> Vec<Message> {
        self.page(&Select { max_messages: usize::MAX, max_bytes: usize::MAX, ..select.clone() }).messages
    }

    fn page(&self, select: &Select) -> Page {
        assert!(!select.spans.is_empty(), "a question about nothing");
        let sorted = select.spans.is_sorted_by(|a, b| (&a.conversation, a.last) < (&b.conversation, b.first));
        assert!(sorted, "spans out of order: {:?}", select.spans);
        let within = |span: &Span| &self.messages[&span.conversation][span.first.0 as usize - 1..span.last.0 as usize];
        let all = select.spans.iter().flat_map(within).filter(|message| message.at >= select.not_before);
        select.page(all.cloned())
    }
}
