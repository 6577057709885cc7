//! The few files and folders of many that are open at once.

use std::io;
use std::os::fd::OwnedFd;

use toom_core::transfer::listing::Listing;

/// Files that are open, and as many folders: a transfer is at one place, and goes back only for what was lost, while
/// a process may have as few as 1,024.
const MAX_OPEN: usize = 16;

/// Those of the entries of a listing that were used last.
#[derive(Debug)]
pub(super) struct Recent<T> {
    /// The newest in use is the last.
    open: Vec<(usize, T)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent { open: Vec::new() }
    }
}

impl<T> Recent<T> {
    /// What is open for an entry.
    pub(super) fn get(&mut self, entry: usize) -> Option<&T> {
        let at = self.open.iter().position(|(other, _)| *other == entry)?;
        self.open[at..].rotate_left(1);
        self.open.last().map(|(_, opened)| opened)
    }

    /// Keeps what was opened for an entry, and closes what was not used for the longest time.
    pub(super) fn insert(&mut self, entry: usize, opened: T) {
        self.close(entry);
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push((entry, opened));
    }

    /// What is open for an entry, opened if it is not.
    pub(super) fn get_or_open(&mut self, entry: usize, open: impl FnOnce() -> io::Result<T>) -> io::Result<&T> {
        if self.get(entry).is_none() {
            self.insert(entry, open()?);
        }
        self.get(entry).ok_or_else(|| io::Error::other("a file that was opened is not open"))
    }

    /// Closes what is open for an entry.
    pub(super) fn close(&mut self, entry: usize) {
        self.open.retain(|(other, _)| *other != entry);
    }
}

impl Recent<OwnedFd> {
    /// The handle of a folder, opened by way of those that it is in: `open` gets the handle of the one around it (none
    /// at the top) and which it is to open.
    pub(super) fn folder(
        &mut self,
        listing: &Listing,
        entry: usize,
        mut open: impl FnMut(Option<&OwnedFd>, usize) -> io::Result<OwnedFd>,
    ) -> io::Result<&OwnedFd> {
        let (mut to_open, mut around) = (Vec::new(), Some(entry));
        while let Some(folder) = around
            && self.get(folder).is_none()
        {
            to_open.push(folder);
            around = folder_of(listing, folder);
        }
        while let Some(folder) = to_open.pop() {
            let opened = open(around.and_then(|around| self.get(around)), folder)?;
            self.insert(folder, opened);
            around = Some(folder);
        }
        self.get_or_open(entry, || Err(io::Error::other("there is no such folder")))
    }
}

/// Which entry of a listing is the folder that another is in.
pub(super) fn folder_of(listing: &Listing, entry: usize) -> Option<usize> {
    let folder = listing.entries().get(entry)?.folder?;
    usize::try_from(folder).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_is_closed() {
        let mut recent = Recent::default();
        for entry in 0..MAX_OPEN {
            recent.insert(entry, entry);
        }
        assert_eq!(recent.get(0), Some(&0));
        recent.insert(MAX_OPEN, MAX_OPEN);
        assert_eq!((recent.open.len(), recent.get(1)), (MAX_OPEN, None));
        assert_eq!(recent.get(0), Some(&0));
        assert_eq!(recent.get_or_open(1, || Ok(11)).expect("opened"), &11);
        assert_eq!(recent.get_or_open(1, || Ok(12)).expect("open"), &11);
        recent.close(1);
        assert_eq!((recent.open.len(), recent.get(1)), (MAX_OPEN - 1, None));
    }
}
