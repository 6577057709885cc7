//! Accounts that change while the server runs (`toom user`).

use toom_core::client::command::Command;
use toom_core::client::event::{Event, Failure};
use toom_core::server::fact::Fact;
use toom_core::wire::message::LoginRefusal::InvalidCredentials;

use super::steps::{hash_of, log_in, password_of, start, user};
use super::world::World;

/// Who gets an account can log in, and be written to, without a restart.
pub fn an_account_can_be_added_while_the_server_runs(world: &mut dyn World) {
    start(world, &["yoda"]);
    let yoda = log_in(world, "yoda");
    let write = || Command::DirectMessage { to: "luke".into(), text: "welcome".into() };
    assert_eq!(world.fails(yoda, write()), Failure::NoSuchUser(vec!["luke".into()]));
    world.append(Fact::AccountAdded { name: user("luke"), hash: hash_of(&password_of("luke")) });
    world.until("luke's account is there", |world| {
        world.command(yoda, write());
        world.pick(yoda, "an answer", |event| match event {
            Event::Sent { .. } => Some(true),
            Event::Error(Failure::NoSuchUser(_)) => Some(false),
            _ => None,
        })
    });
    let luke = log_in(world, "luke");
    world.wait(luke, "the message that waited", |event| matches!(event, Event::DirectMessage { .. }));
}

/// The new password gets in, the old one does not, and who is active stays so.
pub fn a_changed_password_counts_at_once(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    world.append(Fact::PasswordChanged { name: user("luke"), hash: hash_of("new") });
    let mut luke = None;
    world.until("the new password counts", |world| {
        luke = world.try_login_anew("luke", "new").ok();
        luke.is_some() || {
            // So that these failures do not add up to a block.
            let client = world.try_login_anew("luke", &password_of("luke"));
            client.into_iter().for_each(|client| world.log_out(client));
            false
        }
    });
    let luke = luke.expect("a client that is logged in");
    world.log_out(luke);
    assert_eq!(world.try_login_anew("luke", &password_of("luke")), Err(InvalidCredentials));
    world.broadcast(yoda, "still here");
}

/// Whose account is removed is disconnected, unknown to others, and cannot log in.
pub fn a_removed_account_is_gone_with_its_session(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    let luke = log_in(world, "luke");
    world.append(Fact::AccountRemoved { name: user("luke") });
    world.wait(luke, "the end of the connection", |event| matches!(event, Event::ConnectionLost { .. }));
    world.wait(yoda, "luke's going", |event| *event == Event::Left { user: user("luke") });
    let write = Command::DirectMessage { to: "luke".into(), text: "where are you?".into() };
    assert_eq!(world.fails(yoda, write), Failure::NoSuchUser(vec!["luke".into()]));
    assert_eq!(world.try_login_anew("luke", &password_of("luke")), Err(InvalidCredentials));
}
