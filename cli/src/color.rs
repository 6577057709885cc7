//! Colours, sparingly: what went wrong is red, what is asked is bold.

use std::env;
use std::io::IsTerminal;

use crate::args::Color;

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// As `--color` says, for text that goes to `stream`. See <https://no-color.org>.
    pub(crate) fn new(color: Color, stream: &impl IsTerminal) -> Paint {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let on = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                stream.is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Paint { on }
    }

    /// What went wrong.
    pub(crate) fn error(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is asked.
    pub(crate) fn question(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.on {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_and_never_are_obeyed_wherever_the_text_goes() {
        let stream = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Paint::new(Color::Always, &stream).error("no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Paint::new(Color::Never, &stream).error("no"), "no");
        assert_eq!(Paint::new(Color::Auto, &stream).question("what?"), "what?", "this is no terminal");
    }
}
