//! Ctrl-C and SIGTERM, heard in one thread.

use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Exit, Failure};

/// Calls `on_signal` for every SIGINT and SIGTERM from now on, from a thread of its own.
pub(crate) fn watch(mut on_signal: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("Signals cannot be handled: {error}."));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let listen = move || signals.forever().for_each(|_| on_signal());
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
