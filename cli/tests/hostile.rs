//! Attacks on the binary as people run it, in small; `cargo run --release -p toom-tests --bin hostile` is the whole.

use toom_tests::hostile::{Options, run};

fn nobody_is_disturbed(runtime: &'static str) {
    let options = Options { toom: env!("CARGO_BIN_EXE_toom").into(), only: None, logins: 1_000, short: true, seed: 1 };
    let mut disturbed = Vec::new();
    let rows = run(runtime, &options, |row| {
        println!("{row}");
        disturbed.extend(row.faults().iter().map(|fault| format!("{row}\n{fault}")));
    });
    assert!(rows.expect("the attacks can be made").len() > 15);
    assert!(disturbed.is_empty(), "{}", disturbed.join("\n"));
}

#[test]
fn nobody_is_disturbed_on_smol() {
    nobody_is_disturbed("smol");
}

#[test]
fn nobody_is_disturbed_on_std() {
    nobody_is_disturbed("std");
}
