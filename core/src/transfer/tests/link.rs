//! A link that delays, loses, reorders, repeats and bends datagrams, as a seed decides.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::time::Instant;
use crate::wire::ecn::Ecn;

/// How one direction of a link behaves. Shares are of 1,000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    pub(super) delay: Duration,
    /// Up to so much more, for each datagram on its own: this reorders.
    pub(super) jitter: Duration,
    pub(super) loss: u64,
    pub(super) duplication: u64,
    /// So many go before all that are under way: they skip the delay.
    pub(super) hurry: u64,
    /// Losses in bursts (Gilbert and Elliott): how often one begins, how often it ends, and what is lost meanwhile.
    pub(super) bursts: Option<(u64, u64, u64)>,
    /// A copy with one bit changed comes as well.
    pub(super) bending: u64,
    /// An earlier datagram comes again.
    pub(super) replay: u64,
    /// What is larger is lost.
    pub(super) mtu: usize,
    /// Bytes a second, and the bytes that may wait; what is too much is dropped.
    pub(super) rate: Option<(u64, u64)>,
    /// What it does with packets that may be marked.
    pub(super) marks: Marks,
}

/// What a link does with packets that may be marked (ECN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// Nothing.
    Carried,
    /// They are marked when so many bytes wait.
    Beyond(u64),
    /// What was written on them is cleared.
    Cleared,
    /// They are lost.
    Lost,
}

impl Quality {
    pub(super) const PERFECT: Quality = Quality {
        delay: Duration::from_millis(1),
        jitter: Duration::ZERO,
        loss: 0,
        duplication: 0,
        hurry: 0,
        bursts: None,
        bending: 0,
        replay: 0,
        mtu: 65_535,
        rate: None,
        marks: Marks::Carried,
    };
}

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ecn: Ecn,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) quality: Quality,
    /// This one is lost, counted from 0.
    pub(super) lose_number: Option<u64>,
    offered: u64,
    /// How many bytes that was.
    pub(super) offered_bytes: u64,
    /// How many were.
    pub(super) too_large: u64,
    /// How many found no room.
    pub(super) dropped: u64,
    /// How many were marked.
    pub(super) marked: u64,
    /// How many were lost at random.
    pub(super) lost: u64,
    /// The longest that one waited for those before it.
    pub(super) longest_wait: Duration,
    random: ChaCha8Rng,
    /// A burst of losses is under way.
    is_bad: bool,
    in_flight: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    /// When the bottleneck has sent what waits for it.
    busy_until: Instant,
    history: Vec<Datagram>,
}

impl Link {
    /// Nothing of what was sent arrives.
    pub(super) fn lose_what_is_under_way(&mut self) {
        self.in_flight.clear();
    }

    pub(super) fn new(quality: Quality, seed: u64) -> Link {
        Link {
            quality,
            lose_number: None,
            offered: 0,
            offered_bytes: 0,
            too_large: 0,
            dropped: 0,
            marked: 0,
            lost: 0,
            longest_wait: Duration::ZERO,
            random: ChaCha8Rng::seed_from_u64(seed),
            is_bad: false,
            in_flight: BTreeMap::new(),
            sent: 0,
            busy_until: Instant::ZERO,
            history: Vec::new(),
        }
    }

    /// How many datagrams were sent.
    pub(super) fn offered(&self) -> u64 {
        self.offered
    }

    pub(super) fn send(&mut self, now: Instant, datagram: Datagram) {
        let quality = self.quality;
        if self.happens(quality.replay) && !self.history.is_empty() {
            let which = self.random.next_u64() as usize % self.history.len();
            self.travel(now, self.history[which].clone());
        }
        if quality.replay > 0 && self.history.len() < 1_000 {
            self.history.push(datagram.clone());
        }
        if self.happens(quality.bending) {
            let mut bent = datagram.clone();
            let bit = self.random.next_u64() as usize % (bent.bytes.len() * 8);
            bent.bytes[bit / 8] ^= 1 << (bit % 8);
            self.travel(now, bent);
        }
        if self.happens(quality.duplication) {
            self.travel(now, datagram.clone());
        }
        self.offered += 1;
        self.offered_bytes += datagram.bytes.len() as u64;
        if datagram.bytes.len() > quality.mtu {
            self.too_large += 1;
            return;
        }
        if self.lose_number == Some(self.offered - 1) {
            self.lost += 1;
            return;
        }
        self.travel(now, datagram);
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn arrived(&mut self, now: Instant) -> Option<Datagram> {
        let entry = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// How many datagrams that is.
    pub(super) fn lose_what_travels(&mut self) -> usize {
        core::mem::take(&mut self.in_flight).len()
    }

    fn travel(&mut self, now: Instant, mut datagram: Datagram) {
        let mut leaves = now;
        match self.quality.marks {
            Marks::Lost if datagram.ecn != Ecn::NotCapable => return,
            Marks::Cleared => datagram.ecn = Ecn::NotCapable,
            _ => {}
        }
        if let Some((rate, queue)) = self.quality.rate {
            let start = self.busy_until.max(now);
            let waiting = (start - now).as_nanos() as u64 * rate / 1_000_000_000;
            if waiting + datagram.bytes.len() as u64 > queue {
                self.dropped += 1;
                return;
            }
            if matches!(self.quality.marks, Marks::Beyond(bytes) if waiting > bytes) && datagram.ecn == Ecn::Ect0 {
                datagram.ecn = Ecn::Congestion;
                self.marked += 1;
            }
            self.longest_wait = self.longest_wait.max(start - now);
            leaves = start + Duration::from_nanos(datagram.bytes.len() as u64 * 1_000_000_000 / rate);
            self.busy_until = leaves;
        }
        // On the wire: it has taken its time of the bottleneck.
        if self.happens(self.quality.loss) || self.is_lost_in_a_burst() {
            self.lost += 1;
            return;
        }
        let delay = if self.happens(self.quality.hurry) { Duration::ZERO } else { self.quality.delay };
        let jitter = self.random.next_u64() % (self.quality.jitter.as_nanos() as u64 + 1);
        self.sent += 1;
        self.in_flight.insert((leaves + delay + Duration::from_nanos(jitter), self.sent), datagram);
    }

    fn is_lost_in_a_burst(&mut self) -> bool {
        let Some((begins, ends, loss)) = self.quality.bursts else { return false };
        self.is_bad = self.happens(if self.is_bad { 1_000 - ends } else { begins });
        self.is_bad && self.happens(loss)
    }

    fn happens(&mut self, share: u64) -> bool {
        self.random.next_u64() % 1_000 < share
    }
}
