//! Searching what was said: in what one may read, and one page of it from the store. Unlike in history, direct
//! messages are searched too. A search changes nothing, least of all what somebody has been shown.

use super::activity::Activity;
use super::fact::{Conversation, Message};
use super::io::Page;
use super::machine::Server;
use super::pending::{Asked, Question};
use super::search::Search;
use super::turn::Turn;
use crate::name::UserName;
use crate::wire::limits::{MAX_FOUND_MESSAGES, MAX_PAGE_BYTES, MAX_SEARCHES_PER_USER};
use crate::wire::message::{FoundCursor, FoundIn, FoundMessage, Refusal, ReplyBody};

impl Server {
    /// What to ask the store.
    pub(super) fn search_for(
        &self,
        user: &UserName,
        text: &str,
        before: Option<FoundCursor>,
    ) -> Result<Search, Refusal> {
        let words = Search::words(text)?;
        let before = before.map(|it| (conversation(user, it.place), it.number));
        let mut spans = self.broadcast_span(None);
        spans.extend(self.room_spans(user, None));
        let mut search = Search {
            reader: user.clone(),
            direct_after: self.conference.accounts.added(user),
            spans,
            words,
            up_to: self.conference.applied,
            before,
            max_messages: MAX_FOUND_MESSAGES,
            max_bytes: MAX_PAGE_BYTES,
        };
        // What one may not read must not even say when it was written.
        if let Some((Conversation::Room(room), number)) = search.before {
            let within = |(id, first, last)| id == room && first <= number && number <= last;
            if !self.conference.rooms.intervals(user, None).any(within) {
                search.up_to = crate::id::LogIndex(0);
            }
        }
        Ok(search)
    }

    /// Asks the store.
    pub(super) fn find(&mut self, turn: &mut Turn<'_>, asked: Asked, search: Search) {
        let is_own = |it: &&Question| matches!(it, Question::Search { asked: other, .. } if other.user == asked.user);
        if self.pending.questions.values().filter(is_own).count() >= MAX_SEARCHES_PER_USER {
            let refusal = Refusal::LimitReached("searches of one user at the same time".to_owned());
            return self.refuse(turn, &asked, refusal);
        }
        let is_first = search.before.is_none();
        self.read(turn, asked, |asked| Question::Search { asked, is_first }, search);
    }

    /// A page has come: the answer.
    pub(super) fn found_by_search(&self, turn: &mut Turn<'_>, asked: &Asked, is_first: bool, page: Option<Page>) {
        let Some(Page { messages, more }) = page else { return self.refuse(turn, asked, Refusal::SearchNotReady) };
        let messages: Vec<FoundMessage> = messages.into_iter().map(|it| found_message(&asked.user, it)).collect();
        let last = messages.last().map(|last| FoundCursor { place: last.place.clone(), number: last.number });
        let count = messages.len();
        self.answer(turn, asked, ReplyBody::Found { messages, next: last.filter(|_| more) });
        // The pages after the first one belong to the same command.
        if is_first {
            turn.activity(Activity::Searched { user: asked.user.clone(), messages: count, more });
        }
    }
}

fn conversation(user: &UserName, place: FoundIn) -> Conversation {
    match place {
        FoundIn::Broadcast => Conversation::Broadcast,
        FoundIn::Room(room) => Conversation::Room(room),
        FoundIn::Direct(peer) => Conversation::direct(user, &peer),
    }
}

fn found_message(user: &UserName, message: Message) -> FoundMessage {
    let place = match message.conversation {
        Conversation::Broadcast => FoundIn::Broadcast,
        Conversation::Room(room) => FoundIn::Room(room),
        Conversation::Direct(a, b) => FoundIn::Direct(if a == *user { b } else { a }),
    };
    FoundMessage { place, number: message.number, at: message.at, from: message.from, text: message.text }
}

#[cfg(test)]
mod tests {
    use super::super::fact::Fact;
    use super::super::testing::*;
    use super::*;
    use crate::id::{ConnectionId, MessageNumber, RoomId};
    use crate::wire::message::{Event, RequestBody, ServerMessage};

    fn find(words: &str, before: Option<FoundCursor>) -> RequestBody {
        RequestBody::Find { text: words.to_owned(), before }
    }

    /// Place and text of what one page has, and where to go on.
    fn page(world: &mut World, who: ConnectionId, body: RequestBody) -> (Vec<String>, Option<FoundCursor>) {
        let ReplyBody::Found { messages, next } = world.ask(who, body) else { panic!() };
        let line = |it: FoundMessage| match it.place {
            FoundIn::Broadcast => format!("all {} {}", it.from, it.text),
            FoundIn::Room(room) => format!("room {room} {} {}", it.from, it.text),
            FoundIn::Direct(peer) => format!("with {peer} {} {}", it.from, it.text),
        };
        (messages.into_iter().map(line).collect(), next)
    }

    fn texts(world: &mut World, who: ConnectionId, words: &str) -> Vec<String> {
        let (found, next) = page(world, who, find(words, None));
        assert_eq!(next, None);
        found
    }

    #[test]
    fn one_finds_what_one_may_read_the_newest_first() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, b, c] = world.login_all(["a", "b", "c"]);
        world.ask(a, build(&["b"]));
        world.ask(a, room_message(1, "word one"));
        world.ask(a, RequestBody::Invite { room: RoomId(1), user: text("c") });
        world.ask(b, room_message(1, "word two"));
        world.ask(c, RequestBody::Leave { room: RoomId(1) });
        world.ask(b, room_message(1, "word three"));
        world.ask(b, broadcast("a Word for all"));
        world.ask(a, direct("b", "word, between us"));
        world.ask(b, direct("c", "word to c"));
        world.ask(c, broadcast("something else"));
        let all = "all b a Word for all";
        let room = ["room 1 b word three", "room 1 b word two", "room 1 a word one"];
        let of_a = ["with b a word, between us", all, room[0], room[1], room[2]];
        let of_b = ["with c b word to c", "with a a word, between us", all, room[0], room[1], room[2]];
        assert_eq!(texts(&mut world, a, "word"), of_a);
        assert_eq!(texts(&mut world, b, "WORD"), of_b);
        assert_eq!(texts(&mut world, c, "wor*"), ["with b b word to c", all, room[1]]);
        assert_eq!(texts(&mut world, c, "nothing"), [""; 0]);
    }

    #[test]
    fn searching_shows_nothing_as_read() {
        let mut world = World::new(&["a", "b"]);
        let [a, b] = world.login_all(["a", "b"]);
        world.ask(a, direct("b", "word"));
        world.disconnect(b);
        let b = world.login("b");
        let facts = world.log.len();
        assert_eq!(texts(&mut world, b, "word"), ["with a a word"]);
        assert_eq!(world.log.len(), facts);
        world.disconnect(b);
        let b = world.login("b");
        let told = world.inbox(b);
        let message = |it: &ServerMessage| matches!(it, ServerMessage::Event(Event::DirectMessage { .. }));
        assert!(told.iter().any(message), "{told:?}");
    }

    #[test]
    fn a_later_namesake_does_not_find_what_the_removed_user_could() {
        let mut world = World::new(&["a", "b"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, direct("b", "word one"));
        world.commit(Fact::AccountRemoved { name: name("b") });
        world.add_account("b");
        world.ask(a, direct("b", "word two"));
        let b = world.login("b");
        assert_eq!(texts(&mut world, b, "word"), ["with a a word two"]);
        assert_eq!(texts(&mut world, a, "word"), ["with b a word two", "with b a word one"]);
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended_and_are_told_once() {
        let mut world = World::new(&["a", "b"]);
        let [a, _] = world.login_all(["a", "b"]);
        world.ask(a, build(&["b"]));
        let count = MAX_FOUND_MESSAGES;
        for number in 0..count {
            for body in [broadcast("word"), room_message(1, "word"), direct("b", &format!("word {number}"))] {
                world.ask(a, body);
            }
        }
        world.forget();
        let (mut pages, mut total, mut before) = (0, 0, None);
        loop {
            let (found, next) = page(&mut world, a, find("word", before));
            (pages, total) = (pages + 1, total + found.len());
            if next.is_none() {
                break;
            }
            before = next;
        }
        assert_eq!((pages, total), (3, 3 * count));
        assert_eq!(world.activities, [Activity::Searched { user: name("a"), messages: count, more: true }]);
    }

    #[test]
    fn a_cursor_where_one_may_not_read_finds_nothing() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, _, c] = world.login_all(["a", "b", "c"]);
        world.ask(a, broadcast("word"));
        world.ask(a, build(&["b"]));
        world.ask(a, room_message(1, "secret"));
        let places = [FoundIn::Room(RoomId(1)), FoundIn::Room(RoomId(9)), FoundIn::Direct(name("a"))];
        for place in places.into_iter().chain([FoundIn::Broadcast]) {
            for number in [0, 1, u64::MAX].map(MessageNumber) {
                let cursor = FoundCursor { place: place.clone(), number };
                assert_eq!(page(&mut world, c, find("word", Some(cursor))).0, [""; 0]);
            }
        }
        let cursor = FoundCursor { place: FoundIn::Room(RoomId(1)), number: MessageNumber(1) };
        assert_eq!(page(&mut world, a, find("word", Some(cursor))).0, ["all a word"]);
        // Nor where one is a member now, and was not then.
        world.ask(a, RequestBody::Invite { room: RoomId(1), user: text("c") });
        world.ask(a, room_message(1, "more"));
        let cursor = FoundCursor { place: FoundIn::Room(RoomId(1)), number: MessageNumber(1) };
        assert_eq!(page(&mut world, c, find("word", Some(cursor))).0, [""; 0]);
    }

    #[test]
    fn words_that_are_none_and_a_store_that_cannot_search_are_said() {
        let mut world = World::new(&["a"]);
        let [a] = world.login_all(["a"]);
        assert_eq!(world.ask(a, find(" * ", None)), ReplyBody::Refused(Refusal::BadText));
        world.hold_queries = true;
        let id = world.send(a, find("word", None));
        world.find_next(false);
        assert_eq!(world.reply(a, id), Some(ReplyBody::Refused(Refusal::SearchNotReady)));
    }

    #[test]
    fn one_user_cannot_have_all_others_wait() {
        let mut world = World::new(&["a", "b"]);
        let [a, b] = world.login_all(["a", "b"]);
        world.hold_queries = true;
        for _ in 0..MAX_SEARCHES_PER_USER {
            world.send(a, find("word", None));
        }
        let refusal = Refusal::LimitReached("searches of one user at the same time".to_owned());
        assert_eq!(world.ask(a, find("word", None)), ReplyBody::Refused(refusal));
        world.send(b, find("word", None));
        assert_eq!(world.queries.len(), MAX_SEARCHES_PER_USER + 1);
        world.find_next(true);
        world.send(a, find("word", None));
        assert_eq!(world.queries.len(), MAX_SEARCHES_PER_USER + 1);
    }
}
