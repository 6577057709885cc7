//! Requests: who may ask what when, what is checked before anything is proposed, and how they are answered.
//!
//! Whatever is checked here is checked again when the fact is applied, because other facts may come in between;
//! except who is active, which is not in the log.

use std::collections::BTreeSet;

use super::activity::Activity;
use super::connections::State;
use super::fact::Fact;
use super::io::CloseReason;
use super::login::Credentials;
use super::machine::Server;
use super::offers::Offered;
use super::pending::{Asked, MAX_PROPOSALS, MAX_QUERIES, Proposal, Question};
use super::rooms::NotBuilt;
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
enum Next {
    /// It is answered at once.
    Answer(ReplyBody),
    /// It must last: it is answered when it is committed.
    Propose(Fact),
    /// It is answered when the store has been asked.
    Read { kind: HistoryKind, not_before: Timestamp, after: Option<Cursor> },
    /// It is answered when the direct messages that were missed have been sent.
    CatchUp,
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
            (_, RequestBody::Login { name, password, udp_port }) => {
                self.login_requested(turn, connection, id, Credentials { name, password, udp_port });
            }
            (State::Fresh | State::LoggingIn { .. }, _) => self.close(turn, connection, CloseReason::NotLoggedIn),
            (State::Active { .. }, _) if it.logging_out.is_some() => {
                turn.reply(connection, id, ReplyBody::Refused(Refusal::OutOfOrder));
            }
            // What was asked before is answered before.
            (State::Active { .. }, RequestBody::Logout) if it.in_flight > 0 => it.logging_out = Some(id),
            (State::Active { .. }, RequestBody::Logout) => self.log_out(turn, connection, id),
            (State::Active { user }, body) => {
                let asked = Asked { connection, request: id, user: user.clone(), command: command(&body) };
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
        match self.decide(turn, &asked.user, body) {
            Err(refusal) => self.refuse(turn, &asked, refusal),
            Ok(Next::Answer(body)) => self.answer(turn, &asked, body),
            Ok(Next::Close(reason)) => self.close(turn, asked.connection, reason),
            Ok(Next::Propose(_)) if self.pending.proposals.len() >= MAX_PROPOSALS => {
                self.refuse(turn, &asked, Refusal::LimitReached("messages that wait for the server's disk".to_owned()));
            }
            Ok(Next::Propose(fact)) => {
                self.began(asked.connection);
                self.propose(turn, Proposal::Request(asked), fact);
            }
            Ok(Next::Read { kind, not_before, after }) => self.read(turn, asked, kind, not_before, after),
            Ok(Next::CatchUp) => self.catch_up(turn, asked),
        }
    }

    fn decide(&mut self, turn: &mut Turn<'_>, user: &UserName, body: RequestBody) -> Result<Next, Refusal> {
        let at = turn.wall;
        let from = user.clone();
        match body {
            RequestBody::Broadcast { text } => {
                check_text(&text)?;
                Ok(Next::Propose(Fact::Broadcast { from, text, at }))
            }
            RequestBody::RoomMessage { room, text } => {
                check_text(&text)?;
                self.conference.rooms.members_for(room, user)?;
                Ok(Next::Propose(Fact::RoomMessage { room, from, text, at }))
            }
            RequestBody::DirectMessage { to, text } => {
                check_text(&text)?;
                let to = self.find_user(&to)?;
                if to == from {
                    return Err(Refusal::Oneself);
                }
                Ok(Next::Propose(Fact::DirectMessage { from, to, text, at }))
            }
            RequestBody::DirectReceived { from: peer, through } => {
                if !self.conference.direct.is_news(user, &peer, through) {
                    return Ok(Next::Answer(ReplyBody::Done));
                }
                Ok(Next::Propose(Fact::DirectReceived { user: from, peer, through }))
            }
            RequestBody::CatchUp => Ok(Next::CatchUp),
            RequestBody::ActiveUsers => Ok(Next::Answer(self.list_active(turn, user))),
            RequestBody::Rooms => Ok(Next::Answer(self.list_rooms(turn, user))),
            RequestBody::BuildRoom { users } => self.build_room(turn, user, users),
            RequestBody::Invite { room, user: invited } => self.invite(user, room, &invited, at),
            RequestBody::Leave { room } => {
                self.conference.rooms.members_for(room, user)?;
                Ok(Next::Propose(Fact::RoomLeft { room, user: from, at }))
            }
            RequestBody::History { kind, not_before, after } => Ok(Next::Read { kind, not_before, after }),
            RequestBody::Offer { to, label, bytes, endpoint } => {
                self.offer(turn, user, &to, Offered { label, bytes, endpoint }).map(Next::Answer)
            }
            RequestBody::AnswerOffer { offer, index } => self.answer_offer(turn, user, offer, index).map(Next::Answer),
            RequestBody::WithdrawOffer { offer } => self.withdraw_offer(turn, user, offer).map(Next::Answer),
            RequestBody::Login { .. } | RequestBody::Logout => Err(Refusal::OutOfOrder),
        }
    }

    fn build_room(&mut self, turn: &mut Turn<'_>, by: &UserName, users: Vec<String>) -> Result<Next, Refusal> {
        if users.len() > MAX_ROOM_MEMBERS {
            return Ok(Next::Close(CloseReason::LimitBroken));
        }
        let mut seen = BTreeSet::from([by.as_str()]);
        let others: Vec<&str> = users.iter().map(String::as_str).filter(|user| seen.insert(user)).collect();
        if others.is_empty() {
            return Err(Refusal::NobodyElse);
        }
        let found = |text: &&str| self.conference.accounts.find(text);
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

    fn read(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        kind: HistoryKind,
        not_before: Timestamp,
        after: Option<Cursor>,
    ) {
        let Some(select) = self.select_history(&asked.user, kind, not_before, after) else {
            return self.no_history(turn, &asked, (kind, not_before, after));
        };
        if self.pending.questions.len() >= MAX_QUERIES {
            let refusal = Refusal::LimitReached("people who read at the same time".to_owned());
            return self.refuse(turn, &asked, refusal);
        }
        self.began(asked.connection);
        self.query(turn, Question::History { asked, kind, not_before, after }, select);
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

/// What people type for it, in the line mode.
fn command(body: &RequestBody) -> Option<&'static str> {
    match body {
        RequestBody::Login { .. } | RequestBody::DirectReceived { .. } | RequestBody::CatchUp => None,
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
        RequestBody::Offer { .. } => Some("UPD"),
        RequestBody::AnswerOffer { index: Some(_), .. } => Some("ACCEPT"),
        RequestBody::AnswerOffer { index: None, .. } => Some("REJECT"),
        RequestBody::WithdrawOffer { .. } => Some("CANCEL"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::{MessageNumber, OfferId, PeerIndex};
    use crate::secure::PeerSecret;
    use crate::text::FileLabel;
    use crate::wire::message::{Event, PeerEndpoint};

    fn refused(refusal: Refusal) -> ReplyBody {
        ReplyBody::Refused(refusal)
    }

    fn no_such(users: &[&str]) -> Refusal {
        Refusal::NoSuchUser(users.iter().map(|user| text(user)).collect())
    }

    fn invite(room: u32, user: &str) -> RequestBody {
        RequestBody::Invite { room: RoomId(room), user: text(user) }
    }

    fn leave(room: u32) -> RequestBody {
        RequestBody::Leave { room: RoomId(room) }
    }

    fn offer(to: &str) -> RequestBody {
        let endpoint = PeerEndpoint { index: PeerIndex(1), secret: PeerSecret([1; 32]) };
        RequestBody::Offer { to: text(to), label: FileLabel::new("f"), bytes: 1, endpoint }
    }

    /// A and B are active and share room 1, C is active, D is offline.
    fn world() -> (World, ConnectionId) {
        let mut world = World::new(&["a", "b", "c", "d"]);
        let [a, ..] = world.login_all(["a", "b", "c"]);
        world.ask(a, build(&["b"]));
        world.forget();
        (world, a)
    }

    #[test]
    fn refused_commands_say_why_and_are_told_to_the_operator() {
        let (mut world, _) = world();
        let b = ConnectionId(2);
        let c = ConnectionId(3);
        let cases = [
            (c, room_message(2, "x"), "SRM", Refusal::NoSuchRoom),
            (c, room_message(0, "x"), "SRM", Refusal::NoSuchRoom),
            (c, room_message(1, "x"), "SRM", Refusal::NotAMember),
            (c, leave(2), "LEAVE", Refusal::NoSuchRoom),
            (c, leave(1), "LEAVE", Refusal::NotAMember),
            (c, invite(2, "x"), "INVITE", Refusal::NoSuchRoom),
            (c, invite(1, "x"), "INVITE", Refusal::NotAMember),
            (b, invite(1, "x"), "INVITE", no_such(&["x"])),
            (b, invite(1, "b"), "INVITE", Refusal::AlreadyAMember),
            (b, invite(1, "a"), "INVITE", Refusal::AlreadyAMember),
            (b, invite(1, "d"), "INVITE", Refusal::UserOffline(names(&["d"]))),
            (b, direct("x", "x"), "MSG", no_such(&["x"])),
            (b, direct("B", "x"), "MSG", no_such(&["B"])),
            (b, direct("not a name", "x"), "MSG", no_such(&["not a name"])),
            (b, direct("b", "x"), "MSG", Refusal::Oneself),
            (b, direct("a", ""), "MSG", Refusal::BadText),
            (b, broadcast(""), "BCM", Refusal::BadText),
            (b, broadcast(&"x".repeat(MAX_TEXT_BYTES + 1)), "BCM", Refusal::BadText),
            (b, room_message(1, ""), "SRM", Refusal::BadText),
            (b, offer("x"), "UPD", no_such(&["x"])),
            (b, offer("b"), "UPD", Refusal::Oneself),
            (b, offer("d"), "UPD", Refusal::UserOffline(names(&["d"]))),
            (b, RequestBody::AnswerOffer { offer: OfferId(1), index: None }, "REJECT", Refusal::NoSuchOffer),
            (
                b,
                RequestBody::AnswerOffer { offer: OfferId(1), index: Some(PeerIndex(1)) },
                "ACCEPT",
                Refusal::NoSuchOffer,
            ),
            (b, RequestBody::WithdrawOffer { offer: OfferId(1) }, "CANCEL", Refusal::NoSuchOffer),
        ];
        let facts = world.log.len();
        for (who, body, command, refusal) in cases {
            assert_eq!(world.ask(who, body.clone()), refused(refusal.clone()), "{body:?}");
            let user = if who == b { name("b") } else { name("c") };
            assert_eq!(world.activities.pop(), Some(Activity::Refused { user, command, refusal }));
        }
        assert_eq!((world.log.len(), world.activities.len()), (facts, 0));
        assert!(matches!(world.ask(b, broadcast(&"x".repeat(MAX_TEXT_BYTES))), ReplyBody::Sent { .. }));
    }

    #[test]
    fn a_room_needs_others_who_all_exist_and_then_are_all_active() {
        let (mut world, a) = world();
        for users in [&[][..], &["a"], &["a", "a"]] {
            assert_eq!(world.ask(a, build(users)), refused(Refusal::NobodyElse));
        }
        let unknown = build(&["a", "x", "d", "b", "x", "not a name", "a"]);
        assert_eq!(world.ask(a, unknown), refused(no_such(&["x", "not a name"])));
        world.add_account("e");
        let offline = build(&["e", "b", "d", "e"]);
        assert_eq!(world.ask(a, offline), refused(Refusal::UserOffline(names(&["e", "d"]))));
        let ReplyBody::RoomExists(room) = world.ask(a, build(&["b", "a", "b"])) else { panic!() };
        assert_eq!(room, RoomInfo { room: RoomId(1), members: names(&["a", "b"]) });
        assert_eq!(world.activities.last(), Some(&Activity::RoomExists { user: name("a"), room }));
        let ReplyBody::RoomCreated(room) = world.ask(a, build(&["c", "b"])) else { panic!() };
        assert_eq!(room.room, RoomId(2), "nothing was built before");
    }

    #[test]
    fn too_many_names_for_a_room_are_a_violation_and_too_many_members_a_limit() {
        let (mut world, a) = world();
        let users: Vec<String> = (0..MAX_ROOM_MEMBERS).map(|number| format!("user{number}")).collect();
        for user in &users {
            world.add_account(user);
            world.login(user);
        }
        let all: Vec<&str> = users.iter().map(String::as_str).collect();
        assert_eq!(world.ask(a, build(&all)), refused(Refusal::LimitReached(text("members of a room"))));
        assert!(matches!(world.ask(a, build(&all[1..])), ReplyBody::RoomCreated(_)));
        world.send(a, build(&vec!["a"; MAX_ROOM_MEMBERS + 1]));
        assert_eq!(world.closed, [(a, CloseReason::LimitBroken)].into());
    }

    #[test]
    fn requests_in_flight_are_bounded_and_answers_make_room() {
        let (mut world, a) = world();
        world.hold_proposals = true;
        for _ in 0..MAX_REQUESTS_IN_FLIGHT {
            world.send(a, broadcast("x"));
        }
        world.commit_next();
        world.send(a, broadcast("x"));
        assert!(world.closed.is_empty());
        world.send(a, RequestBody::ActiveUsers);
        assert_eq!(world.closed, [(a, CloseReason::TooManyRequests)].into());
        world.hold_proposals = false;
        world.commit_next();
        assert_eq!(world.messages.values().next().map(Vec::len), Some(MAX_REQUESTS_IN_FLIGHT + 1));
    }

    #[test]
    fn logging_out_waits_for_what_was_asked_before() {
        let (mut world, a) = world();
        let others = ConnectionId(2);
        (world.hold_proposals, world.hold_queries) = (true, true);
        let post = world.send(a, broadcast("x"));
        let out = world.send(a, RequestBody::Logout);
        assert_eq!(world.ask(a, RequestBody::ActiveUsers), refused(Refusal::OutOfOrder));
        assert_eq!(world.reply(a, out), None);
        world.commit_next();
        assert!(matches!(world.reply(a, post), Some(ReplyBody::Sent { .. })));
        assert_eq!(world.reply(a, out), Some(ReplyBody::Bye));
        assert_eq!(world.closed, [(a, CloseReason::LoggedOut)].into());
        assert!(matches!(
            world.events(others)[..],
            [Event::Broadcast { number: MessageNumber(1), .. }, Event::Left { .. }]
        ));
    }

    #[test]
    fn a_long_name_that_is_none_is_quoted_in_part() {
        let (mut world, a) = world();
        let long = format!("x{}", "é".repeat(1_000));
        let ReplyBody::Refused(Refusal::NoSuchUser(users)) = world.ask(a, direct(&long, "x")) else { panic!() };
        assert!(long.starts_with(&users[0]) && users[0].len() == MAX_QUOTED_BYTES - 1);
    }

    #[test]
    fn a_list_of_rooms_fits_a_frame() {
        let users: Vec<String> = (0..200).map(|number| format!("{}{number}", "x".repeat(60))).collect();
        let mut world = World::new(&users.iter().map(String::as_str).collect::<Vec<_>>());
        world.add_account("a");
        let a = world.login("a");
        let at = world.wall;
        for room in 0..50 {
            let mut members: Vec<UserName> = users.iter().map(|user| name(user)).collect();
            members.remove(room);
            world.commit(Fact::RoomBuilt { by: name("a"), members, at });
        }
        let reply = world.ask(a, RequestBody::Rooms);
        let ReplyBody::Rooms(rooms) = &reply else { panic!() };
        assert!((5..50).contains(&rooms.len()) && rooms[0].room == RoomId(1));
        assert!(crate::wire::codec::encode(&reply).len() <= MAX_PAGE_BYTES);
    }
}
