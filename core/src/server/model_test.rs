//! Random operations of several people on the server and on a far simpler model of it, compared after each.
//!
//! The model keeps one flat list of everything said, each with who may read it, and nothing else that is
//! clever: numbers are counts, and what somebody sees is a filter.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::testing::*;
use crate::id::{ConnectionId, MessageNumber, RoomId};
use crate::time::Timestamp;
use crate::wire::message::{Event, HistoryKind, LoginRefusal, Refusal, ReplyBody, RequestBody, RoomInfo};

/// Three with an account, and one without.
const NAMES: [&str; 4] = ["a", "b", "c", "x"];
const UNKNOWN: usize = 3;
const BLOCK_MS: u64 = 10_000;

/// Who does something, and what.
type Step = (usize, Op);

#[derive(Clone, Debug)]
enum Op {
    Login {
        right: bool,
    },
    HangUp,
    Logout,
    Broadcast,
    Build {
        others: Vec<usize>,
    },
    Say {
        room: u32,
    },
    Invite {
        room: u32,
        user: usize,
    },
    Leave {
        room: u32,
    },
    Write {
        to: usize,
    },
    Shown {
        peer: usize,
        through: u64,
    },
    Read {
        kind: HistoryKind,
    },
    ListRooms,
    Wait {
        ms: u64,
    },
    Restart,
    /// A post that is proposed, and then the server is killed before it is committed.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let (someone, room) = (0..NAMES.len(), 0..4_u32);
    let op = prop_oneof![
        6 => prop::bool::weighted(0.6).prop_map(|right| Op::Login { right }),
        2 => Just(Op::HangUp),
        1 => Just(Op::Logout),
        3 => Just(Op::Broadcast),
        3 => vec(someone.clone(), 0..4).prop_map(|others| Op::Build { others }),
        5 => room.clone().prop_map(|room| Op::Say { room }),
        3 => (room.clone(), someone.clone()).prop_map(|(room, user)| Op::Invite { room, user }),
        2 => room.prop_map(|room| Op::Leave { room }),
        5 => someone.clone().prop_map(|to| Op::Write { to }),
        3 => (someone.clone(), 0..6_u64).prop_map(|(peer, through)| Op::Shown { peer, through }),
        3 => prop_oneof![Just(HistoryKind::Broadcast), Just(HistoryKind::Rooms)].prop_map(|kind| Op::Read { kind }),
        1 => Just(Op::ListRooms),
        2 => (0..7_000_u64).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Restart),
        1 => Just(Op::Lose),
    ];
    // Everyone with an account does more than the one without.
    (prop_oneof![9 => 0..UNKNOWN, 1 => Just(UNKNOWN)], op)
}

/// Where something was said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Everywhere,
    Room(u32),
    Between(usize, usize),
}

#[derive(Debug)]
struct Said {
    place: Place,
    number: u64,
    from: usize,
    readers: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Model {
    failures: [u32; 4],
    /// Since the last login.
    failed_logins: [u32; 4],
    blocked_until: [u64; 4],
    active: BTreeSet<usize>,
    rooms: Vec<BTreeSet<usize>>,
    said: Vec<Said>,
    /// By who was shown what who wrote: up to which number.
    shown: BTreeMap<(usize, usize), u64>,
    ms: u64,
}

/// What one operation leads to: the answer, and what each active user is told.
#[derive(Debug, Default, PartialEq)]
struct Effects {
    answer: Option<ReplyBody>,
    told: BTreeMap<usize, Vec<String>>,
}

impl Effects {
    fn answer(answer: ReplyBody) -> Effects {
        Effects { answer: Some(answer), told: BTreeMap::new() }
    }

    fn tell(&mut self, users: impl IntoIterator<Item = usize>, what: &str) {
        for user in users {
            self.told.entry(user).or_default().push(what.to_owned());
        }
    }
}

fn between(a: usize, b: usize) -> Place {
    Place::Between(a.min(b), a.max(b))
}

fn names_of(users: &BTreeSet<usize>) -> Vec<crate::name::UserName> {
    users.iter().map(|user| name(NAMES[*user])).collect()
}

fn refuse(refusal: Refusal) -> Effects {
    Effects::answer(ReplyBody::Refused(refusal))
}

fn no_such_user(user: usize) -> Refusal {
    Refusal::NoSuchUser(vec![text(NAMES[user])])
}

impl Model {
    fn login(&mut self, user: usize, right: bool) -> Effects {
        let failed = |refusal| Effects::answer(ReplyBody::LoginFailed(refusal));
        let blocked = |until: u64, now: u64| failed(LoginRefusal::Blocked { retry_after_ms: until - now });
        if self.ms < self.blocked_until[user] {
            self.failed_logins[user] += 1;
            return blocked(self.blocked_until[user], self.ms);
        }
        if !right || user == UNKNOWN {
            self.failures[user] += 1;
            self.failed_logins[user] += 1;
            if self.failures[user] < 3 {
                return failed(LoginRefusal::InvalidCredentials);
            }
            self.failures[user] = 0;
            self.blocked_until[user] = self.ms + BLOCK_MS;
            return blocked(self.blocked_until[user], self.ms);
        }
        self.failures[user] = 0;
        let mut effects =
            Effects::answer(ReplyBody::Welcome { user: name(NAMES[user]), failed_logins: self.failed_logins[user] });
        effects.tell(self.active.iter().copied(), &format!("joined {}", NAMES[user]));
        if !self.active.insert(user) {
            return failed(LoginRefusal::AlreadyActive);
        }
        self.failed_logins[user] = 0;
        for (peer, author) in NAMES.iter().enumerate() {
            let missed = self.said.iter().filter(|it| it.place == between(user, peer) && it.from == peer);
            for message in missed.filter(|it| it.number > self.shown(user, peer)) {
                effects.tell([user], &format!("direct #{} {author}", message.number));
            }
        }
        effects
    }

    fn leave_conference(&mut self, user: usize) -> Effects {
        let mut effects = Effects::default();
        if self.active.remove(&user) {
            effects.tell(self.active.iter().copied(), &format!("left {}", NAMES[user]));
        }
        effects
    }

    fn say(&mut self, from: usize, place: Place, readers: BTreeSet<usize>, words: &str, at: Timestamp) -> Effects {
        let number = 1 + self.said.iter().filter(|it| it.place == place).count() as u64;
        let mut effects = Effects::answer(ReplyBody::Sent { number: MessageNumber(number), at });
        let told = readers.intersection(&self.active).copied().filter(|reader| *reader != from);
        effects.tell(told, &format!("{words} #{number} {}", NAMES[from]));
        self.said.push(Said { place, number, from, readers });
        effects
    }

    fn build(&mut self, user: usize, typed: &[usize]) -> Effects {
        let others: BTreeSet<usize> = typed.iter().copied().filter(|other| *other != user).collect();
        if others.is_empty() {
            return refuse(Refusal::NobodyElse);
        }
        if others.contains(&UNKNOWN) {
            return refuse(no_such_user(UNKNOWN));
        }
        if !others.is_subset(&self.active) {
            // As typed, each once.
            let mut told = self.active.clone();
            let offline = typed.iter().filter(|other| **other != user && told.insert(**other));
            return refuse(Refusal::UserOffline(offline.map(|other| name(NAMES[*other])).collect()));
        }
        let members: BTreeSet<usize> = others.iter().copied().chain([user]).collect();
        if let Some(at) = self.rooms.iter().position(|room| *room == members) {
            return Effects::answer(ReplyBody::RoomExists(self.info(at as u32 + 1)));
        }
        self.rooms.push(members);
        let info = self.info(self.rooms.len() as u32);
        let mut effects = Effects::answer(ReplyBody::RoomCreated(info.clone()));
        effects.tell(others, &format!("created {} {:?}", info.room, info.members));
        effects
    }

    fn invite(&mut self, by: usize, room: u32, user: usize) -> Effects {
        if let Err(refusal) = self.members(room, by) {
            return refuse(refusal);
        }
        if user == UNKNOWN {
            return refuse(no_such_user(user));
        }
        if self.rooms[room as usize - 1].contains(&user) {
            return refuse(Refusal::AlreadyAMember);
        }
        if !self.active.contains(&user) {
            return refuse(Refusal::UserOffline(vec![name(NAMES[user])]));
        }
        let others: BTreeSet<usize> = self.rooms[room as usize - 1].intersection(&self.active).copied().collect();
        self.rooms[room as usize - 1].insert(user);
        let info = self.info(room);
        let mut effects = Effects::answer(ReplyBody::Invited(info.clone()));
        effects.tell([user], &format!("created {room} {:?}", info.members));
        effects.tell(others.into_iter().filter(|other| *other != by), &format!("changed {room} {:?}", info.members));
        effects
    }

    fn leave(&mut self, user: usize, room: u32) -> Effects {
        if let Err(refusal) = self.members(room, user) {
            return refuse(refusal);
        }
        self.rooms[room as usize - 1].remove(&user);
        let mut effects = Effects::answer(ReplyBody::Left { room: RoomId(room) });
        let rest: Vec<usize> = self.rooms[room as usize - 1].intersection(&self.active).copied().collect();
        effects.tell(rest, &format!("changed {room} {:?}", self.info(room).members));
        effects
    }

    fn was_shown(&mut self, user: usize, peer: usize, through: u64) {
        let newest = self.said.iter().filter(|it| it.place == between(user, peer)).count() as u64;
        let shown = self.shown.entry((user, peer)).or_default();
        *shown = through.min(newest).max(*shown);
    }

    /// Room (`None` for broadcasts), number and author of what a user may read, in order.
    fn readable(&self, user: usize, kind: HistoryKind) -> Vec<(Option<u32>, u64, usize)> {
        let mut all = Vec::new();
        for message in &self.said {
            match (kind, message.place) {
                (HistoryKind::Broadcast, Place::Everywhere) => all.push((None, message.number, message.from)),
                (HistoryKind::Rooms, Place::Room(room)) if message.readers.contains(&user) => {
                    all.push((Some(room), message.number, message.from));
                }
                _ => {}
            }
        }
        all.sort();
        all
    }

    fn members(&self, room: u32, user: usize) -> Result<BTreeSet<usize>, Refusal> {
        let at = (room as usize).checked_sub(1).ok_or(Refusal::NoSuchRoom)?;
        let members = self.rooms.get(at).ok_or(Refusal::NoSuchRoom)?;
        if members.contains(&user) { Ok(members.clone()) } else { Err(Refusal::NotAMember) }
    }

    fn rooms_of(&self, user: usize) -> Vec<RoomInfo> {
        let rooms = (1..=self.rooms.len() as u32).filter(|room| self.members(*room, user).is_ok());
        rooms.map(|room| self.info(room)).collect()
    }

    fn info(&self, room: u32) -> RoomInfo {
        RoomInfo { room: RoomId(room), members: names_of(&self.rooms[room as usize - 1]) }
    }

    fn shown(&self, user: usize, peer: usize) -> u64 {
        self.shown.get(&(user, peer)).copied().unwrap_or(0)
    }

    fn restart(&mut self) {
        self.active.clear();
        self.failures = [0; 4];
        self.failed_logins = [0; 4];
    }
}

/// The server beside its model.
struct Pair {
    world: World,
    model: Model,
    connections: BTreeMap<usize, ConnectionId>,
}

impl Pair {
    fn new() -> Pair {
        Pair { world: World::new(&NAMES[..UNKNOWN]), model: Model::default(), connections: BTreeMap::new() }
    }

    /// What the model and then the server make of one step.
    fn step(&mut self, user: usize, op: &Op) -> (Effects, Effects) {
        match op {
            Op::Login { right } => {
                let model = self.model.login(user, *right);
                let real = self.login(user, *right);
                (model, real)
            }
            Op::Wait { ms } => {
                self.model.ms += ms;
                self.world.advance(Duration::from_millis(*ms));
                (Effects::default(), self.told(None))
            }
            Op::Restart => (self.restart(), Effects::default()),
            _ => match self.connections.get(&user) {
                Some(connection) => self.step_of_active(user, *connection, op),
                None => (Effects::default(), Effects::default()),
            },
        }
    }

    fn step_of_active(&mut self, user: usize, connection: ConnectionId, op: &Op) -> (Effects, Effects) {
        let at = self.world.wall;
        let (model, body) = match op {
            Op::HangUp => {
                self.connections.remove(&user);
                self.world.disconnect(connection);
                return (self.model.leave_conference(user), self.told(None));
            }
            Op::Lose => {
                self.world.hold_proposals = true;
                self.world.send(connection, broadcast("lost"));
                assert_eq!(self.told(None), Effects::default(), "said before it was committed");
                self.world.hold_proposals = false;
                return (self.restart(), Effects::default());
            }
            Op::Logout => {
                let model = Effects { answer: Some(ReplyBody::Bye), ..self.model.leave_conference(user) };
                (model, RequestBody::Logout)
            }
            Op::Broadcast => {
                let all = (0..NAMES.len()).collect();
                (self.model.say(user, Place::Everywhere, all, "broadcast", at), broadcast("x"))
            }
            Op::Build { others } => {
                let users: Vec<&str> = others.iter().map(|other| NAMES[*other]).collect();
                (self.model.build(user, others), build(&users))
            }
            Op::Say { room } => {
                let model = match self.model.members(*room, user) {
                    Ok(members) => self.model.say(user, Place::Room(*room), members, &format!("room {room}"), at),
                    Err(refusal) => refuse(refusal),
                };
                (model, room_message(*room, "x"))
            }
            Op::Invite { room, user: invited } => {
                let body = RequestBody::Invite { room: RoomId(*room), user: text(NAMES[*invited]) };
                (self.model.invite(user, *room, *invited), body)
            }
            Op::Leave { room } => (self.model.leave(user, *room), RequestBody::Leave { room: RoomId(*room) }),
            Op::Write { to } => {
                let model = match *to {
                    UNKNOWN => refuse(no_such_user(UNKNOWN)),
                    to if to == user => refuse(Refusal::Oneself),
                    to => self.model.say(user, between(user, to), [user, to].into(), "direct", at),
                };
                (model, direct(NAMES[*to], "x"))
            }
            Op::Shown { peer, through } => {
                self.model.was_shown(user, *peer, *through);
                let body = RequestBody::DirectReceived { from: name(NAMES[*peer]), through: MessageNumber(*through) };
                (Effects::answer(ReplyBody::Done), body)
            }
            Op::Read { kind } => {
                assert_eq!(self.read(user, *kind), self.model.readable(user, *kind), "{} reads", NAMES[user]);
                return (Effects::default(), self.told(None));
            }
            Op::ListRooms => (Effects::answer(ReplyBody::Rooms(self.model.rooms_of(user))), RequestBody::Rooms),
            Op::Login { .. } | Op::Wait { .. } | Op::Restart => return Default::default(),
        };
        let answer = self.world.ask(connection, body);
        let real = self.told(Some(answer));
        if matches!(op, Op::Logout) {
            self.connections.remove(&user);
        }
        (model, real)
    }

    fn login(&mut self, user: usize, right: bool) -> Effects {
        let connection = self.world.connect();
        let password = if right { password_of(NAMES[user]) } else { text("wrong") };
        let id = self.world.try_login(connection, NAMES[user], &password);
        let answer = self.world.reply(connection, id);
        if matches!(answer, Some(ReplyBody::Welcome { .. })) {
            self.connections.insert(user, connection);
        } else {
            self.world.disconnect(connection);
        }
        Effects { answer, ..self.told(None) }
    }

    fn read(&mut self, user: usize, kind: HistoryKind) -> Vec<(Option<u32>, u64, usize)> {
        let not_before = Timestamp::from_millis(0);
        let body = RequestBody::History { kind, not_before, after: None };
        let ReplyBody::History { messages, next: None } = self.world.ask(self.connections[&user], body) else {
            panic!("no history, or more than a page of it");
        };
        let author = |from: &str| NAMES.iter().position(|name| *name == from).unwrap();
        messages.iter().map(|it| (it.room.map(|room| room.0), it.number.0, author(it.from.as_str()))).collect()
    }

    fn restart(&mut self) -> Effects {
        self.model.restart();
        self.connections.clear();
        self.world.restart();
        Effects::default()
    }

    /// What everyone was told since the last time.
    fn told(&mut self, answer: Option<ReplyBody>) -> Effects {
        let mut effects = Effects { answer, told: BTreeMap::new() };
        for (user, connection) in &self.connections {
            for event in self.world.events(*connection) {
                effects.tell([*user], &in_words(event));
            }
        }
        effects
    }
}

fn in_words(event: Event) -> String {
    match event {
        Event::Joined { user } => format!("joined {user}"),
        Event::Left { user } => format!("left {user}"),
        Event::Broadcast { number, from, .. } => format!("broadcast #{number} {from}"),
        Event::RoomMessage { room, number, from, .. } => format!("room {room} #{number} {from}"),
        Event::DirectMessage { number, from, .. } => format!("direct #{number} {from}"),
        Event::RoomCreated(info) => format!("created {} {:?}", info.room, info.members),
        Event::RoomChanged(info) => format!("changed {} {:?}", info.room, info.members),
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_server_does_what_its_model_does(steps in vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for user in 0..UNKNOWN {
            let (model, real) = pair.step(user, &Op::Login { right: true });
            prop_assert_eq!(model, real);
        }
        for (number, (user, op)) in steps.iter().enumerate() {
            let (model, real) = pair.step(*user, op);
            prop_assert_eq!(model, real, "step {}: {} {:?}", number, NAMES[*user], op);
        }
        // What was read before the server is killed is read after it.
        let before = std::mem::take(&mut pair.world.server.conference);
        pair.restart();
        prop_assert_eq!(&pair.world.server.conference, &before);
        pair.step(0, &Op::Wait { ms: BLOCK_MS });
        for user in 0..UNKNOWN {
            let (model, real) = pair.step(user, &Op::Login { right: true });
            prop_assert_eq!(model, real);
            for kind in [HistoryKind::Broadcast, HistoryKind::Rooms] {
                prop_assert_eq!(pair.read(user, kind), pair.model.readable(user, kind));
            }
        }
    }
}
