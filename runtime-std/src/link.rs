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
    pub(crate) fn new(socket: Arc<TcpStream>, clock: Clock, inbound: Inbound<M>) -> Reader<M> {
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};
    use std::net::TcpListener;

    use toom_core::link::{Identity, Link, Violation};
    use toom_core::secure::{SecretKey, Suite};
    use toom_core::time::Instant;
    use toom_core::wire::codec::{DecodeError, encode};
    use toom_core::wire::limits::{FRAME_DEADLINE, HANDSHAKE_DEADLINE};
    use toom_core::wire::message::{Event, ServerMessage};

    use super::*;

    type Said = Vec<Output<ServerMessage>>;

    fn connection() -> (Reader<ServerMessage>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other_end = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Arc::new(listener.accept().unwrap().0);
        let inbound = Inbound::server(Instant::ZERO, identity(2), [4; 32]);
        (Reader::new(socket, Clock::start(), inbound), other_end)
    }

    fn identity(byte: u8) -> Arc<Identity> {
        Arc::new(Identity { secret: SecretKey::new([byte; 32]), best: Suite::AesGcm })
    }

    /// A connection whose handshake is done.
    fn greeted() -> (Reader<ServerMessage>, OtherEnd) {
        let (mut reader, stream) = connection();
        let link = Link::client(Instant::ZERO, identity(1), [3; 32], Some(identity(2).secret.public()));
        let mut other_end = OtherEnd { stream, link };
        other_end.write(&[]);
        let [Output::Handshake(bytes)] = &read(&mut reader, 1)[..] else { panic!("it answers") };
        (&*reader.socket).write_all(bytes).unwrap();
        let mut answer = vec![0; bytes.len()];
        other_end.stream.read_exact(&mut answer).unwrap();
        other_end.link.handle(Instant::ZERO, Input::Bytes(&mut answer));
        other_end.write(&[]);
        assert!(matches!(read(&mut reader, 1)[..], [Output::Established(_)]));
        (reader, other_end)
    }

    struct OtherEnd {
        stream: TcpStream,
        link: Link<()>,
    }

    impl OtherEnd {
        fn write(&mut self, frames: &[u8]) {
            self.link.outbound.push(frames).unwrap();
            self.link.outbound.seal(Instant::ZERO);
            self.stream.write_all(self.link.outbound.pending()).unwrap();
            self.link.outbound.written(self.link.outbound.pending().len());
        }
    }

    fn messages(said: Said) -> Vec<ServerMessage> {
        said.into_iter().filter_map(|it| if let Output::Message(message) = it { Some(message) } else { None }).collect()
    }

    /// Reads until there are `count` outputs.
    fn read(reader: &mut Reader<ServerMessage>, count: usize) -> Said {
        let mut said = Vec::new();
        while said.len() < count {
            reader.read(&mut said);
        }
        said
    }

    fn message() -> ServerMessage {
        ServerMessage::Event(Event::Joined { user: toom_core::name::UserName::new("yoda").unwrap() })
    }

    /// Lets so much time pass that only a moment is left of `limit`.
    fn nearly(reader: &mut Reader<ServerMessage>, limit: Duration) {
        reader.clock = reader.clock.later(limit - Duration::from_millis(20));
    }

    #[test]
    fn messages_of_any_size_arrive_and_then_the_end() {
        let (mut reader, mut other_end) = greeted();
        let page = ServerMessage::Event(Event::Broadcast {
            number: Default::default(),
            at: Default::default(),
            from: toom_core::name::UserName::new("yoda").unwrap(),
            text: "x".repeat(3 * READ_BYTES),
        });
        other_end.write(&encode(&message()));
        other_end.write(&encode(&page));
        drop(other_end);
        let said = read(&mut reader, 3);
        assert!(matches!(said[..], [_, _, Output::Close(None)]), "{said:?}");
        assert_eq!(messages(said), [message(), page]);
    }

    #[test]
    fn silence_in_the_handshake_and_within_a_frame_ends_at_its_deadline() {
        let (mut reader, _other_end) = connection();
        nearly(&mut reader, HANDSHAKE_DEADLINE);
        assert!(matches!(read(&mut reader, 1)[..], [Output::Close(Some(Violation::SilentHandshake))]));

        let (mut reader, mut other_end) = greeted();
        other_end.write(&encode(&message())[..5]);
        reader.read(&mut Vec::new());
        nearly(&mut reader, FRAME_DEADLINE);
        assert!(matches!(read(&mut reader, 1)[..], [Output::Close(Some(Violation::SilentFrame))]));
    }

    #[test]
    fn between_frames_there_is_no_limit() {
        let (mut reader, mut other_end) = greeted();
        reader.clock = reader.clock.later(100 * FRAME_DEADLINE);
        assert!(reader.limit_time());
        assert_eq!(reader.socket.read_timeout().unwrap(), None);
        other_end.write(&encode(&message()));
        assert_eq!(messages(read(&mut reader, 1)), [message()]);
    }

    #[test]
    fn what_breaks_the_protocol_closes() {
        let (mut reader, mut other_end) = greeted();
        other_end.write(&[0xff; 4]);
        let why = Violation::Frame(DecodeError::TooLong);
        assert!(matches!(read(&mut reader, 1)[..], [Output::Close(Some(violation))] if violation == why));
    }
}
