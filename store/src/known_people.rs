//! What is known of the keys of people: `known_people`, one line for each person on each server.
//!
//! ```text
//! SERVER-KEY NAME met|changed|verified KEY...
//! ```
//!
//! A line that was verified keeps impostors out, so nothing is skipped that cannot be understood, and the file is
//! replaced as a whole: written beside, synced, renamed. Clients at the same time take turns by a lock, and each reads
//! what the other has written before it writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use toom_core::client::io::Input;
use toom_core::client::people::{MAX_KEYS_PER_PERSON, MAX_KNOWN_PEOPLE, Person, Trust};
use toom_core::name::UserName;
use toom_core::secure::PublicKey;

use crate::system::in_words;

/// For their owner only: who knows whom is nobody else's business.
const MODE: u32 = 0o600;
/// More than a thousand servers full of people have.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Why what is known of people cannot be read or kept; one clear sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KnownPeopleError(String);

/// The people on one server.
#[derive(Debug)]
pub struct KnownPeople {
    /// `None`: nothing is kept beyond the session.
    path: Option<PathBuf>,
    server: PublicKey,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    server: PublicKey,
    person: Person,
}

impl KnownPeople {
    /// The people on the server with this key, the oldest first. The file need not be there, its folder must.
    pub fn read(path: Option<PathBuf>, server: PublicKey) -> Result<(KnownPeople, Vec<Person>), KnownPeopleError> {
        let entries = path.as_deref().map(entries).transpose()?.unwrap_or_default();
        let here = entries.into_iter().filter(|entry| entry.server == server);
        Ok((KnownPeople { path, server }, here.map(|entry| entry.person).collect()))
    }

    /// Remembers what is known of somebody, or answers with why that failed.
    pub fn remember(&self, person: &Person) -> Option<Input> {
        let path = self.path.as_deref()?;
        let failed = self.put(path, person).err()?;
        Some(Input::NotRemembered { user: person.name.clone(), reason: failed.to_string() })
    }

    fn put(&self, path: &Path, person: &Person) -> Result<(), KnownPeopleError> {
        let locked = lock(path).map_err(|error| failed(path, "locked", &in_words(&error)))?;
        let mut all = entries(path)?;
        let is_it = |entry: &Entry| entry.server == self.server && entry.person.name == person.name;
        match all.iter_mut().find(|entry| is_it(entry)) {
            Some(known) => known.person = merged(&known.person, person),
            None => all.push(Entry { server: self.server, person: person.clone() }),
        }
        forget_the_oldest(&mut all, self.server);
        replace(path, &all).map_err(|error| failed(path, "written", &in_words(&error)))?;
        drop(locked);
        Ok(())
    }
}

/// What two clients together know: whoever was verified stays so, and no key that was seen is lost.
fn merged(known: &Person, news: &Person) -> Person {
    match (known.trust, news.trust) {
        (_, Trust::Verified) => news.clone(),
        (Trust::Verified, _) => known.clone(),
        _ => {
            let unheard: Vec<PublicKey> = known.keys.iter().filter(|key| !news.keys.contains(key)).copied().collect();
            let trust = if unheard.is_empty() { news.trust } else { known.trust.max(news.trust) };
            let mut keys = [unheard, news.keys.clone()].concat();
            keys.drain(..keys.len().saturating_sub(MAX_KEYS_PER_PERSON));
            Person { keys, trust, ..news.clone() }
        }
    }
}

/// The same limit as the client's: who was verified is never forgotten.
fn forget_the_oldest(all: &mut Vec<Entry>, server: PublicKey) {
    let here = all.iter().filter(|entry| entry.server == server).count();
    let mut surplus = here.saturating_sub(MAX_KNOWN_PEOPLE);
    all.retain(|entry| {
        let forget = surplus > 0 && entry.server == server && entry.person.trust != Trust::Verified;
        surplus -= usize::from(forget);
        !forget
    });
}

fn entries(path: &Path) -> Result<Vec<Entry>, KnownPeopleError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(|error| failed(path, "read", &in_words(&error)))?,
    };
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| failed(path, "read", &in_words(&error)))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(path, "read", "it is too large"));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let entry = |(number, line)| {
        let why = || format!("its line {} makes no sense; correct it, or remove it", number + 1);
        entry(line).ok_or_else(|| failed(path, "used", &why()))
    };
    lines.map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let server = words.next()?.parse().ok()?;
    let name = UserName::read(words.next()?).ok()?;
    let trust = match words.next()? {
        "met" => Trust::Met,
        "changed" => Trust::Changed,
        "verified" => Trust::Verified,
        _ => return None,
    };
    let keys: Vec<PublicKey> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let few = !keys.is_empty() && keys.len() <= MAX_KEYS_PER_PERSON;
    few.then_some(Entry { server, person: Person { name, keys, trust } })
}

fn line(entry: &Entry) -> String {
    let Entry { server, person: Person { name, keys, trust } } = entry;
    let trust = match trust {
        Trust::Met => "met",
        Trust::Changed => "changed",
        Trust::Verified => "verified",
    };
    let keys: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
    format!("{server} {name} {trust} {}\n", keys.join(" "))
}

/// Held until the file is closed. The lock has a file of its own, because the other one is replaced.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(beside(path, "lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Whoever reads meanwhile finds the old file or the new one, whole; so does whoever reads after a crash.
fn replace(path: &Path, all: &[Entry]) -> io::Result<()> {
    let unfinished = beside(path, "new");
    // What a crash left; the lock is ours.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
    file.write_all(all.iter().map(line).collect::<String>().as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn failed(path: &Path, what: &str, why: &str) -> KnownPeopleError {
    KnownPeopleError(format!("{} cannot be {what}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }

    fn person(name: &str, keys: &[u8], trust: Trust) -> Person {
        Person { name: UserName::new(name).unwrap(), keys: keys.iter().map(|byte| key(*byte)).collect(), trust }
    }

    fn read(path: &Path, server: u8) -> (KnownPeople, Vec<Person>) {
        KnownPeople::read(Some(path.to_owned()), key(server)).unwrap()
    }

    fn remember(path: &Path, server: u8, person: &Person) {
        assert!(read(path, server).0.remember(person).is_none());
    }

    #[test]
    fn people_are_remembered_for_their_server_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_people");
        assert_eq!(read(&path, 9).1, []);
        let (luke, leia) = (person("luke", &[1, 2], Trust::Met), person("leia", &[3], Trust::Verified));
        remember(&path, 9, &luke);
        remember(&path, 9, &leia);
        remember(&path, 8, &person("luke", &[4], Trust::Changed));
        assert_eq!(read(&path, 9).1, [luke.clone(), leia.clone()]);
        assert_eq!(read(&path, 8).1, [person("luke", &[4], Trust::Changed)]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(&*format!("{} luke met {} {}", key(9), key(1), key(2))));
        assert!(KnownPeople::read(None, key(9)).unwrap().0.remember(&luke).is_none(), "in memory only");
    }

    #[test]
    fn clients_at_the_same_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_people");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for other in 0..8 {
                        remember(path, 9, &person(&format!("user{number}x{other}"), &[1], Trust::Met));
                    }
                });
            }
        });
        assert_eq!(read(&path, 9).1.len(), 64);
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["known_people", "known_people.lock"]);
    }

    #[test]
    fn what_another_client_knows_is_kept() {
        use Trust::{Changed, Met, Verified};
        for (known, news, both) in [
            // Verified by one, met by the other.
            (([1].as_slice(), Verified), ([2].as_slice(), Met), ([1].as_slice(), Verified)),
            ((&[1], Verified), (&[1, 2], Changed), (&[1], Verified)),
            ((&[1], Met), (&[1, 2], Verified), (&[1, 2], Verified)),
            ((&[1], Verified), (&[2], Verified), (&[2], Verified)),
            ((&[1], Met), (&[1, 2], Changed), (&[1, 2], Changed)),
            // Accepted by the person.
            ((&[1, 2], Changed), (&[1, 2], Met), (&[1, 2], Met)),
            // Accepted by the person, who has not heard of the third key.
            ((&[1, 2, 3], Changed), (&[1, 2], Met), (&[3, 1, 2], Changed)),
        ] {
            let of = |(keys, trust): (&[u8], Trust)| person("luke", keys, trust);
            assert_eq!(merged(&of(known), &of(news)), of(both), "{known:?} {news:?}");
        }
    }

    #[test]
    fn a_line_that_makes_no_sense_is_told_and_nothing_is_lost_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_people");
        let (server, one) = (key(9), key(1));
        for bad in [
            format!("{server} luke verified"),
            format!("{server} luke verified {one} x"),
            format!("{server} luke pinned {one}"),
            format!("{server} . verified {one}"),
            format!("x luke verified {one}"),
            "half a line".to_owned(),
        ] {
            let text = format!("# people\n{server} leia met {one}\n{bad}");
            fs::write(&path, &text).unwrap();
            let told = KnownPeople::read(Some(path.clone()), server).unwrap_err().to_string();
            assert!(told.contains("known_people cannot be used: its line 3 makes no sense"), "{told}");
            let people = KnownPeople { path: Some(path.clone()), server };
            assert!(people.remember(&person("obi", &[1], Trust::Met)).is_some());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn the_verified_are_never_forgotten() {
        let entry = |number: usize, server: u8| {
            let trust = if number == 0 { Trust::Verified } else { Trust::Met };
            Entry { server: key(server), person: person(&format!("user{number}"), &[1], trust) }
        };
        let mut all: Vec<Entry> = (0..MAX_KNOWN_PEOPLE + 2).map(|number| entry(number, 9)).collect();
        all.push(entry(1, 8));
        forget_the_oldest(&mut all, key(9));
        assert_eq!((all.len(), &all[0], &all[1]), (MAX_KNOWN_PEOPLE + 1, &entry(0, 9), &entry(3, 9)));
    }

    #[test]
    fn a_folder_that_is_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (people, _) = read(&folder.path().join("gone/known_people"), 9);
        let Some(Input::NotRemembered { reason, .. }) = people.remember(&person("luke", &[1], Trust::Met)) else {
            panic!("it cannot have worked");
        };
        assert!(reason.contains("known_people cannot be locked"), "{reason}");
    }
}
