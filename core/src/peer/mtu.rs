//! How large a packet the path carries: path MTU discovery by the packetization layer (RFC 8899).
//!
//! # Theory of operation
//!
//! A connection begins with [`TransferConfig::MIN_PAYLOAD`], which every path must carry. While it has a file to send
//! it tries larger sizes with probes: packets of nothing but padding, so that one that is lost costs no data, and says
//! nothing about congestion (RFC 8899, section 3). A size whose probe is acknowledged is in use from then on; one that is
//! lost [`MAX_PROBES`] times is too large.
//!
//! What networks there are is known: the sizes of Ethernet, of jumbo frames, and of a loopback device are tried in
//! this order, until one is too large. Only below Ethernet's, where tunnels and access lines differ, the search goes on
//! by halving what is left.
//!
//! A path may begin to carry less, and tell nobody (a black hole, RFC 8899, section 4.4). Then large packets are lost,
//! and small ones arrive; or nothing arrives, since only large ones are sent. Both lead back to the beginning. It may also
//! begin to carry more: what was too large is tried again after [`RAISE_AFTER`].

use core::time::Duration;

use crate::config::TransferConfig;
use crate::time::Instant;

/// What is tried, in this order: Ethernet under IPv6 and IPv4 (1,500 less 48 and 28 bytes of headers), jumbo frames
/// (9,000 less 48), and what a datagram can hold, for a loopback device.
const COMMON: [usize; 4] = [1_452, 1_472, 8_952, TransferConfig::MAX_PAYLOAD];

/// How often a size is tried (RFC 8899, section 5.1.2).
const MAX_PROBES: u32 = 3;

/// A search that has ended is gone on with after so long (RFC 8899, section 5.1.1: PMTU_RAISE_TIMER).
const RAISE_AFTER: Duration = Duration::from_secs(600);

/// The search by halving ends here: less would be gained than a packet's header.
const CLOSE_ENOUGH: usize = 16;

/// So many large packets lost behind the newest large one that arrived, and it was not by chance.
const MAX_LOST_IN_A_ROW: u32 = 6;

/// Larger than anything that is tried.
const NOTHING: usize = usize::MAX;

/// The size of a connection's packets, header and tag included.
#[derive(Debug)]
pub(super) struct PathMtu {
    /// All packets of file have this size, but the last.
    current: usize,
    /// Nothing is tried.
    is_fixed: bool,
    /// The least size that the path does not carry.
    too_large: usize,
    /// The size of the probe that is on its way.
    probe: Option<usize>,
    /// How many of the size that is tried were lost.
    lost: u32,
    /// The newest packet larger than the least size that arrived, plus one.
    arrived_before: u64,
    lost_in_a_row: u32,
    /// The search is about packets from this number on.
    began_at: u64,
    /// Since when nothing is due.
    settled_at: Option<Instant>,
}

impl PathMtu {
    /// Of a new path; with a fixed size nothing is tried.
    pub(super) fn new(fixed: Option<usize>) -> PathMtu {
        PathMtu {
            current: fixed.unwrap_or(TransferConfig::MIN_PAYLOAD),
            is_fixed: fixed.is_some(),
            too_large: NOTHING,
            probe: None,
            lost: 0,
            arrived_before: 0,
            lost_in_a_row: 0,
            began_at: 0,
            settled_at: None,
        }
    }

    /// The size in use.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// The size of the probe that is due, if one is.
    pub(super) fn due(&self) -> Option<usize> {
        if self.is_fixed || self.probe.is_some() {
            return None;
        }
        let (current, too_large) = (self.current, self.too_large);
        let common = COMMON.into_iter().find(|size| (current + 1..too_large).contains(size));
        let differs = too_large <= COMMON[0] && too_large - current > CLOSE_ENOUGH;
        common.or(differs.then_some(current + (too_large - current) / 2))
    }

    /// Tries again what was too large, if that is long ago.
    pub(super) fn raise(&mut self, now: Instant) {
        if self.is_fixed || self.probe.is_some() || self.due().is_some() {
            return;
        }
        let settled_at = *self.settled_at.get_or_insert(now);
        if now >= settled_at + RAISE_AFTER {
            (self.too_large, self.settled_at) = (NOTHING, None);
        }
    }

    /// The probe that was due has left.
    pub(super) fn on_probe_sent(&mut self) {
        self.probe = self.due();
    }

    /// A packet of this size has arrived at the other end; whether the size in use has changed.
    pub(super) fn on_arrived(&mut self, number: u64, size: usize) -> bool {
        if size > TransferConfig::MIN_PAYLOAD && number >= self.arrived_before {
            (self.arrived_before, self.lost_in_a_row) = (number + 1, 0);
        }
        // Also a probe that was taken for lost; not one of before the search began anew.
        if self.is_fixed || size <= self.current || number < self.began_at {
            return false;
        }
        (self.current, self.probe, self.lost) = (size, None, 0);
        if self.too_large <= size {
            self.too_large = NOTHING;
        }
        true
    }

    /// A packet of this size is lost; whether the size in use has changed.
    pub(super) fn on_lost(&mut self, number: u64, size: usize, is_probe: bool) -> bool {
        if is_probe {
            self.on_probe_lost(size);
            return false;
        }
        // What is lost before a large one that arrived is lost by chance.
        if size > TransferConfig::MIN_PAYLOAD && number >= self.arrived_before {
            self.lost_in_a_row += 1;
        }
        self.lost_in_a_row >= MAX_LOST_IN_A_ROW && self.begin_anew(number + 1)
    }

    /// Nothing has arrived for long, and the next packet has this number; whether the size in use has changed.
    pub(super) fn on_silence(&mut self, next: u64) -> bool {
        self.begin_anew(next)
    }

    fn on_probe_lost(&mut self, size: usize) {
        if self.probe != Some(size) {
            return;
        }
        (self.probe, self.lost) = (None, self.lost + 1);
        if self.lost >= MAX_PROBES {
            (self.too_large, self.lost) = (size, 0);
        }
    }

    /// Unless the size is fixed, or the least already.
    fn begin_anew(&mut self, began_at: u64) -> bool {
        if self.is_fixed || self.current <= TransferConfig::MIN_PAYLOAD {
            return false;
        }
        *self = PathMtu { arrived_before: self.arrived_before, began_at, ..PathMtu::new(None) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Probes a path that carries packets of up to `carried` bytes until nothing is due; the sizes of all probes.
    fn search(mtu: &mut PathMtu, carried: usize, number: &mut u64) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(size) = mtu.due() {
            assert!(sizes.len() < 100, "no end: {sizes:?}");
            sizes.push(size);
            mtu.on_probe_sent();
            assert_eq!(mtu.due(), None, "one at a time");
            match size <= carried {
                true => assert!(mtu.on_arrived(*number, size)),
                false => assert!(!mtu.on_lost(*number, size, true)),
            }
            *number += 1;
        }
        sizes
    }

    #[test]
    fn the_sizes_of_networks_are_found() {
        for (carried, expected, probes) in [
            (65_535, 65_000, 4),
            (16_000, 8_952, 6),
            (8_952, 8_952, 6),
            (8_951, 1_472, 5),
            (1_472, 1_472, 5),
            (1_471, 1_452, 4),
            (1_452, 1_452, 4),
        ] {
            let mut mtu = PathMtu::new(None);
            let sizes = search(&mut mtu, carried, &mut 0);
            assert_eq!((mtu.current(), sizes.len()), (expected, probes), "{carried}: {sizes:?}");
        }
    }

    #[test]
    fn below_ethernet_the_search_comes_close() {
        for carried in 1_200..1_452 {
            let mut mtu = PathMtu::new(None);
            search(&mut mtu, carried, &mut 0);
            assert!((0..=CLOSE_ENOUGH).contains(&(carried - mtu.current())), "{carried}: {}", mtu.current());
        }
    }

    #[test]
    fn a_probe_that_is_lost_by_chance_is_sent_again() {
        let mut mtu = PathMtu::new(None);
        for lost in 0..MAX_PROBES - 1 {
            assert_eq!(mtu.due(), Some(1_452), "{lost}");
            mtu.on_probe_sent();
            mtu.on_lost(lost.into(), 1_452, true);
        }
        mtu.on_probe_sent();
        assert!(mtu.on_arrived(9, 1_452));
        assert_eq!((mtu.current(), mtu.due()), (1_452, Some(1_472)));
        for number in 10..13 {
            mtu.on_probe_sent();
            mtu.on_lost(number, 1_472, true);
        }
        assert_eq!(mtu.due(), None, "it is too large");
        assert!(mtu.on_arrived(12, 1_472), "it was only late");
        assert_eq!((mtu.current(), mtu.due()), (1_472, Some(8_952)));
    }

    #[test]
    fn what_was_too_large_is_tried_again_after_ten_minutes() {
        let at = |secs| Instant::ZERO + Duration::from_secs(secs);
        let (mut mtu, mut number) = (PathMtu::new(None), 0);
        search(&mut mtu, 1_472, &mut number);
        for now in [0, 1, 599] {
            mtu.raise(at(now));
            assert_eq!((mtu.current(), mtu.due()), (1_472, None));
        }
        mtu.raise(at(600));
        assert_eq!(mtu.due(), Some(8_952));
        search(&mut mtu, 9_000, &mut number);
        assert_eq!(mtu.current(), 8_952);
        mtu.raise(at(601));
        mtu.raise(at(1_200));
        assert_eq!(mtu.due(), None, "not yet again");

        let mut fixed = PathMtu::new(Some(1_400));
        fixed.raise(at(0));
        fixed.raise(at(6_000));
        assert_eq!(fixed.due(), None);
    }

    #[test]
    fn a_fixed_size_stays() {
        let mut mtu = PathMtu::new(Some(1_400));
        assert_eq!(mtu.due(), None);
        assert!((0..100).all(|number| !mtu.on_lost(number, 1_400, false)) && !mtu.on_silence(99));
        assert_eq!(mtu.current(), 1_400);
    }

    #[test]
    fn a_path_that_carries_less_than_before_is_searched_anew() {
        let mut number = 0;
        let mut mtu = PathMtu::new(None);
        search(&mut mtu, 9_000, &mut number);
        for lost in 1..=MAX_LOST_IN_A_ROW {
            assert!(!mtu.on_arrived(number + 1, 50), "what is small says nothing");
            assert_eq!(mtu.on_lost(number, 8_952, false), lost == MAX_LOST_IN_A_ROW);
            number += 2;
        }
        assert_eq!(mtu.current(), 1_200);
        assert!(!mtu.on_arrived(3, 8_952), "what was sent before says nothing");
        search(&mut mtu, 1_460, &mut number);
        assert_eq!(mtu.current(), 1_452);
        assert!(mtu.on_silence(number) && mtu.current() == 1_200 && !mtu.on_silence(number));
        assert!(
            !mtu.on_arrived(number - 1, 1_452) && mtu.on_arrived(number, 1_452),
            "what was sent before says nothing"
        );
    }

    #[test]
    fn what_is_lost_before_a_large_packet_that_arrived_is_lost_by_chance() {
        let mut number = 0;
        let mut mtu = PathMtu::new(None);
        search(&mut mtu, 1_500, &mut number);
        for _ in 0..100 {
            let large = number + 5;
            mtu.on_arrived(large, 1_472);
            assert!((number..large).all(|number| !mtu.on_lost(number, 1_472, false)));
            number = large + 1;
        }
        assert_eq!(mtu.current(), 1_472);
    }

    proptest! {
        /// Whatever is said of whatever was sent, the size stays within its bounds, and a path that then behaves is found
        /// out.
        #[test]
        fn nothing_that_happens_leads_out_of_its_bounds(
            happenings in prop::collection::vec((0..4u8, 0..40u64, prop::sample::select(&COMMON[..])), 0..200),
        ) {
            let mut mtu = PathMtu::new(None);
            for (what, number, size) in happenings {
                match what {
                    0 => mtu.on_probe_sent(),
                    1 => _ = mtu.on_arrived(number, size),
                    2 => _ = mtu.on_lost(number, size, number % 2 == 0),
                    _ => _ = mtu.on_silence(number),
                }
                prop_assert!((TransferConfig::MIN_PAYLOAD..=TransferConfig::MAX_PAYLOAD).contains(&mtu.current()));
                prop_assert!(mtu.due().is_none_or(|due| due > mtu.current() && due <= TransferConfig::MAX_PAYLOAD));
            }
            if let Some(size) = mtu.probe {
                mtu.on_lost(0, size, true);
            }
            search(&mut mtu, TransferConfig::MAX_PAYLOAD, &mut 1_000);
            prop_assert!(mtu.current() >= 1_200);
        }
    }
}
