//! What everyone read at the end must be the same, and what the log says.

use std::collections::{BTreeMap, BTreeSet};

use toom_core::id::{MessageNumber, RoomId};
use toom_core::server::fact::Fact;
use toom_core::wire::message::{HistoryKind, PastMessage};

use super::accounts::broadcasts;
use super::stage::Stage;
use crate::invariants::{Broken, ensure};

/// Everyone read the same.
pub const AGREED: &str = "liveness: all histories agree with each other and with the log";

impl Stage {
    /// Compares what everyone read.
    pub(super) fn agree(&self) -> Result<(), Broken> {
        let log = self.log();
        let texts = broadcasts(&log);
        let mut said = BTreeSet::new();
        for committed in &log {
            if let Fact::RoomMessage { room, from, text, .. } = &committed.fact {
                said.insert((*room, from.clone(), text.as_str()));
            }
        }
        let mut rooms: BTreeMap<(RoomId, MessageNumber), &PastMessage> = BTreeMap::new();
        let mut first: Option<&[PastMessage]> = None;
        for person in &self.people {
            let Some(read) = person.read.get(&HistoryKind::Broadcast) else { continue };
            let in_the_log = read.iter().map(|message| message.text.as_str()).eq(texts.iter().copied());
            let numbered = read.iter().map(|message| message.number.0).eq(1..=read.len() as u64);
            ensure(in_the_log && numbered && **first.get_or_insert(read) == read[..], AGREED, || {
                format!("{} read {} broadcasts, the log has {}", person.name, read.len(), texts.len())
            })?;
            for message in person.read.get(&HistoryKind::Rooms).into_iter().flatten() {
                let room = message.room.unwrap_or_default();
                let same = *rooms.entry((room, message.number)).or_insert(message) == message;
                let known = said.contains(&(room, message.from.clone(), message.text.as_str()));
                ensure(same && known, AGREED, || format!("{} alone read {message:?}", person.name))?;
            }
        }
        Ok(())
    }
}
