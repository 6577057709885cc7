//! What was said while a session was not connected: pulled page by page after it was resumed. Until a conversation
//! has been pulled to its end, nothing newer of it is sent, so that each message comes once and in order.
//!
//! Direct messages are not for here; what of them was missed is known across sessions (`delivery`).

use std::collections::BTreeMap;

use super::fact::Conversation;
use super::history::past_message;
use super::io::{Page, Select, Span};
use super::machine::Server;
use super::pending::{Asked, Question};
use super::turn::Turn;
use crate::id::{MessageNumber, RoomId};
use crate::machine::Usage;
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES, MAX_ROOMS_PER_USER};
use crate::wire::message::{Positions, Refusal, ReplyBody};

/// A conversation: a room, or the broadcasts.
type Place = Option<RoomId>;

/// What one session has missed and not been sent yet.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// The conversations that it is behind in: up to which number it has been sent everything.
    behind: BTreeMap<Place, MessageNumber>,
    /// What the page that is being read covers: up to which number.
    asked: Option<BTreeMap<Place, MessageNumber>>,
}

impl Missed {
    /// Whether live messages of this conversation may be sent.
    pub(super) fn is_current(&self, place: Place) -> bool {
        !self.behind.contains_key(&place)
    }

    /// How many conversations there are.
    pub(super) fn usage(&self) -> Usage {
        Usage::new("conversations that one session is behind in", self.behind.len(), MAX_ROOMS_PER_USER + 1)
    }
}

impl Server {
    /// What `user` has missed since these positions, and how many messages that are.
    pub(super) fn missed_since(&self, user: &UserName, positions: &Positions) -> (Missed, u64) {
        let seen: BTreeMap<RoomId, MessageNumber> = positions.rooms.iter().copied().collect();
        let rooms = self.conference.rooms.current(user).map(|(room, first, last)| {
            // What was said before they joined was not missed; neither is a position beyond the end believed.
            let seen = seen.get(&room).copied().unwrap_or_default();
            (Some(room), seen.max(MessageNumber(first.0.saturating_sub(1))), last)
        });
        let all = rooms.chain([(None, positions.broadcasts, self.conference.broadcasts)]);
        let mut missed = Missed::default();
        let mut count = 0;
        for (place, seen, last) in all.filter(|(_, seen, last)| seen < last) {
            missed.behind.insert(place, seen);
            count += last.0 - seen.0;
        }
        (missed, count)
    }

    /// The request for the next page.
    pub(super) fn read_missed(&mut self, turn: &mut Turn<'_>, asked: Asked) {
        let Some(session) = self.sessions.get(&asked.user) else { return };
        if session.missed.asked.is_some() {
            // Pages come one after the other.
            return self.refuse(turn, &asked, Refusal::OutOfOrder);
        }
        let ends = self.ends(&asked.user, &session.missed.behind);
        if ends.is_empty() {
            return self.show_missed(turn, &asked, Page { messages: Vec::new(), more: false });
        }
        if !self.has_room_to_read(turn, &asked) {
            return;
        }
        let spans = ends.iter().map(|(place, (sent, last))| Span {
            conversation: place.map_or(Conversation::Broadcast, Conversation::Room),
            first: MessageNumber(sent.0 + 1),
            last: *last,
        });
        let select = Select {
            spans: spans.collect(),
            not_before: Timestamp::from_millis(i64::MIN),
            max_messages: MAX_PAGE_MESSAGES,
            max_bytes: MAX_PAGE_BYTES,
        };
        let covers = ends.into_iter().map(|(place, (_, last))| (place, last)).collect();
        if let Some(session) = self.sessions.get_mut(&asked.user) {
            session.missed.asked = Some(covers);
        }
        self.read(turn, asked, |asked| Question::Missed { asked }, select);
    }

    /// The page has come.
    pub(super) fn missed_page_found(&mut self, turn: &mut Turn<'_>, asked: &Asked, page: Option<Page>) {
        let connection = Some(asked.connection);
        let Some(session) = self.sessions.get_mut(&asked.user).filter(|it| it.connection == connection) else { return };
        let (Some(covers), Some(mut page)) = (session.missed.asked.take(), page) else {
            return self.refuse(turn, asked, Refusal::StorageFailed);
        };
        let behind = &mut session.missed.behind;
        page.messages.retain(|message| {
            let sent = place(&message.conversation).and_then(|place| behind.get_mut(&place));
            sent.is_some_and(|sent| {
                let new = *sent < message.number;
                *sent = (*sent).max(message.number);
                new
            })
        });
        if !page.more {
            for (place, last) in covers {
                behind.entry(place).and_modify(|sent| *sent = last.max(*sent));
            }
        }
        self.show_missed(turn, asked, page);
    }

    /// Answers, and goes on live where nothing is missing any more.
    fn show_missed(&mut self, turn: &mut Turn<'_>, asked: &Asked, page: Page) {
        let Some(session) = self.sessions.get(&asked.user) else { return };
        let ends = self.ends(&asked.user, &session.missed.behind);
        let behind: BTreeMap<Place, MessageNumber> = ends.into_iter().map(|(place, (sent, _))| (place, sent)).collect();
        let more = !behind.is_empty();
        if let Some(session) = self.sessions.get_mut(&asked.user) {
            session.missed.behind = behind;
        }
        let messages = page.messages.into_iter().map(past_message).collect();
        self.answer(turn, asked, ReplyBody::Missed { messages, more });
    }

    /// Those conversations in which something is still missing: up to where it has been sent or was not theirs to read,
    /// and the newest number.
    fn ends(
        &self,
        user: &UserName,
        behind: &BTreeMap<Place, MessageNumber>,
    ) -> BTreeMap<Place, (MessageNumber, MessageNumber)> {
        let current = |place: &Place| match place {
            None => Some((MessageNumber(1), self.conference.broadcasts)),
            // They may have left it meanwhile, or left it and come back.
            Some(room) => self.conference.rooms.current_in(*room, user),
        };
        let ends = behind.iter().filter_map(|(place, sent)| {
            let (first, last) = current(place)?;
            let sent = MessageNumber(first.0.saturating_sub(1)).max(*sent);
            Some((*place, (sent, last)))
        });
        ends.filter(|(_, (sent, last))| sent < last).collect()
    }
}

fn place(conversation: &Conversation) -> Option<Place> {
    match conversation {
        Conversation::Broadcast => Some(None),
        Conversation::Room(room) => Some(Some(*room)),
        Conversation::Direct(..) => None,
    }
}
