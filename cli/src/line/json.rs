//! An event becomes one JSON object, with the names of the public interface. The size of a stream (`bytes` of an offer,
//! `total` of a transfer) is null until it is done.

use core::fmt::Write;

use serde_json::{Value, json};
use toom_core::client::event::{Direction, Event, Failure, PostKind, Transfer, TransferState};
use toom_core::client::standing::Waiting;
use toom_core::name::UserName;
use toom_core::time::Timestamp;
use toom_core::wire::message::{
    ActiveUser, FoundIn, FoundMessage, HistoryKind, LoginRefusal, News, PastMessage, RoomInfo,
};
use toom_store::wall::rfc3339;

use super::failure::{code, login_code, login_sentence, parse_code, sentence, transfer_code};
use super::help::{self, CommandHelp};
use super::human;
use super::parse::ParseError;

/// The object for `event`; `user` is who is logged in, the recipient of direct messages.
pub(crate) fn render(event: &Event, user: &str) -> Value {
    match event {
        Event::Welcome { user, server_key, udp_port, failed_logins } => json!({
            "event": "welcome", "user": name(user), "server_key": server_key.to_string(), "udp_port": udp_port,
            "failed_logins": failed_logins,
        }),
        Event::LoginFailed(refusal) => login_failed(*refusal),
        Event::Broadcast { number, at, from, text } => {
            json!({"event": "broadcast", "number": number.0, "at": rfc3339(*at), "from": name(from), "text": text})
        }
        Event::RoomMessage { room, number, at, from, text } => json!({
            "event": "room_message", "room": room.0, "number": number.0, "at": rfc3339(*at), "from": name(from),
            "text": text,
        }),
        Event::DirectMessage { number, at, from, text } => json!({
            "event": "direct_message", "to": user, "number": number.0, "at": rfc3339(*at), "from": name(from),
            "text": text,
        }),
        Event::Sent { kind, number, at } => sent(kind, number.0, *at),
        Event::ActiveUsers(users) => {
            json!({"event": "active_users", "users": users.iter().map(active_user).collect::<Vec<_>>()})
        }
        Event::Joined { user } => json!({"event": "joined", "user": name(user)}),
        Event::Left { user } => json!({"event": "left", "user": name(user)}),
        Event::RoomCreated(info) => room("room_created", info),
        Event::RoomExists(info) => room("room_exists", info),
        Event::RoomChanged(info) => room("room_changed", info),
        Event::LeftRoom { room } => json!({"event": "left_room", "room": room.0}),
        Event::Rooms(rooms) => {
            let entry = |info: &RoomInfo| json!({"room": info.room.0, "members": names(&info.members)});
            json!({"event": "rooms", "rooms": rooms.iter().map(entry).collect::<Vec<_>>()})
        }
        Event::History { kind, messages } => history(*kind, messages),
        Event::Latest { room, messages, more } => {
            let kind = if room.is_some() { HistoryKind::Rooms } else { HistoryKind::Broadcast };
            let mut object = history(kind, messages);
            object["more"] = (*more).into();
            object
        }
        Event::NewSince(news) => new_since(news),
        Event::Found { messages, more } => {
            json!({"event": "found", "messages": messages.iter().map(|it| found(it, user)).collect::<Vec<_>>(), "more": more})
        }
        Event::Offer { id, from, name: label, bytes, entries, .. } => {
            let mut object =
                json!({"event": "offer", "id": id.0, "from": name(from), "name": label.as_str(), "bytes": bytes});
            if let Some(entries) = entries {
                object["entries"] = (*entries).into();
            }
            object
        }
        Event::Transfer(entry) => {
            let mut object = transfer(entry);
            object["event"] = "transfer".into();
            object
        }
        Event::Transfers(transfers) => {
            json!({"event": "transfers", "transfers": transfers.iter().map(transfer).collect::<Vec<_>>()})
        }
        Event::OfferAnswered { id, accepted } => {
            json!({"event": "offer_answered", "id": id.0, "accepted": accepted})
        }
        Event::SafetyNumber { user, number, devices, own_devices, verified } => json!({
            "event": "safety_number", "user": name(user), "number": number.to_string(), "verified": verified,
            "devices": devices, "own_devices": own_devices,
        }),
        Event::PeerKeyChanged { user, key, verified } => json!({
            "event": "peer_key_changed", "user": name(user), "key": key.to_string(), "verified": verified,
        }),
        Event::NotRemembered { user, reason } => {
            json!({"event": "not_remembered", "user": name(user), "reason": reason})
        }
        Event::Error(failure) => error(failure),
        Event::Bye { user } => json!({"event": "bye", "user": name(user)}),
        Event::Reconnecting { reason, unanswered } => {
            json!({"event": "reconnecting", "reason": reason, "unanswered": unanswered})
        }
        Event::Resumed { missed } => json!({"event": "resumed", "missed": missed}),
        Event::ConnectionLost { reason, was_logged_in, server_key_changed } => {
            let mut object = json!({"event": "connection_lost", "reason": reason, "was_logged_in": was_logged_in});
            if *server_key_changed {
                object["server_key_changed"] = true.into();
            }
            object
        }
    }
}

/// The object for a line that is no command.
pub(crate) fn parse_error(error: &ParseError) -> Value {
    json!({"event": "error", "code": parse_code(error), "message": error.to_string()})
}

/// The object that answers `HELP`.
pub(crate) fn help(topic: Option<&CommandHelp>) -> Value {
    json!({"event": "help", "text": help::text(topic)})
}

fn login_failed(refusal: LoginRefusal) -> Value {
    let mut object =
        json!({"event": "login_failed", "reason": login_code(refusal), "message": login_sentence(refusal)});
    if let LoginRefusal::Blocked { retry_after_ms } | LoginRefusal::Busy { retry_after_ms } = refusal {
        object["retry_after_ms"] = retry_after_ms.into();
    }
    object
}

fn sent(kind: &PostKind, number: u64, at: Timestamp) -> Value {
    let mut object = json!({"event": "sent", "number": number, "at": rfc3339(at)});
    match kind {
        PostKind::Broadcast => object["kind"] = "broadcast".into(),
        PostKind::Room(room) => {
            object["kind"] = "room".into();
            object["room"] = room.0.into();
        }
        PostKind::Direct(to) => {
            object["kind"] = "direct".into();
            object["to"] = to.as_str().into();
        }
    }
    object
}

fn active_user(user: &ActiveUser) -> Value {
    let ActiveUser { name: user, address, udp_port, since } = user;
    json!({"name": name(user), "address": address.to_string(), "udp_port": udp_port, "since": rfc3339(*since)})
}

fn room(event: &str, info: &RoomInfo) -> Value {
    json!({"event": event, "room": info.room.0, "members": names(&info.members)})
}

fn history(kind: HistoryKind, messages: &[PastMessage]) -> Value {
    // The client has them by room; the numbers and times of each room rise together, so that sorting by time
    // keeps the order within every room.
    let mut messages: Vec<&PastMessage> = messages.iter().collect();
    messages.sort_by_key(|message| message.at);
    let kind = match kind {
        HistoryKind::Broadcast => "broadcast",
        HistoryKind::Rooms => "room",
    };
    json!({"event": "history", "kind": kind, "messages": messages.into_iter().map(past).collect::<Vec<_>>()})
}

fn new_since(news: &News) -> Value {
    let News { since, broadcasts, rooms, mentions, more } = news;
    let rooms: Vec<_> = rooms.iter().map(|(room, messages)| json!({"room": room.0, "messages": messages})).collect();
    json!({
        "event": "new_since", "since": rfc3339(*since), "broadcasts": broadcasts, "rooms": rooms, "mentions": mentions,
        "more": more,
    })
}

fn past(message: &PastMessage) -> Value {
    let PastMessage { room, number, at, from, text } = message;
    let mut object = json!({"number": number.0, "at": rfc3339(*at), "from": name(from), "text": text});
    if let Some(room) = room {
        object["room"] = room.0.into();
    }
    object
}

fn found(message: &FoundMessage, user: &str) -> Value {
    let FoundMessage { place, number, at, from, text } = message;
    let mut object = json!({"number": number.0, "at": rfc3339(*at), "from": name(from), "text": text});
    match place {
        FoundIn::Broadcast => object["kind"] = "broadcast".into(),
        FoundIn::Room(room) => {
            object["kind"] = "room".into();
            object["room"] = room.0.into();
        }
        FoundIn::Direct(peer) => {
            object["kind"] = "direct".into();
            object["to"] = if from == peer { user } else { name(peer) }.into();
        }
    }
    object
}

fn transfer(transfer: &Transfer) -> Value {
    let direction = match transfer.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let mut object = json!({
        "id": transfer.id.0, "peer": name(&transfer.peer), "name": transfer.name.as_str(), "direction": direction,
        "bytes": transfer.bytes, "total": transfer.total, "rate_bps": transfer.rate_bps,
        "path": human::path(transfer.path.kind),
    });
    if let Some(round_trip) = transfer.path.round_trip {
        object["rtt_ms"] = (round_trip.as_micros() as f64 / 1_000.0).into();
    }
    if let Some(ppm) = transfer.path.loss_ppm {
        object["loss"] = (f64::from(ppm) / 1e6).into();
    }
    if let Some(left) = transfer.time_left() {
        object["left_s"] = (left.as_millis() as f64 / 1_000.0).into();
    }
    object["state"] = match &transfer.state {
        TransferState::Starting | TransferState::Waiting(Waiting::Acceptance | Waiting::Answer) => "starting",
        TransferState::Resumed { .. } | TransferState::Moving | TransferState::Waiting(_) => "moving",
        TransferState::Paused { .. } => "paused",
        TransferState::Done { .. } => "done",
        TransferState::Failed(_) => "failed",
    }
    .into();
    match &transfer.state {
        TransferState::Starting | TransferState::Moving => {}
        TransferState::Waiting(waiting) => object["waits_for"] = waits_for(*waiting).into(),
        TransferState::Paused { silent } => {
            object["reason"] = "peer_silent".into();
            object["silent_s"] = silent.as_secs().into();
        }
        TransferState::Resumed { had } => {
            object["resumed_from"] = transfer.bytes.into();
            object["source_changed"] = (*had > transfer.bytes).into();
        }
        TransferState::Done { blake3, saved_as } => {
            object["blake3"] = hex(blake3).into();
            if let Some(saved_as) = saved_as {
                object["saved_as"] = saved_as.as_str().into();
            }
        }
        TransferState::Failed(failure) => {
            object["reason"] = transfer_code(failure).into();
            object["message"] = failure.to_string().into();
        }
    }
    object
}

/// What a transfer that does not move waits for.
fn waits_for(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Acceptance => "acceptance",
        Waiting::Answer => "answer",
        Waiting::OwnDisk => "disk",
        Waiting::Source => "source",
        Waiting::Reader => "reader",
        Waiting::PeerDisk => "peer_disk",
        Waiting::OwnHash => "hash",
        Waiting::PeerHash => "peer_hash",
        Waiting::Bytes => "bytes",
    }
}

fn error(failure: &Failure) -> Value {
    let mut object = json!({"event": "error", "code": code(failure), "message": sentence(failure)});
    match failure {
        Failure::NoSuchUser(users) => object["users"] = json!(users),
        Failure::UserOffline(users) => object["users"] = names(users),
        Failure::PeerKeyChanged { user, key } => {
            object["user"] = name(user).into();
            object["key"] = key.to_string().into();
        }
        Failure::RateLimited { retry_after_ms } => object["retry_after_ms"] = json!(retry_after_ms),
        _ => {}
    }
    object
}

fn name(user: &UserName) -> &str {
    user.as_str()
}

fn names(users: &[UserName]) -> Value {
    users.iter().map(name).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::net::{IpAddr, Ipv4Addr};

    use toom_core::client::event::TransferFailure;
    use toom_core::client::standing::{Path, PathKind};
    use toom_core::id::{MessageNumber, OfferId, RoomId};
    use toom_core::secure::{AccountKeys, PublicKey, SafetyNumber};
    use toom_core::text::FileLabel;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_654_063_500_999);
    const WRITTEN: &str = "2022-06-01T06:05:00.999Z";

    fn yoda() -> UserName {
        UserName::new("yoda").unwrap()
    }

    fn room_info() -> RoomInfo {
        RoomInfo { room: RoomId(2), members: vec![UserName::new("luke").unwrap(), yoda()] }
    }

    fn check(event: Event, expected: Value) {
        assert_eq!(render(&event, "luke"), expected);
    }

    #[test]
    fn logins_and_ends() {
        check(
            Event::Welcome { user: yoda(), server_key: PublicKey([7; 32]), udp_port: 6000, failed_logins: 3 },
            json!({
                "event": "welcome", "user": "yoda", "server_key": PublicKey([7; 32]).to_string(), "udp_port": 6000,
                "failed_logins": 3,
            }),
        );
        for (refusal, reason, retry) in [
            (LoginRefusal::InvalidCredentials, "invalid_credentials", None),
            (LoginRefusal::AlreadyActive, "already_active", None),
            (LoginRefusal::Blocked { retry_after_ms: 9_500 }, "blocked", Some(9_500)),
            (LoginRefusal::Busy { retry_after_ms: 100 }, "busy", Some(100)),
        ] {
            let object = render(&Event::LoginFailed(refusal), "");
            assert_eq!((&object["event"], &object["reason"]), (&json!("login_failed"), &json!(reason)));
            assert_eq!(object.get("retry_after_ms"), retry.map(Value::from).as_ref());
        }
        check(Event::Bye { user: yoda() }, json!({"event": "bye", "user": "yoda"}));
        check(
            Event::ConnectionLost { reason: "gone".into(), was_logged_in: true, server_key_changed: false },
            json!({"event": "connection_lost", "reason": "gone", "was_logged_in": true}),
        );
        check(
            Event::ConnectionLost { reason: "gone".into(), was_logged_in: true, server_key_changed: true },
            json!({"event": "connection_lost", "reason": "gone", "was_logged_in": true, "server_key_changed": true}),
        );
        check(
            Event::Reconnecting { reason: "gone".into(), unanswered: 2 },
            json!({"event": "reconnecting", "reason": "gone", "unanswered": 2}),
        );
        check(Event::Resumed { missed: 3 }, json!({"event": "resumed", "missed": 3}));
        check(Event::Joined { user: yoda() }, json!({"event": "joined", "user": "yoda"}));
        check(Event::Left { user: yoda() }, json!({"event": "left", "user": "yoda"}));
    }

    #[test]
    fn messages_and_confirmations() {
        let (number, text) = (MessageNumber(3), "a  b\n".to_owned());
        check(
            Event::Broadcast { number, at: AT, from: yoda(), text: text.clone() },
            json!({"event": "broadcast", "number": 3, "at": WRITTEN, "from": "yoda", "text": "a  b\n"}),
        );
        check(
            Event::RoomMessage { room: RoomId(2), number, at: AT, from: yoda(), text: text.clone() },
            json!({"event": "room_message", "room": 2, "number": 3, "at": WRITTEN, "from": "yoda", "text": "a  b\n"}),
        );
        check(
            Event::DirectMessage { number, at: AT, from: yoda(), text },
            json!({"event": "direct_message", "to": "luke", "number": 3, "at": WRITTEN, "from": "yoda", "text": "a  b\n"}),
        );
        for (kind, expected) in [
            (PostKind::Broadcast, json!({"event": "sent", "kind": "broadcast", "number": 3, "at": WRITTEN})),
            (
                PostKind::Room(RoomId(2)),
                json!({"event": "sent", "kind": "room", "room": 2, "number": 3, "at": WRITTEN}),
            ),
            (
                PostKind::Direct("obi".into()),
                json!({"event": "sent", "kind": "direct", "to": "obi", "number": 3, "at": WRITTEN}),
            ),
        ] {
            check(Event::Sent { kind, number, at: AT }, expected);
        }
    }

    #[test]
    fn users_and_rooms() {
        let address = IpAddr::V4(Ipv4Addr::new(129, 64, 1, 11));
        check(
            Event::ActiveUsers(vec![ActiveUser { name: yoda(), address, udp_port: 6666, since: AT }]),
            json!({"event": "active_users", "users": [
                {"name": "yoda", "address": "129.64.1.11", "udp_port": 6666, "since": WRITTEN},
            ]}),
        );
        check(Event::ActiveUsers(vec![]), json!({"event": "active_users", "users": []}));
        for (event, expected) in [
            (Event::RoomCreated(room_info()), "room_created"),
            (Event::RoomExists(room_info()), "room_exists"),
            (Event::RoomChanged(room_info()), "room_changed"),
        ] {
            check(event, json!({"event": expected, "room": 2, "members": ["luke", "yoda"]}));
        }
        check(Event::LeftRoom { room: RoomId(2) }, json!({"event": "left_room", "room": 2}));
        check(
            Event::Rooms(vec![room_info()]),
            json!({"event": "rooms", "rooms": [{"room": 2, "members": ["luke", "yoda"]}]}),
        );
    }

    #[test]
    fn what_was_found_says_where() {
        let found =
            |place, from: UserName| FoundMessage { place, number: MessageNumber(3), at: AT, from, text: "x".into() };
        let messages = vec![
            found(FoundIn::Broadcast, yoda()),
            found(FoundIn::Room(RoomId(2)), yoda()),
            found(FoundIn::Direct(yoda()), yoda()),
            found(FoundIn::Direct(yoda()), UserName::new("luke").unwrap()),
        ];
        check(
            Event::Found { messages, more: true },
            json!({"event": "found", "more": true, "messages": [
                {"kind": "broadcast", "number": 3, "at": WRITTEN, "from": "yoda", "text": "x"},
                {"kind": "room", "room": 2, "number": 3, "at": WRITTEN, "from": "yoda", "text": "x"},
                {"kind": "direct", "to": "luke", "number": 3, "at": WRITTEN, "from": "yoda", "text": "x"},
                {"kind": "direct", "to": "yoda", "number": 3, "at": WRITTEN, "from": "luke", "text": "x"},
            ]}),
        );
        check(Event::Found { messages: vec![], more: false }, json!({"event": "found", "messages": [], "more": false}));
    }

    #[test]
    fn history_is_oldest_first_over_all_rooms() {
        let past = |room: Option<u32>, number: u64, millis: i64| PastMessage {
            room: room.map(RoomId),
            number: MessageNumber(number),
            at: Timestamp::from_millis(millis),
            from: yoda(),
            text: "x".into(),
        };
        let messages = vec![past(Some(1), 1, 5), past(Some(1), 2, 9), past(Some(2), 1, 7), past(Some(2), 2, 9)];
        let object = render(&Event::History { kind: HistoryKind::Rooms, messages }, "luke");
        let places: Vec<_> =
            object["messages"].as_array().unwrap().iter().map(|m| (m["room"].clone(), m["number"].clone())).collect();
        assert_eq!(json!(places), json!([[1, 1], [2, 1], [1, 2], [2, 2]]));
        assert_eq!((&object["event"], &object["kind"]), (&json!("history"), &json!("room")));
        check(
            Event::History { kind: HistoryKind::Broadcast, messages: vec![past(None, 1, 0)] },
            json!({"event": "history", "kind": "broadcast", "messages": [
                {"number": 1, "at": "1970-01-01T00:00:00.000Z", "from": "yoda", "text": "x"},
            ]}),
        );
        check(
            Event::History { kind: HistoryKind::Broadcast, messages: vec![] },
            json!({"event": "history", "kind": "broadcast", "messages": []}),
        );
    }

    #[test]
    fn the_newest_of_a_conversation_and_what_is_new() {
        let message =
            PastMessage { room: Some(RoomId(2)), number: MessageNumber(1), at: AT, from: yoda(), text: "x".into() };
        let shown = render(&Event::Latest { room: Some(RoomId(2)), messages: vec![message], more: true }, "luke");
        assert_eq!(
            [&shown["event"], &shown["kind"], &shown["more"]],
            [&json!("history"), &json!("room"), &json!(true)]
        );
        assert_eq!([&shown["messages"][0]["room"], &shown["messages"][0]["number"]], [&json!(2), &json!(1)]);
        let shown = render(&Event::Latest { room: None, messages: vec![], more: false }, "luke");
        assert_eq!(shown, json!({"event": "history", "kind": "broadcast", "messages": [], "more": false}));
        check(
            Event::NewSince(News {
                since: AT,
                broadcasts: 1,
                rooms: vec![(RoomId(2), 3)],
                mentions: None,
                more: false,
            }),
            json!({
                "event": "new_since", "since": rfc3339(AT), "broadcasts": 1, "rooms": [{"room": 2, "messages": 3}],
                "mentions": null, "more": false,
            }),
        );
    }

    #[test]
    fn offers_and_transfers() {
        check(
            Event::Offer {
                id: OfferId(4),
                from: yoda(),
                name: FileLabel::new("a.mp4"),
                bytes: Some(7),
                entries: None,
                held: true,
            },
            json!({"event": "offer", "id": 4, "from": "yoda", "name": "a.mp4", "bytes": 7}),
        );
        check(
            Event::Offer {
                id: OfferId(4),
                from: yoda(),
                name: FileLabel::new("photos"),
                bytes: Some(7),
                entries: Some(3),
                held: false,
            },
            json!({"event": "offer", "id": 4, "from": "yoda", "name": "photos", "bytes": 7, "entries": 3}),
        );
        check(
            Event::OfferAnswered { id: OfferId(4), accepted: true },
            json!({"event": "offer_answered", "id": 4, "accepted": true}),
        );
        let base = |direction, state| Transfer {
            id: OfferId(4),
            peer: yoda(),
            name: FileLabel::new("a.mp4"),
            direction,
            state,
            bytes: 5,
            total: Some(7),
            rate_bps: 80,
            path: Path { kind: PathKind::Lan, round_trip: Some(Duration::from_micros(1_500)), loss_ppm: Some(2_500) },
        };
        check(
            Event::Transfer(base(Direction::Out, TransferState::Moving)),
            json!({"event": "transfer", "id": 4, "peer": "yoda", "name": "a.mp4", "direction": "out", "state": "moving",
                "bytes": 5, "total": 7, "rate_bps": 80, "path": "lan", "rtt_ms": 1.5, "loss": 0.0025, "left_s": 0.2}),
        );
        let done = TransferState::Done { blake3: [0xab; 32], saved_as: Some("yoda_a.mp4".into()) };
        check(
            Event::Transfer(base(Direction::In, done)),
            json!({"event": "transfer", "id": 4, "peer": "yoda", "name": "a.mp4", "direction": "in", "state": "done",
                "bytes": 5, "total": 7, "rate_bps": 80, "path": "lan", "rtt_ms": 1.5, "loss": 0.0025, "blake3": "ab".repeat(32),
                "saved_as": "yoda_a.mp4"}),
        );
        check(
            Event::Transfers(vec![base(Direction::In, TransferState::Starting)]),
            json!({"event": "transfers", "transfers": [{"id": 4, "peer": "yoda", "name": "a.mp4", "direction": "in",
                "state": "starting", "bytes": 5, "total": 7, "rate_bps": 80, "path": "lan", "rtt_ms": 1.5, "loss": 0.0025}]}),
        );
        let waiting = |waiting| render(&Event::Transfer(base(Direction::Out, TransferState::Waiting(waiting))), "");
        for (reason, state, code) in [
            (Waiting::Acceptance, "starting", "acceptance"),
            (Waiting::Answer, "starting", "answer"),
            (Waiting::OwnDisk, "moving", "disk"),
            (Waiting::PeerHash, "moving", "peer_hash"),
        ] {
            let object = waiting(reason);
            assert_eq!((&object["state"], &object["waits_for"]), (&json!(state), &json!(code)));
            assert_eq!(object.get("left_s"), None, "nobody knows");
        }
        let silent = Duration::from_millis(5_400);
        let paused = render(&Event::Transfer(base(Direction::In, TransferState::Paused { silent })), "");
        assert_eq!(
            (&paused["state"], &paused["reason"], &paused["silent_s"]),
            (&json!("paused"), &json!("peer_silent"), &json!(5))
        );
        let stream = Transfer { total: None, ..base(Direction::In, TransferState::Moving) };
        assert_eq!(render(&Event::Transfer(stream), "").get("total"), Some(&Value::Null));
        let failed =
            render(&Event::Transfer(base(Direction::In, TransferState::Failed(TransferFailure::Cancelled))), "");
        assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("cancelled")));
    }

    #[test]
    fn errors_have_a_code_a_message_and_the_users_concerned() {
        let object = render(&Event::Error(Failure::UserOffline(vec![yoda()])), "luke");
        assert_eq!((&object["event"], &object["code"]), (&json!("error"), &json!("user_offline")));
        assert_eq!(object["users"], json!(["yoda"]));
        assert!(object["message"].as_str().unwrap().contains("yoda"));
        let object = render(&Event::Error(Failure::NoSuchUser(vec!["x".into(), "y".into()])), "luke");
        assert_eq!((&object["code"], &object["users"]), (&json!("no_such_user"), &json!(["x", "y"])));
        assert_eq!(render(&Event::Error(Failure::Busy), "").get("users"), None);
        assert_eq!(
            parse_error(&ParseError::UnknownCommand),
            json!({"event": "error", "code": "unknown_command", "message": "Error. Invalid command!"})
        );
        assert_eq!(parse_error(&ParseError::Usage("why".into()))["code"], "usage");
    }

    #[test]
    fn keys_of_people() {
        let (user, key) = (yoda(), PublicKey([0; 32]));
        let keys = std::slice::from_ref(&key);
        let number = SafetyNumber::of(AccountKeys { name: &user, keys }, AccountKeys { name: &user, keys });
        check(
            Event::SafetyNumber { user: yoda(), number, devices: 2, own_devices: 1, verified: true },
            json!({"event": "safety_number", "user": "yoda", "number": number.to_string(), "verified": true, "devices": 2,
                "own_devices": 1}),
        );
        check(
            Event::PeerKeyChanged { user: yoda(), key, verified: false },
            json!({"event": "peer_key_changed", "user": "yoda", "key": "a".repeat(52), "verified": false}),
        );
        let object = render(&Event::Error(Failure::PeerKeyChanged { user: yoda(), key }), "");
        assert_eq!((&object["code"], &object["user"]), (&json!("peer_key_changed"), &json!("yoda")));
        assert_eq!(object["key"], json!("a".repeat(52)));
        check(
            Event::NotRemembered { user: yoda(), reason: "full".into() },
            json!({"event": "not_remembered", "user": "yoda", "reason": "full"}),
        );
    }

    #[test]
    fn help_is_one_object_too() {
        assert_eq!(help(help::find("ATU"))["event"], "help");
    }
}
