//! Where the other end is, and how it may move (RFC 9000, sections 8 and 9).

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::config::TransferConfig;
use crate::time::Instant;

/// Of those to which a handshake was answered, so many are remembered: the last ones.
const MAX_ANSWERED: usize = 4;

/// How often the other end may move: a NAT that gives it another port does so once in minutes.
const MOVE_INTERVAL: Duration = Duration::from_secs(1);

/// Between two challenges of the same address.
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);

/// How long an address is challenged before another one may be.
const CANDIDATE_LIFETIME: Duration = Duration::from_secs(3);

/// Where the other end is.
///
/// An address is proven by what only the other end can say who has received something there: the answer of a
/// handshake (of the address that the server told), the first packet (of one to which a handshake was answered), or
/// the response to a challenge. Before that goes no more there than came from there.
///
/// When the newest packet comes from another address, the other end may have moved there, or somebody may have
/// been faster with a copy of it. That address is challenged, once in a while, and all else goes where it went, until
/// the response is there.
#[derive(Debug)]
pub(super) struct Path {
    remote: SocketAddr,
    proven: bool,
    answered: VecDeque<SocketAddr>,
    candidate: Option<Candidate>,
    moved_at: Option<Instant>,
}

/// Where the other end may be now.
#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    token: [u8; 8],
    received: u64,
    sent: u64,
    /// When it may be challenged again.
    next: Instant,
    until: Instant,
}

/// A challenge that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) to: SocketAddr,
    pub(super) token: [u8; 8],
    /// The size of its packet.
    pub(super) bytes: usize,
}

/// How the other end has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// To another port.
    Port,
    /// To another host, or another network.
    Host,
}

impl Path {
    /// Expected at `remote`, of which nothing is proven.
    pub(super) fn new(remote: SocketAddr) -> Self {
        Path { remote, proven: false, answered: VecDeque::new(), candidate: None, moved_at: None }
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// The answer of a handshake came from where it was expected.
    pub(super) fn prove(&mut self) {
        self.proven = true;
    }

    /// A handshake was answered.
    pub(super) fn answered(&mut self, to: SocketAddr) {
        if self.proven || self.answered.contains(&to) {
            return;
        }
        if self.answered.len() == MAX_ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back(to);
    }

    /// An authentic packet that is no duplicate came `from` somewhere; whether something may follow from that.
    pub(super) fn on_packet(
        &mut self,
        now: Instant,
        (from, bytes): (SocketAddr, usize),
        newest: bool,
        token: impl FnOnce() -> [u8; 8],
    ) -> bool {
        if !self.proven && self.answered.contains(&from) {
            (self.remote, self.proven) = (from, true);
            self.answered.clear();
            return true;
        }
        if self.proven && from == self.remote {
            return false;
        }
        match &mut self.candidate {
            Some(candidate) if now < candidate.until => {
                let same = candidate.address == from;
                candidate.received += if same { bytes as u64 } else { 0 };
                return same;
            }
            _ => {}
        }
        if !newest || self.moved_at.is_some_and(|at| now < at + MOVE_INTERVAL) {
            return false;
        }
        let (received, until) = (bytes as u64, now + CANDIDATE_LIFETIME);
        self.candidate = Some(Candidate { address: from, token: token(), received, sent: 0, next: now, until });
        true
    }

    /// Takes the challenge that is due at `now`; it needs `least` bytes.
    pub(super) fn take_challenge(&mut self, now: Instant, least: usize) -> Option<Challenge> {
        let most = TransferConfig::MIN_PAYLOAD as u64;
        let candidate = self.candidate.as_mut()?;
        if candidate.at(least)? > now {
            return None;
        }
        // At most 1,200, which is what it should be to prove the size, too (RFC 9000, section 8.2.1).
        let bytes = (candidate.received - candidate.sent).min(most);
        candidate.sent += bytes;
        candidate.next = now + CHALLENGE_INTERVAL;
        Some(Challenge { to: candidate.address, token: candidate.token, bytes: bytes as usize })
    }

    /// When there is a challenge to take.
    pub(super) fn challenge_at(&self, least: usize) -> Option<Instant> {
        self.candidate.as_ref()?.at(least)
    }

    /// A response has arrived: if it is to the challenge, from wherever, the other end is there now.
    pub(super) fn on_response(&mut self, now: Instant, token: [u8; 8]) -> Option<Moved> {
        let Candidate { address, .. } = self.candidate.take_if(|candidate| candidate.token == token)?;
        let moved = if address.ip() == self.remote.ip() { Moved::Port } else { Moved::Host };
        (self.remote, self.proven, self.moved_at) = (address, true, Some(now));
        Some(moved)
    }
}

impl Candidate {
    /// When it may be challenged, with `least` bytes.
    fn at(&self, least: usize) -> Option<Instant> {
        let enough = self.received - self.sent >= least as u64;
        Some(self.next).filter(|at| enough && *at < self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: usize = 38;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn proven() -> Path {
        let mut path = Path::new(address(1));
        path.prove();
        path
    }

    fn newest(path: &mut Path, millis: u64, port: u16, bytes: usize) -> bool {
        path.on_packet(at(millis), (address(port), bytes), true, || [port as u8; 8])
    }

    #[test]
    fn the_first_packet_proves_an_address_to_which_a_handshake_was_answered() {
        for (answered, from, proven) in [(vec![], 1, false), (vec![1], 2, false), (vec![2, 3], 2, true)] {
            let mut path = Path::new(address(1));
            answered.into_iter().for_each(|port| path.answered(address(port)));
            newest(&mut path, 1, from, 30);
            assert_eq!((path.is_proven(), path.remote()), (proven, address(if proven { from } else { 1 })));
        }
        let mut path = Path::new(address(1));
        (1..9).for_each(|port| path.answered(address(port)));
        assert_eq!(path.answered.len(), MAX_ANSWERED);
        assert!(newest(&mut path, 1, 8, 30) && path.is_proven(), "the last ones are remembered");
        path.answered(address(9));
        assert!(path.answered.is_empty());
    }

    #[test]
    fn another_address_is_followed_only_after_its_response() {
        let mut path = proven();
        assert!(!newest(&mut path, 0, 1, 30));
        assert!(newest(&mut path, 1, 2, 1_000));
        assert_eq!(path.take_challenge(at(1), CHALLENGE).map(|it| (it.to, it.bytes)), Some((address(2), 1_000)));
        assert_eq!((path.remote(), path.on_response(at(2), [9; 8])), (address(1), None));
        assert_eq!(path.on_response(at(2), [2; 8]), Some(Moved::Port));
        assert_eq!((path.remote(), path.challenge_at(CHALLENGE)), (address(2), None));
        assert_eq!(path.on_response(at(3), [2; 8]), None, "a response that comes again");
    }

    #[test]
    fn an_older_packet_is_not_followed() {
        let mut path = proven();
        assert!(!path.on_packet(at(1), (address(2), 1_000), false, || [2; 8]));
        assert_eq!(path.challenge_at(CHALLENGE), None);
    }

    #[test]
    fn no_more_goes_to_an_unproven_address_than_came_from_it() {
        let mut path = proven();
        newest(&mut path, 0, 2, 30);
        assert_eq!((path.challenge_at(CHALLENGE), path.take_challenge(at(0), CHALLENGE)), (None, None));
        newest(&mut path, 1, 3, 30);
        assert_eq!(path.challenge_at(CHALLENGE), None, "that came from elsewhere");
        let (mut received, mut sent) = (30, 0);
        for millis in (2..2_900).step_by(10) {
            newest(&mut path, millis, 2, 60);
            received += 60;
            let challenge = path.take_challenge(at(millis), CHALLENGE);
            sent += challenge.map_or(0, |challenge| challenge.bytes);
            assert!(sent <= received);
        }
        assert!(sent > 3_000);
    }

    #[test]
    fn addresses_are_challenged_one_after_the_other_and_moves_are_seldom() {
        let mut path = proven();
        assert!(newest(&mut path, 0, 2, 5_000));
        let challenges = (0..2_999).filter(|millis| path.take_challenge(at(*millis), CHALLENGE).is_some()).count();
        assert_eq!(challenges, 5, "until its bytes are used up, half a second apart");
        assert!(!newest(&mut path, 2_999, 3, 1_000), "one at a time");
        assert!(newest(&mut path, 3_000, 3, 1_000), "the other one has not answered");
        assert_eq!(path.on_response(at(3_001), [2; 8]), None);
        assert_eq!(path.on_response(at(3_001), [3; 8]), Some(Moved::Port));
        assert!(!newest(&mut path, 4_000, 4, 1_000), "it has moved just now");
        assert!(newest(&mut path, 4_001, 4, 1_000));
    }

    #[test]
    fn another_host_is_told_from_another_port() {
        let mut path = proven();
        path.on_packet(at(0), (([192, 0, 2, 1], 1).into(), 100), true, || [7; 8]);
        assert_eq!(path.on_response(at(1), [7; 8]), Some(Moved::Host));
    }
}
