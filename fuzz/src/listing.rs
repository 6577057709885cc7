//! What a sender says of several files.

use toom_core::transfer::listing::{Entry, Listing};

/// A listing that is accepted has only harmless names, entries in folders that come before them, and no more contents than
/// its files have; encoded again it is the same.
pub fn listing(data: &[u8]) {
    let Some(listing) = Listing::decode(data) else { return };
    let entries = listing.entries();
    assert!(!entries.is_empty());
    for (at, Entry { folder, name, permissions, .. }) in entries.iter().enumerate() {
        assert!(!name.as_str().is_empty() && !name.as_str().contains(['/', '\0']), "{name:?}");
        assert!(!matches!(name.as_str(), "." | "..") && *permissions <= 0o777);
        assert!(folder.is_none_or(|folder| (folder as usize) < at && entries[folder as usize].bytes.is_none()));
    }
    assert_eq!(listing.bytes(), entries.iter().filter_map(|entry| entry.bytes).sum::<u64>());
    // Names were cleaned, which may make them longer.
    if let Ok(encoded) = listing.encode() {
        assert_eq!(Listing::decode(&encoded), Some(listing));
    }
}
