//! Direct messages for those who were offline: page by page from the store, before anything newer of the same
//! person.

use std::collections::{BTreeMap, VecDeque};

use super::direct::MAX_PAIRS;
use super::fact::{Conversation, Message};
use super::io::{Page, Select, Span};
use super::machine::Server;
use super::pending::{Asked, MAX_QUERIES, Question};
use super::turn::Turn;
use crate::id::{ConnectionId, MessageNumber, QueryId};
use crate::machine::Usage;
use crate::name::UserName;
use crate::time::Timestamp;
use crate::wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_MESSAGES, MAX_REQUESTS_IN_FLIGHT};
use crate::wire::message::{Event, ReplyBody};

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
    /// Requests to be answered when nothing is being fetched; bounded by the connection's requests in flight.
    catching_up: Vec<Asked>,
}

impl Delivery {
    /// How much is under way for one session.
    pub(super) fn usage(&self, each: &mut dyn FnMut(Usage)) {
        let spans = self.asked.as_ref().map_or(0, |(_, covers)| covers.len());
        each(Usage::new("authors whose messages one user missed", self.behind.len(), MAX_PAIRS));
        each(Usage::new("conversations in one question", spans, MAX_SPANS));
        each(Usage::new("pages sent and not shown", self.ahead.len(), MAX_PAGES_AHEAD));
        each(Usage::new("requests to catch up", self.catching_up.len(), MAX_REQUESTS_IN_FLIGHT));
    }
}

impl Server {
    pub(super) fn start_delivery(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        let direct = &self.conference.direct;
        session.delivery.behind = direct.unread(user).map(|peer| (peer.clone(), direct.received(user, peer))).collect();
        self.continue_delivery(turn, user);
    }

    /// Sends a direct message that was just committed, unless older ones have to be sent before it.
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_>, message: &Message, to: &UserName) {
        let Some((session, connection)) = self.sessions.get(to).and_then(|it| Some((it, it.connection?))) else {
            return;
        };
        if session.delivery.behind.contains_key(&message.from) {
            self.continue_delivery(turn, to);
        } else {
            turn.event(vec![connection], direct_event(message.clone()));
        }
    }

    /// Asks for the next page, if there is one and the user has been shown enough of those before.
    pub(super) fn continue_delivery(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user) else { return };
        let (delivery, Some(connection)) = (&mut session.delivery, session.connection) else { return };
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
            spans.push(Span { conversation: Conversation::direct(user, peer), first: MessageNumber(sent.0 + 1), last });
        }
        // Any time: what was missed long ago is missed, too.
        let not_before = Timestamp::from_millis(i64::MIN);
        let select = Select { spans, not_before, max_messages: MAX_PAGE_MESSAGES, max_bytes: MAX_PAGE_BYTES };
        let query = self.query(turn, Question::Delivery { user: user.clone(), connection }, select);
        if let Some(session) = self.sessions.get_mut(user) {
            session.delivery.asked = Some((query, covers));
        }
    }

    /// Answers at once if nothing is being fetched, otherwise after it.
    pub(super) fn catch_up(&mut self, turn: &mut Turn<'_>, asked: Asked) {
        let session = self.sessions.get_mut(&asked.user);
        let Some(session) = session.filter(|it| it.delivery.asked.is_some()) else {
            return self.answer(turn, &asked, ReplyBody::Done);
        };
        let connection = asked.connection;
        session.delivery.catching_up.push(asked);
        self.began(connection);
    }

    fn caught_up(&mut self, turn: &mut Turn<'_>, user: &UserName) {
        let Some(session) = self.sessions.get_mut(user).filter(|it| it.delivery.asked.is_none()) else { return };
        for asked in core::mem::take(&mut session.delivery.catching_up) {
            self.answer(turn, &asked, ReplyBody::Done);
            self.answered(turn, asked.connection);
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
        let Some(session) = self.sessions.get_mut(user).filter(|it| it.connection == Some(connection)) else { return };
        let delivery = &mut session.delivery;
        let (Some((_, covers)), Some(page)) = (delivery.asked.take(), page) else {
            return self.caught_up(turn, user);
        };
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
        self.caught_up(turn, user);
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

#[cfg(test)]
mod tests {
    use super::super::activity::Activity;
    use super::super::fact::Fact;
    use super::super::testing::*;
    use super::*;
    use crate::wire::limits::MAX_TEXT_BYTES;
    use crate::wire::message::{Reply, RequestBody, ServerMessage};
    use proptest::prelude::*;

    /// Author and number of each direct message that a connection was told.
    fn told(world: &mut World, who: ConnectionId) -> Vec<(String, u64)> {
        let message = |event| match event {
            Event::DirectMessage { number, from, .. } => Some((from.to_string(), number.0)),
            _ => None,
        };
        world.events(who).into_iter().filter_map(message).collect()
    }

    fn from(author: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<(String, u64)> {
        numbers.into_iter().map(|number| (text(author), number)).collect()
    }

    fn received(peer: &str, through: u64) -> RequestBody {
        RequestBody::DirectReceived { from: name(peer), through: MessageNumber(through) }
    }

    #[test]
    fn a_message_to_someone_active_is_told_at_once_and_to_nobody_else() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, b, c] = world.login_all(["a", "b", "c"]);
        let (number, at) = (MessageNumber(1), world.wall);
        assert_eq!(world.ask(a, direct("b", "psst")), ReplyBody::Sent { number, at });
        assert_eq!(world.events(b), [Event::DirectMessage { number, at, from: name("a"), text: text("psst") }]);
        assert_eq!((world.inbox(a), world.inbox(c)), (vec![], vec![]));
        let user = name("a");
        assert_eq!(world.activities, [Activity::DirectMessage { user, to: name("b"), number, at }]);
    }

    #[test]
    fn what_was_missed_comes_at_the_next_login_without_ones_own_until_it_was_shown() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, b] = world.login_all(["a", "b"]);
        world.ask(b, direct("a", "1"));
        world.disconnect(b);
        for words in ["2", "3"] {
            world.ask(a, direct("b", words));
        }
        let b = world.login("b");
        assert_eq!(told(&mut world, b), from("a", [2, 3]));
        assert_eq!(world.ask(b, received("a", 2)), ReplyBody::Done);
        world.disconnect(b);
        world.restart();
        let b = world.login("b");
        assert_eq!(told(&mut world, b), from("a", [3]), "positions survive");
        let facts = world.log.len();
        assert_eq!(
            [3, 3, 1, u64::MAX].map(|through| world.ask(b, received("a", through))),
            [(); 4].map(|()| ReplyBody::Done)
        );
        assert_eq!(world.ask(b, received("c", 1)), ReplyBody::Done);
        assert_eq!(world.ask(b, received("b", 1)), ReplyBody::Done);
        assert_eq!(world.log.len(), facts + 1, "only what is new is kept");
        world.disconnect(b);
        let b = world.login("b");
        assert_eq!(told(&mut world, b), []);
    }

    #[test]
    fn newer_messages_wait_for_the_older_ones_of_the_same_person_only() {
        let mut world = World::new(&["a", "b", "c"]);
        let [a, c] = world.login_all(["a", "c"]);
        world.ask(a, direct("b", "1"));
        world.hold_queries = true;
        let b = world.login("b");
        world.ask(a, direct("b", "2"));
        world.ask(c, direct("b", "1"));
        assert_eq!(told(&mut world, b), from("c", [1]));
        world.find_next(true);
        assert_eq!(told(&mut world, b), from("a", [1]));
        world.ask(a, direct("b", "3"));
        assert_eq!(told(&mut world, b), []);
        world.find_next(true);
        assert_eq!(told(&mut world, b), from("a", [2]), "what was there when the store was asked");
        world.find_next(true);
        assert_eq!(told(&mut world, b), from("a", [3]));
        world.ask(a, direct("b", "4"));
        assert_eq!((told(&mut world, b), world.queries.len()), (from("a", [4]), 0));
    }

    #[test]
    fn many_missed_messages_of_many_people_come_in_order_page_by_page() {
        let users: Vec<String> = (0..MAX_SPANS + 50).map(|number| format!("user{number:03}")).collect();
        let mut world = World::new(&users.iter().map(String::as_str).collect::<Vec<_>>());
        world.add_account("m");
        let at = world.wall;
        for round in 0..4 {
            for user in &users {
                world.commit(Fact::DirectMessage {
                    from: name(user),
                    to: name("m"),
                    text: round.to_string(),
                    at,
                    id: None,
                });
            }
        }
        let m = world.login("m");
        let mut all = told(&mut world, m);
        assert_eq!(all.len(), 4 * users.len());
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let expected: Vec<(String, u64)> = users.iter().flat_map(|user| from(user, 1..=4)).collect();
        assert_eq!(all, expected, "each person's in order");
        world.commit(Fact::DirectMessage { from: name("user000"), to: name("m"), text: text("live"), at, id: None });
        assert_eq!(told(&mut world, m), from("user000", [5]));
    }

    #[test]
    fn years_of_messages_wait_until_those_before_them_were_shown() {
        let mut world = World::new(&["a", "b"]);
        let at = world.wall;
        let long = "x".repeat(MAX_TEXT_BYTES);
        let per_page = (MAX_PAGE_BYTES / MAX_TEXT_BYTES) as u64;
        let ahead = per_page * MAX_PAGES_AHEAD as u64;
        let all = 2 * ahead + 3;
        let post =
            |text: &str| Fact::DirectMessage { from: name("a"), to: name("b"), text: text.to_owned(), at, id: None };
        for _ in 0..all {
            world.commit(post(&long));
        }
        let b = world.login("b");
        assert_eq!(told(&mut world, b), from("a", 1..=ahead));
        world.commit(post("live"));
        assert_eq!(told(&mut world, b), []);
        world.ask(b, received("a", per_page));
        assert_eq!(told(&mut world, b), from("a", ahead + 1..=ahead + per_page));
        world.ask(b, received("a", ahead + per_page));
        assert_eq!(told(&mut world, b), from("a", ahead + per_page + 1..=all + 1));
    }

    #[test]
    fn a_store_that_could_not_read_is_asked_again_with_the_next_message() {
        let mut world = World::new(&["a", "b"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, direct("b", "1"));
        world.hold_queries = true;
        let b = world.login("b");
        world.find_next(false);
        assert_eq!(world.queries.len(), 0);
        world.ask(a, direct("b", "2"));
        world.find_next(true);
        assert_eq!(told(&mut world, b), from("a", [1, 2]));
    }

    #[test]
    fn who_catches_up_is_answered_after_the_messages_that_were_missed() {
        let mut world = World::new(&["a", "b"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, direct("b", "1"));
        world.hold_queries = true;
        let b = world.login("b");
        let catching_up = world.send(b, RequestBody::CatchUp);
        let bye = world.send(b, RequestBody::Logout);
        assert_eq!(world.inbox(b), []);
        world.find_next(true);
        let message = |it: &ServerMessage| matches!(it, ServerMessage::Event(Event::DirectMessage { .. }));
        let inbox = world.inbox(b);
        assert!(message(&inbox[0]), "{inbox:?}");
        let replies = [(catching_up, ReplyBody::Done), (bye, ReplyBody::Bye)];
        assert_eq!(inbox[1..], replies.map(|(id, body)| ServerMessage::Reply(Reply { id, body })));

        let b = world.login("b");
        world.find_next(false);
        assert_eq!(world.ask(b, RequestBody::CatchUp), ReplyBody::Done, "nothing is being fetched");
    }

    #[test]
    fn a_page_for_a_session_that_ended_is_told_to_nobody() {
        let mut world = World::new(&["a", "b"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, direct("b", "1"));
        world.hold_queries = true;
        let old = world.login("b");
        world.disconnect(old);
        let new = world.login("b");
        world.find_next(true);
        assert_eq!(told(&mut world, new), []);
        world.find_next(true);
        assert_eq!(told(&mut world, new), from("a", [1]));
    }

    #[test]
    fn a_later_namesake_is_not_told_what_was_meant_for_the_removed_user() {
        let mut world = World::new(&["a", "b"]);
        let [a] = world.login_all(["a"]);
        world.ask(a, direct("b", "1"));
        world.commit(Fact::AccountRemoved { name: name("b") });
        world.add_account("b");
        world.ask(a, direct("b", "2"));
        let b = world.login("b");
        assert_eq!(told(&mut world, b), from("a", [2]));
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Some long messages become durable.
        Post(&'static str, usize),
        /// The receiver comes back, or comes for the first time.
        LogIn,
        /// The receiver is gone.
        Disconnect,
        /// The receiver was shown so many of those that they were sent since the last time.
        Show(&'static str, u64),
        /// The store answers, or fails to.
        Find(bool),
    }

    const AUTHORS: [&str; 2] = ["a", "c"];

    fn op() -> impl Strategy<Value = Op> {
        let author = || (0..2usize).prop_map(|number| AUTHORS[number]);
        prop_oneof![
            6 => (author(), 1..40usize).prop_map(|(author, count)| Op::Post(author, count)),
            2 => Just(Op::LogIn),
            1 => Just(Op::Disconnect),
            6 => (author(), 1..80u64).prop_map(|(author, count)| Op::Show(author, count)),
            12 => prop::bool::weighted(0.9).prop_map(Op::Find),
        ]
    }

    /// The receiver, who counts.
    struct Receiver {
        world: World,
        connection: Option<ConnectionId>,
        /// By author: how many they wrote, how many were sent in this session, how many were shown ever.
        counts: BTreeMap<String, [u64; 3]>,
    }

    impl Receiver {
        fn log_in(&mut self) {
            self.disconnect();
            self.connection = Some(self.world.login("b"));
        }

        fn disconnect(&mut self) {
            if let Some(connection) = self.connection.take() {
                self.world.disconnect(connection);
                // What was sent and not shown comes again.
                self.counts.values_mut().for_each(|[_, sent, shown]| *sent = *shown);
            }
        }

        fn show(&mut self, author: &str, count: u64) {
            let [_, sent, shown] = self.counts.get_mut(author).unwrap();
            *shown = (*shown + count).min(*sent);
            if let Some(connection) = self.connection {
                assert_eq!(self.world.ask(connection, received(author, *shown)), ReplyBody::Done);
            }
        }

        /// What comes is the next one of its author, and not too much of it is unshown.
        fn listen(&mut self) -> Result<(), TestCaseError> {
            let Some(connection) = self.connection else { return Ok(()) };
            for (author, number) in told(&mut self.world, connection) {
                let [written, sent, _] = self.counts.get_mut(&author).unwrap();
                *sent += 1;
                prop_assert_eq!(number, *sent, "of {}", author);
                prop_assert!(number <= *written);
            }
            let delivery = &self.world.server.sessions[&name("b")].delivery;
            prop_assert!(delivery.ahead.len() <= MAX_PAGES_AHEAD, "{} pages", delivery.ahead.len());
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn each_author_s_messages_come_once_in_order_and_in_the_end_all(ops in prop::collection::vec(op(), 0..40)) {
            let mut world = World::new(&["a", "b", "c"]);
            world.hold_queries = true;
            let (at, long) = (world.wall, "x".repeat(MAX_TEXT_BYTES));
            let counts = AUTHORS.map(|author| (text(author), [0; 3])).into();
            let mut receiver = Receiver { world, connection: None, counts };
            for op in ops {
                match op {
                    Op::Post(author, count) => for _ in 0..count {
                        receiver.counts.get_mut(author).unwrap()[0] += 1;
                        let (from, to) = (name(author), name("b"));
                        receiver.world.commit(Fact::DirectMessage { from, to, text: long.clone(), at, id: None });
                    },
                    Op::LogIn => receiver.log_in(),
                    Op::Disconnect => receiver.disconnect(),
                    Op::Show(author, count) => receiver.show(author, count),
                    Op::Find(works) if !receiver.world.queries.is_empty() => receiver.world.find_next(works),
                    Op::Find(_) => {}
                }
                receiver.listen()?;
            }
            receiver.log_in();
            let mut left = 1_000;
            while receiver.counts.values().any(|[written, _, shown]| shown < written) {
                while !receiver.world.queries.is_empty() {
                    receiver.world.find_next(true);
                }
                receiver.listen()?;
                AUTHORS.into_iter().for_each(|author| receiver.show(author, u64::MAX / 2));
                left -= 1;
                prop_assert!(left > 0, "some never come: {:?}", receiver.counts);
            }
        }
    }
}
