//! Logging in: who may, who may not, and what is told.

use toom_core::client::command::Command;
use toom_core::client::event::Failure;
use toom_core::client::io::AcceptPolicy;
use toom_core::id::MessageNumber;
use toom_core::wire::message::LoginRefusal::{AlreadyActive, InvalidCredentials};

use super::steps::{log_in, password_of, start};
use super::world::World;

/// The right password gets in, a wrong one does not.
pub fn good_and_bad_logins(world: &mut dyn World) {
    start(world, &["yoda", "obi-wan"]);
    let yoda = world.connect(AcceptPolicy::Ask);
    assert_eq!(world.try_login(yoda, "yoda", "jedi"), Err(InvalidCredentials));
    assert_eq!(world.try_login(yoda, "yoda", &password_of("obi-wan")), Err(InvalidCredentials));

    let obi_wan = world.connect(AcceptPolicy::Ask);
    assert!(world.try_login(obi_wan, "obi-wan", &password_of("obi-wan")).is_ok());
    assert_eq!(world.broadcast(obi_wan, "I am in").0, MessageNumber(1));
}

/// Nothing tells a name that does not exist from a wrong password; names are case-sensitive.
pub fn an_unknown_user_is_like_a_wrong_password(world: &mut dyn World) {
    start(world, &["yoda"]);
    for name in ["han", "Yoda", "no name", "", "yoda "] {
        let stranger = world.connect(AcceptPolicy::Ask);
        let refusal = world.try_login(stranger, name, &password_of("yoda"));
        assert_eq!(refusal, Err(InvalidCredentials), "{name:?}");
        assert_eq!(world.fails(stranger, Command::ActiveUsers), Failure::NotLoggedIn);
    }
}

/// A user can be active once; that is told after the right password only.
pub fn a_second_login_is_refused(world: &mut dyn World) {
    start(world, &["yoda", "luke"]);
    let yoda = log_in(world, "yoda");
    assert_eq!(world.try_login_anew("yoda", &password_of("yoda")), Err(AlreadyActive));
    assert_eq!(world.try_login_anew("yoda", "wrong"), Err(InvalidCredentials));
    // The first session has not noticed.
    let luke = log_in(world, "luke");
    world.broadcast(luke, "still there?");
    world.hears(yoda, "still there?");
}

/// After `OUT`, the same user can log in again, from a new client.
pub fn a_name_is_free_again_after_logout(world: &mut dyn World) {
    start(world, &["yoda"]);
    for _ in 0..3 {
        let yoda = log_in(world, "yoda");
        world.log_out(yoda);
    }
}

/// A person who mistypes the password tries again without connecting anew, and the failures are forgotten.
pub fn a_login_may_come_again_on_the_same_connection(world: &mut dyn World) {
    start(world, &["yoda"]);
    for _ in 0..3 {
        let yoda = world.connect(AcceptPolicy::Ask);
        assert_eq!(world.try_login(yoda, "yoda", "wrong"), Err(InvalidCredentials));
        assert_eq!(world.try_login(yoda, "yoda", "wrong again"), Err(InvalidCredentials));
        assert!(world.try_login(yoda, "yoda", &password_of("yoda")).is_ok());
        world.log_out(yoda);
    }
}
