//! Who is active. It lives as long as one run of the server.

use std::net::{IpAddr, SocketAddr};

use super::activity::Activity;
use super::attempts::Attempt;
use super::connections::State;
use super::delivery::Delivery;
use super::io::Presence;
use super::machine::Server;
use super::turn::Turn;
use crate::id::ConnectionId;
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::MAX_LISTED_USERS;
use crate::wire::message::{ActiveUser, Event, ReplyBody};

/// With more active users than this, nobody is told who comes and goes: it would be most of what they read.
const MAX_ANNOUNCED: usize = 100;

/// One active user.
#[derive(Debug)]
pub(super) struct Session {
    /// On which connection. The session ends with it.
    pub(super) connection: ConnectionId,
    address: IpAddr,
    udp_port: u16,
    since: Timestamp,
    /// The direct messages that they missed.
    pub(super) delivery: Delivery,
}

impl Session {
    /// Where datagrams reach this user.
    pub(super) fn udp_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.udp_port)
    }
}

impl Server {
    pub(super) fn start_session(&mut self, turn: &mut Turn<'_>, user: UserName, attempt: &Attempt) {
        let connection = attempt.connection;
        let Some(it) = self.connections.get_mut(&connection) else { return };
        it.state = State::Active { user: user.clone() };
        self.login_timeouts.cancel(connection);
        let (address, udp_port, since) = (attempt.address, attempt.udp_port, turn.wall);
        let session = Session { connection, address, udp_port, since, delivery: Delivery::default() };
        self.sessions.insert(user.clone(), session);
        turn.reply(connection, attempt.request, ReplyBody::Welcome { user: user.clone() });
        if self.sessions.len() <= MAX_ANNOUNCED {
            turn.event(self.all_but(&user), Event::Joined { user: user.clone() });
        }
        turn.activity(Activity::LoggedIn(Presence { name: user.clone(), address, udp_port, since }));
        self.start_delivery(turn, &user);
    }

    pub(super) fn end_session(&mut self, turn: &mut Turn<'_>, user: &UserName, asked: bool) {
        let active = self.sessions.len();
        if self.sessions.remove(user).is_none() {
            return;
        }
        self.end_offers_of(turn, user);
        if active <= MAX_ANNOUNCED {
            turn.event(self.all_but(user), Event::Left { user: user.clone() });
        }
        turn.activity(Activity::LoggedOut { user: user.clone(), at: turn.wall, asked });
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
        self.sessions.iter().filter(|(name, _)| *name != user).map(|(_, it)| it.connection).collect()
    }

    /// The connections of those of `users` who are active, but one.
    pub(super) fn active_but<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserName>,
        user: &UserName,
    ) -> Vec<ConnectionId> {
        let others = users.into_iter().filter(|name| *name != user);
        others.filter_map(|name| self.sessions.get(name)).map(|it| it.connection).collect()
    }
}
