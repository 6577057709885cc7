//! Reading what was said: which intervals one may read, and a page of them from the store.

use super::activity::Activity;
use super::fact::{Conversation, Message};
use super::io::{Page, Select, Span};
use super::machine::Server;
use super::pending::Asked;
use super::turn::Turn;
use crate::id::{MessageNumber, RoomId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES};
use crate::wire::message::{Cursor, HistoryKind, PastMessage, Refusal, ReplyBody};

impl Server {
    /// What to ask the store, or `None` if there is nothing that this user may read.
    pub(super) fn select_history(
        &self,
        user: &UserName,
        kind: HistoryKind,
        not_before: Timestamp,
        after: Option<Cursor>,
    ) -> Option<Select> {
        let spans = match kind {
            HistoryKind::Broadcast => self.broadcast_span(after),
            HistoryKind::Rooms => self.room_spans(user, after),
        };
        let (max_messages, max_bytes) = (MAX_PAGE_MESSAGES, MAX_PAGE_BYTES);
        (!spans.is_empty()).then_some(Select { spans, not_before, max_messages, max_bytes })
    }

    /// A page has come: the answer.
    pub(super) fn found_history(
        &mut self,
        turn: &mut Turn<'_>,
        asked: &Asked,
        kind: HistoryKind,
        not_before: Timestamp,
        page: Option<Page>,
    ) {
        let Some(page) = page else { return self.refuse(turn, asked, Refusal::StorageFailed) };
        let messages: Vec<PastMessage> = page.messages.into_iter().map(past_message).collect();
        let last = messages.last().map(|last| Cursor { room: last.room, number: last.number });
        let next = last.filter(|_| page.more);
        self.show_history(turn, asked, kind, not_before, ReplyBody::History { messages, next });
    }

    /// There is nothing to ask the store for.
    pub(super) fn no_history(&mut self, turn: &mut Turn<'_>, asked: &Asked, kind: HistoryKind, not_before: Timestamp) {
        self.show_history(turn, asked, kind, not_before, ReplyBody::History { messages: Vec::new(), next: None });
    }

    fn show_history(
        &mut self,
        turn: &mut Turn<'_>,
        asked: &Asked,
        kind: HistoryKind,
        not_before: Timestamp,
        history: ReplyBody,
    ) {
        let messages = if let ReplyBody::History { messages, .. } = &history { messages.len() } else { 0 };
        self.answer(turn, asked, history);
        turn.activity(Activity::ReadHistory { user: asked.user.clone(), kind, not_before, messages });
    }

    fn broadcast_span(&self, after: Option<Cursor>) -> Vec<Span> {
        let first = MessageNumber(after.map_or(0, |after| after.number.0).saturating_add(1));
        let last = self.conference.broadcasts;
        if first > last { Vec::new() } else { vec![Span { conversation: Conversation::Broadcast, first, last }] }
    }

    fn room_spans(&self, user: &UserName, after: Option<Cursor>) -> Vec<Span> {
        let after: Option<(RoomId, MessageNumber)> = after.and_then(|after| Some((after.room?, after.number)));
        let intervals = self.conference.rooms.intervals(user, after);
        intervals.map(|(room, first, last)| Span { conversation: Conversation::Room(room), first, last }).collect()
    }
}

fn past_message(message: Message) -> PastMessage {
    let room = if let Conversation::Room(room) = message.conversation { Some(room) } else { None };
    PastMessage { room, number: message.number, at: message.at, from: message.from, text: message.text }
}
