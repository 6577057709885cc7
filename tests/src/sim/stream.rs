//! One direction of a TCP connection, as a machine: bytes come out in order, later, and cut anywhere.
//!
//! What gets in their way, each by itself:
//!
//! * A partition: nothing arrives, or acknowledgements do not come back, so that the window stays full. Both are
//!   made up for afterwards, unless the writer has waited for longer than the user timeout: it gives up then.
//! * A stall: nothing arrives for a while. The two ends still reach each other, so nobody gives up.
//! * A trickle: a few bytes arrive at a time, slowly.

use core::time::Duration;

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;
use super::fault::FaultKind;
use super::options::StreamOptions;
use super::pending::Pending;

/// A trickle gives one to so many bytes at a time.
const LARGEST_DROP: u64 = 3;

/// The stream.
#[derive(Debug)]
pub struct Stream {
    options: StreamOptions,
    dice: Dice,
    under_way: Pending<Item>,
    /// Bytes under way.
    bytes: usize,
    /// Bytes that arrived without the writer hearing of it.
    unacknowledged: usize,
    ended: bool,
    passage: Passage,
    /// Since when something waits for its passage.
    waiting_since: Option<Instant>,
    stalled_until: Option<Instant>,
    trickle: Option<Trickle>,
}

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Whether bytes do.
    pub data: bool,
    /// Whether acknowledgements do, in the other direction.
    pub acknowledgements: bool,
}

impl Passage {
    /// Everything gets through.
    pub const FREE: Passage = Passage { data: true, acknowledgements: true };
}

#[derive(Debug)]
struct Trickle {
    /// Bytes a second.
    rate: u64,
    /// When the next ones may arrive.
    next: Instant,
    counted: bool,
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
    /// From now on this gets through.
    Passage(Passage),
    /// Nothing arrives for so long.
    Stalled(Duration),
    /// So many bytes a second arrive from now on.
    Trickles(u64),
    /// No stall, no trickle, and everything gets through.
    Healed,
    /// The deadline passed.
    Woke,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Something arrives at the reader.
    Arrived(Item),
    /// The writer hears that something arrived before: there may be room again.
    Acknowledged,
    /// Something goes wrong.
    Fault(FaultKind),
    /// Something does not get through now.
    Held,
    /// Something did not get through for too long: the connection is broken, and nothing follows.
    TimedOut,
}

/// What arrives at the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        Stream {
            options,
            dice,
            under_way: Pending::default(),
            bytes: 0,
            unacknowledged: 0,
            ended: false,
            passage: Passage::FREE,
            waiting_since: None,
            stalled_until: None,
            trickle: None,
        }
    }

    /// How many bytes may be written now.
    pub fn room(&self) -> usize {
        self.options.window.saturating_sub(self.bytes + self.unacknowledged)
    }

    fn push(&mut self, now: Instant, item: Item) {
        let at = now + self.options.delay + self.dice.up_to(self.options.jitter);
        self.under_way.push_in_order(at, item);
    }

    fn write(&mut self, now: Instant, mut bytes: &[u8], out: &mut Vec<Output>) {
        assert!(bytes.len() <= self.room(), "more was written than the stream takes");
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            let length = self.dice.within(1..=self.options.largest_piece.max(1) as u64);
            let (piece, rest) = bytes.split_at(bytes.len().min(length as usize));
            self.push(now, Item::Bytes(piece.to_vec()));
            if !rest.is_empty() {
                out.push(Output::Fault(FaultKind::Split));
            }
            bytes = rest;
        }
    }

    /// Gives what may arrive by now.
    fn give(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.next_arrival().is_some_and(|at| at <= now) {
            if self.is_held() {
                self.wait(now, out);
                return;
            }
            self.count_stall(out);
            let Some(item) = self.take(now, out) else { return };
            out.push(Output::Arrived(item));
            if !self.passage.acknowledgements {
                self.wait(now, out);
            }
        }
    }

    /// When the next item may arrive, if it gets through.
    fn next_arrival(&self) -> Option<Instant> {
        let (due, _) = self.under_way.first()?;
        let drop = self.trickle.as_ref().map(|trickle| trickle.next);
        [Some(due), self.stalled_until, drop].into_iter().flatten().max()
    }

    /// Whether the next item does not get through. A connection opens only if both ends hear each other.
    fn is_held(&self) -> bool {
        let opens = self.under_way.first().is_some_and(|(_, item)| *item == Item::Opened);
        !self.passage.data || (opens && !self.passage.acknowledgements)
    }

    fn wait(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
            out.push(Output::Held);
        }
    }

    /// A stall is over when the next item arrives; it was one if that item had to wait for it.
    fn count_stall(&mut self, out: &mut Vec<Output>) {
        if let (Some(until), Some((due, _))) = (self.stalled_until.take(), self.under_way.first())
            && due < until
        {
            out.push(Output::Fault(FaultKind::Stall));
        }
    }

    /// Takes the next item, or the next drop of it.
    fn take(&mut self, now: Instant, out: &mut Vec<Output>) -> Option<Item> {
        let trickles = self.trickle.is_some() && matches!(self.under_way.first()?, (_, Item::Bytes(_)));
        let drop = if trickles { self.drop_size(now, out) } else { usize::MAX };
        let item = match self.under_way.first_mut()? {
            Item::Bytes(bytes) if bytes.len() > drop => Item::Bytes(bytes.drain(..drop).collect()),
            _ => self.under_way.pop()?,
        };
        if let Item::Bytes(bytes) = &item {
            self.bytes -= bytes.len();
            if !self.passage.acknowledgements {
                self.unacknowledged += bytes.len();
            }
        }
        Some(item)
    }

    /// How much trickles now.
    fn drop_size(&mut self, now: Instant, out: &mut Vec<Output>) -> usize {
        let bytes = self.dice.within(1..=LARGEST_DROP);
        if let Some(trickle) = &mut self.trickle {
            trickle.next = now + Duration::from_nanos(bytes * 1_000_000_000 / trickle.rate);
            if !core::mem::replace(&mut trickle.counted, true) {
                out.push(Output::Fault(FaultKind::Trickle));
            }
        }
        bytes as usize
    }

    fn set_passage(&mut self, now: Instant, passage: Passage, out: &mut Vec<Output>) {
        self.passage = passage;
        if passage.acknowledgements && self.unacknowledged > 0 {
            self.unacknowledged = 0;
            out.push(Output::Acknowledged);
        }
        let held = self.is_held() && self.next_arrival().is_some_and(|at| at <= now);
        if !held && self.unacknowledged == 0 {
            self.waiting_since = None;
        }
        self.give(now, out);
    }

    fn heal(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.stalled_until = self.stalled_until.map(|until| until.min(now));
        self.trickle = None;
        self.set_passage(now, Passage::FREE, out);
    }

    fn give_up(&mut self, out: &mut Vec<Output>) {
        self.under_way.clear();
        self.bytes = 0;
        self.unacknowledged = 0;
        self.waiting_since = None;
        self.ended = true;
        out.push(Output::TimedOut);
    }

    fn give_up_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.options.user_timeout)
    }
}

impl Machine for Stream {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.give(now, out);
        if self.give_up_at().is_some_and(|at| at <= now) {
            return self.give_up(out);
        }
        match input {
            Input::Opened => self.push(now, Item::Opened),
            Input::Wrote(bytes) if !self.ended => self.write(now, bytes, out),
            Input::Ended if !self.ended => {
                self.ended = true;
                self.push(now, Item::Ended);
            }
            Input::Passage(passage) => self.set_passage(now, passage, out),
            Input::Stalled(time) => self.stalled_until = self.stalled_until.max(Some(now + time)),
            Input::Trickles(rate) => {
                self.trickle = Some(Trickle { rate: rate.max(1), next: now, counted: false });
            }
            Input::Healed => self.heal(now, out),
            Input::Wrote(_) | Input::Ended | Input::Woke => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let waits = self.waiting_since.is_some() && self.is_held();
        let arrival = if waits { None } else { self.next_arrival() };
        [arrival, self.give_up_at()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
