//! Limits on what strangers and users may do: whoever goes over one is refused or closed, and nobody else notices.

use std::net::{IpAddr, Ipv4Addr};

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure};
use toom_core::client::io::AcceptPolicy;
use toom_core::secure::Password;
use toom_core::server::PostRates;
use toom_core::wire::limits::{MAX_FAILED_NAMES_PER_ADDRESS, MAX_STRANGERS_PER_ADDRESS, MAX_TEXT_BYTES};
use toom_core::wire::message::LoginRefusal::{Busy, InvalidCredentials};

use super::blocking::login_from;
use super::steps::{accounts, log_in, password_of, start};
use super::world::{RawId, Setup, World};

/// Where the people do not come from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// More silent connections of one address than there may be: the oldest is closed, and everyone else stays.
pub fn silent_connections_push_out_the_oldest_of_them_only(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke] = [log_in(world, "yoda"), log_in(world, "luke")];
    let oldest = world.connect_raw(Some(ELSEWHERE));
    let waiting = world.connect(AcceptPolicy::Ask);
    // Whoever logs in now came after the oldest one.
    let leia = log_in(world, "leia");
    world.log_out(leia);
    let others: Vec<RawId> = (0..MAX_STRANGERS_PER_ADDRESS).map(|_| world.connect_raw(Some(ELSEWHERE))).collect();
    world.closed_raw(oldest);
    world.broadcast(yoda, "is anybody there?");
    world.hears(luke, "is anybody there?");
    assert!(world.try_login(waiting, "leia", &password_of("leia")).is_ok());
    others.into_iter().for_each(|raw| world.close_raw(raw));
}

/// An address from which many names fail is refused, for every name; elsewhere nobody is, and sessions stay.
pub fn an_address_from_which_many_names_fail_is_refused(world: &mut dyn World) {
    let names: Vec<String> = (0..=MAX_FAILED_NAMES_PER_ADDRESS).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["yoda", "luke"]).collect();
    start(world, &names);
    let yoda = log_in(world, "yoda");
    for name in &names[..=MAX_FAILED_NAMES_PER_ADDRESS] {
        assert_eq!(login_from(world, ELSEWHERE, name, "wrong").err(), Some(InvalidCredentials), "{name}");
    }
    for name in ["luke", "nobody", names[0]] {
        let refusal = login_from(world, ELSEWHERE, name, &password_of(name)).err();
        assert!(matches!(refusal, Some(Busy { retry_after_ms: 1..=60_000 })), "{refusal:?}");
    }
    let luke = log_in(world, "luke");
    world.broadcast(yoda, "are you there?");
    world.hears(luke, "are you there?");
}

/// Whoever logs in hears how many logins failed since the last time, and hears it once.
pub fn failed_logins_are_told_at_the_next_login(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    assert_eq!(world.try_login_anew("yoda", "wrong").err(), Some(InvalidCredentials));
    assert_eq!(login_from(world, ELSEWHERE, "yoda", "wrong").err(), Some(InvalidCredentials));
    for (name, expected) in [("luke", 0), ("yoda", 2), ("yoda", 0)] {
        let client = world.connect(AcceptPolicy::Ask);
        world.command(client, Command::Login { name: name.into(), password: Password(password_of(name)) });
        let told = world.pick(client, "a welcome", |event| match event {
            Event::Welcome { failed_logins, .. } => Some(*failed_logins),
            _ => None,
        });
        assert_eq!(told, expected, "{name}");
        world.log_out(client);
    }
}

/// Whoever posts more than the server allows is told when to go on, and others may post.
pub fn a_user_who_posts_too_much_is_refused(world: &mut dyn World) {
    let block = world.block();
    // The longest text, and then nothing for days.
    let post_rates = PostRates { posts: 0, bytes: 1 };
    world.start_server(&Setup {
        accounts: accounts(&["yoda", "luke"]),
        attempts: 3,
        block,
        post_rates,
        grace: core::time::Duration::ZERO,
        reconnect: false,
    });
    let [yoda, luke] = [log_in(world, "yoda"), log_in(world, "luke")];
    let longest = "x".repeat(MAX_TEXT_BYTES);
    world.broadcast(yoda, &longest);
    world.hears(luke, &longest);
    match world.fails(yoda, Command::Broadcast { text: longest.clone() }) {
        Failure::RateLimited { retry_after_ms } => assert!(retry_after_ms > 1_000_000, "{retry_after_ms}"),
        other => panic!("{other:?}"),
    }
    world.broadcast(luke, "may I?");
    world.hears(yoda, "may I?");
}
