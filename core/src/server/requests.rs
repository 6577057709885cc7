//! Requests: who may ask what when, what is checked before anything is proposed, and how they are answered.
//!
//! Whatever is checked here is checked again when the fact is applied, because other facts may come in between;
//! except who is active, which is not in the log.

use std::collections::BTreeSet;

use super::activity::Activity;
use super::connections::State;
use super::fact::Fact;
use super::io::{CloseReason, Query, Select};
use super::login::Credentials;
use super::machine::Server;
use super::offers::Offered;
use super::pending::{Asked, MAX_PROPOSALS, Proposal, Question};
use super::resuming::Claim;
use super::rooms::NotBuilt;
use super::search::Search;
use super::turn::Turn;
use crate::id::{ConnectionId, RequestId, RoomId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_REQUESTS_IN_FLIGHT, MAX_ROOM_MEMBERS, MAX_TEXT_BYTES};
use crate::wire::message::{Cursor, HistoryKind, Refusal, ReplyBody, Request, RequestBody, RoomInfo};

/// At most this much of a name that is none is said back: four times as much as names have, so that nobody
/// fills a frame with it.
const MAX_QUOTED_BYTES: usize = 256;

/// What a room costs in a list, besides its members; and a member, besides the name. Somewhat more than the
/// encoding needs.
const LISTED_BYTES: usize = 16;

/// What a request leads to.
pub(super) enum Next {
    /// It is answered at once.
    Answer(ReplyBody),
    /// It must last: it is answered when it is committed.
    Propose(Fact),
    /// It is answered when this is committed.
    Number { fact: Fact, to: String, file: Offered },
    /// It is answered when the store has been asked.
    Read { kind: HistoryKind, not_before: Timestamp, after: Option<Cursor> },
    /// It is answered when the store has been asked for the newest of it.
    ReadLatest(Select),
    /// It is answered when the store has searched.
    Find(Search),
    /// It is answered when the direct messages that were missed have been sent.
    CatchUp,
    /// It is answered when the store has been asked for what was missed.
    ReadMissed,
    /// It breaks the protocol.
    Close(CloseReason),
}

impl Server {
    pub(super) fn requested(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, request: Request) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        let Request { id, body } = request;
        match (&it.state, body) {
            (State::Closing, _) => {}
            _ if it.in_flight >= MAX_REQUESTS_IN_FLIGHT => {
                self.close(turn, connection, CloseReason::TooManyRequests);
            }
            (_, RequestBody::Resume { user, secret, udp_port, positions }) => {
                self.resume_requested(turn, connection, id, Claim { user, secret, udp_port, positions });
            }
            (_, RequestBody::Login { name, password, udp_port }) => {
                self.login_requested(turn, connection, id, Credentials { name, password, udp_port });
            }
            (State::Handshaking | State::Fresh | State::LoggingIn { .. }, _) => {
                self.close(turn, connection, CloseReason::NotLoggedIn)
            }
            (State::Active { .. }, _) if it.logging_out.is_some() => {
                turn.reply(connection, id, ReplyBody::Refused(Refusal::OutOfOrder));
            }
            // What was asked before is answered before.
            (State::Active { .. }, RequestBody::Logout) if it.in_flight > 0 => it.logging_out = Some(id),
            (State::Active { .. }, RequestBody::Logout) => self.log_out(turn, connection, id),
            (State::Active { user }, body) => {
                let asked = Asked { connection, request: id, user: user.clone(), command: command(&body) };
                self.is_there(turn, &asked.user);
                self.asked(turn, asked, body);
            }
        }
    }

    /// Answers a request.
    pub(super) fn answer(&self, turn: &mut Turn<'_>, asked: &Asked, body: ReplyBody) {
        if self.is_open(asked.connection) {
            turn.reply(asked.connection, asked.request, body);
        }
    }

    /// Refuses a request.
    pub(super) fn refuse(&self, turn: &mut Turn<'_>, asked: &Asked, refusal: Refusal) {
        self.answer(turn, asked, ReplyBody::Refused(refusal.clone()));
        if let Some(command) = asked.command {
            turn.activity(Activity::Refused { user: asked.user.clone(), command, refusal });
        }
    }

    /// A request that waited for the store has been answered, and all that it led to has been said.
    pub(super) fn answered(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        it.in_flight = it.in_flight.saturating_sub(1);
        if it.in_flight == 0
            && let Some(id) = it.logging_out.take()
        {
            self.log_out(turn, connection, id);
        }
    }

    /// The account that somebody typed the name of.
    pub(super) fn find_user(&self, text: &str) -> Result<UserName, Refusal> {
        let found = self.conference.accounts.find(text).cloned();
        found.ok_or_else(|| Refusal::NoSuchUser(vec![quoted(text)]))
    }

    fn log_out(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, id: RequestId) {
        if self.is_open(connection) {
            turn.reply(connection, id, ReplyBody::Bye);
            self.close(turn, connection, CloseReason::LoggedOut);
        }
    }

    fn asked(&mut self, turn: &mut Turn<'_>, asked: Asked, body: RequestBody) {
        if !self.is_within_rates(turn, &asked, &body) {
            return;
        }
        match self.decide(turn, &asked, body) {
            Err(refusal) => self.refuse(turn, &asked, refusal),
            Ok(Next::Answer(body)) => self.answer(turn, &asked, body),
            Ok(Next::Close(reason)) => self.close(turn, asked.connection, reason),
            Ok(Next::Propose(_) | Next::Number { .. }) if self.pending.proposals.len() >= MAX_PROPOSALS => {
                self.refuse(turn, &asked, Refusal::LimitReached("messages that wait for the server's disk".to_owned()));
            }
            Ok(Next::Propose(fact)) => {
                self.began(asked.connection);
                self.propose(turn, Proposal::Request(asked), fact);
            }
            Ok(Next::Number { fact, to, file }) => {
                self.began(asked.connection);
                self.propose(turn, Proposal::Offer { asked, to, file }, fact);
            }
            Ok(Next::Read { kind, not_before, after }) => self.read_history(turn, asked, kind, not_before, after),
            Ok(Next::ReadLatest(select)) => {
                self.read(turn, asked, |asked| Question::Latest { asked }, Query::Last(select));
            }
            Ok(Next::Find(search)) => self.find(turn, asked, search),
            Ok(Next::CatchUp) => self.catch_up(turn, asked),
            Ok(Next::ReadMissed) => self.read_missed(turn, asked),
        }
    }

    fn decide(&mut self, turn: &mut Turn<'_>, asked: &Asked, body: RequestBody) -> Result<Next, Refusal> {
        let (at, user) = (turn.wall, &asked.user);
        let id = if is_post(&body) { self.post_id(asked) } else { None };
        if let Some(answer) = id.and_then(|id| self.answer_to(user, id)) {
            return Ok(Next::Answer(answer));
        }
        let from = user.clone();
        match body {
            RequestBody::Broadcast { text } => {
                check_text(&text)?;
                Ok(Next::Propose(Fact::Broadcast { from, text, at, id }))
            }
            RequestBody::RoomMessage { room, text } => {
                check_text(&text)?;
                self.conference.rooms.members_for(room, user)?;
                Ok(Next::Propose(Fact::RoomMessage { room, from, text, at, id }))
            }
            RequestBody::DirectMessage { to, text } => {
                check_text(&text)?;
                let to = self.find_user(&to)?;
                if to == from {
                    return Err(Refusal::Oneself);
                }
                Ok(Next::Propose(Fact::DirectMessage { from, to, text, at, id }))
            }
            RequestBody::DirectReceived { from: peer, through } => {
                if !self.conference.direct.is_news(user, &peer, through) {
                    return Ok(Next::Answer(ReplyBody::Done));
                }
                Ok(Next::Propose(Fact::DirectReceived { user: from, peer, through }))
            }
            RequestBody::CatchUp => Ok(Next::CatchUp),
            RequestBody::Ping => Ok(Next::Answer(ReplyBody::Done)),
            RequestBody::ActiveUsers => Ok(Next::Answer(self.list_active(turn, user))),
            RequestBody::Rooms => Ok(Next::Answer(self.list_rooms(turn, user))),
            RequestBody::BuildRoom { users } => self.build_room(turn, user, users),
            RequestBody::Invite { room, user: invited } => self.invite(user, room, &invited, at),
            RequestBody::Leave { room } => {
                self.conference.rooms.members_for(room, user)?;
                Ok(Next::Propose(Fact::RoomLeft { room, user: from, at }))
            }
            RequestBody::History { kind, not_before, after } => Ok(Next::Read { kind, not_before, after }),
            RequestBody::Latest { room, count, before } => self.select_latest(user, room, count, before),
            RequestBody::Find { text, before } => self.search_for(user, &text, before).map(Next::Find),
            RequestBody::Offer { to, device, index, sealed } => {
                let file = Offered { device, index, sealed };
                match self.numbering() {
                    Some(fact) => Ok(Next::Number { fact, to, file }),
                    None => self.offer(turn, user, &to, file).map(Next::Answer),
                }
            }
            RequestBody::AnswerOffer { offer, index } => self.answer_offer(turn, user, offer, index).map(Next::Answer),
            RequestBody::WithdrawOffer { offer } => self.withdraw_offer(turn, user, offer).map(Next::Answer),
            RequestBody::Devices { user: of, offering } => {
                self.list_devices(turn, user, &of, offering).map(Next::Answer)
            }
            RequestBody::Missed => Ok(Next::ReadMissed),
            RequestBody::Login { .. } | RequestBody::Resume { .. } | RequestBody::Logout => Err(Refusal::OutOfOrder),
        }
    }

    fn build_room(&mut self, turn: &mut Turn<'_>, by: &UserName, users: Vec<String>) -> Result<Next, Refusal> {
        if users.len() > MAX_ROOM_MEMBERS {
            return Ok(Next::Close(CloseReason::LimitBroken));
        }
        let accounts = &self.conference.accounts;
        let mut seen = BTreeSet::from([by.as_str().into()]);
        let others: Vec<&str> =
            users.iter().map(String::as_str).filter(|user| seen.insert(accounts.spelling(user))).collect();
        if others.is_empty() {
            return Err(Refusal::NobodyElse);
        }
        let found = |text: &&str| accounts.find(text);
        let unknown: Vec<String> =
            others.iter().filter(|text| found(text).is_none()).map(|text| quoted(text)).collect();
        if !unknown.is_empty() {
            return Err(Refusal::NoSuchUser(unknown));
        }
        let mut members: Vec<UserName> = others.iter().filter_map(found).cloned().collect();
        let offline: Vec<UserName> =
            members.iter().filter(|member| !self.sessions.contains_key(*member)).cloned().collect();
        if !offline.is_empty() {
            return Err(Refusal::UserOffline(offline));
        }
        members.push(by.clone());
        members.sort();
        match self.conference.rooms.may_build(by, &members.iter().cloned().collect()) {
            Ok(()) => Ok(Next::Propose(Fact::RoomBuilt { by: by.clone(), members, at: turn.wall })),
            Err(NotBuilt::Exists(room)) => {
                turn.activity(Activity::RoomExists { user: by.clone(), room: room.clone() });
                Ok(Next::Answer(ReplyBody::RoomExists(room)))
            }
            Err(NotBuilt::Refused(refusal)) => Err(refusal),
        }
    }

    fn invite(&self, by: &UserName, room: RoomId, invited: &str, at: Timestamp) -> Result<Next, Refusal> {
        let rooms = &self.conference.rooms;
        rooms.members_for(room, by)?;
        let user = self.find_user(invited)?;
        rooms.may_join(room, by, &user)?;
        if !self.sessions.contains_key(&user) {
            return Err(Refusal::UserOffline(vec![user]));
        }
        Ok(Next::Propose(Fact::RoomJoined { room, by: by.clone(), user, at }))
    }

    /// The answer to `ROOMS`: as many as fit a frame.
    fn list_rooms(&self, turn: &mut Turn<'_>, user: &UserName) -> ReplyBody {
        let mut bytes = 0;
        let fits = |info: &RoomInfo| {
            bytes += LISTED_BYTES;
            bytes += info.members.iter().map(|name| name.as_str().len() + LISTED_BYTES).sum::<usize>();
            bytes <= MAX_PAGE_BYTES
        };
        let rooms: Vec<RoomInfo> = self.conference.rooms.infos_of(user).take_while(fits).collect();
        turn.activity(Activity::ListedRooms { user: user.clone(), rooms: rooms.len() });
        ReplyBody::Rooms(rooms)
    }

    pub(super) fn began(&mut self, connection: ConnectionId) {
        if let Some(it) = self.connections.get_mut(&connection) {
            it.in_flight += 1;
        }
    }
}

fn check_text(text: &str) -> Result<(), Refusal> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES { Err(Refusal::BadText) } else { Ok(()) }
}

fn quoted(text: &str) -> String {
    let ends = text.char_indices().map(|(start, c)| (start + c.len_utf8(), c));
    ends.take_while(|(end, _)| *end <= MAX_QUOTED_BYTES).map(|(_, c)| c).collect()
}

fn is_post(body: &RequestBody) -> bool {
    use RequestBody::{Broadcast, DirectMessage, RoomMessage};
    matches!(body, Broadcast { .. } | RoomMessage { .. } | DirectMessage { .. })
}

/// What people type for it, in the line mode.
fn command(body: &RequestBody) -> Option<&'static str> {
    match body {
        RequestBody::Login { .. }
        | RequestBody::Resume { .. }
        | RequestBody::Missed
        | RequestBody::Ping
        | RequestBody::DirectReceived { .. }
        | RequestBody::CatchUp => None,
        RequestBody::Devices { offering: true, .. } => Some("UPD"),
        RequestBody::Devices { offering: false, .. } => Some("VERIFY"),
        RequestBody::Logout => Some("OUT"),
        RequestBody::Broadcast { .. } => Some("BCM"),
        RequestBody::RoomMessage { .. } => Some("SRM"),
        RequestBody::DirectMessage { .. } => Some("MSG"),
        RequestBody::ActiveUsers => Some("ATU"),
        RequestBody::BuildRoom { .. } => Some("SRB"),
        RequestBody::Rooms => Some("ROOMS"),
        RequestBody::Invite { .. } => Some("INVITE"),
        RequestBody::Leave { .. } => Some("LEAVE"),
        RequestBody::History { .. } => Some("RDM"),
        RequestBody::Latest { .. } => Some("LAST"),
        RequestBody::Find { .. } => Some("FIND"),
        RequestBody::Offer { .. } => Some("UPD"),
        RequestBody::AnswerOffer { index: Some(_), .. } => Some("ACCEPT"),
        RequestBody::AnswerOffer { index: None, .. } => Some("REJECT"),
        RequestBody::WithdrawOffer { .. } => Some("CANCEL"),
    }
}

#[cfg(test)]
mod tests;
