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
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    use toom_core::link::Violation;
    use toom_core::wire::codec::{DecodeError, encode};
    use toom_core::wire::limits::{FRAME_DEADLINE, PREAMBLE_DEADLINE};
    use toom_core::wire::message::{Event, ServerMessage};
    use toom_core::wire::preamble::preamble;

    use super::*;

    type Said = Vec<Output<ServerMessage>>;

    fn connection() -> (Reader<ServerMessage>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other_end = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Arc::new(Async::new(listener.accept().unwrap().0).unwrap());
        (Reader::new(socket, Clock::start(), Buffer::new()), other_end)
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
        let (mut reader, mut other_end) = connection();
        let page = ServerMessage::Event(Event::Broadcast {
            number: Default::default(),
            at: Default::default(),
            from: toom_core::name::UserName::new("yoda").unwrap(),
            text: "x".repeat(3 * READ_BYTES),
        });
        other_end.write_all(&preamble()).unwrap();
        other_end.write_all(&encode(&message())).unwrap();
        other_end.write_all(&encode(&page)).unwrap();
        drop(other_end);
        let expected = [Output::Greeted, Output::Message(message()), Output::Message(page), Output::Close(None)];
        assert_eq!(read(&mut reader, 4), expected);
    }

    #[test]
    fn silence_before_the_greeting_and_within_a_frame_ends_at_its_deadline() {
        let (mut reader, _other_end) = connection();
        nearly(&mut reader, PREAMBLE_DEADLINE);
        assert_eq!(read(&mut reader, 1), [Output::Close(Some(Violation::SilentGreeting))]);

        let (mut reader, mut other_end) = connection();
        other_end.write_all(&preamble()).unwrap();
        assert_eq!(read(&mut reader, 1), [Output::Greeted]);
        other_end.write_all(&encode(&message())[..5]).unwrap();
        future::block_on(reader.read(&mut Vec::new()));
        nearly(&mut reader, FRAME_DEADLINE);
        assert_eq!(read(&mut reader, 1), [Output::Close(Some(Violation::SilentFrame))]);
    }

    #[test]
    fn between_frames_there_is_no_limit() {
        let (mut reader, mut other_end) = connection();
        other_end.write_all(&preamble()).unwrap();
        assert_eq!(read(&mut reader, 1), [Output::Greeted]);
        reader.clock = reader.clock.later(100 * FRAME_DEADLINE);
        assert_eq!(reader.inbound.deadline(), None);
        assert!(future::block_on(future::poll_once(reader.read(&mut Vec::new()))).is_none());
        other_end.write_all(&encode(&message())).unwrap();
        assert_eq!(read(&mut reader, 1), [Output::Message(message())]);
    }

    #[test]
    fn what_breaks_the_protocol_closes() {
        let (mut reader, mut other_end) = connection();
        other_end.write_all(&[&preamble()[..], &[0xff; 4]].concat()).unwrap();
        let why = Violation::Frame(DecodeError::TooLong);
        assert_eq!(read(&mut reader, 2), [Output::Greeted, Output::Close(Some(why))]);
    }
}
