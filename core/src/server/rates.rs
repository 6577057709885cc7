//! How much one user may ask for: posts, bytes of posts, and requests, each with a token bucket.
//!
//! A bucket belongs to an account and not to a connection, so that logging in again does not fill it.

use core::time::Duration;

use super::activity::Activity;
use super::login::millis_rounded_up;
use super::machine::Server;
use super::pending::Asked;
use super::token_bucket::{Rate, TokenBucket};
use super::turn::Turn;
use crate::name::UserName;
use crate::time::Instant;
use crate::wire::limits::{
    AUTOMATIC_REQUEST_BURST, AUTOMATIC_REQUEST_RATE, DEFAULT_POST_BYTES_RATE, DEFAULT_POST_RATE, MAX_TEXT_BYTES,
    POST_BYTES_BURST_SECONDS, REQUEST_BURST, REQUEST_RATE, SEARCH_COST,
};
use crate::wire::message::{Refusal, ReplyBody, RequestBody};

/// An operator is told of the same user not more often than this.
const TOLD_EVERY: Duration = Duration::from_secs(1);

const REQUESTS: Rate = Rate { per_second: REQUEST_RATE, burst: REQUEST_BURST };
const AUTOMATIC_REQUESTS: Rate = Rate { per_second: AUTOMATIC_REQUEST_RATE, burst: AUTOMATIC_REQUEST_BURST };

/// How much one user may post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostRates {
    /// Posts a second, and at once; 0 is no limit.
    pub posts: u32,
    /// Bytes of text a second; 0 is no limit. Several seconds' worth may come at once.
    pub bytes: u64,
}

impl Default for PostRates {
    fn default() -> Self {
        PostRates { posts: DEFAULT_POST_RATE, bytes: DEFAULT_POST_BYTES_RATE }
    }
}

impl PostRates {
    fn posts(self) -> Rate {
        Rate { per_second: u64::from(self.posts), burst: u64::from(self.posts) }
    }

    /// One post always fits, however slow they are meant to come.
    fn bytes(self) -> Rate {
        let burst = self.bytes.saturating_mul(POST_BYTES_BURST_SECONDS).max(MAX_TEXT_BYTES as u64);
        Rate { per_second: self.bytes, burst }
    }
}

/// What is left for one user.
#[derive(Debug)]
pub(super) struct Budget {
    posts: TokenBucket,
    post_bytes: TokenBucket,
    automatic: TokenBucket,
    requests: TokenBucket,
    /// When the operator was told that it was used up.
    told: Option<Instant>,
}

impl Budget {
    fn full(rates: PostRates, now: Instant) -> Budget {
        Budget {
            posts: TokenBucket::full(rates.posts(), now),
            post_bytes: TokenBucket::full(rates.bytes(), now),
            automatic: TokenBucket::full(AUTOMATIC_REQUESTS, now),
            requests: TokenBucket::full(REQUESTS, now),
            told: None,
        }
    }

    /// Pays for a request; or says how long until it can be paid for, and pays nothing.
    fn pay(&mut self, rates: PostRates, body: &RequestBody, now: Instant) -> Result<(), Duration> {
        match body {
            RequestBody::Broadcast { text }
            | RequestBody::RoomMessage { text, .. }
            | RequestBody::DirectMessage { text, .. } => {
                // A text that is too long is refused for that.
                let bytes = text.len().min(MAX_TEXT_BYTES) as u64;
                let waits = [self.posts.wait(rates.posts(), 1, now), self.post_bytes.wait(rates.bytes(), bytes, now)];
                if let Some(wait) = waits.into_iter().flatten().max() {
                    return Err(wait);
                }
                self.posts.take(1);
                self.post_bytes.take(bytes);
                Ok(())
            }
            RequestBody::DirectReceived { .. }
            | RequestBody::AnswerOffer { .. }
            | RequestBody::CatchUp
            | RequestBody::Missed
            | RequestBody::Ping
            | RequestBody::History { after: Some(_), .. } => self.automatic.pay(AUTOMATIC_REQUESTS, 1, now),
            RequestBody::Find { .. } => self.requests.pay(REQUESTS, SEARCH_COST, now),
            _ => self.requests.pay(REQUESTS, 1, now),
        }
    }
}

impl TokenBucket {
    fn pay(&mut self, rate: Rate, cost: u64, now: Instant) -> Result<(), Duration> {
        match self.wait(rate, cost, now) {
            Some(wait) => Err(wait),
            None => {
                self.take(cost);
                Ok(())
            }
        }
    }
}

impl Server {
    /// Whether a user may ask this now; refused if not.
    pub(super) fn is_within_rates(&mut self, turn: &mut Turn<'_>, asked: &Asked, body: &RequestBody) -> bool {
        let rates = self.settings.post_rates;
        let new = || Budget::full(rates, turn.now);
        let budget = self.budgets.entry(asked.user.clone()).or_insert_with(new);
        let Err(wait) = budget.pay(rates, body, turn.now) else { return true };
        let refusal = Refusal::RateLimited { retry_after_ms: millis_rounded_up(wait) };
        let due = budget.told.is_none_or(|told| turn.now >= told + TOLD_EVERY);
        if due {
            budget.told = Some(turn.now);
        }
        self.answer(turn, asked, ReplyBody::Refused(refusal.clone()));
        if let (true, Some(command)) = (due, asked.command) {
            turn.activity(Activity::Refused { user: asked.user.clone(), command, refusal });
        }
        false
    }

    /// An account is gone: a later namesake begins with all of it.
    pub(super) fn forget_budget(&mut self, user: &UserName) {
        self.budgets.remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::{ConnectionId, OfferId};
    use crate::server::fact::Fact;
    use crate::wire::message::{Cursor, HistoryKind};

    fn limited(retry_after_ms: u64) -> ReplyBody {
        ReplyBody::Refused(Refusal::RateLimited { retry_after_ms })
    }

    fn world(posts: u32, bytes: u64) -> World {
        let mut world = World::new(&["yoda", "luke"]);
        world.server.settings.post_rates = PostRates { posts, bytes };
        world
    }

    /// How many of these requests are answered until one is refused, and what that says.
    fn until_refused(world: &mut World, connection: ConnectionId, body: &RequestBody) -> (u64, ReplyBody) {
        for count in 0.. {
            let answer = world.ask(connection, body.clone());
            world.forget();
            if let ReplyBody::Refused(Refusal::RateLimited { .. }) = answer {
                return (count, answer);
            }
        }
        unreachable!()
    }

    #[test]
    fn posts_of_all_kinds_are_counted_together_and_come_again_with_time() {
        let mut world = world(5, 0);
        let [yoda, luke] = world.login_all(["yoda", "luke"]);
        world.ask(yoda, build(&["luke"]));
        world.ask(yoda, room_message(1, "x"));
        world.ask(yoda, direct("luke", "x"));
        world.ask(yoda, room_message(9, "refused, and counted"));
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")), (2, limited(200)));
        assert_eq!(world.ask(yoda, direct("luke", "x")), limited(200), "a refusal costs nothing");
        assert_eq!(until_refused(&mut world, luke, &broadcast("x")).0, 5, "others have their own");
        assert_eq!(world.ask(yoda, RequestBody::Rooms), {
            let ReplyBody::Rooms(rooms) = world.ask(yoda, RequestBody::Rooms) else { panic!() };
            ReplyBody::Rooms(rooms)
        });
        world.advance(Duration::from_nanos(199_999_999));
        assert_eq!(world.ask(yoda, broadcast("x")), limited(1), "rounded up");
        world.advance(Duration::from_nanos(1));
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")).0, 1);
        world.advance(Duration::from_secs(60));
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")).0, 5, "no more than at once");
    }

    #[test]
    fn bytes_of_posts_are_counted_and_one_post_always_fits() {
        let mut world = world(0, 100);
        let yoda = world.login("yoda");
        let longest = "x".repeat(MAX_TEXT_BYTES);
        assert_eq!(until_refused(&mut world, yoda, &broadcast(&longest)), (1, limited(163_840)));
        world.advance(Duration::from_secs(1));
        assert_eq!(until_refused(&mut world, yoda, &broadcast(&"x".repeat(50))), (2, limited(500)));
        world.server.settings.post_rates.bytes = 1_000_000;
        let all = 4_000_000 / MAX_TEXT_BYTES as u64;
        world.advance(Duration::from_secs(10));
        assert_eq!(until_refused(&mut world, yoda, &broadcast(&longest)).0, all);
    }

    #[test]
    fn by_default_a_user_may_post_twenty_thousand_times_at_once_and_nothing_is_limited_at_rate_0() {
        let mut world = World::new(&["yoda"]);
        let yoda = world.login("yoda");
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")), (20_000, limited(1)));
        world.server.settings.post_rates = PostRates { posts: 0, bytes: 0 };
        for _ in 0..1_000 {
            assert!(matches!(world.ask(yoda, broadcast("x")), ReplyBody::Sent { .. }));
        }
    }

    #[test]
    fn other_requests_are_counted_and_what_a_client_sends_by_itself_more_generously() {
        let mut world = world(1, 0);
        let yoda = world.login("yoda");
        assert_eq!(until_refused(&mut world, yoda, &RequestBody::ActiveUsers), (REQUEST_BURST, limited(1)));
        let after = Some(Cursor { room: None, number: crate::id::MessageNumber(1) });
        let not_before = crate::time::Timestamp::from_millis(0);
        let next_page = RequestBody::History { kind: HistoryKind::Broadcast, not_before, after };
        let receipt = RequestBody::DirectReceived { from: name("luke"), through: crate::id::MessageNumber(1) };
        for body in [next_page, receipt, RequestBody::CatchUp] {
            assert!(!matches!(world.ask(yoda, body), ReplyBody::Refused(Refusal::RateLimited { .. })));
        }
        let answer = RequestBody::AnswerOffer { offer: OfferId(1), index: None };
        assert_eq!(until_refused(&mut world, yoda, &answer).0, AUTOMATIC_REQUEST_BURST - 3);
        assert!(matches!(world.ask(yoda, broadcast("x")), ReplyBody::Sent { .. }));
    }

    #[test]
    fn logging_in_again_fills_no_bucket_and_a_new_account_has_its_own() {
        let mut world = world(2, 0);
        let yoda = world.login("yoda");
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")).0, 2);
        assert_eq!(world.ask(yoda, RequestBody::Logout), ReplyBody::Bye, "one can always go");
        let yoda = world.login("yoda");
        assert_eq!(world.ask(yoda, broadcast("x")), limited(500));
        world.commit(Fact::AccountRemoved { name: name("yoda") });
        world.add_account("yoda");
        let yoda = world.login("yoda");
        assert_eq!(until_refused(&mut world, yoda, &broadcast("x")).0, 2);
    }

    #[test]
    fn the_operator_is_told_once_a_second() {
        let mut world = world(1, 0);
        let yoda = world.login("yoda");
        world.ask(yoda, broadcast("x"));
        world.forget();
        for _ in 0..10 {
            world.ask(yoda, broadcast("x"));
        }
        let refusal = Refusal::RateLimited { retry_after_ms: 1_000 };
        assert_eq!(world.activities, [Activity::Refused { user: name("yoda"), command: "BCM", refusal }]);
        world.advance(Duration::from_secs(1));
        world.ask(yoda, broadcast("x"));
        world.ask(yoda, broadcast("x"));
        let refused = world.activities.iter().filter(|it| matches!(it, Activity::Refused { .. }));
        assert_eq!(refused.count(), 2);
    }
}
