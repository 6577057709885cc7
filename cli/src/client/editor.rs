//! The line editor: what others do appears above the line that is being typed, which stays as it is.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, ExternalPrinter, Helper};

use super::above::Above;
use crate::color::Paint;

/// How many lines can be called back with the arrow keys.
const HISTORY_LINES: usize = 1000;

/// Reads lines from a terminal.
pub(super) struct Editor {
    inner: rustyline::Editor<LastLine, MemHistory>,
}

/// What came of reading a line.
pub(super) enum Read {
    Line(String),
    Ended,
    Interrupted,
    Failed(String),
}

impl Editor {
    /// An editor and what prints above its line, or `None` if this terminal is none that can be edited on.
    pub(super) fn open(paint: Paint) -> Option<(Editor, Above)> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)
            .ok()?
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let history = MemHistory::with_config(&config);
        let mut inner = rustyline::Editor::with_history(config, history).ok()?;
        let mut printer = inner.create_external_printer().ok()?;
        let above = Above::start(move |text| printer.print(text).map_err(|error| io::Error::other(error.to_string())));
        inner.set_helper(Some(LastLine { line: RefCell::default(), paint }));
        Some((Editor { inner }, above))
    }

    /// Reads one line. Ctrl-C clears what is there; on an empty line, or if it is the `end`, it interrupts.
    pub(super) fn read(&mut self, prompt: &str, end: &AtomicBool) -> Read {
        loop {
            if let Some(last) = self.inner.helper() {
                last.line.borrow_mut().clear();
            }
            match self.inner.readline(prompt) {
                Ok(line) => return Read::Line(line),
                Err(ReadlineError::Eof) => return Read::Ended,
                Err(ReadlineError::Interrupted) if self.has_text() && !end.load(Ordering::SeqCst) => {}
                Err(ReadlineError::Interrupted) => return Read::Interrupted,
                Err(ReadlineError::Signal(rustyline::error::Signal::Resize)) => {}
                Err(ReadlineError::Signal(_)) => return Read::Interrupted,
                Err(error) => return Read::Failed(error.to_string()),
            }
        }
    }

    fn has_text(&self) -> bool {
        self.inner.helper().is_some_and(|last| !last.line.borrow().is_empty())
    }
}

/// Remembers the line as it is now: the editor does not say what was on it when Ctrl-C came.
struct LastLine {
    line: RefCell<String>,
    paint: Paint,
}

impl Hinter for LastLine {
    type Hint = String;

    fn hint(&self, line: &str, _position: usize, _context: &Context<'_>) -> Option<String> {
        line.clone_into(&mut self.line.borrow_mut());
        None
    }
}

impl Completer for LastLine {
    type Candidate = String;
}

impl Highlighter for LastLine {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        Cow::Owned(self.paint.question(prompt))
    }
}

impl Validator for LastLine {}
impl Helper for LastLine {}

/// The terminal's settings as they were at the start, to be put back if a reader is left behind in the middle
/// of a password or a line.
pub(crate) struct Terminal(Option<Termios>);

impl Terminal {
    /// Remembers the settings, if standard input is a terminal.
    pub(crate) fn remember() -> Terminal {
        Terminal(io::stdin().is_terminal().then(|| tcgetattr(io::stdin()).ok()).flatten())
    }

    /// Puts them back.
    pub(crate) fn restore(&self) {
        if let Some(settings) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
        }
    }
}
