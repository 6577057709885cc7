//! The private folder that the partial files of one transfer are in.
//!
//! It is hidden in the download directory, named as the partial file of one file would be ([`super::super::part`]), and
//! locked as long as somebody writes into it, so that the next transfer of the same name can tell one that was left
//! behind. Only its owner can look into it: what is in it is what we put there, and is trusted no further than a file
//! of ours. The folder itself is known by its handle; others may move it, or put something else under its name.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::files::naming::WARILY;
use crate::files::part::{is_part_of, random};

/// Names that are tried: each is one of four billion, so that the second is free unless somebody plays with us.
const MAX_TRIES: u32 = 100;

/// How often the folder is gone through to be emptied: on some systems a removal makes a listing skip something.
const MAX_SWEEPS: u32 = 4;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(WARILY);

/// A private folder of partial files, locked.
#[derive(Debug)]
pub(super) struct PartFolder {
    name: String,
    handle: OwnedFd,
}

impl PartFolder {
    /// Makes one for a transfer that gets `final_name`.
    pub(super) fn create(directory: &OwnedFd, final_name: &str) -> Result<PartFolder, Errno> {
        for _ in 0..MAX_TRIES {
            let name = format!(".{final_name}.{:08x}.part", random());
            match rustix::fs::mkdirat(directory, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error),
            }
            // Somebody may have taken it for one left behind, and removes it, before it was locked.
            if let Some(folder) = lock(directory, &name, true)? {
                return Ok(folder);
            }
        }
        Err(Errno::EXIST)
    }

    /// Takes over one for `final_name` whose process is gone.
    pub(super) fn adopt(directory: &OwnedFd, final_name: &str) -> Option<PartFolder> {
        let folder = orphans(directory, final_name).next()?;
        // The one that became final may have been left with the permissions that it was to have.
        for (name, stat) in folder.files() {
            if stat.st_mode & 0o7777 != 0o600 {
                let _ = rustix::fs::chmodat(&folder.handle, &name, Mode::RUSR | Mode::WUSR, AtFlags::empty());
            }
        }
        Some(folder)
    }

    /// Removes those for `final_name` whose processes are gone.
    pub(super) fn remove_orphans(directory: &OwnedFd, final_name: &str) {
        orphans(directory, final_name).for_each(|folder| folder.remove(directory));
    }

    /// For what is in it.
    pub(super) fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// Opens a file in it to be read and written.
    pub(super) fn open(&self, name: &str, create: bool) -> io::Result<File> {
        let create = if create { OFlags::CREATE } else { OFlags::empty() };
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.handle, name, OFlags::RDWR | WARILY | create, mode)?;
        let stat = rustix::fs::fstat(&file)?;
        // Another name of it would let it change after it was hashed.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(io::Error::other("something else has the name of the partial file"));
        }
        Ok(file.into())
    }

    /// Removes all files but those.
    pub(super) fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        for _ in 0..MAX_SWEEPS {
            let mut removed = 0;
            for (name, _) in self.files().filter(|(name, _)| !is_kept(name)) {
                removed += usize::from(rustix::fs::unlinkat(&self.handle, &name, AtFlags::empty()).is_ok());
            }
            if removed == 0 {
                return;
            }
        }
    }

    /// Removes the folder and what is in it.
    pub(super) fn remove(&self, directory: &OwnedFd) {
        self.retain(|_| false);
        if is_named(directory, &self.name, &self.handle)
            && let Err(error) = rustix::fs::unlinkat(directory, &self.name, AtFlags::REMOVEDIR)
        {
            tracing::warn!("the partial folder {} stays: {error}", self.name);
        }
    }

    /// What is in it, folders excepted, of which we make none.
    fn files(&self) -> impl Iterator<Item = (String, Stat)> + '_ {
        let names = Dir::read_from(&self.handle).into_iter().flatten().flatten();
        names.filter_map(|entry| {
            let name = entry.file_name().to_str().ok()?.to_owned();
            let stat = rustix::fs::statat(&self.handle, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some((name, stat))
        })
    }
}

/// Those for `final_name` that nobody has locked; each is locked while it is looked at.
fn orphans<'a>(directory: &'a OwnedFd, final_name: &'a str) -> impl Iterator<Item = PartFolder> + 'a {
    let entries = Dir::read_from(directory).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().to_str().ok().filter(|name| is_part_of(name, final_name))?;
        lock(directory, name, false).ok().flatten()
    })
}

/// Opens and locks a folder of ours, unless a process has its lock, or it is none, or not private. Where there are no
/// locks, nobody can take one: a `new` one is used without, and none is taken over. Nor is one taken over where there
/// are no permissions, and so no private folders.
fn lock(directory: &OwnedFd, name: &str, new: bool) -> Result<Option<PartFolder>, Errno> {
    let handle = match rustix::fs::openat(directory, name, FOLDER, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = rustix::fs::fstat(&handle)?;
    let is_ours = stat.st_uid == rustix::process::geteuid().as_raw() && (new || stat.st_mode & 0o077 == 0);
    if new && !is_ours {
        return Err(Errno::PERM);
    }
    let is_locked = match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(Errno::WOULDBLOCK) => false,
        Err(_) => new,
    };
    let is_good = is_ours && is_locked && is_named(directory, name, &handle);
    Ok(is_good.then(|| PartFolder { name: name.to_owned(), handle }))
}

/// Whether `name` is still what was opened.
fn is_named(directory: &OwnedFd, name: &str, handle: &OwnedFd) -> bool {
    let named = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let (Ok(named), Ok(opened)) = (named, rustix::fs::fstat(handle)) else { return false };
    (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_make_and_clean_at_the_same_time_keep_what_they_have() {
        let downloads = tempfile::tempdir().expect("a directory");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let directory = rustix::fs::open(downloads.path(), FOLDER, Mode::empty()).expect("opened");
                    for _ in 0..300 {
                        let folder = PartFolder::create(&directory, "yoda_photos").expect("made");
                        PartFolder::remove_orphans(&directory, "yoda_photos");
                        folder.open("a.part", true).expect("somebody removed the folder");
                        folder.remove(&directory);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(downloads.path()).expect("listed").count(), 0);
    }
}
