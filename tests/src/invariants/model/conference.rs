//! What the facts say, by plain lists.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use toom_core::id::{LogIndex, MessageNumber, RequestId, RoomId, SessionId};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;
use toom_core::server::fact::{Committed, Conversation, Fact, Message, PostId};
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_DEVICES_PER_USER, MAX_REQUESTS_IN_FLIGHT, MAX_ROOM_MEMBERS, MAX_ROOMS_PER_USER};
use toom_core::wire::message::{HistoryKind, PastMessage, Positions, RoomInfo};

/// Who comes and goes in a room more often than this can no longer read what they read first.
const MAX_INTERVALS: usize = 16;

/// Where a message is found: the room, or `None` for broadcasts, and its number.
pub type Key = (Option<RoomId>, MessageNumber);

/// Accounts, rooms, and all that was said.
#[derive(Debug, Default)]
pub struct Conference {
    accounts: BTreeSet<UserName>,
    /// Of each account, the oldest first.
    devices: BTreeMap<UserName, Vec<PublicKey>>,
    /// The members of each room; the one with id 1 comes first.
    rooms: Vec<BTreeSet<UserName>>,
    said: BTreeMap<Conversation, Vec<Said>>,
    /// The newest session of each account that has not ended for good.
    sessions: BTreeMap<UserName, LoggedSession>,
    latest: Timestamp,
}

/// A session that may be resumed, as the log has it.
#[derive(Clone, Debug)]
pub struct LoggedSession {
    /// Which.
    pub id: SessionId,
    /// On which device.
    pub device: PublicKey,
    /// Since when.
    pub since: Timestamp,
    /// What came of its newest posts, the oldest first: of as many as may be unanswered at a time.
    posts: VecDeque<(RequestId, Outcome)>,
}

/// A message that has its place.
#[derive(Clone, Debug)]
pub struct Said {
    /// The message.
    pub message: Message,
    /// In a room: those who were members when it was written, and may read it for that.
    pub readers: BTreeSet<UserName>,
    /// A direct message: the other person, until it was shown to them.
    pub unshown_to: Option<UserName>,
}

/// What comes of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that anybody is told.
    Quiet,
    /// A post that came of an earlier fact already: what came of that.
    Again(Box<Outcome>),
    /// It is refused.
    Refused,
    /// A message has its number and time.
    Message(Message),
    /// A room was built.
    Built {
        /// Who built it.
        by: UserName,
        /// The room.
        room: RoomInfo,
    },
    /// These members have a room already.
    Exists(RoomInfo),
    /// Someone was put into a room.
    Joined {
        /// Who invited.
        by: UserName,
        /// Who joined.
        user: UserName,
        /// The room as it is now.
        room: RoomInfo,
    },
    /// Someone has left a room, which is like this now.
    Left(RoomInfo),
    /// An account is gone, and its person has left these rooms, which are like this now.
    Removed(Vec<RoomInfo>),
    /// Direct messages were shown.
    Received,
}

impl Conference {
    /// The next fact.
    pub fn apply(&mut self, committed: &Committed) -> Outcome {
        let Some((from, post)) = posted(&committed.fact) else { return self.apply_anew(committed) };
        if let Some(before) = self.outcome_of(from, post) {
            return Outcome::Again(Box::new(before.clone()));
        }
        let outcome = self.apply_anew(committed);
        if let Some(session) = self.sessions.get_mut(from).filter(|it| it.id == post.session) {
            session.posts.push_back((post.request, outcome.clone()));
            session.posts.drain(..session.posts.len().saturating_sub(MAX_REQUESTS_IN_FLIGHT));
        }
        outcome
    }

    fn apply_anew(&mut self, committed: &Committed) -> Outcome {
        let applied = match committed.fact.clone() {
            Fact::AccountAdded { name, .. } => {
                self.accounts.insert(name);
                Some(Outcome::Quiet)
            }
            Fact::DeviceAdded { name, device, .. } => {
                self.add_device(name, device);
                Some(Outcome::Quiet)
            }
            Fact::PasswordChanged { name, .. } => {
                self.sessions.remove(&name);
                Some(Outcome::Quiet)
            }
            Fact::Blocked { .. } | Fact::OffersNumbered { .. } => Some(Outcome::Quiet),
            Fact::SessionStarted { name, session, device, at, .. } => {
                if self.accounts.contains(&name) {
                    let it = LoggedSession { id: session, device, since: at, posts: VecDeque::new() };
                    self.sessions.insert(name, it);
                }
                Some(Outcome::Quiet)
            }
            Fact::SessionEnded { name, session, resumable, .. } => {
                if !resumable && self.sessions.get(&name).is_some_and(|it| it.id == session) {
                    self.sessions.remove(&name);
                }
                Some(Outcome::Quiet)
            }
            Fact::AccountRemoved { name } => Some(self.remove(&name)),
            Fact::Broadcast { from, text, at, .. } => {
                self.post(Conversation::Broadcast, from, text, at, committed.index)
            }
            Fact::RoomMessage { room, from, text, at, .. } => {
                self.post(Conversation::Room(room), from, text, at, committed.index)
            }
            Fact::DirectMessage { from, to, text, at, .. } if from != to && self.accounts.contains(&to) => {
                let message = self.post(Conversation::direct(&from, &to), from, text, at, committed.index);
                if let Some(Outcome::Message(message)) = &message {
                    let said = self.said.get_mut(&message.conversation).and_then(|all| all.last_mut());
                    said.expect("it was just posted").unshown_to = Some(to);
                }
                message
            }
            Fact::DirectMessage { .. } => None,
            Fact::DirectReceived { user, peer, through } => Some(self.receive(&user, &peer, through)),
            Fact::RoomBuilt { by, members, .. } => self.build(by, members),
            Fact::RoomJoined { room, by, user, .. } => self.join(room, by, user),
            Fact::RoomLeft { room, user, .. } => self.leave(room, &user),
        };
        applied.unwrap_or(Outcome::Refused)
    }

    /// Whether somebody has an account.
    pub fn has_account(&self, name: &UserName) -> bool {
        self.accounts.contains(name)
    }

    /// The session of an account that may be resumed.
    pub fn session(&self, user: &UserName) -> Option<&LoggedSession> {
        self.sessions.get(user)
    }

    /// What came of a post, if it is one of the newest of a session that may be resumed.
    pub fn outcome_of(&self, user: &UserName, post: PostId) -> Option<&Outcome> {
        let session = self.sessions.get(user).filter(|it| it.id == post.session)?;
        session.posts.iter().rev().find(|(request, _)| *request == post.request).map(|(_, outcome)| outcome)
    }

    /// The newest message of the broadcasts or of a room.
    pub fn newest(&self, place: Option<RoomId>) -> MessageNumber {
        MessageNumber(self.said.get(&conversation(place)).map_or(0, |all| all.len() as u64))
    }

    /// The next message of a conversation behind `sent` that somebody is sent who is there: none of a room that they
    /// are not in, or of before they came.
    pub fn next_for(&self, user: &UserName, place: Option<RoomId>, sent: MessageNumber) -> Option<MessageNumber> {
        let is_in = |room| self.members(room).is_some_and(|members| members.contains(user));
        if !place.is_none_or(is_in) {
            return None;
        }
        let all = self.said.get(&conversation(place))?;
        let outside = all.iter().rposition(|said| place.is_some() && !said.readers.contains(user));
        let since = outside.map_or(0, |place| place as u64 + 1);
        let next = sent.0.max(since).saturating_add(1);
        (next <= all.len() as u64).then_some(MessageNumber(next))
    }

    /// What somebody who has seen everything up to these positions is behind in, and up to where they are sent it.
    pub fn missed(&self, user: &UserName, positions: &Positions) -> BTreeMap<Option<RoomId>, MessageNumber> {
        let seen = |place: Option<RoomId>| match place {
            None => positions.broadcasts,
            Some(room) => {
                positions.rooms.iter().rfind(|(it, _)| *it == room).map(|(_, seen)| *seen).unwrap_or_default()
            }
        };
        let rooms = self.rooms_of(user).map(|it| Some(it.room));
        let next = |place| Some((place, MessageNumber(self.next_for(user, place, seen(place))?.0 - 1)));
        rooms.chain([None]).filter_map(next).collect()
    }

    /// The devices of an account, the oldest first.
    pub fn devices(&self, name: &UserName) -> &[PublicKey] {
        self.devices.get(name).map_or(&[], Vec::as_slice)
    }

    fn add_device(&mut self, name: UserName, device: PublicKey) {
        if self.accounts.contains(&name) {
            let devices = self.devices.entry(name).or_default();
            if !devices.contains(&device) {
                devices.push(device);
                devices.drain(..devices.len().saturating_sub(MAX_DEVICES_PER_USER));
            }
        }
    }

    /// The members of a room, if it exists.
    pub fn members(&self, room: RoomId) -> Option<&BTreeSet<UserName>> {
        self.rooms.get((room.0 as usize).checked_sub(1)?)
    }

    /// The rooms that somebody is in, by id.
    pub fn rooms_of(&self, user: &UserName) -> impl Iterator<Item = RoomInfo> {
        let all = (1..).map(RoomId).zip(&self.rooms);
        all.filter(|(_, members)| members.contains(user)).map(|(room, members)| info(room, members))
    }

    /// The room of these members and nobody else.
    pub fn room_of(&self, members: &BTreeSet<UserName>) -> Option<RoomInfo> {
        let place = self.rooms.iter().position(|it| it == members)?;
        Some(info(RoomId(place as u32 + 1), members))
    }

    /// A message.
    pub fn message(&self, conversation: &Conversation, number: MessageNumber) -> Option<&Said> {
        self.said.get(conversation)?.get((number.0 as usize).checked_sub(1)?)
    }

    /// What somebody may read, ordered by conversation, then number.
    pub fn readable(&self, kind: HistoryKind, user: &UserName) -> impl Iterator<Item = (Key, &Said)> {
        self.said.values().flatten().filter_map(move |said| match (kind, &said.message.conversation) {
            (HistoryKind::Broadcast, Conversation::Broadcast) => Some(((None, said.message.number), said)),
            (HistoryKind::Rooms, Conversation::Room(room)) if said.readers.contains(user) => {
                Some(((Some(*room), said.message.number), said))
            }
            _ => None,
        })
    }

    /// Whether somebody may read a message.
    pub fn may_read(&self, user: &UserName, (room, number): Key) -> bool {
        let conversation = room.map_or(Conversation::Broadcast, Conversation::Room);
        self.message(&conversation, number).is_some_and(|said| room.is_none() || said.readers.contains(user))
    }

    /// The direct messages that somebody has not been shown, by their authors, oldest first.
    pub fn unshown(&self, user: &UserName) -> BTreeMap<UserName, Vec<MessageNumber>> {
        let mut all = BTreeMap::<UserName, Vec<MessageNumber>>::new();
        for said in self.said.values().flatten().filter(|said| said.unshown_to.as_ref() == Some(user)) {
            all.entry(said.message.from.clone()).or_default().push(said.message.number);
        }
        all
    }

    fn post(
        &mut self,
        conversation: Conversation,
        from: UserName,
        text: String,
        at: Timestamp,
        index: LogIndex,
    ) -> Option<Outcome> {
        let readers = match conversation {
            Conversation::Room(room) => self.members(room)?.clone(),
            Conversation::Broadcast | Conversation::Direct(..) => BTreeSet::new(),
        };
        let outside = matches!(conversation, Conversation::Room(_)) && !readers.contains(&from);
        if outside || !self.accounts.contains(&from) {
            return None;
        }
        self.latest = self.latest.max(at);
        let all = self.said.entry(conversation.clone()).or_default();
        let number = MessageNumber(all.len() as u64 + 1);
        let message = Message { conversation, number, at: self.latest, from, text, index };
        all.push(Said { message: message.clone(), readers, unshown_to: None });
        Some(Outcome::Message(message))
    }

    fn receive(&mut self, user: &UserName, peer: &UserName, through: MessageNumber) -> Outcome {
        for said in self.said.get_mut(&Conversation::direct(user, peer)).into_iter().flatten() {
            if said.message.number <= through && said.unshown_to.as_ref() == Some(user) {
                said.unshown_to = None;
            }
        }
        Outcome::Received
    }

    fn build(&mut self, by: UserName, members: Vec<UserName>) -> Option<Outcome> {
        let members: BTreeSet<UserName> = members.into_iter().chain([by.clone()]).collect();
        if !members.is_subset(&self.accounts) {
            return None;
        }
        if let Some(room) = self.room_of(&members) {
            return Some(Outcome::Exists(room));
        }
        if members.len() > MAX_ROOM_MEMBERS || members.iter().any(|member| self.is_everywhere(member)) {
            return None;
        }
        let room = info(RoomId(self.rooms.len() as u32 + 1), &members);
        self.rooms.push(members);
        Some(Outcome::Built { by, room })
    }

    fn join(&mut self, room: RoomId, by: UserName, user: UserName) -> Option<Outcome> {
        let members = self.members(room)?;
        let may = members.contains(&by) && !members.contains(&user) && members.len() < MAX_ROOM_MEMBERS;
        if !may || !self.accounts.contains(&user) || self.is_everywhere(&user) {
            return None;
        }
        let members = &mut self.rooms[room.0 as usize - 1];
        members.insert(user.clone());
        Some(Outcome::Joined { by, user, room: info(room, members) })
    }

    fn leave(&mut self, room: RoomId, user: &UserName) -> Option<Outcome> {
        self.members(room)?.get(user)?;
        let members = &mut self.rooms[room.0 as usize - 1];
        members.remove(user);
        let room_now = info(room, members);
        self.forget_first_interval(room, user);
        Some(Outcome::Left(room_now))
    }

    fn remove(&mut self, name: &UserName) -> Outcome {
        if !self.accounts.remove(name) {
            return Outcome::Quiet;
        }
        self.devices.remove(name);
        self.sessions.remove(name);
        let rooms: Vec<RoomId> = self.rooms_of(name).map(|it| it.room).collect();
        for members in &mut self.rooms {
            members.remove(name);
        }
        for said in self.said.values_mut().flatten() {
            said.readers.remove(name);
            said.unshown_to.take_if(|to| to == name);
        }
        Outcome::Removed(rooms.into_iter().filter_map(|room| Some(info(room, self.members(room)?))).collect())
    }

    fn is_everywhere(&self, user: &UserName) -> bool {
        self.rooms_of(user).count() >= MAX_ROOMS_PER_USER
    }

    fn forget_first_interval(&mut self, room: RoomId, user: &UserName) {
        let all = self.said.get_mut(&Conversation::Room(room)).map(Vec::as_mut_slice).unwrap_or_default();
        let mut intervals = all.split_mut(|said| !said.readers.contains(user)).filter(|it| !it.is_empty());
        let first = intervals.next();
        if intervals.count() >= MAX_INTERVALS {
            first.into_iter().flatten().for_each(|said| _ = said.readers.remove(user));
        }
    }
}

impl Said {
    /// The message as history has it.
    pub fn past(&self) -> PastMessage {
        let Message { conversation, number, at, from, text, .. } = self.message.clone();
        let room = if let Conversation::Room(room) = conversation { Some(room) } else { None };
        PastMessage { room, number, at, from, text }
    }
}

/// Who posts with a fact, and by which the post is recognised.
fn posted(fact: &Fact) -> Option<(&UserName, PostId)> {
    match fact {
        Fact::Broadcast { from, id, .. }
        | Fact::RoomMessage { from, id, .. }
        | Fact::DirectMessage { from, id, .. } => Some((from, (*id)?)),
        _ => None,
    }
}

fn conversation(place: Option<RoomId>) -> Conversation {
    place.map_or(Conversation::Broadcast, Conversation::Room)
}

fn info(room: RoomId, members: &BTreeSet<UserName>) -> RoomInfo {
    RoomInfo { room, members: members.iter().cloned().collect() }
}
