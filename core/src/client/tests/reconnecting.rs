//! The session outlives its connection.

use super::sending::offering;
use super::*;
use crate::client::ending::{ANSWERS_PATIENCE, DESERTED_PATIENCE};
use crate::client::event::{Failure, PostKind, TransferFailure, TransferState};
use crate::client::io::SourceId;
use crate::client::liveness::{OWED_PATIENCE, PING_PATIENCE, QUIET_PATIENCE};
use crate::client::reconnecting::{FINISHING_PATIENCE, FIRST_WAIT, LONGEST_BUSY, LONGEST_WAIT, RESUMING_PATIENCE};
use crate::client::requests::MAX_COMMANDS_IN_FLIGHT;
use crate::wire::message::{Cursor, HistoryKind, LoginRefusal, PastMessage, Positions, Refusal};

const LOST: Event = Event::Error(Failure::ConnectionLost);

fn secret_word() -> ResumeSecret {
    ResumeSecret([4; 32])
}

/// Logged in as yoda, with a session that can be resumed: five broadcasts and room 1 with seven messages are there.
fn granted() -> World {
    with_session(World::logged_in(AcceptPolicy::Ask))
}

fn with_session(mut world: World) -> World {
    world.server(wire::Event::Granted { secret: secret_word(), positions: positions(5, &[(1, 7)]) });
    world
}

fn positions(broadcasts: u64, rooms: &[(u32, u64)]) -> Positions {
    let rooms = rooms.iter().map(|(room, number)| (RoomId(*room), MessageNumber(*number))).collect();
    Positions { broadcasts: MessageNumber(broadcasts), rooms }
}

fn disconnected() -> Input {
    Input::Disconnected { reason: "gone".into() }
}

fn reconnecting(unanswered: usize) -> Event {
    Event::Reconnecting { reason: "gone".into(), unanswered }
}

fn not_connected() -> Input {
    Input::NotConnected { reason: "nobody is there".into(), server_key_changed: false }
}

fn bye() -> Event {
    Event::Bye { user: name("yoda") }
}

fn said(room: Option<u32>, number: u64, from: &str) -> PastMessage {
    let (room, number) = (room.map(RoomId), MessageNumber(number));
    PastMessage { room, number, at: AT, from: name(from), text: "hi".into() }
}

fn shown(number: u64) -> Event {
    Event::Broadcast { number: MessageNumber(number), at: AT, from: name("luke"), text: "hi".into() }
}

fn shown_in(room: u32, number: u64) -> Event {
    let (room, number) = (RoomId(room), MessageNumber(number));
    Event::RoomMessage { room, number, at: AT, from: name("luke"), text: "hi".into() }
}

fn told(number: u64) -> wire::Event {
    wire::Event::Broadcast { number: MessageNumber(number), at: AT, from: name("luke"), text: "hi".into() }
}

fn confirmed(number: u64) -> Event {
    Event::Sent { kind: PostKind::Broadcast, number: MessageNumber(number), at: AT }
}

impl World {
    /// Loses the connection, and looks at nothing that was said of that.
    fn lose(&mut self) {
        self.input(disconnected());
        self.events();
        self.orders();
        self.requests();
    }

    /// Waits for the machine's deadline.
    fn wake(&mut self) {
        self.now = self.client.deadline().expect("there is something to wait for");
        self.input(Input::Woke);
    }

    /// Waits until the driver is to connect; how long that took.
    fn waits(&mut self) -> Duration {
        let since = self.now;
        self.wake();
        assert_eq!(self.orders(), [Output::Connect]);
        self.now.saturating_since(since)
    }

    /// The driver has connected again: the positions that the server is told.
    fn connects(&mut self) -> (RequestId, Positions) {
        self.waits();
        self.input(connected());
        let [Request { id, body }] = self.requests().try_into().expect("one request");
        let RequestBody::Resume { user, secret, udp_port, positions } = body else { panic!("{body:?}") };
        assert_eq!((user, secret, udp_port), (name("yoda"), secret_word(), 6000));
        (id, positions)
    }

    /// The session goes on; the last request is that for the first page of what was missed.
    fn resumes(&mut self) {
        let (id, _) = self.connects();
        self.reply(id, ReplyBody::Resumed { missed: 0 });
        assert_eq!(self.events(), [Event::Resumed { missed: 0 }]);
    }

    /// Nothing was missed: what is asked now.
    fn goes_on(&mut self) -> Vec<Request> {
        self.resumes();
        assert_eq!(self.answer(ReplyBody::Missed { messages: vec![], more: false }), RequestBody::Missed);
        self.requests()
    }

    /// The last event, after which there is nothing to do.
    fn over(&mut self, last: Event) {
        assert_eq!(self.events.pop(), Some(last));
        assert_eq!(self.client.deadline(), None);
        self.orders();
        self.requests();
        self.input(Input::Woke);
        self.command(broadcast("after the end"));
        assert_eq!((self.orders(), self.requests(), self.events.len()), (vec![], vec![], 0));
    }
}

fn over(reason: &str) -> Event {
    Event::ConnectionLost { reason: reason.into(), was_logged_in: true, server_key_changed: false }
}

#[test]
fn who_was_granted_nothing_or_does_not_want_it_is_lost_as_before() {
    let mut world = World::logged_in(AcceptPolicy::Ask);
    world.input(disconnected());
    world.over(over("gone"));

    let mut world = World::new(AcceptPolicy::Ask);
    world.client = Client::new(AcceptPolicy::Ask, 6000, secret(), [7; 32], false);
    world.input(connected());
    world.command(login());
    world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
    world.events();
    let mut world = with_session(world);
    assert_eq!(world.client.deadline(), None, "nor is the server asked whether it is there");
    world.input(disconnected());
    world.over(over("gone"));
}

#[test]
fn the_waits_between_tries_double_up_to_two_seconds_are_random_and_begin_anew_after_success() {
    let mut world = granted();
    world.command(broadcast("hi"));
    world.requests();
    world.input(disconnected());
    assert_eq!((world.events(), world.orders()), (vec![reconnecting(1)], vec![]));
    let mut waits = Vec::new();
    for doubled in 0..8 {
        let longest = (FIRST_WAIT * (1 << doubled)).min(LONGEST_WAIT);
        let wait = world.waits();
        assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
        waits.push(wait * 1_000 / u32::try_from(longest.as_millis()).unwrap());
        assert_eq!(world.client.deadline(), None, "the driver's answer is waited for");
        world.input(not_connected());
    }
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 8, "none is the same part of the longest");
    assert_eq!(world.events(), [], "a loss is told once");
    world.goes_on();
    world.lose();
    assert!(world.waits() <= FIRST_WAIT);
}

#[test]
fn another_client_waits_otherwise() {
    let wait = |seed| {
        let mut world = World::new(AcceptPolicy::Ask);
        world.client = Client::new(AcceptPolicy::Ask, 6000, secret(), [seed; 32], true);
        world.input(connected());
        world.command(login());
        world.answer(ReplyBody::Welcome { user: name("yoda"), failed_logins: 0 });
        let mut world = with_session(world);
        world.lose();
        world.waits()
    };
    assert_eq!(wait(1), wait(1));
    assert_ne!(wait(1), wait(2));
}

#[test]
fn what_was_missed_is_read_by_page_and_shown_once_and_in_order_without_one_s_own() {
    let mut world = granted();
    world.server(told(6));
    world.server(wire::Event::RoomCreated(room(2)));
    world.events();
    world.lose();
    let (id, positions) = world.connects();
    assert_eq!(positions, self::positions(6, &[(1, 7), (2, 0)]));
    world.reply(id, ReplyBody::Resumed { missed: 3 });
    assert_eq!(world.events(), [Event::Resumed { missed: 3 }]);
    let messages = vec![said(None, 6, "luke"), said(None, 7, "luke"), said(None, 8, "yoda")];
    assert_eq!(world.answer(ReplyBody::Missed { messages, more: true }), RequestBody::Missed);
    assert_eq!(world.events(), [shown(7)]);
    // Of another conversation, in which nothing was missed.
    world.server(wire::Event::RoomMessage {
        room: RoomId(2),
        number: MessageNumber(1),
        at: AT,
        from: name("luke"),
        text: "hi".into(),
    });
    let messages = vec![said(None, 9, "luke"), said(Some(1), 8, "luke")];
    assert_eq!(world.answer(ReplyBody::Missed { messages, more: false }), RequestBody::Missed);
    assert_eq!(world.events(), [shown_in(2, 1), shown(9), shown_in(1, 8)]);
    assert_eq!(world.requests(), []);
    world.server(told(10));
    assert_eq!(world.events(), [shown(10)]);
    // The next time it goes on from there.
    world.lose();
    assert_eq!(world.connects().1, self::positions(10, &[(1, 8), (2, 1)]));
}

#[test]
fn positions_follow_one_s_own_posts_and_rooms() {
    let mut world = granted();
    world.command(broadcast("hi"));
    world.answer(sent(6));
    world.command(Command::RoomMessage { room: RoomId(1), text: "hi".into() });
    world.answer(sent(8));
    world.command(Command::BuildRoom { users: vec!["luke".into()] });
    world.answer(ReplyBody::RoomCreated(room(3)));
    world.lose();
    assert_eq!(world.connects().1, positions(6, &[(1, 8), (3, 0)]));

    let mut world = granted();
    world.command(Command::Leave { room: RoomId(1) });
    world.answer(ReplyBody::Left { room: RoomId(1) });
    world.lose();
    assert_eq!(world.connects().1, positions(5, &[]));
}

#[test]
fn what_was_not_answered_is_asked_again_in_its_order_and_with_its_ids_before_anything_new() {
    let mut world = granted();
    for text in ["a", "b", "c"] {
        world.command(broadcast(text));
    }
    let [a, b, c] = world.requests().try_into().unwrap();
    world.reply(b.id, sent(7));
    assert_eq!(world.events(), []);
    world.lose();
    world.command(broadcast("d"));
    world.command(Command::ActiveUsers);
    assert_eq!((world.requests(), world.events()), (vec![], vec![]), "what is typed meanwhile waits");
    let again = world.goes_on();
    let [again_a, again_c, d] = again.try_into().unwrap();
    assert_eq!((&again_a, &again_c), (&a, &c));
    assert_eq!(d.body, RequestBody::Broadcast { text: "d".into() });
    // Answers keep the order of the commands, whatever the server says first.
    world.reply(d.id, sent(9));
    world.reply(c.id, sent(8));
    assert_eq!(world.events(), []);
    world.reply(a.id, sent(6));
    assert_eq!(world.events(), [6, 7, 8, 9].map(confirmed));
    assert_eq!(world.bodies(), [RequestBody::ActiveUsers]);
}

#[test]
fn every_kind_of_request_is_asked_again() {
    let history = RequestBody::History { kind: HistoryKind::Rooms, not_before: AT.next_second(), after: None };
    for (command, body) in [
        (Command::BuildRoom { users: vec!["luke".into()] }, RequestBody::BuildRoom { users: vec!["luke".into()] }),
        (Command::ActiveUsers, RequestBody::ActiveUsers),
        (Command::Rooms, RequestBody::Rooms),
        (Command::History { kind: HistoryKind::Rooms, since: AT }, history),
        (Command::Verify { user: "luke".into(), confirm: false }, asks_devices("luke", false)),
        (Command::Leave { room: RoomId(1) }, RequestBody::Leave { room: RoomId(1) }),
    ] {
        let mut world = granted();
        world.command(command);
        let [before] = world.requests().try_into().unwrap();
        assert_eq!(before.body, body);
        for _ in 0..2 {
            world.lose();
            assert_eq!(&world.goes_on()[..], core::slice::from_ref(&before));
        }
        world.reply(before.id, ReplyBody::Refused(Refusal::StorageFailed));
        assert_eq!(world.events(), [Event::Error(Failure::StorageFailed)]);
    }
}

#[test]
fn a_history_goes_on_at_the_page_where_it_was() {
    let mut world = granted();
    world.command(Command::History { kind: HistoryKind::Broadcast, since: AT });
    let next = Some(Cursor { room: None, number: MessageNumber(1) });
    world.answer(ReplyBody::History { messages: vec![said(None, 1, "luke")], next });
    world.lose();
    world.requests();
    let [page] = world.goes_on().try_into().unwrap();
    assert!(matches!(&page.body, RequestBody::History { after, .. } if *after == next));
    world.reply(page.id, ReplyBody::History { messages: vec![said(None, 2, "luke")], next: None });
    let messages = vec![said(None, 1, "luke"), said(None, 2, "luke")];
    assert_eq!(world.events(), [Event::History { kind: HistoryKind::Broadcast, messages }]);
}

#[test]
fn what_was_done_before_its_reply_was_lost_is_done() {
    let mut world = granted();
    world.command(Command::Leave { room: RoomId(1) });
    let [leave] = world.requests().try_into().unwrap();
    world.lose();
    world.goes_on();
    world.reply(leave.id, ReplyBody::Refused(Refusal::NotAMember));
    assert_eq!(world.events(), [Event::LeftRoom { room: RoomId(1) }]);
    world.lose();
    assert_eq!(world.connects().1, positions(5, &[]));

    // The answer to an invitation is the room.
    let mut world = granted();
    world.command(Command::Invite { room: RoomId(1), user: "luke".into() });
    let [invite] = world.requests().try_into().unwrap();
    world.lose();
    world.goes_on();
    world.reply(invite.id, ReplyBody::Refused(Refusal::AlreadyAMember));
    assert_eq!(world.events(), []);
    assert_eq!(world.answer(ReplyBody::Rooms(vec![room(2), room(1)])), RequestBody::Rooms);
    assert_eq!(world.events(), [Event::RoomChanged(room(1))]);

    // Whoever asks for the first time is refused.
    for (command, refusal, failure) in [
        (Command::Leave { room: RoomId(1) }, Refusal::NotAMember, Failure::NotAMember),
        (Command::Invite { room: RoomId(1), user: "luke".into() }, Refusal::AlreadyAMember, Failure::AlreadyAMember),
    ] {
        let mut world = granted();
        world.command(command);
        world.answer(ReplyBody::Refused(refusal));
        assert_eq!(world.events(), [Event::Error(failure)]);
    }
}

#[test]
fn receipts_are_told_again_until_they_are_answered() {
    let direct = |number| wire::Event::DirectMessage {
        number: MessageNumber(number),
        at: AT,
        from: name("luke"),
        text: "hi".into(),
    };
    let receipt = |through| RequestBody::DirectReceived { from: name("luke"), through: MessageNumber(through) };
    let mut world = granted();
    world.server(direct(1));
    let [before] = world.requests().try_into().unwrap();
    assert_eq!(before.body, receipt(1));
    world.lose();
    world.resumes();
    // It comes again, and another one.
    world.server(direct(1));
    world.server(direct(2));
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.answer(ReplyBody::Missed { messages: vec![], more: false }), RequestBody::Missed);
    assert_eq!(&world.requests()[..], core::slice::from_ref(&before));
    world.reply(before.id, ReplyBody::Done);
    assert_eq!(world.answer(ReplyBody::Done), receipt(2));
}

#[test]
fn offers_that_were_not_agreed_end_with_the_connection_and_transfers_go_on() {
    let lost = TransferState::Failed(TransferFailure::ServerLost);
    // One's own, and somebody's.
    let mut world = with_session(offering().0);
    world.server(offer(2));
    world.events();
    world.input(disconnected());
    let [Event::Reconnecting { .. }, Event::Transfer(own), Event::Transfer(theirs)] = &world.events()[..] else {
        panic!("both end")
    };
    assert_eq!((&own.state, &theirs.state), (&lost, &lost));
    assert_eq!(world.orders(), [Output::CloseSource { source: SourceId(1) }]);

    let mut world = receiving();
    world.lose();
    for _ in 0..1_000 {
        world.waits();
        world.input(not_connected());
    }
    assert_eq!((world.events(), world.orders()), (vec![], vec![]));
    world.report(1, Progress::Moving { bytes: 1, rate_bps: 1, path: Default::default() });
    assert_eq!(world.transfer().state, TransferState::Moving);
    assert_eq!(world.goes_on(), []);
    world.report(1, Progress::Done { blake3: [0; 32], saved_as: None });
    assert!(matches!(world.transfer().state, TransferState::Done { .. }));
}

/// File 1 comes from luke, and that is agreed.
fn receiving() -> World {
    let mut world = with_session(World::logged_in(AcceptPolicy::All));
    world.server(offer(1));
    world.answer(ReplyBody::Done);
    world.events();
    world.orders();
    world
}

#[test]
fn an_answer_to_an_offer_and_its_withdrawal_end_with_the_connection() {
    let mut world = with_session(World::logged_in(AcceptPolicy::All));
    world.server(offer(1));
    world.events();
    world.orders();
    assert_eq!(world.requests().len(), 1);
    world.input(disconnected());
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
    world.events();
    world.report(1, Progress::Failed(TransferFailure::Cancelled));
    assert_eq!(world.transfer().state, TransferState::Failed(TransferFailure::ServerLost));
    assert_eq!(world.goes_on(), []);

    let mut world = with_session(offering().0);
    world.command(Command::Cancel { transfer: OfferId(1) });
    world.events();
    assert_eq!(world.requests().len(), 1);
    world.input(disconnected());
    let [Event::Reconnecting { .. }, Event::Transfer(ended)] = &world.events()[..] else { panic!() };
    assert_eq!(ended.state, TransferState::Failed(TransferFailure::Cancelled), "the answer to the command");
    assert_eq!(world.orders(), [Output::CloseSource { source: SourceId(1) }]);
    assert_eq!(world.goes_on(), []);
}

#[test]
fn a_file_that_was_not_offered_yet_is_offered_again() {
    let mut world = granted();
    world.command(Command::SendFiles { to: "luke".into(), paths: vec!["a".into()] });
    world.lose();
    // It is opened while nobody is there.
    world.input(Input::SourceOpened {
        source: SourceId(1),
        label: FileLabel::new("film.mp4"),
        bytes: 1_000,
        listing: None,
    });
    assert_eq!(world.requests(), []);
    let [asking] = world.goes_on().try_into().unwrap();
    assert_eq!(asking.body, asks_devices("luke", true));
    world.reply(asking.id, devices("luke", other_device()));
    let [offering] = world.requests().try_into().unwrap();
    world.lose();
    assert_eq!(&world.goes_on()[..], core::slice::from_ref(&offering));
    world.reply(offering.id, ReplyBody::Offered { offer: OfferId(3) });
    assert_eq!(world.transfer().state, TransferState::Starting);
}

#[test]
fn a_transfer_that_still_moves_goes_on_though_the_server_says_that_its_other_end_has_left() {
    let mut world = receiving();
    world.server(wire::Event::Left { user: name("luke") });
    for _ in 0..10 {
        world.wait(DESERTED_PATIENCE - Duration::from_nanos(1));
        world.report(1, Progress::Moving { bytes: 1, rate_bps: 1, path: Default::default() });
    }
    assert_eq!(world.orders(), []);
    world.wait(DESERTED_PATIENCE);
    assert_eq!(world.orders(), [Output::Cancel { transfer: OfferId(1), keep: true }]);
}

#[test]
fn a_logout_waits_for_the_connection_and_then_ends_well_if_nothing_was_left_open() {
    let mut world = granted();
    world.lose();
    world.command(Command::Logout);
    assert_eq!(world.events(), []);
    let [logout] = world.goes_on().try_into().unwrap();
    assert_eq!(logout.body, RequestBody::Logout);
    world.reply(logout.id, ReplyBody::Bye);
    world.over(bye());

    for (open, waiting) in [(false, false), (true, false), (false, true)] {
        let mut world = granted();
        if open {
            world.command(broadcast("hi"));
        }
        world.lose();
        if waiting {
            world.command(broadcast("hi"));
        }
        world.command(Command::Logout);
        world.command(Command::Rooms);
        let end = world.now + ANSWERS_PATIENCE;
        while world.now < end {
            assert_eq!(world.events(), []);
            world.wake();
            if world.orders().contains(&Output::Connect) {
                world.input(not_connected());
            }
        }
        assert_eq!(world.now, end);
        if open || waiting {
            assert_eq!(world.events[..3], [LOST, LOST, LOST]);
            world.events.drain(..3);
            world.over(over("nobody waits for the server any more"));
        } else {
            assert_eq!(world.events.remove(0), Event::Error(Failure::NotLoggedIn));
            world.over(bye());
        }
    }
}

#[test]
fn a_logout_waits_anew_for_what_was_asked_before_it_when_the_connection_is_there() {
    let mut world = granted();
    world.lose();
    for _ in 0..MAX_COMMANDS_IN_FLIGHT + 1 {
        world.command(broadcast("hi"));
    }
    world.command(Command::Logout);
    let posts = world.goes_on();
    assert_eq!(posts.len(), MAX_COMMANDS_IN_FLIGHT);
    world.wait(ANSWERS_PATIENCE);
    // The last one still waits for its turn, and nobody has forgotten it.
    assert_eq!((world.events(), world.requests()), (vec![], vec![]));
    for (number, post) in posts.iter().enumerate() {
        world.reply(post.id, sent(6 + number as u64));
    }
    world.events();
    let [last] = world.requests().try_into().unwrap();
    world.reply(last.id, sent(1_000));
    assert_eq!(world.events(), [confirmed(1_000)]);
    assert_eq!(world.answer(ReplyBody::Bye), RequestBody::Logout);
}

#[test]
fn a_logout_whose_reply_was_lost_is_asked_again_and_a_session_that_is_over_is_a_goodbye() {
    let logging_out = || {
        let mut world = granted();
        world.command(Command::Logout);
        assert_eq!(world.bodies(), [RequestBody::Logout]);
        world.lose();
        world
    };
    let mut world = logging_out();
    let [logout] = world.goes_on().try_into().unwrap();
    assert_eq!(logout.body, RequestBody::Logout);
    world.reply(logout.id, ReplyBody::Bye);
    world.over(bye());

    let mut world = logging_out();
    let (id, _) = world.connects();
    world.reply(id, ReplyBody::LoginFailed(LoginRefusal::SessionOver));
    world.over(bye());
}

#[test]
fn whoever_finishes_tries_for_a_minute_and_for_as_long_as_files_are_under_way() {
    let mut world = granted();
    world.command(broadcast("hi"));
    world.command(Command::Finish);
    world.lose();
    let end = world.now + FINISHING_PATIENCE;
    while world.now < end {
        assert_eq!(world.events(), []);
        world.wake();
        if world.orders().contains(&Output::Connect) {
            world.input(not_connected());
        }
    }
    assert_eq!(world.now, end);
    assert_eq!(world.events.remove(0), LOST);
    world.over(over("nobody is there (tried for 60 seconds)"));

    let mut world = receiving();
    world.command(Command::Finish);
    world.lose();
    for _ in 0..200 {
        world.waits();
        world.input(not_connected());
    }
    world.report(1, Progress::Done { blake3: [0; 32], saved_as: None });
    assert!(matches!(world.transfer().state, TransferState::Done { .. }));
    let end = world.now + FINISHING_PATIENCE;
    while world.events.is_empty() {
        world.wake();
        if world.orders().contains(&Output::Connect) {
            world.input(not_connected());
        }
    }
    assert_eq!(world.now, end);
}

#[test]
fn whoever_finishes_comes_back_and_then_leaves() {
    let mut world = granted();
    world.command(broadcast("hi"));
    world.command(Command::Finish);
    world.lose();
    let [post] = world.goes_on().try_into().unwrap();
    world.reply(post.id, sent(6));
    assert_eq!(world.events(), [confirmed(6)]);
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::CatchUp);
    assert_eq!(world.answer(ReplyBody::Bye), RequestBody::Logout);
    world.over(bye());
}

#[test]
fn a_session_that_is_over_answers_everything_and_is_the_end() {
    let mut world = granted();
    world.command(broadcast("hi"));
    world.command(Command::Rooms);
    world.lose();
    let (id, _) = world.connects();
    world.reply(id, ReplyBody::LoginFailed(LoginRefusal::SessionOver));
    assert_eq!(world.orders(), [Output::Disconnect]);
    let [LOST, LOST, Event::ConnectionLost { reason, server_key_changed: false, .. }] = &world.events[..] else {
        panic!("{:?}", world.events)
    };
    assert!(reason.starts_with("the session is over: "), "{reason}");
}

#[test]
fn every_kind_of_question_has_an_answer_when_the_session_is_over() {
    for question in [
        Command::ActiveUsers,
        Command::Rooms,
        Command::Find { text: "x".into() },
        Command::History { kind: HistoryKind::Broadcast, since: Timestamp::default() },
    ] {
        let mut world = granted();
        world.command(question.clone());
        world.lose();
        let (id, _) = world.connects();
        world.reply(id, ReplyBody::LoginFailed(LoginRefusal::SessionOver));
        assert!(matches!(&world.events[..], [LOST, Event::ConnectionLost { .. }]), "{question:?}: {:?}", world.events);
    }
}

#[test]
fn a_server_that_is_busy_is_left_alone_for_its_time() {
    for (said, waited) in [(5_000, Duration::from_secs(5)), (u64::MAX, LONGEST_BUSY)] {
        let mut world = granted();
        world.lose();
        let (id, _) = world.connects();
        world.reply(id, ReplyBody::LoginFailed(LoginRefusal::Busy { retry_after_ms: said }));
        assert_eq!(world.orders(), [Output::Disconnect]);
        // The reader of that connection ends.
        world.input(disconnected());
        assert_eq!(world.waits(), waited);
        world.input(connected());
        let [again] = world.requests().try_into().unwrap();
        world.reply(again.id, ReplyBody::Resumed { missed: 0 });
        assert_eq!(world.events(), [Event::Resumed { missed: 0 }]);
    }
}

#[test]
fn nothing_is_said_to_a_server_with_another_key() {
    let key_changed =
        |reason: &str| Event::ConnectionLost { reason: reason.into(), was_logged_in: true, server_key_changed: true };
    let mut world = granted();
    world.command(broadcast("hi"));
    world.requests();
    world.lose();
    world.waits();
    world.input(Input::NotConnected { reason: "another key".into(), server_key_changed: true });
    assert_eq!((world.events.remove(0), world.requests()), (LOST, vec![]));
    world.over(key_changed("another key"));

    // Nor does it answer a logout.
    let mut world = granted();
    world.command(Command::Logout);
    world.lose();
    world.waits();
    world.input(Input::NotConnected { reason: "another key".into(), server_key_changed: true });
    assert_eq!(world.events.remove(0), LOST);
    world.over(key_changed("another key"));

    // Nor if the driver has not noticed.
    let mut world = granted();
    world.lose();
    world.waits();
    world.input(Input::Connected { server_key: PublicKey([9; 32]), people: vec![] });
    assert_eq!((world.orders(), world.requests()), (vec![Output::Disconnect], vec![]));
    world.over(key_changed("the key of the server has changed"));
}

#[test]
fn a_loss_while_the_session_is_resumed_is_the_same_one_and_a_loss_afterwards_another() {
    let mut world = granted();
    world.lose();
    let first = world.connects().0;
    world.input(disconnected());
    assert_eq!(world.events(), []);
    let (second, _) = world.connects();
    assert!(second > first);
    world.reply(second, ReplyBody::Resumed { missed: 2 });
    world.answer(ReplyBody::Missed { messages: vec![said(None, 6, "luke")], more: true });
    assert_eq!(world.events(), [Event::Resumed { missed: 2 }, shown(6)]);
    world.requests();
    world.input(disconnected());
    assert_eq!(world.events(), [reconnecting(0)]);
    assert_eq!(world.connects().1, positions(6, &[(1, 7)]), "what was read need not be read again");
}

#[test]
fn what_was_missed_and_cannot_be_said_is_asked_for_later() {
    let mut world = granted();
    world.lose();
    world.resumes();
    world.answer(ReplyBody::Refused(Refusal::RateLimited { retry_after_ms: 3_000 }));
    assert_eq!(world.orders(), [Output::Disconnect]);
    world.events();
    assert_eq!(world.waits(), Duration::from_secs(3));
}

#[test]
fn late_words_of_the_old_connection_mean_nothing() {
    let mut world = granted();
    world.command(broadcast("hi"));
    let [post] = world.requests().try_into().unwrap();
    world.lose();
    world.reply(post.id, sent(6));
    world.server(told(7));
    world.input(disconnected());
    world.input(not_connected());
    world.input(connected());
    assert_eq!((world.events(), world.requests(), world.orders()), (vec![], vec![], vec![]));
    assert_eq!(world.goes_on(), [post]);
}

#[test]
fn a_silent_server_is_asked_whether_it_is_there_and_given_up() {
    for owed in [false, true] {
        let mut world = granted();
        if owed {
            world.command(broadcast("hi"));
            world.requests();
        }
        let patience = if owed { OWED_PATIENCE } else { QUIET_PATIENCE };
        world.wait(patience - Duration::from_nanos(1));
        assert_eq!(world.requests(), []);
        world.wait(Duration::from_nanos(1));
        // It answers.
        assert_eq!(world.answer(ReplyBody::Done), RequestBody::Ping);
        world.wait(patience);
        assert_eq!(world.bodies(), [RequestBody::Ping]);
        world.wait(PING_PATIENCE - Duration::from_nanos(1));
        assert_eq!((world.events(), world.orders()), (vec![], vec![]));
        world.wait(Duration::from_nanos(1));
        assert_eq!(world.orders(), [Output::Disconnect]);
        let [Event::Reconnecting { reason, .. }] = &world.events()[..] else { panic!() };
        assert_eq!(reason, "the server does not answer");
        assert_eq!(world.goes_on().len(), usize::from(owed), "the ping is not asked again");
    }
}

#[test]
fn a_server_that_is_silent_while_the_session_is_resumed_is_given_up() {
    let mut world = granted();
    world.lose();
    world.connects();
    world.wait(RESUMING_PATIENCE);
    assert_eq!((world.orders(), world.events()), (vec![Output::Disconnect], vec![]));
    world.resumes();
    // As long as it says something, it may take its time.
    for _ in 0..3 {
        world.wait(RESUMING_PATIENCE - Duration::from_nanos(1));
        assert_eq!(world.answer(ReplyBody::Missed { messages: vec![], more: true }), RequestBody::Missed);
    }
    world.requests();
    world.wait(RESUMING_PATIENCE);
    assert_eq!(world.orders(), [Output::Disconnect]);
    assert!(matches!(&world.events()[..], [Event::Reconnecting { .. }]));
}

#[test]
fn a_server_that_asks_is_answered_once_at_a_time() {
    let mut world = granted();
    world.server(wire::Event::Ping);
    world.server(wire::Event::Ping);
    assert_eq!(world.answer(ReplyBody::Done), RequestBody::Ping);
    world.server(wire::Event::Ping);
    assert_eq!(world.bodies(), [RequestBody::Ping]);
}

#[test]
fn a_driver_that_stops_ends_it() {
    for lost in [false, true] {
        let mut world = granted();
        world.command(broadcast("hi"));
        if lost {
            world.lose();
        }
        world.input(Input::Stopped);
        assert_eq!(world.events.remove(0), LOST);
        world.over(over("the client was stopped"));
    }
}
