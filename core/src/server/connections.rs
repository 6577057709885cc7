//! Connections, logged in or not, and how they are closed.

use std::net::IpAddr;

use super::activity::Activity;
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::turn::Turn;
use crate::id::{ConnectionId, RequestId};
use crate::name::UserName;
use crate::secure::PublicKey;
use crate::wire::limits::{LOGIN_DEADLINE, MAX_CONNECTIONS};

/// One connection, until the driver says that it is gone.
#[derive(Debug)]
pub(super) struct Connection {
    /// From where; an IPv4 address even if it came through an IPv6 socket.
    pub(super) address: IpAddr,
    /// The key of the device at its other end.
    pub(super) device: PublicKey,
    /// How far it has come.
    pub(super) state: State,
    /// Its requests that have not been answered.
    pub(super) in_flight: usize,
    /// Its request to log out, while other requests have not been answered.
    pub(super) logging_out: Option<RequestId>,
}

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has not logged in.
    Fresh,
    /// Its login is being checked.
    LoggingIn {
        /// The name as typed.
        name: String,
    },
    /// It has a session.
    Active {
        /// Whose.
        user: UserName,
    },
    /// We have closed it: nothing more is heard from it or said to it.
    Closing,
}

impl Server {
    pub(super) fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        connection: ConnectionId,
        address: IpAddr,
        device: PublicKey,
    ) {
        let address = address.to_canonical();
        let state = State::Fresh;
        let full = self.connections.len() >= MAX_CONNECTIONS;
        if full {
            turn.out.push(Output::Close { connection, reason: CloseReason::TooManyConnections });
            turn.activity(Activity::Closed { address, reason: CloseReason::TooManyConnections });
            return;
        }
        let it = Connection { address, device, state, in_flight: 0, logging_out: None };
        self.connections.insert(connection, it);
        self.login_timeouts.start(turn.now + LOGIN_DEADLINE, connection);
    }

    /// The connection is gone, and whatever depended on it ends.
    pub(super) fn disconnected(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        self.retire(turn, connection, false);
        self.connections.remove(&connection);
    }

    /// Closes a connection, and ends whatever depended on it.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, reason: CloseReason) {
        let Some(it) = self.connections.get(&connection) else { return };
        let address = it.address;
        turn.out.push(Output::Close { connection, reason });
        let asked = reason == CloseReason::LoggedOut;
        if !asked {
            turn.activity(Activity::Closed { address, reason });
        }
        self.retire(turn, connection, asked);
    }

    /// Whether the connection is there, and not being closed.
    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|it| it.state != State::Closing)
    }

    fn retire(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, asked: bool) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        self.login_timeouts.cancel(connection);
        match std::mem::replace(&mut it.state, State::Closing) {
            State::Fresh | State::Closing => {}
            State::LoggingIn { name } => self.attempts.abandon(&name, connection),
            State::Active { user } => self.end_session(turn, &user, asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::wire::message::RequestBody;
    use core::time::Duration;

    #[test]
    fn who_does_not_log_in_in_time_is_closed_and_who_does_is_not() {
        let mut world = World::new(&["yoda"]);
        let idle = world.connect();
        world.advance(Duration::from_secs(1));
        let late = world.connect();
        let yoda = world.login("yoda");
        world.advance(LOGIN_DEADLINE - Duration::from_nanos(1_000_000_001));
        assert!(world.closed.is_empty());
        world.advance(Duration::from_nanos(1));
        assert_eq!(world.closed, [(idle, CloseReason::LoginTimedOut)].into());
        world.advance(LOGIN_DEADLINE);
        assert_eq!(world.closed.get(&late), Some(&CloseReason::LoginTimedOut));
        assert_eq!(world.closed.get(&yoda), None);
        assert_eq!(world.server.login_timeouts.next(), None);
    }

    #[test]
    fn a_flood_that_times_out_at_once_is_closed_over_several_calls() {
        let mut world = World::new(&[]);
        for _ in 0..1_000 {
            world.connect();
        }
        world.advance(LOGIN_DEADLINE);
        assert_eq!(world.closed.len(), 1_000);
    }

    #[test]
    fn connections_over_the_limit_are_closed_and_those_that_end_make_room() {
        let mut world = World::new(&[]);
        let first = world.connect();
        for _ in 1..MAX_CONNECTIONS {
            world.connect();
        }
        let over = world.connect();
        assert_eq!(world.closed, [(over, CloseReason::TooManyConnections)].into());
        world.disconnect(over);
        world.disconnect(first);
        world.connect();
        assert_eq!((world.closed.len(), world.server.connections.len()), (1, MAX_CONNECTIONS));
    }

    #[test]
    fn a_closed_connection_is_heard_no_more() {
        let mut world = World::new(&["yoda", "luke"]);
        let [yoda, luke] = world.login_all(["yoda", "luke"]);
        world.ask(yoda, RequestBody::Logout);
        world.forget();
        world.send(yoda, broadcast("still here"));
        assert_eq!((world.inbox(luke), world.closed.len()), (vec![], 1));
        world.disconnect(yoda);
        assert!(world.server.connections.len() == 1 && world.activities.is_empty());
    }
}
