//! Where passwords come from: a file, an inherited file descriptor, the terminal (without echo), or a line of
//! standard input. Never the command line, which other users of the machine can read.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toom_core::secure::Password;
use toom_core::wire::limits::MAX_PASSWORD_BYTES;
use zeroize::Zeroizing;

use crate::args::PasswordArgs;
use crate::exit::Failure;
use crate::output;

/// More than the longest password.
const MOST_READ: usize = 2 * MAX_PASSWORD_BYTES;

/// The password that `--password-file` or `--password-fd` gives, if one of them was said.
pub(crate) fn given(args: &PasswordArgs) -> Result<Option<Password>, Failure> {
    let (source, line) = match (&args.password_file, args.password_fd) {
        (Some(path), _) => (format!("The password file {}", path.display()), first_line_of(path)),
        (_, Some(0)) => ("Standard input".into(), first_line(io::stdin().lock())),
        // Safe code cannot adopt a number as a file, but the system has a name for it.
        (_, Some(fd)) => (format!("File descriptor {fd}"), first_line_of(&PathBuf::from(format!("/dev/fd/{fd}")))),
        (None, None) => return Ok(None),
    };
    match line {
        Ok(Some(line)) if !line.is_empty() => Ok(Some(Password(line.to_string()))),
        Ok(_) => Err(Failure::failed(format!("{source} has no password on its first line."))),
        Err(error) => Err(Failure::failed(format!("{source} cannot be read: {error}."))),
    }
}

/// Asks the person, without echo if there is a terminal, else takes the next line of standard input. `None` if
/// the input has ended. With `silent`, the question is not put when there is no terminal.
pub(crate) fn ask(question: &str, silent: bool) -> Result<Option<Password>, Failure> {
    if io::stdin().is_terminal() {
        return match rpassword::prompt_password(question) {
            Ok(password) => Ok(Some(Password(password))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // What comes next is not to stand behind the question.
                let _ = output::line("");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::interrupted()),
            Err(error) => Err(Failure::failed(format!("The password cannot be read: {error}."))),
        };
    }
    Ok(ask_line(question, silent)?.map(|line| Password(line.to_string())))
}

/// Asks for a line that everybody may see. `None` if the input has ended.
pub(crate) fn ask_line(question: &str, silent: bool) -> Result<Option<Zeroizing<String>>, Failure> {
    if !silent {
        // If nobody reads the question, the answer still counts.
        let _ = output::text(question);
    }
    let line = first_line(io::stdin().lock());
    let ended = matches!(line, Ok(None));
    // A terminal shows the end of a line itself, but not that of the input.
    if !silent && (ended || !io::stdin().is_terminal()) {
        let _ = output::line("");
    }
    line.map_err(|error| Failure::failed(format!("Standard input cannot be read: {error}.")))
}

/// A new password: given, or asked twice on a terminal, or one line of standard input.
pub(crate) fn new(args: &PasswordArgs, name: &str) -> Result<Password, Failure> {
    let password = match given(args)? {
        Some(password) => password,
        None => {
            let question = format!("Password for {name}: ");
            let first = ask(&question, true)?.ok_or_else(|| Failure::failed("No password was given."))?;
            if io::stdin().is_terminal() && ask("The same again: ", true)?.as_ref() != Some(&first) {
                return Err(Failure::failed("The two passwords differ; nothing was changed."));
            }
            first
        }
    };
    check(&password).map_err(Failure::failed)?;
    Ok(password)
}

/// Whether an account can have this password.
pub(crate) fn check(password: &Password) -> Result<(), String> {
    match password.0.len() {
        0 => Err("A password cannot be empty.".into()),
        1..=MAX_PASSWORD_BYTES => Ok(()),
        _ => Err(format!("A password can have at most {MAX_PASSWORD_BYTES} bytes.")),
    }
}

fn first_line_of(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    first_line(Wiped::new(File::open(path)?))
}

/// The first line without its end; `None` if there is none.
fn first_line(input: impl BufRead) -> io::Result<Option<Zeroizing<String>>> {
    // A little more than the longest password, so that a wrong file does not fill the memory, and the text is never
    // moved to a larger place.
    let mut line = Zeroizing::new(String::with_capacity(MOST_READ));
    if input.take(MOST_READ as u64).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let end = line.strip_suffix('\n').map_or(line.len(), |rest| rest.strip_suffix('\r').unwrap_or(rest).len());
    line.truncate(end);
    Ok(Some(line))
}

/// Reads a file through a buffer that is wiped when dropped.
struct Wiped {
    file: File,
    buffer: Zeroizing<[u8; MOST_READ]>,
    read: Range<usize>,
}

impl Wiped {
    fn new(file: File) -> Wiped {
        Wiped { file, buffer: Zeroizing::new([0; MOST_READ]), read: 0..0 }
    }
}

impl Read for Wiped {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Wiped {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read.is_empty() {
            self.read = 0..self.file.read(&mut *self.buffer)?;
        }
        Ok(&self.buffer[self.read.clone()])
    }

    fn consume(&mut self, count: usize) {
        self.read.start += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_counts() {
        for (text, first) in [
            ("jedi*knight\nx\n", Some("jedi*knight")),
            ("a b \r\n", Some("a b ")),
            ("no end", Some("no end")),
            ("\n", Some("")),
            ("", None),
        ] {
            let line = first_line(text.as_bytes()).unwrap();
            assert_eq!(line.as_deref().map(String::as_str), first, "{text:?}");
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let line = first_line_of(file.path()).unwrap();
            assert_eq!(line.as_deref().map(String::as_str), first, "{text:?} of a file");
        }
    }
}
