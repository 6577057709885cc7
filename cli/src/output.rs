//! Writing to the standard streams. A reader that has gone away is an ordinary end, never a panic, so nothing
//! here uses `println!`.

use std::io::{self, Write};

use toom_core::text::printable;

use crate::args::Color;
use crate::color::Paint;
use crate::exit::Failure;

/// Writes `text` and a line end to standard output, at once. An error means that nobody reads any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes `text` to standard output as it is, at once.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What an error of [`line()`] or [`text()`] means: nothing if the reader has gone away.
pub(crate) fn failure(error: &io::Error) -> Option<Failure> {
    let gone = error.kind() == io::ErrorKind::BrokenPipe;
    (!gone).then(|| Failure::failed(format!("Standard output cannot be written: {error}.")))
}

/// Writes `text`, made harmless, and a line end to standard error. What cannot be said there cannot be said at all.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Puts a question on standard error, whose answer follows it.
pub(crate) fn question(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes lines that are harmless already to standard error.
pub(crate) fn error_line(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

/// The same as [`note`] for what went wrong.
pub(crate) fn error(text: &str, color: Color) {
    let paint = Paint::new(color, &io::stderr());
    let _ = writeln!(io::stderr().lock(), "{}", paint.error(&printable(text)));
}
