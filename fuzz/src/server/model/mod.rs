//! What the server must say: a model that is as simple as it can be, and knows nothing of how the server does it.
//!
//! Everything that was ever said is one flat list, each message with who may read it; numbers are counts; who is told
//! something is a filter.

mod facts;
mod login;
mod offers;
mod reading;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use toom_core::id::{ConnectionId, MessageNumber, RequestId, RoomId};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::server::fact::Fact;
use toom_core::server::io::CloseReason;
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::limits::LOGIN_DEADLINE;
use toom_core::wire::message::{Event, Refusal, Reply, ReplyBody, Request, RequestBody, RoomInfo, ServerMessage};

use super::super::operations::messages::{AnyName, EPOCH_MS, NAMES, PASSWORDS, name as user_name};
use super::super::operations::pick;
use super::super::operations::server::{SLOTS, ServerOperation, requests_in};
use super::driver::{hash, in_short};
use login::Queue;
pub use login::login;
use offers::Offer;
use reading::Question;

/// So many consecutive failures block a name.
pub const ATTEMPTS: u32 = 3;
/// For so long.
pub const BLOCK_MS: u64 = 10_000;

const LOGIN_MS: u64 = LOGIN_DEADLINE.as_millis() as u64;

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    LoggingIn(String),
    Active(UserName),
    Closing,
}

#[derive(Clone, Debug)]
struct Connection {
    address: IpAddr,
    since: u64,
    state: State,
    in_flight: usize,
    logging_out: Option<RequestId>,
}

/// Who asked, and on which connection.
#[derive(Clone, Debug)]
struct Asked {
    connection: ConnectionId,
    request: RequestId,
    user: UserName,
}

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Everywhere,
    Room(RoomId),
    Between(UserName, UserName),
}

#[derive(Clone, Debug)]
struct Said {
    place: Place,
    number: u64,
    at: Timestamp,
    from: UserName,
    text: String,
    readers: BTreeSet<UserName>,
}

#[derive(Clone, Debug)]
struct Session {
    connection: ConnectionId,
    since: Timestamp,
    udp_port: u16,
}

/// The server as it must be seen from outside.
#[derive(Clone, Debug)]
pub struct Model {
    ms: u64,
    wall: i64,
    slots: [Option<ConnectionId>; SLOTS],
    last_connection: ConnectionId,
    last_request: RequestId,
    connections: BTreeMap<ConnectionId, Connection>,
    active: BTreeMap<UserName, Session>,
    /// By name: which of [`PASSWORDS`].
    accounts: BTreeMap<UserName, usize>,
    failures: BTreeMap<String, u32>,
    /// Since they last logged in.
    failed_logins: BTreeMap<UserName, u32>,
    blocked_until: BTreeMap<String, u64>,
    /// Blocks that were committed, for the next start.
    blocks: Vec<(String, i64)>,
    logins: BTreeMap<String, Queue>,
    /// The names whose passwords are being checked.
    checking: Vec<String>,
    rooms: Vec<BTreeSet<UserName>>,
    said_before: Vec<Said>,
    last_at: Timestamp,
    /// By who was shown what who wrote: up to which number.
    shown: BTreeMap<(UserName, UserName), u64>,
    offers: BTreeMap<u64, Offer>,
    last_offer: u64,
    /// What waits for the log; who asked for it, unless it is a block.
    proposals: VecDeque<(Option<Asked>, Fact)>,
    questions: Vec<Question>,
    /// What the last operation led to.
    pub said: BTreeMap<ConnectionId, Vec<ServerMessage>>,
    /// And which connections it closed.
    pub closes: BTreeMap<ConnectionId, CloseReason>,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            ms: 0,
            wall: EPOCH_MS,
            slots: [None; SLOTS],
            last_connection: ConnectionId(0),
            last_request: RequestId(0),
            connections: BTreeMap::new(),
            active: BTreeMap::new(),
            accounts: NAMES[..3].iter().map(|it| (user_name(it), 0)).collect(),
            failures: BTreeMap::new(),
            failed_logins: BTreeMap::new(),
            blocked_until: BTreeMap::new(),
            blocks: Vec::new(),
            logins: BTreeMap::new(),
            checking: Vec::new(),
            rooms: Vec::new(),
            said_before: Vec::new(),
            last_at: Timestamp::default(),
            shown: BTreeMap::new(),
            offers: BTreeMap::new(),
            last_offer: 0,
            proposals: VecDeque::new(),
            questions: Vec::new(),
            said: BTreeMap::new(),
            closes: BTreeMap::new(),
        }
    }
}

/// The key of the device at the other end of a connection.
pub fn device(connection: ConnectionId) -> PublicKey {
    PublicKey([connection.0 as u8; 32])
}

impl Model {
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
            ServerOperation::Fail { which } => self.fail(*which),
            ServerOperation::Outside(fact) => self.committed(fact.fact(hash), None),
            ServerOperation::Find { which, most, works } => self.find(*which, usize::from(*most).max(1), *works),
            ServerOperation::Restart => self.restart(),
            ServerOperation::Wait { milliseconds } => self.wait(u64::from(*milliseconds)),
            ServerOperation::WaitLong { seconds } => self.wait(u64::from(*seconds) * 1_000),
            ServerOperation::Jump { minutes } => self.wall += i64::from(*minutes) * 60_000,
        }
    }

    /// Whether something is being checked, written or read.
    pub fn is_waiting(&self) -> bool {
        self.checks() + self.proposals.len() + self.queries() > 0
    }

    /// How many passwords are to be checked.
    pub fn checks(&self) -> usize {
        self.checking.len()
    }

    /// How many questions the store has to answer.
    pub fn queries(&self) -> usize {
        self.questions.len()
    }

    /// What waits for the log.
    pub fn proposed(&self) -> impl Iterator<Item = &Fact> {
        self.proposals.iter().map(|(_, fact)| fact)
    }

    /// When something ends that nobody ended before.
    pub fn deadline(&self) -> Option<Instant> {
        let ends = self.login_ends().map(|(at, _)| at).chain(self.offers.values().map(|offer| offer.ends));
        ends.min().map(|at| Instant::from_nanos(at * 1_000_000))
    }

    fn login_ends(&self) -> impl Iterator<Item = (u64, ConnectionId)> {
        let waits = |it: &Connection| matches!(it.state, State::Fresh | State::LoggingIn(_));
        self.connections.iter().filter(move |(_, it)| waits(it)).map(|(id, it)| (it.since + LOGIN_MS, *id))
    }

    fn wait(&mut self, milliseconds: u64) {
        let (end, start) = (self.ms + milliseconds, (self.ms, self.wall));
        while let Some(at) = self.deadline().map(|at| at.as_nanos() / 1_000_000).filter(|at| *at <= end) {
            self.ms = at;
            self.wall = start.1 + (at - start.0) as i64;
            for (_, connection) in self.login_ends().filter(|(ends, _)| *ends <= at).collect::<Vec<_>>() {
                self.close(connection, CloseReason::LoginTimedOut);
            }
            self.expire_offers();
        }
        self.ms = end;
        self.wall = start.1 + milliseconds as i64;
    }

    fn connect(&mut self, slot: usize) {
        if self.slots[slot].is_some() {
            return;
        }
        self.last_connection.0 += 1;
        self.slots[slot] = Some(self.last_connection);
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, slot as u8));
        let (state, since) = (State::Fresh, self.ms);
        let connection = Connection { address, since, state, in_flight: 0, logging_out: None };
        self.connections.insert(self.last_connection, connection);
    }

    fn disconnect(&mut self, slot: usize) {
        if let Some(connection) = self.slots[slot].take() {
            self.retire(connection);
            self.connections.remove(&connection);
        }
    }

    fn close(&mut self, connection: ConnectionId, reason: CloseReason) {
        self.closes.insert(connection, reason);
        self.retire(connection);
    }

    fn retire(&mut self, connection: ConnectionId) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        match std::mem::replace(&mut it.state, State::Closing) {
            State::Fresh | State::Closing => {}
            State::LoggingIn(name) => self.abandon_login(&name, connection),
            State::Active(user) => {
                self.active.remove(&user);
                self.end_offers_of(&user);
                self.tell_all_but(&user, &Event::Left { user: user.clone() });
            }
        }
    }

    /// Everything that lives as long as one run is gone; a block that was committed lasts on.
    fn restart(&mut self) {
        self.slots = [None; SLOTS];
        self.connections.clear();
        self.active.clear();
        self.failures.clear();
        self.failed_logins.clear();
        self.blocked_until.clear();
        self.logins.clear();
        self.checking.clear();
        self.offers.clear();
        self.last_offer = 0;
        self.proposals.clear();
        self.questions.clear();
        for (name, at) in &self.blocks {
            let rest = (at + BLOCK_MS as i64 - self.wall).clamp(0, BLOCK_MS as i64) as u64;
            let until = self.blocked_until.entry(name.clone()).or_default();
            if *until <= self.ms {
                *until = self.ms + rest;
            }
        }
    }

    fn log_in(&mut self, slot: usize, name: &AnyName, at_once: bool) {
        let before = self.checking.len();
        self.ask(slot, login(&name.text()));
        if at_once && self.checking.len() > before {
            self.check(before as u8);
        }
    }

    fn ask(&mut self, slot: usize, body: RequestBody) {
        self.last_request.0 += 1;
        self.arrived(slot, Request { id: self.last_request, body });
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|it| it.state != State::Closing)
    }

    fn reply(&mut self, connection: ConnectionId, id: RequestId, body: ReplyBody) {
        if self.is_open(connection) {
            let message = in_short(ServerMessage::Reply(Reply { id, body }));
            self.said.entry(connection).or_default().push(message);
        }
    }

    fn tell(&mut self, user: &UserName, event: &Event) {
        if let Some(session) = self.active.get(user) {
            self.said.entry(session.connection).or_default().push(ServerMessage::Event(event.clone()));
        }
    }

    fn tell_all_but(&mut self, user: &UserName, event: &Event) {
        let others: Vec<UserName> = self.active.keys().filter(|other| *other != user).cloned().collect();
        others.iter().for_each(|other| self.tell(other, event));
    }

    fn members(&self, room: RoomId, user: &UserName) -> Result<&BTreeSet<UserName>, Refusal> {
        let at = (room.0 as usize).checked_sub(1).ok_or(Refusal::NoSuchRoom)?;
        let members = self.rooms.get(at).ok_or(Refusal::NoSuchRoom)?;
        if members.contains(user) { Ok(members) } else { Err(Refusal::NotAMember) }
    }

    fn info(&self, room: RoomId) -> RoomInfo {
        RoomInfo { room, members: self.rooms[room.0 as usize - 1].iter().cloned().collect() }
    }

    fn newest(&self, place: &Place) -> MessageNumber {
        MessageNumber(self.said_before.iter().filter(|it| it.place == *place).count() as u64)
    }

    /// The first of [`PASSWORDS`] is the right one of an account that nobody changed.
    fn is_right(&self, name: &str, password: &str) -> bool {
        self.accounts.get(name).is_some_and(|right| PASSWORDS[*right] == password)
    }
}

fn between(a: &UserName, b: &UserName) -> Place {
    if a <= b { Place::Between(a.clone(), b.clone()) } else { Place::Between(b.clone(), a.clone()) }
}

fn take<T>(choice: u8, from: &mut Vec<T>) -> Option<T> {
    pick(choice, from.len()).map(|at| from.remove(at))
}
