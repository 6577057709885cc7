//! What the program says about itself, on standard error: warnings, and more with `-v`.
//!
//! `TOOM_LOG` overrides it with a filter such as `toom_smol=debug,warn`. While a line editor owns the terminal,
//! it takes the lines over, so that they do not run into what is being typed.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use toom_core::text::printable;
use tracing_subscriber::EnvFilter;

type Printer = Box<dyn FnMut(&str) + Send>;

static EDITOR: Mutex<Option<Printer>> = Mutex::new(None);

/// Starts it. `verbose` counts `-v`.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("TOOM_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines)
        .with_ansi(false)
        .with_target(verbose > 1)
        .log_internal_errors(false);
    // Only a second start could fail, and there is none.
    let _ = subscriber.try_init();
}

/// From now on lines go to `printer`; `None` gives standard error back.
pub(crate) fn redirect(printer: Option<Printer>) {
    *editor() = printer;
}

fn editor() -> MutexGuard<'static, Option<Printer>> {
    EDITOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gets each line of the log with one call of `write`.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = harmless(line);
        match editor().as_mut() {
            Some(print) => print(&shown),
            None => io::stderr().lock().write_all(format!("{shown}\n").as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line without its end. Whatever it is about, one event is one line, and steers no terminal.
fn harmless(line: &[u8]) -> String {
    printable(String::from_utf8_lossy(line).trim_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_harmless_line_whatever_it_tells_of() {
        let line = "WARN a file is gone: x\u{1b}]0;owned\u{7}y\nERROR forged \u{202e}\n";
        assert_eq!(harmless(line.as_bytes()), "WARN a file is gone: x\u{fffd}y\u{fffd}ERROR forged \u{fffd}");
        assert_eq!(harmless(b"caf\xc3\xa9 \xff\n"), "caf\u{e9} \u{fffd}");
    }
}
