//! Who is active. It lives as long as one run of the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::activity::Activity;
use super::attempts::Attempt;
use super::connections::State;
use super::delivery::Delivery;
use super::fact::Fact;
use super::io::Presence;
use super::machine::Server;
use super::missed::Missed;
use super::pending::Proposal;
use super::turn::Turn;
use crate::id::{ConnectionId, RoomId, SessionId};
use crate::name::UserName;
use crate::secure::PublicKey;
use crate::time::Timestamp;
use crate::wire::limits::MAX_LISTED_USERS;
use crate::wire::message::{ActiveUser, Event, ReplyBody};

/// With more active users than this, nobody is told who comes and goes: it would be most of what they read.
const MAX_ANNOUNCED: usize = 100;

/// One active user.
#[derive(Debug)]
pub(super) struct Session {
    /// On which connection; none while it waits to be resumed.
    pub(super) connection: Option<ConnectionId>,
    pub(super) address: IpAddr,
    pub(super) udp_port: u16,
    /// The key of the device.
    pub(super) device: PublicKey,
    since: Timestamp,
    pub(super) resumption: Resumption,
    /// The connection that was lost, and when.
    pub(super) lost: Option<(ConnectionId, Timestamp)>,
    /// The direct messages that they missed.
    pub(super) delivery: Delivery,
    /// What else they missed.
    pub(super) missed: Missed,
}

/// Whether a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumption {
    /// It ends with it.
    Never,
    /// It will not, once its start is committed.
    Starting(SessionId),
    /// The client has the secret.
    Granted(SessionId),
}

impl Resumption {
    /// Which session it is in the log.
    pub(super) fn id(self) -> Option<SessionId> {
        match self {
            Resumption::Never => None,
            Resumption::Starting(id) | Resumption::Granted(id) => Some(id),
        }
    }
}

impl Session {
    /// A session without a connection.
    pub(super) fn new(device: PublicKey, since: Timestamp, resumption: Resumption) -> Session {
        let (address, udp_port) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let (delivery, missed) = (Delivery::default(), Missed::default());
        Session { connection: None, address, udp_port, device, since, resumption, lost: None, delivery, missed }
    }

    /// As the server's terminal and the text logs have it.
    pub(super) fn presence(&self, name: &UserName) -> Presence {
        Presence { name: name.clone(), address: self.address, udp_port: self.udp_port, since: self.since }
    }

    /// Where datagrams reach this user.
    pub(super) fn udp_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.udp_port)
    }
}

impl Server {
    pub(super) fn start_session(&mut self, turn: &mut Turn<'_>, user: UserName, attempt: &Attempt) {
        let connection = attempt.connection;
        let Some(it) = self.connections.get_mut(&connection) else { return };
        let Some(device) = it.device else { return };
        it.state = State::Active { user: user.clone() };
        self.login_timeouts.cancel(connection);
        let mut session = Session::new(device, turn.wall, Resumption::Never);
        (session.connection, session.address, session.udp_port) = (Some(connection), attempt.address, attempt.udp_port);
        let presence = session.presence(&user);
        self.sessions.insert(user.clone(), session);
        self.is_over(&user);
        let failed_logins = self.failed_logins.take(&user);
        turn.reply(connection, attempt.request, ReplyBody::Welcome { user: user.clone(), failed_logins });
        self.announce(turn, &user);
        turn.activity(Activity::LoggedIn(presence));
        self.start_delivery(turn, &user);
        self.ask_for_news(turn, &user, connection);
        self.propose_session(turn, &user);
        self.meet_device(turn, user, device);
    }

    /// Tells the others that somebody has become active.
    pub(super) fn announce(&self, turn: &mut Turn<'_>, user: &UserName) {
        if self.sessions.len() <= MAX_ANNOUNCED {
            turn.event(self.all_but(user), Event::Joined { user: user.clone() });
        }
    }

    pub(super) fn end_session(&mut self, turn: &mut Turn<'_>, user: &UserName, asked: bool) {
        let active = self.sessions.len();
        let Some(session) = self.sessions.remove(user) else { return };
        self.lost.cancel(session.lost.map(|(connection, _)| connection));
        self.end_offers_of(turn, user);
        if active <= MAX_ANNOUNCED {
            turn.event(self.all_but(user), Event::Left { user: user.clone() });
        }
        turn.activity(Activity::LoggedOut { user: user.clone(), at: turn.wall, asked });
        if asked {
            self.is_over(user);
        }
        if let Some(id) = session.resumption.id() {
            // A client that was not granted it cannot resume it.
            let resumable = !asked && session.resumption == Resumption::Granted(id);
            let at = session.lost.map_or(turn.wall, |(_, at)| at);
            let fact = Fact::SessionEnded { name: user.clone(), session: id, at, resumable };
            self.propose(turn, Proposal::Unasked, fact);
        }
    }

    /// The answer to `ATU`, in order of time.
    pub(super) fn list_active(&self, turn: &mut Turn<'_>, user: &UserName) -> ReplyBody {
        let others = self.sessions.iter().filter(|(name, _)| *name != user);
        let mut users: Vec<ActiveUser> = others
            .map(|(name, it)| ActiveUser {
                name: name.clone(),
                address: it.address,
                udp_port: it.udp_port,
                since: it.since,
            })
            .collect();
        users.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
        users.truncate(MAX_LISTED_USERS);
        let presence = |it: &ActiveUser| Presence {
            name: it.name.clone(),
            address: it.address,
            udp_port: it.udp_port,
            since: it.since,
        };
        turn.activity(Activity::ListedActive { user: user.clone(), shown: users.iter().map(presence).collect() });
        ReplyBody::ActiveUsers(users)
    }

    /// The connections of all active users but one.
    pub(super) fn all_but(&self, user: &UserName) -> Vec<ConnectionId> {
        self.sessions.iter().filter(|(name, _)| *name != user).filter_map(|(_, it)| it.connection).collect()
    }

    /// The connections of those of `users` who are active, but one.
    pub(super) fn active_but<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        user: &UserName,
    ) -> Vec<ConnectionId> {
        let others = users.into_iter().filter(|name| *name != user);
        others.filter_map(|name| self.sessions.get(name)?.connection).collect()
    }

    /// The connections of all active users but one, as far as they have all broadcasts before this one.
    pub(super) fn hearing_broadcasts(&self, from: &UserName) -> Vec<ConnectionId> {
        let others = self.sessions.iter().filter(|(name, it)| *name != from && it.missed.is_current(None));
        others.filter_map(|(_, it)| it.connection).collect()
    }

    /// The connections of those of `members` who are active, but one, as far as they have all messages of the room
    /// before this one.
    pub(super) fn hearing_room<'a>(
        &self,
        room: RoomId,
        members: impl IntoIterator<Item = &'a UserName>,
        from: &UserName,
    ) -> Vec<ConnectionId> {
        let others = members.into_iter().filter(|name| *name != from).filter_map(|name| self.sessions.get(name));
        others.filter(|it| it.missed.is_current(Some(room))).filter_map(|it| it.connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::server::io::CloseReason;
    use crate::wire::message::{RequestBody, ServerMessage};
    use core::time::Duration;

    fn active(user: &str, address: &str, since: Timestamp) -> ActiveUser {
        ActiveUser { name: name(user), address: address.parse().unwrap(), udp_port: 6000, since }
    }

    #[test]
    fn the_others_are_listed_in_order_of_time_then_name_with_ipv4_as_ipv4() {
        let mut world = World::new(&["a", "b", "c", "d"]);
        let start = world.wall;
        let mapped = world.connect_from("[::ffff:198.51.100.7]:9");
        world.try_login(mapped, "d", &password_of("d"));
        world.advance(Duration::from_secs(1));
        let [_, b, c] = world.login_all(["a", "b", "c"]);
        let (early, late) = (active("d", "198.51.100.7", start), |user| active(user, "192.0.2.1", world.wall));
        let others = vec![early, late("a"), late("c")];
        assert_eq!(world.ask(b, RequestBody::ActiveUsers), ReplyBody::ActiveUsers(others.clone()));
        let rows = others.into_iter().map(|ActiveUser { name, address, udp_port, since }| Presence {
            name,
            address,
            udp_port,
            since,
        });
        assert_eq!(world.activities, [Activity::ListedActive { user: name("b"), shown: rows.collect() }]);
        for gone in [mapped, ConnectionId(2), b] {
            world.disconnect(gone);
        }
        assert_eq!(world.ask(c, RequestBody::ActiveUsers), ReplyBody::ActiveUsers(vec![]));
    }

    #[test]
    fn the_others_hear_who_comes_and_goes() {
        let mut world = World::new(&["yoda", "luke"]);
        let [yoda] = world.login_all(["yoda"]);
        let luke = world.login("luke");
        assert_eq!(world.inbox(luke), [], "not of oneself");
        assert_eq!(world.events(yoda), [Event::Joined { user: name("luke") }]);
        let row = Presence { name: name("luke"), address: [192, 0, 2, 1].into(), udp_port: 6000, since: world.wall };
        assert_eq!(world.activities, [Activity::LoggedIn(row)]);
        world.forget();
        world.disconnect(luke);
        assert_eq!(world.events(yoda), [Event::Left { user: name("luke") }]);
        let lost = Activity::LoggedOut { user: name("luke"), at: world.wall, asked: false };
        assert_eq!(world.activities, [lost]);
        world.login("luke");
    }

    #[test]
    fn logging_out_says_bye_closes_and_makes_room_for_the_next_login() {
        let mut world = World::new(&["yoda", "luke"]);
        let [yoda, luke] = world.login_all(["yoda", "luke"]);
        assert_eq!(world.ask(yoda, RequestBody::Logout), ReplyBody::Bye);
        assert_eq!(world.closed, [(yoda, CloseReason::LoggedOut)].into());
        assert_eq!(world.events(luke), [Event::Left { user: name("yoda") }]);
        assert_eq!(world.activities, [Activity::LoggedOut { user: name("yoda"), at: world.wall, asked: true }]);
        world.login("yoda");
    }

    #[test]
    fn comings_and_goings_are_not_told_above_a_hundred_active_users() {
        let users: Vec<String> = (0..=MAX_ANNOUNCED).map(|number| format!("user{number}")).collect();
        let mut world = World::new(&users.iter().map(String::as_str).collect::<Vec<_>>());
        let first = world.login("user0");
        let all: Vec<ConnectionId> = users[1..].iter().map(|user| world.login(user)).collect();
        assert_eq!(world.events(first).len(), MAX_ANNOUNCED - 1);
        world.disconnect(all[0]);
        assert_eq!(world.inbox(first), []);
        world.disconnect(all[1]);
        assert_eq!(world.inbox(first), [ServerMessage::Event(Event::Left { user: name("user2") })]);
    }

    #[test]
    fn a_list_that_is_too_long_is_cut() {
        let mut world = World::new(&["yoda"]);
        let yoda = world.login("yoda");
        for number in 0..=MAX_LISTED_USERS {
            let connection = ConnectionId(1_000_000 + number as u64);
            let since = Timestamp::from_millis(number as i64);
            let mut session = Session::new(PublicKey([1; 32]), since, Resumption::Never);
            session.connection = Some(connection);
            world.server.sessions.insert(name(&format!("user{number}")), session);
        }
        let ReplyBody::ActiveUsers(users) = world.ask(yoda, RequestBody::ActiveUsers) else { panic!() };
        assert_eq!((users.len(), &users[0].name), (MAX_LISTED_USERS, &name("user0")));
    }
}
