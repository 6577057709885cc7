//! Reads a socket into the receiving half of a link; the same at both ends.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use toom_core::link::{Inbound, Input, Output};
use toom_core::machine::Machine;

use crate::clock::Clock;

/// What one read takes; most messages are far smaller, and every connection has a buffer of this size.
const READ_BYTES: usize = 8 * 1024;

/// A blocking socket and what has arrived on it.
pub(crate) struct Reader<M> {
    socket: Arc<TcpStream>,
    inbound: Inbound<M>,
    clock: Clock,
    buffer: Box<[u8]>,
    /// Whether the socket gives up a read after some time.
    limited: bool,
}

impl<M> Reader<M>
where
    Inbound<M>: for<'a> Machine<Input<'a> = Input<'a>, Output = Output<M>>,
{
    /// A connection that has just been made.
    pub(crate) fn new(socket: Arc<TcpStream>, clock: Clock) -> Reader<M> {
        let inbound = Inbound::new(clock.now());
        Reader { socket, inbound, clock, buffer: vec![0; READ_BYTES].into(), limited: false }
    }

    /// Waits until something arrives, the other end is done, or its time is up; what follows from it is
    /// appended to `out`. After `Output::Close` there is nothing more to read.
    pub(crate) fn read(&mut self, out: &mut Vec<Output<M>>) {
        let input = if self.limit_time() {
            match self.socket.as_ref().read(&mut self.buffer) {
                Ok(0) => Input::Ended,
                Ok(count) => Input::Bytes(&mut self.buffer[..count]),
                // The time is up, or a signal came.
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Input::Woke,
                // A connection that was reset has ended too.
                Err(_) => Input::Ended,
            }
        } else {
            Input::Woke
        };
        self.inbound.handle(self.clock.now(), input, out);
    }

    /// Lets the next read last until the deadline at most; whether there is time left.
    fn limit_time(&mut self) -> bool {
        let left = self.clock.until(self.inbound.deadline());
        if left == Some(Duration::ZERO) {
            return false;
        }
        if left.is_some() || self.limited {
            self.limited = left.is_some();
            // Fails only for a duration of zero.
            let _ = self.socket.set_read_timeout(left);
        }
        true
    }
}
