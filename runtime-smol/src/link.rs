//! Reads a socket into the receiving half of a link; the same at both ends.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use futures_lite::future;
use smol::Async;
use toom_core::link::{Inbound, Input, Output};
use toom_core::machine::Machine;

use crate::clock::{Alarm, Clock};

/// What one read takes: a page of history in a few.
const READ_BYTES: usize = 64 * 1024;

/// A buffer into which all connections of one thread are read, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Buffer(Arc<Mutex<Box<[u8]>>>);

impl Buffer {
    pub(crate) fn new() -> Buffer {
        Buffer(Arc::new(Mutex::new(vec![0; READ_BYTES].into())))
    }
}

/// A socket and what has arrived on it.
pub(crate) struct Reader<M> {
    socket: Arc<Async<TcpStream>>,
    inbound: Inbound<M>,
    clock: Clock,
    alarm: Alarm,
    buffer: Buffer,
}

impl<M> Reader<M>
where
    Inbound<M>: for<'a> Machine<Input<'a> = Input<'a>, Output = Output<M>>,
{
    /// A connection that has just been made.
    pub(crate) fn new(socket: Arc<Async<TcpStream>>, clock: Clock, buffer: Buffer, inbound: Inbound<M>) -> Reader<M> {
        Reader { socket, inbound, clock, alarm: Alarm::new(clock), buffer }
    }

    /// Waits until something arrives, the other end is done, or its time is up; what follows from it is
    /// appended to `out`. After `Output::Close` there is nothing more to read.
    pub(crate) async fn read(&mut self, out: &mut Vec<Output<M>>) {
        let Reader { socket, inbound, clock, alarm, buffer } = self;
        let deadline = inbound.deadline();
        let read = socket.read_with(|mut stream| {
            let mut buffer = buffer.0.lock().unwrap_or_else(PoisonError::into_inner);
            let input = match stream.read(&mut buffer)? {
                0 => Input::Ended,
                count => Input::Bytes(&mut buffer[..count]),
            };
            inbound.handle(clock.now(), input, out);
            Ok(())
        });
        let read = async { Some(read.await) };
        let passed = async {
            alarm.passed(deadline).await;
            None
        };
        let input = match future::or(read, passed).await {
            Some(Ok(())) => return,
            // The time is up, or a signal came.
            None => Input::Woke,
            Some(Err(error)) if error.kind() == ErrorKind::Interrupted => Input::Woke,
            // A connection that was reset has ended too.
            Some(Err(_)) => Input::Ended,
        };
        inbound.handle(clock.now(), input, out);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};
    use std::net::TcpListener;
    use std::time::Duration;

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
        let socket = Arc::new(Async::new(listener.accept().unwrap().0).unwrap());
        let inbound = Inbound::server(Instant::ZERO, identity(2), [4; 32]);
        (Reader::new(socket, Clock::start(), Buffer::new(), inbound), other_end)
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
        reader.socket.get_ref().write_all(bytes).unwrap();
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
            future::block_on(reader.read(&mut said));
        }
        said
    }

    fn message() -> ServerMessage {
        ServerMessage::Event(Event::Joined { user: toom_core::name::UserName::new("yoda").unwrap() })
    }

    /// Lets so much time pass that only a moment is left of `limit`.
    fn nearly(reader: &mut Reader<ServerMessage>, limit: Duration) {
        reader.clock = reader.clock.later(limit - Duration::from_millis(20));
        reader.alarm = Alarm::new(reader.clock);
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
        future::block_on(reader.read(&mut Vec::new()));
        nearly(&mut reader, FRAME_DEADLINE);
        assert!(matches!(read(&mut reader, 1)[..], [Output::Close(Some(Violation::SilentFrame))]));
    }

    #[test]
    fn between_frames_there_is_no_limit() {
        let (mut reader, mut other_end) = greeted();
        reader.clock = reader.clock.later(100 * FRAME_DEADLINE);
        assert_eq!(reader.inbound.deadline(), None);
        assert!(future::block_on(future::poll_once(reader.read(&mut Vec::new()))).is_none());
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
