//! A connection without a client: the bytes are written by hand.

use toom_core::id::ConnectionId;

use super::network::{Context, Toward};
use super::stream::Item;

/// The connection.
#[derive(Debug)]
pub struct RawNode {
    connection: ConnectionId,
    waiting: Vec<u8>,
    received: Vec<u8>,
    ended: bool,
}

impl RawNode {
    /// One that is connecting.
    pub fn new(connection: ConnectionId) -> RawNode {
        RawNode { connection, waiting: Vec::new(), received: Vec::new(), ended: false }
    }

    /// Its connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Writes, now or as soon as there is room.
    pub fn write(&mut self, ctx: &mut Context<'_>, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        self.writable(ctx);
    }

    /// There is room again.
    pub fn writable(&mut self, ctx: &mut Context<'_>) {
        let written = ctx.network.write(ctx.now, self.connection, Toward::Server, &self.waiting);
        self.waiting.drain(..written);
    }

    /// Something arrived.
    pub fn arrived(&mut self, item: Item) {
        match item {
            Item::Opened => {}
            Item::Bytes(bytes) => self.received.extend_from_slice(&bytes),
            Item::Ended => self.ended = true,
        }
    }

    /// What arrived since the last call.
    pub fn take_received(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.received)
    }

    /// Whether the server has closed the connection.
    pub fn ended(&self) -> bool {
        self.ended
    }
}
