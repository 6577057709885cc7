//! A connection without a client: the bytes are written by hand.

use std::sync::Arc;

use toom_core::id::ConnectionId;
use toom_core::link::{Identity, Link};

use super::keys;
use super::network::{Context, Toward};
use super::stream::Item;
use crate::scenario::sealed::Sealed;

/// The connection.
#[derive(Debug)]
pub struct RawNode {
    connection: ConnectionId,
    waiting: Vec<u8>,
    received: Vec<u8>,
    /// Once it has greeted.
    sealed: Option<Sealed>,
    ended: bool,
}

impl RawNode {
    /// One that is connecting.
    pub fn new(connection: ConnectionId) -> RawNode {
        RawNode { connection, waiting: Vec::new(), received: Vec::new(), sealed: None, ended: false }
    }

    /// Its connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Begins the handshake: what is written from now on are frames.
    pub fn greet(&mut self, ctx: &mut Context<'_>) {
        self.greet_as(ctx, keys::stranger(self.connection.0));
    }

    /// The same on the device with this key.
    pub fn greet_as(&mut self, ctx: &mut Context<'_>, identity: Arc<Identity>) {
        let mut seed = [0x5d; 32];
        seed[..8].copy_from_slice(&self.connection.0.to_be_bytes());
        self.sealed = Some(Sealed::new(Link::client(ctx.now, identity, seed, Some(keys::server_key()))));
        self.write(ctx, &[]);
    }

    /// Writes, now or as soon as there is room; frames as soon as the handshake is done.
    pub fn write(&mut self, ctx: &mut Context<'_>, bytes: &[u8]) {
        match &mut self.sealed {
            Some(sealed) => {
                sealed.push(bytes);
                self.waiting.extend(sealed.take_pending());
            }
            None => self.waiting.extend_from_slice(bytes),
        }
        self.writable(ctx);
    }

    /// There is room again.
    pub fn writable(&mut self, ctx: &mut Context<'_>) {
        let written = ctx.network.write(ctx.now, self.connection, Toward::Server, &self.waiting);
        self.waiting.drain(..written);
    }

    /// Something arrived.
    pub fn arrived(&mut self, ctx: &mut Context<'_>, item: Item) {
        match item {
            Item::Opened => {}
            Item::Bytes(bytes) => match &mut self.sealed {
                Some(sealed) => {
                    self.received.extend(sealed.arrived(bytes));
                    self.write(ctx, &[]);
                }
                None => self.received.extend_from_slice(&bytes),
            },
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
