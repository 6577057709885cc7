//! Both halves of a connection, for whoever has them in one place.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Identity, Inbound, Input, Outbound, Output, Violation};
use crate::machine::Machine;
use crate::secure::PublicKey;
use crate::time::Instant;

/// One end of a connection: [`Inbound`], [`Outbound`], and the handshake passed between them.
#[derive(Debug)]
pub struct Link<M> {
    /// What arrives; heard through [`handle`](Link::handle) only.
    pub inbound: Inbound<M>,
    /// What leaves.
    pub outbound: Outbound,
}

/// What came of something that arrived.
#[derive(Debug)]
pub enum Arrived<M> {
    /// The other end has proved that it has this key.
    Established(PublicKey),
    /// A message.
    Message(M),
    /// The connection must be closed: the other end is done (`None`) or misbehaved. Nothing follows.
    Closed(Option<Violation>),
}

impl<M> Link<M> {
    /// A server's end of a connection that was made at `now`; see [`Inbound::server`].
    pub fn server(now: Instant, identity: Arc<Identity>, seed: [u8; 32]) -> Link<M> {
        Link { inbound: Inbound::server(now, identity, seed), outbound: Outbound::new() }
    }

    /// A client's end of a connection that was made at `now`, its first words in the outbox; see [`Inbound::client`].
    pub fn client(now: Instant, identity: Arc<Identity>, seed: [u8; 32], expected: Option<PublicKey>) -> Link<M> {
        let (inbound, hello) = Inbound::client(now, identity, seed, expected);
        let mut outbound = Outbound::new();
        outbound.push_handshake(&hello);
        Link { inbound, outbound }
    }
}

impl<M: DeserializeOwned> Link<M> {
    /// Hears `input`; what it answers during the handshake waits in the outbox.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Vec<Arrived<M>> {
        let mut out = Vec::new();
        self.inbound.handle(now, input, &mut out);
        let mut arrived = Vec::new();
        for output in out {
            match output {
                Output::Handshake(bytes) => self.outbound.push_handshake(&bytes),
                Output::Established(established) => {
                    arrived.push(Arrived::Established(established.remote));
                    self.outbound.establish(*established);
                }
                Output::Message(message) => arrived.push(Arrived::Message(message)),
                Output::Close(why) => arrived.push(Arrived::Closed(why)),
            }
        }
        arrived
    }
}
