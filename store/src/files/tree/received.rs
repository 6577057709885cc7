//! What is being received, as its listing says: names of files, partial and final.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use toom_core::name::UserName;
use toom_core::text::{FileLabel, received_name};
use toom_core::transfer::listing::{Entry, Listing};

use super::recent::folder_of;
use crate::files::journal;

/// Of a hash: so much that no two paths have the same.
const NAME_HASH_BYTES: usize = 16;

/// A smaller file has no journal: it costs less to hash all of it again.
const MIN_JOURNALED: u64 = journal::INTERVAL;

/// A listing, and where what it lists goes.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) listing: Listing,
    /// For people.
    downloads: PathBuf,
    from: UserName,
    part_names: Vec<[u8; NAME_HASH_BYTES]>,
}

impl Received {
    /// Files and folders from somebody.
    pub(super) fn new(listing: Listing, downloads: &Path, from: &UserName) -> Received {
        let part_names = part_names(&listing);
        Received { listing, downloads: downloads.to_owned(), from: from.clone(), part_names }
    }

    /// All that is listed, with its numbers.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.listing.entries().iter().enumerate()
    }

    /// The size of a file.
    pub(super) fn bytes(&self, entry: usize) -> Option<u64> {
        self.listing.entries().get(entry)?.bytes
    }

    /// Whether a file is large enough for a journal.
    pub(super) fn has_journal(&self, entry: usize) -> bool {
        self.bytes(entry).is_some_and(|bytes| bytes >= MIN_JOURNALED)
    }

    /// The name of the partial file: the same in each transfer of the same path.
    pub(super) fn part_name(&self, entry: usize) -> String {
        let hash = self.part_names.get(entry).copied().unwrap_or_default();
        format!("{}.part", hash.map(|byte| format!("{byte:02x}")).concat())
    }

    /// The `attempt`th name to try for an entry where it belongs.
    pub(super) fn name(&self, entry: usize, attempt: u32) -> String {
        let Some(Entry { folder, name, .. }) = self.listing.entries().get(entry) else { return "unnamed".into() };
        if folder.is_none() { received_name(&self.from, name, attempt) } else { alternative(name, attempt) }
    }

    /// Where an entry goes if nothing is in the way, for people.
    pub(super) fn path(&self, entry: usize) -> PathBuf {
        let (mut names, mut at) = (Vec::new(), Some(entry));
        while let Some(entry) = at {
            names.push(self.name(entry, 1));
            at = folder_of(&self.listing, entry);
        }
        self.downloads.join(names.iter().rev().collect::<PathBuf>())
    }

    /// Where all goes, for people.
    pub(super) fn downloads(&self) -> &Path {
        &self.downloads
    }
}

/// `stem.ext` for 1, then `stem (2).ext`, `stem (3).ext`, as [`received_name`] without the sender.
fn alternative(label: &FileLabel, attempt: u32) -> String {
    let label = label.as_str();
    match label.rfind('.') {
        _ if attempt <= 1 => label.to_owned(),
        // A dot at the start of a name does not begin an extension.
        Some(dot) if dot > 0 => format!("{} ({attempt}){}", &label[..dot], &label[dot..]),
        _ => format!("{label} ({attempt})"),
    }
}

/// A hash of the path of each entry, and of how many of the same path were before.
fn part_names(listing: &Listing) -> Vec<[u8; NAME_HASH_BYTES]> {
    let mut names: Vec<[u8; NAME_HASH_BYTES]> = Vec::with_capacity(listing.entries().len());
    let mut seen = HashMap::<_, u32>::new();
    for (entry, Entry { name, .. }) in listing.entries().iter().enumerate() {
        let around = folder_of(listing, entry).and_then(|folder| names.get(folder));
        // That of the folder has a fixed length, and what is at the top has none in front.
        let around = around.map(|name| &name[..]).unwrap_or(b"top");
        let before = seen.entry(hash(&[around, name.as_str().as_bytes()])).or_default();
        names.push(hash(&[&before.to_be_bytes(), around, name.as_str().as_bytes()]));
        *before = before.saturating_add(1);
    }
    names
}

fn hash(parts: &[&[u8]]) -> [u8; NAME_HASH_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut name = [0; NAME_HASH_BYTES];
    name.copy_from_slice(&hasher.finalize().as_bytes()[..NAME_HASH_BYTES]);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(entries: &[(Option<u32>, &str)]) -> Received {
        let mut listing = Listing::default();
        for (folder, name) in entries {
            let bytes = name.contains('.').then_some(1);
            let entry = Entry { folder: *folder, name: FileLabel::new(name), permissions: 0, bytes };
            listing.push(entry).expect("listed");
        }
        Received::new(listing, Path::new("/downloads"), &UserName::new("yoda").expect("a name"))
    }

    #[test]
    fn names_inside_are_as_sent_and_those_at_the_top_say_from_whom() {
        let received = received(&[(None, "photos"), (Some(0), "a.tar.gz"), (Some(0), ".hidden.")]);
        assert_eq!([1, 2].map(|attempt| received.name(0, attempt)), ["yoda_photos", "yoda_photos (2)"]);
        assert_eq!([1, 2].map(|attempt| received.name(1, attempt)), ["a.tar.gz", "a.tar (2).gz"]);
        assert_eq!([1, 3].map(|attempt| received.name(2, attempt)), [".hidden", ".hidden (3)"]);
        assert_eq!(received.path(1), Path::new("/downloads/yoda_photos/a.tar.gz"));
    }

    #[test]
    fn partial_files_are_named_by_their_paths_wherever_they_are_in_the_listing() {
        let one = received(&[(None, "b"), (Some(0), "a.txt"), (Some(0), "a.txt"), (None, "a.txt")]);
        let names: Vec<_> = (0..4).map(|entry| one.part_name(entry)).collect();
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 4, "{names:?}");
        let other = received(&[(None, "a"), (None, "b"), (Some(1), "a.txt")]);
        assert_eq!(other.part_name(2), names[1]);
    }
}
