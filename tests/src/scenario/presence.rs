//! `ATU`, `OUT`, who came and went, and `userlog.txt`.

use toom_core::client::command::Command;
use toom_core::client::event::Event;
use toom_core::client::io::AcceptPolicy;
use toom_core::wire::message::ActiveUser;

use super::steps::{log_in, password_of, start, user};
use super::world::{ClientId, World};

/// Nobody but oneself is no other active user.
pub fn alone_there_is_no_other_active_user(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    assert_eq!(active_users(world, yoda), []);
}

/// Others are listed with their addresses, UDP ports, and since when they are active; oneself is not.
pub fn others_are_listed_with_where_they_are(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let yoda = log_in(world, "yoda");
    let (_, before) = world.broadcast(yoda, "before they come");
    let mut expected = Vec::new();
    for name in ["luke", "leia"] {
        let client = world.connect(AcceptPolicy::Ask);
        let port = world.try_login(client, name, &password_of(name)).expect("the right password");
        assert_ne!(port, 0);
        expected.push((name.to_owned(), world.address(client), port));
    }
    let (_, after) = world.broadcast(yoda, "after they came");
    let listed = active_users(world, yoda);
    let mut found = Vec::new();
    for active in listed {
        assert!(before <= active.since && active.since <= after, "{active:?} between {before:?} and {after:?}");
        found.push((active.name.to_string(), active.address, active.udp_port));
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Everyone is told who comes and who logs out, and a list is right at once.
pub fn coming_and_going_is_told(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    world.wait(yoda, "luke's coming", |event| *event == Event::Joined { user: user("luke") });
    world.log_out(luke);
    world.absent(luke, "its own coming or going", |event| matches!(event, Event::Joined { .. } | Event::Left { .. }));
    world.wait(yoda, "luke's going", |event| *event == Event::Left { user: user("luke") });
    assert_eq!(active_users(world, yoda), []);
}

/// `userlog.txt` has a row for each active user; when one logs out the rest are renumbered.
pub fn the_user_log_is_renumbered_at_logout(world: &mut dyn World) {
    start(world, &["yoda", "luke", "leia"]);
    let [yoda, luke, leia] = ["yoda", "luke", "leia"].map(|name| log_in(world, name));
    let rows = |world: &mut dyn World| -> Vec<(String, String)> {
        let log = world.user_log();
        log.lines().map(|row| row_of(row).unwrap_or_else(|| panic!("{row:?} is no row of the user log"))).collect()
    };
    let numbered = |names: &[&str]| -> Vec<(String, String)> {
        names.iter().zip(1..).map(|(name, number): (_, u32)| (number.to_string(), (*name).to_owned())).collect()
    };
    world.until("all are in the user log", |world| rows(world) == numbered(&["yoda", "luke", "leia"]));
    world.log_out(luke);
    world.until("luke is gone from the user log", |world| rows(world) == numbered(&["yoda", "leia"]));
    let _luke = log_in(world, "luke");
    world.until("luke is back at the end", |world| rows(world) == numbered(&["yoda", "leia", "luke"]));
    world.log_out(yoda);
    world.log_out(leia);
    world.until("luke is the first", |world| rows(world) == numbered(&["luke"]));
}

/// A client that is gone without a word does not stay active for ever, nor keep its name.
pub fn a_lost_connection_ends_the_session(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    world.kill(luke);
    world.wait(yoda, "luke's going", |event| *event == Event::Left { user: user("luke") });
    let luke = log_in(world, "luke");
    world.broadcast(luke, "I am back");
    world.hears(yoda, "I am back");
}

/// `ATU`, answered.
pub fn active_users(world: &mut dyn World, client: ClientId) -> Vec<ActiveUser> {
    world.command(client, Command::ActiveUsers);
    world.pick(client, "the list of active users", |event| match event {
        Event::ActiveUsers(users) => Some(users.clone()),
        _ => None,
    })
}

/// Number and name of a row, if it has everything: `1; 1 Jun 2022 21:30:04; yoda; 129.64.1.11; 6666`.
fn row_of(row: &str) -> Option<(String, String)> {
    let [number, since, name, address, port] = row.split("; ").collect::<Vec<_>>().try_into().ok()?;
    toom_store::wall::parse(since)?;
    address.parse::<std::net::IpAddr>().ok()?;
    port.parse::<u16>().ok().filter(|port| *port != 0)?;
    Some((number.to_owned(), name.to_owned()))
}
