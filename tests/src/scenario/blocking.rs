//! Blocking: too many consecutive failures of a user, and what that means for everyone.

use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use toom_core::wire::message::LoginRefusal::{self, Blocked, InvalidCredentials};
use toom_core::wire::message::ReplyBody;

use super::steps::{log_in, login_request, password_of, start};
use super::world::{ClientId, World};

/// Where nobody else comes from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Candidates for a block: see [`while_blocked`].
const NAMES: [&str; 5] = ["yoda", "luke", "leia", "han", "lando"];

/// The third failure in a row answers `blocked`, and says for how long.
pub fn the_third_consecutive_failure_blocks(world: &mut dyn World) {
    start(world, &["yoda"]);
    block(world, "yoda");
}

/// The right password, a wrong one, another connection, another address: all are told `blocked`.
pub fn a_block_refuses_even_the_right_password_from_anywhere(world: &mut dyn World) {
    start(world, &NAMES);
    let seen = while_blocked(world, |world, name| {
        let mut seen = vec![world.try_login_anew(name, &password_of(name)), world.try_login_anew(name, "wrong")];
        seen.push(login_from(world, ELSEWHERE, name, &password_of(name)));
        seen
    });
    for refusal in seen {
        assert!(is_blocked(&refusal), "{refusal:?}");
    }
}

/// Failures from several connections and addresses add up.
pub fn failures_count_over_all_connections_and_addresses(world: &mut dyn World) {
    start(world, &["yoda"]);
    assert_eq!(world.try_login_anew("yoda", "wrong"), Err(InvalidCredentials));
    assert_eq!(login_from(world, ELSEWHERE, "yoda", "wrong"), Err(InvalidCredentials));
    let third = world.try_login_anew("yoda", "wrong");
    assert!(is_blocked(&third), "{third:?}");
}

/// A block lasts as long as it should, and then the right password gets in.
pub fn a_block_ends(world: &mut dyn World) {
    start(world, &["yoda"]);
    let since = block(world, "yoda");
    after_block(world, "yoda", &password_of("yoda"), |login| login.is_ok());
    let lasted = world.elapsed() - since;
    assert!(lasted >= world.block(), "the block lasted {lasted:?} only");
}

/// What is tried during a block does not count afterwards: three more failures are needed for another block.
pub fn tries_during_a_block_do_not_count(world: &mut dyn World) {
    start(world, &["yoda"]);
    block(world, "yoda");
    after_block(world, "yoda", "wrong", |login| *login == Err(InvalidCredentials));
    assert_eq!(world.try_login_anew("yoda", "wrong"), Err(InvalidCredentials));
    let third = world.try_login_anew("yoda", "wrong");
    assert!(is_blocked(&third), "{third:?}");
}

/// A name without an account is blocked like one that has one.
pub fn an_unknown_name_is_blocked_too(world: &mut dyn World) {
    start(world, &["yoda"]);
    block(world, "nobody");
    let seen = while_blocked_one_of(world, &["no-one", "stranger", "noone", "x", "y"], |world, name| {
        world.try_login_anew(name, "anything")
    });
    assert!(is_blocked(&seen), "{seen:?}");
}

/// Others log in as ever, and who is active already stays so.
pub fn a_block_is_nobody_elses_business(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    block(world, "yoda");
    let luke = log_in(world, "luke");
    world.broadcast(luke, "are you blocked?");
    world.hears(yoda, "are you blocked?");
    world.broadcast(yoda, "no");
    world.hears(luke, "no");
}

/// A block is in the log: a restart of the server does not end it.
pub fn a_block_survives_a_restart(world: &mut dyn World) {
    start(world, &NAMES);
    let seen = while_blocked(world, |world, name| {
        world.restart_server();
        world.try_login_anew(name, &password_of(name))
    });
    assert!(is_blocked(&seen), "{seen:?}");
}

fn is_blocked(login: &Result<ClientId, LoginRefusal>) -> bool {
    matches!(login, Err(Blocked { .. }))
}

/// Fails three times; a moment that is not after the beginning of the block.
fn block(world: &mut dyn World, name: &str) -> Duration {
    assert_eq!(world.try_login_anew(name, "wrong"), Err(InvalidCredentials));
    assert_eq!(world.try_login_anew(name, "wrong again"), Err(InvalidCredentials));
    let since = world.elapsed();
    match world.try_login_anew(name, "and again") {
        Err(Blocked { retry_after_ms }) => {
            let most = world.block().as_millis();
            assert!((1..=most).contains(&u128::from(retry_after_ms)), "{retry_after_ms} of {most} ms");
        }
        other => panic!("the third failure was answered with {other:?}"),
    }
    since
}

/// What `act` sees while a user is blocked. On a machine so slow that the block may have ended meanwhile, it
/// is done again with another user.
fn while_blocked<T>(world: &mut dyn World, act: impl FnMut(&mut dyn World, &str) -> T) -> T {
    while_blocked_one_of(world, &NAMES, act)
}

fn while_blocked_one_of<T>(world: &mut dyn World, names: &[&str], mut act: impl FnMut(&mut dyn World, &str) -> T) -> T {
    for name in names {
        let since = block(world, name);
        let seen = act(world, name);
        if world.elapsed() - since < world.block() {
            return seen;
        }
    }
    panic!("this machine is too slow to see anything during a block");
}

/// Tries again and again until the answer is not `blocked` any more: then it must be as hoped for.
fn after_block(
    world: &mut dyn World,
    name: &str,
    password: &str,
    hoped_for: impl Fn(&Result<ClientId, LoginRefusal>) -> bool,
) {
    world.until("the block has ended", |world| {
        let login = world.try_login_anew(name, password);
        assert!(is_blocked(&login) || hoped_for(&login), "{login:?}");
        !is_blocked(&login)
    });
}

/// Tries to log in without a client, from this address.
/// A login from an address, without a client.
pub(super) fn login_from(
    world: &mut dyn World,
    from: IpAddr,
    name: &str,
    password: &str,
) -> Result<ClientId, LoginRefusal> {
    let raw = world.connect_raw(Some(from));
    let replies = world.ask_raw(raw, &login_request(1, name, password), 1);
    world.close_raw(raw);
    match replies.as_slice() {
        [ReplyBody::LoginFailed(refusal)] => Err(*refusal),
        other => panic!("the login from elsewhere was answered with {other:?}"),
    }
}
