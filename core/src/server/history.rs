//! Reading what was said: which intervals one may read, and a page of them from the store.

use super::activity::Activity;
use super::fact::{Conversation, Message};
use super::io::{Page, Select, Span};
use super::machine::Server;
use super::pending::{Asked, Question};
use super::requests::Next;
use super::turn::Turn;
use crate::id::{MessageNumber, RoomId};
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES};
use crate::wire::message::{Cursor, HistoryKind, PastMessage, Refusal, ReplyBody};

/// What a page was asked for: the kind of messages, since when, and where the page before it ended.
pub(super) type Wanted = (HistoryKind, Timestamp, Option<Cursor>);

impl Server {
    /// Asks the store for a page, if there is anything that this user may read.
    pub(super) fn read_history(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        kind: HistoryKind,
        not_before: Timestamp,
        after: Option<Cursor>,
    ) {
        match self.select_history(&asked.user, kind, not_before, after) {
            Some(select) => {
                self.read(turn, asked, |asked| Question::History { asked, kind, not_before, after }, select)
            }
            None => self.no_history(turn, &asked, (kind, not_before, after)),
        }
    }

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
    pub(super) fn found_history(&self, turn: &mut Turn<'_>, asked: &Asked, wanted: Wanted, page: Option<Page>) {
        let Some(page) = page else { return self.refuse(turn, asked, Refusal::StorageFailed) };
        let messages: Vec<PastMessage> = page.messages.into_iter().map(past_message).collect();
        let last = messages.last().map(|last| Cursor { room: last.room, number: last.number });
        let next = last.filter(|_| page.more);
        self.show_history(turn, asked, wanted, messages, next);
    }

    /// There is nothing to ask the store for.
    pub(super) fn no_history(&self, turn: &mut Turn<'_>, asked: &Asked, wanted: Wanted) {
        self.show_history(turn, asked, wanted, Vec::new(), None);
    }

    /// The newest messages of one conversation: what to ask the store.
    pub(super) fn select_latest(
        &self,
        user: &UserName,
        room: Option<RoomId>,
        count: u32,
        before: Option<MessageNumber>,
    ) -> Result<Next, Refusal> {
        let mut spans = if room.is_some() { self.room_spans(user, None) } else { self.broadcast_span(None) };
        if let Some(room) = room {
            spans.retain(|span| span.conversation == Conversation::Room(room));
            if spans.is_empty() {
                // Nothing was said in it while they were in it, or they never were.
                self.conference.rooms.members_for(room, user)?;
            }
        }
        if let Some(before) = before {
            spans.iter_mut().for_each(|span| span.last = span.last.min(MessageNumber(before.0.saturating_sub(1))));
            spans.retain(|span| span.first <= span.last);
        }
        if spans.is_empty() || count == 0 {
            return Ok(Next::Answer(ReplyBody::History { messages: Vec::new(), next: None }));
        }
        let max_messages = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_PAGE_MESSAGES);
        let not_before = Timestamp::from_millis(i64::MIN);
        Ok(Next::ReadLatest(Select { spans, not_before, max_messages, max_bytes: MAX_PAGE_BYTES }))
    }

    /// The newest messages have come: the answer.
    pub(super) fn found_latest(&self, turn: &mut Turn<'_>, asked: &Asked, page: Option<Page>) {
        let Some(page) = page else { return self.refuse(turn, asked, Refusal::StorageFailed) };
        let messages: Vec<PastMessage> = page.messages.into_iter().map(past_message).collect();
        let first = messages.first().map(|first| Cursor { room: first.room, number: first.number });
        turn.activity(Activity::ReadLatest { user: asked.user.clone(), messages: messages.len() });
        self.answer(turn, asked, ReplyBody::History { messages, next: first.filter(|_| page.more) });
    }

    fn show_history(
        &self,
        turn: &mut Turn<'_>,
        asked: &Asked,
        (kind, not_before, after): Wanted,
        messages: Vec<PastMessage>,
        next: Option<Cursor>,
    ) {
        let (count, more) = (messages.len(), next.is_some());
        self.answer(turn, asked, ReplyBody::History { messages, next });
        // The pages after the first one belong to the same command.
        if after.is_none() {
            let user = asked.user.clone();
            turn.activity(Activity::ReadHistory { user, kind, not_before, messages: count, more });
        }
    }

    pub(super) fn broadcast_span(&self, after: Option<Cursor>) -> Vec<Span> {
        let first = MessageNumber(after.map_or(0, |after| after.number.0).saturating_add(1));
        let last = self.conference.broadcasts;
        if first > last { Vec::new() } else { vec![Span { conversation: Conversation::Broadcast, first, last }] }
    }

    pub(super) fn room_spans(&self, user: &UserName, after: Option<Cursor>) -> Vec<Span> {
        let after: Option<(RoomId, MessageNumber)> = after.and_then(|after| Some((after.room?, after.number)));
        let intervals = self.conference.rooms.intervals(user, after);
        intervals.map(|(room, first, last)| Span { conversation: Conversation::Room(room), first, last }).collect()
    }
}

pub(super) fn past_message(message: Message) -> PastMessage {
    let room = if let Conversation::Room(room) = message.conversation { Some(room) } else { None };
    PastMessage { room, number: message.number, at: message.at, from: message.from, text: message.text }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::ConnectionId;
    use crate::wire::message::RequestBody;
    use core::time::Duration;

    const EVER: Timestamp = Timestamp::from_millis(0);

    fn history(kind: HistoryKind, not_before: Timestamp, after: Option<Cursor>) -> RequestBody {
        RequestBody::History { kind, not_before, after }
    }

    fn rooms(after: Option<Cursor>) -> RequestBody {
        history(HistoryKind::Rooms, EVER, after)
    }

    /// Room (0 for broadcasts), number, author and text.
    type Line = (u32, u64, String, String);

    /// One page, and where to go on.
    fn page(world: &mut World, who: ConnectionId, body: RequestBody) -> (Vec<Line>, Option<Cursor>) {
        let ReplyBody::History { messages, next } = world.ask(who, body) else { panic!() };
        let line = |it: PastMessage| (it.room.map_or(0, |room| room.0), it.number.0, it.from.to_string(), it.text);
        (messages.into_iter().map(line).collect(), next)
    }

    fn lines(lines: &[(u32, u64, &str, &str)]) -> Vec<Line> {
        lines.iter().map(|(room, number, from, words)| (*room, *number, text(from), text(words))).collect()
    }

    #[test]
    fn all_broadcasts_are_read_ones_own_too_since_a_time() {
        let mut world = World::new(&["a", "b"]);
        let [a, b] = world.login_all(["a", "b"]);
        world.ask(a, broadcast("one"));
        world.advance(Duration::from_secs(5));
        let later = world.wall;
        world.ask(b, broadcast("two"));
        world.forget();
        let all = lines(&[(0, 1, "a", "one"), (0, 2, "b", "two")]);
        let body = |not_before| history(HistoryKind::Broadcast, not_before, None);
        assert_eq!(page(&mut world, a, body(EVER)), (all.clone(), None));
        assert_eq!(page(&mut world, a, body(later)), (all[1..].to_vec(), None));
        assert_eq!(page(&mut world, a, body(later.saturating_add(Duration::from_millis(1)))), (vec![], None));
        let told = |not_before, messages| Activity::ReadHistory {
            user: name("a"),
            kind: HistoryKind::Broadcast,
            not_before,
            messages,
            more: false,
        };
        assert_eq!(world.activities[..2], [told(EVER, 2), told(later, 1)]);
    }

    #[test]
    fn in_rooms_one_reads_what_was_said_while_one_was_there_room_by_room() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, b, c] = world.login_all(["a", "b", "c"]);
        world.ask(a, build(&["b"]));
        world.ask(a, build(&["b", "c"]));
        world.ask(b, room_message(2, "first"));
        world.ask(a, room_message(1, "x"));
        world.ask(a, RequestBody::Invite { room: RoomId(1), user: text("c") });
        world.ask(b, room_message(1, "y"));
        world.ask(c, RequestBody::Leave { room: RoomId(1) });
        world.ask(b, room_message(1, "z"));
        let all = lines(&[(1, 1, "a", "x"), (1, 2, "b", "y"), (1, 3, "b", "z"), (2, 1, "b", "first")]);
        for _ in 0..2 {
            let (a, c) = (world.login_again("a"), world.login_again("c"));
            assert_eq!(page(&mut world, a, rooms(None)), (all.clone(), None));
            assert_eq!(page(&mut world, c, rooms(None)), (vec![all[1].clone(), all[3].clone()], None));
            world.restart();
        }
    }

    #[test]
    fn who_may_read_nothing_is_answered_without_asking_the_store() {
        let mut world = World::new(&["a"]);
        let [a] = world.login_all(["a"]);
        world.hold_queries = true;
        assert_eq!(page(&mut world, a, rooms(None)), (vec![], None));
        assert_eq!(page(&mut world, a, history(HistoryKind::Broadcast, EVER, None)), (vec![], None));
        assert_eq!((world.queries.len(), world.activities.len()), (0, 2));
    }

    #[test]
    fn pages_go_on_where_the_one_before_ended() {
        let mut world = World::new(&["a", "b"]);
        let [a, b] = world.login_all(["a", "b"]);
        world.ask(a, build(&["b"]));
        world.add_account("c");
        world.login("c");
        world.ask(a, build(&["c"]));
        let count = MAX_PAGE_MESSAGES + 3;
        for number in 0..count {
            world.ask(a, room_message(1, &number.to_string()));
            world.ask(a, room_message(2, &number.to_string()));
            world.ask(b, broadcast(&number.to_string()));
        }
        for (kind, rooms) in [(HistoryKind::Broadcast, 0..=0), (HistoryKind::Rooms, 1..=2)] {
            world.forget();
            let mut all = Vec::new();
            let mut after = None;
            loop {
                let (messages, next) = page(&mut world, a, history(kind, EVER, after));
                assert!(!messages.is_empty() && messages.len() <= MAX_PAGE_MESSAGES);
                all.extend(messages.into_iter().map(|(room, number, ..)| (room, number)));
                after = next;
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<(u32, u64)> =
                rooms.flat_map(|room| (1..=count as u64).map(move |number| (room, number))).collect();
            assert_eq!(all, expected);
            let (user, messages) = (name("a"), MAX_PAGE_MESSAGES);
            let told = Activity::ReadHistory { user, kind, not_before: EVER, messages, more: true };
            assert_eq!(world.activities, [told], "once for all pages");
        }
    }

    #[test]
    fn a_cursor_that_makes_no_sense_harms_nothing() {
        let mut world = World::new(&["a", "b"]);
        let [a, _] = world.login_all(["a", "b"]);
        world.ask(a, build(&["b"]));
        world.ask(a, room_message(1, "x"));
        world.ask(a, broadcast("x"));
        for room in [None, Some(RoomId(0)), Some(RoomId(u32::MAX))] {
            for number in [0, u64::MAX].map(MessageNumber) {
                for kind in [HistoryKind::Broadcast, HistoryKind::Rooms] {
                    let body = history(kind, Timestamp::from_millis(i64::MIN), Some(Cursor { room, number }));
                    assert!(page(&mut world, a, body).0.len() <= 1);
                }
            }
        }
    }

    fn latest(room: Option<u32>, count: u32, before: Option<u64>) -> RequestBody {
        RequestBody::Latest { room: room.map(RoomId), count, before: before.map(MessageNumber) }
    }

    #[test]
    fn the_newest_are_read_backwards_to_the_first_that_one_may_read() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, b, c] = world.login_all(["a", "b", "c"]);
        world.ask(a, build(&["b"]));
        world.ask(a, build(&["b", "c"]));
        for number in 1..=5 {
            world.ask(a, broadcast(&number.to_string()));
            world.ask(b, room_message(1, &number.to_string()));
        }
        world.ask(a, RequestBody::Invite { room: RoomId(1), user: text("c") });
        world.ask(b, room_message(1, "6"));
        world.ask(b, room_message(2, "other"));
        let at = |room: u32, number| {
            Some(Cursor { room: (room > 0).then_some(RoomId(room)), number: MessageNumber(number) })
        };
        let numbers =
            |(lines, next): (Vec<Line>, _)| (lines.iter().map(|line| (line.0, line.1)).collect::<Vec<_>>(), next);
        let mut read = |who, body| numbers(page(&mut world, who, body));
        assert_eq!(read(c, latest(None, 2, None)), (vec![(0, 4), (0, 5)], at(0, 4)));
        assert_eq!(read(c, latest(None, 2, Some(4))), (vec![(0, 2), (0, 3)], at(0, 2)));
        assert_eq!(read(c, latest(None, 2, Some(2))), (vec![(0, 1)], None));
        assert_eq!(read(c, latest(None, 5, None)).1, None);
        assert_eq!(read(c, latest(None, u32::MAX, Some(u64::MAX))).0.len(), 5);
        assert_eq!(read(a, latest(Some(1), 2, None)), (vec![(1, 5), (1, 6)], at(1, 5)));
        assert_eq!(read(c, latest(Some(1), 9, None)), (vec![(1, 6)], None), "what was said before is not theirs");
        for empty in
            [latest(None, 0, None), latest(None, 9, Some(1)), latest(None, 9, Some(0)), latest(Some(1), 9, Some(6))]
        {
            assert_eq!(read(c, empty), (vec![], None));
        }
        let refusal = |world: &mut World, who, room| match world.ask(who, latest(Some(room), 9, None)) {
            ReplyBody::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal(&mut world, a, 3), Refusal::NoSuchRoom);
        world.ask(a, build(&["c"]));
        assert_eq!(refusal(&mut world, b, 3), Refusal::NotAMember);
        world.ask(c, RequestBody::Leave { room: RoomId(1) });
        world.ask(a, room_message(1, "7"));
        world.forget();
        assert_eq!(
            numbers(page(&mut world, c, latest(Some(1), 9, None))).0,
            [(1, 6)],
            "what they were there for stays"
        );
        assert_eq!(world.activities, [Activity::ReadLatest { user: name("c"), messages: 1 }]);
    }

    #[test]
    fn a_store_that_cannot_read_the_newest_is_said() {
        let mut world = World::new(&["a"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, broadcast("x"));
        world.hold_queries = true;
        let id = world.send(a, latest(None, 1, None));
        world.find_next(false);
        assert_eq!(world.reply(a, id), Some(ReplyBody::Refused(Refusal::StorageFailed)));
    }

    #[test]
    fn a_store_that_cannot_read_is_said() {
        let mut world = World::new(&["a"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, broadcast("x"));
        world.hold_queries = true;
        let id = world.send(a, history(HistoryKind::Broadcast, EVER, None));
        world.find_next(false);
        assert_eq!(world.reply(a, id), Some(ReplyBody::Refused(Refusal::StorageFailed)));
    }

    impl World {
        /// The connection of someone who is active, or else logs in.
        fn login_again(&mut self, user: &str) -> ConnectionId {
            let active = self.server.sessions.get(user).and_then(|it| it.connection);
            active.unwrap_or_else(|| self.login(user))
        }
    }
}
