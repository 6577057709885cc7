//! One direction of a datagram link, as a machine: what goes in comes out later, never, twice, or behind
//! others.

use core::time::Duration;

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;
use super::options::LinkOptions;
use super::pending::Pending;

/// The link.
#[derive(Debug)]
pub struct DatagramLink {
    options: LinkOptions,
    dice: Dice,
    under_way: Pending<Vec<u8>>,
    /// When the last datagram in the queue will have left.
    busy_until: Instant,
    fates: Fates,
}

/// What became of the datagrams of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Sent.
    pub sent: u64,
    /// Lost by chance, or because the queue was full, or because they were too large.
    pub lost: u64,
    /// Made late by chance.
    pub reordered: u64,
    /// Doubled by chance.
    pub duplicated: u64,
}

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram was sent.
    Sent(&'a [u8]),
    /// The deadline passed.
    Woke,
}

/// A datagram arrives.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived(pub Vec<u8>);

impl DatagramLink {
    /// A link that decides by these dice.
    pub fn new(options: LinkOptions, dice: Dice) -> Self {
        DatagramLink {
            options,
            dice,
            under_way: Pending::default(),
            busy_until: Instant::ZERO,
            fates: Fates::default(),
        }
    }

    /// What became of what was sent so far.
    pub fn fates(&self) -> Fates {
        self.fates
    }

    fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.fates.sent += 1;
        let start = self.busy_until.max(now);
        let full = start.saturating_since(now) > self.options.queue;
        if full || datagram.len() > self.options.largest {
            self.fates.lost += 1;
            return;
        }
        let nanos = datagram.len() as u64 * 1_000_000_000 / self.options.rate.max(1);
        self.busy_until = start + Duration::from_nanos(nanos);
        if self.dice.chance(self.options.loss) {
            self.fates.lost += 1;
            return;
        }
        self.arrive(datagram);
        if self.dice.chance(self.options.duplicate) {
            self.fates.duplicated += 1;
            self.arrive(datagram);
        }
    }

    fn arrive(&mut self, datagram: &[u8]) {
        let mut at = self.busy_until + self.options.delay + self.dice.up_to(self.options.jitter);
        if self.dice.chance(self.options.reorder) {
            self.fates.reordered += 1;
            at = at + self.options.reorder_by;
        }
        self.under_way.push(at, datagram.to_vec());
    }
}

impl Machine for DatagramLink {
    type Input<'a> = Input<'a>;
    type Output = Arrived;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Arrived>) {
        while let Some(datagram) = self.under_way.pop_due(now) {
            out.push(Arrived(datagram));
        }
        if let Input::Sent(datagram) = input {
            self.send(now, datagram);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.under_way.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the numbers from 0 to 999, one each microsecond, and gives what arrives.
    fn cross(options: LinkOptions, seed: u64) -> Vec<u16> {
        let mut link = DatagramLink::new(options, Dice::new(seed, "link"));
        let mut out = Vec::new();
        for number in 0..1000u16 {
            let now = Instant::from_nanos(u64::from(number) * 1_000);
            link.handle(now, Input::Sent(&number.to_be_bytes()), &mut out);
        }
        while let Some(at) = link.deadline() {
            link.handle(at, Input::Woke, &mut out);
        }
        out.iter().map(|arrived| u16::from_be_bytes([arrived.0[0], arrived.0[1]])).collect()
    }

    #[test]
    fn a_calm_link_gives_everything_once_and_in_order() {
        assert_eq!(cross(LinkOptions::default(), 1), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn loss_duplication_and_reordering_do_what_they_say() {
        let calm = LinkOptions::default();
        let lost = cross(LinkOptions { loss: 0.1, ..calm }, 1);
        assert!((800..980).contains(&lost.len()) && lost.is_sorted(), "{}", lost.len());
        let doubled = cross(LinkOptions { duplicate: 0.1, ..calm }, 1);
        assert!((1_020..1_200).contains(&doubled.len()), "{}", doubled.len());
        let reordered = cross(LinkOptions { reorder: 0.1, reorder_by: Duration::from_micros(50), ..calm }, 1);
        assert!(reordered.len() == 1000 && !reordered.is_sorted());
    }

    #[test]
    fn a_slow_link_drops_what_its_queue_cannot_hold() {
        let options = LinkOptions { rate: 1_000, queue: Duration::from_millis(100), ..LinkOptions::default() };
        let arrived = cross(options, 1);
        assert!(arrived.len() < 60 && arrived.is_sorted(), "{}", arrived.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_fate_and_another_seed_another() {
        let options = LinkOptions { loss: 0.1, duplicate: 0.1, ..LinkOptions::default() };
        assert_eq!(cross(options, 7), cross(options, 7));
        assert_ne!(cross(options, 7), cross(options, 8));
    }
}
