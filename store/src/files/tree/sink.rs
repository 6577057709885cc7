//! Files and folders that are being received.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use toom_core::name::UserName;
use toom_core::text::{FileLabel, received_name};
use toom_core::transfer::listing::{Listing, MAX_LISTING_BYTES};
use toom_core::transfer::parts::Part;

use super::contents::Contents;
use super::part_folder::PartFolder;
use super::places::Places;
use super::publish::Publish;
use super::received::Received;
use super::survey::{Claim, Survey};
use crate::files::written::Written;
use crate::system::SystemCalls;

/// Contents that are less are not worth keeping.
const MIN_KEPT: u64 = 1024 * 1024;

/// Files and folders that are being received.
#[derive(Debug)]
pub struct TreeSink {
    /// All names are relative to this handle, so that nobody can swap the directory under us.
    directory: OwnedFd,
    /// For people.
    downloads: PathBuf,
    from: UserName,
    /// What the private folder is named after.
    final_name: String,
    /// Made when something has to be written, or left by an earlier transfer.
    folder: Option<PartFolder>,
    /// How long the listing is.
    listing: u64,
    /// The listing, as it arrives, until it was agreed upon.
    encoded: Vec<u8>,
    written: Written,
    /// The sizes of all files, as announced.
    bytes: u64,
    stage: Stage,
    calls: SystemCalls,
    /// The private folder is gone, or is to stay.
    settled: bool,
}

/// How far it has come.
#[derive(Debug)]
enum Stage {
    Listing,
    /// The listing is whole, and the sender is asked which of these it does not send.
    Surveyed(Received, Vec<Claim>),
    Contents(Box<Contents>),
    Over,
}

impl TreeSink {
    /// Makes ready to receive a listing of `listing` bytes and contents of `bytes` in `downloads`, or to go on with
    /// what an earlier transfer of the same name left there.
    pub fn create(
        downloads: &Path,
        from: &UserName,
        label: &FileLabel,
        listing: u64,
        bytes: u64,
    ) -> io::Result<TreeSink> {
        let length = usize::try_from(listing).ok().filter(|length| (1..=MAX_LISTING_BYTES).contains(length));
        let Some(length) = length else { return Err(no_listing(label)) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(downloads, flags, Mode::empty()).map_err(|error| {
            let what = "cannot be used as the download directory";
            crate::about(downloads, what, &error.into())
        })?;
        let final_name = received_name(from, label, 1);
        let folder = PartFolder::adopt(&directory, &final_name);
        PartFolder::remove_orphans(&directory, &final_name);
        Ok(TreeSink {
            directory,
            downloads: downloads.to_owned(),
            from: from.clone(),
            final_name,
            folder,
            listing,
            encoded: vec![0; length],
            written: Written::default(),
            bytes,
            stage: Stage::Listing,
            calls: SystemCalls::default(),
            settled: false,
        })
    }

    /// Counts its writes and reads in `calls` from now on.
    pub(in crate::files) fn count_in(&mut self, calls: SystemCalls) {
        self.calls = calls;
    }

    /// Writes a part of the flow: of the listing, and after [`TreeSink::agreed`] of the contents.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let listing = self.listing;
        let whole = if let Stage::Contents(contents) = &self.stage { contents.end() } else { listing };
        let Some(end) = offset.checked_add(bytes.len() as u64).filter(|end| *end <= whole) else {
            let what = format!("{} would get more bytes than were offered", self.path().display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        match (&mut self.stage, &self.folder) {
            (Stage::Listing, _) => {
                let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                if let Some(part) = self.encoded.get_mut(at(offset)..at(end)) {
                    part.copy_from_slice(bytes);
                }
                self.written.add(offset..end);
                Ok(())
            }
            // The listing was read already.
            (_, _) if end <= listing => Ok(()),
            (Stage::Contents(contents), Some(folder)) => contents.write(folder, offset, bytes),
            _ => Ok(()),
        }
    }

    /// The listing is whole: what of it is there already. Reads all of that.
    pub fn survey(&mut self) -> io::Result<Vec<Part>> {
        if !matches!(self.stage, Stage::Listing) || self.written.prefix() < self.listing {
            return Err(io::Error::other(format!("what {} consists of is not known", self.path().display())));
        }
        let listing = Listing::decode(&self.encoded).filter(|listing| listing.bytes() == self.bytes);
        let Some(listing) = listing else { return Err(wrong_listing(&self.path())) };
        let received = Received::new(listing, &self.downloads, &self.from);
        let survey = Survey { received: &received, folder: self.folder.as_ref(), calls: &self.calls };
        let claims = survey.claims(Places::new(&self.directory, &received))?;
        let parts = claims.iter().map(|claim| claim.part).collect();
        self.stage = Stage::Surveyed(received, claims);
        Ok(parts)
    }

    /// Which of the parts that the survey found the sender does not send.
    pub fn agreed(&mut self, same: &[bool]) -> io::Result<()> {
        let is_answer = matches!(&self.stage, Stage::Surveyed(_, claims) if claims.len() == same.len());
        if !is_answer {
            return Err(io::Error::other("the sender's answer does not fit what was asked: nothing was received"));
        }
        let Stage::Surveyed(received, claims) = std::mem::replace(&mut self.stage, Stage::Over) else { return Ok(()) };
        let encoded = std::mem::take(&mut self.encoded);
        let contents = Contents::new(received, &encoded, claims, same, self.calls.clone());
        if self.folder.is_none() && contents.arriving().next().is_some() {
            let folder = PartFolder::create(&self.directory, &self.final_name);
            self.folder = Some(folder.map_err(|error| {
                crate::about(&self.downloads, "does not let a folder be made in it", &error.into())
            })?);
        }
        if let Some(folder) = &self.folder {
            let parts = contents.arriving().filter(|entry| contents.goes_on_with(*entry));
            let stems: std::collections::HashSet<String> = parts
                .filter_map(|entry| Some(contents.received.part_name(entry).strip_suffix(".part")?.into()))
                .collect();
            folder.retain(|name| name.split('.').next().is_some_and(|stem| stems.contains(stem)));
        }
        self.stage = Stage::Contents(Box::new(contents));
        Ok(())
    }

    /// The root of all that is on the disk now.
    pub fn hash(&mut self) -> io::Result<[u8; 32]> {
        match &mut self.stage {
            Stage::Contents(contents) => contents.hash_all(self.folder.as_ref()),
            _ => Err(io::Error::other(format!("{} is not complete", self.path().display()))),
        }
    }

    /// Gives everything its final name, replacing nothing; the names that are at the top now. What has no name yet
    /// after an error is kept for a later transfer.
    pub fn publish(mut self) -> io::Result<String> {
        self.hash()?;
        let Stage::Contents(contents) = &self.stage else { return Err(io::Error::other("nothing was received")) };
        let published = Publish::new(&self.directory, contents, self.folder.as_ref()).all();
        // Dropping ourselves removes the private folder.
        self.settled = published.is_err();
        published
    }

    /// Leaves what was written for a later transfer, if it is worth it.
    pub fn keep(mut self) {
        self.settled = match (&mut self.stage, &self.folder) {
            (Stage::Contents(contents), Some(folder)) => contents.keep(folder) >= MIN_KEPT,
            // What an earlier transfer left is as it was.
            _ => true,
        };
    }

    /// Leaves everything as a process does that is killed.
    #[cfg(test)]
    pub(super) fn kill(&mut self) {
        self.settled = true;
    }

    /// For people.
    fn path(&self) -> PathBuf {
        self.downloads.join(&self.final_name)
    }
}

impl Drop for TreeSink {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.as_ref().filter(|_| !self.settled) {
            folder.remove(&self.directory);
        }
    }
}

fn no_listing(label: &FileLabel) -> io::Error {
    let what =
        format!("{label} was announced with a list of files that is empty or too long, so it cannot be received");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn wrong_listing(path: &Path) -> io::Error {
    let path = path.display();
    let what = format!("{path} cannot be received: the list of its files is none, or is not what was offered");
    io::Error::new(io::ErrorKind::InvalidData, what)
}
