//! Ctrl-C, SIGTERM and SIGHUP (the terminal has gone away), heard in one thread.

use std::{fs, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Exit, Failure};

/// Calls `on_signal` for every such signal from now on, from a thread of its own.
pub(crate) fn watch(mut on_signal: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    watch_each(move |_| on_signal())
}

/// What a server is asked to do by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end.
    Stop,
    /// SIGHUP.
    HangUp,
}

/// As [`watch`], and tells which.
pub(crate) fn watch_each(mut on_signal: impl FnMut(Asked) + Send + 'static) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("Signals cannot be handled: {error}."));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    if !hangups_are_ignored() {
        signals.add_signal(SIGHUP).map_err(failed)?;
    }
    let listen = move || {
        signals.forever().for_each(|signal| on_signal(if signal == SIGHUP { Asked::HangUp } else { Asked::Stop }))
    };
    thread::Builder::new().name("signals".into()).spawn(listen).map_err(failed)?;
    Ok(())
}

/// At the first signal calls `tidy`, then ends the process as interrupted.
pub(crate) fn exit_after(mut tidy: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    watch(move || {
        tidy();
        std::process::exit(Exit::Interrupted as i32);
    })
}

/// Whether we were started by `nohup`, which a handler would undo. Only Linux says so in a file.
fn hangups_are_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP))
}

fn ignores(status: &str, signal: i32) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_the_bits_of_a_mask() {
        let status = "Name:\ttoom\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP) && !ignores(status, SIGINT) && !ignores(status, SIGTERM));
        assert!(!ignores("Name:\ttoom\nSigIgn:\t0000000000001000\n", SIGHUP) && !ignores("", SIGHUP));
    }
}
