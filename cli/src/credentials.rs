//! The assignment's `credentials.txt`: one `name password` a line, with one space between them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toom_core::name::UserName;
use toom_core::secure::Password;
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::{output, password};

/// Room for a million accounts, made before it is known whether they are there.
const MOST_AT_ONCE: usize = 64 * 1024 * 1024;

/// Reads the accounts of `path`, in the order of the file.
pub(crate) fn read(path: &Path) -> Result<Vec<(UserName, Password)>, Failure> {
    let bytes = read_all(path).map_err(|error| {
        Failure::failed(format!("The credentials file {} cannot be read: {error}.", path.display()))
    })?;
    parse(&bytes).map_err(|(line, why)| {
        Failure::usage(format!("Line {line} of the credentials file {} is wrong: {why}", path.display()))
    })
}

/// Says so if everybody on this computer can read the passwords.
fn warn_if_readable_by_others(path: &Path, file: &File) {
    const BY_OTHERS: u32 = 0o004;
    if file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & BY_OTHERS != 0) {
        let path = path.display();
        output::note(&format!("Everybody on this computer can read {path}; it holds passwords: chmod 600 {path}"));
    }
}

fn read_all(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    warn_if_readable_by_others(path, &file);
    // With room for all of it, so that it is not moved to a larger place and left behind.
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(MOST_AT_ONCE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The accounts of `bytes`, or which line is wrong and why. Empty lines are skipped; what follows the first
/// space is the password, whatever it is.
fn parse(bytes: &[u8]) -> Result<Vec<(UserName, Password)>, (usize, String)> {
    let mut accounts = Vec::new();
    let mut lines_of_names: BTreeMap<UserName, usize> = BTreeMap::new();
    // Some editors mark UTF-8 at the start.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let wrong = |why: String| (number, why);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8.".into()))?;
        let (name, password) =
            line.split_once(' ').ok_or_else(|| wrong("it must be a name, one space and a password.".into()))?;
        let name = UserName::new(name).map_err(|error| wrong(format!("{error}.")))?;
        let password = Password(password.to_owned());
        password::check(&password).map_err(wrong)?;
        if let Some(first) = lines_of_names.insert(name.clone(), number) {
            return Err(wrong(format!("{name} has a password already, on line {first}.")));
        }
        accounts.push((name, password));
    }
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, usize> {
        parse(text.as_bytes())
            .map(|accounts| accounts.into_iter().map(|(name, p)| (name.to_string(), p.0.clone())).collect())
            .map_err(|(line, _)| line)
    }

    #[test]
    fn the_assignments_file_is_understood() {
        let accounts = parsed("hans falcon*solo\r\nyoda wise@!man\n\nr2d2 it's a  robot ").unwrap();
        let accounts: Vec<_> = accounts.iter().map(|(n, p)| (n.as_str(), p.as_str())).collect();
        assert_eq!(accounts, [("hans", "falcon*solo"), ("yoda", "wise@!man"), ("r2d2", "it's a  robot ")]);
        assert_eq!(parsed(""), Ok(vec![]));
        assert_eq!(parsed("\u{feff}yoda x").unwrap()[0].0, "yoda");
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [
            ("yoda", 1),
            ("yoda x\nhans \n", 2),
            ("yoda x\n\n y\n", 3),
            ("yoda x\nyoda y\n", 2),
            ("a;b x", 1),
            ("yoda\tx", 1),
        ] {
            assert_eq!(parsed(text), Err(line), "{text:?}");
        }
        assert_eq!(parse(b"yoda x\nhans \xff\n").map_err(|(line, _)| line), Err(2));
        assert_eq!(parsed(&format!("yoda {}", "x".repeat(1025))), Err(1));
    }
}
