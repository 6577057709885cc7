//! Reads one connection: bytes in, requests to the conference out.
//!
//! The thread that reads is the only one that reports a connection's beginning and end, so that the conference
//! hears of each once and in order.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use toom_core::id::ConnectionId;
use toom_core::link::{Output, Violation};
use toom_core::server::io::Input;
use toom_core::wire::message::Request;
use toom_store::wall;

use super::Counters;
use super::conference::Mail;
use crate::clock::Clock;
use crate::link::Reader;
use crate::mailbox::Posts;

/// A connection that was accepted.
pub(super) struct Connection {
    id: ConnectionId,
    address: SocketAddr,
    reader: Reader<Request>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, address: SocketAddr, stream: Arc<TcpStream>, clock: Clock) -> Connection {
        Connection { id, address, reader: Reader::new(stream, clock) }
    }

    /// Reads until either end closes the connection.
    pub(super) fn read(mut self, posts: &Posts<Mail>, counters: &Counters) {
        let mut out = Vec::new();
        let mut known = false;
        'open: loop {
            self.reader.read(&mut out);
            for output in out.drain(..) {
                let input = match output {
                    Output::Greeted => {
                        known = true;
                        Input::Connected { connection: self.id, address: self.address }
                    }
                    Output::Message(request) => Input::Request { connection: self.id, request, wall: wall::now() },
                    Output::Close(why) => {
                        self.count(why, counters);
                        break 'open;
                    }
                };
                posts.send(Mail::Input(input));
            }
        }
        if known {
            posts.send(Mail::Input(Input::Disconnected { connection: self.id, wall: wall::now() }));
        }
    }

    fn count(&self, why: Option<Violation>, counters: &Counters) {
        if let Some(violation) = why {
            let violations = counters.violations.fetch_add(1, Relaxed) + 1;
            tracing::info!(address = %self.address, violations, "closed a connection: {violation}");
        }
    }
}
