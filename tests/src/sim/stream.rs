//! One direction of a TCP connection, as a machine: bytes come out in order, later, and cut anywhere.

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;
use super::options::StreamOptions;
use super::pending::Pending;

/// The stream.
#[derive(Debug)]
pub struct Stream {
    options: StreamOptions,
    dice: Dice,
    under_way: Pending<Item>,
    /// Bytes under way.
    bytes: usize,
    ended: bool,
}

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The other end was asked to accept the connection, or accepted it.
    Opened,
    /// These bytes were written: at most [`Stream::room`].
    Wrote(&'a [u8]),
    /// The writer is done, or gone.
    Ended,
    /// The deadline passed.
    Woke,
}

/// What arrives at the reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// The connection.
    Opened,
    /// Bytes.
    Bytes(Vec<u8>),
    /// The end; nothing follows.
    Ended,
}

impl Stream {
    /// A direction of a connection that does not exist yet.
    pub fn new(options: StreamOptions, dice: Dice) -> Self {
        Stream { options, dice, under_way: Pending::default(), bytes: 0, ended: false }
    }

    /// How many bytes may be written now.
    pub fn room(&self) -> usize {
        self.options.window.saturating_sub(self.bytes)
    }

    fn push(&mut self, now: Instant, item: Item) {
        let at = now + self.options.delay + self.dice.up_to(self.options.jitter);
        self.under_way.push_in_order(at, item);
    }

    fn write(&mut self, now: Instant, mut bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "more was written than the stream takes");
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            let length = self.dice.within(1..=self.options.largest_piece.max(1) as u64);
            let (piece, rest) = bytes.split_at(bytes.len().min(length as usize));
            self.push(now, Item::Bytes(piece.to_vec()));
            bytes = rest;
        }
    }
}

impl Machine for Stream {
    type Input<'a> = Input<'a>;
    type Output = Item;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Item>) {
        while let Some(item) = self.under_way.pop_due(now) {
            if let Item::Bytes(bytes) = &item {
                self.bytes -= bytes.len();
            }
            out.push(item);
        }
        match input {
            Input::Opened => self.push(now, Item::Opened),
            Input::Wrote(bytes) if !self.ended => self.write(now, bytes),
            Input::Ended if !self.ended => {
                self.ended = true;
                self.push(now, Item::Ended);
            }
            Input::Wrote(_) | Input::Ended | Input::Woke => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.under_way.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn bytes_come_out_in_order_in_pieces_and_then_the_end() {
        let options = StreamOptions {
            delay: Duration::from_millis(1),
            jitter: Duration::from_millis(50),
            largest_piece: 7,
            window: 1_000,
        };
        let mut stream = Stream::new(options, Dice::new(1, "stream"));
        let sent: Vec<u8> = (0..250).collect();
        let mut out = Vec::new();
        stream.handle(Instant::ZERO, Input::Opened, &mut out);
        stream.handle(Instant::ZERO, Input::Wrote(&sent), &mut out);
        assert_eq!((stream.room(), out.len()), (750, 0));
        stream.handle(Instant::ZERO, Input::Ended, &mut out);
        while let Some(at) = stream.deadline() {
            stream.handle(at, Input::Woke, &mut out);
        }
        assert_eq!((out.remove(0), out.pop()), (Item::Opened, Some(Item::Ended)));
        let mut arrived = Vec::new();
        for item in out {
            match item {
                Item::Bytes(bytes) => arrived.extend_from_slice(&bytes),
                other => panic!("{other:?} among the bytes"),
            }
        }
        assert_eq!((arrived, stream.room()), (sent, 1_000));
    }
}
