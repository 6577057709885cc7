//! Reads one connection: bytes in, requests to the conference out.
//!
//! The thread that reads is the only one that reports a connection's beginning and end, so that the conference
//! hears of each once and in order.

use std::net::SocketAddr;
use std::sync::Arc;

use toom_core::id::ConnectionId;
use toom_core::link::{Output, Violation};
use toom_core::server::io::Input;
use toom_core::wire::message::Request;
use toom_store::server::Tallies;
use toom_store::wall;

use super::conference::Mail;
use super::shard::Shards;
use crate::link::Reader;
use crate::mailbox::Posts;

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: SocketAddr,
    pub(super) reader: Reader<Request>,
    pub(super) posts: Posts<Mail>,
    pub(super) shards: Shards,
    pub(super) tallies: Arc<Tallies>,
}

impl Connection {
    /// Reads until either end closes the connection.
    pub(super) fn read(mut self) {
        let mut out = Vec::new();
        self.posts.send(Mail::Input(Input::Accepted { connection: self.id, address: self.address }));
        'open: loop {
            self.reader.read(&mut out);
            for output in out.drain(..) {
                let input = match output {
                    Output::Handshake(bytes) => {
                        self.shards.write_handshake(self.id, bytes);
                        continue;
                    }
                    Output::Established(established) => {
                        let device = established.remote;
                        // Before the conference can have anything to say.
                        self.shards.establish(self.id, established);
                        Input::Connected { connection: self.id, address: self.address, device }
                    }
                    Output::Message(request) => Input::Request { connection: self.id, request, wall: wall::now() },
                    Output::Close(why) => {
                        self.count(why);
                        break 'open;
                    }
                };
                self.posts.send(Mail::Input(input));
            }
        }
        self.posts.send(Mail::Input(Input::Disconnected { connection: self.id, wall: wall::now() }));
    }

    fn count(&self, why: Option<Violation>) {
        if let Some(violation) = why {
            let violations = self.tallies.violation();
            tracing::info!(address = %self.address, violations, "closed a connection: {violation}");
        }
    }
}
