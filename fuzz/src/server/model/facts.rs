//! What the log says: here messages get their numbers, and are told.

use std::collections::BTreeSet;

use toom_core::id::{MessageNumber, RoomId};
use toom_core::name::UserName;
use toom_core::secure::PasswordHash;
use toom_core::server::fact::Fact;
use toom_core::server::io::CloseReason;
use toom_core::time::Timestamp;
use toom_core::wire::message::{Event, Refusal, ReplyBody};

use super::super::super::operations::messages::PASSWORDS;
use super::super::super::operations::pick;
use super::super::driver::hash;
use super::{Asked, Model, Place, Said, between};

type Done = Result<ReplyBody, Refusal>;

impl Model {
    pub(super) fn commit(&mut self, which: u8) {
        let proposal = pick(which, self.proposals.len()).and_then(|at| self.proposals.remove(at));
        if let Some((asked, fact)) = proposal {
            self.committed(fact, asked);
        }
    }

    pub(super) fn fail(&mut self, which: u8) {
        match pick(which, self.proposals.len()).and_then(|at| self.proposals.remove(at)) {
            Some((Some(asked), _)) => {
                self.reply(asked.connection, asked.request, ReplyBody::Refused(Refusal::StorageFailed));
                self.answered(asked.connection);
            }
            // That the disk fails must not open the door to guesses.
            Some((None, Fact::Blocked { name, .. })) => self.block(&name),
            _ => {}
        }
    }

    pub(super) fn committed(&mut self, fact: Fact, asked: Option<Asked>) {
        let done = match fact {
            Fact::AccountAdded { name, hash } => {
                self.accounts.entry(name).or_insert_with(|| password(&hash));
                return;
            }
            Fact::PasswordChanged { name, hash } => {
                self.accounts.entry(name).and_modify(|it| *it = password(&hash));
                return;
            }
            Fact::AccountRemoved { name } => return self.removed(&name),
            Fact::Blocked { name, at } => {
                self.blocks.push((name.clone(), at.as_millis()));
                return self.block(&name);
            }
            Fact::DeviceAdded { name, device, .. } => {
                if self.accounts.contains_key(&name) {
                    self.known_devices.entry(name).or_default().insert(device);
                }
                return;
            }
            fact => self.done(fact),
        };
        let Some(Asked { connection, request, .. }) = asked else { return };
        let body = done.unwrap_or_else(ReplyBody::Refused);
        self.reply(connection, request, body);
        self.answered(connection);
    }

    fn done(&mut self, fact: Fact) -> Done {
        match fact {
            Fact::Broadcast { from, text, at, .. } => {
                self.must_exist(&from)?;
                let said = self.say(Place::Everywhere, &from, text, at, BTreeSet::new());
                let (number, at) = (MessageNumber(said.number), said.at);
                self.tell_all_but(&from, &Event::Broadcast { number, at, from: from.clone(), text: said.text });
                Ok(ReplyBody::Sent { number, at })
            }
            Fact::RoomMessage { room, from, text, at, .. } => {
                self.must_exist(&from)?;
                let members = self.members(room, &from)?.clone();
                let said = self.say(Place::Room(room), &from, text, at, members.clone());
                let (number, at) = (MessageNumber(said.number), said.at);
                let event = Event::RoomMessage { room, number, at, from: from.clone(), text: said.text };
                members.iter().filter(|member| **member != from).for_each(|member| self.tell(member, &event));
                Ok(ReplyBody::Sent { number, at })
            }
            Fact::DirectMessage { from, to, text, at, .. } => {
                self.must_exist(&from)?;
                self.must_exist(&to)?;
                let said = self.say(between(&from, &to), &from, text, at, BTreeSet::new());
                let (number, at) = (MessageNumber(said.number), said.at);
                self.tell(&to, &Event::DirectMessage { number, at, from, text: said.text });
                Ok(ReplyBody::Sent { number, at })
            }
            Fact::DirectReceived { user, peer, through } => {
                let newest = self.newest(&between(&user, &peer));
                let shown = self.shown.entry((user, peer)).or_default();
                *shown = through.min(newest).0.max(*shown);
                Ok(ReplyBody::Done)
            }
            Fact::RoomBuilt { by, members, .. } => self.built(&by, members),
            Fact::RoomJoined { room, by, user, .. } => self.joined(room, &by, &user),
            Fact::RoomLeft { room, user, .. } => {
                self.members(room, &user)?;
                self.leave(room, &user);
                Ok(ReplyBody::Left { room })
            }
            _ => unreachable!("a fact that nobody asks for"),
        }
    }

    fn built(&mut self, by: &UserName, members: Vec<UserName>) -> Done {
        let gone = |name: &&UserName| !self.accounts.contains_key(*name);
        let gone: Vec<String> = members.iter().filter(gone).map(UserName::to_string).collect();
        if !gone.is_empty() {
            return Err(Refusal::NoSuchUser(gone));
        }
        let members: BTreeSet<UserName> = members.into_iter().collect();
        if let Some(room) = self.room_of(&members) {
            return Ok(ReplyBody::RoomExists(self.info(room)));
        }
        self.rooms.push(members.clone());
        let info = self.info(RoomId(self.rooms.len() as u32));
        let others = members.iter().filter(|member| *member != by);
        others.for_each(|other| self.tell(other, &Event::RoomCreated(info.clone())));
        Ok(ReplyBody::RoomCreated(info))
    }

    fn joined(&mut self, room: RoomId, by: &UserName, user: &UserName) -> Done {
        self.must_exist(user)?;
        if self.members(room, by)?.contains(user) {
            return Err(Refusal::AlreadyAMember);
        }
        let before = self.members(room, by)?.clone();
        self.rooms[room.0 as usize - 1].insert(user.clone());
        let info = self.info(room);
        self.tell(user, &Event::RoomCreated(info.clone()));
        let others = before.iter().filter(|member| *member != by);
        others.for_each(|other| self.tell(other, &Event::RoomChanged(info.clone())));
        Ok(ReplyBody::Invited(info))
    }

    fn leave(&mut self, room: RoomId, user: &UserName) {
        self.rooms[room.0 as usize - 1].remove(user);
        let info = self.info(room);
        let rest = info.members.clone();
        rest.iter().for_each(|member| self.tell(member, &Event::RoomChanged(info.clone())));
    }

    /// The account is gone: a later namesake has none of its rooms, and nothing to read in them.
    fn removed(&mut self, user: &UserName) {
        if self.accounts.remove(user).is_none() {
            return;
        }
        self.known_devices.remove(user);
        self.failed_logins.remove(user);
        let peers: Vec<UserName> = self.said_before.iter().map(|it| it.from.clone()).collect();
        for peer in peers {
            let missed = self.missed_from(user, &peer).next().is_some();
            if missed {
                let newest = self.count(&between(user, &peer));
                self.shown.insert((user.clone(), peer), newest);
            }
        }
        for said in &mut self.said_before {
            said.readers.remove(user);
        }
        if let Some(connection) = self.active.get(user).map(|session| session.connection) {
            self.close(connection, CloseReason::AccountRemoved);
        }
        for room in (1..=self.rooms.len() as u32).map(RoomId) {
            if self.members(room, user).is_ok() {
                self.leave(room, user);
            }
        }
    }

    fn must_exist(&self, user: &UserName) -> Result<(), Refusal> {
        self.account(user.as_str()).map(drop)
    }

    /// A message gets its number; no clock that was set back puts it before another one.
    fn say(&mut self, place: Place, from: &UserName, text: String, at: Timestamp, readers: BTreeSet<UserName>) -> Said {
        self.last_at = self.last_at.max(at);
        let number = self.count(&place) + 1;
        let said = Said { place, number, at: self.last_at, from: from.clone(), text, readers };
        self.said_before.push(said.clone());
        said
    }
}

fn password(hashed: &PasswordHash) -> usize {
    (0..PASSWORDS.len()).find(|password| hash(*password) == *hashed).expect("a hash that nobody made")
}
