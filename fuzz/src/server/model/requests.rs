//! What is answered at once, and what is proposed.

use std::collections::BTreeSet;

use toom_core::id::{ConnectionId, RoomId};
use toom_core::name::UserName;
use toom_core::server::fact::Fact;
use toom_core::server::io::CloseReason;
use toom_core::time::Timestamp;
use toom_core::wire::limits::{MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use toom_core::wire::message::{ActiveUser, Refusal, ReplyBody, Request, RequestBody, RoomInfo};

use super::{Asked, Model, Place, State, between};

/// So much of a name that is none is said back.
const QUOTED_BYTES: usize = 256;

/// What comes of a request, unless it is refused.
enum Next {
    Answer(ReplyBody),
    Propose(Fact),
}

impl Model {
    pub(super) fn arrived(&mut self, slot: usize, request: Request) {
        let Some(connection) = self.slots[slot] else { return };
        let Request { id, body } = request;
        let it = self.connections.get_mut(&connection).expect("a connection in a slot");
        let user = match (it.state.clone(), &body) {
            (State::Closing, _) => return,
            (_, RequestBody::Login { name, password, udp_port }) => {
                return self.login(connection, id, (name.clone(), password.0.clone(), *udp_port));
            }
            (State::Fresh | State::LoggingIn(_), _) => return self.close(connection, CloseReason::NotLoggedIn),
            (State::Active(_), _) if it.logging_out.is_some() => {
                return self.reply(connection, id, ReplyBody::Refused(Refusal::OutOfOrder));
            }
            (State::Active(_), RequestBody::Logout) => {
                it.logging_out = Some(id);
                return self.log_out_if_answered(connection);
            }
            (State::Active(user), _) => user,
        };
        let asked = Asked { connection, request: id, user };
        match body {
            RequestBody::History { kind, not_before, after } => self.read(asked, kind, not_before, after),
            RequestBody::BuildRoom { users } if users.len() > MAX_ROOM_MEMBERS => {
                self.close(connection, CloseReason::LimitBroken);
            }
            body => match self.decide(&asked.user, body) {
                Ok(Next::Answer(body)) => self.reply(connection, id, body),
                Err(refusal) => self.reply(connection, id, ReplyBody::Refused(refusal)),
                Ok(Next::Propose(fact)) => {
                    self.began(connection);
                    self.proposals.push_back((Some(asked), fact));
                }
            },
        }
    }

    pub(super) fn began(&mut self, connection: ConnectionId) {
        self.connections.get_mut(&connection).expect("a connection").in_flight += 1;
    }

    pub(super) fn answered(&mut self, connection: ConnectionId) {
        if let Some(it) = self.connections.get_mut(&connection) {
            it.in_flight -= 1;
            self.log_out_if_answered(connection);
        }
    }

    /// What was asked before is answered before.
    fn log_out_if_answered(&mut self, connection: ConnectionId) {
        let it = &self.connections[&connection];
        if let (0, Some(id), true) = (it.in_flight, it.logging_out, self.is_open(connection)) {
            self.reply(connection, id, ReplyBody::Bye);
            self.close(connection, CloseReason::LoggedOut);
        }
    }

    fn decide(&mut self, user: &UserName, body: RequestBody) -> Result<Next, Refusal> {
        let (from, at) = (user.clone(), Timestamp::from_millis(self.wall));
        Ok(match body {
            RequestBody::Broadcast { text } => Next::Propose(Fact::Broadcast { from, text: good(text)?, at, id: None }),
            RequestBody::RoomMessage { room, text } => {
                let text = good(text)?;
                self.members(room, user)?;
                Next::Propose(Fact::RoomMessage { room, from, text, at, id: None })
            }
            RequestBody::DirectMessage { to, text } => {
                let text = good(text)?;
                let to = self.other(user, &to)?;
                Next::Propose(Fact::DirectMessage { from, to, text, at, id: None })
            }
            RequestBody::DirectReceived { from: peer, through } => {
                let newest = self.newest(&between(user, &peer));
                if through.min(newest).0 <= self.shown(user, &peer) {
                    return Ok(Next::Answer(ReplyBody::Done));
                }
                Next::Propose(Fact::DirectReceived { user: from, peer, through })
            }
            RequestBody::ActiveUsers => Next::Answer(self.others(user)),
            RequestBody::BuildRoom { users } => return self.build(user, &users, at),
            RequestBody::Rooms => Next::Answer(ReplyBody::Rooms(self.rooms_of(user))),
            RequestBody::Invite { room, user: invited } => {
                self.members(room, user)?;
                let invited = self.account(&invited)?;
                if self.members(room, user)?.contains(&invited) {
                    return Err(Refusal::AlreadyAMember);
                }
                if !self.active.contains_key(&invited) {
                    return Err(Refusal::UserOffline(vec![invited]));
                }
                Next::Propose(Fact::RoomJoined { room, by: from, user: invited, at })
            }
            RequestBody::Leave { room } => {
                self.members(room, user)?;
                Next::Propose(Fact::RoomLeft { room, user: from, at })
            }
            RequestBody::Devices { user: of, offering } => Next::Answer(self.devices(user, &of, offering)?),
            RequestBody::Offer { to, device, index, sealed } => {
                Next::Answer(self.offer(user, &to, (device, index, sealed))?)
            }
            RequestBody::AnswerOffer { offer, index } => Next::Answer(self.answer_offer(user, offer, index)?),
            RequestBody::WithdrawOffer { offer } => Next::Answer(self.withdraw_offer(user, offer)?),
            // Missed messages are fetched at once here, so nothing is ever under way.
            RequestBody::CatchUp | RequestBody::Ping => Next::Answer(ReplyBody::Done),
            RequestBody::Find { .. } | RequestBody::Latest { .. } => unreachable!("not among the operations"),
            RequestBody::Resume { .. } | RequestBody::Missed => unreachable!("not among the operations"),
            RequestBody::Login { .. } | RequestBody::Logout | RequestBody::History { .. } => unreachable!("elsewhere"),
        })
    }

    fn build(&self, by: &UserName, typed: &[String], at: Timestamp) -> Result<Next, Refusal> {
        let mut others: Vec<&str> = Vec::new();
        for user in typed {
            if user != by.as_str() && !others.contains(&user.as_str()) {
                others.push(user);
            }
        }
        if others.is_empty() {
            return Err(Refusal::NobodyElse);
        }
        let unknown: Vec<String> =
            others.iter().filter(|user| !self.accounts.contains_key(**user)).map(|user| quoted(user)).collect();
        if !unknown.is_empty() {
            return Err(Refusal::NoSuchUser(unknown));
        }
        let others: Vec<UserName> = others.iter().filter_map(|user| UserName::new(user).ok()).collect();
        let offline: Vec<UserName> = others.iter().filter(|user| !self.active.contains_key(*user)).cloned().collect();
        if !offline.is_empty() {
            return Err(Refusal::UserOffline(offline));
        }
        let members: BTreeSet<UserName> = others.into_iter().chain([by.clone()]).collect();
        Ok(match self.room_of(&members) {
            Some(room) => Next::Answer(ReplyBody::RoomExists(self.info(room))),
            None => Next::Propose(Fact::RoomBuilt { by: by.clone(), members: members.into_iter().collect(), at }),
        })
    }

    /// The room with exactly these members.
    pub(super) fn room_of(&self, members: &BTreeSet<UserName>) -> Option<RoomId> {
        self.rooms.iter().position(|room| room == members).map(|at| RoomId(at as u32 + 1))
    }

    pub(super) fn shown(&self, user: &UserName, peer: &UserName) -> u64 {
        self.shown.get(&(user.clone(), peer.clone())).copied().unwrap_or(0)
    }

    pub(super) fn account(&self, typed: &str) -> Result<UserName, Refusal> {
        let account = self.accounts.keys().find(|name| name.as_str() == typed);
        account.cloned().ok_or_else(|| Refusal::NoSuchUser(vec![quoted(typed)]))
    }

    pub(super) fn other(&self, user: &UserName, typed: &str) -> Result<UserName, Refusal> {
        self.account(typed).and_then(|other| if other == *user { Err(Refusal::Oneself) } else { Ok(other) })
    }

    fn others(&self, user: &UserName) -> ReplyBody {
        let others = self.active.iter().filter(|(name, _)| *name != user);
        let mut users: Vec<ActiveUser> = others
            .map(|(name, session)| ActiveUser {
                name: name.clone(),
                address: self.connections[&session.connection].address,
                udp_port: session.udp_port,
                since: session.since,
            })
            .collect();
        users.sort_by_key(|user| (user.since, user.name.clone()));
        ReplyBody::ActiveUsers(users)
    }

    fn rooms_of(&self, user: &UserName) -> Vec<RoomInfo> {
        let rooms = (1..=self.rooms.len() as u32).map(RoomId);
        rooms.filter(|room| self.members(*room, user).is_ok()).map(|room| self.info(room)).collect()
    }

    pub(super) fn count(&self, place: &Place) -> u64 {
        self.newest(place).0
    }
}

fn good(text: String) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES { Err(Refusal::BadText) } else { Ok(text) }
}

fn quoted(typed: &str) -> String {
    let mut end = typed.len().min(QUOTED_BYTES);
    while !typed.is_char_boundary(end) {
        end -= 1;
    }
    typed[..end].to_owned()
}
