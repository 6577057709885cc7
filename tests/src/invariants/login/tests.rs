//! Each invariant, kept and broken, in made-up runs.

use std::net::{Ipv4Addr, SocketAddr};

use toom_core::id::LogIndex;
use toom_core::name::UserName;
use toom_core::server::io::CloseReason;
use toom_core::time::{Instant, Timestamp};
use toom_core::wire::limits::{MAX_FAILED_NAMES_PER_ADDRESS, MAX_UNKNOWN_NAMES};

use super::*;
use crate::scenario::steps::{hash_of, user};

const WRONG: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::InvalidCredentials);
const ACTIVE: ReplyBody = ReplyBody::LoginFailed(LoginRefusal::AlreadyActive);

fn blocked(retry_after_ms: u64) -> ReplyBody {
    ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms })
}

fn busy(retry_after_ms: u64) -> ReplyBody {
    ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms })
}

fn welcome(name: &str) -> ReplyBody {
    welcome_after(name, 0)
}

fn welcome_after(name: &str, failed_logins: u32) -> ReplyBody {
    ReplyBody::Welcome { user: user(name), failed_logins }
}

/// The wall clock at the start, in milliseconds.
const EPOCH: i64 = 1_000_000;

/// A run of a server that blocks after three failures for ten seconds, with accounts of Yoda and Luke, and with
/// connections 1 to 4. Request and password of a login have the number of its connection, a check too.
#[derive(Debug)]
struct Story {
    checker: Login,
    at: Moment,
    broken: Option<Broken>,
}

impl Story {
    fn new() -> Story {
        Story::after(&[])
    }

    /// After these blocks, so many milliseconds ago by the wall clock.
    fn after(blocks: &[(&str, i64)]) -> Story {
        let account = |name: &str| Fact::AccountAdded { name: user(name), hash: hash_of(name) };
        let block = |(name, ago): &(&str, i64)| Fact::Blocked {
            name: (*name).to_owned(),
            at: Timestamp::from_millis(EPOCH - ago),
        };
        let facts = ["yoda", "luke"].map(account).into_iter().chain(blocks.iter().map(block));
        let place = |(index, fact)| Committed { index: LogIndex(index), ticket: None, fact };
        let log: Vec<Committed> = (1..).zip(facts).map(place).collect();
        let at = Moment { now: Instant::ZERO, wall: Timestamp::from_millis(EPOCH) };
        let mut story = Story { checker: Login::default(), at, broken: None };
        let settings = Settings::default();
        story.observe(&Observation::ServerStarts { settings, log: &log });
        for number in 1..=4 {
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
            let (connection, device) = (ConnectionId(number), toom_core::secure::PublicKey([1; 32]));
            story = story.hears(&Input::Accepted { connection, address });
            story = story.hears(&Input::Connected { connection, address, device });
        }
        story
    }

    fn observe(&mut self, what: &Observation<'_>) {
        if self.broken.is_none() {
            self.broken = self.checker.observe(self.at, what).err();
        }
    }

    fn hears(mut self, input: &Input<'_>) -> Story {
        self.observe(&Observation::ServerHears(input));
        self
    }

    fn says(mut self, output: &Output) -> Story {
        self.observe(&Observation::ServerSays(output));
        self
    }

    fn wait(mut self, millis: u64) -> Story {
        let time = Duration::from_millis(millis);
        (self.at.now, self.at.wall) = (self.at.now + time, self.at.wall.saturating_add(time));
        self
    }

    fn login(self, connection: u64, name: &str) -> Story {
        let password = Password(connection.to_string());
        let body = RequestBody::Login { name: name.to_owned(), password, udp_port: 9 };
        let request = Request { id: RequestId(connection), body };
        let wall = self.at.wall;
        self.hears(&Input::Request { connection: ConnectionId(connection), request, wall })
    }

    fn check(self, connection: u64, name: &str) -> Story {
        let name =
            if UserName::new(name).is_ok_and(|it| it == user("yoda") || it == user("luke")) { name } else { "decoy" };
        self.check_with(connection, hash_of(name))
    }

    fn check_with(self, connection: u64, hash: PasswordHash) -> Story {
        let (check, password) = (CheckId(connection), Password(connection.to_string()));
        self.says(&Output::CheckPassword { check, password, hash })
    }

    fn checked(self, connection: u64, matches: bool) -> Story {
        let wall = self.at.wall;
        self.hears(&Input::PasswordChecked { check: CheckId(connection), matches, wall })
    }

    fn reply(self, connection: u64, body: ReplyBody) -> Story {
        let message = ServerMessage::Reply(Reply { id: RequestId(connection), body });
        self.says(&Output::Send { to: vec![ConnectionId(connection)], message })
    }

    fn propose(self, name: &str) -> Story {
        let fact = Fact::Blocked { name: name.to_owned(), at: self.at.wall };
        self.says(&Output::Propose { ticket: Ticket(1), fact })
    }

    fn commit(self, name: &str) -> Story {
        let wall = self.at.wall;
        let fact = Fact::Blocked { name: name.to_owned(), at: wall };
        let committed = Committed { index: LogIndex(9), ticket: Some(Ticket(1)), fact };
        self.hears(&Input::Committed { committed, wall })
    }

    /// Somebody else changes an account.
    fn account(self, fact: Fact) -> Story {
        let wall = self.at.wall;
        self.hears(&Input::Committed { committed: Committed { index: LogIndex(9), ticket: None, fact }, wall })
    }

    /// So many logins that fail, one after the other.
    fn fails(self, times: u32, name: &str) -> Story {
        (0..times).fold(self, |story, _| story.login(1, name).check(1, name).checked(1, false).reply(1, WRONG))
    }

    /// The third failure in a row, and the block.
    fn becomes_blocked(self, name: &str) -> Story {
        let third = self.fails(2, name).login(1, name).check(1, name).checked(1, false);
        third.propose(name).commit(name).reply(1, blocked(10_000))
    }

    /// The right password, after so many logins that failed.
    fn logs_in(self, connection: u64, name: &str, failed_logins: u32) -> Story {
        let checked = self.login(connection, name).check(connection, name).checked(connection, true);
        checked.reply(connection, welcome_after(name, failed_logins))
    }

    /// The invariant that was broken, after one more input.
    fn broken(self) -> Option<&'static str> {
        let wall = self.at.wall;
        self.hears(&Input::Woke { wall }).broken.map(|broken| broken.invariant)
    }
}

#[test]
fn what_happens_every_day_breaks_nothing() {
    let day = Story::new().becomes_blocked("yoda").wait(1).login(2, "yoda").reply(2, blocked(9_999));
    let day = day.wait(9_999).logs_in(2, "yoda", 4).login(3, "yoda").check(3, "yoda").checked(3, true).reply(3, ACTIVE);
    let day = day.becomes_blocked("nobody").login(3, "nobody").reply(3, blocked(10_000)).fails(2, "luke");
    assert_eq!(day.broken(), None);
}

#[test]
fn fewer_failures_do_not_block_and_more_guesses_are_not_made() {
    let two = Story::new().fails(1, "yoda").login(1, "yoda").check(1, "yoda").checked(1, false);
    assert_eq!(two.propose("yoda").broken(), Some(EXACTLY_N));
    assert_eq!(Story::new().fails(2, "yoda").broken(), None);
    assert_eq!(Story::new().fails(3, "yoda").broken(), Some(EXACTLY_N));
    let three = || Story::new().fails(2, "yoda").login(1, "yoda").check(1, "yoda").login(2, "yoda").checked(1, false);
    assert_eq!(three().broken(), Some(EXACTLY_N), "it was not proposed");
    assert_eq!(three().propose("yoda").check(2, "yoda").broken(), Some(EXACTLY_N), "a fourth guess");
    let answered = three().propose("yoda").commit("yoda").reply(1, blocked(10_000)).reply(2, blocked(10_000));
    assert_eq!(answered.broken(), None);
}

#[test]
fn a_success_that_resets_nothing_is_found() {
    let again = || Story::new().fails(2, "yoda").logs_in(4, "yoda", 2).fails(2, "yoda");
    assert_eq!(again().broken(), None);
    let early = Story::new().fails(2, "yoda").logs_in(4, "yoda", 2).login(1, "yoda").check(1, "yoda").checked(1, false);
    assert_eq!(early.propose("yoda").broken(), Some(SUCCESS_RESETS));
}

#[test]
fn users_who_are_told_of_other_failures_than_there_were_are_found() {
    let failed = || Story::new().fails(2, "luke").becomes_blocked("yoda").login(2, "yoda").reply(2, blocked(10_000));
    let later = || failed().wait(10_000);
    assert_eq!(later().logs_in(2, "yoda", 4).logs_in(3, "luke", 2).broken(), None);
    for wrong in [0, 3, 5] {
        assert_eq!(later().logs_in(2, "yoda", wrong).broken(), Some(TOLD));
    }
    let removed = later().account(Fact::AccountRemoved { name: user("yoda") });
    let again = removed.account(Fact::AccountAdded { name: user("yoda"), hash: hash_of("yoda") });
    assert_eq!(again.logs_in(2, "yoda", 0).broken(), None);
}

#[test]
fn an_address_from_which_many_names_fail_and_that_is_not_refused_is_found() {
    let many = |count: usize| (0..count).fold(Story::new(), |story, number| story.fails(1, &format!("guess {number}")));
    let most = MAX_FAILED_NAMES_PER_ADDRESS;
    assert_eq!(many(most).logs_in(2, "yoda", 0).broken(), None);
    assert_eq!(many(most).login(2, "yoda").reply(2, busy(60_000)).broken(), Some(BUSY));
    let refused = || many(most + 1).wait(20_000).login(2, "yoda");
    assert_eq!(refused().reply(2, busy(40_000)).wait(40_000).logs_in(2, "yoda", 0).broken(), None);
    assert_eq!(refused().check(2, "yoda").broken(), Some(MANY_NAMES));
    assert_eq!(refused().reply(2, busy(40_001)).broken(), Some(MANY_NAMES));
    assert_eq!(refused().reply(2, WRONG).broken(), Some(RIGHT_ANSWER));
}

#[test]
fn a_password_that_is_looked_at_during_a_block_is_found() {
    let during = || Story::new().becomes_blocked("yoda").wait(9_999).login(2, "yoda");
    assert_eq!(during().check(2, "yoda").broken(), Some(REFUSES_ALL));
    assert_eq!(during().reply(2, WRONG).broken(), Some(REFUSES_ALL));
    assert_eq!(during().reply(2, blocked(1)).broken(), None);
}

#[test]
fn attempts_during_a_block_that_extend_it_or_count_are_found() {
    let tried = || Story::new().becomes_blocked("yoda").wait(5_000).login(2, "yoda").reply(2, blocked(5_000));
    assert_eq!(tried().login(2, "yoda").reply(2, blocked(10_000)).broken(), Some(TRIES_CHANGE_NOTHING));
    let after = || tried().wait(5_000).fails(1, "yoda");
    assert_eq!(after().fails(1, "yoda").broken(), None);
    let second = after().login(2, "yoda").check(2, "yoda").checked(2, false);
    assert_eq!(second.propose("yoda").broken(), Some(TRIES_CHANGE_NOTHING));
}

#[test]
fn a_block_that_is_forgotten_at_the_start_or_said_before_it_is_durable_is_found() {
    let restarted = || Story::after(&[("yoda", 4_000)]).login(1, "yoda");
    assert_eq!(restarted().reply(1, blocked(6_000)).broken(), None);
    assert_eq!(restarted().check(1, "yoda").broken(), Some(SURVIVES));
    let third = Story::new().fails(2, "yoda").login(1, "yoda").check(1, "yoda").checked(1, false).propose("yoda");
    assert_eq!(third.reply(1, blocked(10_000)).broken(), Some(SURVIVES));
}

#[test]
fn a_block_that_is_too_long_is_found() {
    let over = || Story::new().becomes_blocked("yoda").wait(10_000).login(2, "yoda");
    assert_eq!(over().reply(2, blocked(1)).broken(), Some(NEVER_LONGER));
    assert_eq!(over().check(2, "yoda").checked(2, false).reply(2, WRONG).broken(), None);
    // The wall clock was set back by an hour meanwhile.
    let set_back = || Story::after(&[("yoda", -3_600_000)]).login(1, "yoda");
    assert_eq!(set_back().reply(1, blocked(3_610_000)).broken(), Some(NEVER_LONGER));
    assert_eq!(set_back().reply(1, blocked(10_000)).broken(), None);
    let past = Story::after(&[("yoda", 10_000)]).login(1, "yoda").check(1, "yoda");
    assert_eq!(past.broken(), None);
}

#[test]
fn a_wrong_rest_of_a_block_is_found() {
    let said =
        |millis| Story::new().becomes_blocked("yoda").wait(5_000).login(2, "yoda").reply(2, blocked(millis)).broken();
    assert_eq!([4_999, 5_000, 5_001].map(said), [Some(RETRY_AFTER), None, Some(RETRY_AFTER)]);
}

#[test]
fn who_is_active_is_told_to_nobody_without_the_password() {
    let active = || Story::new().logs_in(1, "yoda", 0).login(2, "yoda");
    assert_eq!(active().reply(2, ACTIVE).broken(), Some(ALREADY_ACTIVE));
    let checked = |matches| active().check(2, "yoda").checked(2, matches);
    assert_eq!(checked(false).reply(2, ACTIVE).broken(), Some(ALREADY_ACTIVE));
    assert_eq!(checked(true).reply(2, welcome("yoda")).broken(), Some(ALREADY_ACTIVE));
    assert_eq!(checked(true).reply(2, ACTIVE).broken(), None);
    let gone = Story::new().login(2, "yoda").check(2, "yoda").checked(2, true);
    assert_eq!(gone.reply(2, ACTIVE).broken(), Some(ALREADY_ACTIVE));
}

#[test]
fn a_session_that_ends_over_somebodys_attempts_is_found() {
    let close = |connection| Output::Close { connection: ConnectionId(connection), reason: CloseReason::LoginTimedOut };
    let attempted = || Story::new().logs_in(2, "yoda", 0).becomes_blocked("yoda");
    assert_eq!(attempted().says(&close(2)).broken(), Some(SESSIONS_STAY));
    assert_eq!(attempted().says(&close(3)).broken(), None, "it was not logged in");
    let wall = Timestamp::default();
    assert_eq!(attempted().hears(&Input::Woke { wall }).says(&close(2)).broken(), None, "for another reason");
}

#[test]
fn two_guesses_at_once_are_found() {
    let two = || Story::new().login(1, "yoda").check(1, "yoda").login(2, "yoda");
    assert_eq!(two().check(2, "yoda").broken(), Some(ONE_CHECK));
    assert_eq!(two().checked(1, false).reply(1, WRONG).check(2, "yoda").broken(), None);
    assert_eq!(two().login(3, "luke").check(3, "luke").broken(), None, "another name");
}

#[test]
fn a_name_that_is_told_to_be_unknown_is_found() {
    let asks = || Story::new().login(1, "nobody");
    assert_eq!(asks().reply(1, WRONG).broken(), Some(UNKNOWN_ALIKE), "nothing was checked");
    let second = asks().check(1, "nobody").login(2, "no-one");
    assert_eq!(second.check_with(2, hash_of("another")).broken(), Some(UNKNOWN_ALIKE));
    // Whatever the decoy's password is.
    let matches = || asks().check(1, "nobody").checked(1, true);
    assert_eq!(matches().reply(1, welcome("nobody")).broken(), Some(RIGHT_ANSWER));
    assert_eq!(matches().reply(1, WRONG).broken(), None);
}

#[test]
fn an_answer_that_is_not_that_of_the_check_is_found() {
    let checked = |matches| Story::new().login(1, "yoda").check(1, "yoda").checked(1, matches);
    assert_eq!(checked(false).reply(1, welcome("yoda")).broken(), Some(RIGHT_ANSWER));
    assert_eq!(checked(true).reply(1, WRONG).broken(), Some(RIGHT_ANSWER));
    assert_eq!(checked(true).reply(1, welcome("luke")).broken(), Some(RIGHT_ANSWER));
    assert_eq!(Story::new().login(1, "yoda").check(1, "luke").broken(), Some(RIGHT_ANSWER));
}

#[test]
fn a_login_that_is_not_answered_or_answered_twice_is_found() {
    assert_eq!(Story::new().login(1, "yoda").broken(), Some(ANSWERED));
    assert_eq!(Story::new().login(1, "yoda").check(1, "yoda").checked(1, false).broken(), Some(ANSWERED));
    assert_eq!(Story::new().fails(1, "yoda").reply(1, WRONG).broken(), Some(ANSWERED));
    let mut story = Story::new().login(1, "yoda").check(1, "yoda");
    assert_eq!(story.checker.finish(story.at), Ok(()));
    story = story.wait(60_001);
    assert!(story.checker.finish(story.at).is_err_and(|broken| broken.invariant == ANSWERED));
}

#[test]
fn who_hangs_up_needs_no_answer_and_still_counts() {
    let gone = |story: Story| {
        let wall = story.at.wall;
        story.hears(&Input::Disconnected { connection: ConnectionId(2), wall })
    };
    let counted = gone(Story::new().login(2, "yoda").check(2, "yoda")).checked(2, false).fails(1, "yoda");
    let third = counted.login(1, "yoda").check(1, "yoda").checked(1, false);
    assert_eq!(third.propose("yoda").commit("yoda").reply(1, blocked(10_000)).broken(), None);
}

#[test]
fn busy_is_no_excuse() {
    let busy = ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms: 600 });
    let story = Story::new().login(1, "yoda").check(1, "yoda").login(2, "luke");
    assert_eq!(story.reply(2, busy).broken(), Some(BUSY));
}

#[test]
fn names_that_were_pushed_out_of_the_table_are_forgotten() {
    let mut guards = Guards::default();
    guards.fail("first", false);
    guards.fail("yoda", true);
    for number in 0..MAX_UNKNOWN_NAMES {
        guards.fail(&number.to_string(), false);
    }
    assert_eq!((guards.get("first").failures, guards.get("yoda").failures, guards.get("0").failures), (0, 1, 1));
}
