//! Direct messages for those who were offline: page by page from the store, before anything newer of the same
//! person.

use std::collections::{BTreeMap, VecDeque};

use super::fact::{Conversation, Message};
use super::io::{Page, Select, Span};
use super::machine::Server;
use super::pending::{MAX_QUERIES, Question};
use super::turn::Turn;
use crate::id::{ConnectionId, MessageNumber, QueryId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES};
use crate::wire::message::Event;

/// Conversations that one question to the store may be about.
const MAX_SPANS: usize = 256;

/// Pages that may have been sent and not been shown yet, so that years of messages do not overflow a
/// connection: a quarter of `MAX_OUTBOX_BYTES`.
const MAX_PAGES_AHEAD: usize = 8;

/// How far one session's missed messages have been sent.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// The authors whose messages were missed and have not all been sent: up to which number they have been.
    behind: BTreeMap<UserName, MessageNumber>,
    /// The question that is under way, and what it covers: up to which number, of which author.
    asked: Option<(QueryId, Vec<(UserName, MessageNumber)>)>,
    /// The last message of each page that was sent, until it has been shown.
    ahead: VecDeque<(UserName, MessageNumber)>,
}

impl Server {
    pub(super) fn start_delivery(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        let direct = &self.conference.direct;
        session.delivery.behind =
            direct.unread(user).map(|peer| (peer.clone(), direct.received(user, peer))).collect();
        self.continue_delivery(turn, user);
    }

    /// Sends a direct message that was just committed, unless older ones have to be sent before it.
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_>, message: &Message, to: &UserName) {
        let Some(session) = self.sessions.get(to) else { return };
        if session.delivery.behind.contains_key(&message.from) {
            self.continue_delivery(turn, to);
        } else {
            turn.event(vec![session.connection], direct_event(message.clone()));
        }
    }

    /// Asks for the next page, if there is one and the user has been shown enough of those before.
    pub(super) fn continue_delivery(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        let (delivery, connection) = (&mut session.delivery, session.connection);
        let direct = &self.conference.direct;
        while let Some((peer, number)) = delivery.ahead.front() {
            if direct.received(user, peer) < *number {
                break;
            }
            delivery.ahead.pop_front();
        }
        if delivery.asked.is_some() {
            return;
        }
        delivery.behind.retain(|peer, sent| *sent < direct.wrote(peer, user));
        if delivery.behind.is_empty()
            || delivery.ahead.len() >= MAX_PAGES_AHEAD
            || self.pending.questions.len() >= MAX_QUERIES
        {
            return;
        }
        let mut covers = Vec::new();
        let mut spans = Vec::new();
        for (peer, sent) in delivery.behind.iter().take(MAX_SPANS) {
            let last = direct.wrote(peer, user);
            covers.push((peer.clone(), last));
            spans.push(Span {
                conversation: Conversation::direct(user, peer),
                first: MessageNumber(sent.0 + 1),
                last,
            });
        }
        // Any time: what was missed long ago is missed, too.
        let not_before = Timestamp::from_millis(i64::MIN);
        let select = Select { spans, not_before, max_messages: MAX_PAGE_MESSAGES, max_bytes: MAX_PAGE_BYTES };
        let query = self.query(turn, Question::Delivery { user: user.clone(), connection }, select);
        if let Some(session) = self.sessions.get_mut(user) {
            session.delivery.asked = Some((query, covers));
        }
    }

    /// A page has come. If the store could not read, the next message or the next login tries again.
    pub(super) fn found_missed(
        &mut self,
        turn: &mut Turn<'_>,
        user: &UserName,
        connection: ConnectionId,
        page: Option<Page>,
    ) {
        let Some(session) = self.sessions.get_mut(user).filter(|it| it.connection == connection) else { return };
        let delivery = &mut session.delivery;
        let (Some((_, covers)), Some(page)) = (delivery.asked.take(), page) else { return };
        let complete = !page.more;
        let mut last_sent = None;
        let mut progress = false;
        for message in page.messages {
            let Some(peer) = peer_of(&message.conversation, user) else { continue };
            let Some(sent) = delivery.behind.get_mut(peer).filter(|sent| **sent < message.number) else { continue };
            *sent = message.number;
            progress = true;
            if message.from != *user {
                last_sent = Some((peer.clone(), message.number));
                turn.event(vec![connection], direct_event(message));
            }
        }
        delivery.ahead.extend(last_sent);
        if complete {
            for (peer, last) in covers {
                if let Some(sent) = delivery.behind.get_mut(&peer) {
                    *sent = last.max(*sent);
                }
            }
        }
        if progress || complete {
            self.continue_delivery(turn, user);
        }
    }
}

fn peer_of<'a>(conversation: &'a Conversation, user: &UserName) -> Option<&'a UserName> {
    match conversation {
        Conversation::Direct(a, b) if a == user => Some(b),
        Conversation::Direct(a, b) if b == user => Some(a),
        _ => None,
    }
}

fn direct_event(message: Message) -> Event {
    Event::DirectMessage { number: message.number, at: message.at, from: message.from, text: message.text }
}
