//! What there is of many files: names, folders, permissions, sizes. It goes before their contents.
//!
//! An entry is, in this order: the number of its folder in the listing plus one, or 0 if it is in none; its permissions,
//! and 512 if it is a folder; the size of a file; its name with the length in front. Numbers are varints
//! ([`crate::wire::varint`]). A folder comes before what is in it.

use crate::text::FileLabel;
use crate::wire::varint::{MAX_VARINT, Reader, put_varint};

/// Files and folders of one transfer. Both ends keep a few hundred bytes for each.
pub const MAX_ENTRIES: usize = 65_536;

/// A listing, encoded: names of 50 bytes on average, if there are as many as can be.
pub const MAX_LISTING_BYTES: usize = 4 * 1024 * 1024;

/// All contents together: far more than a disk has, and far less than a flow may have.
pub const MAX_CONTENTS: u64 = MAX_VARINT / 2;

/// Folders in each other: as many as a path of 4,096 bytes (`PATH_MAX` on Linux) can sensibly have.
pub const MAX_DEPTH: usize = 128;

/// The permission bits that are kept; never those that let a program run as somebody else.
const PERMISSIONS: u64 = 0o777;
/// Beside the permissions of a folder.
const FOLDER: u64 = 0o1000;

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which entry is the folder that it is in.
    pub folder: Option<u32>,
    /// What it is called there.
    pub name: FileLabel,
    /// Who may read, write and execute it, as `chmod` takes it; at most 0o777.
    pub permissions: u16,
    /// The size of a file; none if it is a folder.
    pub bytes: Option<u64>,
}

/// Files and folders, those before what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    entries: Vec<Entry>,
    /// How many folders each is in.
    depths: Vec<u8>,
    /// Of all contents.
    bytes: u64,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotListed {
    /// More than [`MAX_ENTRIES`], or names that take more than [`MAX_LISTING_BYTES`].
    TooMany,
    /// More than [`MAX_DEPTH`] folders in each other.
    TooDeep,
    /// More than [`MAX_CONTENTS`].
    TooLarge,
    /// It is in something that is no folder, or comes before it.
    Misplaced,
}

impl Listing {
    /// Adds an entry, whose number is how many there were before.
    pub fn push(&mut self, entry: Entry) -> Result<(), NotListed> {
        let depth = match entry.folder {
            None => 0,
            Some(folder) => self.depth_in(folder).ok_or(NotListed::Misplaced)?,
        };
        let bytes = self.bytes.checked_add(entry.bytes.unwrap_or(0)).filter(|bytes| *bytes <= MAX_CONTENTS);
        if self.entries.len() >= MAX_ENTRIES {
            return Err(NotListed::TooMany);
        }
        if usize::from(depth) >= MAX_DEPTH {
            return Err(NotListed::TooDeep);
        }
        self.bytes = bytes.ok_or(NotListed::TooLarge)?;
        self.entries.push(Entry { permissions: entry.permissions & PERMISSIONS as u16, ..entry });
        self.depths.push(depth);
        Ok(())
    }

    /// All of them, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The sizes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As it travels.
    pub fn encode(&self) -> Result<Vec<u8>, NotListed> {
        let mut encoded = Vec::new();
        for Entry { folder, name, permissions, bytes } in &self.entries {
            put_varint(&mut encoded, folder.map_or(0, |folder| u64::from(folder) + 1));
            put_varint(&mut encoded, u64::from(*permissions) | if bytes.is_none() { FOLDER } else { 0 });
            if let Some(bytes) = bytes {
                put_varint(&mut encoded, *bytes);
            }
            put_varint(&mut encoded, name.as_str().len() as u64);
            encoded.extend_from_slice(name.as_str().as_bytes());
        }
        if encoded.len() > MAX_LISTING_BYTES { Err(NotListed::TooMany) } else { Ok(encoded) }
    }

    /// What was said, with names made harmless; `None` if it is no listing, or lists nothing.
    pub fn decode(encoded: &[u8]) -> Option<Listing> {
        let (mut reader, mut listing) = (Reader::new(encoded), Listing::default());
        while reader.position() < encoded.len() {
            let folder = u32::try_from(reader.varint()?).ok()?.checked_sub(1);
            let kind = reader.varint().filter(|kind| *kind <= FOLDER | PERMISSIONS)?;
            let bytes = if kind & FOLDER == 0 { Some(reader.varint()?) } else { None };
            let length = usize::try_from(reader.varint()?).ok()?;
            let name = core::str::from_utf8(reader.take(length)?).ok()?;
            let permissions = (kind & PERMISSIONS) as u16;
            listing.push(Entry { folder, name: FileLabel::new(name), permissions, bytes }).ok()?;
        }
        (!listing.entries.is_empty() && encoded.len() <= MAX_LISTING_BYTES).then_some(listing)
    }

    /// How many folders something in this one is in.
    fn depth_in(&self, folder: u32) -> Option<u8> {
        let at = usize::try_from(folder).ok()?;
        let is_folder = self.entries.get(at)?.bytes.is_none();
        self.depths.get(at).filter(|_| is_folder).map(|depth| depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(folder: Option<u32>, name: &str, bytes: u64) -> Entry {
        Entry { folder, name: FileLabel::new(name), permissions: 0o644, bytes: Some(bytes) }
    }

    fn folder(folder: Option<u32>, name: &str) -> Entry {
        Entry { folder, name: FileLabel::new(name), permissions: 0o755, bytes: None }
    }

    fn listing(entries: impl IntoIterator<Item = Entry>) -> Result<Listing, NotListed> {
        let mut listing = Listing::default();
        entries.into_iter().try_for_each(|entry| listing.push(entry))?;
        Ok(listing)
    }

    #[test]
    fn listings_come_back() {
        let entries =
            [folder(None, "photos"), file(Some(0), "a.jpg", 1 << 40), folder(Some(0), "b"), file(None, "c", 0)];
        let listing = listing(entries.clone()).unwrap();
        assert_eq!((listing.entries(), listing.bytes()), (&entries[..], 1 << 40));
        let encoded = listing.encode().unwrap();
        assert_eq!(Listing::decode(&encoded), Some(listing));
        assert_eq!(Listing::decode(&encoded[..encoded.len() - 1]), None);
        assert_eq!(Listing::decode(&[]), None);
    }

    #[test]
    fn names_of_others_are_made_harmless_and_nobody_gets_more_rights() {
        let mut encoded = Vec::new();
        for number in [0, 0o755, 3, 5] {
            put_varint(&mut encoded, number);
        }
        encoded.extend_from_slice(b"../..");
        assert_eq!(Listing::decode(&encoded).unwrap().entries()[0].name, FileLabel::new("unnamed"));
        encoded[1..3].copy_from_slice(&(0x4000u16 | 0o2000).to_be_bytes());
        assert_eq!(Listing::decode(&encoded), None, "sticky or for a group");
        let rich = Entry { permissions: 0o7777, ..file(None, "a", 1) };
        assert_eq!(listing([rich]).unwrap().entries()[0].permissions, 0o777);
    }

    #[test]
    fn what_is_in_nothing_or_too_deep_or_too_much_is_refused() {
        assert_eq!(listing([file(Some(0), "a", 1)]), Err(NotListed::Misplaced));
        assert_eq!(listing([file(None, "a", 1), file(Some(0), "b", 1)]), Err(NotListed::Misplaced));
        assert_eq!(listing([file(None, "a", MAX_VARINT)]), Err(NotListed::TooLarge));
        let nested = |depth: usize| (0..depth as u32).map(|at| folder(at.checked_sub(1), "d"));
        assert!(listing(nested(MAX_DEPTH)).is_ok());
        assert_eq!(listing(nested(MAX_DEPTH + 1)), Err(NotListed::TooDeep));
        let many = |count| core::iter::repeat_n(file(None, "a", 1), count);
        assert!(listing(many(MAX_ENTRIES)).unwrap().encode().is_ok());
        assert_eq!(listing(many(MAX_ENTRIES + 1)), Err(NotListed::TooMany));
        let long = core::iter::repeat_n(file(None, &"n".repeat(150), 1), MAX_ENTRIES);
        assert_eq!(listing(long).unwrap().encode(), Err(NotListed::TooMany));
    }

    proptest! {
        #[test]
        fn whatever_is_decoded_is_encoded_again(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(listing) = Listing::decode(&bytes) {
                let encoded = listing.encode().unwrap();
                prop_assert_eq!(Listing::decode(&encoded), Some(listing));
            }
        }
    }
}
