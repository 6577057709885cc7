//! Which key each server had when it was first met: `known_servers`, one line `HOST:PORT KEY` for each.
//!
//! Lines are only ever added here. A key that is to be forgotten is removed by hand, as with ssh.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use toom_core::secure::PublicKey;

use crate::exit::Failure;

/// The file, as it was read.
#[derive(Debug)]
pub(crate) struct KnownServers {
    path: PathBuf,
    text: String,
}

impl KnownServers {
    /// Reads the file, which need not be there.
    pub(crate) fn read(path: PathBuf) -> Result<KnownServers, Failure> {
        match fs::read_to_string(&path) {
            Ok(text) => Ok(KnownServers { path, text }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(KnownServers { path, text: String::new() }),
            Err(error) => Err(Failure::failed(format!("{} cannot be read: {error}.", path.display()))),
        }
    }

    /// The key that `server` (`HOST:PORT`) had; an error for a line that should have it and has none.
    pub(crate) fn key(&self, server: &str) -> Result<Option<PublicKey>, Failure> {
        let is_it = |line: &&str| line.split_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case(server));
        let Some(line) = self.text.lines().find(is_it) else { return Ok(None) };
        let key = line.split_whitespace().nth(1).and_then(|key| key.parse().ok());
        key.map(Some).ok_or_else(|| {
            let file = self.path.display();
            Failure::failed(format!("The line of {server} in {file} has no key; correct it, or remove it."))
        })
    }

    /// Remembers the key of `server`.
    pub(crate) fn add(&self, server: &str, key: PublicKey) -> Result<(), Failure> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        // One call, so that lines of several clients do not mix.
        let separator = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let written = file.and_then(|mut file| file.write_all(format!("{separator}{server} {key}\n").as_bytes()));
        written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}.", self.path.display())))
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::secure::SecretKey;

    fn key(byte: u8) -> PublicKey {
        SecretKey::new([byte; 32]).public()
    }

    #[test]
    fn a_server_is_known_after_it_was_added_and_only_at_its_own_port() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_servers");
        let known = KnownServers::read(path.clone()).unwrap();
        assert_eq!(known.key("host:4000"), Ok(None));
        known.add("host:4000", key(1)).unwrap();
        known.add("host:4001", key(2)).unwrap();
        let known = KnownServers::read(path).unwrap();
        assert_eq!(known.key("HOST:4000"), Ok(Some(key(1))));
        assert_eq!(known.key("host:4001"), Ok(Some(key(2))));
        assert_eq!(known.key("host:400"), Ok(None));
    }

    #[test]
    fn a_line_without_its_end_or_its_key_is_no_trap() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_servers");
        fs::write(&path, "host:4000 nonsense\nother:1 ").unwrap();
        let known = KnownServers::read(path.clone()).unwrap();
        assert!(known.key("host:4000").unwrap_err().message.contains("known_servers has no key"));
        known.add("third:1", key(3)).unwrap();
        assert_eq!(KnownServers::read(path).unwrap().key("third:1"), Ok(Some(key(3))));
    }
}
