//! The connection of the moment: there is one at a time, and words of those before it are late.

use toom_core::client::io::{Input, disconnect_reason};
use toom_core::id::ConnectionId;
use toom_core::link::{Arrived, Link};
use toom_core::wire::message::ServerMessage;

use super::super::keys;
use super::super::network::{Context, Toward};
use super::{ClientNode, Happened, State};

impl ClientNode {
    /// Whether neither end has closed its connection, as far as it knows.
    pub fn is_connected(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it wants another connection, and nobody is making one.
    pub fn is_wanting_connection(&self) -> bool {
        self.state == State::Wanting
    }

    /// It is connecting on this connection.
    pub fn connects(&mut self, ctx: &mut Context<'_>, connection: ConnectionId) {
        let device = keys::device(self.address.ip());
        self.connection = connection;
        self.link = Link::client(ctx.now, device, self.dice.seed(), Some(keys::server_key()));
        self.state = State::Connecting;
        self.run(ctx);
    }

    /// Nobody lets it connect.
    pub fn cannot_connect(&mut self, ctx: &mut Context<'_>, reason: String) {
        self.state = State::Closed;
        self.not_connected(reason);
        self.run(ctx);
    }

    /// Whether there is a connection to read from and write to.
    pub(super) fn has_connection(&self) -> bool {
        matches!(self.state, State::Open | State::Connecting | State::Closing)
    }

    /// Whether what arrives on this connection is for the machine.
    pub(super) fn reads(&self, connection: ConnectionId) -> bool {
        self.connection == connection && self.has_connection()
    }

    /// The machine wants to connect again. Whatever there was before is of no use any more.
    pub(super) fn wants_connection(&mut self, ctx: &mut Context<'_>) {
        if self.has_connection() {
            ctx.network.end(ctx.now, self.connection, Toward::Server);
        }
        self.state = State::Wanting;
    }

    pub(super) fn decoded(&mut self, ctx: &mut Context<'_>, arrived: Vec<Arrived<ServerMessage>>) {
        for arrived in arrived {
            match arrived {
                Arrived::Established(server_key) => {
                    if self.state == State::Connecting {
                        self.state = State::Open;
                    }
                    let people = self.people.clone();
                    self.inbox.push_back(Happened::ForClient(Input::Connected { server_key, people }));
                }
                Arrived::Message(message) => self.inbox.push_back(Happened::ForClient(Input::Message(message))),
                Arrived::Closed(violation) => self.disconnect(ctx, disconnect_reason(violation)),
            }
        }
    }

    /// The connection ends here, or was never there.
    pub(super) fn disconnect(&mut self, ctx: &mut Context<'_>, reason: String) {
        if !self.has_connection() {
            return;
        }
        ctx.network.end(ctx.now, self.connection, Toward::Server);
        let was_made = self.state != State::Connecting;
        self.state = State::Closed;
        if was_made {
            self.inbox.push_back(Happened::ForClient(Input::Disconnected { reason }));
        } else {
            self.not_connected(reason);
        }
    }

    fn not_connected(&mut self, reason: String) {
        let not_connected = Input::NotConnected { reason, server_key_changed: false };
        self.inbox.push_back(Happened::ForClient(not_connected));
    }
}
