use super::super::testing::{Stage, name};
use super::*;
use toom_core::id::RoomId;

const ROOM: RoomId = RoomId(1);

/// `a` and `b` have a room in which they said one and two; `c` was there for the second.
fn stage() -> (Stage, [ConnectionId; 3]) {
    let mut stage = Stage::new(&["a", "b", "c"]);
    let all @ [a, b, c] = stage.all(["a", "b", "c"]);
    stage.ask(a, RequestBody::BuildRoom { users: vec!["b".into()] });
    stage.ask(a, RequestBody::RoomMessage { room: ROOM, text: "one".into() });
    stage.ask(a, RequestBody::Invite { room: ROOM, user: "c".into() });
    stage.ask(b, RequestBody::RoomMessage { room: ROOM, text: "two".into() });
    stage.ask(c, RequestBody::Leave { room: ROOM });
    stage.broadcast(c, "three");
    (stage, all)
}

fn read(kind: HistoryKind, after: Option<Cursor>) -> RequestBody {
    RequestBody::History { kind, not_before: Timestamp::default(), after }
}

/// What `a` is told of the rooms after this change of the page.
fn with_page(change: fn(&mut Vec<PastMessage>, &mut Option<Cursor>)) -> Option<&'static str> {
    let (mut stage, [a, ..]) = stage();
    stage.tamper_replies(move |body| {
        if let ReplyBody::History { messages, next } = body {
            change(messages, next);
        }
    });
    stage.ask(a, read(HistoryKind::Rooms, None));
    stage.broken()
}

#[test]
fn what_the_server_says_is_right() {
    let (mut stage, all) = stage();
    for reader in all {
        stage.ask(reader, read(HistoryKind::Broadcast, None));
        stage.ask(reader, read(HistoryKind::Rooms, None));
        stage.ask(reader, read(HistoryKind::Rooms, Some(Cursor { room: Some(ROOM), number: MessageNumber(1) })));
    }
    assert_eq!(stage.broken(), None);
}

#[test]
fn a_page_that_lacks_repeats_mixes_or_changes_something_is_found() {
    assert_eq!(with_page(|_, _| ()), None);
    assert_eq!(with_page(|messages, _| _ = messages.remove(0)), Some(EXACT));
    assert_eq!(with_page(|messages, _| _ = messages.pop()), Some(EXACT));
    assert_eq!(with_page(|messages, _| messages.push(messages[0].clone())), Some(EXACT));
    assert_eq!(with_page(|messages, _| messages.reverse()), Some(EXACT));
    assert_eq!(with_page(|messages, _| messages[0].from = name("b")), Some(EXACT));
}

#[test]
fn a_cursor_that_is_not_the_last_message_is_found() {
    let past_the_end = |_: &mut Vec<PastMessage>, next: &mut Option<Cursor>| {
        *next = Some(Cursor { room: Some(ROOM), number: MessageNumber(2) });
    };
    assert_eq!(with_page(past_the_end), Some(EXACT));
    let too_far = |messages: &mut Vec<PastMessage>, next: &mut Option<Cursor>| {
        messages.pop();
        *next = Some(Cursor { room: Some(ROOM), number: MessageNumber(2) });
    };
    assert_eq!(with_page(too_far), Some(EXACT));
    let shorter = |messages: &mut Vec<PastMessage>, next: &mut Option<Cursor>| {
        messages.pop();
        *next = Some(Cursor { room: Some(ROOM), number: MessageNumber(1) });
    };
    assert_eq!(with_page(shorter), None, "a page may have any length");
}

/// What `a` is told when it asks for the newest `count` of the room, after this change of the page.
fn with_latest(count: u32, change: fn(&mut Vec<PastMessage>, &mut Option<Cursor>)) -> Option<&'static str> {
    let (mut stage, [a, ..]) = stage();
    stage.tamper_replies(move |body| {
        if let ReplyBody::History { messages, next } = body {
            change(messages, next);
        }
    });
    stage.ask(a, RequestBody::Latest { room: Some(ROOM), count, before: None });
    stage.broken()
}

#[test]
fn newest_messages_that_are_others_or_fewer_are_found() {
    assert_eq!([1, 2, 9].map(|count| with_latest(count, |_, _| ())), [None; 3]);
    assert_eq!(with_latest(2, |messages, _| _ = messages.remove(0)), Some(LATEST));
    assert_eq!(with_latest(2, |messages, _| _ = messages.pop()), Some(LATEST));
    assert_eq!(with_latest(2, |messages, _| messages.reverse()), Some(LATEST));
    assert_eq!(with_latest(1, |_, next| *next = None), Some(LATEST));
    assert_eq!(with_latest(2, |messages, _| messages[0].from = name("b")), Some(EXACT));
    let shorter = |messages: &mut Vec<PastMessage>, next: &mut Option<Cursor>| {
        messages.remove(0);
        *next = Some(Cursor { room: Some(ROOM), number: MessageNumber(2) });
    };
    assert_eq!(with_latest(2, shorter), Some(LATEST), "one more would fit");
}

#[test]
fn what_was_said_before_one_came_is_found() {
    let (mut stage, [_, _, c]) = stage();
    stage.tamper_replies(|body| {
        if let ReplyBody::History { messages, .. } = body {
            let one =
                PastMessage { number: MessageNumber(1), from: name("a"), text: "one".into(), ..messages[0].clone() };
            messages.insert(0, one);
        }
    });
    stage.ask(c, read(HistoryKind::Rooms, None));
    assert_eq!(stage.broken(), Some(rooms::NO_OUTSIDER));
}

/// `a` comes again with a client, which hears everything; what it heard of the past.
fn reader(since: i64) -> (Stage, ConnectionId, Vec<PastMessage>) {
    let (mut stage, [a, ..]) = stage();
    stage.disconnect(a);
    let a = stage.client(0);
    stage.all(["a"]);
    let command = Command::History { kind: HistoryKind::Rooms, since: Timestamp::from_millis(since) };
    stage.tell(&Observation::ClientHears(0, &ClientInput::Command(command)));
    let not_before = Timestamp::from_millis(1_000);
    let body = RequestBody::History { kind: HistoryKind::Rooms, not_before, after: None };
    stage.client_sends(0, 9, body.clone());
    stage.ask(a, body);
    let mut heard = Vec::new();
    for message in stage.sent(a) {
        if let ServerMessage::Reply(Reply { body: ReplyBody::History { messages, .. }, .. }) = &message {
            heard.extend_from_slice(messages);
        }
        stage.client_hears(0, message);
    }
    assert_eq!(heard.len(), 2);
    (stage, a, heard)
}

#[test]
fn an_answer_that_is_not_its_pages_is_found() {
    let kind = HistoryKind::Rooms;
    let (mut stage, _, messages) = reader(0);
    stage.client_shows(0, Event::History { kind, messages });
    assert_eq!(stage.broken(), None);
    let (mut stage, _, mut messages) = reader(0);
    messages.pop();
    stage.client_shows(0, Event::History { kind, messages });
    assert_eq!(stage.broken(), Some(WHOLE));
}

#[test]
fn an_answer_that_ends_too_early_is_found() {
    let (mut stage, a, _) = reader(0);
    // The client takes the first page for all.
    let body =
        RequestBody::History { kind: HistoryKind::Rooms, not_before: Timestamp::from_millis(1_000), after: None };
    stage.client_sends(0, 10, body.clone());
    stage.tamper_replies(|body| {
        if let ReplyBody::History { messages, next } = body {
            messages.pop();
            *next = Some(Cursor { room: Some(ROOM), number: MessageNumber(1) });
        }
    });
    stage.ask(a, body);
    let mut first_page = Vec::new();
    for message in stage.sent(a) {
        if let ServerMessage::Reply(Reply { body: ReplyBody::History { messages, .. }, .. }) = &message {
            first_page.clone_from(messages);
        }
        stage.client_hears(0, message);
    }
    assert_eq!(first_page.len(), 1);
    stage.client_shows(0, Event::History { kind: HistoryKind::Rooms, messages: first_page });
    assert_eq!(stage.broken(), Some(WHOLE));
}

#[test]
fn another_second_than_the_person_said_is_found() {
    let (mut right, ..) = reader(999);
    assert_eq!(right.broken(), None);
    let (mut stage, _) = stage();
    stage.client(0);
    let command = Command::History { kind: HistoryKind::Rooms, since: Timestamp::from_millis(1_000) };
    stage.tell(&Observation::ClientHears(0, &ClientInput::Command(command)));
    let not_before = Timestamp::from_millis(1_000);
    stage.client_sends(0, 1, RequestBody::History { kind: HistoryKind::Rooms, not_before, after: None });
    assert_eq!(stage.broken(), Some(SINCE));
}

#[test]
fn an_acknowledged_message_that_is_not_in_the_final_history_is_found() {
    for late in [false, true] {
        let (mut stage, a, messages) = reader(0);
        stage.client_shows(0, Event::History { kind: HistoryKind::Rooms, messages });
        if late {
            stage.ask(a, RequestBody::RoomMessage { room: ROOM, text: "nobody reads this".into() });
        }
        for connection in 2..=4 {
            stage.ask(ConnectionId(connection), RequestBody::Logout);
        }
        assert_eq!((stage.broken(), stage.finish()), (None, late.then_some(FINAL)));
    }
}
