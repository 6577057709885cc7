//! The address of the other end, and whether it is proven (RFC 9000, section 8).

use std::net::SocketAddr;

/// How much more than it received an end may send to an address that is not proven.
const AMPLIFICATION: u64 = 3;

/// Where the other end is. Until a challenge that was sent there has come back, it may be an address that
/// somebody else put there: little is sent, and a newer one is followed. After that it stays.
///
/// The address that was told at the start may be challenged unasked: somebody must begin. One that was followed
/// may belong to someone who is to be flooded: a challenge counts there like anything else.
#[derive(Debug)]
pub(super) struct Path {
    remote: SocketAddr,
    followed: bool,
    proven: bool,
    token: [u8; 8],
    received: u64,
    sent: u64,
}

impl Path {
    /// Expected at `remote`, to be proven by `token`.
    pub(super) fn new(remote: SocketAddr, token: [u8; 8]) -> Self {
        Path { remote, followed: false, proven: false, token, received: 0, sent: 0 }
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(super) fn token(&self) -> [u8; 8] {
        self.token
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// The newest packet came from `from`. Answers whether that is another address, which is followed and
    /// must be challenged.
    pub(super) fn follow(&mut self, from: SocketAddr, token: impl FnOnce() -> [u8; 8]) -> bool {
        let moved = !self.proven && from != self.remote;
        if moved {
            *self = Path { followed: true, ..Path::new(from, token()) };
        }
        moved
    }

    /// A response has arrived; one to an earlier challenge proves nothing.
    pub(super) fn on_response(&mut self, token: [u8; 8]) {
        self.proven |= token == self.token;
    }

    pub(super) fn on_received(&mut self, from: SocketAddr, bytes: usize) {
        if from == self.remote {
            self.received += bytes as u64;
        }
    }

    /// A packet is sent, perhaps with a challenge.
    pub(super) fn on_sent(&mut self, bytes: usize, challenge: bool) {
        if !challenge || self.followed {
            self.sent += bytes as u64;
        }
    }

    /// How many bytes a packet with a challenge may have.
    pub(super) fn challenge_allowance(&self) -> u64 {
        if self.followed { self.allowance() } else { u64::MAX }
    }

    /// How many bytes other than challenges may be sent.
    pub(super) fn allowance(&self) -> u64 {
        if self.proven { u64::MAX } else { (self.received * AMPLIFICATION).saturating_sub(self.sent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn little_is_sent_until_the_address_is_proven() {
        let mut path = Path::new(address(1), [1; 8]);
        assert_eq!(path.allowance(), 0);
        path.on_received(address(1), 1_200);
        path.on_received(address(2), 1_200);
        path.on_sent(3_000, false);
        path.on_sent(1_200, true);
        assert_eq!(path.allowance(), 600);
        path.on_response([2; 8]);
        assert!(!path.is_proven());
        path.on_response([1; 8]);
        assert_eq!((path.is_proven(), path.allowance()), (true, u64::MAX));
    }

    #[test]
    fn another_address_is_followed_with_a_new_challenge_only_until_one_is_proven() {
        let mut path = Path::new(address(1), [1; 8]);
        path.on_received(address(1), 1_200);
        assert!(!path.follow(address(1), || [9; 8]));
        assert!(path.follow(address(2), || [2; 8]));
        assert_eq!((path.remote(), path.allowance()), (address(2), 0));
        path.on_response([1; 8]);
        assert!(!path.is_proven(), "that proves the earlier address");
        path.on_received(address(2), 30);
        assert_eq!(path.challenge_allowance(), 90, "unlike the address that was told");
        path.on_sent(90, true);
        assert_eq!(path.challenge_allowance(), 0);
        path.on_response([2; 8]);
        assert!(!path.follow(address(3), || [3; 8]));
        assert_eq!(path.remote(), address(2));
    }
}
