//! The conference as bytes, so that a start need not apply the facts of years again: a version, a BLAKE3 hash of what
//! follows, and MessagePack.
//!
//! A snapshot is derived from the log. One that another version wrote, or that is damaged, is no loss: then all facts
//! are applied. So the version changes with every field, and nothing old is converted.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::conference::Conference;
use super::io::Output;
use super::machine::Server;
use crate::id::LogIndex;
use crate::time::{Instant, Timestamp};

/// Changes with everything that is in a snapshot.
const VERSION: u8 = 1;
/// The version and the hash.
const HEADER_BYTES: usize = 1 + blake3::OUT_LEN;

/// What is in a snapshot.
#[derive(Serialize, Deserialize)]
struct Content<C> {
    conference: C,
    /// The names that are blocked, until when by the wall clock.
    blocks: Vec<(String, Timestamp)>,
}

/// These bytes are no snapshot of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is damaged, or another version of Toom wrote it")]
pub struct UnreadableSnapshot;

impl Server {
    /// The conference as it is now; how long this takes grows with the number of accounts and rooms.
    pub fn snapshot(&self) -> Vec<u8> {
        let (now, wall) = self.clocks();
        let until = |(name, rest): (&str, Duration)| (name.to_owned(), wall.saturating_add(rest));
        let blocks = self.blocks.active(now).map(until).collect();
        let mut bytes = vec![0; HEADER_BYTES];
        // Writing to a Vec cannot fail; an error would be found as a snapshot that cannot be read.
        let encoded = rmp_serde::encode::write(&mut bytes, &Content { conference: &self.conference, blocks });
        debug_assert!(encoded.is_ok(), "a conference that MessagePack cannot hold");
        bytes[0] = VERSION;
        let hash = checksum(&bytes);
        bytes[1..HEADER_BYTES].copy_from_slice(hash.as_bytes());
        bytes
    }

    /// A server that has applied nothing yet becomes what it was: which facts the snapshot covers. The facts behind it
    /// come next, as `Recovered`.
    pub fn restore(
        &mut self,
        snapshot: &[u8],
        now: Instant,
        wall: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<LogIndex, UnreadableSnapshot> {
        let (header, mut body) = snapshot.split_at_checked(HEADER_BYTES).ok_or(UnreadableSnapshot)?;
        if header[0] != VERSION || header[1..] != *checksum(snapshot).as_bytes() {
            return Err(UnreadableSnapshot);
        }
        let mut decoder = rmp_serde::Deserializer::new(&mut body);
        let content: Content<Conference> = Deserialize::deserialize(&mut decoder).map_err(|_| UnreadableSnapshot)?;
        self.conference = content.conference;
        for (name, until) in content.blocks {
            // No clock that was set back makes a block longer than a whole one.
            let rest = until.saturating_since(wall).min(self.settings.block);
            let has_account = self.conference.accounts.find(&name).is_some();
            if rest > Duration::ZERO {
                self.blocks.block(&name, has_account, now + rest);
            }
        }
        out.extend(self.conference.rooms.ids().map(|room| Output::Activity(Activity::RoomKnown { room })));
        Ok(self.conference.applied)
    }

    /// The newest fact that was applied.
    pub fn applied(&self) -> LogIndex {
        self.conference.applied
    }
}

/// Of all but the hash itself.
fn checksum(snapshot: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&snapshot[..1]).update(&snapshot[HEADER_BYTES..]).finalize()
}

#[cfg(test)]
mod tests;
