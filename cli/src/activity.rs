//! The server's terminal: what people did, each command with its reply. Whatever others typed is made harmless
//! first, since a terminal obeys some characters.

use serde_json::{Value, json};
use toom_core::server::activity::Activity;
use toom_core::server::io::Presence;
use toom_core::text::{printable, printable_lines};
use toom_core::wire::message::{HistoryKind, LoginRefusal, OfferEnd, Refusal, RoomInfo};
use toom_store::wall;

/// `happened` in plain sentences, one a line; `None` if there is nothing to say.
pub(crate) fn sentence(happened: &Activity) -> Option<String> {
    // Others' texts have no line feeds any more. Names are harmless, except that some of early accounts hide something.
    Some(printable_lines(&words(happened)?).into_owned())
}

fn words(happened: &Activity) -> Option<String> {
    Some(match happened {
        Activity::LoggedIn(who) => format!(
            "{} logged in from {} with UDP port {} at {}.",
            who.name,
            who.address,
            who.udp_port,
            wall::written(who.since)
        ),
        Activity::LoggedOut { user, at, asked: true } => format!("{user} logged out at {}.", wall::written(*at)),
        Activity::LoggedOut { user, at, asked: false } => {
            format!("{user} is not connected and was logged out at {}.", wall::written(*at))
        }
        Activity::ConnectionLost { user, at } => {
            format!("The connection of {user} was lost at {}; the session waits for them.", wall::written(*at))
        }
        Activity::Resumed(who) => {
            format!("{} is connected again from {} with UDP port {}.", who.name, who.address, who.udp_port)
        }
        Activity::LoginFailed { name, address, refusal } => {
            format!("A login as {} from {address} was refused: {}.", printable(name), login_refusal(refusal))
        }
        Activity::Broadcast { user, number, text, at } => {
            format!("{user} broadcasted BCM #{number} \"{}\" at {}.", printable(text), wall::written(*at))
        }
        Activity::RoomMessage { user, room, number, text, at } => format!(
            "{user} issued a message in separate room {room}: #{number} \"{}\" at {}.",
            printable(text),
            wall::written(*at)
        ),
        Activity::DirectMessage { user, to, number, at } => {
            format!("{user} sent a direct message to {to}: #{number} at {}.", wall::written(*at))
        }
        Activity::RoomBuilt { user, room } => replied(
            user,
            "SRB",
            format!(
                "Separate chat room has been created, room ID: {}, users in this room: {}",
                room.room,
                members(room)
            ),
        ),
        Activity::RoomExists { user, room } => {
            replied(user, "SRB", format!("A separate room (ID: {}) already created for these users", room.room))
        }
        Activity::Invited { user, invited, room } => {
            replied(user, "INVITE", format!("{invited} is now in separate room {room}"))
        }
        Activity::LeftRoom { user, room } => replied(user, "LEAVE", format!("{user} has left separate room {room}")),
        Activity::ListedActive { user, shown } => replied(user, "ATU", active_users(shown)),
        Activity::ListedDevices { user, of, devices } => {
            let devices = if *devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") };
            replied(user, "VERIFY", format!("{of} has logged in from {devices}"))
        }
        Activity::ListedRooms { user, rooms } => replied(user, "ROOMS", format!("{rooms} rooms")),
        Activity::ReadHistory { user, kind, not_before, messages, more } => {
            let and_more = if *more { " and more" } else { "" };
            let reply = match messages {
                0 => "no new message".into(),
                1 => format!("1 message{and_more} from {} on", wall::written(*not_before)),
                _ => format!("{messages} messages{and_more} from {} on", wall::written(*not_before)),
            };
            replied(user, if *kind == HistoryKind::Broadcast { "RDM b" } else { "RDM s" }, reply)
        }
        Activity::ReadLatest { user, messages } => {
            replied(user, "LAST", if *messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") })
        }
        Activity::Searched { user, messages, more } => {
            let and_more = if *more { " and more" } else { "" };
            let messages = if *messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") };
            replied(user, "FIND", format!("{messages}{and_more}"))
        }
        Activity::Offered { offer, user, to } => {
            replied(user, "UPD", format!("a file is offered to {to} as transfer {offer}"))
        }
        Activity::OfferAccepted { offer, user } => {
            format!("{user} accepted transfer {offer}; it goes on between the two of them.")
        }
        Activity::OfferEnded { offer, reason } => format!("Transfer {offer} came to nothing: {}.", offer_end(*reason)),
        Activity::Refused { user, command, refusal } => replied(user, command, self::refusal(refusal)),
        Activity::Closed { address, reason } => format!("A connection from {address} was closed: {reason}."),
        Activity::RoomKnown { .. } => return None,
    })
}

/// `happened` as one JSON object; `None` if there is nothing to say.
pub(crate) fn json(happened: &Activity) -> Option<String> {
    let (kind, mut fields) = fields(happened)?;
    fields["event"] = "activity".into();
    fields["kind"] = kind.into();
    Some(fields.to_string())
}

fn fields(happened: &Activity) -> Option<(&'static str, Value)> {
    Some(match happened {
        Activity::LoggedIn(who) => ("login", presence(who)),
        Activity::LoggedOut { user, at, asked } => {
            ("logout", json!({"user": user, "at": wall::rfc3339(*at), "asked": asked}))
        }
        Activity::ConnectionLost { user, at } => ("connection_lost", json!({"user": user, "at": wall::rfc3339(*at)})),
        Activity::Resumed(who) => ("resumed", presence(who)),
        Activity::LoginFailed { name, address, refusal } => {
            ("login_failed", json!({"user": name, "address": address, "reason": login_reason(refusal)}))
        }
        Activity::Broadcast { user, number, text, at } => {
            ("broadcast", json!({"user": user, "number": number, "text": text, "at": wall::rfc3339(*at)}))
        }
        Activity::RoomMessage { user, room, number, text, at } => (
            "room_message",
            json!({"user": user, "room": room, "number": number, "text": text, "at": wall::rfc3339(*at)}),
        ),
        Activity::DirectMessage { user, to, number, at } => {
            ("direct_message", json!({"user": user, "to": to, "number": number, "at": wall::rfc3339(*at)}))
        }
        Activity::RoomBuilt { user, room } => {
            ("room_created", json!({"user": user, "room": room.room, "members": room.members}))
        }
        Activity::RoomExists { user, room } => {
            ("room_exists", json!({"user": user, "room": room.room, "members": room.members}))
        }
        Activity::Invited { user, invited, room } => {
            ("invited", json!({"user": user, "invited": invited, "room": room}))
        }
        Activity::LeftRoom { user, room } => ("left_room", json!({"user": user, "room": room})),
        Activity::ListedActive { user, shown } => {
            ("active_users", json!({"user": user, "users": shown.iter().map(presence).collect::<Vec<_>>()}))
        }
        Activity::ListedDevices { user, of, devices } => {
            ("devices", json!({"user": user, "of": of, "devices": devices}))
        }
        Activity::ListedRooms { user, rooms } => ("rooms", json!({"user": user, "rooms": rooms})),
        Activity::ReadHistory { user, kind, not_before, messages, more } => {
            let kind = if *kind == HistoryKind::Broadcast { "broadcast" } else { "rooms" };
            let not_before = wall::rfc3339(*not_before);
            ("history", json!({"user": user, "of": kind, "not_before": not_before, "messages": messages, "more": more}))
        }
        Activity::ReadLatest { user, messages } => ("latest", json!({"user": user, "messages": messages})),
        Activity::Searched { user, messages, more } => {
            ("found", json!({"user": user, "messages": messages, "more": more}))
        }
        Activity::Offered { offer, user, to } => ("offer", json!({"id": offer, "user": user, "to": to})),
        Activity::OfferAccepted { offer, user } => ("offer_accepted", json!({"id": offer, "user": user})),
        Activity::OfferEnded { offer, reason } => ("offer_ended", json!({"id": offer, "reason": offer_end(*reason)})),
        Activity::Refused { user, command, refusal } => {
            ("refused", json!({"user": user, "command": command, "reason": self::refusal(refusal)}))
        }
        Activity::Closed { address, reason } => ("closed", json!({"address": address, "reason": reason.to_string()})),
        Activity::RoomKnown { .. } => return None,
    })
}

fn replied(user: impl std::fmt::Display, command: &str, reply: String) -> String {
    format!("{user} issued {command} command\nReturn message: {reply}")
}

fn active_users(shown: &[Presence]) -> String {
    if shown.is_empty() {
        return "no other active user".into();
    }
    let line = |who: &Presence| {
        format!("\n  {}; {}; {}; active since {}", who.name, who.address, who.udp_port, wall::written(who.since))
    };
    shown.iter().map(line).collect()
}

fn members(room: &RoomInfo) -> String {
    room.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn presence(who: &Presence) -> Value {
    json!({"user": who.name, "address": who.address, "udp_port": who.udp_port, "since": wall::rfc3339(who.since)})
}

fn login_refusal(refusal: &LoginRefusal) -> &'static str {
    match refusal {
        LoginRefusal::InvalidCredentials => "unknown name or wrong password",
        LoginRefusal::Blocked { .. } => "blocked after too many failures",
        LoginRefusal::AlreadyActive => "this user is active already",
        LoginRefusal::Busy { .. } => "too much to do",
        LoginRefusal::SessionOver => "the session that it wanted to go on with is over",
    }
}

fn login_reason(refusal: &LoginRefusal) -> &'static str {
    match refusal {
        LoginRefusal::InvalidCredentials => "invalid_credentials",
        LoginRefusal::Blocked { .. } => "blocked",
        LoginRefusal::AlreadyActive => "already_active",
        LoginRefusal::Busy { .. } => "busy",
        LoginRefusal::SessionOver => "session_over",
    }
}

fn offer_end(reason: OfferEnd) -> &'static str {
    match reason {
        OfferEnd::Rejected => "it was rejected",
        OfferEnd::Withdrawn => "it was taken back",
        OfferEnd::UserLeft => "one of the two left",
        OfferEnd::Expired => "nobody answered in time",
    }
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSuchUser(names) => format!("no such user: {}", printable(&names.join(", "))),
        Refusal::UserOffline(names) => {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            format!("not active: {}", names.join(", "))
        }
        Refusal::NoSuchRoom => "The separate room does not exist".into(),
        Refusal::NotAMember => "You are not in this separate room chat".into(),
        Refusal::NobodyElse => "a room needs somebody else".into(),
        Refusal::AlreadyAMember => "the user is in this room already".into(),
        Refusal::Oneself => "one cannot do this with oneself".into(),
        Refusal::NoSuchOffer => "there is no such offer".into(),
        Refusal::BadText => "the text is empty or too long".into(),
        Refusal::LimitReached(which) => printable(which).into_owned(),
        Refusal::StorageFailed => "the server cannot write to its disk".into(),
        Refusal::RateLimited { .. } => "more in a second than this server allows".into(),
        Refusal::OutOfOrder => "not at this point".into(),
        Refusal::DeviceChanged => "the receiver is on another device".into(),
        Refusal::SearchNotReady => "the search index is not ready".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toom_core::id::{MessageNumber, RoomId};
    use toom_core::name::UserName;
    use toom_core::server::io::CloseReason;
    use toom_core::text::is_unprintable;
    use toom_core::time::Timestamp;

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    #[test]
    fn a_broadcast_reads_as_in_the_assignment() {
        let at = Timestamp::from_millis(1_654_063_500_999);
        let happened = Activity::Broadcast { user: name("Yoda"), number: MessageNumber(1), text: "Hello".into(), at };
        let expected = format!("Yoda broadcasted BCM #1 \"Hello\" at {}.", wall::written(at));
        assert_eq!(sentence(&happened), Some(expected));
        let line: Value = serde_json::from_str(&json(&happened).unwrap()).unwrap();
        let expected = json!({"event": "activity", "kind": "broadcast", "user": "Yoda", "number": 1, "text": "Hello",
            "at": "2022-06-01T06:05:00.999Z"});
        assert_eq!(line, expected);
    }

    #[test]
    fn a_command_comes_with_its_reply() {
        let happened = Activity::ListedActive { user: name("Obi-wan"), shown: vec![] };
        let expected = "Obi-wan issued ATU command\nReturn message: no other active user";
        assert_eq!(sentence(&happened).as_deref(), Some(expected));
        let happened = Activity::Refused { user: name("hans"), command: "SRM", refusal: Refusal::NoSuchRoom };
        let expected = "hans issued SRM command\nReturn message: The separate room does not exist";
        assert_eq!(sentence(&happened).as_deref(), Some(expected));
        assert_eq!(sentence(&Activity::RoomKnown { room: RoomId(1) }), None);
    }

    #[test]
    fn a_history_of_many_pages_says_that_there_is_more() {
        let not_before = Timestamp::from_millis(0);
        let (user, kind) = (name("yoda"), HistoryKind::Broadcast);
        for (more, words) in [(false, "512 messages from"), (true, "512 messages and more from")] {
            let user = user.clone();
            let shown = sentence(&Activity::ReadHistory { user, kind, not_before, messages: 512, more }).unwrap();
            assert!(shown.contains(words), "{shown}");
        }
    }

    #[test]
    fn why_a_connection_was_closed_is_a_sentence() {
        for (reason, words) in [
            (CloseReason::LoggedOut, "it logged out"),
            (CloseReason::LoginTimedOut, "it did not log in in time"),
            (CloseReason::NotLoggedIn, "it sent a request before it logged in"),
            (CloseReason::TooManyRequests, "it had too many unanswered requests"),
            (CloseReason::LimitBroken, "it sent a request that breaks a limit"),
            (CloseReason::TooManyConnections, "there are too many connections"),
            (CloseReason::AccountRemoved, "its account was removed"),
            (CloseReason::Superseded, "the session goes on over another connection from the same device"),
        ] {
            let shown = sentence(&Activity::Closed { address: [127, 0, 0, 1].into(), reason });
            assert_eq!(shown, Some(format!("A connection from 127.0.0.1 was closed: {words}.")));
        }
    }

    #[test]
    fn nothing_that_others_typed_reaches_the_terminal_as_it_is() {
        let evil = "x\u{1b}]0;owned\u{7}\r\ny\u{202e}";
        let at = Timestamp::from_millis(0);
        for happened in [
            Activity::LoginFailed {
                name: evil.into(),
                address: [127, 0, 0, 1].into(),
                refusal: LoginRefusal::InvalidCredentials,
            },
            Activity::Broadcast { user: name("a"), number: MessageNumber(1), text: evil.into(), at },
            Activity::RoomMessage { user: name("a"), room: RoomId(1), number: MessageNumber(1), text: evil.into(), at },
            Activity::Refused { user: name("a"), command: "SRB", refusal: Refusal::NoSuchUser(vec![evil.into()]) },
        ] {
            let shown = sentence(&happened).unwrap();
            let lines = shown.lines().count();
            assert!(lines <= 2 && !shown.replace('\n', "").contains(is_unprintable), "{shown:?}");
            assert!(!shown.contains("owned"), "{shown:?}");
        }
        let early = UserName::read("yo\u{200b}da").unwrap();
        let happened = Activity::LoggedOut { user: early, at, asked: true };
        assert!(sentence(&happened).unwrap().starts_with("yo\u{fffd}da logged out"));
    }
}
