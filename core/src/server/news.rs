//! What is new for somebody who logs in: how much was said since they left, and how much of it names them. Direct
//! messages are not for here, since those that were missed come by themselves.
//!
//! The store is asked twice: for the first new message of each conversation, whose number tells how many there are
//! (numbers have no gaps), and for the messages with the name among their words.

use super::fact::{Conversation, Message};
use super::io::{Page, Query, Select, Span};
use super::machine::Server;
use super::pending::{MAX_QUERIES, Question};
use super::search::Search;
use super::turn::Turn;
use crate::id::{ConnectionId, LogIndex};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_FOUND_MESSAGES, MAX_PAGE_BYTES};
use crate::wire::message::{Event, News};

/// What is known so far, for whom.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) user: UserName,
    pub(super) connection: ConnectionId,
    /// The newest message of each interval that was there at the login.
    spans: Vec<Span>,
    pub(super) news: News,
}

impl Server {
    /// Asks what was said since they left, if that is known: a session of the same account has to have ended.
    pub(super) fn ask_for_news(&mut self, turn: &mut Turn<'_>, user: &UserName, connection: ConnectionId) {
        let Some(since) = self.conference.accounts.left(user) else { return };
        let mut spans = self.broadcast_span(None);
        spans.extend(self.room_spans(user, None));
        // Nobody waits for it: those who read come first.
        if spans.is_empty() || self.pending.questions.len() >= MAX_QUERIES {
            return;
        }
        let not_before = Timestamp::from_millis(since.as_millis().saturating_add(1));
        let select = Select { spans, not_before, max_messages: usize::MAX, max_bytes: MAX_PAGE_BYTES };
        let news = News { since, broadcasts: 0, rooms: Vec::new(), mentions: None, more: false };
        let asking = Asking { user: user.clone(), connection, spans: select.spans.clone(), news };
        self.query(turn, Question::NewSince(asking), Query::First(select));
    }

    /// The first new message of each interval.
    pub(super) fn found_first(&mut self, turn: &mut Turn<'_>, mut asking: Asking, page: Option<Page>) {
        // If the store cannot read there is nothing to say.
        let Some(page) = page.filter(|page| !page.messages.is_empty() && self.is_still_there(&asking)) else { return };
        asking.count(&page);
        if self.pending.questions.len() >= MAX_QUERIES {
            return self.tell_news(turn, asking);
        }
        let Ok(words) = Search::words(asking.user.as_str()) else { return self.tell_news(turn, asking) };
        let search = Search {
            reader: asking.user.clone(),
            // No direct messages.
            direct_after: LogIndex(u64::MAX),
            spans: core::mem::take(&mut asking.spans),
            words,
            up_to: self.conference.applied,
            before: None,
            max_messages: MAX_FOUND_MESSAGES,
            max_bytes: usize::MAX,
        };
        self.query(turn, Question::Mentions(asking), search);
    }

    /// The messages with the name, the newest first.
    pub(super) fn found_mentions(&mut self, turn: &mut Turn<'_>, mut asking: Asking, page: Option<Page>) {
        let is_mention = |message: &&Message| message.at > asking.news.since && message.from != asking.user;
        asking.news.mentions = page.map(|page| page.messages.iter().filter(is_mention).count() as u64);
        self.tell_news(turn, asking);
    }

    /// Whether they have not gone again.
    fn is_still_there(&self, asking: &Asking) -> bool {
        self.sessions.get(&asking.user).is_some_and(|it| it.connection == Some(asking.connection))
    }

    fn tell_news(&self, turn: &mut Turn<'_>, asking: Asking) {
        if self.is_still_there(&asking) {
            turn.event(vec![asking.connection], Event::NewSince(asking.news));
        }
    }
}

impl Asking {
    fn count(&mut self, page: &Page) {
        self.news.more = page.more;
        for first in &page.messages {
            let is_in = |span: &&Span| {
                span.conversation == first.conversation && (span.first..=span.last).contains(&first.number)
            };
            let Some(span) = self.spans.iter().find(is_in) else { continue };
            let count = span.last.0 - first.number.0 + 1;
            match first.conversation {
                Conversation::Broadcast => self.news.broadcasts += count,
                // Who left a room and came back has two intervals of it.
                Conversation::Room(room) => match self.news.rooms.last_mut().filter(|(last, _)| *last == room) {
                    Some((_, all)) => *all += count,
                    None => self.news.rooms.push((room, count)),
                },
                Conversation::Direct(..) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::Fact;
    use super::super::testing::*;
    use super::*;
    use crate::id::RoomId;
    use crate::wire::message::{RequestBody, ServerMessage};
    use core::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn world() -> World {
        World::with_grace(&["yoda", "luke", "leia"], Duration::from_secs(60))
    }

    /// What is new, as far as it was told.
    fn news(world: &mut World, who: ConnectionId) -> Option<News> {
        let all: Vec<News> = world
            .inbox(who)
            .into_iter()
            .filter_map(|message| match message {
                ServerMessage::Event(Event::NewSince(news)) => Some(news),
                _ => None,
            })
            .collect();
        assert!(all.len() <= 1, "{all:?}");
        all.into_iter().next()
    }

    fn log_out(world: &mut World, who: ConnectionId) -> Timestamp {
        world.send(who, RequestBody::Logout);
        world.disconnect(who);
        let at = world.wall;
        world.advance(SECOND);
        at
    }

    #[test]
    fn who_logs_in_is_told_how_much_was_said_since_they_left() {
        let mut world = world();
        let [luke, leia, yoda] = world.login_all(["luke", "leia", "yoda"]);
        assert_eq!(news(&mut world, yoda), None, "there was no last time");
        world.ask(luke, build(&["yoda"]));
        world.ask(luke, build(&["yoda", "leia"]));
        world.ask(luke, broadcast("yoda saw this"));
        world.ask(luke, room_message(1, "and this, yoda"));
        let since = log_out(&mut world, yoda);
        world.ask(luke, broadcast("Where is Yoda?"));
        world.ask(leia, broadcast("I do not know"));
        world.ask(luke, direct("yoda", "yoda!"));
        world.ask(leia, room_message(2, "one"));
        world.ask(luke, room_message(2, "@yoda: two"));
        // It is no news for leia, who was there, nor is a room of others for anybody.
        world.ask(luke, build(&["leia"]));
        world.ask(luke, room_message(3, "yoda must not know"));
        let yoda = world.login("yoda");
        let rooms = vec![(RoomId(2), 2)];
        let expected = News { since, broadcasts: 2, rooms, mentions: Some(2), more: false };
        assert_eq!(news(&mut world, yoda), Some(expected));
        log_out(&mut world, yoda);
        let yoda = world.login("yoda");
        assert_eq!(news(&mut world, yoda), None, "nothing was said");
    }

    #[test]
    fn a_connection_that_is_lost_is_when_they_left() {
        let mut world = world();
        let [luke, yoda] = world.login_all(["luke", "yoda"]);
        let since = world.wall;
        world.disconnect(yoda);
        world.advance(SECOND);
        world.ask(luke, broadcast("within the grace"));
        world.advance(Duration::from_secs(120));
        world.ask(luke, broadcast("after it"));
        world.restart();
        world.forget();
        let yoda = world.login("yoda");
        let expected = News { since, broadcasts: 2, rooms: Vec::new(), mentions: Some(0), more: false };
        assert_eq!(news(&mut world, yoda), Some(expected));
    }

    #[test]
    fn two_stays_in_a_room_are_counted_together_and_the_time_between_them_is_not() {
        let mut world = world();
        let [luke, leia, yoda] = world.login_all(["luke", "leia", "yoda"]);
        world.ask(luke, build(&["yoda", "leia"]));
        let since = log_out(&mut world, yoda);
        let at = world.wall;
        let post = |text: &str| room_message(1, text);
        let (room, user) = (RoomId(1), name("yoda"));
        world.ask(luke, post("one"));
        world.commit(Fact::RoomLeft { room, user: user.clone(), at });
        world.ask(luke, post("not for yoda"));
        world.commit(Fact::RoomJoined { room, by: name("luke"), user, at });
        world.ask(leia, post("two"));
        world.ask(leia, post("three"));
        let yoda = world.login("yoda");
        let rooms = vec![(room, 3)];
        let expected = News { since, broadcasts: 0, rooms, mentions: Some(0), more: false };
        assert_eq!(news(&mut world, yoda), Some(expected));
    }

    #[test]
    fn what_the_store_cannot_say_is_left_out() {
        let mut world = world();
        let [luke, mut yoda] = world.login_all(["luke", "yoda"]);
        for works in [[false, false], [true, false], [true, true]] {
            let since = log_out(&mut world, yoda);
            world.ask(luke, broadcast("yoda?"));
            world.hold_queries = true;
            yoda = world.login("yoda");
            works.into_iter().for_each(|works| {
                if !world.queries.is_empty() {
                    world.find_next(works);
                }
            });
            world.hold_queries = false;
            let mentions = works[1].then_some(1);
            let expected = News { since, broadcasts: 1, rooms: Vec::new(), mentions, more: false };
            assert_eq!(news(&mut world, yoda), works[0].then_some(expected));
        }
    }

    #[test]
    fn who_has_gone_again_is_told_nothing() {
        let mut world = world();
        let [luke, mut yoda] = world.login_all(["luke", "yoda"]);
        for answers in [0, 1] {
            log_out(&mut world, yoda);
            world.ask(luke, broadcast("x"));
            world.hold_queries = true;
            yoda = world.login("yoda");
            (0..answers).for_each(|_| world.find_next(true));
            world.send(yoda, RequestBody::Logout);
            world.find_next(true);
            assert_eq!((news(&mut world, yoda), world.queries.len()), (None, 0));
            world.hold_queries = false;
            world.disconnect(yoda);
            yoda = world.login("yoda");
        }
    }
}
