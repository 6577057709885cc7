//! How far many runs are: a line that changes on a terminal, a plain line now and then elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often the line of a terminal changes.
const ON_A_TERMINAL: Duration = Duration::from_millis(100);
/// How often a line comes elsewhere: in the log of a machine that runs it at night.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// The line.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    shown: Cell<Option<Instant>>,
}

impl Progress {
    /// On the error output, whatever that is.
    pub fn new() -> Progress {
        Progress { terminal: stderr().is_terminal(), shown: Cell::new(None) }
    }

    /// Shows `words`, if it is time: the first ones at once.
    pub fn show(&self, words: impl FnOnce() -> String) {
        let now = Instant::now();
        if is_due(self.terminal, self.shown.get(), now) {
            self.shown.set(Some(now));
            let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
            // Nothing is lost if it is not shown.
            let _ = write!(stderr(), "{before}{}{after}", words());
            let _ = stderr().flush();
        }
    }

    /// Takes it away, if it is in the way of other lines.
    pub fn clear(&self) {
        if self.terminal && self.shown.get().is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

fn is_due(terminal: bool, shown: Option<Instant>, now: Instant) -> bool {
    let pause = if terminal { ON_A_TERMINAL } else { ELSEWHERE };
    shown.is_none_or(|shown| now.saturating_duration_since(shown) >= pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_at_once_and_then_now_and_then_on_a_terminal_more_often() {
        let start = Instant::now();
        for (terminal, pause) in [(true, ON_A_TERMINAL), (false, ELSEWHERE)] {
            assert!(is_due(terminal, None, start));
            assert!(is_due(terminal, Some(start), start + pause));
            assert!(!is_due(terminal, Some(start), start + pause - Duration::from_nanos(1)));
        }
    }
}
