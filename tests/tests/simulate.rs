//! The command that runs seeds, as a process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn simulate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = simulate(arguments).output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A figure of the table at the end.
fn figure(stdout: &str, what: &str) -> f64 {
    let line = stdout.lines().find(|line| line.trim_start().starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no {what:?} in {stdout}"));
    line.split_whitespace().last().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_time_that_makes_no_sense_is_refused_and_a_short_one_runs_a_seed() {
    for minutes in ["0", "-1", "nan", "inf", "1e300", "18446744073709551615", "x"] {
        let (code, stdout, stderr) = output(&[&format!("--minutes={minutes}")]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{minutes}");
        assert!(stderr.contains("more than 0 and at most 525600 (a year), like 1.5"), "{stderr}");
    }
    let (code, stdout, stderr) = output(&["--minutes", "0.0000001", "--jobs", "1"]);
    assert_eq!((code, figure(&stdout, "runs")), (Some(0), 1.0), "{stderr}");
    assert!(figure(&stdout, "measured with ten clients") > 0.0);
    assert!(stderr.lines().next().is_some_and(|line| line.starts_with("1 seeds, 0 failures")), "{stderr}");
}

#[test]
fn the_last_seeds_of_all_end() {
    let (code, stdout, stderr) = output(&["--seeds", "18446744073709551613..18446744073709551615"]);
    assert_eq!((code, figure(&stdout, "runs")), (Some(0), 2.0), "{stderr}");
}

#[test]
fn an_interrupt_ends_the_runs_and_the_figures_so_far_are_told() {
    let mut child = simulate(&["--minutes", "10000", "--jobs", "1"]).spawn().expect("it runs");
    let mut progress = BufReader::new(child.stderr.take().expect("its progress"));
    let mut line = String::new();
    progress.read_line(&mut line).expect("a line");
    assert!(line.starts_with("1 seeds, 0 failures"), "{line}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is there");
    let mut stdout = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut stdout).expect("text");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    assert!(figure(&stdout, "runs") >= 1.0 && figure(&stdout, "virtual hours") >= 0.0, "{stdout}");
}

#[test]
fn a_run_that_is_told_shows_no_bytes() {
    let (code, stdout, stderr) = output(&["--seed", "3", "--verbose"]);
    assert_eq!(code, Some(0), "{stderr}");
    let events: Vec<&str> = stdout.lines().filter(|line| line.get(13..16) == Some(" s ")).collect();
    assert!(events.len() > 100, "{stdout}");
    assert!(events.iter().all(|line| line.chars().count() <= 260), "a long line");
}
