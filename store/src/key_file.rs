//! Files with the long-lived secret of a server or of a device: one line of text, for their owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use toom_core::secure::{KEY_BYTES, PublicKey, SecretKey};

use crate::system::{in_words, random_seed};

/// Why there is no key; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyFileError(String);

/// What a key file has at most.
const MAX_FILE_BYTES: u64 = 1_024;

/// For their owner only.
const MODE: u32 = 0o600;

/// The key in the file at `path`, which is made with a new random key if there is none. The folder must be there.
///
/// A file that others can read is refused: who has read it can be whoever it belongs to.
pub fn load_or_create(path: &Path) -> Result<SecretKey, KeyFileError> {
    if let Some(key) = load(path)? {
        return Ok(key);
    }
    match create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            load(path)?.ok_or_else(|| failed(path, "it was there and is gone again"))
        }
        Err(error) => Err(failed(path, &in_words(&error))),
        Ok(key) => Ok(key),
    }
}

fn load(path: &Path) -> Result<Option<SecretKey>, KeyFileError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| failed(path, &in_words(&error)))?,
    };
    let metadata = file.metadata().map_err(|error| failed(path, &in_words(&error)))?;
    if metadata.mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(failed(path, &format!("others can read it; if nobody has, say chmod 600 {shown}")));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(|error| failed(path, &in_words(&error)))?;
    // Written like a public key, so that there is one way to write keys.
    let key = text.trim_end().parse::<PublicKey>().map_err(|error| failed(path, &error.to_string()))?;
    Ok(Some(SecretKey::new(key.0)))
}

/// Makes the file whole or not at all, and never in place of another.
fn create(path: &Path) -> io::Result<SecretKey> {
    let bytes: [u8; KEY_BYTES] = random_seed()?;
    let unfinished = unfinished(path)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished).and_then(|mut file| {
        file.write_all(format!("{}\n", PublicKey(bytes)).as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&unfinished, path)
    });
    let _ = fs::remove_file(&unfinished);
    made?;
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(SecretKey::new(bytes))
}

/// A name beside `path` that nobody else uses.
fn unfinished(path: &Path) -> io::Result<PathBuf> {
    let [a, b, c, d, ..] = random_seed()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{a:02x}{b:02x}{c:02x}{d:02x}"));
    Ok(path.with_file_name(name))
}

fn failed(path: &Path, why: &str) -> KeyFileError {
    KeyFileError(format!("the key file {} cannot be used: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server_key");
        let key = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
        assert_ne!(load_or_create(&directory.path().join("other_key")).unwrap(), key);
    }

    #[test]
    fn many_who_begin_at_once_get_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_file_that_others_can_read_or_that_has_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = load_or_create(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for text in ["", "short", "\u{0}"] {
            fs::write(&path, text).unwrap();
            let refused = load_or_create(&path).unwrap_err().to_string();
            assert!(refused.contains("52 letters and digits"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "left as it is");
        }
        assert!(load_or_create(&directory.path().join("no/such/folder")).is_err());
    }
}
