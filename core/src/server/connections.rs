//! Connections, logged in or not, and how they are closed.

use std::net::IpAddr;

use super::activity::Activity;
use super::io::{CloseReason, Output};
use super::machine::Server;
use super::turn::Turn;
use crate::id::{ConnectionId, RequestId};
use crate::name::UserName;
use crate::wire::limits::{LOGIN_DEADLINE, MAX_CONNECTIONS};

/// One connection, until the driver says that it is gone.
#[derive(Debug)]
pub(super) struct Connection {
    /// From where; an IPv4 address even if it came through an IPv6 socket.
    pub(super) address: IpAddr,
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
    pub(super) fn connected(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, address: IpAddr) {
        let address = address.to_canonical();
        let state = State::Fresh;
        let full = self.connections.len() >= MAX_CONNECTIONS;
        if full {
            turn.out.push(Output::Close { connection, reason: CloseReason::TooManyConnections });
            turn.activity(Activity::Closed { address, reason: CloseReason::TooManyConnections });
            return;
        }
        self.connections.insert(connection, Connection { address, state, in_flight: 0, logging_out: None });
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
