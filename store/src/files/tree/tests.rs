use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use toom_core::name::UserName;
use toom_core::text::FileLabel;
use toom_core::transfer::listing::{Entry, Listing};

use super::*;

mod hostile;
mod publishing;
mod resuming;
mod sending;

const MEGABYTE: usize = 1024 * 1024;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("it is in one")).expect("made");
    fs::write(path, content).expect("written");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// All that is in a folder: mode, and the content of files.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let content = metadata.is_file().then(|| read(&path));
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(root).expect("in it").to_owned();
            found.insert(name, (metadata.mode() & 0o7777, content));
        }
    }
    found
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{} is not read: {error}", path.display()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Inodes and times of modification of all that is in a folder, and of itself.
fn traces(root: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let paths = tree(root).into_keys().map(|name| root.join(name)).chain([root.to_owned()]);
    paths
        .map(|path| {
            let metadata = fs::symlink_metadata(&path).expect("there");
            (path, metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
        })
        .collect()
}

fn yoda() -> UserName {
    UserName::new("yoda").expect("a name")
}

/// Both ends of a transfer.
struct Pair {
    source: TreeSource,
    sink: TreeSink,
    listing: u64,
    /// Where the flow ends.
    end: u64,
}

impl Pair {
    /// As far as both know what is to be sent.
    fn agreed(paths: &[PathBuf], downloads: &Path) -> io::Result<Pair> {
        let Opened { mut source, label, bytes, listing, .. } = TreeSource::open(paths)?;
        let mut sink = TreeSink::create(downloads, &yoda(), &label, listing, bytes)?;
        let mut encoded = vec![0; usize::try_from(listing).expect("small")];
        source.read_at(0, &mut encoded)?;
        sink.write_at(0, &encoded)?;
        let parts = sink.survey()?;
        let same = source.compare(&parts)?;
        sink.agreed(&same)?;
        let left_out: u64 = parts.iter().zip(&same).filter(|(_, same)| **same).map(|(part, _)| part.bytes).sum();
        Ok(Pair { source, sink, listing, end: listing + bytes - left_out })
    }

    /// What of the contents is sent.
    fn contents(&self) -> u64 {
        self.end - self.listing
    }

    /// Sends so much of what follows the listing.
    fn send_to(&mut self, end: u64) -> io::Result<()> {
        let mut offset = self.listing;
        while offset < end {
            let mut piece = vec![0; usize::try_from((end - offset).min(256 * 1024)).expect("small")];
            self.source.read_at(offset, &mut piece)?;
            self.sink.write_at(offset, &piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Sends what there is, compares the roots, and gives everything its name.
    fn finish(mut self) -> io::Result<String> {
        self.send_to(self.end)?;
        let root = self.source.take_hash().expect("all was read");
        assert_eq!(self.sink.hash()?, root);
        assert_eq!(self.source.take_hash(), None);
        self.sink.publish()
    }
}

fn send(paths: &[PathBuf], downloads: &Path) -> String {
    Pair::agreed(paths, downloads).expect("agreed").finish().expect("published")
}

/// What a process leaves that is killed.
fn kill(mut sink: TreeSink) {
    sink.kill();
}

/// A sink that has got this listing.
fn sink_with(downloads: &Path, listing: &Listing) -> TreeSink {
    let encoded = listing.encode().expect("a listing");
    let label = FileLabel::new("photos");
    let length = encoded.len() as u64;
    let mut sink = TreeSink::create(downloads, &yoda(), &label, length, listing.bytes()).expect("created");
    sink.write_at(0, &encoded).expect("written");
    sink
}

/// Receives a listing as if everything in it were new; contents of each file in order.
fn receive(downloads: &Path, listing: &Listing, contents: &[u8]) -> io::Result<String> {
    let mut sink = sink_with(downloads, listing);
    let parts = sink.survey()?;
    sink.agreed(&vec![false; parts.len()])?;
    sink.write_at(listing.encode().expect("a listing").len() as u64, contents)?;
    sink.hash()?;
    sink.publish()
}

fn listing(entries: &[(Option<u32>, &str, Option<u64>)]) -> Listing {
    let mut listing = Listing::default();
    for (folder, name, bytes) in entries {
        let (name, permissions) = (FileLabel::new(name), if bytes.is_some() { 0o644 } else { 0o755 });
        listing.push(Entry { folder: *folder, name, permissions, bytes: *bytes }).expect("listed");
    }
    listing
}
