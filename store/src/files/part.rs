//! The partial files of a download directory: hidden, private, and locked as long as somebody writes them.
//!
//! A transfer that ended halfway leaves its partial file behind, as does a process that is killed; the system releases
//! its lock. So whoever next receives a file of the same name can tell it from those that are being written, goes on
//! with it if it has a journal ([`super::journal`]), and removes it if not. A file that was made and not locked yet may
//! be taken for one left behind: its maker looks after that, and makes another.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::journal;

/// A hidden file beside the final place, so that giving it its name is a rename within one file system.
pub(super) fn create(directory: &OwnedFd, final_name: &str) -> Result<(String, File), Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    loop {
        let part = format!(".{final_name}.{:08x}.part", random());
        match rustix::fs::openat(directory, &part, flags, mode) {
            Ok(file) if is_kept(directory, &part, &file) => return Ok((part, file.into())),
            Ok(_) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes over a partial file for `final_name` that was left behind and has a journal.
pub(super) fn adopt(directory: &OwnedFd, final_name: &str) -> Option<(String, File)> {
    let entries = Dir::read_from(directory).ok()?;
    entries.flatten().find_map(|entry| {
        let name = entry.file_name().to_str().ok().filter(|name| is_part_of(name, final_name))?;
        let has_journal = journal::is_there(directory, name);
        let file = lock_orphan(directory, name).ok().flatten().filter(|file| has_journal && is_private(file))?;
        Some((name.to_owned(), file.into()))
    })
}

/// Whether nobody else can write to a file, by another name or as its owner: what is received must stay what it is.
fn is_private(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        let mode = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXG | Mode::RWXO);
        stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1 && mode.is_empty()
    })
}

/// Removes the partial files for `final_name` whose processes are gone. What cannot be removed stays.
pub(super) fn remove_orphans(directory: &OwnedFd, final_name: &str) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_str().ok().filter(|name| is_part_of(name, final_name));
        if let Some(name) = name
            && let Err(error) = remove_if_orphan(directory, name)
        {
            tracing::debug!("the partial file {name} stays: {error}");
        }
    }
}

/// Different at each call. Not for secrets: a name that is taken is refused when it is opened.
pub(super) fn random() -> u32 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    (random & u64::from(u32::MAX)) as u32
}

/// Locks a new file; whether nobody has removed it, or is about to.
fn is_kept(directory: &OwnedFd, part: &str, file: &OwnedFd) -> bool {
    // Where there are no locks, nobody can take one, and so nothing is removed.
    let lock = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    let found = rustix::fs::statat(directory, part, AtFlags::SYMLINK_NOFOLLOW).map(|_| ());
    lock != Err(Errno::WOULDBLOCK) && found != Err(Errno::NOENT)
}

/// Whether [`create`] could have made `name` for `final_name`.
pub(super) fn is_part_of(name: &str, final_name: &str) -> bool {
    let rest = name.strip_prefix('.').and_then(|rest| rest.strip_prefix(final_name));
    let random = rest.and_then(|rest| rest.strip_prefix('.')).and_then(|rest| rest.strip_suffix(".part"));
    random.is_some_and(|hex| hex.len() == 8 && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
}

/// Removes a partial file unless a process has its lock.
fn remove_if_orphan(directory: &OwnedFd, part: &str) -> Result<(), Errno> {
    // Locked until it is gone, or its maker might begin to use it.
    if let Some(_locked) = lock_orphan(directory, part)? {
        rustix::fs::unlinkat(directory, part, AtFlags::empty())?;
        journal::remove_of(directory, part);
    }
    Ok(())
}

/// Locks a partial file, unless a process has its lock; none if it has got its final name meanwhile.
fn lock_orphan(directory: &OwnedFd, part: &str) -> Result<Option<OwnedFd>, Errno> {
    // Not through a link, and without waiting for the other end of a pipe.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, part, flags, Mode::empty())?;
    let opened = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(opened.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Before it was locked, it may have got its final name.
    let named = rustix::fs::statat(directory, part, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)).then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn open(directory: &Path) -> OwnedFd {
        rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("opened")
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let downloads = tempfile::tempdir().expect("a directory");
        let at = |name: &str| downloads.path().join(name);
        let orphans = [".yoda_film.mp4.0123abcd.part", ".yoda_film.mp4.ffffffff.part"];
        let others = [
            ".yoda_film.mp4.0123ABCD.part",
            ".yoda_film.mp4.0123abc.part",
            ".yoda_film.mp4.0123abcd.part.part",
            ".yoda_film.mp4.0123abcd.part (2)",
            ".yoda_film.mp4.x.0123abcd.part",
            ".yoda_film.0123abcd.part",
            ".luke_film.mp4.0123abcd.part",
            "yoda_film.mp4.0123abcd.part",
            "yoda_film.mp4",
        ];
        for name in orphans.iter().chain(&others) {
            fs::write(at(name), b"abc").expect("written");
        }
        let link = at(".yoda_film.mp4.00000001.part");
        std::os::unix::fs::symlink(at("yoda_film.mp4"), &link).expect("linked");
        let folder = at(".yoda_film.mp4.00000002.part");
        fs::create_dir(&folder).expect("made");
        let pipe = at(".yoda_film.mp4.00000003.part");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");

        let directory = open(downloads.path());
        let (part, _file) = create(&directory, "yoda_film.mp4").expect("made");
        remove_orphans(&directory, "yoda_film.mp4");
        assert!(orphans.iter().all(|name| !at(name).exists()));
        for name in others.iter().copied().chain([part.as_str()]) {
            assert!(at(name).exists(), "{name}");
        }
        assert!(link.is_symlink() && folder.is_dir() && pipe.exists());
    }

    #[test]
    fn a_partial_file_stays_while_it_is_open_and_is_removed_after() {
        let downloads = tempfile::tempdir().expect("a directory");
        let directory = open(downloads.path());
        let (part, file) = create(&directory, "yoda_film.mp4").expect("made");
        remove_orphans(&directory, "yoda_film.mp4");
        assert!(downloads.path().join(&part).exists());
        drop(file);
        remove_orphans(&directory, "yoda_film.mp4");
        assert!(!downloads.path().join(&part).exists());
    }

    #[test]
    fn those_who_make_and_clean_at_the_same_time_keep_what_they_have() {
        let downloads = tempfile::tempdir().expect("a directory");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let directory = open(downloads.path());
                    for _ in 0..300 {
                        let (part, _file) = create(&directory, "yoda_film.mp4").expect("made");
                        remove_orphans(&directory, "yoda_film.mp4");
                        assert!(downloads.path().join(&part).exists(), "somebody removed it");
                    }
                });
            }
        });
    }
}
