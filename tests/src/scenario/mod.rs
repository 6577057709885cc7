//! The scenarios, written once, and the trait through which they act on any world.
//!
//! A scenario is a function of a [`World`]: it starts a server, connects clients, gives commands as a person
//! would, and waits for what people are told. It never waits for a time to pass where a condition will do,
//! and it says that something did not happen only once something that is ordered behind it has.
//!
//! [`for_each_scenario`](crate::for_each_scenario) lists them all.

pub mod blocking;
pub mod broadcast;
pub mod crowd;
pub mod direct;
pub mod history;
pub mod login;
pub mod misbehaviour;
pub mod presence;
pub mod restart;
pub mod rooms;
pub mod steps;
pub mod transfer;
mod world;

pub use steps::{accounts, log_in, start};
pub use world::{ClientId, Downloaded, RawId, Setup, TestFile, World};

/// Calls a macro with all scenarios, as a list of `module: function, ...;`.
#[macro_export]
macro_rules! for_each_scenario {
    ($callback:ident) => {
        $callback! {
            login: good_and_bad_logins, an_unknown_user_is_like_a_wrong_password, a_second_login_is_refused,
                a_name_is_free_again_after_logout, a_login_may_come_again_on_the_same_connection;
        }
    };
}
