//! What a connection without a client needs to get past the handshake.

use toom_core::link::{Arrived, Input, Link};
use toom_core::time::Instant;
use toom_core::wire::codec::encode;
use toom_core::wire::message::ServerMessage;

/// A link whose frames are written by hand.
#[derive(Debug)]
pub struct Sealed {
    link: Link<ServerMessage>,
    established: bool,
}

impl Sealed {
    /// One that has just connected, with its first words to be written.
    pub fn new(link: Link<ServerMessage>) -> Sealed {
        Sealed { link, established: false }
    }

    /// Has `frames`, or what are none, written once the handshake is done.
    pub fn push(&mut self, frames: &[u8]) {
        // A test that writes more than an outbox holds at once does not see its end either.
        let _ = self.link.outbound.push(frames);
    }

    /// What is to be written now.
    pub fn take_pending(&mut self) -> Vec<u8> {
        self.link.outbound.seal(Instant::ZERO);
        let pending = self.link.outbound.pending().to_vec();
        self.link.outbound.written(pending.len());
        pending
    }

    /// Something arrived: the frames in it, as the server encoded them.
    pub fn arrived(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let mut frames = Vec::new();
        for arrived in self.link.handle(Instant::ZERO, Input::Bytes(&mut bytes)) {
            match arrived {
                Arrived::Established(_) => self.established = true,
                Arrived::Message(message) => frames.extend_from_slice(&encode(&message)),
                Arrived::Closed(why) => panic!("the server broke the protocol: {why:?}"),
            }
        }
        frames
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        self.established
    }
}
