//! `toom server`: settings, accounts, and the life of the process around the driver's server.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::mpsc;

use serde_json::json;
use toom_core::config::ServerConfig;
use toom_core::server::PostRates;
use toom_core::server::activity::Activity;
use toom_core::text::printable;
use toom_core::wire::limits::ATTEMPTS;

use crate::args::{Global, ServerArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::service::Manager;
use crate::signals::Asked;
use crate::{accounts, activity, credentials, dirs, maintenance, output, signals};

/// Runs a server until Ctrl-C or SIGTERM. SIGHUP stops one that was started at a terminal, which has gone away then; any
/// other one reads its configuration again.
pub(crate) fn run(args: &ServerArgs, global: &Global) -> Outcome {
    if let Some(command) = &args.command {
        return maintenance::run(command, global);
    }
    let attempts = parse_attempts(&args.attempts)?;
    let data = dirs::data(args.data.data.as_deref())?;
    import(args, &data, global)?;
    let manager = Manager::from_environment();
    let at_terminal = io::stdin().is_terminal() || io::stdout().is_terminal();
    let (ask, asked) = mpsc::channel();
    signals::watch_each(move |signal| {
        // After the signal that stops nobody listens.
        let _ = ask.send(signal);
    })?;
    let post_rates = PostRates { posts: args.post_rate, bytes: args.post_bytes_rate };
    let config = ServerConfig {
        listen: args.listen,
        data: data.clone(),
        attempts,
        block: args.block,
        post_rates,
        keep: args.keep,
        grace: args.grace,
    };
    let server = global.runtime.serve(config, printer(global))?;
    announce(&server.address().to_string(), &server.key().to_string(), &data, global);
    if accounts::existing(&data)?.is_empty() {
        output::note("There is no account yet; add one with: toom user add NAME");
    }
    manager.ready();
    // An error would mean that the thread of the signals is gone; then there is no reason to go on either.
    while let Ok(Asked::HangUp) = asked.recv() {
        if at_terminal {
            break;
        }
        manager.reloading();
        // A mistake in a file stops nobody who is talking.
        match import(args, &data, global) {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(failure) => tracing::error!("the configuration was not read again: {}", failure.message),
        }
        manager.ready();
    }
    manager.stopping();
    server.stop();
    if !global.json && !global.quiet {
        let _ = output::line("The server has stopped.");
    }
    Ok(Exit::Done)
}

/// Adds the accounts of the credentials file that are missing.
fn import(args: &ServerArgs, data: &Path, global: &Global) -> Result<(), Failure> {
    if let Some(file) = &args.credentials {
        let added = accounts::add_missing(data, credentials::read(file)?, !global.quiet)?;
        tracing::info!(added, "accounts imported");
    }
    Ok(())
}

/// The sentence is the assignment's.
fn parse_attempts(value: &str) -> Result<u32, Failure> {
    match value.parse() {
        Ok(attempts) if ATTEMPTS.contains(&attempts) => Ok(attempts),
        _ => Err(Failure::usage(format!(
            "Invalid number of allowed failed consecutive attempt: {}. The valid value of argument number is an \
             integer between {} and {}",
            printable(value),
            ATTEMPTS.start(),
            ATTEMPTS.end()
        ))),
    }
}

/// Says where the server is. Scripts wait for this line, so `--quiet` does not take it from them.
fn announce(address: &str, key: &str, data: &Path, global: &Global) {
    let _ = match (global.json, global.quiet) {
        (true, _) => output::line(&json!({"event": "listening", "address": address, "key": key}).to_string()),
        (false, true) => Ok(()),
        (false, false) => output::line(&format!(
            "The server is listening on {address}.\nIts key is {key}.\nIts data is in {}. Press Ctrl-C to stop it.",
            printable(&data.display().to_string())
        )),
    };
}

/// Shows what people do. A terminal that has gone away does not stop the server.
fn printer(global: &Global) -> impl FnMut(Activity) + Send + 'static {
    let (json, quiet) = (global.json, global.quiet);
    move |happened| {
        if quiet {
            return;
        }
        let text = if json { activity::json(&happened) } else { activity::sentence(&happened) };
        if let Some(text) = text {
            let _ = output::line(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_one_to_five() {
        for (value, attempts) in [("1", 1), ("3", 3), ("5", 5)] {
            assert_eq!(parse_attempts(value), Ok(attempts));
        }
        for value in ["0", "6", "-1", "2.5", "three", "", "4294967297"] {
            let failure = parse_attempts(value).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert_eq!(
                failure.message,
                format!(
                    "Invalid number of allowed failed consecutive attempt: {value}. The valid value of argument \
                     number is an integer between 1 and 5"
                )
            );
        }
    }
}
