//! Connections, logged in or not, and how they are closed.

use std::net::IpAddr;

use super::activity::Activity;
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::strangers::{Age, TooMany};
use super::turn::Turn;
use crate::address::Network;
use crate::id::{ConnectionId, RequestId};
use crate::name::UserName;
use crate::secure::PublicKey;
use crate::wire::limits::{LOGIN_DEADLINE, MAX_CONNECTIONS};

/// One connection, until the driver says that it is gone.
#[derive(Debug)]
pub(super) struct Connection {
    /// From where; an IPv4 address even if it came through an IPv6 socket.
    pub(super) address: IpAddr,
    age: Age,
    /// The key of the device at its other end, once the handshake is done.
    pub(super) device: Option<PublicKey>,
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
    /// It has not done its handshake; that has a deadline of its own, where it is done.
    Handshaking,
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

/// Why a connection is there no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// Its user has logged out.
    LoggedOut,
    /// We have closed it.
    Closed,
    /// The network or the other end has.
    Lost,
}

impl Server {
    pub(super) fn accepted(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, address: IpAddr) {
        let address = address.to_canonical();
        if self.connections.len() >= MAX_CONNECTIONS {
            turn.out.push(Output::Close { connection, reason: CloseReason::TooManyConnections });
            turn.activity(Activity::Closed { address, reason: CloseReason::TooManyConnections });
            return;
        }
        let (state, age) = (State::Handshaking, self.strangers.next_age());
        let it = Connection { address, age, device: None, state, in_flight: 0, logging_out: None };
        self.connections.insert(connection, it);
        self.add_stranger(turn, connection);
    }

    pub(super) fn connected(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, device: PublicKey) {
        // It may have been refused or closed meanwhile.
        if let Some(it) = self.connections.get_mut(&connection).filter(|it| it.state == State::Handshaking) {
            (it.state, it.device) = (State::Fresh, Some(device));
            self.login_timeouts.start(turn.now + LOGIN_DEADLINE, connection);
        }
    }

    /// The login of a connection is being checked: it is no stranger.
    pub(super) fn logs_in(&mut self, connection: ConnectionId, name: String) {
        if let Some(it) = self.connections.get_mut(&connection) {
            it.state = State::LoggingIn { name };
            self.strangers.remove(Network::of(it.address), it.age);
        }
    }

    /// The login of a connection has failed: it is a stranger again, as old as it is.
    pub(super) fn is_fresh_again(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        if let Some(it) = self.connections.get_mut(&connection).filter(|it| it.state != State::Closing) {
            it.state = State::Fresh;
            self.add_stranger(turn, connection);
        }
    }

    /// The connection is gone, and whatever depended on it ends; a session may be resumed.
    pub(super) fn disconnected(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        self.retire(turn, connection, Gone::Lost);
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
        self.retire(turn, connection, if asked { Gone::LoggedOut } else { Gone::Closed });
    }

    /// Whether the connection is there, and not being closed.
    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|it| it.state != State::Closing)
    }

    fn retire(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, how: Gone) {
        let Some(it) = self.connections.get_mut(&connection) else { return };
        self.login_timeouts.cancel(connection);
        self.strangers.remove(Network::of(it.address), it.age);
        match std::mem::replace(&mut it.state, State::Closing) {
            State::Handshaking | State::Fresh | State::Closing => {}
            State::LoggingIn { name } => {
                self.attempts.abandon(&name, connection);
                self.fencing.abandon(connection);
            }
            State::Active { user } if how == Gone::Lost => {
                if !self.is_not_there(turn, &user) {
                    self.connection_lost(turn, &user);
                }
            }
            State::Active { user } => self.end_session(turn, &user, how == Gone::LoggedOut),
        }
    }

    /// Counts a connection among the strangers, and closes the oldest one if there are too many.
    fn add_stranger(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        let Some(it) = self.connections.get(&connection) else { return };
        let network = Network::of(it.address);
        self.strangers.add(network, it.age, connection);
        if let Some((oldest, too_many)) = self.strangers.too_many(network) {
            let reason = match too_many {
                TooMany::OfNetwork => CloseReason::TooManyStrangersFromAddress,
                TooMany::OfAll => CloseReason::TooManyStrangers,
            };
            self.close(turn, oldest, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::wire::limits::{MAX_STRANGERS, MAX_STRANGERS_PER_ADDRESS};
    use crate::wire::message::{Refusal, ReplyBody, RequestBody};
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
        for number in 0..1_000 {
            world.connect_from(&format!("192.0.2.{}:1", number % 10));
        }
        world.advance(LOGIN_DEADLINE);
        assert_eq!(world.closed.len(), 1_000);
    }

    #[test]
    fn connections_over_the_limit_are_closed_and_those_that_end_make_room() {
        let mut world = World::new(&[]);
        let first = world.connect();
        // Strangers are closed before there are so many; but they count until they are gone.
        for _ in 1..MAX_CONNECTIONS {
            world.connect();
        }
        world.closed.clear();
        let over = world.connect();
        assert_eq!(world.closed, [(over, CloseReason::TooManyConnections)].into());
        world.disconnect(over);
        world.disconnect(first);
        world.connect();
        assert!(world.closed.values().filter(|it| **it == CloseReason::TooManyConnections).count() == 1);
        assert_eq!(world.server.connections.len(), MAX_CONNECTIONS);
    }

    #[test]
    fn the_oldest_stranger_of_an_address_goes_first_and_those_elsewhere_stay() {
        let mut world = World::new(&["yoda"]);
        let elsewhere = world.accept_from("203.0.113.9:1");
        let yoda = world.login("yoda");
        let (first, second) = (world.accept_from("192.0.2.1:1"), world.connect_from("192.0.2.1:2"));
        for _ in 2..MAX_STRANGERS_PER_ADDRESS {
            world.accept_from("192.0.2.1:3");
        }
        assert!(world.closed.is_empty(), "just as many as there may be");
        world.accept_from("[::ffff:192.0.2.1]:4");
        let gone = CloseReason::TooManyStrangersFromAddress;
        assert_eq!(world.closed, [(first, gone)].into());
        world.finish_handshake(first);
        assert!(!world.server.is_open(first), "what is closed stays so");
        world.connect_from("192.0.2.1:5");
        assert_eq!(world.closed, [(first, gone), (second, gone)].into(), "handshake done or not");
        assert!(world.server.is_open(elsewhere) && world.server.is_open(yoda));
        world.disconnect(elsewhere);
        for number in 0..=MAX_STRANGERS_PER_ADDRESS {
            world.connect_from(&format!("[2001:db8::{number:x}]:1"));
        }
        assert_eq!(world.closed.len(), 3, "a /64 is one address");
    }

    #[test]
    fn the_oldest_of_all_strangers_goes_first_and_who_logs_in_is_none() {
        let mut world = World::new(&["yoda"]);
        let yoda = world.login("yoda");
        world.hold_checks = true;
        let checking = world.connect();
        world.try_login(checking, "yoda", "wrong");
        let strangers: Vec<_> = (0..MAX_STRANGERS)
            .map(|number| world.connect_from(&format!("10.0.{}.{}:1", number / 256, number % 256)))
            .collect();
        assert!(world.closed.is_empty());
        world.connect_from("198.51.100.1:1");
        let gone = CloseReason::TooManyStrangers;
        assert_eq!(world.closed, [(strangers[0], gone)].into());
        assert!(world.server.is_open(yoda) && world.server.is_open(checking));
        world.check_next();
        assert_eq!(world.closed, [(strangers[0], gone), (checking, gone)].into(), "it is the oldest once it failed");
        assert_eq!(world.inbox(checking).len(), 1, "and is told before");
        world.disconnect(strangers[1]);
        world.connect_from("198.51.100.2:1");
        assert_eq!(world.closed.len(), 2, "who leaves makes room");
    }

    #[test]
    fn nothing_is_heard_of_a_connection_before_its_handshake_is_done() {
        let mut world = World::new(&["yoda"]);
        let early = world.accept_from("192.0.2.1:1");
        let id = world.try_login(early, "yoda", &password_of("yoda"));
        assert_eq!(world.reply(early, id), Some(ReplyBody::Refused(Refusal::OutOfOrder)));
        world.advance(LOGIN_DEADLINE * 2);
        assert!(world.closed.is_empty(), "the handshake has a deadline of its own");
        world.finish_handshake(early);
        world.advance(LOGIN_DEADLINE);
        assert_eq!(world.closed, [(early, CloseReason::LoginTimedOut)].into());
        world.finish_handshake(ConnectionId(99));
        assert_eq!(world.server.connections.len(), 1, "it was never accepted");
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
