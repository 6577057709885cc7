//! Giving files and folders their final names, replacing nothing.
//!
//! First everything is on the disk, then names appear, file by file: a crash in between leaves files that are whole,
//! and the rest in the private folder, where the next transfer finds it. Folders get their permissions last, inner ones
//! first, so that one that nobody may write to can be filled.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::contents::Contents;
use super::part_folder::PartFolder;
use super::places::Places;
use super::received::Received;
use super::survey::InPlace;
use crate::files::journal;
use crate::files::naming::{has_content, rename_without_replacing};

/// Names of entries at the top that are said one by one.
const MAX_NAMES: usize = 5;

/// Gives what has arrived its final names.
pub(super) struct Publish<'a> {
    downloads: &'a OwnedFd,
    contents: &'a Contents,
    received: &'a Received,
    folder: Option<&'a PartFolder>,
    places: Places<'a>,
    /// At the top, in order, each once.
    names: Vec<String>,
    seen: BTreeSet<String>,
}

impl<'a> Publish<'a> {
    /// `contents` are whole, in `folder` unless they are in place.
    pub(super) fn new(downloads: &'a OwnedFd, contents: &'a Contents, folder: Option<&'a PartFolder>) -> Publish<'a> {
        let received = &contents.received;
        let places = Places::new(downloads, received);
        Publish { downloads, contents, received, folder, places, names: Vec::new(), seen: BTreeSet::new() }
    }

    /// The names at the top that everything has now.
    pub(super) fn all(mut self) -> io::Result<String> {
        self.expect_in_place()?;
        self.save()?;
        for (entry, listed) in self.received.entries() {
            let name = match listed.bytes {
                None => {
                    self.places.find_or_make(entry)?;
                    self.places.name(entry).unwrap_or_default().to_owned()
                }
                Some(_) if self.contents.in_place.contains_key(&entry) => self.received.name(entry, 1),
                Some(bytes) => self.place(entry, bytes, listed.permissions)?,
            };
            if listed.folder.is_none() && self.seen.insert(name.clone()) {
                self.names.push(name);
            }
        }
        self.give_permissions()?;
        if self.folder.is_some() || !self.places.made().is_empty() {
            // So that the names survive a power failure; the contents are safe already.
            let _ = rustix::fs::syncfs(self.downloads);
        }
        Ok(joined(&self.names))
    }

    /// What was found at its final place must still be there: it was not sent.
    fn expect_in_place(&self) -> io::Result<()> {
        let mut places = Places::new(self.downloads, self.received);
        for (entry, listed) in self.received.entries() {
            if listed.bytes.is_none() {
                places.find(entry)?;
            }
            let Some(expected) = self.contents.in_place.get(&entry) else { continue };
            let name = self.received.name(entry, 1);
            let is_there = places.has_folder(entry)
                && rustix::fs::statat(places.around(entry)?, &name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| InPlace::of(&stat) == Some(*expected));
            if !is_there {
                let path = self.received.path(entry);
                let what = format!("{} changed while the others were being received: send again", path.display());
                return Err(io::Error::other(what));
            }
        }
        Ok(())
    }

    /// All that gets a name is on the disk.
    fn save(&self) -> io::Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        for entry in self.contents.arriving().filter(|entry| self.received.bytes(*entry) == Some(0)) {
            folder
                .open(&self.received.part_name(entry), true)
                .map_err(|error| crate::about(&self.received.path(entry), "cannot be written", &error))?;
        }
        rustix::fs::syncfs(folder.handle())
            .map_err(|error| crate::about(self.received.downloads(), "cannot be written to", &error.into()))
    }

    /// Gives a partial file the first name that is free, or drops it if a file with that name has the same content.
    fn place(&mut self, entry: usize, bytes: u64, permissions: u16) -> io::Result<String> {
        let Some(folder) = self.folder else { return Err(io::Error::other("there is no partial file")) };
        let (part, hash) = (self.received.part_name(entry), self.contents.hash_of(entry));
        let failed = |error: Errno| crate::about(&self.received.path(entry), "cannot be made", &error.into());
        // A link cannot be there: the folder is private. Where there are no permissions, the file is still welcome.
        if let Err(error) = rustix::fs::chmodat(folder.handle(), &part, mode(permissions), AtFlags::empty()) {
            tracing::debug!("{} keeps its permissions: {error}", self.received.path(entry).display());
        }
        for attempt in self.places.attempts(entry) {
            let name = self.received.name(entry, attempt);
            let around = self.places.around(entry)?;
            match rename_without_replacing(folder.handle(), &part, around, &name) {
                Ok(()) => {}
                Err(Errno::EXIST) if has_content(around, &name, bytes, hash) => {
                    rustix::fs::unlinkat(folder.handle(), &part, AtFlags::empty()).map_err(failed)?;
                }
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(failed(error)),
            }
            journal::remove_of(folder.handle(), &part);
            self.places.go_on_at(entry, attempt.saturating_add(1));
            return Ok(name);
        }
        Err(self.places.all_taken(entry))
    }

    /// To the folders that were made.
    fn give_permissions(&mut self) -> io::Result<()> {
        for entry in self.places.made().to_vec().into_iter().rev() {
            let permissions = self.received.listing.entries().get(entry).map_or(0o700, |entry| entry.permissions);
            if let Err(error) = rustix::fs::fchmod(self.places.handle(entry)?, mode(permissions)) {
                tracing::debug!("{} keeps its permissions: {error}", self.received.path(entry).display());
            }
        }
        Ok(())
    }
}

fn mode(permissions: u16) -> Mode {
    Mode::from_raw_mode(u32::from(permissions & 0o777))
}

/// `a, b, c`, and how many more.
fn joined(names: &[String]) -> String {
    let (said, others) = names.split_at(names.len().min(MAX_NAMES));
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    format!("{}{more}", said.join(", "))
}
