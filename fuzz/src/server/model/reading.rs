//! What one may read, and what one missed.

use toom_core::id::MessageNumber;
use toom_core::name::UserName;
use toom_core::time::Timestamp;
use toom_core::wire::message::{Cursor, Event, HistoryKind, PastMessage, Refusal, ReplyBody};

use super::{Asked, Model, Place, Said, between, take};

/// Somebody reads: what they may, as it was when they asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    asked: Asked,
    all: Vec<PastMessage>,
}

impl Model {
    pub(super) fn read(&mut self, asked: Asked, kind: HistoryKind, since: Timestamp, after: Option<Cursor>) {
        let mut all: Vec<PastMessage> =
            self.said_before.iter().filter_map(|said| past(said, kind, &asked.user)).collect();
        let place = |it: &PastMessage| (it.room.unwrap_or_default(), it.number);
        all.sort_by_key(place);
        let after = after.and_then(|after| match kind {
            HistoryKind::Broadcast => Some((Default::default(), after.number)),
            HistoryKind::Rooms => Some((after.room?, after.number)),
        });
        all.retain(|it| after.is_none_or(|after| place(it) > after));
        if all.is_empty() {
            let body = ReplyBody::History { messages: Vec::new(), next: None };
            return self.reply(asked.connection, asked.request, body);
        }
        all.retain(|it| it.at >= since);
        self.began(asked.connection);
        self.questions.push(Question { asked, all });
    }

    pub(super) fn find(&mut self, which: u8, most: usize, works: bool) {
        let Some(Question { asked, mut all }) = take(which, &mut self.questions) else { return };
        let more = all.len() > most;
        all.truncate(most);
        let next = all.last().filter(|_| more).map(|last| Cursor { room: last.room, number: last.number });
        let body = match works {
            true => ReplyBody::History { messages: all, next },
            false => ReplyBody::Refused(Refusal::StorageFailed),
        };
        self.reply(asked.connection, asked.request, body);
        self.answered(asked.connection);
    }

    /// What `peer` wrote to `user`, who was not shown it.
    pub(super) fn missed_from(&self, user: &UserName, peer: &UserName) -> impl Iterator<Item = &Said> {
        let (place, shown) = (between(user, peer), self.shown(user, peer));
        let peer = peer.clone();
        self.said_before.iter().filter(move |it| it.place == place && it.from == peer && it.number > shown)
    }

    /// Tells somebody who comes back what was written to them.
    pub(super) fn tell_missed(&mut self, user: &UserName) {
        let peers: std::collections::BTreeSet<UserName> = self.said_before.iter().map(|it| it.from.clone()).collect();
        let missed: Vec<Event> = peers.iter().flat_map(|peer| self.missed_from(user, peer)).map(event).collect();
        missed.iter().for_each(|event| self.tell(user, event));
    }
}

fn event(said: &Said) -> Event {
    let (number, from, text) = (MessageNumber(said.number), said.from.clone(), said.text.clone());
    Event::DirectMessage { number, at: said.at, from, text }
}

fn past(said: &Said, kind: HistoryKind, user: &UserName) -> Option<PastMessage> {
    let room = match (kind, &said.place) {
        (HistoryKind::Broadcast, Place::Everywhere) => None,
        (HistoryKind::Rooms, Place::Room(room)) if said.readers.contains(user) => Some(*room),
        _ => return None,
    };
    let (number, from, text) = (MessageNumber(said.number), said.from.clone(), said.text.clone());
    Some(PastMessage { room, number, at: said.at, from, text })
}
