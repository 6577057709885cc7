//! The folders in which what is received gets its final names: found, or made.
//!
//! A name that is taken by something else is left as it is, and the next one tried. Everything goes by way of handles,
//! never through links, and a folder that was found once must be the same when it is opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use toom_core::text::FileLabel;

use super::received::Received;
use super::recent::{Recent, folder_of};
use super::stat::{Identity, identity};
use crate::files::naming::{MAX_ALTERNATIVES, WARILY};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(WARILY);

/// How often a folder that comes and goes under our hands is tried.
const MAX_TRIES: u32 = 10;

/// Where the entries of a listing go.
#[derive(Debug)]
pub(super) struct Places<'a> {
    downloads: &'a OwnedFd,
    received: &'a Received,
    /// Of each entry that is a folder and has a place.
    found: Vec<Option<Place>>,
    handles: Recent<OwnedFd>,
    /// Where to go on for the next of the same name in a folder, so that many of them do not each begin anew.
    tried: BTreeMap<Tried, u32>,
    /// Names that somebody has looked at.
    visited: BTreeSet<Tried>,
    /// Entries that are folders of which we made the first, in that order.
    made: Vec<usize>,
}

/// A folder, a name in it, and whether folders look for that name; files look on their own.
type Tried = (Option<Identity>, FileLabel, bool);

#[derive(Debug)]
struct Place {
    name: String,
    identity: Identity,
}

impl<'a> Places<'a> {
    /// No folder is looked for yet.
    pub(super) fn new(downloads: &'a OwnedFd, received: &'a Received) -> Places<'a> {
        let found = received.entries().map(|_| None).collect();
        let (handles, tried, visited) = (Recent::default(), BTreeMap::new(), BTreeSet::new());
        Places { downloads, received, found, handles, tried, visited, made: Vec::new() }
    }

    /// Looks for the folder of an entry, after those that it is in; whether it is there.
    pub(super) fn find(&mut self, entry: usize) -> io::Result<bool> {
        if !self.has_folder(entry) {
            return Ok(false);
        }
        for attempt in self.attempts(entry) {
            let name = self.received.name(entry, attempt);
            match rustix::fs::openat(self.around(entry)?, &name, FOLDER, Mode::empty()) {
                Ok(handle) => return self.note(entry, attempt, name, handle).map(|()| true),
                Err(Errno::NOENT) => {
                    self.go_on_at(entry, attempt);
                    return Ok(false);
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(self.failed(entry, "cannot be opened", error)),
            }
        }
        Ok(false)
    }

    /// Finds the folder of an entry, or makes it: only for us, until it has its permissions.
    pub(super) fn find_or_make(&mut self, entry: usize) -> io::Result<()> {
        for attempt in self.attempts(entry) {
            let name = self.received.name(entry, attempt);
            if let Some((handle, is_made)) = self.open_or_make(entry, &name)? {
                if is_made {
                    self.made.push(entry);
                }
                return self.note(entry, attempt, name, handle);
            }
        }
        Err(self.all_taken(entry))
    }

    /// Whether the folder that an entry is in has a place.
    pub(super) fn has_folder(&self, entry: usize) -> bool {
        folder_of(&self.received.listing, entry).is_none_or(|folder| self.name(folder).is_some())
    }

    /// What the folder of an entry is called.
    pub(super) fn name(&self, entry: usize) -> Option<&str> {
        self.found.get(entry)?.as_ref().map(|place| place.name.as_str())
    }

    /// Entries that are folders which were made, in that order.
    pub(super) fn made(&self) -> &[usize] {
        &self.made
    }

    /// The folder that an entry is in.
    pub(super) fn around(&mut self, entry: usize) -> io::Result<&OwnedFd> {
        match folder_of(&self.received.listing, entry) {
            None => Ok(self.downloads),
            Some(folder) => self.handle(folder),
        }
    }

    /// The folder of an entry.
    pub(super) fn handle(&mut self, entry: usize) -> io::Result<&OwnedFd> {
        let Places { downloads, received, found, handles, .. } = self;
        handles.folder(&received.listing, entry, |around, folder| {
            let failed = |error| crate::about(&received.path(folder), "cannot be opened", &error);
            let no_place = || failed(io::Error::other("it was not found before"));
            let place = found.get(folder).and_then(Option::as_ref).ok_or_else(no_place)?;
            let handle = rustix::fs::openat(around.unwrap_or(downloads), &place.name, FOLDER, Mode::empty())
                .map_err(|error| failed(error.into()))?;
            let stat = rustix::fs::fstat(&handle).map_err(|error| failed(error.into()))?;
            if identity(&stat) != place.identity {
                return Err(failed(io::Error::other("somebody replaced it meanwhile")));
            }
            Ok(handle)
        })
    }

    /// Whether no entry before has the same name in the same folder.
    pub(super) fn is_first_visit(&mut self, entry: usize) -> bool {
        self.tried_of(entry).is_some_and(|key| self.visited.insert(key))
    }

    /// Which names to try for an entry: its own, and then those that others of that name have not taken before.
    pub(super) fn attempts(&self, entry: usize) -> impl Iterator<Item = u32> + use<> {
        let next = self.tried_of(entry).and_then(|key| self.tried.get(&key)).copied().unwrap_or(2);
        std::iter::once(1).chain(next.max(2)..=MAX_ALTERNATIVES)
    }

    /// The next of the same name need not try what is before `attempt`.
    pub(super) fn go_on_at(&mut self, entry: usize, attempt: u32) {
        if let Some(key) = self.tried_of(entry).filter(|_| attempt > 2) {
            self.tried.insert(key, attempt);
        }
    }

    /// Says that there is no name left.
    pub(super) fn all_taken(&self, entry: usize) -> io::Error {
        let what = format!("{} and all its alternatives are taken", self.received.path(entry).display());
        io::Error::new(io::ErrorKind::AlreadyExists, what)
    }

    /// The folder of that name, and whether we made it; none if something else has the name.
    fn open_or_make(&mut self, entry: usize, name: &str) -> io::Result<Option<(OwnedFd, bool)>> {
        let mut is_made = false;
        for _ in 0..MAX_TRIES {
            let around = self.around(entry)?;
            match rustix::fs::openat(around, name, FOLDER, Mode::empty()) {
                Ok(handle) if is_made && !is_ours(&handle) => {}
                Ok(handle) => return Ok(Some((handle, is_made))),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(Errno::NOENT) => match rustix::fs::mkdirat(around, name, Mode::RWXU) {
                    Ok(()) => is_made = true,
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.failed(entry, "cannot be made", error)),
                },
                Err(error) => return Err(self.failed(entry, "cannot be opened", error)),
            }
        }
        let error = io::Error::other("somebody keeps replacing it");
        Err(crate::about(&self.received.path(entry), "cannot be made", &error))
    }

    fn note(&mut self, entry: usize, attempt: u32, name: String, handle: OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(&handle).map_err(|error| self.failed(entry, "cannot be opened", error))?;
        self.go_on_at(entry, attempt);
        if let Some(found) = self.found.get_mut(entry) {
            *found = Some(Place { name, identity: identity(&stat) });
        }
        self.handles.insert(entry, handle);
        Ok(())
    }

    fn tried_of(&self, entry: usize) -> Option<Tried> {
        let folder = folder_of(&self.received.listing, entry);
        let around = folder.and_then(|folder| self.found.get(folder)?.as_ref()).map(|place| place.identity);
        let entry = self.received.listing.entries().get(entry)?;
        Some((around, entry.name.clone(), entry.bytes.is_none()))
    }

    fn failed(&self, entry: usize, what: &str, error: Errno) -> io::Error {
        crate::about(&self.received.path(entry), what, &error.into())
    }
}

/// Whether a folder that was made is ours, and not what somebody else put there right after.
fn is_ours(handle: &OwnedFd) -> bool {
    rustix::fs::fstat(handle).is_ok_and(|stat| stat.st_uid == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use toom_core::name::UserName;
    use toom_core::transfer::listing::{Entry, Listing};

    /// A folder with a file and a folder in it, and another file.
    fn received(downloads: &std::path::Path) -> (OwnedFd, Received) {
        let mut listing = Listing::default();
        for (folder, name, bytes) in
            [(None, "x", None), (Some(0), "a", Some(1)), (Some(0), "y", None), (Some(2), "a", Some(1))]
        {
            let entry = Entry { folder, name: FileLabel::new(name), permissions: 0o755, bytes };
            listing.push(entry).expect("listed");
        }
        let handle = rustix::fs::open(downloads, OFlags::RDONLY, Mode::empty()).expect("opened");
        (handle, Received::new(listing, downloads, &UserName::new("yoda").expect("a name")))
    }

    #[test]
    fn a_folder_that_was_replaced_is_not_used() {
        let downloads = tempfile::tempdir().expect("a directory");
        let (handle, received) = received(downloads.path());
        let mut places = Places::new(&handle, &received);
        assert!(!places.find(0).expect("looked") && !places.find(2).expect("looked"));
        places.find_or_make(0).expect("made");
        places.find_or_make(2).expect("made");
        assert_eq!((places.made(), places.name(2)), (&[0, 2][..], Some("y")));
        let outer = downloads.path().join("yoda_x");
        fs::rename(&outer, downloads.path().join("moved")).expect("renamed");
        fs::create_dir_all(outer.join("y")).expect("made");
        // What is open is still ours.
        places.handle(2).expect("open");
        places.handles = Recent::default();
        let error = places.around(3).expect_err("another").to_string();
        assert_eq!(error, format!("{} cannot be opened: somebody replaced it meanwhile", outer.display()));
    }

    #[test]
    fn the_next_of_one_name_does_not_try_what_others_took() {
        let downloads = tempfile::tempdir().expect("a directory");
        let (handle, received) = received(downloads.path());
        let mut places = Places::new(&handle, &received);
        places.find_or_make(0).expect("made");
        places.find_or_make(2).expect("made");
        let first = |places: &Places<'_>, entry| places.attempts(entry).take(3).collect::<Vec<_>>();
        assert_eq!(first(&places, 1), [1, 2, 3]);
        places.go_on_at(1, 7);
        assert_eq!(first(&places, 1), [1, 7, 8]);
        assert_eq!(first(&places, 3), [1, 2, 3], "in another folder");
        assert_eq!(places.attempts(1).last(), Some(MAX_ALTERNATIVES));
    }
}
