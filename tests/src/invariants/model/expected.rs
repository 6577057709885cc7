//! What must be told to whom before the server hears the next thing: no less, and no more.

use std::collections::BTreeSet;

use toom_core::id::ConnectionId;
use toom_core::wire::message::Event;

/// Events that have not been told yet.
#[derive(Debug, Default)]
pub struct Expected(Vec<(Event, BTreeSet<ConnectionId>)>);

impl Expected {
    /// These must be told this event.
    pub fn add(&mut self, to: impl IntoIterator<Item = ConnectionId>, event: Event) {
        self.0.push((event, to.into_iter().collect()));
    }

    /// These are told this event; the first of them for whom it was not expected.
    pub fn take(&mut self, to: &[ConnectionId], event: &Event) -> Result<(), ConnectionId> {
        for connection in to {
            let told = self.0.iter_mut().any(|(expected, whom)| expected == event && whom.remove(connection));
            if !told {
                return Err(*connection);
            }
        }
        Ok(())
    }

    /// Somebody who was not told something. Nothing is expected any more.
    pub fn end(&mut self) -> Option<(ConnectionId, Event)> {
        let missed = self.0.drain(..).find_map(|(event, whom)| Some((whom.first().copied()?, event)));
        self.0.clear();
        missed
    }
}
