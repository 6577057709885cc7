use super::super::testing::*;
use super::*;
use crate::wire::limits::{MAX_FAILED_NAMES_PER_ADDRESS, MAX_PASSWORD_CHECKS, MAX_PASSWORD_CHECKS_PER_ADDRESS};
use crate::wire::message::RequestBody;

fn blocked_for(retry_after_ms: u64) -> ReplyBody {
    ReplyBody::LoginFailed(LoginRefusal::Blocked { retry_after_ms })
}

fn welcome(user: &str, failed_logins: u32) -> ReplyBody {
    ReplyBody::Welcome { user: name(user), failed_logins }
}

fn busy_for(retry_after_ms: u64) -> ReplyBody {
    ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms })
}

fn failed(name: &str, refusal: LoginRefusal) -> Activity {
    Activity::LoginFailed { name: text(name), address: [192, 0, 2, 1].into(), refusal }
}

#[test]
fn the_third_failure_in_a_row_blocks_the_name_for_ten_seconds_from_any_address() {
    let mut world = World::new(&["yoda", "luke"]);
    assert_eq!([(); 3].map(|()| world.login_with("yoda", "wrong")), [INVALID, INVALID, BLOCKED]);
    world.advance(Duration::from_secs(4));
    assert_eq!(world.login_with("yoda", &password_of("yoda")), blocked_for(6_000), "the right password too");
    let elsewhere = world.connect_from("203.0.113.9:1");
    let id = world.try_login(elsewhere, "yoda", "wrong");
    assert_eq!(world.reply(elsewhere, id), Some(blocked_for(6_000)));
    assert_eq!(world.login_with("luke", &password_of("luke")), welcome("luke", 0), "others are not blocked");
    world.advance(Duration::from_nanos(5_999_000_001));
    assert_eq!(world.login_with("yoda", "wrong"), blocked_for(1), "rounded up");
    world.advance(Duration::from_millis(1));
    assert_eq!(world.login_with("yoda", &password_of("yoda")), welcome("yoda", 6));
}

#[test]
fn a_block_of_no_time_is_answered_too_and_over_at_once() {
    let mut world = World::new(&["yoda"]);
    world.server.settings.block = Duration::ZERO;
    for _ in 0..2 {
        let answers = [(); 3].map(|()| world.login_with("yoda", "wrong"));
        assert_eq!(answers, [INVALID, INVALID, blocked_for(0)]);
    }
    assert_eq!(world.login_with("yoda", &password_of("yoda")), welcome("yoda", 6));
}

#[test]
fn tries_during_a_block_cost_no_check_and_neither_extend_it_nor_count() {
    let mut world = World::new(&["yoda"]);
    for _ in 0..3 {
        world.login_with("yoda", "wrong");
    }
    world.hold_checks = true;
    for second in 0..10 {
        assert_eq!(world.login_with("yoda", "wrong"), blocked_for(10_000 - 1_000 * second));
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.log.len(), 2, "an account and one block");
    world.hold_checks = false;
    assert_eq!([(); 3].map(|()| world.login_with("yoda", "wrong")), [INVALID, INVALID, BLOCKED]);
}

#[test]
fn a_success_resets_the_count_and_so_does_already_active() {
    let mut world = World::new(&["yoda"]);
    let right = password_of("yoda");
    assert_eq!([(); 2].map(|()| world.login_with("yoda", "wrong")), [INVALID, INVALID]);
    let session = world.login("yoda");
    assert_eq!([(); 2].map(|()| world.login_with("yoda", "wrong")), [INVALID, INVALID]);
    assert_eq!(world.login_with("yoda", &right), ALREADY, "not a failure");
    assert_eq!([(); 2].map(|()| world.login_with("yoda", "wrong")), [INVALID, INVALID]);
    world.disconnect(session);
    world.login("yoda");
}

#[test]
fn one_connection_may_try_until_it_succeeds() {
    let mut world = World::new(&["yoda"]);
    let connection = world.connect();
    for (password, answer) in [("x", INVALID), ("y", INVALID), (&password_of("yoda"), welcome("yoda", 2))] {
        let id = world.try_login(connection, "yoda", password);
        assert_eq!(world.reply(connection, id), Some(answer));
    }
    let id = world.try_login(connection, "yoda", &password_of("yoda"));
    assert_eq!(world.reply(connection, id), Some(ReplyBody::Refused(Refusal::OutOfOrder)));
    assert!(world.closed.is_empty());
}

#[test]
fn a_name_without_an_account_answers_costs_and_logs_like_one_that_has_one() {
    let tries = |user: &str| {
        let mut world = World::new(&["yoda"]);
        world.hold_checks = true;
        let mut answers = Vec::new();
        for seconds in [0, 0, 0, 3, 7, 0] {
            world.advance(Duration::from_secs(seconds));
            let connection = world.connect();
            let id = world.try_login(connection, user, "wrong");
            let checks = world.checks.len();
            if checks > 0 {
                world.check_next();
            }
            answers.push((checks, world.reply(connection, id)));
        }
        let refusals = world.activities.iter().map(|it| match it {
            Activity::LoginFailed { refusal, .. } => *refusal,
            other => panic!("{other:?}"),
        });
        (answers, refusals.collect::<Vec<_>>(), world.log.len())
    };
    assert_eq!(tries("yoda").0[2], (1, Some(BLOCKED)));
    for unknown in ["nobody", "", "not a name", "#;/", "\u{1b}[2J"] {
        assert_eq!(tries(unknown), tries("yoda"), "{unknown:?}");
    }
}

#[test]
fn the_decoys_password_opens_nothing() {
    let mut world = World::new(&[]);
    assert_eq!(world.login_with("nobody", "decoy"), INVALID);
}

#[test]
fn fifty_parallel_guesses_are_three_guesses() {
    let mut world = World::new(&["yoda"]);
    (world.hold_checks, world.hold_proposals) = (true, true);
    let tries: Vec<_> = (0..50)
        .map(|number| {
            let connection = world.connect();
            let password = if number < 10 { text("wrong") } else { password_of("yoda") };
            (connection, world.try_login(connection, "yoda", &password))
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(world.checks.len(), 1, "one at a time");
        world.check_next();
    }
    assert_eq!((world.checks.len(), world.proposals.len()), (0, 1), "all wait for the block");
    let answers = |world: &mut World| -> Vec<Option<ReplyBody>> {
        tries.iter().map(|(connection, id)| world.reply(*connection, *id)).collect()
    };
    let before = answers(&mut world);
    assert_eq!(before[..2], [Some(INVALID), Some(INVALID)]);
    assert!(before[2..].iter().all(Option::is_none));
    world.commit_next();
    assert!(answers(&mut world)[2..].iter().all(|answer| *answer == Some(BLOCKED)));
    assert!(world.checks.is_empty());
}

#[test]
fn of_two_logins_at_once_the_second_is_told_already_active() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    let [first, second] = [(); 2].map(|()| {
        let connection = world.connect();
        (connection, world.try_login(connection, "yoda", &password_of("yoda")))
    });
    world.check_next();
    world.check_next();
    assert_eq!(world.reply(first.0, first.1), Some(welcome("yoda", 0)));
    assert_eq!(world.reply(second.0, second.1), Some(ALREADY));
}

#[test]
fn hanging_up_hides_no_guess_and_makes_no_session() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    for _ in 0..3 {
        let connection = world.connect();
        world.try_login(connection, "yoda", "wrong");
        world.disconnect(connection);
        world.check_next();
    }
    assert_eq!(world.login_with("yoda", &password_of("yoda")), BLOCKED);
    world.advance(BLOCK);
    let connection = world.connect();
    world.try_login(connection, "yoda", &password_of("yoda"));
    world.disconnect(connection);
    world.check_next();
    world.hold_checks = false;
    world.login("yoda");
}

#[test]
fn who_hangs_up_while_waiting_is_not_checked_and_leaves_the_place_to_others() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    let connections = [(); 3].map(|()| world.connect());
    for connection in connections {
        world.try_login(connection, "yoda", "wrong");
    }
    world.disconnect(connections[1]);
    world.check_next();
    world.check_next();
    assert!(world.checks.is_empty());
    assert_eq!(world.login_all_failures("yoda"), 2);
}

#[test]
fn too_many_logins_at_once_are_told_to_come_again() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    for number in 0..MAX_PASSWORD_CHECKS {
        let connection = world.connect_from(&format!("198.51.100.{}:1", number % 4));
        world.try_login(connection, &format!("user{}", number % 100), "x");
    }
    let answers: Vec<ReplyBody> = (0..20).map(|_| world.login_with("yoda", "x")).collect();
    let waits = answers.iter().map(|answer| match answer {
        ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms }) => *retry_after_ms,
        other => panic!("{other:?}"),
    });
    let waits: std::collections::BTreeSet<u64> = waits.collect();
    assert!(waits.len() > 10 && waits.iter().all(|wait| (500..1_000).contains(wait)), "{waits:?}");
    world.check_next();
    let connection = world.connect();
    let id = world.try_login(connection, "yoda", &password_of("yoda"));
    world.hold_checks = false;
    world.check_next();
    assert_eq!(world.reply(connection, id), Some(welcome("yoda", 0)), "there was room again");
}

#[test]
fn one_computer_that_logs_in_too_often_at_once_is_told_so_and_others_are_not() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    for number in 0..MAX_PASSWORD_CHECKS_PER_ADDRESS {
        let connection = world.connect_from("198.51.100.1:1");
        world.try_login(connection, &format!("user{}", number % 100), "x");
    }
    let connection = world.connect_from("198.51.100.1:2");
    let id = world.try_login(connection, "luke", "x");
    let answer = world.reply(connection, id);
    assert!(matches!(answer, Some(ReplyBody::LoginFailed(LoginRefusal::Busy { .. }))), "{answer:?}");
    let connection = world.connect_from("198.51.100.2:1");
    let id = world.try_login(connection, "yoda", &password_of("yoda"));
    world.hold_checks = false;
    while !world.checks.is_empty() {
        world.check_next();
    }
    assert_eq!(world.reply(connection, id), Some(welcome("yoda", 0)));
}

#[test]
fn a_password_that_changes_during_its_check_is_checked_again() {
    let mut world = World::new(&["yoda"]);
    let old = password_of("yoda");
    let change = |password: &str| Fact::PasswordChanged { name: name("yoda"), hash: hash(password) };
    for (password, answer) in [(old.as_str(), INVALID), ("new", welcome("yoda", 1))] {
        world.commit(change(&old));
        world.hold_checks = true;
        let connection = world.connect();
        let id = world.try_login(connection, "yoda", password);
        world.commit(change("new"));
        world.hold_checks = false;
        world.check_next();
        assert_eq!(world.reply(connection, id), Some(answer));
    }
}

#[test]
fn an_account_that_goes_during_its_check_lets_nobody_in() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    let connection = world.connect();
    let id = world.try_login(connection, "yoda", &password_of("yoda"));
    world.commit(Fact::AccountRemoved { name: name("yoda") });
    world.hold_checks = false;
    world.check_next();
    assert_eq!(world.reply(connection, id), Some(INVALID));
}

#[test]
fn a_block_survives_a_restart_for_its_remainder_whatever_the_clock_says() {
    let hour = Duration::from_secs(3600);
    for user in ["yoda", "nobody"] {
        let mut world = World::new(&["yoda"]);
        for _ in 0..3 {
            world.login_with(user, "wrong");
        }
        world.advance(Duration::from_secs(4));
        let wall = world.wall;
        world.restart();
        assert_eq!(world.login_with(user, "x"), blocked_for(6_000));
        world.wall = Timestamp::from_millis(wall.as_millis() - hour.as_millis() as i64);
        world.restart();
        assert_eq!(world.login_with(user, "x"), BLOCKED, "never longer than a whole block");
        world.wall = wall.saturating_add(hour);
        world.restart();
        assert_eq!(world.login_with(user, "x"), INVALID, "it is over");
    }
}

#[test]
fn a_wall_clock_that_jumps_does_not_change_a_block_that_runs() {
    let mut world = World::new(&["yoda"]);
    for _ in 0..3 {
        world.login_with("yoda", "wrong");
    }
    for wall in [0, i64::MAX, i64::MIN] {
        world.wall = Timestamp::from_millis(wall);
        assert_eq!(world.login_with("yoda", "x"), BLOCKED);
    }
}

#[test]
fn a_disk_that_fails_does_not_open_the_door_to_guesses() {
    let mut world = World::new(&["yoda"]);
    world.hold_proposals = true;
    for _ in 0..2 {
        world.login_with("yoda", "wrong");
    }
    let connection = world.connect();
    let id = world.try_login(connection, "yoda", "wrong");
    world.fail_proposals();
    assert_eq!(world.reply(connection, id), Some(BLOCKED));
    assert_eq!(world.login_with("yoda", &password_of("yoda")), BLOCKED);
}

#[test]
fn a_block_that_another_server_made_holds_here_too() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    let connection = world.connect();
    let id = world.try_login(connection, "yoda", &password_of("yoda"));
    world.commit(Fact::Blocked { name: text("yoda"), at: world.wall });
    world.advance(Duration::from_secs(4));
    world.commit(Fact::Blocked { name: text("yoda"), at: world.wall });
    world.check_next();
    assert_eq!(world.reply(connection, id), Some(blocked_for(6_000)), "a second one does not extend it");
}

#[test]
fn logins_that_were_given_up_leave_room_for_others() {
    let mut world = World::new(&["yoda", "luke"]);
    world.hold_checks = true;
    for _ in 0..2 * MAX_PASSWORD_CHECKS {
        let connection = world.connect();
        world.try_login(connection, "yoda", "x");
        world.disconnect(connection);
    }
    world.hold_checks = false;
    world.login("luke");
}

#[test]
fn names_and_passwords_over_their_limits_are_violations() {
    let mut world = World::new(&[]);
    let long = |bytes| "x".repeat(bytes);
    assert_eq!(world.login_with(&long(MAX_NAME_BYTES), &long(MAX_PASSWORD_BYTES)), INVALID);
    for (name, password) in [(MAX_NAME_BYTES + 1, 1), (1, MAX_PASSWORD_BYTES + 1)] {
        let connection = world.connect();
        world.try_login(connection, &long(name), &long(password));
        assert_eq!(world.closed.get(&connection), Some(&CloseReason::LimitBroken));
    }
}

#[test]
fn a_second_login_during_a_check_is_out_of_order_and_another_request_a_violation() {
    let mut world = World::new(&["yoda"]);
    world.hold_checks = true;
    let connection = world.connect();
    let first = world.try_login(connection, "yoda", &password_of("yoda"));
    let second = world.try_login(connection, "yoda", &password_of("yoda"));
    assert_eq!(world.reply(connection, second), Some(ReplyBody::Refused(Refusal::OutOfOrder)));
    world.check_next();
    assert_eq!(world.reply(connection, first), Some(welcome("yoda", 0)));
    for logging_in in [false, true] {
        let connection = world.connect();
        if logging_in {
            world.try_login(connection, "yoda", "x");
        }
        world.send(connection, RequestBody::ActiveUsers);
        assert_eq!(world.closed.get(&connection), Some(&CloseReason::NotLoggedIn));
    }
}

#[test]
fn the_operator_is_told_of_failures() {
    let mut world = World::new(&["yoda"]);
    for _ in 0..3 {
        world.login_with("yoda", "wrong");
    }
    let blocked = LoginRefusal::Blocked { retry_after_ms: 10_000 };
    let refusals = [LoginRefusal::InvalidCredentials, LoginRefusal::InvalidCredentials, blocked];
    assert_eq!(world.activities, refusals.map(|refusal| failed("yoda", refusal)));
}

#[test]
fn an_address_from_which_many_names_fail_is_refused_by_itself_until_few_enough_are_left() {
    let mut world = World::new(&["yoda"]);
    let right = password_of("yoda");
    world.try_from("192.0.2.1:1", "first", "wrong");
    world.advance(Duration::from_secs(10));
    for number in 1..MAX_FAILED_NAMES_PER_ADDRESS {
        assert_eq!(world.try_from("192.0.2.1:1", &format!("user{number}"), "wrong"), Some(INVALID));
    }
    assert_eq!(world.try_from("192.0.2.1:1", "user1", "again"), Some(INVALID), "the same name counts once");
    let session = world.connect_from("192.0.2.1:2");
    let id = world.try_login(session, "yoda", &right);
    assert_eq!(world.reply(session, id), Some(welcome("yoda", 0)), "just as many as there may be");
    assert_eq!(world.try_from("192.0.2.1:1", "one more", "wrong"), Some(INVALID));

    world.hold_checks = true;
    let log = world.log.len();
    for name in ["yoda", "another", "one more"] {
        assert_eq!(world.try_from("192.0.2.1:1", name, &right), Some(busy_for(50_000)), "{name}");
    }
    assert!(world.checks.is_empty() && world.log.len() == log);
    world.hold_checks = false;
    assert!(matches!(world.ask(session, RequestBody::ActiveUsers), ReplyBody::ActiveUsers(_)), "sessions stay");
    assert_eq!(world.try_from("198.51.100.7:1", "yoda", &right), Some(ALREADY), "others are not refused");
    world.advance(Duration::from_nanos(49_999_000_001));
    assert_eq!(world.try_from("192.0.2.1:1", "another", "wrong"), Some(busy_for(1)), "rounded up");
    world.advance(Duration::from_nanos(999_999));
    assert_eq!(world.try_from("192.0.2.1:1", "another", "wrong"), Some(INVALID), "the first is over");
    assert_eq!(world.try_from("192.0.2.1:1", "another", "wrong"), Some(busy_for(10_000)), "again too many");
    let guesses = [(); 2].map(|()| world.try_from("198.51.100.7:1", "one more", "wrong"));
    assert_eq!(guesses, [Some(INVALID), Some(BLOCKED)], "what was refused did not count against the name");
}

#[test]
fn a_name_that_succeeds_does_not_count_against_its_address() {
    let mut world = World::new(&["yoda"]);
    assert_eq!(world.try_from("192.0.2.1:1", "yoda", "mistyped"), Some(INVALID));
    for number in 1..MAX_FAILED_NAMES_PER_ADDRESS {
        world.try_from("192.0.2.1:1", &format!("user{number}"), "wrong");
    }
    assert_eq!(world.try_from("192.0.2.1:1", "yoda", &password_of("yoda")), Some(welcome("yoda", 1)));
    assert_eq!(world.try_from("192.0.2.1:1", "another", "wrong"), Some(INVALID));
    assert_eq!(world.try_from("192.0.2.1:1", "another", "wrong"), Some(INVALID), "there was room for one");
    assert_eq!(world.try_from("192.0.2.1:1", "one more", "wrong"), Some(INVALID));
    assert_eq!(world.try_from("192.0.2.1:1", "one more", "wrong"), Some(busy_for(60_000)));
}

#[test]
fn a_64_is_one_address_and_a_blocked_name_is_told_so_from_a_refused_one_too() {
    let mut world = World::new(&["yoda"]);
    for number in 0..=MAX_FAILED_NAMES_PER_ADDRESS {
        world.try_from(&format!("[2001:db8::{number:x}]:1"), &format!("user{number}"), "wrong");
    }
    assert_eq!(world.try_from("[2001:db8::ffff:1]:1", "yoda", "x"), Some(busy_for(60_000)));
    assert_eq!(world.try_from("[2001:db8:0:1::1]:1", "yoda", "x"), Some(INVALID));
    for _ in 0..2 {
        world.try_from("[2001:db8:0:1::1]:1", "yoda", "x");
    }
    assert_eq!(world.try_from("[2001:db8::1]:1", "yoda", "x"), Some(BLOCKED));
}

#[test]
fn who_waits_behind_the_same_name_is_refused_once_the_address_is() {
    let mut world = World::new(&["yoda"]);
    for number in 0..MAX_FAILED_NAMES_PER_ADDRESS {
        world.try_from("192.0.2.1:1", &format!("user{number}"), "wrong");
    }
    world.hold_checks = true;
    let [first, second] = [(); 2].map(|()| {
        let connection = world.connect();
        (connection, world.try_login(connection, "yoda", "wrong"))
    });
    world.check_next();
    assert_eq!(world.reply(first.0, first.1), Some(INVALID));
    assert_eq!((world.reply(second.0, second.1), world.checks.len()), (Some(busy_for(60_000)), 0));
}

#[test]
fn users_are_told_at_their_next_login_how_many_failed() {
    let mut world = World::new(&["yoda", "luke"]);
    let right = password_of("yoda");
    for answer in [INVALID, INVALID, BLOCKED, BLOCKED] {
        assert_eq!(world.try_from("198.51.100.7:1", "yoda", "guess"), Some(answer));
    }
    assert_eq!(world.login_with("yoda", &right), BLOCKED);
    world.advance(BLOCK);
    assert_eq!(world.login_with("luke", &password_of("luke")), welcome("luke", 0));
    let session = world.connect();
    let id = world.try_login(session, "yoda", &right);
    assert_eq!(world.reply(session, id), Some(welcome("yoda", 5)));
    assert_eq!(world.login_with("yoda", "guess"), INVALID);
    assert_eq!(world.login_with("yoda", &right), ALREADY, "nobody was told here");
    world.disconnect(session);
    assert_eq!(world.login_with("yoda", &right), welcome("yoda", 1));
}

#[test]
fn failures_are_told_to_nobody_but_the_user_whose_account_it_was_then() {
    let mut world = World::new(&["yoda"]);
    world.login_with("yoda", "guess");
    world.login_with("luke", "guess");
    world.commit(Fact::AccountRemoved { name: name("yoda") });
    world.add_account("yoda");
    world.add_account("luke");
    for user in ["yoda", "luke"] {
        assert_eq!(world.login_with(user, &password_of(user)), welcome(user, 0));
    }
}

impl World {
    /// A login of a new connection from `address`, and its answer.
    fn try_from(&mut self, address: &str, name: &str, password: &str) -> Option<ReplyBody> {
        let connection = self.connect_from(address);
        let id = self.try_login(connection, name, password);
        let answer = self.reply(connection, id);
        if !matches!(answer, Some(ReplyBody::Welcome { .. })) {
            self.disconnect(connection);
        }
        answer
    }

    /// How many failures of this name count, found by failing until it is blocked.
    fn login_all_failures(&mut self, user: &str) -> u32 {
        self.hold_checks = false;
        for more in 1..=3 {
            if self.login_with(user, "wrong") == BLOCKED {
                return 3 - more;
            }
        }
        0
    }
}
