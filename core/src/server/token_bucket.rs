//! A token bucket: so much at once, and then so much a second.
//!
//! All in whole numbers. The level is kept in billionths of a token, which is what a rate in tokens a second adds
//! in each nanosecond times the rate; so nothing is ever rounded, and no time is lost between two requests.

use core::time::Duration;

use crate::time::Instant;

const NANOS: u128 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Tokens a second; 0 is no limit at all.
    pub(super) per_second: u64,
    /// Tokens at once.
    pub(super) burst: u64,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenBucket {
    /// In billionths of a token.
    level: u128,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn full(rate: Rate, now: Instant) -> TokenBucket {
        TokenBucket { level: u128::from(rate.burst) * NANOS, at: now }
    }

    /// How long until `tokens` can be taken; nothing if they can be taken now. More than a burst is never there, and
    /// waits for a full bucket.
    pub(super) fn wait(&mut self, rate: Rate, tokens: u64, now: Instant) -> Option<Duration> {
        if rate.per_second == 0 {
            return None;
        }
        self.fill(rate, now);
        let lacking = (u128::from(tokens) * NANOS).saturating_sub(self.level);
        let nanos = lacking.div_ceil(u128::from(rate.per_second));
        (nanos > 0).then(|| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes tokens for which there was nothing to wait.
    pub(super) fn take(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(u128::from(tokens) * NANOS);
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_since(self.at).as_nanos();
        let most = u128::from(rate.burst) * NANOS;
        self.level = self.level.saturating_add(passed.saturating_mul(u128::from(rate.per_second))).min(most);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_token_at_a_time() {
        let rate = Rate { per_second: 1_000, burst: 5 };
        let mut bucket = TokenBucket::full(rate, at(0));
        for _ in 0..5 {
            assert_eq!(bucket.wait(rate, 1, at(0)), None);
            bucket.take(1);
        }
        assert_eq!(bucket.wait(rate, 1, at(0)), Some(Duration::from_millis(1)));
        assert_eq!(bucket.wait(rate, 1, at(999_999)), Some(Duration::from_nanos(1)));
        assert_eq!(bucket.wait(rate, 1, at(1_000_000)), None);
        bucket.take(1);
        assert_eq!(bucket.wait(rate, 5, at(1_000_000_000)), None, "never more than full");
        bucket.take(5);
        assert_eq!(bucket.wait(rate, 1, at(1_000_000_000)), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let rate = Rate { per_second: 0, burst: 0 };
        assert_eq!(TokenBucket::full(rate, at(0)).wait(rate, u64::MAX, at(0)), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let rate = Rate { per_second: u64::MAX, burst: u64::MAX };
        let mut bucket = TokenBucket::full(rate, at(0));
        bucket.take(u64::MAX);
        assert_eq!(bucket.wait(rate, u64::MAX, at(u64::MAX)), None);
        let slow = Rate { per_second: 1, burst: 1 };
        assert_eq!(TokenBucket::full(slow, at(0)).wait(slow, u64::MAX, at(0)), Some(Duration::from_nanos(u64::MAX)));
    }

    proptest! {
        /// Within any span of time no more is given than the burst and the rate allow, nothing is refused that they
        /// allow, and who waits as long as is said is not refused again.
        #[test]
        fn it_gives_what_the_rate_allows_and_no_less(
            per_second in 1u64..5_000,
            burst in 1u64..50,
            asks in prop::collection::vec((0u64..50_000_000, 1u64..20), 0..100),
        ) {
            let rate = Rate { per_second, burst };
            let mut bucket = TokenBucket::full(rate, at(0));
            let mut given: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (passed, tokens) in asks {
                now += passed;
                // What would be given in each span that ends now, if this were given too.
                let allowed = (0..=given.len()).all(|first| {
                    let since = given.get(first).map_or(now, |(at, _)| *at);
                    let sum: u64 = given[first..].iter().map(|(_, tokens)| tokens).sum();
                    let most = u128::from(burst) * NANOS + u128::from(now - since) * u128::from(per_second);
                    u128::from(sum + tokens) * NANOS <= most
                });
                match bucket.wait(rate, tokens, at(now)) {
                    None => {
                        prop_assert!(allowed, "too much at {now}");
                        bucket.take(tokens);
                        given.push((now, tokens));
                    }
                    Some(wait) => {
                        prop_assert!(!allowed, "refused at {now}");
                        let wait = u64::try_from(wait.as_nanos()).expect("short");
                        let mut later = bucket;
                        prop_assert!(later.wait(rate, tokens, at(now + wait - 1)).is_some(), "it was too long");
                        let mut later = bucket;
                        let after = later.wait(rate, tokens, at(now + wait));
                        prop_assert!(after.is_none() || tokens > burst, "it was too short");
                    }
                }
            }
        }
    }
}
