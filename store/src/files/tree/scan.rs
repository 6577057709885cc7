//! Looking through files and folders that are to be sent.
//!
//! What is found is noted by name, and opened again when its turn comes: by way of handles of the folders that it is
//! in, and never through a link, so that nobody who may write there can have something else of ours sent.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use toom_core::text::FileLabel;
use toom_core::transfer::listing::{Entry, Listing, MAX_DEPTH, MAX_ENTRIES, NotListed};

use super::recent::{Recent, folder_of};
use super::stat::{Modified, kind, modified, size};
use crate::files::naming::WARILY;

/// What was left out is named up to so many times, and then only counted.
const MAX_NAMED: usize = 5;

/// For opening what a person has named: as [`WARILY`], but through links, as `cp` does.
const NAMED: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What is to be sent, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) listing: Listing,
    /// One for each entry.
    found: Vec<Found>,
    left_out: LeftOut,
}

/// Beside what is in the listing.
#[derive(Debug)]
struct Found {
    /// In its folder; of what a person has named, the path.
    name: OsString,
    modified: Modified,
}

/// What is not sent, since it is neither a file nor a folder.
#[derive(Debug, Default)]
struct LeftOut {
    names: Vec<String>,
    count: usize,
}

impl Scan {
    /// Looks through `paths`, and says in the log what was left out.
    pub(super) fn of(paths: &[PathBuf]) -> io::Result<Scan> {
        let mut scan = Scan { listing: Listing::default(), found: Vec::new(), left_out: LeftOut::default() };
        for path in paths {
            scan.add_named(path)?;
        }
        let LeftOut { names, count } = &scan.left_out;
        if *count > 0 {
            let more = count - names.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            tracing::warn!("neither files nor folders, so not sent: {}{more}", names.join(", "));
        }
        Ok(scan)
    }

    /// The path of an entry, for people.
    pub(super) fn path(&self, entry: usize) -> PathBuf {
        let mut names = Vec::new();
        let mut at = Some(entry);
        while let Some(entry) = at {
            names.extend(self.found.get(entry).map(|found| &found.name));
            at = folder_of(&self.listing, entry);
        }
        names.iter().rev().collect()
    }

    /// Opens a file, which must be what was found.
    pub(super) fn open(&self, folders: &mut Recent<OwnedFd>, entry: usize) -> io::Result<File> {
        let opened = match (folder_of(&self.listing, entry), self.found.get(entry)) {
            (Some(folder), Some(found)) => {
                let folder =
                    folders.folder(&self.listing, folder, |around, folder| self.open_folder(around, folder))?;
                rustix::fs::openat(folder, &found.name, OFlags::RDONLY | WARILY, Mode::empty())
            }
            _ => rustix::fs::openat(CWD, self.path(entry), OFlags::RDONLY | NAMED, Mode::empty()),
        };
        let file = opened.map_err(|error| crate::about(&self.path(entry), "cannot be opened", &error.into()))?;
        let file = File::from(file);
        self.expect_unchanged(entry, &file)?;
        Ok(file)
    }

    /// Whether an open file is still what was found.
    pub(super) fn expect_unchanged(&self, entry: usize, file: &File) -> io::Result<()> {
        let stat = rustix::fs::fstat(file)
            .map_err(|error| crate::about(&self.path(entry), "cannot be read", &error.into()))?;
        let is_same = kind(&stat) == FileType::RegularFile
            && Some(size(&stat)) == self.listing.entries().get(entry).and_then(|entry| entry.bytes)
            && Some(modified(&stat)) == self.found.get(entry).map(|found| found.modified);
        if is_same { Ok(()) } else { Err(self.changed(entry)) }
    }

    /// Says that a file is not what was found.
    pub(super) fn changed(&self, entry: usize) -> io::Error {
        io::Error::other(format!("{} changed while it was being sent", self.path(entry).display()))
    }

    fn open_folder(&self, around: Option<&OwnedFd>, folder: usize) -> io::Result<OwnedFd> {
        let opened = match (around, self.found.get(folder)) {
            (Some(around), Some(found)) => {
                rustix::fs::openat(around, &found.name, OFlags::RDONLY | OFlags::DIRECTORY | WARILY, Mode::empty())
            }
            _ => open_named_folder(&self.path(folder)),
        };
        opened.map_err(|error| crate::about(&self.path(folder), "cannot be opened", &error.into()))
    }

    /// Adds what a person has named, also by a link that leads to it.
    fn add_named(&mut self, path: &Path) -> io::Result<()> {
        let failed = |what: &str, error: rustix::io::Errno| crate::about(path, what, &error.into());
        let stat = rustix::fs::stat(path).map_err(|error| failed("cannot be opened", error))?;
        let label = base_name(path).map_err(|error| crate::about(path, "cannot be opened", &error))?;
        match kind(&stat) {
            FileType::RegularFile => {
                rustix::fs::access(path, Access::READ_OK).map_err(|error| failed("cannot be opened", error))?;
                self.push(None, &label, path.as_os_str(), &stat, path)?;
            }
            FileType::Directory => {
                let handle = open_named_folder(path).map_err(|error| failed("cannot be opened", error))?;
                let folder = self.push(None, &label, path.as_os_str(), &stat, path)?;
                self.add_contents(&handle, folder)?;
            }
            _ => {
                let what = format!("{} is neither a file nor a folder, and cannot be sent", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        }
        Ok(())
    }

    /// Adds what is in a folder. Calls itself for the folders in it, at most [`MAX_DEPTH`] deep.
    fn add_contents(&mut self, handle: &OwnedFd, folder: usize) -> io::Result<()> {
        for name in self.names_in(handle, folder)? {
            let name = OsStr::from_bytes(name.as_bytes());
            let path = self.path(folder).join(name);
            let failed = |what: &str, error: rustix::io::Errno| crate::about(&path, what, &error.into());
            let stat = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("cannot be read", error))?;
            match kind(&stat) {
                FileType::RegularFile => {
                    rustix::fs::accessat(handle, name, Access::READ_OK, AtFlags::empty())
                        .map_err(|error| failed("cannot be opened", error))?;
                    self.push(Some(folder), name, name, &stat, &path)?;
                }
                FileType::Directory => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | WARILY;
                    let inner = rustix::fs::openat(handle, name, flags, Mode::empty())
                        .map_err(|error| failed("cannot be opened", error))?;
                    let folder = self.push(Some(folder), name, name, &stat, &path)?;
                    self.add_contents(&inner, folder)?;
                }
                _ => self.left_out.add(&path),
            }
        }
        Ok(())
    }

    /// The names in a folder, sorted, without those of which it is plain at once that they are left out.
    fn names_in(&mut self, handle: &OwnedFd, folder: usize) -> io::Result<Vec<CString>> {
        let path = self.path(folder);
        let failed = |error: rustix::io::Errno| crate::about(&path, "cannot be read", &error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(handle).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !matches!(entry.file_type(), FileType::RegularFile | FileType::Directory | FileType::Unknown) {
                self.left_out.add(&path.join(OsStr::from_bytes(name.to_bytes())));
                continue;
            }
            names.push(name.to_owned());
            if self.found.len() + names.len() > MAX_ENTRIES {
                return Err(not_listed(&path, NotListed::TooMany));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Adds an entry; its number.
    fn push(
        &mut self,
        folder: Option<usize>,
        label: &OsStr,
        name: &OsStr,
        stat: &Stat,
        path: &Path,
    ) -> io::Result<usize> {
        let entry = Entry {
            folder: folder.and_then(|folder| u32::try_from(folder).ok()),
            name: FileLabel::new(&label.to_string_lossy()),
            permissions: (stat.st_mode & 0o777) as u16,
            bytes: (kind(stat) == FileType::RegularFile).then(|| size(stat)),
        };
        self.listing.push(entry).map_err(|why| not_listed(path, why))?;
        self.found.push(Found { name: name.to_owned(), modified: modified(stat) });
        Ok(self.found.len() - 1)
    }
}

impl LeftOut {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.names.len() < MAX_NAMED {
            self.names.push(path.display().to_string());
        }
    }
}

/// Why a listing cannot have what is at `path`, as a person needs it.
pub(super) fn not_listed(path: &Path, why: NotListed) -> io::Error {
    let path = path.display();
    let what = match why {
        NotListed::TooMany => format!(
            "{path} does not fit into one transfer, which has at most {MAX_ENTRIES} files and folders with short \
             names: send fewer at once, or an archive of them"
        ),
        NotListed::TooDeep => format!(
            "{path} is in more than {MAX_DEPTH} folders in each other, the most that a transfer has: send an inner \
             folder, or an archive"
        ),
        NotListed::TooLarge => format!("{path} is too large to be sent with the others: send fewer at once"),
        NotListed::Misplaced => format!("{path} cannot be sent: it is in something that is no folder"),
    };
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// What a path is called where it is sent to; that of the folder that `.` or `..` means.
pub(super) fn base_name(path: &Path) -> io::Result<OsString> {
    match path.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => Ok(path.canonicalize()?.file_name().unwrap_or_default().to_owned()),
    }
}

fn open_named_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | NAMED, Mode::empty())
}
