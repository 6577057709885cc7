//! One direction of a datagram link, as a machine: what goes in comes out later, never, twice, behind others,
//! damaged, or cut short.

use core::time::Duration;

use toom_core::machine::Machine;
use toom_core::time::Instant;

use super::dice::Dice;
use super::fault::FaultKind;
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
    /// Whether losses come in a burst now.
    bad: bool,
    fates: Fates,
}

/// What became of the datagrams of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Sent.
    pub sent: u64,
    /// Lost by chance, in a burst or not, or because the queue was full, or because they were too large.
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

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A datagram arrives.
    Arrived(Vec<u8>),
    /// Something goes wrong with a datagram that was sent.
    Fault(FaultKind),
}

impl DatagramLink {
    /// A link that decides by these dice.
    pub fn new(options: LinkOptions, dice: Dice) -> Self {
        DatagramLink {
            options,
            dice,
            under_way: Pending::default(),
            busy_until: Instant::ZERO,
            bad: false,
            fates: Fates::default(),
        }
    }

    /// From now on datagrams fare like this. What is under way stays as it is.
    pub fn set_options(&mut self, options: LinkOptions) {
        self.options = options;
    }

    /// What became of what was sent so far.
    pub fn fates(&self) -> Fates {
        self.fates
    }

    fn send(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<Output>) {
        self.fates.sent += 1;
        if datagram.len() > self.options.largest {
            self.fates.lost += 1;
            return;
        }
        if let Some(fault) = self.is_lost(now, datagram.len()) {
            self.fates.lost += 1;
            out.push(Output::Fault(fault));
            return;
        }
        self.arrive(datagram, out);
        if self.dice.chance(self.options.duplicate) {
            self.fates.duplicated += 1;
            out.push(Output::Fault(FaultKind::Duplicate));
            self.arrive(datagram, out);
        }
    }

    /// A datagram of this size comes to the queue: whether it is lost there or behind it, and how.
    fn is_lost(&mut self, now: Instant, bytes: usize) -> Option<FaultKind> {
        let start = self.busy_until.max(now);
        if start.saturating_since(now) > self.options.queue {
            return Some(FaultKind::QueueFull);
        }
        let nanos = bytes as u64 * 1_000_000_000 / self.options.rate.max(1);
        self.busy_until = start + Duration::from_nanos(nanos);
        if self.dice.chance(self.options.loss) {
            return Some(FaultKind::Loss);
        }
        let bursts = self.options.bursts;
        let changes = if self.bad { bursts.leave } else { bursts.enter };
        self.bad ^= self.dice.chance(changes);
        (self.bad && self.dice.chance(bursts.loss)).then_some(FaultKind::BurstLoss)
    }

    fn arrive(&mut self, datagram: &[u8], out: &mut Vec<Output>) {
        let mut at = self.busy_until + self.options.delay + self.dice.up_to(self.options.jitter);
        if self.dice.chance(self.options.reorder) {
            self.fates.reordered += 1;
            out.push(Output::Fault(FaultKind::Reorder));
            at = at + self.options.reorder_by;
        }
        let mut datagram = datagram.to_vec();
        if self.dice.chance(self.options.bit_flip) && self.dice.flip_bit(&mut datagram) {
            out.push(Output::Fault(FaultKind::BitFlip));
        }
        if self.dice.chance(self.options.truncation) && !datagram.is_empty() {
            let length = self.dice.within(0..=datagram.len() as u64 - 1);
            datagram.truncate(length as usize);
            out.push(Output::Fault(FaultKind::Truncation));
        }
        self.under_way.push(at, datagram);
    }
}

impl Machine for DatagramLink {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        while let Some(datagram) = self.under_way.pop_due(now) {
            out.push(Output::Arrived(datagram));
        }
        if let Input::Sent(datagram) = input {
            self.send(now, datagram, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.under_way.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fault::FaultCounts;
    use crate::sim::options::Bursts;

    /// Sends the numbers from 0 to 999, one each microsecond, and gives what arrives and how often what happened.
    fn cross_bytes(options: LinkOptions, seed: u64) -> (Vec<Vec<u8>>, FaultCounts) {
        let mut link = DatagramLink::new(options, Dice::new(seed, "link"));
        let mut out = Vec::new();
        for number in 0..1000u16 {
            let now = Instant::from_nanos(u64::from(number) * 1_000);
            link.handle(now, Input::Sent(&number.to_be_bytes()), &mut out);
        }
        drain(&mut link, &mut out);
        sort(out)
    }

    /// Wakes the link until nothing is under way.
    fn drain(link: &mut DatagramLink, out: &mut Vec<Output>) {
        while let Some(at) = link.deadline() {
            link.handle(at, Input::Woke, out);
        }
    }

    fn sort(out: Vec<Output>) -> (Vec<Vec<u8>>, FaultCounts) {
        let (mut arrived, mut faults) = (Vec::new(), FaultCounts::new());
        for output in out {
            match output {
                Output::Arrived(datagram) => arrived.push(datagram),
                Output::Fault(kind) => *faults.entry(kind).or_default() += 1,
            }
        }
        (arrived, faults)
    }

    /// The same for links that keep datagrams whole: the numbers that arrive.
    fn cross(options: LinkOptions, seed: u64) -> (Vec<u16>, FaultCounts) {
        let (arrived, faults) = cross_bytes(options, seed);
        (arrived.iter().map(|datagram| u16::from_be_bytes([datagram[0], datagram[1]])).collect(), faults)
    }

    #[test]
    fn a_calm_link_gives_everything_once_and_in_order() {
        assert_eq!(cross(LinkOptions::default(), 1), ((0..1000).collect(), FaultCounts::new()));
    }

    #[test]
    fn loss_duplication_and_reordering_do_what_they_say() {
        let calm = LinkOptions::default();
        let (lost, faults) = cross(LinkOptions { loss: 0.1, ..calm }, 1);
        assert!((800..980).contains(&lost.len()) && lost.is_sorted(), "{}", lost.len());
        assert_eq!(faults, [(FaultKind::Loss, 1000 - lost.len() as u64)].into());
        let (doubled, faults) = cross(LinkOptions { duplicate: 0.1, ..calm }, 1);
        assert!((1_020..1_200).contains(&doubled.len()), "{}", doubled.len());
        assert_eq!(faults, [(FaultKind::Duplicate, doubled.len() as u64 - 1000)].into());
        let late = LinkOptions { reorder: 0.1, reorder_by: Duration::from_micros(50), ..calm };
        let (reordered, faults) = cross(late, 1);
        assert!(reordered.len() == 1000 && !reordered.is_sorted());
        assert!((50..200).contains(&faults[&FaultKind::Reorder]) && faults.len() == 1, "{faults:?}");
    }

    #[test]
    fn a_slow_link_drops_what_its_queue_cannot_hold() {
        let options = LinkOptions { rate: 1_000, queue: Duration::from_millis(100), ..LinkOptions::default() };
        let (arrived, faults) = cross(options, 1);
        assert!(arrived.len() < 60 && arrived.is_sorted(), "{}", arrived.len());
        assert_eq!(faults, [(FaultKind::QueueFull, 1000 - arrived.len() as u64)].into());
    }

    #[test]
    fn losses_in_bursts_come_together() {
        let bursts = Bursts { enter: 0.02, leave: 0.1, loss: 1.1 };
        let (arrived, faults) = cross(LinkOptions { bursts, ..LinkOptions::default() }, 1);
        assert_eq!(faults, [(FaultKind::BurstLoss, 1000 - arrived.len() as u64)].into());
        let gaps: Vec<u16> = arrived.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
        let lost: u16 = gaps.iter().sum();
        // Ten for each burst, on average; independent losses of this number would hardly ever be neighbours.
        assert!((5..30).contains(&gaps.len()) && lost > 5 * gaps.len() as u16, "{gaps:?}");
    }

    #[test]
    fn bits_flip_and_ends_are_cut_off() {
        let calm = LinkOptions::default();
        let whole = (0..1000u16).map(|number| number.to_be_bytes());
        let (flipped, faults) = cross_bytes(LinkOptions { bit_flip: 0.1, ..calm }, 1);
        let bits =
            |(a, b): (&Vec<u8>, [u8; 2])| (u16::from_be_bytes([a[0], a[1]]) ^ u16::from_be_bytes(b)).count_ones();
        let changed: Vec<u32> = flipped.iter().zip(whole).map(bits).filter(|bits| *bits > 0).collect();
        assert!((50..200).contains(&changed.len()) && changed.iter().all(|bits| *bits == 1), "{changed:?}");
        assert_eq!(faults, [(FaultKind::BitFlip, changed.len() as u64)].into());
        let (cut, faults) = cross_bytes(LinkOptions { truncation: 0.1, ..calm }, 1);
        let short = |length| cut.iter().filter(|datagram| datagram.len() == length).count();
        assert!(short(0) > 20 && short(1) > 20 && cut.len() == 1000, "{} and {}", short(0), short(1));
        assert_eq!(faults, [(FaultKind::Truncation, (short(0) + short(1)) as u64)].into());
    }

    #[test]
    fn new_options_are_for_what_is_sent_from_now_on() {
        let mut link = DatagramLink::new(LinkOptions::default(), Dice::new(1, "link"));
        let mut out = Vec::new();
        link.handle(Instant::ZERO, Input::Sent(&[1]), &mut out);
        link.set_options(LinkOptions { loss: 1.1, ..LinkOptions::default() });
        link.handle(Instant::ZERO, Input::Sent(&[2]), &mut out);
        link.set_options(LinkOptions { loss: 1.1, ..LinkOptions::default() }.without_faults());
        link.handle(Instant::ZERO, Input::Sent(&[3]), &mut out);
        drain(&mut link, &mut out);
        assert_eq!(sort(out), (vec![vec![1], vec![3]], [(FaultKind::Loss, 1)].into()));
    }

    #[test]
    fn the_same_seed_gives_the_same_fate_and_another_seed_another() {
        let options = LinkOptions { loss: 0.1, duplicate: 0.1, bit_flip: 0.1, ..LinkOptions::default() };
        assert_eq!(cross(options, 7), cross(options, 7));
        assert_ne!(cross(options, 7), cross(options, 8));
    }
}
