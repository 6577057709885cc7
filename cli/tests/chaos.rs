//! Processes that are killed while people post, in small; `cargo run --release -p toom-tests --bin chaos` is the whole.

use toom_tests::chaos::{Options, Victim, run};

fn nothing_is_lost(runtime: &str, victim: Victim) {
    let options = Options { toom: env!("CARGO_BIN_EXE_toom").into(), people: 4, kills: 5, seed: 1 };
    let outcome = run(runtime, victim, &options, |_| {}).expect("it can be carried out");
    println!("{outcome}");
    assert!(outcome.faults.is_empty(), "{outcome}");
    assert!(outcome.confirmed > 50, "hardly anything was posted: {outcome}");
    assert!(victim == Victim::Client || outcome.resumed > 4, "hardly anybody came back: {outcome}");
}

#[test]
fn nothing_confirmed_is_lost_when_the_server_is_killed_on_smol() {
    nothing_is_lost("smol", Victim::Server);
}

#[test]
fn nothing_confirmed_is_lost_when_the_server_is_killed_on_std() {
    nothing_is_lost("std", Victim::Server);
}

#[test]
fn nothing_confirmed_is_lost_when_clients_are_killed_on_smol() {
    nothing_is_lost("smol", Victim::Client);
}

#[test]
fn nothing_confirmed_is_lost_when_clients_are_killed_on_std() {
    nothing_is_lost("std", Victim::Client);
}
